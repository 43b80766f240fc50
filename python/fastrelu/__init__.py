# SPDX-License-Identifier: BSD-3-Clause
"""Train and run ReLU networks on CPUs, fast, and the same to the last bit everywhere."""

import importlib
from typing import TYPE_CHECKING, Any

from fastrelu import losses, reference, schedules
from fastrelu._config import (
    __version__,
    get_isa,
    get_num_threads,
    set_num_threads,
    set_thread_limit,
    show_config,
)
from fastrelu.data_set import Block, BlockSource, DataSet, Evaluation, LossSums
from fastrelu.exact.maximum import maximum, minimum
from fastrelu.exact.piecewise import PiecewiseLinear
from fastrelu.functional import linear_relu, relu, relu_backward
from fastrelu.history import EpochRecord
from fastrelu.model_file import load
from fastrelu.network import Cache, Gradients, Network
from fastrelu.optimizers import SGD, Adam, AdamW
from fastrelu.trainer import History, Trainer

if TYPE_CHECKING:
    from fastrelu import convergence as convergence
    from fastrelu import plot as plot
    from fastrelu.mlp import MLPClassifier as MLPClassifier
    from fastrelu.mlp import MLPRegressor as MLPRegressor

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Block",
    "BlockSource",
    "Cache",
    "DataSet",
    "EpochRecord",
    "Evaluation",
    "Gradients",
    "History",
    "LossSums",
    "Network",
    "PiecewiseLinear",
    "Trainer",
    "__version__",
    "get_isa",
    "get_num_threads",
    "linear_relu",
    "load",
    "losses",
    "maximum",
    "minimum",
    "reference",
    "relu",
    "relu_backward",
    "schedules",
    "set_num_threads",
    "set_thread_limit",
    "show_config",
]


def __getattr__(name: str) -> Any:
    """Import when it is first used what needs extras (estimators, plots) or is seldom needed."""
    if name in ("convergence", "plot"):
        return importlib.import_module(f"fastrelu.{name}")
    if name not in ("MLPClassifier", "MLPRegressor"):
        raise AttributeError(f"module 'fastrelu' has no attribute {name!r}")
    try:
        importlib.import_module("sklearn")
    except ImportError as error:
        raise ImportError(
            f"fastrelu.{name} needs scikit-learn: pip install 'fastrelu[sklearn]'"
        ) from error
    return getattr(importlib.import_module("fastrelu.mlp"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), "MLPClassifier", "MLPRegressor", "convergence", "plot"})

# SPDX-License-Identifier: BSD-3-Clause
"""Train and run ReLU networks on CPUs, fast, and the same to the last bit everywhere.

Importing it loads the compiled core alone; each name brings its module when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

try:
    from fastrelu import _core as _core
    from fastrelu import _thread_limits

    _core.read_environment()
except (KeyboardInterrupt, ImportError, ValueError) as error:
    from fastrelu import _refused

    _refused.end_import(error)

_thread_limits.follow()

if TYPE_CHECKING:
    from fastrelu import convergence as convergence
    from fastrelu import (
        losses,
        metrics,
        random,
        reference,
        schedules,
    )
    from fastrelu import plot as plot
    from fastrelu._config import (
        get_cmake_dir,
        get_include,
        get_isa,
        get_num_threads,
        set_num_threads,
        set_thread_limit,
        show_config,
    )
    from fastrelu._version import __version__
    from fastrelu.data_set import Block, BlockSource, DataSet, Evaluation, LossSums
    from fastrelu.divergence import DivergenceError
    from fastrelu.encoded import EncodedRows
    from fastrelu.ensemble import Ensemble
    from fastrelu.exact.maximum import maximum, minimum
    from fastrelu.exact.piecewise import PiecewiseLinear
    from fastrelu.exchange.jax_trees import from_jax
    from fastrelu.exchange.onnx_read import from_onnx
    from fastrelu.exchange.torch_modules import from_torch
    from fastrelu.functional import linear_relu, relu, relu_backward
    from fastrelu.history import EpochRecord, History
    from fastrelu.mlp import MLPClassifier as MLPClassifier
    from fastrelu.mlp import MLPRegressor as MLPRegressor
    from fastrelu.mlp import PopulationSearchCV as PopulationSearchCV
    from fastrelu.model_file import load
    from fastrelu.network import Cache, Gradients, Network
    from fastrelu.optimizers import SGD, Adam, AdamW
    from fastrelu.population import Population
    from fastrelu.tabular import TabularClassifier as TabularClassifier
    from fastrelu.tabular import TabularRegressor as TabularRegressor
    from fastrelu.trainer import Trainer

#: Where each name is.
_MODULES = {
    **dict.fromkeys(("__version__",), "_version"),
    **dict.fromkeys(
        (
            *("get_cmake_dir", "get_include", "get_isa", "get_num_threads"),
            *("set_num_threads", "set_thread_limit", "show_config"),
        ),
        "_config",
    ),
    **dict.fromkeys(("Block", "BlockSource", "DataSet", "Evaluation", "LossSums"), "data_set"),
    **dict.fromkeys(("DivergenceError",), "divergence"),
    **dict.fromkeys(("EncodedRows",), "encoded"),
    **dict.fromkeys(("Ensemble",), "ensemble"),
    **dict.fromkeys(("maximum", "minimum"), "exact.maximum"),
    **dict.fromkeys(("PiecewiseLinear",), "exact.piecewise"),
    **dict.fromkeys(("from_jax",), "exchange.jax_trees"),
    **dict.fromkeys(("from_onnx",), "exchange.onnx_read"),
    **dict.fromkeys(("from_torch",), "exchange.torch_modules"),
    **dict.fromkeys(("linear_relu", "relu", "relu_backward"), "functional"),
    **dict.fromkeys(("EpochRecord", "History"), "history"),
    **dict.fromkeys(("MLPClassifier", "MLPRegressor", "PopulationSearchCV"), "mlp"),
    **dict.fromkeys(("load",), "model_file"),
    **dict.fromkeys(("Cache", "Gradients", "Network"), "network"),
    **dict.fromkeys(("SGD", "Adam", "AdamW"), "optimizers"),
    **dict.fromkeys(("Population",), "population"),
    **dict.fromkeys(("TabularClassifier", "TabularRegressor"), "tabular"),
    **dict.fromkeys(("Trainer",), "trainer"),
}
_SUBMODULES = (
    "checkpoint", "conformal", "convergence", "data_set", "distributed", "divergence",
    "encoded", "ensemble", "epoch", "exact", "functional", "history", "losses", "metrics",
    "mlp", "model_file", "network", "optimizers", "plot", "population",
    "quantiles", "random", "ranking", "reference", "schedules", "selftest", "standardize",
    "tabular", "torch", "trainer", "training", "whole_files",
)  # fmt: skip

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Block",
    "BlockSource",
    "Cache",
    "DataSet",
    "DivergenceError",
    "EncodedRows",
    "Ensemble",
    "EpochRecord",
    "Evaluation",
    "Gradients",
    "History",
    "LossSums",
    "Network",
    "PiecewiseLinear",
    "Population",
    "Trainer",
    "__version__",
    "from_jax",
    "from_onnx",
    "from_torch",
    "get_cmake_dir",
    "get_include",
    "get_isa",
    "get_num_threads",
    "linear_relu",
    "load",
    "losses",
    "maximum",
    "metrics",
    "minimum",
    "random",
    "reference",
    "relu",
    "relu_backward",
    "schedules",
    "set_num_threads",
    "set_thread_limit",
    "show_config",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and keep it."""
    if name in _SUBMODULES:
        return importlib.import_module(f"fastrelu.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'fastrelu' has no attribute {name!r}")
    if _MODULES[name] in ("mlp", "tabular"):
        try:
            importlib.import_module("sklearn")
        except ImportError as error:
            raise ImportError(
                f"fastrelu.{name} needs scikit-learn: pip install scikit-learn"
            ) from error
    value = getattr(importlib.import_module(f"fastrelu.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_SUBMODULES})

# SPDX-License-Identifier: BSD-3-Clause
"""The command's parts for Python: models that it wrote, its readers, preprocessing and report.

Each name is imported when it is first used; the errors alone need none of the extras.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastrelu.app.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DataWarning,
    DivergedError,
    OutputError,
    TrainingError,
)

if TYPE_CHECKING:
    from fastrelu.app.data.readers import ColumnChoice, read
    from fastrelu.app.model import Model, load_model
    from fastrelu.app.preprocess import fit_inputs, fit_target
    from fastrelu.app.report import describe_model, plot_run, summarize_columns

__all__ = [
    "CheckpointError",
    "ColumnChoice",
    "ConfigError",
    "DataError",
    "DataWarning",
    "DivergedError",
    "Model",
    "OutputError",
    "TrainingError",
    "describe_model",
    "fit_inputs",
    "fit_target",
    "load_model",
    "plot_run",
    "read",
    "summarize_columns",
]
_MODULES = {
    "Model": "model",
    "load_model": "model",
    "ColumnChoice": "data.readers",
    "read": "data.readers",
    "fit_inputs": "preprocess",
    "fit_target": "preprocess",
    "describe_model": "report",
    "plot_run": "report",
    "summarize_columns": "report",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'fastrelu.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fastrelu.app.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

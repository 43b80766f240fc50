# SPDX-License-Identifier: BSD-3-Clause
"""From a data file to a trained and tested model: readers, preprocessing, the run, the command."""

from typing import TYPE_CHECKING, Any

from fastrelu.training.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    OutputError,
    TrainingError,
)

if TYPE_CHECKING:
    from fastrelu.training.model import Model, load_model

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "Model",
    "OutputError",
    "TrainingError",
    "load_model",
]


def __getattr__(name: str) -> Any:
    """Import the model when it is first used: the modules below import the errors from here."""
    if name not in ("Model", "load_model"):
        raise AttributeError(f"module 'fastrelu.training' has no attribute {name!r}")
    from fastrelu.training import model

    return getattr(model, name)

# SPDX-License-Identifier: BSD-3-Clause
"""From a data file to a trained and tested model: readers, preprocessing, the run, the command."""

from fastrelu.training.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    OutputError,
    TrainingError,
)

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergedError",
    "OutputError",
    "TrainingError",
]

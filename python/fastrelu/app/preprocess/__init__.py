# SPDX-License-Identifier: BSD-3-Clause
"""From raw rows to a network's inputs and targets, and back: fitted on training rows only."""

from fastrelu.app.preprocess.accumulator import Accumulator, fit_inputs
from fastrelu.app.preprocess.inputs import Inputs, warnings_of
from fastrelu.app.preprocess.options import InputOptions
from fastrelu.app.preprocess.target import Target, TargetAccumulator, fit_target

__all__ = [
    "Accumulator",
    "InputOptions",
    "Inputs",
    "Target",
    "TargetAccumulator",
    "fit_inputs",
    "fit_target",
    "warnings_of",
]

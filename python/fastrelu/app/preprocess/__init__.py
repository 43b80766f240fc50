# SPDX-License-Identifier: BSD-3-Clause
"""From raw rows to a network's inputs and targets, and back: fitted on training rows only."""

from fastrelu.app.preprocess.accumulator import Accumulator, fit_inputs
from fastrelu.app.preprocess.examples import BATCH_ROWS, Examples, in_batches, joined
from fastrelu.app.preprocess.inputs import Inputs, warnings_of
from fastrelu.app.preprocess.options import InputOptions
from fastrelu.app.preprocess.piece_fit import PieceOptions, fit_pieces
from fastrelu.app.preprocess.piece_inputs import PieceInputs
from fastrelu.app.preprocess.target import Target, TargetAccumulator, fit_target
from fastrelu.app.preprocess.treatment import Treatment

__all__ = [
    "BATCH_ROWS",
    "Accumulator",
    "Examples",
    "InputOptions",
    "Inputs",
    "PieceInputs",
    "PieceOptions",
    "Target",
    "TargetAccumulator",
    "Treatment",
    "fit_inputs",
    "fit_pieces",
    "fit_target",
    "in_batches",
    "joined",
    "warnings_of",
]

# SPDX-License-Identifier: BSD-3-Clause
"""What is tried on a table, by its size and the preset: widths, pieces, decay, factors, epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fastrelu.app.preprocess import PieceOptions

FOLDS = 5
MEMBERS = {"fast": 3, "default": 5, "best": 20}
FEW_ROWS = 4000  # up to these, what is best is chosen on the rows left out
MOST_INPUTS = 2048  # that pieces may lead to
INPUT_SCALE_RATE = 6.0  # how much faster than weights the factors of inputs are learned
MOST_RUNS = (1 << 30) // 6  # of all rows in memory: 6 bytes each, 1 GiB


@dataclass(frozen=True)
class Candidate:
    """How the members of one trial are made and trained.

    Attributes
    ----------
    pieces : int
        The most pieces of a number.
    hidden : tuple of int
        The widths of the hidden layers.
    weight_decay, learning_rate : float
        Of AdamW.
    batch_size, epochs, patience : int
        As for `fastrelu.Population`.
    input_scale_rate : float
        As for `fastrelu.Trainer`; 0: inputs have no factors.
    """

    pieces: int
    hidden: tuple[int, ...]
    weight_decay: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    input_scale_rate: float = 0.0

    def __str__(self) -> str:
        widths = "-".join(map(str, self.hidden)) or "linear"
        factors = ", input factors" if self.input_scale_rate else ""
        pieces = f"{self.pieces} piece{'s' * (self.pieces != 1)}"
        return f"{pieces}, {widths}, decay {self.weight_decay:g}{factors}"


def candidates(preset: str, n_rows: int, n_columns: int) -> list[Candidate]:
    """Return what is tried, the usual first.

    Parameters
    ----------
    preset : {"fast", "default", "best"}
        How much.
    n_rows, n_columns : int
        The table's size.
    """
    most = max(1, MOST_INPUTS // max(1, n_columns) - 1)
    if 2 * n_columns * n_rows > MOST_RUNS:  # a number, and its pieces
        most = 1
    finest = 24 if preset == "fast" else 48 if n_rows >= 5000 else 32
    pieces = min(finest, max(2, math.isqrt(n_rows)), most)
    few = max(1, min(8, pieces // 4))
    batch = min(256, max(16, 2 ** round(math.log2(max(1, n_rows / 40)))))
    patience = {"fast": 6, "default": 10, "best": 20}[preset] + (6 if n_rows <= FEW_ROWS else 0)
    epochs = 400 if n_rows < 20_000 else 200
    wide = (128, 64) if n_rows >= 1000 and preset != "fast" else (64, 32)

    rate = 0.004 if n_rows > FEW_ROWS else 0.002

    def plain(pieces: int, hidden: tuple[int, ...], decay: float) -> Candidate:
        return Candidate(pieces, hidden, decay, rate, batch, epochs, patience)

    def scaled(pieces: int, hidden: tuple[int, ...], decay: float) -> Candidate:
        return replace(plain(pieces, hidden, decay), input_scale_rate=INPUT_SCALE_RATE)

    if n_rows > FEW_ROWS:
        found = [scaled(pieces, wide, 0.03)]
        if preset == "best":
            found += [plain(pieces, wide, 0.03), scaled(max(1, pieces // 3), (256, 128), 0.03)]
        return found
    if preset == "fast":
        return [plain(pieces, wide, 0.03)]
    found = [
        plain(pieces, wide, 0.03),
        scaled(pieces, wide, 1.0),
        scaled(few, wide, 0.03),
        scaled(few, wide, 1.0),
        plain(1, (), 0.03),
    ]
    if preset == "best":
        found += [plain(pieces, wide, 1.0), plain(few, wide, 0.03), plain(few, wide, 1.0)]
        found += [scaled(pieces, wide, 0.03), plain(pieces, (), 1.0), plain(1, wide, 0.3)]
    return list(dict.fromkeys(found))


def piece_options(candidate: Candidate, n_rows: int) -> PieceOptions:
    """Return how a candidate encodes: categories of very few rows have no input of their own."""
    return PieceOptions(pieces=candidate.pieces, least_rows=min(10, 2 + n_rows // 500))

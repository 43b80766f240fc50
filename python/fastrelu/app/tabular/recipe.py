# SPDX-License-Identifier: BSD-3-Clause
"""What is tried on a table, by its size and the preset: widths, pieces, decay, rate, epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastrelu.app.preprocess import PieceOptions

FOLDS = 5
MEMBERS = {"fast": 3, "default": 5, "best": 20}
FEW_ROWS = 4000  # up to these, what is best is chosen on the rows left out
MOST_INPUTS = 2048  # that pieces may lead to
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
    """

    pieces: int
    hidden: tuple[int, ...]
    weight_decay: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int

    def __str__(self) -> str:
        widths = "-".join(map(str, self.hidden)) or "linear"
        return f"{self.pieces} pieces, {widths}, decay {self.weight_decay:g}"


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

    def candidate(pieces: int, hidden: tuple[int, ...], decay: float) -> Candidate:
        return Candidate(pieces, hidden, decay, rate, batch, epochs, patience)

    usual = candidate(pieces, wide, 0.03)
    if preset == "fast" or n_rows > FEW_ROWS:
        if preset != "best":
            return [usual]
        return [usual, candidate(max(1, pieces // 3), (256, 128), 0.03)]
    found = [
        usual,
        candidate(pieces, wide, 1.0),
        candidate(few, wide, 0.03),
        candidate(few, wide, 1.0),
        candidate(1, (), 0.03),
    ]
    if preset == "best":
        found += [candidate(pieces, (), 1.0), candidate(1, wide, 0.3)]
    return list(dict.fromkeys(found))


def piece_options(candidate: Candidate, n_rows: int) -> PieceOptions:
    """Return how a candidate encodes: categories of very few rows have no input of their own."""
    return PieceOptions(pieces=candidate.pieces, least_rows=min(10, 2 + n_rows // 500))

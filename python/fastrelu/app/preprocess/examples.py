# SPDX-License-Identifier: BSD-3-Clause
"""Rows ready for the network: inputs, targets, weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_ROWS = 16_384  # whose sums enter the scores at once


@dataclass(frozen=True)
class Examples:
    """Rows ready for the network.

    Attributes
    ----------
    X : ndarray or CSR matrix, (n, n_inputs)
    y : ndarray, (n,) or (n, 1)
        Class numbers, or targets as the network learns them.
    truth : ndarray, (n,)
        Class numbers, or the target in its own unit.
    loss_weights, weights : ndarray, (n,), or None
        Weights of the rows in the loss (class weights and all), and in the metrics.
    more : bool
        Whether the rows that follow belong to the same batch of scores; see `in_batches`.
    """

    X: Any
    y: NDArray[Any]
    truth: NDArray[Any]
    loss_weights: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    more: bool = False

    @property
    def counted(self) -> bool:
        """Whether any of them counts in the loss."""
        return self.loss_weights is None or float(self.loss_weights.sum()) > 0

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: slice) -> Examples:
        """Return some of them, as views."""
        in_loss, own = (None if w is None else w[rows] for w in (self.loss_weights, self.weights))
        return Examples(self.X[rows], self.y[rows], self.truth[rows], in_loss, own)

    def batches(self) -> Iterator[Examples]:
        """Yield all of them, `BATCH_ROWS` at a time."""
        for first in range(0, len(self), BATCH_ROWS):
            yield self.take(slice(first, first + BATCH_ROWS))


def joined(several: Sequence[Examples]) -> Examples:
    """Return dense examples one after another as one."""
    if len(several) == 1:
        return several[0]

    def all_of(name: str) -> Any:
        arrays = [getattr(each, name) for each in several]
        return None if arrays[0] is None else np.concatenate(arrays)

    return Examples(*(all_of(name) for name in ("X", "y", "truth", "loss_weights", "weights")))


def in_batches(pieces: Iterable[Examples]) -> Iterator[Examples]:
    """Yield rows that come in pieces so that the scores have the bits of whole batches.

    All but the last piece of a batch say that there is more of it. Rows that do not count in the
    loss at all are joined with others of their batch: alone, they would be taken for rows of a part
    without weights.

    Parameters
    ----------
    pieces : iterable of Examples
        Dense; none goes past a multiple of `BATCH_ROWS`.
    """
    held: Examples | None = None
    n = 0
    for piece in pieces:
        if held is not None and n == BATCH_ROWS:
            yield held
            held, n = None, 0
        elif held is not None and held.counted and piece.counted:
            yield replace(held, more=True)
            held = None
        held = piece if held is None else joined([held, piece])
        n += len(piece)
    if held is not None:
        yield held

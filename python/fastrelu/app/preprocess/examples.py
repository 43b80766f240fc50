# SPDX-License-Identifier: BSD-3-Clause
"""Rows ready for the network: inputs, targets, weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_ROWS = 16_384  # that are evaluated at once


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
    """

    X: Any
    y: NDArray[Any]
    truth: NDArray[Any]
    loss_weights: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: slice) -> Examples:
        """Return some of them, as views."""
        weights = [None if w is None else w[rows] for w in (self.loss_weights, self.weights)]
        return Examples(self.X[rows], self.y[rows], self.truth[rows], *weights)

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

# SPDX-License-Identifier: BSD-3-Clause
"""A random sample of rows that come in chunks, the same however they were cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.preprocess.moments import Floats

MOST_VALUES = 1 << 22


def row_keys(first: int, n: int, seed: int) -> NDArray[np.uint64]:
    """Return a hash of each row number from `first` on (splitmix64's finalizer)."""
    start = (seed * 0x9E3779B97F4A7C15 + first) % 2**64
    z = (np.arange(n, dtype=np.uint64) + np.uint64(start)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class RowSample:
    """The rows of the least keys: all of them while they are few.

    Parameters
    ----------
    n_columns : int
        Width of a row; at most about `MOST_VALUES` numbers are kept, and 1000 rows at least.
    seed : int
        Of the keys.
    """

    def __init__(self, n_columns: int, seed: int) -> None:
        self.size = min(65536, max(1000, MOST_VALUES // max(1, n_columns)))
        self.seed = seed
        self.n_rows = 0
        self._keys = np.zeros(0, np.uint64)
        self._rows = np.zeros((n_columns, 0))

    def add(self, block: Floats) -> None:
        """Take a block, (columns, rows)."""
        keys = row_keys(self.n_rows, block.shape[1], self.seed)
        self.n_rows += block.shape[1]
        if len(self._keys) >= self.size:
            new = np.flatnonzero(keys < self._keys.max())
            keys, block = keys[new], block[:, new]
        self._keys = np.concatenate([self._keys, keys])
        self._rows = np.concatenate([self._rows, block], axis=1)
        if len(self._keys) > self.size:
            keep = np.sort(np.argpartition(self._keys, self.size)[: self.size])
            self._keys, self._rows = self._keys[keep], self._rows[:, keep]

    @property
    def columns(self) -> list[Floats]:
        """The sampled values of each column."""
        return list(self._rows)

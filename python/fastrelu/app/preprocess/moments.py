# SPDX-License-Identifier: BSD-3-Clause
"""Means and standard deviations of many columns, in two passes over rows that come in chunks.

Rows are gathered into blocks whose size depends on the number of columns alone, and each block is
summed by itself: the bits of the result do not depend on how the rows were cut into chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Write = Callable[[Floats, int, int], None]


class Blocks:
    """A buffer of (columns, rows) that is handed out each time it is full.

    Parameters
    ----------
    n_columns : int
        How many columns.
    by_row : bool
        Whether a row's numbers lie side by side in memory, as in a matrix, or a column's.
    """

    def __init__(self, n_columns: int, by_row: bool = False) -> None:
        self.size = max(256, min(8192, (1 << 18) // max(1, n_columns)))
        shape = (self.size, n_columns) if by_row else (n_columns, self.size)
        buffer = np.empty(shape)
        self.buffer: Floats = buffer.T if by_row else buffer
        self.used = 0

    def add(self, n: int, write: Write) -> Iterator[Floats]:
        """Take n rows; ``write(out, low, high)`` puts rows low to high into a part of the buffer.

        Yields each full block, (columns, rows); its memory is used again.
        """
        at = 0
        while at < n:
            count = min(n - at, self.size - self.used)
            write(self.buffer[:, self.used : self.used + count], at, at + count)
            at += count
            self.used += count
            if self.used == self.size:
                yield self.buffer
                self.used = 0

    def rest(self) -> Iterator[Floats]:
        """Yield what is left."""
        if self.used:
            yield self.buffer[:, : self.used]
        self.used = 0


def power_of_two(magnitudes: Floats) -> Floats:
    """Return a power of two near each magnitude, to divide by without rounding or overflow."""
    exponents = np.frexp(magnitudes)[1]
    return np.asarray(np.ldexp(1.0, np.clip(exponents, -1000, 1000)), np.float64)


class Moments:
    """The count, least, greatest, mean and standard deviation of each column.

    NaN is a missing value and counts for nothing but `n_rows`.
    """

    def __init__(self, n_columns: int) -> None:
        self.n_rows = 0
        self.count = np.zeros(n_columns, np.int64)
        self.low = np.full(n_columns, np.inf)
        self.high = np.full(n_columns, -np.inf)
        self.mean = np.zeros(n_columns)
        self.squares = np.zeros(n_columns)
        self.unit = np.ones(n_columns)

    def first(self, block: Floats) -> None:
        """Take a block, (columns, rows), in the first pass."""
        present = ~np.isnan(block)
        self.n_rows += block.shape[1]
        count = present.sum(axis=1)
        some = np.maximum(count, 1)
        low = np.where(present, block, np.inf).min(axis=1)
        high = np.where(present, block, -np.inf).max(axis=1)
        filled = np.where(present, block, 0.0)
        unit = power_of_two(np.abs(filled).max(axis=1))
        mean = (filled / unit[:, None]).sum(axis=1) / some * unit
        total = np.maximum(self.count + count, 1)
        self.mean = self.mean * (self.count / total) + mean * (count / total)
        self.count += count
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    def finish_first(self) -> None:
        """Fix the means."""
        seen = self.count > 0
        self.low[~seen] = self.high[~seen] = 0.0
        self.mean = np.clip(self.mean, self.low, self.high)
        with np.errstate(over="ignore"):
            reach = np.maximum(self.high - self.mean, self.mean - self.low)
        self.unit = power_of_two(np.minimum(reach, np.finfo(np.float64).max))

    def second(self, block: Floats) -> None:
        """Take a block in the second pass."""
        unit = self.unit[:, None]
        with np.errstate(invalid="ignore"):  # files may hold signalling NaN
            away = block / unit - self.mean[:, None] / unit
        away[np.isnan(away)] = 0.0
        self.squares += (away * away).sum(axis=1)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which columns have one value only, but for rounding."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        return np.asarray(self.high / 2 - self.low / 2 <= 1e-15 * largest, bool)

    @property
    def std(self) -> Floats:
        """The standard deviation of each column; 0 for a constant."""
        variance = self.squares / np.maximum(self.count, 1)
        return np.asarray(np.where(self.constant, 0.0, np.sqrt(variance) * self.unit), np.float64)

    @property
    def gaps(self) -> NDArray[np.int64]:
        """How many values each column lacks."""
        return np.asarray(self.n_rows - self.count, np.int64)

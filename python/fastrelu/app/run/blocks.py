# SPDX-License-Identifier: BSD-3-Clause
"""The block of rows that is in memory, and how it is filled from an epoch's chunks.

Filling and training take turns, each with all threads: side by side they would wait for each
other's cores at every step's barriers, and two blocks would be needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import set_thread_limit
from fastrelu.app.data.split import NUMBER, Rows
from fastrelu.app.data.stream.ready import ReadyRows
from fastrelu.app.data.table import Table
from fastrelu.app.run.rows import SplitRows
from fastrelu.random import Purpose, permutation
from fastrelu.threads import Threads


@dataclass
class Block:
    """Rows ready for training, and in which order they are taken.

    Attributes
    ----------
    X : ndarray, (capacity, n_inputs)
    y : ndarray, (capacity,)
        What the network learns.
    weights : ndarray of float64, (capacity,), or None
        In the loss.
    order : ndarray of int64, (n_rows,)
        The rows in it, shuffled.
    n_rows : int
        How many they are.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    order: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    n_rows: int = 0

    def arrays(self) -> list[NDArray[Any]]:
        """Return what a row of it consists of: inputs, target, perhaps weight."""
        return [self.X, self.y, *([] if self.weights is None else [self.weights])]


def reading_threads(n: int) -> Threads:
    """Return threads that fill blocks; the jobs of each run on itself alone, if there are more."""

    def begin() -> None:
        if n > 1:
            set_thread_limit(1)

    return Threads(n, begin)


class EpochBlocks:
    """Fills a block with one epoch's rows, again and again.

    Parameters
    ----------
    rows : SplitRows
        What is read.
    block : Block
        What is filled.
    pool : Threads
        Threads that fill it, each from a chunk of its own.
    seed, epoch : int
        Of the order of the rows.
    number : int
        The first block wanted.
    kept : ReadyRows, optional
        Rows of earlier epochs; gets those of this one.
    """

    def __init__(
        self,
        rows: SplitRows,
        block: Block,
        pool: Threads,
        seed: int,
        epoch: int,
        number: int,
        kept: ReadyRows | None = None,
    ) -> None:
        self._rows, self._block, self._pool = rows, block, pool
        self._kept = kept
        self._seed, self.epoch, self.number = seed, epoch, number - 1
        chunks = len(rows.source.chunks)
        self._visits = permutation(seed, Purpose.CHUNK_ORDER, 0, epoch, chunks)
        counts = rows.counts[self._visits, NUMBER["train"]]
        self._ends = counts.cumsum()  # of each chunk's rows among the epoch's
        self._begins = self._ends - counts
        self._open: dict[int, _ChunkReader] = {}  # chunks whose rest belongs to the next block

    def next(self) -> Block:
        """Fill the block with the rows that follow, as many as there are, and return it."""
        self.number += 1
        capacity = len(self._block.X)
        low = self.number * capacity
        high = min(low + capacity, int(self._ends[-1]))
        first = int(np.searchsorted(self._ends, low, side="right"))
        last = int(np.searchsorted(self._begins, high, side="left"))
        visits = [i for i in range(first, last) if self._begins[i] < self._ends[i]]
        for _ in self._pool.map(lambda i: self._read(i, low, high), visits):
            pass  # raises what went wrong in a thread
        self._block.n_rows = high - low
        self._block.order = permutation(
            self._seed, Purpose.BLOCK_ORDER, self.number, self.epoch, high - low
        )
        return self._block

    def _read(self, i: int, low: int, high: int) -> None:
        """Put the rows of the i-th chunk that are the epoch's rows low to high into the block."""
        chunk, begin = int(self._visits[i]), int(self._begins[i])
        end = min(int(self._ends[i]), high)
        at = max(begin, low)
        reader = self._open.pop(i, None)
        if reader is None and self._kept is not None and self._kept.holds(chunk):
            self._kept.read(chunk, at - begin, self._arrays(slice(at - low, end - low)))
            return
        if reader is None:
            reader = _ChunkReader(self._rows, chunk, max(0, low - begin))
        while at < end:
            table, some = reader.next(end - at)
            to = slice(at - low, at - low + len(some))
            self._put(to, table, some)
            if self._kept is not None:
                self._kept.put(chunk, at - begin, self._arrays(to))
            at += len(some)
        if end < self._ends[i]:
            self._open[i] = reader
        else:
            reader.close()

    def _put(self, to: slice, table: Table, rows: Rows) -> None:
        part = self._rows.ready(table, rows, None, self._block.X[to])
        self._block.y[to] = part.y
        if self._block.weights is not None:
            self._block.weights[to] = part.loss_weights

    def _arrays(self, rows: slice) -> list[NDArray[Any]]:
        """Return some rows of the block, as `ReadyRows` keeps them."""
        return [values[rows] for values in self._block.arrays()]

    def close(self) -> None:
        """Close what is open."""
        for reader in self._open.values():
            reader.close()
        self._open = {}


class _ChunkReader:
    """The training rows of one chunk, some at a time, without the first `skip`."""

    def __init__(self, rows: SplitRows, chunk: int, skip: int) -> None:
        self._parts = rows.of_chunks([chunk], "train")
        self._skip = skip
        self._table: Table | None = None
        self._left: Rows = np.zeros(0, np.intp)

    def next(self, most: int) -> tuple[Table, Rows]:
        """Return a table and some of its rows, one or more."""
        while not len(self._left):
            self._table, rows = next(self._parts)
            self._left = rows[self._skip :]
            self._skip -= len(rows) - len(self._left)
        assert self._table is not None
        some, self._left = self._left[:most], self._left[most:]
        return self._table, some

    def close(self) -> None:
        """Close the file."""
        self._parts.close()

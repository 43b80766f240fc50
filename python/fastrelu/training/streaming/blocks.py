# SPDX-License-Identifier: BSD-3-Clause
"""Blocks of an epoch, filled by a thread of their own while the one before is trained on."""

from __future__ import annotations

import atexit
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core

CHUNK_ORDER, BLOCK_ORDER = 6, 7  # purposes of random numbers: docs/arithmetic.md
WAIT = 0.05  # seconds between two looks at whether to stop


@dataclass
class Block:
    """Memory for the rows of a block, and which rows it holds.

    Attributes
    ----------
    X : ndarray, (capacity, n_inputs)
    y : ndarray, (capacity,) or (capacity, 1)
        What the network learns.
    weights : ndarray of float64, (capacity,), or None
        In the loss.
    order : ndarray of int64, (n_rows,)
        In which the rows are taken.
    number : int
        Which block of its epoch, from 0.
    n_rows : int
        Rows in it.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    order: NDArray[np.int64]
    number: int = -1
    n_rows: int = 0


# Puts some more rows into a block from a row of it on, and says how many; 0: there are none left.
Fill = Callable[[Block, int], int]


class BlockReader:
    """Fills one epoch's blocks in a thread, never more than there is memory for.

    Parameters
    ----------
    memory : list of Block
        Used in turn. Nobody else may use them before `close` has returned, except for blocks
        that `next` has given and `release` has not got back.
    fill : callable
        See `Fill`; called by the thread alone.
    seed, epoch : int
        Of the order of the rows.
    first : int
        The number of the block that `fill` begins with.
    """

    def __init__(self, memory: list[Block], fill: Fill, seed: int, epoch: int, first: int) -> None:
        self.epoch, self.place = epoch, first
        self._free: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Block | BaseException] = queue.SimpleQueue()
        self._stopped = threading.Event()
        for block in memory:
            self._free.put(block)
        blocks = _blocks(self._free, self._stopped, fill, seed, epoch, first)
        self._thread = threading.Thread(
            target=_run, args=(blocks, self._ready), name="fastrelu-blocks", daemon=True
        )
        # Left running, it would be cut off in the middle of a library when the interpreter ends.
        self._at_exit = _closing(weakref.ref(self))
        atexit.register(self._at_exit)
        self._thread.start()

    def next(self, stop: Callable[[], bool]) -> Block | None:
        """Return the next block, or None if `stop` said True before it was ready.

        Raises
        ------
        Exception
            What went wrong in the thread.
        """
        while True:
            try:
                block = self._ready.get(timeout=WAIT)
                break
            except queue.Empty:
                if stop():
                    return None
        if isinstance(block, BaseException):
            raise block
        self.place = block.number
        return block

    def release(self, block: Block) -> None:
        """Give a block's memory back."""
        self.place = block.number + 1
        self._free.put(block)

    def close(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        self._free.put(None)
        self._thread.join()
        atexit.unregister(self._at_exit)


def _closing(reader: weakref.ref[BlockReader]) -> Callable[[], None]:
    def close() -> None:
        found = reader()
        if found is not None:
            found.close()

    return close


def _run(blocks: Iterator[Block], ready: queue.SimpleQueue[Block | BaseException]) -> None:
    try:
        for block in blocks:
            ready.put(block)
    except BaseException as error:  # handed to whoever waits
        ready.put(error)


def _blocks(
    free: queue.SimpleQueue[Block | None],
    stopped: threading.Event,
    fill: Fill,
    seed: int,
    epoch: int,
    number: int,
) -> Iterator[Block]:
    """Yield full blocks and the last one, as long as there is memory for them."""
    while True:
        block = free.get()
        if block is None:
            return
        block.n_rows = 0
        while block.n_rows < len(block.X):
            added = fill(block, block.n_rows)
            if stopped.is_set():
                return
            if not added:
                break
            block.n_rows += added
        if not block.n_rows:
            return
        block.number = number
        block.order = _core.permutation(seed, BLOCK_ORDER, number, epoch, block.n_rows)
        number += 1
        yield block

# SPDX-License-Identifier: BSD-3-Clause
"""Sums of segments of a gradient behind the computation of the rest, in a thread of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.distributed.communicator import RankError

__all__ = ["SEGMENT_BYTES", "Behind", "SumsBehind"]

#: Of a segment at least: some milliseconds of a slow network, and many latencies of a fast one.
SEGMENT_BYTES = 1 << 20

Sum = Callable[[NDArray[Any], Sequence[int], NDArray[Any], NDArray[Any]], None]
Segment = tuple[NDArray[Any], Sequence[int], NDArray[Any]]


class Behind:
    """Sums one segment after another in a thread, in the order in which they are given.

    All ranks give the same segments in the same order, and the thread of each sums one before it
    looks at the next: the collective calls of the ranks meet as they do without it. The thread
    lives from the first segment of a step to its end, and is the only one that exchanges
    meanwhile.

    Parameters
    ----------
    sum_in_order : callable
        As `Communicator.sum_in_order`.
    rank, size : int
        The rank of this process, and how many there are.
    """

    def __init__(self, sum_in_order: Sum, rank: int, size: int) -> None:
        self._sum, self._rank, self._size = sum_in_order, rank, size
        self._given: queue.SimpleQueue[Segment | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._abandoned = False

    def begin(self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any]) -> None:
        """Begin the sum of a segment, and return at once; `finish` says when it is done.

        Parameters
        ----------
        parts, counts, total
            As for `Communicator.sum_in_order`. Both arrays are in use until `finish` returns.
        """
        self._given.put((parts, counts, total))
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="fastrelu-exchange", daemon=True)
            thread.start()
            self._thread = thread

    def finish(self) -> None:
        """Wait until all segments that have begun are summed; raise what a sum has raised."""
        if self._thread is None:
            return
        self._given.put(None)
        self._thread.join()
        error = self._error
        self._reset()
        if error is not None:
            raise error

    def abandon(self) -> None:
        """Give up what has begun, and wait until no array is in use."""
        self._abandoned = True
        self._given.put(None)
        while self._thread is not None and self._thread.is_alive():
            try:
                self._thread.join()
            except KeyboardInterrupt:
                continue  # the caller has an error to raise already
        self._reset()

    def look(self) -> None:
        """Raise RankError if this rank has given up: for the sum, while it waits for others."""
        if self._abandoned:
            raise RankError(f"rank {self._rank}: the step was given up", self._rank)

    def _reset(self) -> None:
        self._thread, self._error, self._abandoned = None, None, False
        self._given = queue.SimpleQueue()

    def _run(self) -> None:
        given, notes = self._given, np.empty((self._size, 0))
        while (segment := given.get()) is not None:
            if self._error is not None or self._abandoned:
                continue
            try:
                self._sum(*segment, notes)
            except BaseException as error:
                self._error = error


class SumsBehind:
    """What communicators have in common whose sums may run behind the computation.

    They have a `Behind`, `_behind`, and sum by `_sum_now` what is not, or no longer, behind.
    """

    _behind: Behind
    _sum_now: Sum

    def sum_in_order(
        self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any], notes: NDArray[Any]
    ) -> None:
        """Sum the parts of all ranks, after those that have begun."""
        self._behind.finish()
        self._sum_now(parts, counts, total, notes)

    def begin_sum(self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any]) -> None:
        """Begin to sum a segment, and return at once."""
        self._behind.begin(parts, counts, total)

    def abandon(self) -> None:
        """Give up the sums that have begun."""
        self._behind.abandon()

# SPDX-License-Identifier: BSD-3-Clause
"""Ranks that are threads of one process: to try out, and test, what several processes do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastrelu._arguments import whole_number
from fastrelu.distributed.behind import Behind, SumsBehind
from fastrelu.distributed.communicator import Communicator, RankError

__all__ = ["run_threads"]

T = TypeVar("T")


class ThreadCommunicator(SumsBehind):
    """One of the ranks of `run_threads`."""

    def __init__(
        self, rank: int, barrier: threading.Barrier, places: list[Any], segment_bytes: int
    ) -> None:
        self._rank, self._barrier, self._places = rank, barrier, places
        self.segment_bytes = segment_bytes
        self._behind = Behind(self._sum_now, rank, len(places))

    def __deepcopy__(self, memo: dict[int, Any]) -> ThreadCommunicator:
        """Return itself, also to scikit-learn's `clone` of an estimator that has it."""
        return self

    @property
    def rank(self) -> int:
        """The number of this rank."""
        return self._rank

    @property
    def size(self) -> int:
        """The number of ranks."""
        return len(self._places)

    def broadcast(self, value: T) -> T:
        """Return rank 0's value."""
        return self.gather(value)[0]

    def gather(self, value: T) -> list[T]:
        """Return the value of every rank."""
        return self._exchanged(value, list)

    def trade(self, values: Sequence[T]) -> list[T]:
        """Give each rank a value, and return what each has given this one."""
        return [each[self.rank] for each in self.gather(list(values))]

    def gather_numbers(self, values: NDArray[Any], counts: Sequence[int]) -> None:
        """Complete the numbers of all ranks."""
        bounds = np.cumsum([0, *counts])
        own = values[bounds[self.rank] : bounds[self.rank + 1]].copy()
        np.concatenate(self.gather(own), out=values)

    def abandon(self) -> None:
        """Give up the sums that have begun, and with them those of the other ranks."""
        self._barrier.abort()
        super().abandon()

    def _sum_now(
        self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any], notes: NDArray[Any]
    ) -> None:
        """Sum the parts of all ranks."""

        def add(places: list[Any]) -> None:
            first, *others = [part for each, _ in places for part in each]
            np.copyto(total, first)
            for part in others:
                np.add(total, part, out=total)
            for rank, (_, note) in enumerate(places):
                notes[rank] = note

        self._exchanged((parts, notes[self.rank].copy()), add)

    def _exchanged(self, value: Any, read: Callable[[list[Any]], T]) -> T:
        """Put a value where the others see it, and return what is read of all of them."""
        self._places[self.rank] = value
        try:
            self._barrier.wait()
            found = read(self._places)
            self._barrier.wait()  # nobody puts a next value before all have read
        except threading.BrokenBarrierError:
            raise RankError("another rank has ended", -1) from None
        return found


def run_threads(
    size: int, work: Callable[[Communicator], T], segment_bytes: int | None = None
) -> list[T]:
    """Run a function once for each of `size` ranks, at once, in threads of this process.

    Parameters
    ----------
    size : int
        The number of ranks.
    work : callable
        Called with the communicator of its rank.
    segment_bytes : int, optional
        Exchange a gradient in segments of so many bytes or more behind its computation, as
        ``MpiCommunicator(comm, overlap=True)`` does. It changes no bit.

    Returns
    -------
    list
        What each call has returned, in the order of ranks.

    Raises
    ------
    Exception
        What a call has raised; the others' next exchanges then raise `RankError`.

    Examples
    --------
    >>> from fastrelu.distributed import run_threads
    >>> run_threads(3, lambda comm: sum(comm.gather(comm.rank)))
    [3, 3, 3]
    """
    least = 0 if segment_bytes is None else whole_number("segment_bytes", segment_bytes, 1)
    barrier = threading.Barrier(size)
    places: list[Any] = [None] * size
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadCommunicator(rank, barrier, places, least))
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in sorted(errors, key=lambda each: isinstance(each, RankError)):
        raise error
    return results

# SPDX-License-Identifier: BSD-3-Clause
"""Sums of ranks that are all on one machine, in memory that they share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.distributed.shares import run_of

if TYPE_CHECKING:
    from fastrelu.distributed.mpi import MpiCommunicator

__all__ = ["SharedSums"]

SHARED = "/dev/shm"  # where such memory is, on Linux
BLOCK = 1 << 15  # numbers whose sum stays in a cache while part after part is added
ALIGNED = 64  # bytes


class SharedSums:
    """Adds parts that each rank puts where all see them, a slice on each rank.

    The memory is taken at the first sum, again when a sum needs more, and kept.

    Parameters
    ----------
    owner : MpiCommunicator
        Whose ranks they are.
    comm : mpi4py.MPI.Intracomm
        The ranks, all on one machine.
    """

    def __init__(self, owner: MpiCommunicator, comm: Any) -> None:
        from mpi4py import MPI

        self._mpi: Any = MPI
        self._owner, self._comm = owner, comm
        self._window: Any = None
        self._memory: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._refused = 0  # bytes that were too many
        self._widest = 0, 0  # bytes of notes and of a sum

    def sum_in_order(
        self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any], notes: NDArray[Any]
    ) -> bool:
        """Sum the parts of all ranks, as `Communicator.sum_in_order`; False: too little memory."""
        length, count, rank = len(total), sum(counts), self._owner.rank
        self._widen(notes.nbytes, total.nbytes)
        begins = np.cumsum([0, *self._widest, count * total.nbytes])
        begins = -(-begins // ALIGNED) * ALIGNED + ALIGNED * np.arange(4)
        if not self._reserved(int(begins[3])):
            return False

        def region(k: int, like: NDArray[Any], size: int) -> NDArray[Any]:
            first = int(begins[k])
            return self._memory[first : first + size * like.itemsize].view(like.dtype)

        noted = region(0, notes, notes.size).reshape(notes.shape)
        summed = region(1, total, length)
        every = region(2, total, count * length).reshape(count, length)
        first = sum(counts[:rank])
        begin, end = run_of(length, self._owner.size, rank)
        others = slice(0, begin), slice(end, length)  # what other ranks add
        noted[rank] = notes[rank]
        for some in others:
            every[first : first + len(parts), some] = parts[:, some]
        self._meet()
        # Before the next meeting: a rank that is ahead writes its next notes after it.
        notes[...] = noted
        ordered = [*every[:first], *parts, *every[first + len(parts) :]]
        for low in range(begin, end, BLOCK):
            some = slice(low, min(low + BLOCK, end))
            mine = total[some]
            np.copyto(mine, ordered[0][some])
            for part in ordered[1:]:
                np.add(mine, part[some], out=mine)
            summed[some] = mine
        self._meet()
        for some in others:
            total[some] = summed[some]
        return True

    def _widen(self, notes: int, total: int) -> None:
        """Make room for larger notes and sums, which moves what follows them.

        A rank that is ahead writes its next parts while others still read the sum before: they
        must not lie in one place, whatever the lengths of the two.
        """
        if self._widest[0] >= notes and self._widest[1] >= total:
            return
        self._widest = max(self._widest[0], notes), max(self._widest[1], total)
        if self._window is not None:
            self._meet()

    def _meet(self) -> None:
        """Wait until all ranks are here, and see what they have written."""
        self._window.Sync()
        self._owner._wait(self._comm.Ibarrier())
        self._window.Sync()

    def _reserved(self, size: int) -> bool:
        """Take so much memory, unless it is there; False on all ranks, where one has too little."""
        if size <= len(self._memory):
            return True
        if self._refused and size >= self._refused:
            return False
        free = 0
        if os.path.isdir(SHARED):
            state = os.statvfs(SHARED)
            free = state.f_bavail * state.f_frsize
        if min(self._owner.gather(free)) < 4 * size:  # others take from it, too
            self._refused = size
            return False
        if self._window is not None:
            self._memory = np.empty(0, np.uint8)
            self._window.Unlock_all()
            self._window.Free()
        own = size if self._owner.rank == 0 else 0
        self._window = self._mpi.Win.Allocate_shared(own, 1, comm=self._comm)
        self._window.Lock_all(self._mpi.MODE_NOCHECK)
        buffer, _ = self._window.Shared_query(0)
        self._memory = np.frombuffer(buffer, np.uint8)
        return True

# SPDX-License-Identifier: BSD-3-Clause
"""Ranks that are processes of MPI, by mpi4py: the extra `mpi`."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu.distributed.behind import SEGMENT_BYTES, Behind, SumsBehind
from fastrelu.distributed.communicator import RankError
from fastrelu.distributed.one_machine import SharedSums
from fastrelu.distributed.shares import run_of

__all__ = ["MpiCommunicator"]

T = TypeVar("T")

NOTICE, ANSWER = 1, 2  # tags of messages beside the collective calls
SPINS = 200  # tests of a request before the processor is given to others
PATIENT = 0.002  # seconds of waiting after which it sleeps between two tests
# Large messages move in pieces, one at each test: it sleeps only if they are slower than this.
SLOWEST = 5e7  # bytes a second


class MpiCommunicator(SumsBehind):
    """A communicator of mpi4py as a training uses it.

    While a rank waits for the others it asks whether one of them has failed (`fail`), and raises
    `RankError` if so, so that nobody waits for ever.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        The ranks. Making this is collective: it is duplicated, so that no message meets others'.
    reduction : {"in_order", "mpi_sum"}
        How gradients are summed. "mpi_sum" leaves it to MPI's own allreduce, which may be faster on
        its network, and gives up the contract: the bits then depend on the number of ranks, on the
        MPI and perhaps on the run.
    overlap : bool
        Whether the ranks exchange a layer's gradient while those of the layers before it are
        computed, in a thread of their own, which needs some of a core's time. It changes no bit;
        docs/distributed.md says when it pays.

    Raises
    ------
    TypeError, ValueError
        If `reduction` or `overlap` is another, or the MPI was begun for one thread and is to
        overlap.
    """

    #: How gradients are summed.
    reduction: str
    #: The least size of a segment of a gradient that is exchanged ahead of others; 0: none is.
    segment_bytes: int

    _known: dict[int, MpiCommunicator] = {}  # noqa: RUF012 (one for the process)

    def __init__(self, comm: Any, reduction: str = "in_order", overlap: bool = False) -> None:
        from mpi4py import MPI

        if reduction not in ("in_order", "mpi_sum"):
            raise ValueError(f"reduction: expected 'in_order' or 'mpi_sum', got {reduction!r}")
        if not isinstance(overlap, bool):
            raise TypeError(f"overlap: expected True or False, got {overlap!r}")
        if overlap and MPI.Query_thread() < MPI.THREAD_SERIALIZED:
            raise ValueError(
                "overlap: expected an MPI that other threads than the first may call "
                "(THREAD_SERIALIZED or more, mpi4py's default), got one begun for less"
            )
        self.reduction = reduction
        self.segment_bytes = SEGMENT_BYTES if overlap else 0

        self._mpi: Any = MPI
        self._comm: Any = comm.Dup()
        self._notices: Any = comm.Dup()
        self._rank, self._size = int(comm.Get_rank()), int(comm.Get_size())
        self._buffers: dict[str, NDArray[Any]] = {}
        self._told: RankError | None = None
        self._behind = Behind(self._sum_now, self._rank, self._size)
        local = self.local_size()
        # The ranks of a machine share its cores, unless somebody has said a number of threads.
        _core.set_usual_threads(max(1, _core.num_threads() // local))
        alone = min(self.gather(local)) == self._size
        self._sums = SharedSums(self, self._comm) if alone and self._size > 1 else None

    @classmethod
    def of(cls, comm: Any) -> MpiCommunicator:
        """Return the one for a communicator of mpi4py, made when it is first asked for."""
        from mpi4py import MPI

        key = int(MPI._handleof(comm))
        if key not in cls._known:
            cls._known[key] = cls(comm)
        return cls._known[key]

    def __deepcopy__(self, memo: dict[int, Any]) -> MpiCommunicator:
        """Return itself, also to scikit-learn's `clone` of an estimator that has it."""
        return self

    @property
    def rank(self) -> int:
        """The number of this rank."""
        return self._rank

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self._size

    def local_size(self) -> int:
        """Return the number of ranks on this machine. Collective."""
        node = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        size = int(node.Get_size())
        node.Free()
        return size

    def broadcast(self, value: T) -> T:
        """Return rank 0's value."""
        length = np.zeros(1, np.int64)
        data = np.frombuffer(pickle.dumps(value) if self.rank == 0 else b"", np.uint8)
        length[0] = len(data)
        self._wait(self._comm.Ibcast(length, 0))
        content = data.copy() if self.rank == 0 else np.empty(int(length[0]), np.uint8)
        self._wait(self._comm.Ibcast(content, 0), n_bytes=len(content))
        found: T = value if self.rank == 0 else pickle.loads(content.data)
        return found

    def gather(self, value: T) -> list[T]:
        """Return the value of every rank."""
        own = np.frombuffer(pickle.dumps(value), np.uint8)
        lengths = np.empty(self.size, np.int64)
        self._wait(self._comm.Iallgather(np.array([len(own)], np.int64), lengths))
        every = np.empty(int(lengths.sum()), np.uint8)
        self._wait(self._comm.Iallgatherv(own, [every, lengths.tolist()]), n_bytes=len(every))
        ends = np.cumsum(lengths)
        return [
            pickle.loads(every[end - n : end].data) for end, n in zip(ends, lengths, strict=True)
        ]

    def trade(self, values: Sequence[T]) -> list[T]:
        """Give each rank a value, and return what each has given this one."""
        given = [np.frombuffer(pickle.dumps(value), np.uint8) for value in values]
        lengths, got = np.array([len(each) for each in given], np.int64), np.empty(self.size, "i8")
        self._wait(self._comm.Ialltoall(lengths, got))
        every = np.empty(int(got.sum()), np.uint8)
        sent = [np.concatenate(given), lengths.tolist()]
        self._wait(
            self._comm.Ialltoallv(sent, [every, got.tolist()]),
            n_bytes=max(map(len, (sent[0], every))),
        )
        ends = np.cumsum(got)
        runs = zip(ends - got, ends, strict=True)
        return [pickle.loads(every[begin:end].data) for begin, end in runs]

    def gather_numbers(self, values: NDArray[Any], counts: Sequence[int]) -> None:
        """Complete the numbers of all ranks."""
        self._wait(self._comm.Iallgatherv(self._mpi.IN_PLACE, [values, list(counts)]))

    def _sum_now(
        self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any], notes: NDArray[Any]
    ) -> None:
        """Sum the parts of all ranks.

        Each rank gets its slice of all parts (all-to-all), adds them in their order, and gives the
        sum to all (all-gather); on one machine, where there is memory that all see, through that.
        """
        if self.reduction == "mpi_sum":
            self._sum_in_any_order(parts, total, notes)
            return
        if self._sums is not None and self._sums.sum_in_order(parts, counts, total, notes):
            return
        length, own = len(total), len(parts)
        slices = [run_of(length, self.size, rank) for rank in range(self.size)]
        widths = [end - begin for begin, end in slices]
        begin, end = slices[self.rank]
        noted = self._comm.Iallgather(self._mpi.IN_PLACE, notes)
        received = self._buffer("received", sum(counts) * (end - begin), total.dtype)
        self._wait(
            self._comm.Ialltoallv(
                [self._packed(parts, slices), [own * width for width in widths]],
                [received, [count * (end - begin) for count in counts]],
            ),
            n_bytes=sum(counts) * total.nbytes,
        )
        rows = received.reshape(sum(counts), end - begin)
        mine = total[begin:end]
        np.copyto(mine, rows[0])
        for row in rows[1:]:
            np.add(mine, row, out=mine)
        summed = self._comm.Iallgatherv(self._mpi.IN_PLACE, [total, widths])
        self._wait(summed, noted, n_bytes=total.nbytes)

    def _sum_in_any_order(
        self, parts: NDArray[Any], total: NDArray[Any], notes: NDArray[Any]
    ) -> None:
        noted = self._comm.Iallgather(self._mpi.IN_PLACE, notes)
        np.copyto(total, parts[0] if len(parts) else 0)
        for part in parts[1:]:
            np.add(total, part, out=total)
        summed = self._comm.Iallreduce(self._mpi.IN_PLACE, total, self._mpi.SUM)
        self._wait(summed, noted, n_bytes=2 * total.nbytes)

    def fail(self, text: str, exit_code: int, seconds: float = 10.0) -> bool:
        """Tell the other ranks that this one ends, and wait until they have said so to the user.

        Parameters
        ----------
        text : str
            What has happened.
        exit_code : int
            The exit status of this process.
        seconds : float
            How long to wait for those that do not answer.

        Returns
        -------
        bool
            Whether rank 0 has answered, or is this rank.
        """
        message = (text, self.rank, exit_code)
        others = [rank for rank in range(self.size) if rank != self.rank]
        sent = [self._notices.isend(message, rank, NOTICE) for rank in others]
        waiting, end = set(others), time.monotonic() + seconds
        while waiting and time.monotonic() < end:
            status = self._mpi.Status()
            if self._notices.Iprobe(self._mpi.ANY_SOURCE, self._mpi.ANY_TAG, status):
                # An answer, or the notice of one that has failed itself and needs none.
                self._notices.recv(source=status.Get_source(), tag=status.Get_tag())
                waiting.discard(status.Get_source())
            else:
                time.sleep(0.001)
        del sent
        return 0 not in waiting

    def answer(self, error: RankError) -> None:
        """Tell a rank that has failed that this one knows, and has told its user."""
        self._notices.isend(None, error.rank, ANSWER).wait()

    def _packed(self, parts: NDArray[Any], slices: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """Return slice after slice of all parts, as they are sent."""
        if len(parts) == 1:
            flat: NDArray[Any] = parts[0]
            return flat
        packed = self._buffer("packed", parts.size, parts.dtype)
        at = 0
        for begin, end in slices:
            size = len(parts) * (end - begin)
            np.copyto(packed[at : at + size].reshape(len(parts), end - begin), parts[:, begin:end])
            at += size
        return packed

    def _buffer(self, name: str, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        found = self._buffers.get(name)
        if found is None or found.dtype != dtype or len(found) < size:
            found = self._buffers[name] = np.empty(size, dtype)
        return found[:size]

    def _wait(self, *requests: Any, n_bytes: int = 0) -> None:
        """Wait until the requests, of about so many bytes, are done.

        Raises
        ------
        RankError
            If a rank has failed meanwhile.
        """
        pending, spins, began = list(requests), 0, 0.0
        patient = PATIENT + n_bytes / SLOWEST
        while not self._mpi.Request.Testall(pending):
            spins += 1
            if spins < SPINS:
                continue
            if spins == SPINS:
                began = time.monotonic()
            waited = time.monotonic() - began
            self._look_for_notice()
            if waited < patient:
                os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
            else:
                time.sleep(min(0.001, waited / 50))

    def _look_for_notice(self) -> None:
        self._behind.look()
        if self._told is not None:
            raise self._told
        if self._notices.Iprobe(self._mpi.ANY_SOURCE, NOTICE):
            text, rank, code = self._notices.recv(source=self._mpi.ANY_SOURCE, tag=NOTICE)
            self._told = RankError(f"rank {rank}: {text}", rank, code)
            raise self._told

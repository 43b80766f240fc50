# SPDX-License-Identifier: BSD-3-Clause
"""Rows of files that processes share: each has read a run of them, none has all."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from fastrelu.app.data.readers.several import concatenate
from fastrelu.app.data.stream.source import Chunk, Stream, numbered
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError, TrainingError
from fastrelu.distributed import Communicator
from fastrelu.distributed.communicator import together
from fastrelu.distributed.shares import run_of

__all__ = ["SharedRuns", "passed_along"]

T = TypeVar("T")
PIECE_ROWS = 65_536  # that rank 0 has of another process at once


class SharedRuns:
    """A source of which each process has a run in memory, and all have the targets.

    Every process may pass over the targets, and over its own chunks. Rank 0 may pass over all
    chunks, while each other process is in `serve_one`: it then has a piece of another's at a time.

    Parameters
    ----------
    comm : Communicator
        The processes.
    stream : Stream
        The files, the same on all of them; each reads its own row range.

    Raises
    ------
    DataError
        If there are fewer rows than processes.
    """

    def __init__(self, comm: Communicator, stream: Stream) -> None:
        self.comm, self.n_rows = comm, stream.n_rows
        if stream.n_rows < comm.size:
            raise DataError(f"{stream.source}: {stream.n_rows} rows are too few for {comm.size}")
        bounds = [run_of(stream.n_rows, comm.size, rank) for rank in range(comm.size)]
        self.first_row = bounds[comm.rank][0]
        with together(comm, (TrainingError,)):
            self.table = rows_between(stream, *bounds[comm.rank])
        self.source, self.target_name = stream.source, stream.target_name
        self.names, self.reading = stream.names, stream.reading
        self.raw_row_bytes = stream.raw_row_bytes
        self.notes = list(dict.fromkeys(n for notes in comm.gather(stream.notes) for n in notes))
        without = replace(self.table, columns={}, matrix=None, matrix_names=None)
        self._targets = comm.gather(without)
        self.chunks = [
            Chunk(stream.source, rank, at, at, min(PIECE_ROWS, end - at))
            for rank, (begin, end) in enumerate(bounds)
            for at in range(begin, end, PIECE_ROWS)
        ]
        self._first_rows = [begin for begin, _ in bounds]
        self._answers: dict[str, Callable[..., Any]] = {"rows": self._rows}

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield a chunk's rows: see `Source.parts`."""
        begin = chunk.first_row - self._first_rows[chunk.place]
        wanted = chunk.place, begin, begin + chunk.n_rows
        if chunk.place == self.comm.rank:
            yield self.table.take(slice(*wanted[1:]))
        else:
            found: Table = self.ask("rows", *wanted)[chunk.place]
            yield found

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield a chunk's targets, weights and extra columns: see `Source.targets`."""
        begin = chunk.first_row - self._first_rows[chunk.place]
        yield self._targets[chunk.place].take(slice(begin, begin + chunk.n_rows))

    def every_target(self) -> Iterator[tuple[int, Table]]:
        """Yield the targets of all runs, each with the number of its first row."""
        yield from zip(self._first_rows, self._targets, strict=True)

    def fingerprint(self) -> dict[str, Any]:
        """Return {}: the files are compared by `files_fingerprint`."""
        return {}

    # What rank 0 asks the others for

    def answer(self, name: str, function: Callable[..., Any]) -> None:
        """Say what a question is answered with, on every process."""
        self._answers[name] = function

    def ask(self, name: str, *arguments: Any) -> list[Any]:
        """Return what each process answers; of rank 0, while the others are in `serve_one`."""
        self.comm.broadcast((name, arguments))
        return self.comm.gather(self._answers[name](*arguments))

    def serve_one(self) -> bool:
        """Answer the next question of rank 0; False: it has no more."""
        request = self.comm.broadcast(None)
        if request is None:
            return False
        name, arguments = request
        self.comm.gather(self._answers[name](*arguments))
        return True

    def end(self) -> None:
        """Tell the others, of rank 0, that there are no more questions."""
        self.comm.broadcast(None)

    def _rows(self, rank: int, begin: int, end: int) -> Table | None:
        return self.table.take(slice(begin, end)) if rank == self.comm.rank else None


def rows_between(stream: Stream, begin: int, end: int) -> Table:
    """Read the rows begin .. end - 1 of a stream, of which there is one at least."""
    parts = []
    for chunk in stream.chunks:
        if chunk.first_row >= end or chunk.first_row + chunk.n_rows <= begin:
            continue
        for at, table in numbered(chunk, stream.parts(chunk)):
            low, high = max(begin - at, 0), min(end - at, table.n_rows)
            if low < high:
                part = table.take(slice(low, high))
                parts.append(replace(part, first_row=table.first_row + low))
            if at + table.n_rows >= end:
                break  # of a row group, the rest is another's
    first = parts[0]
    return replace(concatenate(parts), source=first.source, first_row=first.first_row)


def passed_along(comm: Communicator, state: T, work: Callable[[T], None]) -> T:
    """Return, on every rank, what `work` makes of a state on one rank after another.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    state : object
        What rank 0 begins with; it can be pickled.
    work : callable
        Changes it by what this rank has: the same bits as by one process that has all, in the
        order of ranks.
    """
    content = pickle.dumps(state)
    error: Exception | None = None
    for rank in range(comm.size):
        if rank == comm.rank and content:  # nothing: the work of a rank before has failed
            state = pickle.loads(content)
            try:
                work(state)
                content = pickle.dumps(state)
            except Exception as raised:
                error, content = raised, b""
        own = rank == comm.rank
        got = comm.trade([content if own and to == rank + 1 else b"" for to in range(comm.size)])
        if comm.rank == rank + 1:
            content = got[rank]
    with together(comm, (Exception,)):
        if error is not None:
            raise error
    last = comm.size - 1
    done: T = pickle.loads(comm.gather(content if comm.rank == last else b"")[last])
    return done

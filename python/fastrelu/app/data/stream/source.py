# SPDX-License-Identifier: BSD-3-Clause
"""Files that are read a chunk at a time, and the numbers of their rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.table import Table


@dataclass(frozen=True)
class Chunk:
    """Rows that are read together.

    Attributes
    ----------
    path : str
        Their file.
    place : int
        Which chunk of the file, from 0.
    first_row : int
        The number of the first row through all files, from 0.
    row_in_file : int
        The number of the first row in its file.
    n_rows : int
        How many.
    """

    path: str
    place: int
    first_row: int
    row_in_file: int
    n_rows: int


class Source(Protocol):
    """Rows cut into chunks, passed over as often as is needed.

    Attributes
    ----------
    source : str
        What they are, for messages.
    chunks : list of Chunk
        All of them, in order.
    n_rows : int
        Rows of all.
    target_name : str or None
        The target's.
    names : list of str
        The inputs' names, for messages and fingerprints.
    notes : list of str
        What the user should know.
    reading : Reading or None
        How texts were taken.
    """

    source: str
    chunks: list[Chunk]
    n_rows: int
    target_name: str | None
    names: Sequence[str]
    notes: list[str]
    reading: Reading | None

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield a chunk's rows, some ten thousand at a time where they come from a file.

        Parameters
        ----------
        chunk : Chunk
            Of this source.
        again : bool
            Whether all rows have been read before and need not be checked.
        """
        ...

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield a chunk's rows as `parts` does, perhaps without their inputs."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells these data from others."""
        ...


class Stream(Source, Protocol):
    """Files of one format, larger than memory; their fingerprint does not read all of them.

    Attributes
    ----------
    raw_row_bytes : float
        What a row takes as it is read.
    part_rows : int
        Rows that are read at once.
    reading_bytes : int
        What reading a chunk takes beside its rows.
    """

    raw_row_bytes: float
    part_rows: int
    reading_bytes: int


def numbered(chunk: Chunk, tables: Iterable[Table]) -> Iterator[tuple[int, Table]]:
    """Yield the tables of a chunk, each with the number of its first row through all files."""
    at = chunk.first_row
    for table in tables:
        yield at, table
        at += table.n_rows


def every_target(source: Source) -> Iterator[tuple[int, Table]]:
    """Yield all rows of a source, perhaps without their inputs, as `numbered` does."""
    for chunk in source.chunks:
        yield from numbered(chunk, source.targets(chunk))


def chunks_of(files: Sequence[tuple[str, Sequence[int]]]) -> list[Chunk]:
    """Return the chunks of files with so many rows in each of their chunks."""
    chunks: list[Chunk] = []
    first = 0
    for path, counts in files:
        in_file = 0
        for place, n in enumerate(counts):
            if n:
                chunks.append(Chunk(path, place, first + in_file, in_file, n))
            in_file += n
        first += in_file
    return chunks


SAMPLED = 1 << 16
PLACES = 16  # of each file
WRITTEN = "written"  # when each was, in nanoseconds


def files_fingerprint(
    n_rows: int, inputs: Sequence[str], target_name: str | None, paths: Sequence[str]
) -> dict[str, Any]:
    """Return what tells files from others, without reading all of them: that takes an epoch's time.

    A row may change between the places that are looked at; the times tell that one may have.
    """
    total = hashlib.blake2b(digest_size=16)
    for path in paths:
        _add_content(total, path)
    return {
        "rows": n_rows,
        "columns": [*inputs, f"target {target_name}"],
        "content": total.hexdigest(),
        WRITTEN: [os.stat(path).st_mtime_ns for path in paths],
    }


def _add_content(total: Any, path: str) -> None:
    """Add a file's size and what it holds at some places, its two ends included, to a hash."""
    size = os.path.getsize(path)
    total.update(f"{size}\n".encode())
    with open(path, "rb", buffering=0) as file:
        for i in range(PLACES):
            file.seek(max(0, size - SAMPLED) * i // (PLACES - 1))
            total.update(file.read(SAMPLED))

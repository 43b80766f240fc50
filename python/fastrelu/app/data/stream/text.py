# SPDX-License-Identifier: BSD-3-Clause
"""Text files, a block of whole records at a time."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.csv import text_table
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.places import FolderColumns, named_in_folders
from fastrelu.app.data.readers.text.blocks import BLOCK, Block
from fastrelu.app.data.readers.text.files import TextFile, TextFiles
from fastrelu.app.data.readers.text.gather import Gathered, values
from fastrelu.app.data.readers.text.layout import SEPARATORS
from fastrelu.app.data.readers.text.parse import Parser
from fastrelu.app.data.readers.text.progress import Progress
from fastrelu.app.data.stream.budget import part_rows
from fastrelu.app.data.stream.runs import passed_along
from fastrelu.app.data.stream.scratch import Scratch
from fastrelu.app.data.stream.source import Chunk, files_fingerprint
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.distributed import Communicator
from fastrelu.distributed.communicator import differences
from fastrelu.distributed.shares import run_of

LEAST_BLOCK = 1 << 16
COPIES = 4  # of a block's bytes: as read, as texts, as values


def cells_at_most(head: bytes, size: int) -> float:
    """Return how many cells a text file of some bytes has at most, told from its beginning."""
    lines = head.count(b"\n") + head.count(b"\r") + 1
    marks = max(head.count(separator.encode()) for separator in SEPARATORS + " ")
    return size / len(head) * (lines + marks)


@dataclass
class _Look:
    """What processes tell each other while they look at all rows: how far, or what is wrong."""

    progress: Progress
    error: DataError | None = None


def ends_of(sizes: Sequence[int], n: int, k: int) -> list[float]:
    """Return the byte of each file at which the k-th of n processes ends to look at them.

    All have about as many bytes, in the order of the files. It is infinity for a file whose end it
    looks at, as a file may grow.
    """
    end = run_of(sum(sizes), n, k)[1]
    ends: list[float] = []
    for size in sizes:
        ends.append(math.inf if size <= end else end)
        end = max(0, end - size)
    return ends


def _require_same_files(comm: Communicator, text: TextFiles, sizes: Sequence[int]) -> None:
    """Raise DataError unless all processes see the same files, as far as is seen at once.

    One that went on in another file than the one before would say what is wrong in neither.
    """
    facts: dict[str, Any] = {"the list of files": [file.source.path for file in text.files]}
    for file, size in zip(text.files, sizes, strict=True):
        facts[f"the size of {file.source.path}"] = size
        head = hashlib.blake2b(file.source.head, digest_size=8).hexdigest()
        facts[f"the hash of the beginning of {file.source.path}"] = head
    found = differences(comm, facts)
    if found is not None:
        raise DataError(f"the processes of mpiexec have read different data: {found}")


class TextStream:
    """Text files with the same columns; a chunk is a block of some megabytes.

    All rows are looked at once to tell what each column is.

    Parameters
    ----------
    paths : sequence of str
        The files, not packed.
    choice : ColumnChoice
        What each column is, and what the user says about the reading.
    memory : int
        Bytes that may be used.
    need_target : bool
        Whether there has to be a target.
    keep : bool
        Whether rows are read several times, and so kept in a scratch file once they are parsed.

    Raises
    ------
    DataError
        If a file is none of fields, has other columns than the first, or a column is nothing in
        particular.
    """

    def __init__(
        self,
        paths: Sequence[str],
        choice: ColumnChoice,
        memory: int,
        need_target: bool = True,
        keep: bool = True,
    ) -> None:
        self._scratch = Scratch() if keep else None
        self.paths, self._memory = list(paths), memory
        choice = replace(choice, folders=tuple(named_in_folders(paths, choice)))
        sources = [Source(path) for path in paths]
        self._sizes = [os.path.getsize(path) for path in paths]
        self.text = TextFiles(sources, choice, need_target)
        self.source = self.text.source
        self.folders = FolderColumns(paths, choice, self.text.files[0].dialect.names)
        used = self.text.roles.used
        self.raw_row_bytes = 8.0 * len(used)
        self.part_rows = part_rows(self.raw_row_bytes, memory)
        self.block_bytes = max(LEAST_BLOCK, min(BLOCK, memory // 64))
        self.reading_bytes = COPIES * self.block_bytes
        self.chunks: list[Chunk] = []
        self.n_rows = 0
        self.reading: Reading | None = None
        self.target_name = self.text.roles.target
        self.names: Sequence[str] = [*self.text.roles.inputs, *self.folders.inputs]
        self.notes: list[str] = []

    @property
    def estimated_rows(self) -> float:
        """How many rows there are, about, told from the beginning of each file."""
        return sum(file.estimated_rows() for file in self.text.files)

    def look(self, comm: Communicator | None = None) -> TextStream:
        """Read all rows once, to know how many they are and what the columns are.

        Parameters
        ----------
        comm : Communicator, optional
            Processes that share this: each reads a part of the bytes, and all know what one that
            has read all of them would.

        Raises
        ------
        DataError
            See above.
        """
        text = self.text
        for column in text.columns.values():
            column.keep = False
        if comm is None:
            text.gather(text.columns, self.block_bytes, None)
        else:
            self._gather_along(comm)
        text.decide()
        for column in text.columns.values():
            if column.role == "target":
                values(column, text.verdicts[column.name].meaning, text)  # refuses NaN
        self.chunks = [
            Chunk(file.source.path, place, start.first_row, start.first_row - file.rows.first, n)
            for file in text.files
            for place, (start, n) in enumerate(
                zip(file.rows.starts, file.rows.counts(), strict=True)
            )
            if n
        ]
        self.n_rows = text.n_rows
        warnings = text.reading().warnings.items()
        self.reading = self.folders.known_to(text.reading())
        self.names = [*text.roles.inputs, *self.folders.inputs]
        said = [f"column {name!r}: {text}" for name, texts in warnings for text in texts]
        self.notes = list(dict.fromkeys([*text.notes, *said]))
        return self

    def _gather_along(self, comm: Communicator) -> None:
        """Gather the texts on one process after another, each of which has a part of the bytes."""
        text = self.text
        _require_same_files(comm, text, self._sizes)
        ends = ends_of(self._sizes, comm.size, comm.rank)

        def work(look: _Look) -> None:
            if look.error is not None:
                return
            try:
                text.go_on(look.progress, self.block_bytes, None, ends)
            except DataError as error:
                if isinstance(error.__context__, OSError):
                    raise  # this process cannot read a file: told with its rank
                look.error = error  # in the bytes, whoever has read them: told as by one process

        look = passed_along(comm, _Look(text.begin(text.columns)), work)
        if look.error is not None:
            raise look.error
        text.take(look.progress)

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield a block's rows, some ten thousand at a time; see `Stream.parts`."""
        key = (chunk.path, chunk.place)
        table = self._scratch.get(key) if self._scratch is not None else None
        if table is None:
            file = self._file(chunk.path)
            start = file.rows.starts[chunk.place]
            parser = self._parser(file)
            table = self._table(file, parser, file.block(start), start.first_row)
            table = replace(table, first_row=chunk.row_in_file)
            if self._scratch is not None:
                self._scratch.put(key, table)
        yield from self._cut(table)

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield a block's rows with all their columns: parsing it is what takes time."""
        return self.parts(chunk)

    def tables(self) -> Iterator[Table]:
        """Yield all rows in one pass; only if it is known what each column is.

        Raises
        ------
        DataError
            If a row or a cell is none.
        """
        text = self.text
        text.verdicts = {name: column.settle(strict=True) for name, column in text.columns.items()}
        row, none = 0, True
        for file in text.files:
            parser = self._parser(file)
            rows = file.rows
            rows.first = row
            for block in file.blocks(self.block_bytes):
                rows.start(block, row)
                table = self._table(file, parser, block, row)
                table = replace(table, first_row=row - rows.first, notes=text.notes)
                row += table.n_rows
                rows.n = row - rows.first
                yield from self._cut(table)
                none = False
        if none:
            nothing = {name: values(c, text.verdicts[name].meaning, text)
                       for name, c in text.columns.items()}  # fmt: skip
            yield text_table(self.source, 0, nothing, text.roles, text)

    @property
    def all_known(self) -> bool:
        """Whether what each column is was known before."""
        return not any(column.counted for column in self.text.columns.values())

    def _file(self, path: str) -> TextFile:
        return next(file for file in self.text.files if file.source.path == path)

    def _parser(self, file: TextFile) -> Parser:
        return self.text.parser(file, self.text.roles.used)

    def _table(self, file: TextFile, parser: Parser, block: Block, first_row: int) -> Table:
        text = self.text
        columns: dict[str, Gathered] = {
            name: text.columns[name].known_as(text.verdicts[name].meaning, first_row)
            for name in text.roles.used
        }
        parser.plain = {name for name, column in columns.items() if column.decimals}
        texts = parser.columns(block)
        found: dict[str, NDArray[Any]] = {}
        for name, column in columns.items():
            column.add(texts.pop(name))
            found[name] = values(column, text.verdicts[name].meaning, text)
        n = len(next(iter(found.values())))
        table = text_table(file.source.path, n, found, text.roles, text)
        return self.folders.add_to(table, {file.source.path: n})

    def _cut(self, table: Table) -> Iterator[Table]:
        for at in range(0, table.n_rows, self.part_rows):
            part = table.take(slice(at, min(at + self.part_rows, table.n_rows)))
            yield replace(part, first_row=table.first_row + at)

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells these files from others, without reading all of them."""
        return files_fingerprint(self.n_rows, self.names, self.target_name, self.paths)

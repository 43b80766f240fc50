# SPDX-License-Identifier: BSD-3-Clause
"""Text files together: how each is laid out, where its rows lie, what all rows say."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from fastrelu.app.data.meaning import Hints, Meaning, Reading, Verdict, bridge, named
from fastrelu.app.data.readers.choice import ColumnChoice, Roles
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.text.blocks import (
    BLOCK,
    BLOCKS,
    MOST,
    Block,
    Cut,
    blocks,
    line_ends,
    not_text,
)
from fastrelu.app.data.readers.text.dialect import Dialect, sniff
from fastrelu.app.data.readers.text.gather import Gathered, Places, refusal, wide_hints
from fastrelu.app.data.readers.text.other_kinds import refuse_other_kinds
from fastrelu.app.data.readers.text.parse import Parser
from fastrelu.app.data.readers.text.progress import FileRows, Progress, Start
from fastrelu.app.data.readers.text.records import Record
from fastrelu.app.errors import DataError, NoRowsError

MAX_COLUMNS = 100_000
NUMBERED = re.compile("column [0-9]+")  # names that were made up
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BOM = b"\xef\xbb\xbf"
FIRST = 1 << 18  # bytes of the first block
HEAD, LONGEST_HEAD = 1 << 18, 1 << 26


@dataclass
class TextFile:
    """One file, how it is laid out, and where its blocks lie.

    Attributes
    ----------
    source : Source
    dialect : Dialect
    roles : Roles
        What each of its columns is.
    rows : FileRows
        Where its rows lie.
    """

    source: Source
    dialect: Dialect
    roles: Roles
    rows: FileRows = field(default_factory=FileRows)

    def blocks(
        self, size: int = BLOCK, first: int | None = None, cut: Cut | None = None
    ) -> Iterator[Block]:
        """Yield the file's blocks from a cut on, of about `size` bytes, the first of `first`.

        Without `first` the file is streamed, and `size` is what memory allows: so few of them hold
        the longest row.
        """
        most = MOST if first is not None else BLOCKS * size
        with self.source.open() as file:
            skip(file, self.dialect.offset if cut is None else cut.offset + len(cut.carry))
            yield from blocks(self.source.path, file, self.dialect, size, first, cut, most)

    def estimated_rows(self) -> float:
        """Return how many rows there are, about, told from the file's beginning."""
        head = self.source.head[self.dialect.offset :]
        lines = head.count(b"\n") or head.count(b"\r") or 1
        return os.path.getsize(self.source.path) * lines / max(1, len(head))

    def block(self, start: Start) -> Block:
        """Read one block again."""
        with self.source.open() as file:
            skip(file, start.offset)
            data = file.read(start.size)
        return Block(data, start.offset, start.line, start.newlines)

    def record(self, row: int, parser: Parser) -> Record:
        """Return a row as it stands in the file; the row is counted through all files."""
        start = next(s for s in reversed(self.rows.starts) if s.first_row <= row)
        text = self.block(start).data.decode("utf-8", "replace")
        return next(islice(parser.records(text, start.line), row - start.first_row, None))


def skip(file: Any, n: int) -> None:
    """Go n bytes on in a file that may be packed."""
    if n and file.seekable():
        file.seek(n)
        return
    while n > 0:
        got = file.read(min(n, 1 << 20))
        if not got:
            return
        n -= len(got)


def open_text(source: Source, choice: ColumnChoice, need_target: bool) -> Dialect:
    """Return how a file is laid out.

    Raises
    ------
    DataError
        If it is no such file.
    """
    head = source.head
    if head[:2] in UTF16:
        raise DataError(f"{source.path}: UTF-16 text; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")
    refuse_other_kinds(source.path, head)
    if b"\0" in head:
        raise DataError(
            f"{source.path}: line {1 + head[: head.index(0)].count(10)}: a NUL byte: not text; "
            "expected CSV, Parquet, Arrow, NPY, NPZ, IDX or libsvm"
        )
    head, whole = _long_head(source)
    bom = len(BOM) if head.startswith(BOM) else 0
    options = choice.options
    known = set(choice.kinds) | ({choice.target} if choice.target else set())
    if known and all(map(NUMBERED.fullmatch, known)):  # a model of a file without names
        first = head[bom:].split(b"\n", 1)[0].decode("utf-8", "replace")
        if not any(name in first for name in known):
            options = replace(options, no_header=True)
    text = _decoded(source.path, head[bom:], len(head) > HEAD)
    dialect = sniff(source.path, text, whole, options, known, bom)
    names = dialect.names
    if odd := [ord(c) for name in names for c in name if "\udc80" <= c <= "\udcff"]:
        raise not_text(source.path, dialect.header, odd[0] - 0xDC00)
    if len(names) < 2 and need_target:
        raise DataError(
            f"{source.path}: expected two columns or more, got {len(names)}: {names[0][:40]!r}; "
            "the separators known are comma, semicolon, tab, bar and spaces (--separator)"
        )
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"{source.path}: {len(names)} columns; CSV is read up to {MAX_COLUMNS}; "
            "NPY, NPZ or libsvm suit such data"
        )
    return dialect


def _decoded(source: str, head: bytes, strict: bool) -> str:
    """Return the first bytes of a file as text.

    Lines above the header may have other bytes, each as one character that is none of text. So
    has the last character, if the bytes end within it. `strict`: where lines are long they may
    not, as that takes 15 times the memory.
    """
    try:
        return head.decode()
    except UnicodeDecodeError as error:
        if strict and error.start < len(head) - 3:
            raise not_text(source, 1 + line_ends(head[: error.start]), head[error.start]) from None
        return head.decode("utf-8", "surrogateescape")


def _long_head(source: Source) -> tuple[bytes, bool]:
    """Return the first bytes of a file, two lines at least, and whether they are all."""
    size = HEAD
    while True:
        with source.open() as file:
            head = file.read(size)
        if len(head) < size:
            return head, True
        if head.count(b"\n") + head.count(b"\r") > 2 or size >= LONGEST_HEAD:
            return head, False
        _decoded(source.path, head, True)  # before more of it is read, and unpacked
        size *= 8


class TextFiles:
    """Files that are one table.

    Parameters
    ----------
    sources : sequence of Source
        The files.
    choice : ColumnChoice
        What each column is, and what the user says about the reading.
    need_target : bool
        Whether there has to be a target.

    Raises
    ------
    DataError
        If one is no such file, or has other columns than the first.
    """

    def __init__(self, sources: Sequence[Source], choice: ColumnChoice, need_target: bool) -> None:
        self.choice, self.need_target = choice, need_target
        self.files: list[TextFile] = []
        for source in sources:
            dialect = open_text(source, choice, need_target)
            roles = self.choice.roles(source.path, dialect.names, need_target)
            if self.choice.target is None and need_target:  # the first file's last column
                self.choice = replace(self.choice, target=roles.target)
            self.files.append(TextFile(source, dialect, roles))
        self.roles = self.files[0].roles
        for file in self.files[1:]:
            _check_same(self.files[0], file)
        self.columns = {name: self._gathered(name) for name in self.roles.used}
        self.notes = list(dict.fromkeys([*self.roles.notes, *self._told()]))
        self.verdicts: dict[str, Verdict] = {}

    def _gathered(self, name: str) -> Gathered:
        return gathered(name, self.choice, self.roles, self.files[0].dialect)

    def _told(self) -> Iterator[str]:
        for file in self.files:
            yield from file.dialect.notes

    @property
    def source(self) -> str:
        """What they are, for messages."""
        more = len(self.files) - 1
        return self.files[0].source.path + (f" and {more} more" if more else "")

    @property
    def n_rows(self) -> int:
        """Rows of all, once they are counted."""
        return self.files[-1].rows.first + self.files[-1].rows.n

    def gather(
        self, columns: Mapping[str, Gathered], size: int = BLOCK, first: int | None = FIRST
    ) -> None:
        """Read all files once, in blocks of about `size` bytes, and give some columns their texts.

        Parameters
        ----------
        columns : mapping of str to Gathered
            The columns.
        size : int
            Bytes of a block.
        first : int or None
            Bytes of each file's first block, None for `size`: the sooner it is seen which columns
            are decimals, the fewer texts there are.

        Raises
        ------
        DataError
            If a line is no row of the file.
        """
        self.go_on(self.begin(columns), size, first, [math.inf] * len(self.files))

    def begin(self, columns: Mapping[str, Gathered]) -> Progress:
        """Return the state before anything is gathered of some columns, for `go_on`."""
        return Progress(dict(columns), [file.rows for file in self.files], self.notes)

    def take(self, at: Progress) -> None:
        """Have what has been gathered, by other processes perhaps."""
        self.columns, self.notes = at.columns, at.notes
        for file, rows in zip(self.files, at.rows, strict=True):
            file.rows = rows

    def go_on(self, at: Progress, size: int, first: int | None, ends: Sequence[float]) -> None:
        """Gather on from where files have been gathered to, in the blocks that `gather` has.

        Parameters
        ----------
        at : Progress
            Where to begin; becomes where it ends.
        size, first
            As for `gather`.
        ends : sequence of float
            The byte of each file behind which no block begins, infinity for all of it.

        Raises
        ------
        DataError
            If a line is no row of the file.
        """
        for file, end in list(zip(self.files, ends, strict=True))[at.place :]:
            file.rows = at.rows[at.place]
            if not self._gather_file(file, at, size, first, end):
                return
            at.place, at.cut, at.comments = at.place + 1, None, 0

    def _gather_file(
        self, file: TextFile, at: Progress, size: int, first: int | None, end: float
    ) -> bool:
        """Gather the blocks of a file that begin before a byte; return whether these are all."""
        rows = file.rows
        if at.cut is None:
            at.cut = Cut(file.dialect.offset, file.dialect.line)
            rows.first, rows.starts = at.n_rows, []
        if at.cut.offset >= end:
            return False
        parser = self.parser(file, list(at.columns))
        parser.comments = at.comments
        for block in file.blocks(size, first, at.cut):
            parser.plain = {name for name, column in at.columns.items() if column.decimals}
            texts = parser.columns(block)
            rows.start(block, at.n_rows)
            for name, column in at.columns.items():
                column.add(texts.pop(name))
            bridge.give_back()
            if block.end >= end:
                at.cut, at.comments = block.cut(), parser.comments
                return False
        rows.n = at.n_rows - rows.first
        for column in at.columns.values():
            column.end_file()
        if parser.comments:
            at.notes.append(f"{parser.comments} lines that begin with # are comments: left out")
        return True

    def parser(self, file: TextFile, used: Sequence[str], threads: bool = False) -> Parser:
        """Return what parses some columns of a file."""
        missing = self.columns[used[0]].hints.missing
        parser = Parser(file.source.path, file.dialect, used, missing, threads)
        parser.strange = file.rows.strange
        return parser

    def decide(self) -> None:
        """Decide what each column is, once all rows are counted.

        Raises
        ------
        DataError
            If there are no rows and there has to be a target, or a column is nothing in particular.
        """
        if not self.n_rows and self.need_target:
            raise NoRowsError(
                f"{self.source}: expected rows of data after the header line, got none"
            )
        strict = not self.choice.lenient
        self.verdicts = decided(self.columns, self, strict)
        if strict:
            self._refuse_different()
        inputs = self.roles.inputs
        if self._counts_rows(inputs[0] if len(inputs) > 1 else ""):
            self.notes.append("the first column has no name and counts the rows: left out")
            self.roles = replace(self.roles, inputs=inputs[1:])

    def _counts_rows(self, name: str) -> bool:
        """Return whether a column has no name and counts the rows of each file."""
        if self.choice.features or self.choice.kinds or self.choice.lenient:
            return False
        return bool(name and self.files[0].dialect.header and self.columns[name].counter)

    def _refuse_different(self) -> None:
        """Raise DataError if a column is numbers in one file and text in another."""
        for name, column in self.columns.items():
            if not column.counted or self.verdicts[name].meaning.kind != "category":
                continue
            found = column.differs() if len(self.files) > 1 else None
            if found is not None:
                numeric, text = (self.files[i].source.path for i in found)
                a, b = (numeric, text) if found[0] > found[1] else (text, numeric)
                kinds = ("numeric", "text") if found[0] > found[1] else ("text", "numeric")
                raise DataError(
                    f"{a}: column {name!r} is {kinds[0]}, but {kinds[1]} in {b}; correct it, or "
                    f"read it as categories: --categorical {name!r}"
                )

    def _record(self, row: int) -> tuple[TextFile, Record]:
        file = next(f for f in reversed(self.files) if f.rows.first <= row and f.rows.n)
        return file, file.record(row, self.parser(file, file.roles.used))

    def full(self, row: int) -> str:
        """Return the file and the line of a row."""
        file, record = self._record(row)
        return f"{file.source.path}: line {record.line}"

    def near(self, row: int) -> str:
        """Return the line of a row, with its file if there are several."""
        return self.full(row) if len(self.files) > 1 else f"line {self._record(row)[1].line}"

    def cell(self, row: int, name: str) -> str:
        """Return what stands in a column."""
        file, record = self._record(row)
        return record.fields[file.dialect.names.index(name) + file.dialect.labels]

    def reading(self) -> Reading:
        """Return how the files were read, to be kept beside a model."""
        verdicts = {name: self.verdicts[name] for name in self.roles.used}
        return reading_of(self.files[0].dialect, verdicts, self.choice)


def gathered(name: str, choice: ColumnChoice, roles: Roles, dialect: Dialect) -> Gathered:
    """Return a column of a file before its first row."""
    role = {roles.target: "target", roles.weights: "weights"}.get(name, "column")
    kind = "numeric" if name == roles.weights else choice.kind(name)
    hints: Hints = replace(choice.hints(name), separator=dialect.separator)
    known = choice.known(name)
    trained = known is not None or name in choice.kinds
    said = ", as in training" if trained and role == "column" else ""
    return Gathered(name, role, hints, kind, known, said=said)


def decided(
    columns: dict[str, Gathered], places: Places, strict: bool = True
) -> dict[str, Verdict]:
    """Return what each column is, when all rows are counted.

    Raises
    ------
    DataError
        If a column is nothing in particular, and `strict` is set.
    """
    wide = wide_hints(columns.values())
    verdicts = {}
    for name, column in columns.items():
        column.hints = replace(column.hints, usual_decimal=wide[0], usual_order=wide[1])
        verdict = column.settle(strict)
        if verdict.problem is not None:
            error = refusal(column, verdict, places)
            if strict or column.kind is not None:
                raise error
            said = str(error).partition(f" {name!r}: ")[2]
            title = f"{verdict.problem.title}: " if verdict.problem.title else ""
            said = f"{title}{places.near(verdict.problem.row)}: {said}"
            verdict = replace(verdict, warnings=(*verdict.warnings, said), problem=None)
        verdicts[name] = verdict
    return verdicts


def reading_of(dialect: Dialect, verdicts: dict[str, Verdict], choice: ColumnChoice) -> Reading:
    """Return how text files were read, to be kept beside a model."""
    meanings: dict[str, Meaning] = {name: v.meaning for name, v in verdicts.items()}
    marks = {m.decimal for m in meanings.values() if m.kind == "number"}
    file = dialect.describe() | {"decimal": "," if marks == {","} else "."}
    warnings = {
        name: tuple(named(text, name) for text in v.warnings)
        for name, v in verdicts.items()
        if v.warnings
    }
    missing = choice.hints("").missing
    return Reading(file, meanings, warnings, missing)


def _check_same(first: TextFile, file: TextFile) -> None:
    """Raise DataError if two files have not the same columns."""
    for a, b in ((first, file), (file, first)):
        for name in a.roles.used:
            if name not in b.roles.used:
                raise DataError(
                    f"{b.source.path}: no column {name!r}, which {a.source.path} has; the files "
                    f"need the same columns, in any order (or --ignore {name!r})"
                )

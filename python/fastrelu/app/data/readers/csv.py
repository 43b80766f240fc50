# SPDX-License-Identifier: BSD-3-Clause
"""Read text files of fields, CSV and its relatives, in any number: one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Hints, Meaning, Reading, Verdict, named
from fastrelu.app.data.readers.choice import ColumnChoice, Roles
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.text.blocks import Block, blocks
from fastrelu.app.data.readers.text.dialect import Dialect, sniff
from fastrelu.app.data.readers.text.gather import (
    Gathered,
    Places,
    refusal,
    values,
    wide_hints,
)
from fastrelu.app.data.readers.text.parse import Parser
from fastrelu.app.data.readers.text.records import Record
from fastrelu.app.data.readers.values import as_target, as_weights
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

MAX_COLUMNS = 100_000
NUMBERED = re.compile("column [0-9]+")  # names that were made up
UNNAMED = ("column 1", "Unnamed: 0")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BOM = b"\xef\xbb\xbf"
HEAD, LONGEST_HEAD = 1 << 18, 1 << 26


@dataclass
class TextFile:
    """One file, how it is laid out, and where its blocks lie.

    Attributes
    ----------
    source : Source
    dialect : Dialect
    roles : Roles
        What its columns are.
    first_row : int
        The number through all files of its first row.
    starts : list of (first row, offset, line, bytes)
        Of each block.
    """

    source: Source
    dialect: Dialect
    roles: Roles
    first_row: int = 0
    n_rows: int = 0
    starts: list[tuple[int, int, int, int]] = field(default_factory=list)

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks."""
        with self.source.open() as file:
            skip(file, self.dialect.offset)
            yield from blocks(self.source.path, file, self.dialect)

    def record(self, row: int, parser: Parser) -> Record:
        """Return a row as it stands in the file; the row is counted through all files."""
        first, offset, line, size = next(s for s in reversed(self.starts) if s[0] <= row)
        with self.source.open() as file:
            skip(file, offset)
            text = file.read(size).decode("utf-8", "replace")
        return next(islice(parser.records(text, line), row - first, None))


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


def read_csv(sources: Sequence[Source], choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table in some text files.

    Parameters
    ----------
    sources : sequence of Source
        UTF-8 text; how each is laid out is found out from its first rows.
    choice : ColumnChoice
        What each column is, and what the user says about the reading.
    need_target : bool
        Whether there has to be a target.

    Returns
    -------
    Table
        A column is what all of its cells say; `Table.reading` has it.

    Raises
    ------
    DataError
        If the content is not such a file, or a cell is not what its column is.
    """
    return _Reader(sources, choice, need_target).read()


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
    text = head[bom:].decode("utf-8", "surrogateescape")
    dialect = sniff(source.path, text, whole, options, known, bom)
    names = dialect.names
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
        size *= 8


class _Reader:
    """Reads files into one table."""

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
        self.notes = list(self.roles.notes)

    def _gathered(self, name: str) -> Gathered:
        return gathered(name, self.choice, self.roles, self.files[0].dialect)

    def read(self) -> Table:
        """Return the table."""
        self._pass(self.columns)
        n_rows = self.files[-1].first_row + self.files[-1].n_rows
        if not n_rows and self.need_target:
            raise DataError(
                f"{self.files[0].source.path}: expected rows of data after the header line, got "
                "none"
            )
        verdicts = decided(self.columns, self, strict=not self.choice.lenient)
        if not self.choice.lenient:
            self._refuse_different(verdicts)
        self._reread(verdicts)
        counters = self._counters(verdicts)
        found = {
            name: values(self.columns[name], verdicts[name].meaning, self, not self.choice.lenient)
            for name in list(self.columns)
        }
        return self._table(n_rows, found, verdicts, counters)

    def _pass(self, columns: dict[str, Gathered]) -> None:
        """Read all files once and give their texts to some columns."""
        row = 0
        for file in self.files:
            parser = self._parser(file, list(columns))
            file.first_row, file.starts = row, []
            for block in file.blocks():
                texts = parser.columns(block)
                file.starts.append((row, block.offset, block.line, len(block.data)))
                for name, column in columns.items():
                    column.add(texts.pop(name))
                row = next(iter(columns.values())).n_rows
            file.n_rows = row - file.first_row
            for column in columns.values():
                column.end_file()
            if parser.comments:
                note = f"{parser.comments} lines that begin with # are comments: left out"
                self.notes.append(note)

    def _parser(self, file: TextFile, used: list[str]) -> Parser:
        return Parser(file.source.path, file.dialect, used, self.columns[used[0]].hints.missing)

    def _reread(self, verdicts: dict[str, Verdict]) -> None:
        """Read columns again that seemed plain numbers for a while and are something else."""
        again = {
            name: column.again()
            for name, column in self.columns.items()
            if not column.fits(verdicts[name].meaning)
        }
        if again:
            self._pass(again)
            for name, column in again.items():
                self.columns[name].parts = column.parts

    def _refuse_different(self, verdicts: dict[str, Verdict]) -> None:
        """Raise DataError if a column is numbers in one file and text in another."""
        for name, column in self.columns.items():
            if not column.counted or verdicts[name].meaning.kind != "category":
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

    def _counters(self, verdicts: dict[str, Verdict]) -> bool:
        """Return whether the first input has no name and counts the rows of each file."""
        inputs = self.roles.inputs
        if self.choice.features or self.choice.kinds or self.choice.lenient or len(inputs) < 2:
            return False
        column = self.columns[inputs[0]]
        if inputs[0] not in UNNAMED or not column.plain or not column.n_rows:
            return False
        if not self.files[0].dialect.header:
            return False
        numbers = np.concatenate([part for _, part in column.parts])
        return all(
            is_counter(numbers[file.first_row : file.first_row + file.n_rows])
            for file in self.files
            if file.n_rows
        )

    def _record(self, row: int) -> tuple[TextFile, Record]:
        file = next(f for f in reversed(self.files) if f.first_row <= row and f.n_rows)
        return file, file.record(row, self._parser(file, file.roles.used))

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

    def _table(
        self,
        n_rows: int,
        found: dict[str, NDArray[Any]],
        verdicts: dict[str, Verdict],
        counters: bool,
    ) -> Table:
        roles, first = self.roles, self.files[0]
        source = first.source.path
        if len(self.files) > 1:
            source += f" and {len(self.files) - 1} more"
        inputs = list(roles.inputs)
        notes = list(self.notes)
        for file in self.files:
            notes += file.dialect.notes
        if counters:
            notes.append("the first column has no name and counts the rows: left out")
            del inputs[0]
        used = [*inputs, *(n for n in roles.used if n not in roles.inputs)]
        reading = reading_of(first.dialect, {n: verdicts[n] for n in used}, self.choice)
        notes += [
            f"column {n!r}: {text}" for n, texts in reading.warnings.items() for text in texts
        ]
        target = weights = None
        if roles.target is not None:
            target = as_target(source, roles.target, found[roles.target], self.near)
        if roles.weights is not None:
            weights = as_weights(source, roles.weights, found[roles.weights], self.near)
        return Table(
            source,
            n_rows,
            columns={name: found[name] for name in inputs},
            target=target,
            target_name=roles.target,
            weights=weights,
            notes=list(dict.fromkeys(notes)),
            extra={name: found[name] for name in roles.extra},
            reading=reading,
        )


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


def is_counter(numbers: NDArray[np.float64]) -> bool:
    """Return whether numbers count rows from 0 or 1, as the index of a data frame."""
    counts = numbers[0] + np.arange(len(numbers))
    return bool(numbers[0] in (0, 1) and (numbers == counts).all())


def _check_same(first: TextFile, file: TextFile) -> None:
    """Raise DataError if two files have not the same columns."""
    for a, b in ((first, file), (file, first)):
        for name in a.roles.used:
            if name not in b.roles.used:
                raise DataError(
                    f"{b.source.path}: no column {name!r}, which {a.source.path} has; the files "
                    f"need the same columns, in any order (or --ignore {name!r})"
                )

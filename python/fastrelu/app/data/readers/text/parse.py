# SPDX-License-Identifier: BSD-3-Clause
"""A block of records to columns of texts, by pyarrow; and the line of what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastrelu.app.data.meaning import Missing
from fastrelu.app.data.readers.files import pyarrow
from fastrelu.app.data.readers.text.blocks import Block, line_ends, not_text
from fastrelu.app.data.readers.text.dialect import Dialect
from fastrelu.app.data.readers.text.records import (
    MalformedError,
    Record,
    fields_of,
    records,
    without_padding,
)
from fastrelu.app.errors import DataError

INNER = 1 << 20  # bytes that one thread parses
COMMENT = re.compile(rb"^#[ #].*(?:\r?\n|\Z)", re.MULTILINE)
NAN = re.compile(r"[+-]?nan", re.IGNORECASE)
PLACE = re.compile(r"In CSV column #(\d+)")  # in pyarrow's messages


class Parser:
    """Parses the blocks of one file.

    Parameters
    ----------
    source : str
        The file, for messages.
    dialect : Dialect
        How it is laid out.
    used : sequence of str
        The columns wanted.
    missing : Missing
        Which texts stand for nothing; NaN stays a text, for a target must not be one.
    keep_blank : bool
        Whether an empty line of a file of one column is a row.
    threads : bool
        Whether pyarrow may use several: a third more time of the cores and memory in all.

    Attributes
    ----------
    comments : int
        Lines that begin with # and were left out so far.
    plain : set of str
        Columns to parse as float64 at once, which saves their texts; one that turns out to have
        other cells is parsed as texts from then on.
    strange : set of str
        Those that turned out so; parsers of one file may share them.
    """

    def __init__(
        self,
        source: str,
        dialect: Dialect,
        used: Sequence[str],
        missing: Missing,
        threads: bool = False,
    ) -> None:
        self.source, self.dialect, self.used = source, dialect, list(used)
        self.comments = 0
        self.plain: set[str] = set()
        self.strange: set[str] = set()
        pa = pyarrow(f"{source}: CSV")
        from pyarrow import csv

        self._pa, self._csv = pa, csv
        # Numbers as names: a file's own may be those of the fields that are dropped.
        first = int(dialect.labels)
        places = {name: str(first + j) for j, name in enumerate(dialect.names)}
        self._fields = [places[name] for name in self.used]
        self._names = {int(places[name]): name for name in self.used}
        if dialect.trailing:
            self._fields.append(str(dialect.width - 1))
        names = [str(j) for j in range(dialect.width)]
        self._read = csv.ReadOptions(column_names=names, use_threads=threads, block_size=INNER)
        nulls = [word for word in missing.spellings() if not NAN.fullmatch(word)]
        self._nulls, self._all = nulls, names
        self._conversions: dict[frozenset[str], Any] = {}

    def _convert(self, plain: frozenset[str]) -> Any:
        """Return pyarrow's options for some columns of float64, the others of texts."""
        if plain not in self._conversions:
            pa = self._pa
            types = dict.fromkeys(self._all, pa.string())
            fields = zip(self.used, self._fields, strict=False)
            types |= {field: pa.float64() for name, field in fields if name in plain}
            self._conversions[plain] = self._csv.ConvertOptions(
                column_types=types,
                include_columns=self._fields,
                null_values=self._nulls,
                strings_can_be_null=True,
                check_utf8=False,  # a block is checked as a whole
            )
        return self._conversions[plain]

    def columns(self, block: Block) -> dict[str, Any]:
        """Return the columns of a block by name: a pyarrow StringArray, or DoubleArray if `plain`.

        Raises
        ------
        DataError
            If the text is not UTF-8, or a row has another number of fields.
        MemoryError
            If there is not enough for the columns.
        """
        self._check_text(block)
        data = block.data
        if b"#" in data and not block.newlines:
            data, n = COMMENT.subn(b"", data)
            self.comments += n
        if self.dialect.separator == " ":
            data = _single_spaced(data)
        elif self.dialect.padded:
            quoting = self.dialect.separator, self.dialect.quote, self.dialect.escape
            data = without_padding(data, *quoting)
        plain = frozenset(self.plain - self.strange)
        try:
            table = self._read_block(block, data, plain)
        except MemoryError:  # pyarrow's own is an ArrowException, too, and no fault of the text
            raise
        except (self._pa.ArrowException, ValueError, KeyError) as error:
            self._note_strange(str(error), plain)
            try:
                table = self._read_block(block, data, frozenset()) if plain else None
            except MemoryError:
                raise
            except (self._pa.ArrowException, ValueError, KeyError) as again:
                raise self._explained(block, again) from None
            if table is None:
                raise self._explained(block, error) from None
        found = [_one(table.column(name)) for name in self._fields]
        if self.dialect.trailing and found.pop().null_count != table.num_rows:
            raise self._explained(block, ValueError("a row has a field too many"))
        return dict(zip(self.used, found, strict=True))

    def _note_strange(self, error: str, plain: frozenset[str]) -> None:
        """Note the column that pyarrow says is not plain; all of them if it names none."""
        match = PLACE.search(error)
        place = int(match[1]) if match is not None else -1
        name = self._names.get(place)
        self.strange |= {name} if name in plain else plain

    def _read_block(self, block: Block, data: bytes, plain: frozenset[str]) -> Any:
        """Return a block as a pyarrow Table."""
        pa = self._pa
        skipped: list[str] = []

        def odd(row: Any) -> str:
            if row.text is not None and row.text.lstrip().startswith("#"):
                skipped.append(row.text)
                return "skip"
            return "error"

        table = self._csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            read_options=self._sized(data),
            parse_options=self._csv.ParseOptions(
                delimiter=self.dialect.separator,
                quote_char=self.dialect.quote or False,
                double_quote=bool(self.dialect.quote),
                escape_char="\\" if self.dialect.escape else False,
                newlines_in_values=block.newlines,
                ignore_empty_lines=self.dialect.width > 1,
                invalid_row_handler=odd,
            ),
            convert_options=self._convert(plain),
        )
        self.comments += len(skipped)
        return table

    def _check_text(self, block: Block) -> None:
        if block.data.isascii():
            return
        try:
            block.data.decode("utf-8")
        except UnicodeDecodeError as bad:
            line = block.line + line_ends(block.data[: bad.start])
            raise not_text(self.source, line, block.data[bad.start]) from None

    def _sized(self, data: bytes) -> Any:
        """Return the options for reading, with parts that hold the longest record."""
        if not self._read.use_threads:  # one part, which need not be put together
            return self._csv.ReadOptions(
                column_names=self._read.column_names, use_threads=False, block_size=len(data) + 1
            )
        longest = max(INNER, _longest_line(data) * 2) if len(data) > INNER else INNER
        options = self._read
        if longest > INNER:
            return self._csv.ReadOptions(
                column_names=options.column_names,
                use_threads=options.use_threads,
                block_size=len(data) + 1,
            )
        return options

    def _explained(self, block: Block, error: Exception) -> DataError:
        """Return the error that names the line of what pyarrow refuses."""
        source, width = self.source, self.dialect.width
        try:
            for record in self.records(block.data.decode("utf-8"), block.line):
                n = len(record.fields)
                more = self.dialect.trailing and n == width and record.fields[-1].strip()
                if n != width or more:
                    expected = len(self.dialect.names) if self.dialect.trailing else width
                    return DataError(
                        f"{source}: line {record.line}: expected {fields_of(expected)}, as in the "
                        f"header, got {n}; correct the line, or quote what holds separators"
                    )
        except MalformedError as broken:
            return DataError(
                f"{source}: line {broken.line}: not CSV: the quotes do not match; correct the line"
            )
        reason = " ".join(str(error).split())[:200]
        return DataError(f"{source}: line {block.line} or later: not CSV ({reason})")

    def records(self, text: str, line: int) -> Iterator[Record]:
        """Yield the rows' records of a block's text: no blank lines, no comments."""
        d = self.dialect
        for record in records(text, d.separator, d.quote, d.escape, line, d.padded):
            n = len(record.fields)
            if record.fields[0].startswith(("# ", "##")):
                continue
            if n == 1 and d.width > 1 and not record.fields[0]:
                continue
            if n != d.width and record.fields[0].lstrip().startswith("#"):
                continue
            yield record


def _single_spaced(data: bytes) -> bytes:
    """Return lines with single spaces between fields and none around them."""
    data = re.sub(rb"[ \t]+", b" ", data)
    return re.sub(rb"(?m)^ | (?=\r?$)", b"", data)


def _longest_line(data: bytes) -> int:
    """Return a bound of the longest line that is longer than a part, 0 if none is."""
    at = 0
    while at + INNER // 2 < len(data):
        end = data.rfind(b"\n", at, at + INNER // 2)
        if end < 0:
            return len(data)
        at = end + 1
    return 0


def _one(column: Any) -> Any:
    """Return a chunked column as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)  # not copied
    column = column.combine_chunks()
    return column.chunk(0) if hasattr(column, "num_chunks") and column.num_chunks else column


Place = Callable[[int], str]

# SPDX-License-Identifier: BSD-3-Clause
"""A text file cut into blocks of whole records, each checked as far as its bytes alone tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.text.dialect import Dialect
from fastrelu.app.data.readers.text.records import MalformedError, records
from fastrelu.app.errors import DataError

BLOCK = 1 << 22  # bytes
MOST = 1 << 30  # of one record, where all rows are in memory
BLOCKS = 8  # that one record may fill, where a file is streamed in them


class Cut(NamedTuple):
    """Between two blocks of a file: where the next one begins, and what has been read of it."""

    offset: int
    line: int
    carry: bytes = b""


@dataclass(frozen=True)
class Block:
    """Whole records of a file.

    Attributes
    ----------
    data : bytes
        The records.
    offset : int
        The position in the (unpacked) file at which they begin.
    line : int
        The line that they begin in.
    newlines : bool
        Whether there are line ends inside of quotes.
    carry : bytes
        What has been read beyond them.
    """

    data: bytes
    offset: int
    line: int
    newlines: bool
    carry: bytes = b""

    @property
    def end(self) -> int:
        """The position in the file at which they end."""
        return self.offset + len(self.data)

    def cut(self) -> Cut:
        """Return where the next block begins."""
        return Cut(self.end, self.line + line_ends(self.data), self.carry)


def blocks(
    source: str,
    file: BinaryIO,
    dialect: Dialect,
    size: int = BLOCK,
    first: int | None = None,
    cut: Cut | None = None,
    most: int = MOST,
) -> Iterator[Block]:
    """Yield a file's blocks.

    As long as no record ends, each read doubles what has been read of it: what is looked at again
    and again is no more than twice the file.

    Parameters
    ----------
    source : str
        The file, for messages.
    file : binary file
        At the first byte of the first row; with `cut` at the first one that it has not.
    dialect : Dialect
        How it is laid out.
    size : int
        Bytes of a block, about.
    first : int, optional
        Bytes of the first block, about; as the others by default.
    cut : Cut, optional
        Where to go on: the blocks from there on are those that have not been cut off before.
    most : int
        Bytes that a record may have.

    Raises
    ------
    DataError
        If there are NUL bytes, quotes do not match, or a record is too long.
    """
    cutter = _Cutter(source, dialect)
    offset, line, carry = cut or Cut(dialect.offset, dialect.line)
    wanted = size if first is None or offset > dialect.offset or carry else first
    while True:
        data = file.read(wanted)
        if b"\0" in data:
            at = (carry + data)[: (carry + data).index(0)]
            raise DataError(
                f"{source}: line {line + line_ends(at)}: a NUL byte: not text; expected CSV, "
                "Parquet, Arrow, NPY, NPZ, IDX or libsvm"
            )
        whole = carry + data if carry else data
        if not whole:
            return
        n, newlines = cutter.cut(whole, line, last=not data)
        if dialect.width == 1:  # a blank line is a row, but for those at the end
            n = _without_blank_end(whole, n)
        if n == 0 and len(whole) > most:
            raise _too_long(source, line, most)
        carry = whole[n:]
        wanted = size if n else max(size, min(len(carry), most + 1 - len(carry)))
        if n:
            block = whole[:n] if n < len(whole) else whole
            yield Block(block, offset, line, newlines, carry)
            offset += n
            line += line_ends(block)
        if not data:
            return


def _too_long(source: str, line: int, most: int) -> DataError:
    """Return the error of a record whose end has not come within `most` bytes."""
    where = "" if most >= MOST else ", the most where data larger than --memory are streamed"
    more = "" if most >= MOST else "; else raise --memory above what the data need"
    return DataError(
        f"{source}: line {line}: a row of more than {most / 1e6:.3g} MB{where}; if a quote is not "
        f"closed there, correct the line, or say the quote: --quote none{more}"
    )


def not_text(source: str, line: int, byte: int) -> DataError:
    """Return the error of a byte that is not of UTF-8 text."""
    return DataError(
        f"{source}: line {line}: not UTF-8 text (byte 0x{byte:02x}); save it as UTF-8, for "
        "instance by iconv -f LATIN1 -t UTF-8"
    )


def line_ends(data: bytes) -> int:
    """Return how many lines end in some bytes."""
    n = int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))
    return n + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else n


class _Cutter:
    """Finds the end of the last whole record."""

    def __init__(self, source: str, dialect: Dialect) -> None:
        self.source, self.dialect = source, dialect
        self.quote = dialect.quote.encode()
        separator = b" \t" if dialect.separator == " " else dialect.separator.encode()
        separator += b" \t" if dialect.padded else b""
        edges = np.zeros(256, bool)
        edges[list(separator + b"\r\n" + self.quote)] = True
        self.edges = edges

    def cut(self, data: bytes, line: int, last: bool) -> tuple[int, bool]:
        """Return how many bytes are whole records, and whether quotes hold line ends."""
        if not self.quote or self.quote not in data:
            return (len(data) if last else _last_line_end(data)), False
        plain = re.sub(rb"\\.", b"xx", data, flags=re.DOTALL) if self.dialect.escape else data
        view = np.frombuffer(plain, np.uint8)
        quotes = np.flatnonzero(view == self.quote[0])
        if not self._sound(view, quotes, last):
            return self._by_record(data, line, last)
        ends = np.flatnonzero((view == 10) | (view == 13) if 13 in data else view == 10)
        outside = np.searchsorted(quotes, ends) % 2 == 0
        newlines = not bool(outside.all())
        if last:
            return len(data), newlines
        whole = ends[outside]
        if len(whole) and whole[-1] == len(data) - 1 and data[-1] == 13:
            whole = whole[:-1]  # a line feed may follow
        return (int(whole[-1]) + 1 if len(whole) else 0), newlines

    def _sound(self, view: NDArray[np.uint8], quotes: NDArray[np.intp], last: bool) -> bool:
        """Return whether each quote opens or closes a field, in turn."""
        opening, closing = quotes[::2], quotes[1::2]
        before = opening[opening > 0] - 1
        after = closing[closing < len(view) - 1] + 1
        if not self.edges[view[before]].all() or not self.edges[view[after]].all():
            return False
        return len(quotes) % 2 == 0 or not last

    def _by_record(self, data: bytes, line: int, last: bool) -> tuple[int, bool]:
        """Return the same for records with quotes inside of fields without quotes, or broken."""
        d = self.dialect
        text = data.decode("utf-8", "surrogateescape")
        end, newlines, previous = 0, False, line
        try:
            for record in records(text, d.separator, d.quote, d.escape, line, d.padded):
                newlines |= record.line > previous + 1
                previous, end = record.line, record.start
        except MalformedError as error:
            if not error.at_end or last:
                raise DataError(
                    f"{self.source}: line {error.line}: not CSV: the quotes do not match; correct "
                    "the line, or say the quote: --quote none"
                ) from None
            end = error.start  # what is before it is whole
        if last:
            return len(data), True
        return len(text[:end].encode("utf-8", "surrogateescape")), True


def _without_blank_end(data: bytes, cut: int) -> int:
    """Return where the last line that is not blank ends."""
    end = len(data[:cut].rstrip(b"\r\n"))
    for line_end in (b"\r\n", b"\n", b"\r"):
        if end and data.startswith(line_end, end):
            return end + len(line_end)
    return end


def _last_line_end(data: bytes) -> int:
    feed = data.rfind(b"\n") + 1
    if feed:
        return feed
    return data.rfind(b"\r", 0, len(data) - 1) + 1

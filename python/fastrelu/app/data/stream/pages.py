# SPDX-License-Identifier: BSD-3-Clause
"""How large the pages of a Parquet file are: each is unpacked as a whole, whatever a part needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

HUGE = 1 << 21  # bytes; writers aim at 1 MiB and less
HEADER, LONGEST_HEADER = 1 << 7, 1 << 24  # bytes; statistics of long texts stand in headers
DICTIONARY_PAGE = 2
DELTA_BYTE_ARRAY = 7  # an encoding that leaves out what a text and the one before begin with
DEEPEST = 8  # of structs in a header; there are three
# The types of fields and of the elements of lists, in Thrift's compact protocol.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


@dataclass(frozen=True)
class Page:
    """What a page's header says.

    Attributes
    ----------
    is_dictionary : bool
        Whether it holds the dictionary of the others.
    stored, unpacked : int
        Bytes.
    n_values : int
        Nulls included.
    encoding : int
        Of the values, by its number.
    """

    is_dictionary: bool
    stored: int
    unpacked: int
    n_values: int
    encoding: int


def pages(raw: BinaryIO, column: Any) -> Iterator[Page]:
    """Yield the pages of a column of a row group, as far as their headers can be read.

    Parameters
    ----------
    raw : binary file
        The Parquet file.
    column : pyarrow.parquet.ColumnChunkMetaData
        A column of one of its row groups.
    """
    places = (column.dictionary_page_offset, column.data_page_offset)
    begin = place = min(p for p in places if p is not None)
    if begin < 0:  # damaged
        return
    while (found := _page(raw, place)) is not None:
        page, length = found
        yield page
        place += length + page.stored
        if place >= begin + column.total_compressed_size:
            return


def huge_pages(of_column: Sequence[Page]) -> Iterator[tuple[int, int]]:
    """Yield the sizes of a column's dictionary and of its largest other page, where they are huge.

    Parameters
    ----------
    of_column : sequence of Page
        The column's `pages`.

    Yields
    ------
    stored, unpacked : int
        Bytes.
    """
    for is_dictionary in (True, False):
        some = [page for page in of_column if page.is_dictionary == is_dictionary]
        largest = max(some, key=lambda page: page.unpacked, default=None)
        if largest is not None and largest.unpacked > HUGE:
            yield largest.stored, largest.unpacked


def _page(raw: BinaryIO, place: int) -> tuple[Page, int] | None:
    """Return the page that begins at a byte, and its header's length; None if none does."""
    size = HEADER
    while True:
        raw.seek(place)
        data = raw.read(size)
        header = _Header(data)
        try:
            fields = header.struct()
        except IndexError:  # longer than what was read
            if len(data) < size or size >= LONGEST_HEADER:
                return None
            size *= 8
            continue
        except ValueError:
            return None
        break
    abouts = [fields[k] for k in (5, 7, 8) if isinstance(fields.get(k), dict)]
    about: dict[int, Any] = abouts[0] if abouts else {}
    kind, unpacked, stored, n_values, encoding = numbers = (
        *(fields.get(k) for k in (1, 2, 3)),
        about.get(1, 0),
        about.get(4 if 8 in fields else 2, 0),
    )
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return None
    return Page(kind == DICTIONARY_PAGE, stored, unpacked, n_values, encoding), header.at


class _Header:
    """Reads a struct of Thrift's compact protocol: whole numbers and structs, the rest is passed.

    Raises IndexError at the end of the bytes, and ValueError for what is no such struct.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a struct by their numbers."""
        if depth > DEEPEST:
            raise ValueError("structs in structs")
        fields: dict[int, Any] = {}
        number = 0
        while byte := self._byte():
            number = number + (byte >> 4) if byte >> 4 else self._signed()
            fields[number] = self._value(byte & 15, depth)
        return fields

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _unsigned(self) -> int:
        """Return a number of 7 bits a byte, the lowest first."""
        value = shift = 0
        while (byte := self._byte()) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("too long a number")
        return value | byte << shift

    def _signed(self) -> int:
        """Return a number whose lowest bit is its sign."""
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _value(self, of: int, depth: int) -> Any:
        if of in (I16, I32, I64):
            return self._signed()
        if of == STRUCT:
            return self.struct(depth + 1)
        if of in (TRUE, FALSE):
            return None
        if of not in (BYTE, DOUBLE, BINARY):
            raise ValueError("no field of a page's header")
        length = {BYTE: 1, DOUBLE: 8}.get(of) or self._unsigned()
        self.at += length
        if self.at > len(self.data):
            raise IndexError
        return None

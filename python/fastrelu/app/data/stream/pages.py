# SPDX-License-Identifier: BSD-3-Clause
"""How large the pages of a Parquet file are: each is unpacked as a whole, whatever a part needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

HUGE = 1 << 21  # bytes; writers aim at 1 MiB and less
I32 = 5  # the type of a field, in Thrift's compact protocol


def huge_pages(raw: BinaryIO, column: Any) -> Iterator[tuple[int, int]]:
    """Yield the sizes of a column's dictionary and of its first page, where they are huge.

    Parameters
    ----------
    raw : binary file
        The Parquet file.
    column : pyarrow.parquet.ColumnChunkMetaData
        A column of one of its row groups; its other pages are taken to be as its first.

    Yields
    ------
    stored, unpacked : int
        Bytes.
    """
    for place in (column.dictionary_page_offset, column.data_page_offset):
        sizes = None if place is None else _sizes(raw, place)
        if sizes is not None and sizes[1] > HUGE:
            yield sizes


def _sizes(raw: BinaryIO, place: int) -> tuple[int, int] | None:
    """Return the bytes of a page as it is stored, and unpacked; None if no page begins here.

    A page's header begins with three fields of 32 bits: its type, its size unpacked, its size.
    """
    raw.seek(place)
    header = iter(raw.read(18))
    values = []
    for _ in range(3):
        if next(header, None) != 1 << 4 | I32:  # the next field after the one before
            return None
        values.append(_signed(header))
    return None if min(values) < 0 else (values[2], values[1])


def _signed(header: Iterator[int]) -> int:
    """Return a number of 7 bits a byte, the lowest first, whose own lowest bit is its sign."""
    value = 0
    for shift, byte in zip(range(0, 35, 7), header, strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value >> 1 ^ -(value & 1)
    return -1

# SPDX-License-Identifier: BSD-3-Clause
"""The records of a workbook that is no XML (.xls, .xlsb), looked at before a library reads them.

The library makes room for all cells up to the last one, for a shared text in every cell that refers
to it, and follows sectors in a circle for ever, which ends the process.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastrelu import machine
from fastrelu.app.data.readers import excel_parts
from fastrelu.app.data.readers.excel_parts import check_span, refuse, require_room

OLE, CUTOFF = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 4096
END_OF_CHAIN, RESERVED = 0xFFFFFFFE, 0xFFFFFFFA
BOOKS = ("Workbook", "Book", "WORKBOOK", "BOOK")  # the stream's name, in the library's order
BOF, EOF, BOUND_SHEET, DIMENSIONS, MUL_RK = 0x0809, 0x000A, 0x0085, 0x0200, 0x00BD
SHARED_TEXTS, CONTINUE, LABEL_SST, PASSWORD = 0x00FC, 0x003C, 0x00FD, 0x002F
XLS_CELLS = frozenset((0x0006, 0x0203, 0x0204, 0x0205, 0x00D6, 0x027E, LABEL_SST))
XLSB_BOOK, XLSB_TEXTS = "xl/workbook.bin", "xl/sharedstrings.bin"
XLSB_OTHERS = ("xl/workbook.bin", "xl/styles.bin")  # that the library reads as well
XLSB_SHEET = re.compile(r"xl/(?:worksheets|chartsheets|dialogsheets)/")
XLSB_ROW, XLSB_SHARED, XLSB_TEXT = 0, 7, 19
XLSB_CELLS = range(2, 11)
NEEDED = 64  # bytes of a record that are looked at, with its type and length


def check_xls(path: str, content: str | io.BytesIO) -> None:
    """Look at the records of an .xls; any other file is passed over.

    Parameters
    ----------
    path : str
        For messages.
    content : str or BytesIO
        The file, or what is in it.

    Raises
    ------
    DataError
        If it is damaged, or a sheet has a cell so far out that all up to it take too much memory.
    """
    if isinstance(content, str):
        with open(content, "rb") as opened:
            data = opened.read() if opened.read(len(OLE)) == OLE and not opened.seek(0) else b""
    else:
        data = content.getvalue()
    if data.startswith(OLE):
        try:
            _check_xls(path, data)
        except (struct.error, IndexError):
            refuse(path, "its sectors or records are damaged")


# .xls: streams in chains of sectors, as in a small file system


class _Sectors:
    """Sectors of equal size, the table that tells which one follows each, and their chains."""

    def __init__(self, path: str, data: memoryview, size: int) -> None:
        self.path, self.data, self.size = path, data, size
        self.next: array[int] = array("I")

    def chain(self, first: int, length: int | None = None) -> bytes:
        """Return the content of the chain that begins so, up to `length`."""
        self.refuse_circle(first)  # also behind `length`, as the library goes on to the end
        pieces, sector = [], first
        while sector != END_OF_CHAIN:
            piece = self.data[sector * self.size : (sector + 1) * self.size]
            if not piece:
                refuse(self.path, "its sectors lie outside of the file")
            pieces.append(piece)
            sector = self.next[sector]
        return b"".join(pieces)[:length]

    def refuse_circle(self, first: int) -> None:
        """Refuse a chain that has no end."""
        sector, steps = first, 0
        while sector < len(self.next):
            sector, steps = self.next[sector], steps + 1
            if steps > len(self.next):
                refuse(self.path, "its sectors go in a circle")


def _check_xls(path: str, data: bytes) -> None:
    stream = _book(path, data)
    if stream is None:
        return
    starts, before = [], EOF
    texts: list[bytes] = []
    for kind, at, length in _xls_records(path, stream, 0):
        if kind == BOUND_SHEET and length >= 4:
            starts.append(struct.unpack_from("<I", stream, at)[0])
        elif kind == PASSWORD and struct.unpack_from("<H", stream, at)[0]:
            return  # the library says so, before it reads what is encrypted
        elif kind == SHARED_TEXTS:
            texts = [stream[at + 8 : at + length]]  # behind how many they are
        elif kind == CONTINUE and before == SHARED_TEXTS:
            texts.append(stream[at : at + length])
            continue
        elif kind == EOF:
            break
        before = kind
    lengths = _Texts(path, texts).lengths()
    there = machine.memory()
    span = filled = walked = n_bytes = 0
    for start in starts:
        sheet = _xls_sheet(path, stream, start, lengths)
        filled, walked = filled + sheet.filled, walked + sheet.size
        check_span(path, sheet.rows, sheet.columns, filled, span)
        span += sheet.rows * sheet.columns
        n_bytes += sheet.text_bytes
        require_room(path, n_bytes, there)
        if walked > 2 * len(stream):
            refuse(path, "its sheets lie over each other")


def _book(path: str, data: bytes) -> bytes | None:
    """Return the stream of the workbook; None if there is none."""
    size = {9: 512, 12: 4096}.get(struct.unpack_from("<H", data, 30)[0])
    if size is None:
        return None
    n_fat, first = struct.unpack_from("<II", data, 44)
    first_mini, n_mini, first_more = struct.unpack_from("<III", data, 60)
    sectors = _Sectors(path, memoryview(data)[size:], size)
    if max(n_fat, n_mini) > len(data) // size:
        refuse(path, "more sectors are claimed than it has")
    table = list(struct.unpack_from("<109I", data, 76))
    while first_more < RESERVED:
        more = sectors.data[first_more * size : (first_more + 1) * size]
        table += struct.unpack(f"<{size // 4}I", more)
        first_more = table.pop()
        if len(table) > len(data) // 4 + 109:
            refuse(path, "its sectors go in a circle")
    for sector in table:
        if sector < RESERVED:
            sectors.next.frombytes(_whole(sectors.data[sector * size : (sector + 1) * size]))
    entries = sectors.chain(first)
    found = {_entry_name(entries, at): at for at in reversed(range(0, len(entries) - 127, 128))}
    root, root_length = struct.unpack_from("<II", entries, 116)
    for start in (root, first_mini):  # where they are empty, too
        sectors.refuse_circle(start)
    mini = _Sectors(path, memoryview(sectors.chain(root, root_length) if root_length else b""), 64)
    if n_mini:
        mini.next.frombytes(_whole(sectors.chain(first_mini, n_mini * size)))
    for at in found.values():  # the library may read others, too: macros
        start, length = struct.unpack_from("<II", entries, at + 116)
        (sectors if length >= CUTOFF else mini).refuse_circle(start)
    at = next((found[name] for name in BOOKS if name in found), -1)
    if at < 0:
        return None
    start, length = struct.unpack_from("<II", entries, at + 116)
    return (sectors if length >= CUTOFF else mini).chain(start, length)


def _whole(data: bytes | memoryview) -> bytes:
    """Return as many bytes as make whole numbers of four."""
    return bytes(data[: len(data) // 4 * 4])


def _entry_name(entries: bytes, at: int) -> str:
    return entries[at : at + 64].decode("utf-16-le", "replace").partition("\0")[0]


def _xls_records(path: str, stream: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield the kind of each record, where its data begin, and their length."""
    while at < len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        if at + 4 + length > len(stream):
            refuse(path, "a record is longer than what is there")
        yield kind, at + 4, length
        at += 4 + length


class _Sheet(NamedTuple):
    """What a sheet of an .xls has: `rows` and `columns` may be claimed."""

    rows: int
    columns: int
    filled: int
    text_bytes: int  # of the shared texts that its cells refer to
    size: int  # of its records


def _xls_sheet(path: str, stream: bytes, start: int, lengths: array[int]) -> _Sheet:
    """Look at the records of a sheet; `lengths`: of the shared texts."""
    rows = columns = filled = depth = text_bytes = 0
    claims: list[tuple[int, int]] = []
    at, seen = start, False
    for kind, at, length in _xls_records(path, stream, start):
        if kind == BOF:
            depth, seen = depth + seen, True
        elif kind == EOF:
            if not depth:
                break
            depth -= 1
        elif depth:
            continue
        elif kind in XLS_CELLS or kind == MUL_RK:
            row, column = struct.unpack_from("<HH", stream, at)
            if kind == MUL_RK:
                filled += max(length - 6, 0) // 6
                column = struct.unpack_from("<H", stream, at + length - 2)[0]
            else:
                filled += 1
            if kind == LABEL_SST and length >= 10:
                text = struct.unpack_from("<I", stream, at + 6)[0]
                text_bytes += lengths[text] if text < len(lengths) else 0
            rows, columns = max(rows, row + 1), max(columns, column + 1)
        elif kind == DIMENSIONS and length in (10, 14):
            form = "<HHHH" if length == 10 else "<IIHH"
            claims.append(_claimed(*struct.unpack_from(form, stream, at)))
    rows, columns = max((*claims, (rows, columns)), key=lambda pair: pair[0] * pair[1])
    return _Sheet(rows, columns, filled, text_bytes, at - start)


class _Texts:
    """The shared texts: a record, and those that go on with it, which may cut a text in two."""

    def __init__(self, path: str, pieces: Sequence[bytes]) -> None:
        self.path, self.pieces = path, iter(pieces)
        self.piece, self.at = b"", 0

    def lengths(self) -> array[int]:
        """Return how many characters each has."""
        lengths = array("q")
        while self._more():
            length, flags = struct.unpack_from("<HB", self.piece, self.at)
            self.at += 3
            behind = 0  # of formats and other marks
            if flags & 8:
                behind = 4 * struct.unpack_from("<H", self.piece, self.at)[0]
                self.at += 2
            if flags & 4:
                behind += struct.unpack_from("<I", self.piece, self.at)[0]
                self.at += 4
            self._skip_text(length, flags & 1)
            self._skip(behind)
            lengths.append(length)
        return lengths

    def _more(self) -> bool:
        """Return whether anything follows; go to the next record at the end of this one."""
        while self.at >= len(self.piece):
            following = next(self.pieces, None)
            if following is None:
                return False
            self.piece, self.at = following, 0
        return True

    def _skip_text(self, length: int, wide: int) -> None:
        """Pass over characters of one byte, or of two."""
        while length:
            here = min(length, (len(self.piece) - self.at) >> wide)
            self.at += here << wide
            length -= here
            if length:
                self.at = len(self.piece)
                self._require_more()
                wide = self.piece[0] & 1  # the second part of a text says it anew
                self.at = 1

    def _skip(self, n_bytes: int) -> None:
        while n_bytes:
            self._require_more()
            here = min(n_bytes, len(self.piece) - self.at)
            self.at += here
            n_bytes -= here

    def _require_more(self) -> None:
        if not self._more():
            refuse(self.path, "a text is longer than what is there")


def _claimed(first: int, end: int, left: int, right: int) -> tuple[int, int]:
    """Return the rows and columns of a sheet's dimensions, as the library counts them.

    Its numbers of 32 bits begin anew below 0.
    """
    if not end or not right:
        return 1, 1
    return (end - first) % 2**32, right - (left if left <= min(right, 0xFF) else 0)


# .xlsb: an archive whose parts are records


def check_xlsb(path: str, file: zipfile.ZipFile) -> None:
    """Look at the records of an .xlsb, as `check_xls` does; any other archive is passed over."""
    parts = [(info.filename.replace("\\", "/").lower(), info) for info in file.infolist()]
    if all(name != XLSB_BOOK for name, _ in parts):
        return
    lengths = array("q")
    for name, info in parts:
        if name == XLSB_TEXTS:
            records = _xlsb_records(f"{path}: {info.filename}", file, info)
            lengths.extend(length for kind, length, _ in records if kind == XLSB_TEXT)
        elif name in XLSB_OTHERS:  # for the lengths that their records claim
            for _ in _xlsb_records(f"{path}: {info.filename}", file, info):
                pass
    there = machine.memory()
    for name, info in parts:
        if XLSB_SHEET.match(name) and not name.endswith(".rels"):
            needed = _xlsb_sheet(f"{path}: {info.filename}", file, info, lengths)
            require_room(path, needed, there)


def _xlsb_sheet(
    where: str, file: zipfile.ZipFile, info: zipfile.ZipInfo, lengths: array[int]
) -> int:
    """Look at a sheet, and return the length of the shared texts that its cells refer to."""
    row = rows = columns = filled = total = 0
    column = -1
    for kind, length, data in _xlsb_records(where, file, info):
        if kind == XLSB_ROW:
            following = int.from_bytes(data[:4], "little") + 1
            if length < 4 or following > excel_parts.MOST_ROWS:
                refuse(where, f"{following:,} is no row of a sheet")
            if following <= row:
                refuse(where, f"row {following:,} stands behind row {row:,}")
            row, column = following, -1
        elif kind in XLSB_CELLS:
            before, column = column, int.from_bytes(data[:4], "little")
            if length < 9 or not row or not before < column < excel_parts.MOST_COLUMNS:
                refuse(where, f"a cell of row {row:,} stands where no cell can stand")
            filled, rows, columns = filled + 1, row, max(columns, column + 1)
            if kind == XLSB_SHARED:
                text = int.from_bytes(data[8:12], "little")
                total += lengths[text] if text < len(lengths) else 0
    check_span(where, rows, columns, filled)
    return total


def _xlsb_records(
    where: str, file: zipfile.ZipFile, info: zipfile.ZipInfo
) -> Iterator[tuple[int, int, bytes]]:
    """Yield the kind of each record, its length, and its first bytes."""
    data, at = b"", 0
    with file.open(info) as part:
        while True:
            if len(data) - at < NEEDED:
                data, at = data[at:] + part.read(excel_parts.PIECE), 0
            if not data[at:]:
                return
            try:
                kind, at = _varying(data, at, 2)
                length, at = _varying(data, at, 4)
            except IndexError:
                refuse(where, "it ends within a record")
            yield kind, length, data[at : at + min(length, 16)]
            at += length
            while at > len(data):
                at -= len(data)
                data = part.read(excel_parts.PIECE)
                if not data:
                    refuse(where, "a record is longer than what is there")


def _varying(data: bytes, at: int, most: int) -> tuple[int, int]:
    """Return a number of up to so many bytes of seven bits, and where the next one begins."""
    number = 0
    for k in range(most):
        number += (data[at + k] & 0x7F) << 7 * k
        if data[at + k] < 0x80:
            return number, at + k + 1
    return number, at + most

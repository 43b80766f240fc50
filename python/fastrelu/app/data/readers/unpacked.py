# SPDX-License-Identifier: BSD-3-Clause
"""Packed files, which are read as a whole: refused as soon as they hold more than the machine."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from fastrelu import machine
from fastrelu.app.errors import DataError

COPIES = 2.5  # what data in memory take: as read, and as the network reads them
PIECE = 1 << 20  # bytes
NUMBER = 8  # bytes of a number, or of a reference to a text
SEPARATORS = (b",", b";", b"\t", b"|")


def require_memory(path: str, what: str, needed: float, there: float | None = None) -> None:
    """Raise DataError if data that are read as a whole need more memory than there is.

    Parameters
    ----------
    path, what : str
        The file, and what it is, for the message.
    needed, there : float
        Bytes, and those that there are; by default what the machine says now.
    """
    there = machine.memory() if there is None else there
    if needed > there:
        raise DataError(
            f"{path}: {what} read into memory, which takes about {needed / 1e9:.1f} GB or more, "
            f"and there are {there / 1e9:.1f} GB for it; Parquet, C-ordered NPY and text files "
            "that are not packed are read in blocks: unpack or convert it"
        )


def whole_text(path: str, head: bytes) -> Callable[[int], None]:
    """Return what refuses a packed text whose bytes, as far as they are unpacked, are too many.

    Each of its cells becomes a number or a reference to a text.

    Parameters
    ----------
    path : str
        For the message.
    head : bytes
        What it begins with, unpacked, which tells the cells in so many bytes.
    """
    marks = max(head.count(mark) for mark in SEPARATORS)
    cells = (marks + head.count(b"\n")) / len(head)
    there = machine.memory()  # which takes longer to find out than to unpack a piece

    def check(n_bytes: int) -> None:
        needed = COPIES * n_bytes * max(1.0, NUMBER * cells)
        require_memory(path, "packed text is", needed, there)

    return check


class Streams(io.RawIOBase):
    """The content of all packed streams of a file, which stand one behind another.

    What Python's own files do not understand behind the first stream they leave out without a
    word, such as a second one whose first bytes are damaged; zeros are padding.

    Parameters
    ----------
    file : binary file
        Gives the packed bytes.
    begin : callable
        Gives what unpacks a stream: a BZ2Decompressor or LZMADecompressor.
    """

    def __init__(self, file: BinaryIO, begin: Callable[[], Any]) -> None:
        self._file, self._begin = file, begin
        self._stream: Any = None
        self._rest = b""

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer`, and return with how many bytes; 0 at the end."""
        while True:
            if self._stream is None and not self._next():
                return 0
            packed = b""
            if self._stream.needs_input:
                packed, self._rest = self._rest or self._file.read(PIECE), b""
                if not packed:
                    raise EOFError("the file ends before the end of a stream")
            piece = self._stream.decompress(packed, len(buffer))
            if self._stream.eof:
                self._rest, self._stream = self._stream.unused_data, None
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)

    def _next(self) -> bool:
        """Begin the next stream, if there is one."""
        while not (rest := self._rest.lstrip(b"\0")):
            self._rest = self._file.read(PIECE)
            if not self._rest:
                return False
        self._rest, self._stream = rest, self._begin()
        return True

    def readable(self) -> bool:
        """Return True."""
        return True


class Unpacked(io.BufferedIOBase):
    """The content of a packed file, whose bytes are counted as they are unpacked.

    How many they are is known at the end alone: gzip says it modulo 2^32, others do not.

    Parameters
    ----------
    file : binary file
        Gives them.
    check : callable
        Takes how many have been read, and raises DataError if they are too many.
    """

    def __init__(self, file: BinaryIO, check: Callable[[int], None]) -> None:
        self._file, self._check = file, check
        self._at, self._next = 0, PIECE

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, fewer only at the end; all there are without a number."""
        if size is None or size < 0 or size > PIECE:
            return self._read_pieces(None if size is None or size < 0 else size)
        return self._counted(self._file.read(size))

    def _read_pieces(self, left: int | None) -> bytes:
        whole = io.BytesIO()
        while left is None or left > 0:
            piece = self._counted(self._file.read(PIECE if left is None else min(PIECE, left)))
            if not piece:
                break
            whole.write(piece)
            left = None if left is None else left - len(piece)
        return whole.getvalue()

    def _counted(self, data: bytes) -> bytes:
        self._at += len(data)
        if self._at >= self._next:
            self._check(self._at)
            self._next = self._at + PIECE
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """Return some bytes."""
        return self.read(PIECE if size < 0 else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte."""
        self._at = self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """Return which byte is read next."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether one may go to any byte."""
        return self._file.seekable()

# SPDX-License-Identifier: BSD-3-Clause
"""NPY files and the arrays of NPZ files; no more is read than their headers announce."""

from __future__ import annotations

import io
import math
import os
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.files import Source
from fastrelu.app.errors import DataError

NPY = b"\x93NUMPY"
PIECE = 1 << 22  # bytes
LONGEST_HEADER = 10_000  # bytes, as NumPy has it
MOST_DIMENSIONS = 32  # as every NumPy can have
#: What headers consist of: texts, brackets, numbers and three words.
PLAIN = re.compile(rb"""(?:'[^'\\]*'|"[^"\\]*"|[\s{}()\[\],:0-9L]|True|False|None)*""")


@dataclass(frozen=True)
class Header:
    """What an NPY header announces.

    Attributes
    ----------
    shape : tuple of int
    fortran : bool
        Whether the array lies column by column.
    dtype : dtype
    offset : int
        Of the first value in the file, in bytes; 0 in a stream that does not know its place.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def by_rows(self) -> bool:
        """Whether the rows lie one after another."""
        return bool(self.shape) and not (self.fortran and len(self.shape) > 1)


def read_header(file: Any, path: str) -> Header:
    """Return the header at the start of an open file.

    Raises
    ------
    DataError
        If there is none, or the array holds Python's objects.
    """
    form = np.lib.format
    try:
        version = form.read_magic(file)
        read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"NPY version {version}: save it again with names of ASCII letters")
        # NumPy refuses a header as long only when it has read it.
        length = file.read(2 if version == (1, 0) else 4)
        if int.from_bytes(length, "little") > LONGEST_HEADER:
            raise ValueError(f"a header of {int.from_bytes(length, 'little')} bytes")
        header = file.read(int.from_bytes(length, "little"))
        try:
            shape, fortran, dtype = read(io.BytesIO(length + header))
        except MemoryError:
            # Python's parser raises it, too, for what is nested deeply, such as many minus signs.
            if PLAIN.fullmatch(header):
                raise
            raise ValueError("a header that is no description of an array") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged header raises nearly anything
        raise DataError(f"{path}: cannot be read as NPY ({_reason(error)})") from None
    if dtype.hasobject:
        raise DataError(
            f"{path}: an array of Python's objects, which need not be safe to load; save numbers "
            "or text: array.astype(float)"
        )
    offset = file.tell() if file.seekable() else 0
    header = Header(tuple(map(int, shape)), bool(fortran), dtype, offset)
    check_shape(header.shape, dtype, path)
    return header


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any], path: str) -> None:
    """Check that NumPy can have an array of this shape, which a file announces.

    An array without values may not be of any size: (0, 2**32, 2**32) is refused, too.

    Raises
    ------
    DataError
        If it cannot.
    """
    n_bytes = math.prod(n for n in shape if n) * dtype.itemsize
    if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0 or n_bytes > sys.maxsize:
        raise DataError(
            f"{path}: expected a shape that an array can have (at most {MOST_DIMENSIONS} sizes, "
            f"none below 0, {sys.maxsize} bytes), got {shape} of {dtype}"
        )
    if dtype.itemsize == 0 and dtype.names is None:
        raise DataError(f"{path}: expected numbers or text, got values of no bytes ({dtype.str})")


def read_npy(source: Source) -> NDArray[Any]:
    """Return the array in an NPY file; a memory map of it if the file is not compressed.

    Raises
    ------
    DataError
        If it cannot be read, or has fewer or more bytes than its header announces.
    """
    with source.open() as file:
        header = read_header(file, source.path)
        if not source.mappable:
            return _array(header, announced(file, header.n_bytes, source.path, _what(header)))
    there = os.path.getsize(source.path) - header.offset
    if there != header.n_bytes:
        raise _other_length(source.path, _what(header), header.n_bytes, there)
    if not header.n_bytes:
        return np.empty(header.shape, header.dtype)
    order: Any = "F" if header.fortran else "C"
    return np.memmap(source.path, header.dtype, "r", header.offset, header.shape, order)


def _what(header: Header) -> str:
    return f"shape {header.shape} of {header.dtype}"


def _array(header: Header, values: bytearray) -> NDArray[Any]:
    flat = np.frombuffer(values, header.dtype)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def announced(file: BinaryIO, n: int, path: str, what: str) -> bytearray:
    """Return the rest of a file, which should have n bytes; no more than that is read.

    Raises
    ------
    DataError
        If it has fewer or more.
    """
    content = bytearray()
    while len(content) < n:  # a claim alone takes no memory
        piece = file.read(min(PIECE, n - len(content)))
        if not piece:
            raise _other_length(path, what, n, len(content))
        content += piece
    if file.read(1):
        raise _other_length(path, what, n, None)
    return content


def _other_length(path: str, what: str, n: int, there: int | None) -> DataError:
    got = "more" if there is None else f"{there}"
    end = "cut short or damaged" if there is not None and there < n else "damaged, or two in one"
    return DataError(f"{path}: expected {n} bytes for {what}, got {got}; the file is {end}")


class Npz:
    """The arrays of an NPZ file, read one by one.

    Parameters
    ----------
    source : Source
        A ZIP archive.

    Raises
    ------
    DataError
        If it is damaged.
    """

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        with self._open() as file:
            self.members: dict[str, str] = {}
            for member in file.namelist():
                name = member.removesuffix(".npy")
                if name in self.members:
                    raise DataError(
                        f"{self.path}: two arrays {name!r}; which of them is meant is not said"
                    )
                self.members[name] = member

    def _open(self) -> zipfile.ZipFile:
        try:
            if self._source.mappable:
                return zipfile.ZipFile(self._source.path)
            return zipfile.ZipFile(io.BytesIO(self._source.read()))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(
                f"{self.path}: cannot be read as NPZ: damaged or cut short ({_reason(error)})"
            ) from None

    def read(self, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Return the arrays of these names.

        Raises
        ------
        DataError
            If one is damaged, or is no array.
        """
        with self._open() as file:
            return {name: self._array(file, name) for name in names}

    def _array(self, file: zipfile.ZipFile, name: str) -> NDArray[Any]:
        path = f"{self.path}: array {name!r}"
        try:
            with file.open(self.members[name]) as member:
                header = read_header(member, path)
                content = announced(member, header.n_bytes, path, _what(header))  # type: ignore[arg-type]
                return _array(header, content)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # zipfile and its decompressors raise what they meet
            raise DataError(f"{path}: damaged or cut short ({_reason(error)})") from None

    def shown(self) -> str:
        """Return the names and shapes of the arrays, for messages."""
        parts = []
        with self._open() as file:
            for name in list(self.members)[:12]:
                try:
                    with file.open(self.members[name]) as member:
                        shape = read_header(member, self.path).shape
                    parts.append(f"{name} {shape}")
                except Exception:
                    parts.append(f"{name} (no array)")
        more = ", ..." if len(self.members) > 12 else ""
        return ", ".join(parts) + more or "none"


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

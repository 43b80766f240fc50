# SPDX-License-Identifier: BSD-3-Clause
"""NPY matrices (and memory maps saved as such), some rows at a time, by read()."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.readers.arrays import arrays_table, split_matrix, target_file
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.files import reading
from fastrelu.app.data.readers.npy import read_header
from fastrelu.app.data.readers.several import choose_columns, refuse_lacking
from fastrelu.app.data.stream.budget import part_rows
from fastrelu.app.data.stream.source import Chunk, chunks_of, files_fingerprint
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class NpyFile:
    """Where an array lies in its file.

    Attributes
    ----------
    path : str
    shape : tuple of int
    dtype : dtype
    offset : int
        Of the first byte.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, first: int, n: int) -> NDArray[Any]:
        """Read some rows, (n, ...).

        Raises
        ------
        DataError
            If the file is shorter than its header says.
        """
        array = np.empty((n, *self.shape[1:]), self.dtype)
        with reading(self.path), open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset + first * self.row_bytes)
            view = memoryview(array.reshape(-1).view(np.uint8).data)
            while len(view):
                count = file.readinto(view)
                if not count:
                    raise DataError(f"{self.path}: cut short: {self.shape[0]} rows are announced")
                view = view[count:]
        return array


def npy_file(path: str) -> NpyFile | None:
    """Return where a file's array lies; None if it cannot be read by rows."""
    try:
        with open(path, "rb") as file:
            header = read_header(file, path)
    except (OSError, DataError):
        return None  # told by the reader of whole files
    if not header.by_rows or header.dtype.names:
        return None
    return NpyFile(path, header.shape, header.dtype, header.offset)


class NpyStream:
    """Matrices with equally long rows, and perhaps a file of their targets; a chunk is 4 MiB.

    Parameters
    ----------
    files : sequence of NpyFile
        The matrices, in order; a last file of one number a row holds the targets.
    choice : ColumnChoice
        What each column is.
    memory : int
        Bytes that may be used.

    Raises
    ------
    DataError
        If the files do not fit together.
    """

    reading: Reading | None = None

    def __init__(self, files: Sequence[NpyFile], choice: ColumnChoice, memory: int) -> None:
        self.choice, self.files = choice, list(files)
        self.y: NpyFile | None = None
        self.column: str | None = None
        k = target_file([f.path for f in files], [f.shape for f in files], choice, True)
        if k is not None:
            self.y = self.files.pop(k)
            self.column = None if choice.target == "labels" else choice.target
            if self.column is not None and math.prod(self.y.shape[1:]) < 2:
                raise DataError(f"{self.y.path}: holds the target already; --target does not fit")
        first = self.files[0]
        for file in self.files:
            if (file.shape[1:], file.dtype) != (first.shape[1:], first.dtype):
                raise DataError(
                    f"{file.path}: expected rows of {first.shape[1:]} {first.dtype}, as in "
                    f"{first.path}, got {file.shape[1:]} {file.dtype}"
                )
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        self.source = first.path + more
        self.raw_row_bytes = float(first.row_bytes + 8)
        self.part_rows = part_rows(self.raw_row_bytes, memory)
        self.reading_bytes = 0
        each = max(1, CHUNK_BYTES // first.row_bytes)
        self.chunks = chunks_of(
            [
                (f.path, [min(each, f.shape[0] - at) for at in range(0, f.shape[0], each)])
                for f in self.files
            ]
        )
        self.n_rows = sum(chunk.n_rows for chunk in self.chunks)
        if self.y is not None and self.y.shape[0] != self.n_rows:
            raise DataError(
                f"{self.y.path}: expected one target for each of {self.n_rows} rows, got shape "
                f"{self.y.shape}"
            )
        self._by_path = {file.path: file for file in self.files}
        example = self._table(self.chunks[0], 0, 1)
        refuse_lacking(example, choice)
        self.names = example.matrix_names or []
        self.target_name = example.target_name
        self.notes = list(example.notes)

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield a chunk's rows, some at a time; see `Stream.parts`."""
        for at in range(0, chunk.n_rows, self.part_rows):
            yield self._table(chunk, at, min(self.part_rows, chunk.n_rows - at))

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield a chunk's targets, some at a time; those in a column of the matrix with it."""
        if self.y is None:
            yield from self.parts(chunk)
            return
        for at in range(0, chunk.n_rows, self.part_rows):
            n = min(self.part_rows, chunk.n_rows - at)
            yield self._of_two(chunk, at, np.zeros((n, 1), np.uint8))

    def _table(self, chunk: Chunk, at: int, n: int) -> Table:
        in_file = chunk.row_in_file + at
        X = self._by_path[chunk.path].rows(in_file, n)
        if self.y is None:
            table = split_matrix(chunk.path, X, self.choice, first_row=in_file)
        else:
            table = self._of_two(chunk, at, X)
        return replace(choose_columns(table, self.choice), first_row=in_file)

    def _of_two(self, chunk: Chunk, at: int, X: NDArray[Any]) -> Table:
        """Return the table of some rows of a chunk, with their targets from the file of those."""
        assert self.y is not None
        first = chunk.first_row + at
        table = arrays_table(
            chunk.path, X, self.y.rows(first, len(X)), target_name="labels",
            target_source=self.y.path, column=self.column, first_row=first,
        )  # fmt: skip
        return replace(table, first_row=chunk.row_in_file + at)

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells these files from others, without reading all of them."""
        paths = [file.path for file in (*self.files, *([self.y] if self.y else []))]
        inputs = [f"{len(self.names)} inputs"]
        return files_fingerprint(self.n_rows, inputs, self.target_name, paths)

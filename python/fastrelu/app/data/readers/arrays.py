# SPDX-License-Identifier: BSD-3-Clause
"""Arrays: NPZ with X and y, NPY matrices, and the table that inputs and targets make."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.idx import is_idx, read_idx
from fastrelu.app.data.readers.values import (
    as_target,
    as_weights,
    refuse_nan_target,
    row_number,
)
from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.errors import DataError

NPY, ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")


def read_npy(source: Source) -> NDArray[Any]:
    """Return the array in an NPY file; a memory map of it if the file is not compressed.

    Raises
    ------
    DataError
        If it cannot be read, or does not hold numbers or text.
    """
    try:
        if source.mappable:
            array = np.load(source.path, mmap_mode="r", allow_pickle=False)
        else:
            array = np.load(io.BytesIO(source.read()), allow_pickle=False)
    except Exception as error:  # a damaged header raises nearly anything
        raise DataError(f"{source.path}: cannot be read as NPY ({_reason(error)})") from None
    return np.asanyarray(array)


def read_npz(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table of an NPZ file's arrays X and y (or the one that --target names)."""
    path, name = source.path, choice.target or "y"
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with np.load(io.BytesIO(source.read()), allow_pickle=False) as file:
            there = list(file.files)
            for wanted in ("X", name, choice.weights, *choice.extra):
                if wanted in there:
                    arrays[str(wanted)] = file[str(wanted)]
    except Exception as error:  # a damaged header raises nearly anything
        raise DataError(f"{path}: cannot be read as NPZ ({_reason(error)})") from None
    if "[Content_Types].xml" in there:
        raise DataError(f"{path}: an Excel workbook or other Office file; save the sheet as CSV")
    needed = ["X", *([name, choice.weights, *choice.extra] if need_target else [])]
    for wanted in needed:
        if wanted is not None and wanted not in arrays:
            raise DataError(
                f"{path}: no array {wanted!r}; the file has {', '.join(there) or 'none'}"
            )
    X = arrays["X"]
    table = arrays_table(path, X, arrays.get(name), target_name=name)
    place, weights = row_number(), None
    if choice.weights in arrays:
        assert choice.weights is not None
        values = one_a_row(path, choice.weights, arrays[choice.weights], len(X))
        weights = as_weights(path, choice.weights, values, place)
    extra = {
        n: as_target(path, n, one_a_row(path, n, arrays[n], len(X)), place)
        for n in choice.extra
        if n in arrays
    }
    return replace(table, weights=weights, extra=extra)


def read_arrays(sources: Sequence[Source], choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table of IDX and NPY files: inputs, then, in a file of its own, the targets.

    Several files of inputs are put one after the other. Without a file of targets the target is a
    column of a matrix: `choice.target` is its number, -1 the last, as by default.
    """
    read = [read_idx(s) if is_idx(s.head) else read_npy(s) for s in sources]
    path = sources[0].path
    y = None
    if len(read) > 1 and (read[-1].ndim == 1 or read[-1].shape[1:] == (1,)):
        y = read.pop()
    inputs = [check_matrix(s.path, "X", X) for s, X in zip(sources, read, strict=False)]
    for source, X in zip(sources, inputs, strict=False):
        if X.shape[1] != inputs[0].shape[1]:
            raise DataError(
                f"{source.path}: expected {inputs[0].shape[1]} numbers a row, as in {path}, got "
                f"{X.shape[1]}"
            )
    X = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
    if y is not None:
        if choice.target not in (None, "labels"):
            raise DataError(f"{sources[-1].path}: holds the target already; --target does not fit")
        return arrays_table(path, X, y, target_name="labels", target_source=sources[-1].path)
    images = is_idx(sources[0].head)
    if images and len(sources) > 1:
        raise DataError(
            f"{sources[-1].path}: expected the labels, one target for each of {len(inputs[0])} "
            f"rows, got shape {inputs[-1].shape}"
        )
    if images and need_target:
        raise DataError(f"{path}: an IDX file of images; expected the file of its labels after it")
    if images or (not need_target and choice.width in (None, X.shape[1])):
        return replace(arrays_table(path, X, None, target_name="labels"), matrix_names=None)
    return split_matrix(path, X, choice)


def split_matrix(path: str, X: NDArray[Any], choice: ColumnChoice) -> Table:
    """Return the table of a matrix that has its target in a column."""
    width = X.shape[1]
    text = "-1" if choice.target in (None, "labels") else str(choice.target)
    try:
        column = int(text)
    except ValueError:
        column = width
    if not -width <= column < width or width < 2:
        raise DataError(
            f"{path}: --target {text}: expected the number of one of {width} columns, from 0, or "
            "the file of the targets after the file of inputs"
        )
    column %= width
    notes = []
    if choice.target is None:
        notes.append(f"target: the last column, number {column} (--target names another)")
    if column == width - 1:
        rest, names = X[:, :-1], NumberedNames("X[", "]", width - 1)
    elif column == 0:
        rest, names = X[:, 1:], NumberedNames("X[", "]", width - 1, 1)
    else:
        rest = np.delete(X, column, axis=1)
        return replace(
            arrays_table(path, rest, X[:, column], target_name=str(column)),
            matrix_names=[f"X[{j}]" for j in range(width) if j != column],
            notes=notes,
        )
    table = arrays_table(path, rest, X[:, column], target_name=str(column))
    return replace(table, matrix_names=names, notes=notes)


def one_a_row(source: str, name: str, values: NDArray[Any], n: int) -> NDArray[Any]:
    """Return an array as (n,); DataError if it has not one value for each of n rows."""
    if values.shape not in ((n,), (n, 1)):
        raise DataError(
            f"{source}: {name}: expected one value for each of {n} rows, got shape {values.shape}"
        )
    return values.reshape(n)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def check_matrix(source: str, name: str, X: NDArray[Any]) -> NDArray[Any]:
    """Return X as (rows, inputs) of a native real dtype.

    Raises
    ------
    DataError
        If it has fewer than two dimensions, or does not hold numbers.
    """
    if X.ndim < 2:
        raise DataError(f"{source}: {name}: expected shape (rows, inputs), got {X.shape}")
    if X.dtype.kind not in "biuf" or X.dtype.itemsize > 8:
        raise DataError(f"{source}: {name}: expected real numbers, got dtype {X.dtype}")
    if X.ndim > 2:
        X = X.reshape(len(X), math.prod(X.shape[1:]))
    if X.dtype.kind == "b" or X.dtype == np.float16:
        return X.astype(np.float32)
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def arrays_table(
    source: str,
    X: NDArray[Any],
    y: NDArray[Any] | None,
    *,
    target_name: str,
    target_source: str | None = None,
) -> Table:
    """Return the table of an array of inputs and one of targets.

    Raises
    ------
    DataError
        If they do not fit together.
    """
    X = check_matrix(source, "X", X)
    if not len(X):
        raise DataError(f"{source}: expected rows of data, got none")
    target = None
    if y is not None:
        where, place = target_source or source, row_number()
        if y.shape not in ((len(X),), (len(X), 1)):
            raise DataError(
                f"{where}: {target_name}: expected one target for each of {len(X)} rows, got "
                f"shape {y.shape}"
            )
        target = as_target(where, target_name, y.reshape(-1), place)
        if target.dtype != object:
            refuse_nan_target(where, target_name, np.isnan(target), place)
    return Table(
        source,
        len(X),
        matrix=X,
        matrix_names=NumberedNames("X[", "]", X.shape[1]),
        target=target,
        target_name=target_name if y is not None else None,
    )

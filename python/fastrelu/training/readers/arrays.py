# SPDX-License-Identifier: BSD-3-Clause
"""Arrays: NPZ with X and y, NPY matrices, and the table that inputs and targets make."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.training.errors import DataError
from fastrelu.training.readers.choice import ColumnChoice
from fastrelu.training.readers.files import Source
from fastrelu.training.readers.values import (
    as_target,
    as_weights,
    refuse_nan_target,
    row_number,
)
from fastrelu.training.table import NumberedNames, Table

NPY, ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
DAMAGED = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, MemoryError)


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
    except DAMAGED as error:
        raise DataError(f"{source.path}: cannot be read as NPY ({_reason(error)})") from None
    return np.asanyarray(array)


def read_npz(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table of an NPZ file's arrays X and y (or the one that --target names)."""
    name = choice.target or "y"
    try:
        with np.load(io.BytesIO(source.read()), allow_pickle=False) as file:
            for wanted in ("X", name) if need_target else ("X",):
                if wanted not in file.files:
                    raise DataError(
                        f"{source.path}: no array {wanted!r}; the file has "
                        f"{', '.join(file.files) or 'none'}"
                    )
            X, y = file["X"], file[name] if name in file.files else None
            weights = _weights(source.path, file, choice, len(X)) if X.ndim else None
    except DAMAGED as error:
        raise DataError(f"{source.path}: cannot be read as NPZ ({_reason(error)})") from None
    return arrays_table(source.path, X, y, target_name=name, weights=weights)


def _weights(path: str, file: Any, choice: ColumnChoice, n: int) -> NDArray[np.float64] | None:
    name = choice.weights
    if name is None or name not in file.files:
        if name is not None and not choice.kinds and choice.width is None:
            raise DataError(f"{path}: --weights: no array {name!r}")
        return None
    values = file[name]
    if values.shape not in ((n,), (n, 1)):
        raise DataError(f"{path}: {name}: expected one weight a row, got shape {values.shape}")
    return as_weights(path, name, values.reshape(-1), row_number())


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
    weights: NDArray[np.float64] | None = None,
) -> Table:
    """Return the table of an array of inputs and one of targets.

    Raises
    ------
    DataError
        If they do not fit together.
    """
    X = check_matrix(source, "X", X)
    names = NumberedNames("X[", "]", X.shape[1])
    target = None
    if y is not None:
        if y.shape not in ((len(X),), (len(X), 1)):
            raise DataError(
                f"{target_source or source}: {target_name}: expected one target for each of "
                f"{len(X)} rows, got shape {y.shape}"
            )
        place = row_number()
        target = as_target(target_source or source, target_name, y.reshape(-1), place)
        if target.dtype != object:
            refuse_nan_target(target_source or source, target_name, np.isnan(target), place)
    return Table(
        source,
        len(X),
        matrix=X,
        matrix_names=names,
        target=target,
        target_name=target_name if y is not None else None,
        weights=weights,
    )

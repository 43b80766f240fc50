# SPDX-License-Identifier: BSD-3-Clause
"""What Python users have in memory, as a table: data frames, columns by name, arrays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError


def table_from(data: Any, source: str = "data") -> Table:
    """Return the table of raw rows in memory, all of their columns inputs.

    Parameters
    ----------
    data : Table, mapping of str to (n,) array, DataFrame, SciPy sparse matrix or (n, p) array
        A frame is anything with `columns` and ``frame[name]``.
    source : str
        Its name in messages.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If a column is of no use, or columns differ in length.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, Mapping) or hasattr(data, "columns"):
        names = list(data if isinstance(data, Mapping) else data.columns)
        columns = {str(n): column_from(source, str(n), data[n]) for n in names}
        lengths = {len(c) for c in columns.values()}
        if len(lengths) != 1 or len(columns) != len(names):
            raise DataError(f"{source}: expected different columns of one length, got {lengths}")
        return Table(source, lengths.pop(), columns)
    if hasattr(data, "tocsr"):
        from scipy import sparse

        matrix = sparse.csr_array(data)
        return Table(source, matrix.shape[0], matrix=matrix)
    X = np.asarray(data)
    if X.dtype == object and X.ndim == 2:
        try:
            X = X.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"{source}: expected an array of numbers; rows with text need columns with names: "
                "a DataFrame or a dict"
            ) from None
    from fastrelu.app.data.readers.arrays import check_matrix

    X = check_matrix(source, "X", X)
    return Table(source, len(X), matrix=X)


def column_from(source: str, name: str, column: Any) -> NDArray[Any]:
    """Return a column as a table holds it: numbers, text (object) or dates.

    Raises
    ------
    DataError
        If it is none of these.
    """
    values = np.asarray(column)
    if values.ndim != 1:
        raise DataError(f"{source}: column {name!r}: expected shape (n,), got {values.shape}")
    if values.dtype.kind in "iuf" and values.dtype.itemsize <= 8:
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    if values.dtype.kind in "UT":
        values = values.astype(object)
    if values.dtype != object:
        raise DataError(
            f"{source}: column {name!r}: expected numbers, text or dates, got {values.dtype}"
        )
    return _from_objects(source, name, values)


def _missing(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return not value
    try:
        return not bool(value == value)
    except TypeError:  # pandas.NA has no truth
        return True


def _from_objects(source: str, name: str, values: NDArray[Any]) -> NDArray[Any]:
    gaps = [_missing(value) for value in values]
    present = [value for value, gap in zip(values, gaps, strict=True) if not gap]
    if all(isinstance(value, str) for value in present) and present:
        tidy = ["" if gap else v.strip() for v, gap in zip(values, gaps, strict=True)]
        return np.array(tidy, object)
    try:
        if present and all(isinstance(value, date | datetime) for value in present):
            moments = [
                np.datetime64("NaT") if gap else np.datetime64(value, "us")
                for value, gap in zip(values, gaps, strict=True)
            ]
            return np.array(moments, "datetime64[us]")
        return np.array([np.nan if gap else float(v) for v, gap in zip(values, gaps, strict=True)])
    except (TypeError, ValueError):
        kinds = sorted({type(value).__name__ for value in present})
        raise DataError(
            f"{source}: column {name!r}: expected numbers, text or dates, got {', '.join(kinds)}"
        ) from None

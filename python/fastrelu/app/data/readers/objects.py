# SPDX-License-Identifier: BSD-3-Clause
"""What Python users have in memory, as a table: frames, Arrow tables, columns, rows, arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.choice import ColumnChoice, tidy_names
from fastrelu.app.data.readers.column import Found
from fastrelu.app.data.readers.files import pyarrow
from fastrelu.app.data.readers.object_types import ObjectColumn
from fastrelu.app.data.readers.values import (
    as_target,
    as_weights,
    refuse_nan_target,
    refuse_width,
    row_number,
)
from fastrelu.app.data.table import Table
from fastrelu.app.errors import NoRowsError, RowsError

FORMS = (
    "a data frame, an Arrow table, a dict of columns, a list of dicts, or an array of shape "
    "(rows, columns)"
)
_SCALARS = (str, bytes, int, float, complex, bool, type(None), np.generic)


def table_from(
    data: Any,
    choice: ColumnChoice | None = None,
    *,
    need_target: bool = False,
    source: str = "data",
) -> Table:
    """Return the table of raw rows in memory.

    Parameters
    ----------
    data : Table, frame, mapping, sequence or array
        A pandas or polars frame, an Arrow table or record batch, a DuckDB relation, or anything
        else that has ``__arrow_c_stream__``; a dict of columns; one row as a dict of values or as
        a pandas Series, several as a list of dicts; a NumPy array, structured or (n, p), or a
        SciPy sparse matrix. An array's columns go by position, all others by name.
    choice : ColumnChoice, optional
        What each column is; all of them are inputs by default. If it has the columns that a model
        was trained on (`order`), those of an array are these, in their order.
    need_target : bool
        Whether there has to be a target.
    source : str
        Its name in messages.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If a column is of no use or is not there, columns differ in length, or the array's width
        does not fit.
    """
    if isinstance(data, Table):
        return data
    choice = choice or ColumnChoice()
    if isinstance(data, np.ma.MaskedArray):
        raise RowsError(
            f"{source}: a masked array; its masked values would be read as numbers: give "
            ".filled(numpy.nan)"
        )
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):  # a lazy frame
        data = data.collect()
    columns = _named_columns(data, choice, source)
    if columns is not None:
        return columns_table(columns, choice, need_target, source)
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return _arrow(data, choice, need_target, source)
    return _array(data, choice, need_target, source)


@dataclass
class Columns:
    """Columns by name, not yet read.

    Attributes
    ----------
    names : list of str
    values : list of array_like, (n_rows,)
    n_rows : int
    index : sequence of str
        Those that are a frame's row labels.
    first_row : int
        The number of the first row, for messages.
    """

    names: list[str]
    values: list[Any]
    n_rows: int
    index: Sequence[str] = ()
    first_row: int = 0


def _named_columns(data: Any, choice: ColumnChoice, source: str) -> Columns | None:
    """Return the columns of a pandas frame, dict, list of dicts or structured array; else None."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _pandas(data, choice, source)
    if pandas is not None and isinstance(data, pandas.Series):
        if not all(isinstance(label, str) for label in data.index):
            raise RowsError(f"{source}: a Series of unnamed values; expected {FORMS}")
        data = data.to_dict()
    if isinstance(data, Mapping):
        return _mapping(data, source)
    if isinstance(data, Sequence) and len(data) and isinstance(data[0], Mapping):
        return _records(data, source)
    if isinstance(data, np.ndarray) and data.dtype.names:
        flat = data.reshape(-1)
        fields = [flat[name] for name in data.dtype.names]
        return Columns(tidy_names(data.dtype.names), fields, len(flat))
    return None


def _pandas(frame: Any, choice: ColumnChoice, source: str) -> Columns | None:
    unnamed = list(frame.columns) == list(range(frame.shape[1]))
    if unnamed and choice.order and not set(map(str, frame.columns)) & set(choice.order):
        return _by_position(
            [frame.iloc[:, j] for j in range(frame.shape[1])], len(frame), choice, source
        )
    names = tidy_names(["" if _is_gap(name) else str(name) for name in frame.columns])
    values = [frame.iloc[:, j] for j in range(frame.shape[1])]
    index = [
        (str(name), level)
        for level, name in enumerate(frame.index.names)
        if name is not None and str(name) not in names
    ]
    values += [frame.index.get_level_values(level) for _, level in index]
    labels = [name for name, _ in index]
    return Columns([*names, *labels], values, len(frame), labels)


def _is_gap(name: Any) -> bool:
    """Return whether a column's name is None or NaN."""
    return name is None or (isinstance(name, float) and name != name)


def _mapping(data: Mapping[Any, Any], source: str) -> Columns:
    if not data:
        raise RowsError(f"{source}: no columns; expected {FORMS}")
    names, values = tidy_names([str(name) for name in data]), list(data.values())
    if all(_is_scalar(value) for value in values):  # one row
        values = [[value] for value in values]
    lengths = []
    for name, value in zip(names, values, strict=True):
        if _is_scalar(value) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
            raise RowsError(
                f"{source}: column {name!r}: expected a column of values, as the others, got "
                f"{str(value)[:40]!r}"
            )
        lengths.append(len(value))
    if len(set(lengths)) > 1:
        other = next(j for j, n in enumerate(lengths) if n != lengths[0])
        raise RowsError(
            f"{source}: expected columns of one length, got {lengths[0]} in {names[0]!r} and "
            f"{lengths[other]} in {names[other]!r}"
        )
    return Columns(names, values, lengths[0])


def _is_scalar(value: Any) -> bool:
    return isinstance(value, _SCALARS) or not hasattr(value, "__iter__")


def _records(rows: Sequence[Any], source: str) -> Columns:
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RowsError(
                f"{source}: row {i + 1}: expected a dict, as the rows before, got "
                f"{type(row).__name__}"
            )
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = [[row.get(name) for row in rows] for name in names]
    return Columns(tidy_names([str(name) for name in names]), values, len(rows))


def _by_position(columns: Sequence[Any], n_rows: int, choice: ColumnChoice, source: str) -> Columns:
    """Return columns without names as those that a model was trained on."""
    refuse_width(source, len(columns), choice.order)
    return Columns(list(choice.order), list(columns), n_rows)


def columns_table(columns: Columns, choice: ColumnChoice, need_target: bool, source: str) -> Table:
    """Return the table of some columns; see `table_from`."""
    roles = choice.roles(source, columns.names, need_target, columns.index)
    if need_target and not columns.n_rows:
        raise NoRowsError(f"{source}: expected rows of data, got none")
    place, found = row_number(columns.first_row), Found(list(roles.notes))
    number = {name: j for j, name in enumerate(columns.names)}

    def read(name: str, role: str = "column") -> NDArray[Any]:
        values = columns.values[number[name]]
        if role == "target":
            _refuse_nan(source, name, values)
        return ObjectColumn.of(source, name, place, choice, role, found).read_or_say(values)

    target = weights = None
    inputs = {name: read(name) for name in roles.inputs}
    if roles.target is not None:
        target = as_target(source, roles.target, read(roles.target, "target"), place)
    if roles.weights is not None:
        weights = as_weights(source, roles.weights, read(roles.weights, "weights"), place)
    return Table(
        source,
        columns.n_rows,
        columns=inputs,
        target=target,
        target_name=roles.target,
        weights=weights,
        extra={name: read(name) for name in roles.extra},
        notes=found.all_notes(),
        reading=found.reading("objects", choice),
        others=roles.others,
        kept={name: _kept(source, name, columns.values[number[name]]) for name in roles.keep},
    )


def _kept(source: str, name: str, values: Any) -> NDArray[Any]:
    """Return a column that is carried along: texts as they stand, other values by their type."""
    texts = any(isinstance(value, (str, bytes)) for value in values)
    return ObjectColumn(source, name, row_number(), "text" if texts else None).read(values)


def _refuse_nan(source: str, name: str, values: Any) -> None:
    """Raise DataError for a NaN in a target of NumPy's floats, which have no other gap."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        refuse_nan_target(source, name, np.isnan(values), row_number())


def _arrow(data: Any, choice: ColumnChoice, need_target: bool, source: str) -> Table:
    """Return the table of what gives Arrow's columns: polars, DuckDB, Arrow itself."""
    from fastrelu.app.data.readers.arrow import (
        arrow_errors,
        arrow_table,
        columns_of,
        refuse_empty_claims,
    )

    pa = pyarrow(f"{source}: {type(data).__module__.split('.')[0]}")
    with arrow_errors(source):
        try:
            arrow = data if isinstance(data, (pa.Table, pa.RecordBatch)) else pa.table(_plain(data))
        except (TypeError, NotImplementedError, pa.ArrowInvalid) as error:  # such as one column
            raise RowsError(f"{source}: {error}; expected {FORMS}") from None
        columns = columns_of(arrow.schema)
        roles = columns.roles(source, choice, need_target)
        refuse_empty_claims(source, arrow)
        if need_target and not arrow.num_rows:
            raise NoRowsError(f"{source}: expected rows of data, got none")
        return arrow_table(source, arrow, choice, roles)


def _plain(data: Any) -> Any:
    """Return a polars frame or DuckDB relation without what Arrow has no type for.

    Integers of 128 bits become their digits, which are read as those of a CSV file.
    """
    polars, duckdb = sys.modules.get("polars"), sys.modules.get("duckdb")
    if polars is not None and isinstance(data, polars.DataFrame):
        wide = [name for name, of in data.schema.items() if str(of) in ("Int128", "UInt128")]
        return data.with_columns(polars.col(name).cast(polars.String) for name in wide)
    if duckdb is not None and isinstance(data, duckdb.DuckDBPyRelation):
        from fastrelu.app.data.readers.database import arrow_of

        return arrow_of(data)
    return data


def _array(data: Any, choice: ColumnChoice, need_target: bool, source: str) -> Table:
    """Return the table of a matrix; of a model's columns by position, if it has any."""
    from fastrelu.app.data.readers.arrays import arrays_table, check_matrix, split_matrix

    if isinstance(data, Iterator):
        raise RowsError(f"{source}: an iterator is read once only; expected {FORMS}")
    try:
        if hasattr(data, "check_format"):  # SciPy's conversions follow damaged places anywhere
            same = type(data)((data.data, data.indices, data.indptr), shape=data.shape)
            same.check_format(full_check=True)  # which replaces the arrays of its object
            if (data.indptr[1:] < data.indptr[:-1]).any():  # not asked where nothing is stored
                raise ValueError("indptr descends")
    except ValueError as error:
        raise RowsError(f"{source}: damaged sparse rows ({error})") from None
    matrix = data.tocsr() if hasattr(data, "tocsr") else _as_array(data, source)
    if matrix.ndim < 2:
        raise RowsError(
            f"{source}: expected rows and columns, got shape {matrix.shape}; one row is a dict of "
            "values, a data frame of one row, or an array of shape (1, columns)"
        )
    if choice.kinds:
        refuse_width(source, matrix.shape[1], choice.order)
        dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        columns = _by_position(list(dense.T), len(dense), choice, source)
        return columns_table(columns, choice, need_target, source)
    if matrix.dtype == object or matrix.dtype.kind in "UST":
        matrix = _numbers(matrix, source)
    if hasattr(matrix, "indptr"):
        from scipy import sparse

        return Table(source, matrix.shape[0], matrix=sparse.csr_array(matrix))
    if need_target:
        return split_matrix(source, check_matrix(source, "X", matrix), choice)
    if choice.width is not None and matrix[:1].size != choice.width:
        raise RowsError(
            f"{source}: expected {choice.width} columns, as in training, got {matrix.shape[1:]}"
        )
    table = arrays_table(source, matrix, None, target_name="labels", need_rows=False)
    return replace(table, matrix_names=None)


def _as_array(data: Any, source: str) -> NDArray[Any]:
    try:
        return np.asarray(data)
    except ValueError as error:  # rows of unequal lengths
        raise RowsError(f"{source}: {error}; expected {FORMS}") from None


def _numbers(matrix: NDArray[Any], source: str) -> NDArray[Any]:
    try:
        return matrix.astype(np.float64)
    except (TypeError, ValueError):
        raise RowsError(
            f"{source}: expected an array of numbers; rows with text need columns with names: a "
            "data frame or a dict of columns"
        ) from None

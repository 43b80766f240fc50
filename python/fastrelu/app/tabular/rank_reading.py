# SPDX-License-Identifier: BSD-3-Clause
"""Read the rows of a fit that ranks make together, as one process reads all of them.

What a column is, is told from all its values: those of all ranks meet on one rank, are read there,
and go back to the ranks that they are of.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.readers.choice import tidy_names
from fastrelu.app.data.table import Table
from fastrelu.app.tabular.by_column import by_column
from fastrelu.app.tabular.rank_table import RankTable
from fastrelu.app.tabular.ranks import Form, joined, plain, require_alike
from fastrelu.app.tabular.rows import (
    as_columns,
    checked_numbers,
    choice_of,
    number_table,
    read,
    require_rows,
)
from fastrelu.distributed import Communicator
from fastrelu.distributed.communicator import together

__all__ = ["training_table_of_ranks"]

LENIENT = ColumnChoice(lenient=True)


def training_table_of_ranks(
    comm: Communicator, estimator: Any, X: Any
) -> tuple[RankTable, ColumnChoice]:
    """Return the rows of a fit that ranks make together; see `training_table`.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    estimator : BaseEstimator
        Gets ``n_features_in_`` and perhaps ``feature_names_in_``, on every rank.
    X : DataFrame, Arrow table, array_like or None
        The rows of this rank; None: it has none.

    Raises
    ------
    ValueError, TypeError
        On every rank, if the rows cannot be read, or do not go together.
    """
    with together(comm, (TypeError, ValueError)):
        X = None if X is None else plain(X)
        form = None if X is None else Form.of(X)
    forms = [(rank, each) for rank, each in enumerate(comm.gather(form)) if each is not None]
    require_alike(forms)
    if forms[0][1].library == "numpy":
        X, text = _alike(comm, estimator, X, [each for _, each in forms])
        if not text:
            with together(comm, (TypeError, ValueError)):
                table = number_table(checked_numbers(estimator, X, reset=True, least=0))
            return _with_rows(RankTable(comm, table)), ColumnChoice()
        return _read_together(comm, estimator, X, X[:0])
    empty = next(e for e in comm.gather(None if X is None else _empty(X)) if e is not None)
    return _read_together(comm, estimator, X, empty)


def _alike(comm: Communicator, estimator: Any, X: Any, forms: Sequence[Form]) -> tuple[Any, bool]:
    """Return the array of this rank in the dtype of all together, and whether some have text."""
    dtype = np.result_type(*[form.dtype for form in forms if form.dtype is not None])
    with together(comm, (TypeError, ValueError)):
        if X is not None:
            X = X.astype(dtype, copy=False)
            if X.ndim != 2:
                checked_numbers(estimator, X, reset=True)  # refuses it
    widths = comm.gather(None if X is None else X.shape[1])
    there = {width for width in widths if width is not None}
    if len(there) > 1:
        raise ValueError(f"X: expected as many columns on every rank, got {widths}")
    text = any(form.text for form in forms)
    return np.empty((0, there.pop()), dtype) if X is None else X, text


def _read_together(
    comm: Communicator, estimator: Any, X: Any, empty: Any
) -> tuple[RankTable, ColumnChoice]:
    """Return the rows of columns that are still to be read.

    Parameters
    ----------
    comm, estimator
        As for `training_table_of_ranks`.
    X : DataFrame, Arrow table, ndarray or None
        The rows of this rank.
    empty : DataFrame, Arrow table or ndarray
        None of the rows, the same on every rank.
    """
    validate_data(estimator, empty, skip_check_array=True)
    columns = as_columns(estimator, empty)
    form = read(columns, LENIENT)
    there = columns if isinstance(columns, dict) else Form.of(columns).names or ()
    place = {name: j for j, name in enumerate(tidy_names(list(there)))}
    names = list(form.columns)
    ends = np.cumsum(comm.gather(0 if X is None else len(X))).tolist()

    def work(j: int, parts: list[Any]) -> list[Any]:
        whole = joined([_unpacked(part) for part in parts if part is not None])
        table = read(_named(names[j], whole), LENIENT)
        assert table.reading is not None
        about = table.reading.columns.get(names[j]), table.reading.warnings.get(names[j])
        runs = zip([0, *ends], ends, strict=False)
        return [(table.columns[names[j]][begin:end], *about) for begin, end in runs]

    def part(j: int) -> Any:
        return None if X is None else _one_column(X, place[names[j]])

    found = dict(zip(names, by_column(comm, len(names), ends[-1], part, work), strict=True))
    assert form.reading is not None
    reading = replace(
        form.reading,
        columns={name: meaning for name, (_, meaning, _) in found.items() if meaning is not None},
        warnings={name: told for name, (_, _, told) in found.items() if told is not None},
    )
    own = {name: column for name, (column, _, _) in found.items()}
    table = Table("X", 0 if X is None else len(X), columns=own, reading=reading)
    return _with_rows(RankTable(comm, table)), choice_of(table)


def _with_rows(table: RankTable) -> RankTable:
    require_rows(len(table))
    return table


def _empty(X: Any) -> Any:
    """Return none of the rows of a frame, which takes next to no room: it tells the names."""
    if hasattr(X, "iloc"):
        return X.iloc[:0].astype(object)  # a type may hold as many categories as there are rows
    return X.clear() if hasattr(X, "clear") else X.schema.empty_table()


def _one_column(X: Any, j: int) -> Any:
    """Return a column of the rows of a rank, as it travels: its rows alone, and all about it."""
    if hasattr(X, "iloc"):
        return X.iloc[:, [j]]
    if isinstance(X, np.ndarray):
        return X[:, [j]]
    if hasattr(X, "to_series"):
        return X.to_series(j).to_frame()
    pyarrow: Any = importlib.import_module("pyarrow")
    column = X.select([j])
    sink = pyarrow.BufferOutputStream()  # pickled, a slice would take along what it is of
    with pyarrow.ipc.new_stream(sink, column.schema) as stream:
        stream.write_table(column)
    return sink.getvalue().to_pybytes()


def _unpacked(part: Any) -> Any:
    """Return a column that has travelled."""
    if not isinstance(part, bytes):
        return part
    pyarrow: Any = importlib.import_module("pyarrow")
    with pyarrow.ipc.open_stream(part) as stream:
        return stream.read_all()


def _named(name: str, column: Any) -> Any:
    """Return a frame, or an array, of one column so that it is read under this name."""
    if hasattr(column, "iloc"):
        return {name: column.iloc[:, 0]}
    if isinstance(column, np.ndarray):
        return {name: np.asarray(column[:, 0], object)}
    polars = hasattr(column, "to_series")
    there = (column.columns if polars else column.column_names)[0]
    if there.strip():
        return column
    return column.rename({there: name}) if polars else column.rename_columns([name])

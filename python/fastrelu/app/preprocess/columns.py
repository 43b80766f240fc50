# SPDX-License-Identifier: BSD-3-Clause
"""Find a table's columns by name, and read them as what they were in training."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import read_texts
from fastrelu.app.data.readers.texts import texts_of_dates, texts_of_numbers
from fastrelu.app.data.readers.values import refuse_width
from fastrelu.app.data.table import Table, is_missing, kind_of
from fastrelu.app.errors import DataError

Column = NDArray[Any] | None


def find_columns(
    table: Table, names: Sequence[str], order: Sequence[str] | None = None
) -> list[Column]:
    """Return a table's columns of these names, None for each that is not there.

    Parameters
    ----------
    table : Table
        A matrix's columns go by their names if it has any of them, else by their order.
    names : sequence of str
        The columns wanted.
    order : sequence of str, optional
        The columns of a matrix without these names; `names` by default.

    Raises
    ------
    DataError
        If there is none of them, or a matrix without names has another width.
    """
    order = names if order is None else order
    if table.matrix is None:
        found: list[Column] = [table.columns.get(name) for name in names]
    else:
        place = {name: j for j, name in enumerate(table.matrix_names or ())}
        if not place.keys() & set(names):
            refuse_width(table.source, table.matrix.shape[1], order)
            place = {name: j for j, name in enumerate(order)}
        found = [_matrix_column(table.matrix, place.get(name)) for name in names]
    if all(column is None for column in found):
        have = table.names
        near = difflib.get_close_matches(names[0], have, n=1)
        hint = f" (there is {near[0]!r})" if near else ""
        raise DataError(
            f"{table.source}: none of the columns that the model was trained on, such as "
            f"{names[0]!r}{hint}; expected {len(names)} columns, by name in any order"
        )
    return found


def _matrix_column(matrix: Any, j: int | None) -> Column:
    if j is None:
        return None
    if isinstance(matrix, np.ndarray):
        return matrix[:, j]
    return np.asarray(matrix[:, [j]].toarray()).reshape(-1)


def as_numbers(table: Table, name: str, column: Column) -> Column:
    """Return a column as numbers; text that says numbers, true or false is taken as such."""
    if column is None or kind_of(column) == "numeric":
        return column
    if kind_of(column) == "date":
        if is_missing(column).all():
            return np.full(len(column), np.nan)
        raise _expected(table, name, column, "a number")
    return _read_text(table, name, column, "numeric")


def _read_text(table: Table, name: str, column: NDArray[Any], kind: str) -> NDArray[Any]:
    known = None if table.reading is None else table.reading.columns.get(name)
    return read_texts(
        column,
        source=table.source,
        name=name,
        place=lambda i: f"row {table.first_row + i + 1}",
        kind=kind,
        known=known,
    ).values


def _expected(table: Table, name: str, column: NDArray[Any], what: str) -> DataError:
    row = int(np.flatnonzero(~is_missing(column))[0])
    kind = {"date": "a date"}.get(kind_of(column), kind_of(column))
    return DataError(
        f"{table.source}: row {table.first_row + row + 1}: column {name!r}: expected {what}, as in "
        f"training, got {kind} such as {str(column[row])[:40]!r}"
    )


def as_texts(table: Table, name: str, column: Column) -> Column:
    """Return a column as text; whole numbers lose their point."""
    if column is None or kind_of(column) == "text":
        return column
    return texts_of_dates(column) if kind_of(column) == "date" else texts_of_numbers(column)


def as_dates(table: Table, name: str, column: Column) -> Column:
    """Return a column as dates."""
    if column is None or kind_of(column) == "date":
        return column
    if is_missing(column).all():
        return np.full(len(column), np.datetime64("NaT", "us"))
    if kind_of(column) == "text":
        return _read_text(table, name, column, "date")
    raise _expected(table, name, column, "a date such as 2024-01-31")

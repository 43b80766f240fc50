# SPDX-License-Identifier: BSD-3-Clause
"""Find a table's columns by name, and read them as what they were in training."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    words = {"": np.nan, "true": 1.0, "false": 0.0}
    is_text = kind_of(column) == "text"
    numbers = np.full(len(column), np.nan)
    for i, value in enumerate(column):
        word = "" if value is None else str(value).strip().lower()
        try:
            if not is_text:
                raise ValueError
            numbers[i] = words[word] if word in words else float(word)
        except ValueError:
            what = "text" if is_text else "a date"
            raise DataError(
                f"{table.source}: row {table.first_row + i + 1}: column {name!r}: expected a "
                f"number, as in training, got {what} such as {str(value)[:40]!r}"
            ) from None
    return numbers


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
    from fastrelu.app.data.readers.cells import date as parse

    if kind_of(column) == "text":
        moments = [parse(str(value)) if value else np.datetime64("NaT") for value in column]
        if None not in moments:
            return np.array(moments, "datetime64[us]")
        row = moments.index(None)
    else:
        row = int(np.flatnonzero(~is_missing(column))[0])
    raise DataError(
        f"{table.source}: row {table.first_row + row + 1}: column {name!r}: expected a date such "
        f"as 2024-01-31, as in training, got {kind_of(column)} {str(column[row])[:40]!r}"
    )

# SPDX-License-Identifier: BSD-3-Clause
"""Columns of targets and weights as the rest of the command wants them, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.errors import DataError, RowsError

Place = Callable[[int], str]
FIX = "correct the file, or leave the row out"


def row_number(first_row: int = 0) -> Place:
    """Return the function that names a row by its number, from 1."""
    return lambda i: f"row {first_row + i + 1}"


def refuse_infinite(source: str, name: str, values: NDArray[Any], place: Place) -> None:
    """Raise DataError if a column holds an infinity (NaN is a missing value)."""
    if values.dtype.kind == "f":
        bad = np.flatnonzero(np.isinf(values))
        if len(bad):
            raise DataError(
                f"{source}: {place(int(bad[0]))}: column {name!r}: expected finite numbers, got "
                f"{values[bad[0]]}; {FIX}, or empty the cell"
            )


def refuse_nan_target(source: str, name: str, where: NDArray[np.bool_], place: Place) -> None:
    """Raise DataError if a target is the number NaN, which is not the same as none."""
    bad = np.flatnonzero(where)
    if len(bad):
        raise DataError(
            f"{source}: {place(int(bad[0]))}: target {name!r}: expected a number, got NaN; {FIX}"
            " (a row whose target is empty is left out by itself)"
        )


def as_target(source: str, name: str, values: NDArray[Any], place: Place) -> NDArray[Any]:
    """Return a target as float64 or as text; bool becomes the text "False" or "True".

    NaN means missing here: see `refuse_nan_target`.

    Raises
    ------
    DataError
        If it is something else, or infinite.
    """
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind in "bU":
        refuse_no_characters(source, name, values)
        return values.astype(str).astype(object)
    if values.dtype == object:
        return values
    if values.dtype.kind not in "iuf":
        raise DataError(
            f"{source}: target {name!r}: expected numbers, bool or text, got {values.dtype}"
        )
    numbers = values.astype(np.float64)
    refuse_infinite(source, name, numbers, place)
    return numbers


def refuse_no_characters(source: str, name: str, values: NDArray[Any]) -> None:
    """Raise DataError if texts of NumPy's hold numbers that Python has no characters for.

    Files can say so, and NumPy makes strings of them that Python cannot work with.
    """
    if values.dtype.kind == "U" and values.dtype.itemsize:
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        if (native.view(np.uint32) > sys.maxunicode).any():
            raise RowsError(f"{source}: {name}: expected text, got numbers that are no characters")


def as_weights(source: str, name: str, values: NDArray[Any], place: Place) -> NDArray[np.float64]:
    """Return the rows' weights.

    Raises
    ------
    DataError
        If one is missing, negative or infinite, or they are no numbers.
    """
    if values.dtype.kind not in "biuf":
        raise DataError(f"{source}: weights {name!r}: expected numbers, got text or dates")
    weights = values.astype(np.float64)
    bad = np.flatnonzero(~((weights >= 0) & np.isfinite(weights)))
    if len(bad):
        raise DataError(
            f"{source}: {place(int(bad[0]))}: weights {name!r}: expected a finite number, 0 or "
            f"more, got {weights[bad[0]]}; {FIX}"
        )
    return weights


def refuse_width(source: str, width: int, order: Sequence[str]) -> None:
    """Raise RowsError if an array is not as wide as there are columns to take by position."""
    if width != len(order):
        names = ", ".join(order[:40]) + (", ..." if len(order) > 40 else "")
        raise RowsError(
            f"{source}: expected {len(order)} columns, in the order of the training file ({names})"
            f", got {width}; columns with names go by name: a data frame or a dict of columns"
        )

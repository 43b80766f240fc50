# SPDX-License-Identifier: BSD-3-Clause
"""What scikit-learn's users hand over as X, as a table: frames by name, arrays by place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from fastrelu import elementary
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.readers.choice import nearest_name
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.table import Table, kind_of
from fastrelu.app.errors import DataError, RowsError

FRAMES = ("__dataframe__", "__arrow_c_stream__", "__narwhals_dataframe__")


def is_frame(X: Any) -> bool:
    """Whether X has columns with names."""
    named = hasattr(X, "columns") or hasattr(X, "column_names")
    return named and (any(hasattr(X, name) for name in FRAMES) or hasattr(X, "iloc"))


def has_text(X: Any) -> bool:
    """Whether X is an array of objects, some of them text, or of text."""
    array = np.asarray(X) if isinstance(X, (list, tuple)) else X
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "OUS":
        return False
    return array.dtype.kind != "O" or any(isinstance(value, (str, bytes)) for value in array.flat)


def training_table(estimator: Any, X: Any) -> tuple[Table, ColumnChoice]:
    """Return the rows of a fit, and how further rows are to be read.

    Sets ``n_features_in_`` and, for a frame, ``feature_names_in_``.

    Raises
    ------
    ValueError, TypeError
        If the rows cannot be read.
    """
    if not (is_frame(X) or has_text(X)):
        return number_table(checked_numbers(estimator, X, reset=True)), ColumnChoice()
    validate_data(estimator, X, skip_check_array=True)
    table = read(as_columns(estimator, X), ColumnChoice(lenient=True))
    require_rows(len(table))
    return table, choice_of(table)


def as_columns(estimator: Any, X: Any) -> Any:
    """Return the rows of a fit, with the names that a frame has, or by place."""
    return X if hasattr(estimator, "feature_names_in_") else _by_place(X)


def require_rows(count: int) -> None:
    """Raise ValueError if a fit has no rows."""
    if not count:
        raise ValueError("X: expected rows to train on, got 0 sample(s)")


def choice_of(table: Table) -> ColumnChoice:
    """Return how further rows are to be read, after a fit on columns that were read."""
    kinds = {name: kind_of(column) for name, column in table.columns.items()}
    return ColumnChoice(kinds=kinds, order=tuple(kinds), reading=table.reading)


def further_table(estimator: Any, X: Any, choice: ColumnChoice) -> Table:
    """Return rows to predict as a table with the columns of the fit.

    Raises
    ------
    ValueError, TypeError
        If a column is not there, or the rows cannot be read.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if is_frame(X) and names is not None:
        there = [str(name).strip() for name in _names(X)]
        _require(names, there)
        return read(X, choice)
    if not choice.kinds:
        return number_table(checked_numbers(estimator, X, reset=False))
    validate_data(estimator, X, skip_check_array=True, reset=False)
    columns = _by_place(X)
    return read(dict(zip(choice.order, columns.values(), strict=True)), choice)


def _names(X: Any) -> Any:
    return X.columns if not hasattr(X, "column_names") else X.column_names


def _by_place(X: Any) -> dict[str, Any]:
    """Return the columns of a frame, or of an array, under the names of their places."""
    if hasattr(X, "iloc"):
        columns = [X.iloc[:, j] for j in range(X.shape[1])]
    elif is_frame(X):
        columns = [X[name] for name in _names(X)]
    else:
        columns = list(np.asarray(X, object).T)
    return dict(zip(place_names(len(columns)), columns, strict=True))


def place_names(count: int) -> tuple[str, ...]:
    """Return scikit-learn's names for the columns of an array."""
    return tuple(f"x{j}" for j in range(count))


def checked_numbers(estimator: Any, X: Any, reset: bool, least: int = 1) -> NDArray[Any]:
    """Return an array of numbers, of `least` rows if it is for a fit (`reset`)."""
    array = validate_data(
        estimator,
        X,
        dtype="numeric",
        ensure_all_finite="allow-nan",
        reset=reset,
        ensure_min_samples=least if reset else 0,
    )
    return np.asarray(array)


def number_table(array: NDArray[Any]) -> Table:
    """Return an array of numbers as a table."""
    columns = dict(zip(place_names(array.shape[1]), array.T, strict=True))
    return Table("X", len(array), columns=columns)


def read(data: Any, choice: ColumnChoice) -> Table:
    """Return rows of columns as a table; an error is one that scikit-learn's users know."""
    try:
        return table_from(data, choice, source="X")
    except RowsError:
        raise
    except DataError as error:
        raise ValueError(str(error)) from error


def _require(names: Any, there: list[str]) -> None:
    missing = [str(name) for name in names if str(name).strip() not in there]
    if not missing:
        return
    near = nearest_name(missing[0], [name for name in there if name not in names])
    hint = f" (did you mean {near!r}?)" if near is not None else ""
    shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
    raise ValueError(
        "The feature names should match those that were passed during fit.\n"
        f"Feature names seen at fit time, yet now missing: {shown}{hint}"
    )


def plain_targets(y: Any) -> Any:
    """Return targets of polars as NumPy's; others as they are."""
    if y is None:
        raise ValueError("y: requires y to be passed, but the target y is None")
    return y.to_numpy() if hasattr(y, "to_numpy") and not hasattr(y, "iloc") else y


def exposure_of(exposure: Any, offset: Any) -> NDArray[np.float64] | None:
    """Return exposures, (n,), of what a user gives: themselves, or their logarithms."""
    if exposure is not None and offset is not None:
        raise ValueError("offset: expected None beside an exposure, whose logarithm it would be")
    name, given = ("exposure", exposure) if offset is None else ("offset", offset)
    if given is None:
        return None
    try:
        values = np.asarray(plain_targets(given), np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers, (n,): {error}") from error
    if values.ndim != 1:
        raise ValueError(f"{name}: expected shape (n,), got {values.shape}")
    times = values if offset is None else elementary.exp(values)
    wrong = np.flatnonzero(~(np.isfinite(times) & (times > 0)))
    if len(wrong):
        expected = "a finite number > 0" if offset is None else "the logarithm of such a number"
        raise ValueError(f"{name}: row {wrong[0] + 1}: expected {expected}, got {values[wrong[0]]}")
    return times

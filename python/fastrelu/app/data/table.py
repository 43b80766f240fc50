# SPDX-License-Identifier: BSD-3-Clause
"""Rows as read from files, before anything is learned from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading


class NumberedNames(Sequence[str]):
    """The names prefix + number + suffix for n numbers in a row, without storing n strings.

    Parameters
    ----------
    prefix, suffix : str
        What stands around the number.
    n : int
        How many names.
    first : int
        The first number.
    """

    def __init__(self, prefix: str, suffix: str, n: int, first: int = 0) -> None:
        self.prefix, self.suffix, self.n, self.first = prefix, suffix, n, first

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.n))]
        if not -self.n <= index < self.n:
            raise IndexError(f"name {index} of {self.n}")
        return f"{self.prefix}{index % self.n + self.first}{self.suffix}"

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[str]:
        for number in range(self.first, self.first + self.n):
            yield f"{self.prefix}{number}{self.suffix}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NumberedNames):
            return vars(self) == vars(other)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows as read; also one chunk of a stream.

    A table has either `columns`, each with its own type, or one `matrix`.

    Attributes
    ----------
    source : str
        Where the rows come from, for messages.
    n_rows : int
        The number of rows.
    columns : dict of str to ndarray, (n_rows,)
        The input columns: numbers of any real dtype (NaN is missing), text (object arrays of str,
        "" is missing) and dates (datetime64[us], NaT is missing). No target, no weights.
    matrix : ndarray or CSR array, (n_rows, p), or None
        The inputs of array files as they are: uint8 stays uint8, sparse stays sparse, a memory map
        stays one.
    matrix_names : sequence of str or None
        The names of the matrix's columns.
    target : ndarray, (n_rows,), or None
        Numbers (float64, NaN is missing) or text (object, "" is missing); None: there is none.
    target_name : str or None
        Its name.
    weights : ndarray of float64, (n_rows,), or None
        One finite, non-negative weight for each row.
    notes : list of str
        What the user should know about the reading.
    extra : dict of str to ndarray
        Columns that were asked for and are no inputs: a split, a time, a group.
    first_row : int
        The number in its file of the first row, for messages about a stream's chunks.
    others : sequence of str
        The names of columns that are there and were not asked for.
    file_rows : sequence of int
        The rows of each file, if there are several.
    kept : dict of str to ndarray or pyarrow array, (n_rows,)
        Columns that are carried along as they are, for `predict --keep`.
    reading : Reading or None
        How texts were taken: kept beside the model, so that predicting reads alike.
    """

    source: str
    n_rows: int
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    matrix: Any = None
    matrix_names: Sequence[str] | None = None
    target: NDArray[Any] | None = None
    target_name: str | None = None
    weights: NDArray[np.float64] | None = None
    notes: list[str] = field(default_factory=list)
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)
    first_row: int = 0
    others: Sequence[str] = ()
    file_rows: Sequence[int] = ()
    kept: dict[str, Any] = field(default_factory=dict)
    reading: Reading | None = None

    @property
    def names(self) -> list[str]:
        """The names of the inputs' columns."""
        return list(self.columns if self.matrix is None else self.matrix_names or ())

    def __len__(self) -> int:
        return self.n_rows

    def take(self, rows: NDArray[np.intp] | slice) -> Table:
        """Return a table of these rows; a slice makes views, an index array copies."""
        n = len(range(*rows.indices(self.n_rows))) if isinstance(rows, slice) else len(rows)

        def chosen(values: Any) -> Any:
            return None if values is None else values[rows]

        return replace(
            self,
            n_rows=n,
            columns={name: values[rows] for name, values in self.columns.items()},
            matrix=chosen(self.matrix),
            target=chosen(self.target),
            weights=chosen(self.weights),
            extra={name: values[rows] for name, values in self.extra.items()},
            kept={name: _rows_of(values, rows) for name, values in self.kept.items()},
        )

    def missing_target(self) -> NDArray[np.bool_]:
        """Return which rows have no target."""
        if self.target is None:
            return np.ones(self.n_rows, bool)
        return is_missing(self.target)


def _rows_of(values: Any, rows: NDArray[np.intp] | slice) -> Any:
    """Return some rows of a NumPy or an Arrow array."""
    if isinstance(values, np.ndarray):
        return values[rows]
    if isinstance(rows, slice) and rows.step in (None, 1):
        first, end, _ = rows.indices(len(values))
        return values.slice(first, max(0, end - first))
    return values.take(np.arange(len(values))[rows])


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a column's values are missing: NaN, NaT or ""."""
    if values.dtype == object:
        return np.asarray(values == "", bool)
    if values.dtype.kind == "M":
        return np.asarray(np.isnat(values), bool)
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values), bool)
    return np.zeros(len(values), bool)


def kind_of(values: NDArray[Any]) -> str:
    """Return "text", "date" or "numeric"."""
    return {"O": "text", "M": "date"}.get(values.dtype.kind, "numeric")

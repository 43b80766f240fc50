# SPDX-License-Identifier: BSD-3-Clause
"""What all fitted inputs share: from a table's rows to the array that a network reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess.treatment import Treatment

MOST_INPUTS = 1_000_000
Rows = NDArray[np.intp] | None
Seen = Counter[tuple[str, str]]


class Inputs(ABC):
    """The inputs that training rows have led to.

    Attributes
    ----------
    notes : list of str
        What the user should know about the fitting; not part of the description.
    """

    notes: list[str]

    @property
    @abstractmethod
    def input_names(self) -> Sequence[str]:
        """The name of each input."""

    @property
    @abstractmethod
    def column_names(self) -> Sequence[str]:
        """The names of the columns that inputs are made of."""

    @property
    def file_order(self) -> Sequence[str]:
        """The columns that training had as inputs, in the order of its file."""
        return self.column_names

    @property
    def n_inputs(self) -> int:
        """How many inputs the network has."""
        return len(self.input_names)

    @property
    def scale(self) -> float:
        """The network's factor on every input."""
        return 1.0

    @property
    def are_bytes(self) -> bool:
        """Whether the inputs are uint8, not of the network's dtype."""
        return False

    @property
    def kinds(self) -> dict[str, str]:
        """How a reader should read each column; {} for the matrix of an array file."""
        return {}

    @abstractmethod
    def transform(
        self,
        table: Table,
        rows: Rows = None,
        dtype: Any = "float32",
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> Any:
        """Return the inputs of some rows.

        Parameters
        ----------
        table : Table
            Raw rows; columns are found by name, in any order, and further ones are not looked at.
        rows : ndarray of int, optional
            Which rows; all by default.
        dtype : {"float32", "float64"}
            Of the result, where it is not bytes.
        seen : Counter, optional
            Counts (what, column) for what training has not seen: "unseen category", "missing
            category", "missing value", "missing column".
        out : ndarray, (n, n_inputs), optional
            Gets the result, of whose dtype it is; not for sparse ones.

        Returns
        -------
        ndarray, (n, n_inputs), C-contiguous, of `dtype` or uint8; or a CSR matrix

        Raises
        ------
        DataError
            If the table has none of the columns, or a value cannot be what it was in training.
        """

    def for_network(
        self, table: Table, rows: Rows = None, dtype: Any = "float32", seen: Seen | None = None
    ) -> Any:
        """Return what `transform` does, in the form in which a network reads it at the least cost.

        Parameters
        ----------
        table, rows, dtype, seen
            As for `transform`.

        Returns
        -------
        ndarray, CSR matrix or EncodedRows, (n, n_inputs)

        Raises
        ------
        DataError
            As `transform` does.
        """
        return self.transform(table, rows, dtype, seen)

    @abstractmethod
    def treatments(self) -> list[Treatment]:
        """Return what is done to each column, or to all of a matrix's."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for a model file."""

    @staticmethod
    def from_description(plain: Mapping[str, Any]) -> Inputs:
        """Return the inputs that `describe` has described."""
        from fastrelu.app.preprocess.column_inputs import ColumnInputs
        from fastrelu.app.preprocess.matrix_inputs import (
            ByteInputs,
            MatrixInputs,
            SparseInputs,
        )
        from fastrelu.app.preprocess.piece_inputs import PieceInputs

        layouts: dict[str, Any] = {
            "columns": ColumnInputs,
            "matrix": MatrixInputs,
            "bytes": ByteInputs,
            "sparse": SparseInputs,
            "pieces": PieceInputs,
        }
        made: Inputs = layouts[plain["layout"]].from_plain(plain)
        return made


def warnings_of(seen: Seen, nearest: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each count of a `transform`, columns by name.

    Parameters
    ----------
    seen : Counter
        The counts.
    nearest : mapping of str to str, optional
        For columns that are not there, one that is and has nearly the name.
    """
    nearest = nearest or {}
    what = {
        "unseen category": "{n} values of no category that training has seen: all zeros",
        "missing category": "{n} values missing, which training had not: all zeros",
        "missing value": "{n} values missing, which training had not: as the training mean",
        "far value": "{n} values beyond the training range by over thrice its width: as its end",
        "unknown column": "{n} entries of columns that training had not: left out",
        "missing column": "not there{near}: taken as missing in {n} rows",
        "by position": "not there: taken from the column in its place, in {n} rows",
    }

    def near(name: str) -> str:
        return f" (did you mean {nearest[name]!r}?)" if name in nearest else ""

    return [
        f"column {name!r}: {what[kind].format(n=n, near=near(name))}"
        for (kind, name), n in sorted(seen.items(), key=lambda item: (item[0][1], item[0][0]))
        if n
    ]


def check_width(source: str, n_inputs: int) -> None:
    """Raise DataError if the inputs are more than a network should have."""
    if n_inputs > MOST_INPUTS:
        raise DataError(
            f"{source}: {n_inputs} inputs, more than {MOST_INPUTS}; leave columns out (--ignore), "
            "or hash categories (--categories hash)"
        )


def refuse_infinite(
    table: Table, names: Sequence[str], out: NDArray[Any], first: int, rows: Rows, raw: Any
) -> None:
    """Raise DataError if inputs, (rows, columns), are infinite.

    Parameters
    ----------
    table : Table
        For its name.
    names : sequence of str
        The columns' names.
    out : ndarray
        Some rows' inputs.
    first : int
        The first of them among `rows`.
    rows : ndarray of int or None
        Which rows of the table.
    raw : callable
        Gives a raw value by column and row.
    """
    infinite = np.isinf(out)
    if not infinite.any():
        return
    i, j = (int(k) for k in np.argwhere(infinite)[0])
    row = first + i if rows is None else int(rows[first + i])
    raise DataError(
        f"{table.source}: row {table.first_row + row + 1}: column {names[j]!r}: expected a finite "
        f"number that {out.dtype} holds, got {raw(j, row)}; correct it, empty it or --ignore the "
        "column"
    )

# SPDX-License-Identifier: BSD-3-Clause
"""The inputs of array files: a matrix of numbers, of bytes as they are, or sparse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app import described
from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess.columns import as_numbers, find_columns
from fastrelu.app.preprocess.inputs import Inputs, Rows, Seen, refuse_infinite
from fastrelu.app.preprocess.standardize import Scaling
from fastrelu.app.preprocess.treatment import Treatment, What, of_number

BLOCK_NUMBERS = 1 << 16


def describe_names(names: Sequence[str]) -> Any:
    """Return names as plain values, numbered ones as their rule."""
    if isinstance(names, NumberedNames):
        return {"around": [names.prefix, names.suffix], "first": names.first, "n": names.n}
    return list(names)


def names_from(plain: Any) -> Sequence[str]:
    """Return the names that `describe_names` has described."""
    if isinstance(plain, Mapping):
        prefix, suffix = described.sequence(plain["around"], "names.around", described.text)
        n, first = (described.whole(plain[key], f"names.{key}") for key in ("n", "first"))
        return NumberedNames(prefix, suffix, n, first)
    return described.sequence(plain, "names", described.text)


class _ArrayInputs(Inputs):
    """What the three share: names, and a table's matrix in the order of training."""

    def __init__(self, names: Sequence[str], notes: list[str] | None = None) -> None:
        self._names = names
        self.notes = notes or []

    @property
    def input_names(self) -> Sequence[str]:
        """The name of each input."""
        return self._names

    @property
    def column_names(self) -> Sequence[str]:
        """The names of the columns that inputs are made of."""
        return self._names

    def matrix_of(self, table: Table, seen: Seen) -> Any:
        """Return a table's inputs as a matrix with the columns of training, in its order."""
        names, theirs = self._names, table.matrix_names
        if table.matrix is not None:
            width = table.matrix.shape[1]
            if theirs is None or isinstance(theirs, NumberedNames) or theirs == names:
                if width != len(names):
                    raise DataError(
                        f"{table.source}: expected {len(names)} inputs a row, as in training, got "
                        f"{width}"
                    )
                return table.matrix
        found = find_columns(table, list(names))
        X = np.full((table.n_rows, len(names)), np.nan)
        for j, (name, column) in enumerate(zip(names, found, strict=True)):
            values = as_numbers(table, name, column)
            if values is None:
                seen["missing column", name] += table.n_rows
            else:
                X[:, j] = values
        return X


class MatrixInputs(_ArrayInputs):
    """Numbers, then the indicators of those that training lacked some of."""

    def __init__(
        self, names: Sequence[str], scaling: Scaling, notes: list[str] | None = None
    ) -> None:
        super().__init__(names, notes)
        self.scaling = scaling
        self._indicators = np.flatnonzero(scaling.gaps)

    @property
    def input_names(self) -> Sequence[str]:
        """The name of each input."""
        if not len(self._indicators):
            return self._names
        names = self._names
        return [*names, *(f"{names[j]} is missing" for j in self._indicators.tolist())]

    @property
    def n_inputs(self) -> int:
        """How many inputs the network has."""
        return len(self._names) + len(self._indicators)

    def transform(
        self,
        table: Table,
        rows: Rows = None,
        dtype: Any = "float32",
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the inputs of some rows: see `Inputs.transform`."""
        seen = Counter() if seen is None else seen
        matrix = self.matrix_of(table, seen)
        if not isinstance(matrix, np.ndarray):
            matrix = matrix.toarray()
        n = table.n_rows if rows is None else len(rows)
        p, k = len(self._names), len(self._indicators)
        X = np.empty((n, p + k), dtype) if out is None else out
        if self.scaling.knots is None and p <= max(n, 64):  # a view is made of each column
            to = np.full(p, -1)
            to[self._indicators] = p + np.arange(k)
            missing, finite = self.scaling.rows(list(matrix.T), rows, to, X)
            if not finite:
                refuse_infinite(table, self._names, X[:, :p], 0, rows, lambda j, i: matrix[i, j])
            self._count_missing(missing, seen)
            return X
        size = max(16, BLOCK_NUMBERS // p)
        for low in range(0, n, size):
            high = min(low + size, n)
            part = matrix[low:high] if rows is None else matrix[rows[low:high]]
            block = part.astype(np.float64).T
            gaps = self.scaling.apply(block)
            numbers = X[low:high, :p]
            with np.errstate(over="ignore"):
                numbers[:] = block.T
            refuse_infinite(table, self._names, numbers, low, rows, lambda j, i: matrix[i, j])
            if gaps is None:
                X[low:high, p:] = 0
                continue
            X[low:high, p:] = gaps[self._indicators].T
            self._count_missing(gaps.sum(axis=1), seen)
        return X

    def _count_missing(self, missing: NDArray[Any], seen: Seen) -> None:
        """Count what is missing where training lacked nothing."""
        for j in np.flatnonzero(~self.scaling.gaps & (missing > 0)).tolist():
            name = self._names[j]
            if not seen["missing column", name]:
                seen["missing value", name] += int(missing[j])

    def treatments(self) -> list[Treatment]:
        """Return what is done to each column."""
        return [of_number(str(name), self.scaling, j) for j, name in enumerate(self._names)]

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for a model file."""
        return {
            "layout": "matrix",
            "names": describe_names(self._names),
            "scaling": self.scaling.describe(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> MatrixInputs:
        """Return the inputs that `describe` has described."""
        columns, scaling = names_from(plain["names"]), Scaling.from_description(plain["scaling"])
        if len(scaling.mean) != len(columns):
            raise described.refused(len(scaling.mean), "scaling", f"{len(columns)} columns")
        return cls(columns, scaling)


class ByteInputs(_ArrayInputs):
    """uint8 as it is; the network multiplies it by 1/255, or flags by 1."""

    def __init__(
        self, names: Sequence[str], scale: float = 1 / 255, notes: list[str] | None = None
    ) -> None:
        super().__init__(names, notes)
        self._scale = scale

    @property
    def scale(self) -> float:
        """The network's factor on every input."""
        return self._scale

    @property
    def are_bytes(self) -> bool:
        """Whether the inputs are uint8."""
        return True

    def transform(
        self,
        table: Table,
        rows: Rows = None,
        dtype: Any = "float32",
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[np.uint8]:
        """Return the inputs of some rows: see `Inputs.transform`."""
        matrix = self.matrix_of(table, Counter() if seen is None else seen)
        if not isinstance(matrix, np.ndarray):
            matrix = matrix.toarray()
        if rows is not None:
            matrix = matrix[rows]
        if matrix.dtype != np.uint8:
            whole = np.nan_to_num(matrix, nan=0.0)
            bad = np.argwhere((whole < 0) | (whole > 255) | (whole != np.rint(whole)))
            if len(bad):
                i, j = bad[0]
                raise DataError(
                    f"{table.source}: row {table.first_row + int(i) + 1}: column "
                    f"{self._names[j]!r}: expected a whole number 0 to 255, as in training, got "
                    f"{matrix[i, j]}"
                )
            matrix = whole.astype(np.uint8)
        if out is None:
            return np.ascontiguousarray(matrix)
        out[:] = matrix
        return out

    def treatments(self) -> list[Treatment]:
        """Return what is done to all columns."""
        if self.scale == 1:
            return [Treatment(None, "byte", "as it is", len(self._names))]
        return [Treatment(None, "byte", "bytes", len(self._names))]

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for a model file."""
        plain = {"layout": "bytes", "names": describe_names(self._names)}
        return plain if self.scale != 1 else {**plain, "flags": True}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ByteInputs:
        """Return the inputs that `describe` has described."""
        flags = described.boolean(plain.get("flags", False), "flags")
        return cls(names_from(plain["names"]), 1.0 if flags else 1 / 255)


class SparseInputs(_ArrayInputs):
    """A CSR matrix, never made dense and so never centred.

    Attributes
    ----------
    largest : ndarray of float64, (p,), or None
        Each column is divided by its largest magnitude in training; None: nothing is done.
    """

    def __init__(
        self,
        names: Sequence[str],
        largest: NDArray[np.float64] | None,
        notes: list[str] | None = None,
    ) -> None:
        super().__init__(names, notes)
        self.largest = largest

    def transform(
        self,
        table: Table,
        rows: Rows = None,
        dtype: Any = "float32",
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> Any:
        """Return the inputs of some rows: see `Inputs.transform`."""
        from scipy import sparse

        seen = Counter() if seen is None else seen
        matrix = table.matrix
        if matrix is None or isinstance(matrix, np.ndarray):
            matrix = sparse.csr_array(np.nan_to_num(self.matrix_of(table, seen), nan=0.0))
        else:
            matrix = self._aligned(table, seen)
        chosen = matrix if rows is None else matrix[rows]
        data = chosen.data.astype(np.float64)
        if self.largest is not None:
            data /= self.largest[chosen.indices]
        with np.errstate(over="ignore"):
            data = data.astype(dtype)
        bad = np.flatnonzero(~np.isfinite(data))
        if len(bad):
            i = int(np.searchsorted(chosen.indptr, bad[0], side="right")) - 1
            row = i if rows is None else int(rows[i])
            raise DataError(
                f"{table.source}: row {table.first_row + row + 1}: column "
                f"{self._names[int(chosen.indices[bad[0]])]!r}: expected a finite number that "
                f"{data.dtype} holds, got {chosen.data[bad[0]]}"
            )
        return sparse.csr_array((data, chosen.indices, chosen.indptr), shape=chosen.shape)

    def _aligned(self, table: Table, seen: Seen) -> Any:
        """Return the table's CSR matrix with the columns of training; count the others' entries."""
        from scipy import sparse

        names, theirs = self._names, table.matrix_names
        matrix = table.matrix
        if theirs is None or theirs == names:
            if matrix.shape[1] != len(names):
                raise DataError(
                    f"{table.source}: expected {len(names)} inputs, as in training, got "
                    f"{matrix.shape[1]}"
                )
            return matrix
        place = {name: j for j, name in enumerate(names)}
        where = np.array([place.get(name, -1) for name in theirs], np.intp)
        columns = where[matrix.indices]
        known = columns >= 0
        if not known.all():
            seen["unknown column", "(others)"] += int((~known).sum())
        kept = np.concatenate([[0], np.cumsum(known)])[matrix.indptr]
        return sparse.csr_array(
            (matrix.data[known], columns[known], kept), shape=(matrix.shape[0], len(names))
        )

    def treatments(self) -> list[Treatment]:
        """Return what is done to all columns."""
        divided = self.largest is not None
        what: What = "largest" if divided else "as it is"
        return [Treatment(None, "sparse number", what, len(self._names))]

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for a model file."""
        return {
            "layout": "sparse",
            "names": describe_names(self._names),
            "largest": None if self.largest is None else self.largest.tolist(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SparseInputs:
        """Return the inputs that `describe` has described."""
        columns, largest = names_from(plain["names"]), None
        if plain["largest"] is not None:
            largest = described.numbers(plain["largest"], "largest", len(columns))
            if (largest <= 0).any():
                raise described.refused(float(largest.min()), "largest", "numbers above 0")
        return cls(columns, largest)

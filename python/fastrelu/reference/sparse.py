# SPDX-License-Identifier: BSD-3-Clause
"""Sparse rows: the first layer's chains over the entries that are stored, and no others.

An entry that is not stored is 0, and a term 0 * w changes no sum but the sign of one that is 0.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoded import is_encoded, of_rows
from .fma import fma

Array = NDArray[Any]


class SparseRows:
    """Rows of a sparse matrix, each a pair of arrays: columns in ascending order, and values.

    Parameters
    ----------
    rows : list of (columns, values)
        One pair for each row.
    n_columns : int
        The number of columns of the matrix.
    """

    def __init__(self, rows: list[tuple[Array, Array]], n_columns: int) -> None:
        self.rows = rows
        self.shape = (len(rows), n_columns)
        self.ndim = 2

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Array) -> SparseRows:
        """Return the chosen rows, in the order given."""
        return SparseRows([self.rows[n] for n in chosen], self.shape[1])

    def times(self, scale: float, dtype: np.dtype[Any]) -> SparseRows:
        """Return the rows in this dtype, times `scale` unless that is 1."""
        with np.errstate(all="ignore"):
            factor = dtype.type(scale)
            rows = [(columns, values.astype(dtype)) for columns, values in self.rows]
            if scale != 1:
                rows = [(columns, values * factor) for columns, values in rows]
        return SparseRows(rows, self.shape[1])


def as_rows(X: Any) -> Any:
    """Return X as an array, or as `SparseRows` if it is sparse (has ``tocsr``), or encoded rows."""
    if isinstance(X, SparseRows):
        return X
    if is_encoded(X):
        return of_rows(X)
    if not hasattr(X, "tocsr"):
        return np.asarray(X)
    csr = X.tocsr()
    rows = [
        in_order(csr.indices[begin:end], csr.data[begin:end]) for begin, end in pairwise(csr.indptr)
    ]
    return SparseRows(rows, csr.shape[1])


@np.errstate(all="ignore")
def in_order(columns: Array, values: Array) -> tuple[Array, Array]:
    """Return a row's entries by column; those of one column are added in the order stored."""
    sums: dict[int, Any] = {}
    for c, value in zip(columns.tolist(), values, strict=True):
        sums[c] = value if c not in sums else sums[c] + value
    ordered = sorted(sums)
    return np.array(ordered, dtype=int), np.array([sums[c] for c in ordered], dtype=values.dtype)


def linear(x: SparseRows, W: Array, b: Array | None = None) -> Array:
    """Return z = x W + b: for each row and unit a chain over the stored entries, from the bias."""
    z = np.zeros((len(x), W.shape[1]), dtype=W.dtype)
    if b is not None:
        z[:] = b
    for n, (columns, values) in enumerate(x.rows):
        for i, value in zip(columns, values, strict=True):
            z[n] = fma(value, W[i], z[n])
    return z


def linear_backward_weights(x: SparseRows, dz: Array) -> Array:
    """Return dW = x^T dz: for each weight a chain over the rows that store an entry."""
    dW = np.zeros((x.shape[1], dz.shape[1]), dtype=dz.dtype)
    for n, (columns, values) in enumerate(x.rows):
        for i, value in zip(columns, values, strict=True):
            dW[i] = fma(value, dz[n], dW[i])
    return dW

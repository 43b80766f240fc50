# SPDX-License-Identifier: BSD-3-Clause
"""Encoded rows: a few numbers a row that stand for many inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core

__all__ = ["EncodedRows"]

Array = NDArray[Any]


class EncodedRows(_core.EncodedRows):
    """Rows of inputs that come in runs, each known by one position and one value a row.

    The inputs of a network are cut into runs. In a row, the input at the run's position has the
    run's value, and those behind it are 0; those before it are 1 where the run is a *ramp*, and 0
    where it is not. That is what the piecewise linear encoding of a number looks like (a ramp), a
    category as a one-hot vector (the value is 1, or 0 for none), and a plain number (a run of one
    input). A row costs a network's first layer about as much as one with so many inputs as there
    are runs, whatever their widths, and 2 bytes and one number of memory for each run.

    `Network.forward`, `Network.predict_proba`, `Trainer` and `Population` take them as X, for
    networks with ``scale=1``; what else takes rows takes ``X.toarray()``.

    Parameters
    ----------
    widths : array_like of int, (n_runs,)
        The number of inputs of each run, 1 to 65536.
    ramps : array_like of bool, (n_runs,)
        Whether each run is a ramp.
    positions : array_like of int, (n, n_runs)
        The position of each row in each run, from 0 and below its width.
    values : array_like of float, (n, n_runs)
        The value of the input there, finite. float32 stays what it is; everything else becomes
        float64.

    Attributes
    ----------
    widths, ramps, positions, values : ndarray
        The arguments, as arrays of int64, bool, uint16 and float32 or float64. The rows never
        change: the last two cannot be written to.
    shape : tuple of int
        The numbers of rows and of inputs.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep
    learning (the piecewise linear encoding).

    Examples
    --------
    A number in three pieces, a plain number, and one of two categories:

    >>> import fastrelu
    >>> X = fastrelu.EncodedRows(
    ...     [3, 1, 2], [True, False, False], [[1, 0, 1], [2, 0, 0]], [[0.5, 7.0, 1], [0.25, 8.0, 0]]
    ... )
    >>> X
    <fastrelu.EncodedRows of 2 rows, 6 inputs in 3 runs, float64>
    >>> X.toarray()
    array([[1.  , 0.5 , 0.  , 7.  , 0.  , 1.  ],
           [1.  , 1.  , 0.25, 8.  , 0.  , 0.  ]])
    >>> X.shape, X.dtype, X.nbytes
    ((2, 6), dtype('float64'), 60)
    >>> X.widths.tolist(), X.ramps.tolist()
    ([3, 1, 2], [True, False, False])
    >>> X[1:].positions.tolist(), X[1:].values.tolist()
    ([[2, 0, 0]], [[0.25, 8.0, 0.0]])
    >>> net = fastrelu.Network([6, 4, 1], seed=0)
    >>> bool(abs(net(X) - net(X.toarray())).max() < 1e-6)
    True
    """

    ndim = 2

    def __init__(
        self, widths: ArrayLike, ramps: ArrayLike, positions: ArrayLike, values: ArrayLike
    ) -> None:
        super().__init__(widths, ramps, positions, values)

    @classmethod
    def from_edges(
        cls, X: ArrayLike, edges: Sequence[ArrayLike], *, dtype: Any = "float32"
    ) -> EncodedRows:
        """Return the piecewise linear encoding of numbers, a ramp for each column.

        With edges b_0 < ... < b_T a number x becomes T inputs (x - b_{t-1}) / (b_t - b_{t-1}), each
        clipped to [0, 1].

        Parameters
        ----------
        X : array_like, (n, k)
            Numbers, of any size; NaN is a missing one, all of whose inputs are 0.
        edges : sequence of k array_like, (T + 1,) each
            The edges of each column: at least 2, finite and ascending.
        dtype : {"float32", "float64"}
            The dtype of the values. They are computed in float64.

        Returns
        -------
        EncodedRows
            n rows of the T inputs of every column, one column after the other.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import fastrelu
        >>> fastrelu.EncodedRows.from_edges([[1.0], [2.5], [9.0]], [[0, 2, 3]]).toarray()
        array([[0.5, 0. ],
               [1. , 0.5],
               [1. , 1. ]], dtype=float32)
        """
        numbers = _float64("X", X)
        if numbers.ndim != 2:
            raise ValueError(f"X: expected shape (n, k), got {numbers.shape}")
        if len(edges) != numbers.shape[1]:
            raise ValueError(
                f"edges: expected those of {numbers.shape[1]} columns, got {len(edges)}"
            )
        positions = np.empty(numbers.shape, np.uint16)
        values = np.empty(numbers.shape, _float_dtype(dtype))
        widths = []
        for k, given in enumerate(edges):
            b = _checked_edges(f"edges[{k}]", given)
            positions[:, k], values[:, k] = ramp_of(numbers[:, k], b)
            widths.append(len(b) - 1)
        return cls(widths, np.ones(len(widths), bool), positions, values)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of memory that positions and values take."""
        return self.positions.nbytes + self.values.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        rows, inputs = self.shape
        runs = len(self.widths)
        return (
            f"<fastrelu.EncodedRows of {rows} rows, {inputs} inputs in {runs} runs, {self.dtype}>"
        )

    def __getitem__(self, rows: Any) -> EncodedRows:
        """Return some rows: those of a slice, of a mask, or of an array of row numbers."""
        if isinstance(rows, tuple):
            raise TypeError(f"rows: expected rows alone, got {len(rows)} indices")
        chosen = self.positions[rows]
        if chosen.ndim != 2 or chosen.shape[1] != len(self.widths):
            raise TypeError(
                f"rows: expected a slice, a mask or an array of row numbers, got {rows!r}; "
                "X[i : i + 1] is row i"
            )
        return type(self)(self.widths, self.ramps, chosen, self.values[rows])

    def toarray(self) -> Array:
        """Return all inputs as an array.

        Returns
        -------
        ndarray, (n, n_inputs)
            The inputs, in the dtype of the values.

        Examples
        --------
        >>> import fastrelu
        >>> fastrelu.EncodedRows([4], [True], [[2]], [[0.5]]).toarray()
        array([[1. , 1. , 0.5, 0. ]])
        """
        X = np.zeros(self.shape, self.dtype)
        start = 0
        rows = np.arange(len(self))
        for k, (width, ramp) in enumerate(zip(self.widths.tolist(), self.ramps, strict=True)):
            position = self.positions[:, k].astype(np.int64)
            if ramp:
                X[:, start : start + width] = np.arange(width) < position[:, np.newaxis]
            X[rows, start + position] = self.values[:, k]
            start += width
        return X

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError(
            "expected an array, got EncodedRows, which are taken by Network.forward, Trainer and "
            "Population alone; X.toarray() makes an array"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.widths, self.ramps, self.positions, self.values)


def ramp_of(x: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[Array, Array]:
    """Return the positions and the values, in float64, of some numbers between these edges.

    Parameters
    ----------
    x : ndarray of float64, (n,)
        Numbers; NaN is position 0, value 0.
    edges : ndarray of float64, (T + 1,)
        Ascending edges, T >= 1.

    Returns
    -------
    positions : ndarray of int64, (n,)
        From 0 to T - 1.
    values : ndarray of float64, (n,)
        From 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu.encoded import ramp_of
    >>> ramp_of(np.array([-1.0, 0.5, 3.0, np.nan]), np.array([0.0, 1.0, 3.0]))
    (array([0, 0, 1, 0]), array([0. , 0.5, 1. , 0. ]))
    """
    missing = np.isnan(x)
    inside = np.where(missing, edges[0], x).clip(edges[0], edges[-1])
    position = (np.searchsorted(edges, inside, side="right") - 1).clip(0, len(edges) - 2)
    low = edges[position]
    with np.errstate(over="ignore"):  # by the least of widths, and then clipped
        value = ((inside - low) / (edges[position + 1] - low)).clip(0.0, 1.0)
    return position, value


def _float_dtype(dtype: Any) -> np.dtype[Any]:
    made: np.dtype[Any] = np.dtype(dtype)
    if made.name not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return made


def _float64(name: str, given: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(given, np.float64)
    except OverflowError:  # an integer of more than 308 digits
        raise ValueError(f"{name}: expected numbers that float64 holds") from None


def _checked_edges(name: str, given: ArrayLike) -> NDArray[np.float64]:
    edges = _float64(name, given)
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(f"{name}: expected at least 2 edges, got shape {edges.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        widths = np.diff(edges)
    if not np.isfinite(edges).all() or not np.isfinite(widths).all() or not (widths > 0).all():
        raise ValueError(
            f"{name}: expected finite, ascending edges, their distances finite too, got {edges}"
        )
    return edges

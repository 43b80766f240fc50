# SPDX-License-Identifier: BSD-3-Clause
"""Checks of arguments, with errors that name the argument."""

from __future__ import annotations

import math
import numbers
import os
import secrets
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class SparseMatrix(Protocol):
    """What SciPy's sparse matrices and arrays have in common."""

    def tocsr(self) -> Any:
        """Return the matrix as compressed sparse rows."""


class Encoded(Protocol):
    """What `fastrelu.EncodedRows` is, wherever it comes from."""

    @property
    def ramps(self) -> NDArray[np.bool_]:
        """Whether each run is a ramp."""

    @property
    def positions(self) -> NDArray[Any]:
        """The position of each row in each run."""


MatrixLike = ArrayLike | SparseMatrix | Encoded


def whole_number(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as an int in [low, high], or raise an error that names it."""
    expected = f"a whole number >= {low}" if high is None else f"a whole number {low}..{high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return number


def real_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    above: bool = False,
    below: bool = False,
) -> float:
    """Return `value` as a finite float >= low (> low if `above`) and <= high (< if `below`)."""
    expected = "a finite number"
    if low > -math.inf:
        expected += f" {'>' if above else '>='} {low:g}"
    if high < math.inf:
        expected += f" and {'<' if below else '<='} {high:g}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {expected}, got {value!r}")
    number = _as_float(value)
    outside = number < low or number > high
    outside |= (above and number == low) or (below and number == high)
    if outside or not math.isfinite(number):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return number


def _as_float(value: Any) -> float:
    """Return `value` as a float; infinity for an integer of more than 308 digits."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def seed_number(value: Any) -> int:
    """Return a seed in 0..2**64 - 1; None draws one from the operating system."""
    if value is None:
        return secrets.randbits(63)
    return whole_number("seed", value, 0, 2**64 - 1)


def dropout_rates(dropout: Any, layers: int) -> list[float]:
    """Return a dropout rate in [0, 1) for each of the hidden layers, from one for all or a list."""
    listed = hasattr(dropout, "__iter__") and not isinstance(dropout, (str, bytes))
    each = list(dropout) if listed else [dropout] * layers
    what = f"a rate from 0 and below 1, or {layers} of them, one for each hidden layer"
    if len(each) != layers:
        raise ValueError(f"dropout: expected {what}, got {dropout!r}")
    for rate in each if listed else [dropout]:
        if isinstance(rate, bool) or not isinstance(rate, numbers.Real):
            raise TypeError(f"dropout: expected {what}, got {dropout!r}")
        if not 0.0 <= _as_float(rate) < 1.0:
            raise ValueError(f"dropout: expected {what}, got {dropout!r}")
    return [float(rate) for rate in each]


def reals(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return finite numbers as a new float64 array."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" and array.size:
        raise TypeError(f"{name}: expected real numbers, got {array.dtype}")
    array = np.array(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return array


def path_text(path: Any) -> str:
    """Return a path as text; TypeError if it is none."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"path: expected a path, got {type(path).__name__}") from None


def check_places(X: Any) -> None:
    """Raise ValueError where sparse rows are damaged: SciPy's own code follows them anywhere."""
    if hasattr(X, "check_format"):
        # An object of its own, that shares the arrays: the check replaces them.
        same = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
        same.check_format(full_check=True)
        if (X.indptr[1:] < X.indptr[:-1]).any():  # which SciPy asks only where something is stored
            raise ValueError("damaged sparse rows: indptr descends")

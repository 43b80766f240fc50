# SPDX-License-Identifier: BSD-3-Clause
"""The arrays of conformal prediction, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import reals

Array = NDArray[np.float64]


def as_columns(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> Array:
    """Return finite numbers as (n, outputs), n >= 1."""
    array = reals(name, values)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0 or (shape is not None and array.shape != shape):
        expected = "(n, outputs), n >= 1" if shape is None else str(shape)
        raise ValueError(f"{name}: expected shape {expected}, got {np.shape(values)}")
    return array


def one_column(name: str, values: ArrayLike, shape: tuple[int, int] | None = None) -> Array:
    """Return finite numbers as (n,), n >= 1."""
    array = as_columns(name, values, shape)
    if array.shape[1] != 1:
        raise ValueError(f"{name}: expected one output, got {array.shape[1]}")
    return array[:, 0]


def as_weights(weights: ArrayLike, n: int) -> Array:
    """Return weights, (n,), none of them below 0."""
    w = as_columns("weights", weights, (n, 1))[:, 0]
    if (w < 0).any():
        raise ValueError(f"weights: expected numbers >= 0, got {w.min()}")
    return w


def outer_columns(name: str, predicted: ArrayLike) -> tuple[Array, Array]:
    """Return the first and the last column of quantiles."""
    quantiles = as_columns(name, predicted)
    if quantiles.shape[1] < 2:
        raise ValueError(f"{name}: expected a lower and an upper quantile, got one column")
    return quantiles[:, 0], quantiles[:, -1]


def joined_ends(low: Array, high: Array) -> Array:
    ends = np.stack([low, high], axis=-1)
    return ends[:, 0] if ends.shape[1] == 1 else ends

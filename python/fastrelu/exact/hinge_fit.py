# SPDX-License-Identifier: BSD-3-Clause
"""Least-squares fits of a continuous piecewise-linear function with free knots, by the core."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu._arguments import whole_number

Array = NDArray[np.float64]
# So many hinges take long.
MANY = 250


def fit_hinges(x: Array, y: Array, n_hinges: int) -> tuple[Array, Array, float, float]:
    """Return knots, values, left and right slope; see `PiecewiseLinear.fit`."""
    n_hinges = whole_number("n_hinges", n_hinges, 1)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"x: expected shape (n,), n >= 1, got {x.shape}")
    if y.shape != x.shape:
        raise ValueError(f"y: expected shape {x.shape}, got {y.shape}")
    with np.errstate(over="ignore"):
        if not np.isfinite(x.max() - x.min()):
            raise ValueError("x: expected a range that does not overflow float64")
    if MANY < n_hinges < len(x):
        warnings.warn(
            f"n_hinges: {n_hinges} of them may take minutes (on 1,000 points 120 take 2 to 6 s, "
            "240 take 35 s); Ctrl-C ends the fit",
            stacklevel=3,
        )
    return _core.fit_hinges(x, y, min(n_hinges, len(x)))

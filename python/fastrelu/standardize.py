# SPDX-License-Identifier: BSD-3-Clause
"""Columns of numbers, each an array of its own type, to rows that a network reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core

__all__ = ["standardize"]


def standardize(
    columns: Sequence[NDArray[Any] | None],
    rows: NDArray[np.intp] | None,
    fill: NDArray[np.float64],
    mean: NDArray[np.float64],
    divisor: NDArray[np.float64],
    indicators: NDArray[np.int64],
    out: NDArray[Any],
) -> tuple[NDArray[np.int64], bool]:
    """Write ``(x - mean) / divisor`` of every column into rows, missing numbers filled.

    Parameters
    ----------
    columns : sequence of ndarray, (n,), or None
        p columns of any real dtype, NaN is missing; None is a column of missing numbers.
    rows : ndarray of int64, (m,), or None
        Which of the n rows; None is all of them, and then m is n.
    fill, mean, divisor : ndarray of float64, (p,)
        What a missing number becomes; what is taken off and divided by, in float64.
    indicators : ndarray of int64, (p,)
        The column of `out` that says 1 where a number was missing and 0 elsewhere; -1 for none.
    out : ndarray of float32 or float64, (m, p or more)
        Gets the numbers in its first p columns, rounded once to its dtype.

    Returns
    -------
    missing : ndarray of int64, (p,)
        How many numbers each column lacks.
    finite : bool
        Whether all that was written is finite.

    Raises
    ------
    ValueError
        If lengths do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu.standardize import standardize
    >>> out, zero, one = np.empty((2, 2), "float32"), np.zeros(1), np.ones(1)
    >>> standardize([np.array([3.0, np.nan])], None, one, one, 2 * one, np.array([1]), out)
    (array([1]), True)
    >>> out
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    return _core.standardize(list(columns), rows, fill, mean, divisor, indicators, out)

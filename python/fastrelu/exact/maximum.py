# SPDX-License-Identifier: BSD-3-Clause
"""The larger and the smaller of two piecewise-linear functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.exact.piecewise import PiecewiseLinear, common_knots

Array = NDArray[np.float64]
__all__ = ["maximum", "minimum"]


def maximum(f: PiecewiseLinear, g: PiecewiseLinear) -> PiecewiseLinear:
    """Return the larger of two functions at each x, output by output.

    Parameters
    ----------
    f, g : PiecewiseLinear
        Two functions with the same number of outputs.

    Returns
    -------
    PiecewiseLinear
        Its knots are those of both functions, and the x at which the two cross.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a PiecewiseLinear, or the numbers of outputs differ.

    Examples
    --------
    >>> import fastrelu
    >>> f = fastrelu.PiecewiseLinear([0], [0], left_slope=1, right_slope=1)  # x
    >>> h = fastrelu.maximum(f, 1 - f)
    >>> h([0.0, 0.5, 2.0])
    array([1. , 0.5, 2. ])
    >>> h.simplify().knots
    array([0.5])
    """
    _check_functions(f, g)
    knots = common_knots(f, g)
    gap = (f(knots) - g(knots)).reshape(len(knots), -1)
    left = np.array(np.minimum(f.left_slope, g.left_slope))
    right = np.array(np.maximum(f.right_slope, g.right_slope))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        i, o = np.nonzero(gap[1:] * np.sign(gap[:-1]) < 0)
        share = gap[i, o] / (gap[i, o] - gap[i + 1, o])
        crossings = [knots[i] + (knots[i + 1] - knots[i]) * share]
        for end, slopes in ((0, f.left_slope - g.left_slope), (-1, f.right_slope - g.right_slope)):
            step = -gap[end] / slopes.reshape(-1)
            outside = step < 0 if end == 0 else step > 0
            far = outside & ~np.isfinite(knots[end] + step)
            crossings.append(knots[end] + step[outside & ~far])
            # A crossing beyond all numbers never comes: the larger one there stays the larger.
            if far.any():
                winner = np.where((gap[end] > 0).reshape(slopes.shape), *_outer_slopes(f, g, end))
                (left, right)[end][...] = np.where(
                    far.reshape(slopes.shape), winner, (left, right)[end]
                )
    knots = np.union1d(knots, np.concatenate(crossings))
    return PiecewiseLinear(knots, np.maximum(f(knots), g(knots)), left, right)


def minimum(f: PiecewiseLinear, g: PiecewiseLinear) -> PiecewiseLinear:
    """Return the smaller of two functions at each x, output by output.

    Parameters
    ----------
    f, g : PiecewiseLinear
        Two functions with the same number of outputs.

    Returns
    -------
    PiecewiseLinear
        Its knots are those of both functions, and the x at which the two cross.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a PiecewiseLinear, or the numbers of outputs differ.

    Examples
    --------
    >>> import fastrelu
    >>> f = fastrelu.PiecewiseLinear([0], [0], left_slope=1, right_slope=1)  # x
    >>> fastrelu.minimum(f, 1 - f)([0.0, 0.5, 2.0])
    array([ 0. ,  0.5, -1. ])
    """
    _check_functions(f, g)
    return -maximum(-f, -g)


def _check_functions(f: Any, g: Any) -> None:
    for name, function in (("f", f), ("g", g)):
        if not isinstance(function, PiecewiseLinear):
            raise TypeError(f"{name}: expected a PiecewiseLinear, got {type(function).__name__}")


def _outer_slopes(f: PiecewiseLinear, g: PiecewiseLinear, end: int) -> tuple[Array, Array]:
    return (f.left_slope, g.left_slope) if end == 0 else (f.right_slope, g.right_slope)

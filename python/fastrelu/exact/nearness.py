# SPDX-License-Identifier: BSD-3-Clause
"""When two piecewise-linear functions are one up to rounding, and which knots one can do without.

What is large in one place has large roundings there and nowhere else. So a difference is measured
by the numbers that a value comes from: at a knot the values beside it, on the side where they are
smaller; between two knots the nearer one's, and the share of both ends that the distance takes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastrelu.exact.piecewise import PiecewiseLinear

#: Points of which the values are computed at once.
BLOCK = 1 << 18
Array = NDArray[np.float64]
ROUNDING = 4 * float(np.finfo(np.float64).eps)
AHEAD = 4  # knots beyond one that is out of reach: those a rounding apart may hide a line


def are_equal(f: PiecewiseLinear, g: PiecewiseLinear) -> bool:
    """Return whether two functions with as many outputs are one up to a few roundings."""
    x = np.union1d(f.knots, g.knots)
    allowed = ROUNDING * np.maximum(_sizes_at(f, x), _sizes_at(g, x))
    if (np.abs(f(x) - g(x)) > allowed).any():
        return False
    pairs = ((f.left_slope, g.left_slope), (f.right_slope, g.right_slope))
    return all(
        bool((np.abs(a - b) <= ROUNDING * np.maximum(np.abs(a), np.abs(b))).all()) for a, b in pairs
    )


def needed_knots(f: PiecewiseLinear, tol: float) -> list[int]:
    """Return the knots that a function within `tol`, or a few roundings, can be made of."""
    last, knots, values = len(f.knots) - 1, f.knots, f.values
    sizes, magnitudes = _sizes(f), np.abs(values)

    def near(line: Array, size: Array, between: slice) -> bool:
        allowed = np.maximum(tol, ROUNDING * np.maximum(sizes[between], size))
        return bool((np.abs(line - values[between]) <= allowed).all())

    def near_ray(i: int, slope: Array, between: slice) -> bool:
        rise = np.multiply.outer(knots[between] - knots[i], slope)
        return near(values[i] + rise, magnitudes[i] + np.abs(rise), between)

    def near_chord(i: int, j: int) -> bool:
        x, between = knots[i + 1 : j], slice(i + 1, j)
        share = (x - knots[i]) / (knots[j] - knots[i])
        back = (knots[j] - x) / (knots[j] - knots[i])
        from_i = share <= back
        slope = (values[j] - values[i]) / (knots[j] - knots[i])
        line = np.where(
            _column(from_i, values),
            values[i] + np.multiply.outer(x - knots[i], slope),
            values[j] + np.multiply.outer(x - knots[j], slope),
        )
        ends = np.multiply.outer(np.minimum(share, back), magnitudes[i] + magnitudes[j])
        nearer = np.where(_column(from_i, values), magnitudes[i], magnitudes[j])
        return near(line, nearer + ends, between)

    def nexts(j: int) -> range:
        return range(j + 1, min(j + AHEAD, end) + 1)

    first = max(i for i in range(last + 1) if near_ray(i, f.left_slope, slice(0, i)))
    end = min(i for i in range(first, last + 1) if near_ray(i, f.right_slope, slice(i, None)))
    kept = [first]
    while kept[-1] < end:
        j = kept[-1] + 1
        while (m := next(filter(partial(near_chord, kept[-1]), nexts(j)), None)) is not None:
            j = m
        kept.append(j)
    return kept


def _column(flags: NDArray[np.bool_], values: Array) -> NDArray[np.bool_]:
    return flags if values.ndim == 1 else flags[:, None]


def _sizes(f: PiecewiseLinear) -> Array:
    """Return the magnitude of what surrounds each knot, on the side where it is smaller."""
    size = np.abs(f.values)
    if len(size) == 1:
        return np.asarray(size)
    pieces = np.maximum(size[1:], size[:-1])
    left, right = np.concatenate([pieces[:1], pieces]), np.concatenate([pieces, pieces[-1:]])
    return np.asarray(np.minimum(left, right))


def _sizes_at(f: PiecewiseLinear, x: Array) -> Array:
    """Return the magnitudes of the numbers that f(x) comes from."""
    piece, last = np.searchsorted(f.knots, x, side="right"), len(f.knots) - 1
    left, right = np.maximum(piece - 1, 0), np.minimum(piece, last)
    nearer = np.where(np.abs(x - f.knots[left]) <= np.abs(f.knots[right] - x), left, right)
    distance = np.abs(x - f.knots[nearer])
    # Inside the slope's rounding is that of the ends' values; outside the slope is given.
    share = distance / np.where(left == right, 1.0, f.knots[right] - f.knots[left])
    inside = ((np.abs(f.values[left]) + np.abs(f.values[right])).T * share).T
    with np.errstate(over="ignore"):
        outside = (np.abs(f.slopes[piece]).T * distance).T
    return np.asarray(
        _sizes(f)[nearer] + np.where(_column(left == right, f.values), outside, inside)
    )

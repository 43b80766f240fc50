# SPDX-License-Identifier: BSD-3-Clause
"""From a piecewise-linear function to the network with one hinge a knot.

A hinge that opens to the right, ``max(0, x - knot)``, is 0 left of its knot; one that opens to the
left, ``max(0, knot - x)``, is 0 right of it. With all hinges opening to the right every one of them
would have to be undone again further on. So a place is chosen in the middle, a flat piece if there
is one, and all hinges open away from it: on either side only the hinges between that place and x
are at work, and the sum up to each of them is the line of one piece, prolonged to x. From a flat
piece the constant alone is left in the middle. Where none is flat, the hinge at the place (a knot)
is doubled, one opening either way, which gives the two slopes there.

Hidden weights are +1 and -1 and hidden biases the knots themselves, so that ``x - knot`` is rounded
once and is 0 at the knot. The output weights, the changes of slope, have to be rounded; each is
chosen so that the next knot is met after the roundings of those before it, reckoned in rational
numbers, so that they do not add up.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastrelu.exact.piecewise import PiecewiseLinear
    from fastrelu.network import Network

Array = NDArray[Any]


def hinge_network(f: PiecewiseLinear, dtype: Any) -> Network:
    """Return the network; see `PiecewiseLinear.to_network`."""
    from fastrelu.network import Network, dtype_name

    kind = np.dtype(dtype_name(dtype)).type
    with np.errstate(over="ignore"):
        knots = f.knots.astype(kind)
    if not np.isfinite(knots).all() or not (knots[1:] > knots[:-1]).all():
        raise ValueError(
            f"dtype: expected one in which the knots are finite and all different, got "
            f"{kind.__name__}, to which two of them round as one, or overflow"
        )
    values = f.values.reshape(len(knots), -1)
    left, right, constant = _sides(values, f.slopes.reshape(len(knots) + 1, -1))
    net = Network._zeros([1, len(left) + len(right), values.shape[1]], kind, ["relu"])
    sign = np.repeat([-1, 1], [len(left), len(right)])
    net.weights[0][0] = sign
    net.biases[0][:] = -sign * knots[left + right]
    for o in range(values.shape[1]):
        start = _rounded(Fraction(values[constant, o]), kind)
        net.biases[1][o] = start
        outward = (-f.left_slope.reshape(-1)[o], left), (f.right_slope.reshape(-1)[o], right)
        weights = [
            weight
            for slope, order in outward
            for weight in _slope_changes(knots, values[:, o], order, start, slope, kind)
        ]
        net.weights[1][:, o] = weights
    return net


def _sides(values: Array, slopes: Array) -> tuple[list[int], list[int], int]:
    """Return the knots whose hinges open to the left, to the right, and that of the constant."""
    n = len(values)
    # By the values: a difference of two of them may underflow in the slope.
    flat = (slopes == 0).all(axis=1)
    flat[1:-1] = (values[1:] == values[:-1]).all(axis=1)
    pieces = np.flatnonzero(flat)
    if len(pieces):
        piece = int(pieces[np.argmin(np.abs(pieces - n / 2))])
        return list(range(piece - 1, -1, -1)), list(range(piece, n)), min(piece, n - 1)
    middle = n // 2
    return list(range(middle, -1, -1)), list(range(middle, n)), middle


def _slope_changes(
    knots: Array, values: Array, order: list[int], start: Any, last_slope: float, kind: Any
) -> list[Any]:
    """Return the output weights of the hinges at knots[order], walking away from the middle."""
    height, slope, changes = Fraction(float(start)), Fraction(0), []
    for i, k in enumerate(order):
        following = order[min(i + 1, len(order) - 1)]
        if following == k:
            wanted, distance = Fraction(float(last_slope)), Fraction(0)
        else:
            distance = abs(Fraction(float(knots[following])) - Fraction(float(knots[k])))
            wanted = (Fraction(float(values[following])) - height) / distance
        change = _rounded(wanted - slope, kind)
        slope += Fraction(float(change))
        height += slope * distance
        changes.append(change)
    return changes


def _rounded(number: Fraction, kind: Any) -> Any:
    try:
        with np.errstate(over="ignore"):
            rounded = kind(float(number))
    except OverflowError:
        rounded = kind(np.inf)
    if not np.isfinite(rounded):
        raise ValueError(
            f"dtype: expected one that holds the values and the changes of slope, got "
            f"{kind.__name__}, in which one of them overflows"
        )
    return rounded

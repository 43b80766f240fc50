# SPDX-License-Identifier: BSD-3-Clause
"""Intervals of a network's partial derivatives over a box, by its layers' weights.

The derivative of an output with respect to a layer's activations is a sum of products of weights
and slopes. A unit's slope is known where its pre-activation has one sign in the box, and else
between the slope below 0 and 1. Sums of terms of one sign keep that sign in spite of roundings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu.exact.bounds import as_box
from fastrelu.exact.jacobians import EPS, roundings
from fastrelu.exact.network_parameters import (
    check_activations,
    check_parameters,
    input_scale,
    negative_slope,
    parameters,
)

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
Interval = tuple[Array, Array]
# More than what products lose that underflow in a sum.
TINY = 1e-300


class DerivativeBounds:
    """Bounds on derivatives of weighted sums of a network's outputs, box after box."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.weights, _ = parameters(net)
        self.slopes = [negative_slope(net, name) for name in net.activations]
        self.scale = input_scale(net)
        self.ends = np.cumsum(net.layer_sizes[1:-1])

    def layers(self, lower: Array, upper: Array) -> list[Interval]:
        """Return intervals of the exact pre-activations of every hidden layer in a box."""
        low, high = _core.pre_activation_bounds(self.net, lower, upper, False, None, 0.0)
        ends = self.ends
        return list(zip(np.split(low, ends)[:-1], np.split(high, ends)[:-1], strict=True))

    def backward(self, known: list[Interval], sums: Array) -> tuple[Interval, list[Interval]]:
        """Return bounds on the derivatives of sums of outputs, (m, d_out).

        First those with respect to the inputs, (m, d_in), then those with respect to the
        activations of each hidden layer, (m, width). They hold in a neighbourhood of the box: a
        slope counts as known only where the pre-activation is not 0 at the edge either.
        """
        low = high = sums
        inner: list[Interval] = []
        for k in reversed(range(len(self.weights))):
            low, high = _times(low, high, self.weights[k].T)
            if k == 0:
                break
            inner.insert(0, (low, high))
            z_low, z_high = known[k - 1]
            least = np.where(z_low > 0, 1.0, self.slopes[k - 1])
            most = np.where(z_high < 0, self.slopes[k - 1], 1.0)
            low, high = (
                _scaled(low, least, most, np.minimum),
                _scaled(high, least, most, np.maximum),
            )
        factor = abs(self.scale)
        if self.scale < 0:
            low, high = -high, -low
        return (_outward(low * factor, low, -1), _outward(high * factor, high, 1)), inner


def _scaled(c: Array, least: Array, most: Array, choose: np.ufunc) -> Array:
    """Return the least or greatest product of c and a slope, outwards."""
    found = np.asarray(choose(c * least, c * most))
    exact = (found == c) | ((found == 0) & (least == 0))
    return np.where(exact, found, _outward(found, c, -1 if choose is np.minimum else 1))


def _outward(value: Array, of: Array, sign: int) -> Array:
    """Return a product moved outwards by more than its rounding, but not across 0."""
    moved = value + sign * (4 * EPS * np.abs(value) + TINY * (of != 0))
    crossed = (of > 0) & (moved < 0) | (of < 0) & (moved > 0)
    return np.where(crossed, 0.0, moved)


def _times(low: Array, high: Array, W: Array) -> Interval:
    """Return bounds on c @ W for every c between low and high."""
    plus, minus = np.maximum(W, 0), np.maximum(-W, 0)
    g = 2 * roundings(len(W))

    def least(a: Array, b: Array) -> Array:
        # a: what meets positive weights; b: what meets the magnitudes of negative ones.
        up = np.maximum(a, 0) @ plus + np.maximum(b, 0) @ minus
        down = np.maximum(-a, 0) @ plus + np.maximum(-b, 0) @ minus
        any_down = (a < 0).astype(float) @ (plus > 0) + (b < 0).astype(float) @ (minus > 0)
        return np.asarray(up * (1 - g) - (down * (1 + g) + TINY * (any_down > 0)))

    return least(low, -high), -least(-high, low)


def derivative_bounds(net: Network, bounds: ArrayLike) -> Interval:
    """Return bounds on the partial derivatives; see `Network.derivative_bounds`."""
    check_activations(net)
    check_parameters(net)
    box = as_box(bounds, net.layer_sizes[0])
    found = DerivativeBounds(net)
    with np.errstate(over="ignore", invalid="ignore"):
        known = found.layers(box[:, 0].copy(), box[:, 1].copy())
        (low, high), _ = found.backward(known, np.eye(net.layer_sizes[-1]))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("network: the bound of its Jacobian overflows float64")
    return low, high

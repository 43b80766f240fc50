# SPDX-License-Identifier: BSD-3-Clause
"""Upper bounds on a network's Lipschitz constant from its layers' matrices.

Where it is differentiable the network's Jacobian is J = W_L D_{L-1} W_{L-1} ... D_1 W_1, D_k
diagonal with entries between a unit's slope below 0 and 1. With m the middle of what an entry can
be and h half its width (0 for a unit that cannot switch), D = m + sqrt(h) T sqrt(h), |T| <= 1.
Two bounds follow:

- by norms: multiplied out, J is a sum over the ways to cut the product at some of the T, so its
  norm is at most the sum of the products of the blocks' norms. With m = h = 1/2 that is the bound
  of Combettes and Pesquet (SIAM J. Math. Data Sci. 2, 2020); it is never above the product of all
  layers' norms, which is what cutting everywhere gives.
- by entries: an interval for each entry of J, layer by layer, whose largest magnitudes bound the
  norm.

Every matrix C comes with R, a bound on the magnitude of what is missing in it, roundings
included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastrelu.exact.jacobians import EPS, Layers, evaluate, norm_above, roundings

Array = NDArray[np.float64]
Bounds = Sequence[tuple[Array, Array]]


@dataclass(frozen=True)
class Switches:
    """What a hidden layer's D can be: entries within h of m."""

    m: Array
    h: Array


def upper_bound(layers: Layers, box: Array | None, norm: float, known: Bounds = ()) -> float:
    """Return a bound on the norm of J over the box, or everywhere without one.

    `known`: intervals that the layers' pre-activations are certain to be in over the box.
    """
    values = None if box is None else _Values(layers, box, known)
    # All of J up to the layer, by entries.
    C, R = layers.weights[0], EPS * np.abs(layers.weights[0])
    # Its parts: blocks[j] begins behind the T of layer j - 1 and is not cut since; bounds[j] is one
    # on the norm of all before it, up to and with sqrt(h).
    blocks: list[tuple[Array, Array]] = []
    bounds, before = [1.0], np.ones(1)
    switches: Switches | None = None
    for k, W in enumerate(layers.weights):
        if switches is not None:
            C, R = _through(W, switches, C, R)
            fixed = Switches(switches.m, np.zeros_like(switches.h))
            blocks = [_through(W, fixed, *block) for block in blocks]
        blocks.append((W * before, 2 * EPS * np.abs(W * before)))
        behind = np.ones(1)
        if k < len(layers.slopes):
            switches = _switches(layers.slopes[k], len(W), values, k, C, R)
            behind = np.sqrt(switches.h) * (1 + 2 * EPS)
        by_norms = sum(
            bound * _norm_behind(behind, *block, norm) * (1 + roundings(len(blocks)))
            for bound, block in zip(bounds, blocks, strict=True)
            if bound > 0
        )
        bounds.append(min(by_norms, _norm_behind(behind, C, R, norm)))
        before = behind
    return bounds[-1]


def _norm_behind(behind: Array, C: Array, R: Array, norm: float) -> float:
    rows = behind[:, None]
    return norm_above(rows * C, rows * R * (1 + EPS) + EPS * np.abs(rows * C), norm)


def _through(W: Array, switches: Switches, C: Array, R: Array) -> tuple[Array, Array]:
    """Return W D (C, R)."""
    g = roundings(W.shape[1])
    m, h = switches.m[:, None], switches.h[:, None]
    size = np.abs(C)
    radius = np.abs(W) @ (m * R + h * (size + R) + g * m * size)
    return W @ (m * C), radius * (1 + 2 * g)


def _switches(
    slope: float, width: int, values: _Values | None, k: int, C: Array, R: Array
) -> Switches:
    m = np.full(width, (1 + slope) / 2)
    h = np.full(width, (1 - slope) / 2 * (1 + 4 * EPS))
    if values is not None:
        low, high = values.layer(k, C, R)
        m = np.where(low >= 0, 1.0, np.where(high <= 0, slope, m))
        h = np.where((low >= 0) | (high <= 0), 0.0, h)
        values.activate(slope)
    return Switches(m, h)


class _Values:
    """The intervals of pre-activations over a box, layer after layer."""

    def __init__(self, layers: Layers, box: Array, known: Bounds) -> None:
        self.layers, self.known = layers, known
        self.middle = 0.5 * box[:, 0] + 0.5 * box[:, 1]
        # The largest distance from the middle as it was rounded.
        away = np.maximum(box[:, 1] - self.middle, self.middle - box[:, 0])
        self.half = away * (1 + 2 * EPS)
        self.center = evaluate(layers, self.middle[None])
        self.low, self.high = box[:, 0], box[:, 1]

    def layer(self, k: int, C: Array, R: Array) -> tuple[Array, Array]:
        """Return the layer's intervals, from the Jacobian so far and from the layer before."""
        W, b = self.layers.weights[k], self.layers.biases[k]
        g = 4 * roundings(W.shape[1])
        plus, minus = np.maximum(W, 0), np.minimum(W, 0)
        size = np.abs(W) @ np.maximum(np.abs(self.low), np.abs(self.high)) + np.abs(b)
        low = plus @ self.low + minus @ self.high + b - g * size
        high = plus @ self.high + minus @ self.low + b + g * size
        z, error = self.center.z[k][0], self.center.error[k][0]
        away = (((np.abs(C) + R) @ self.half) + error + EPS * np.abs(z)) * (1 + g)
        low, high = np.maximum(low, z - away), np.minimum(high, z + away)
        if self.known:
            low, high = np.maximum(low, self.known[k][0]), np.minimum(high, self.known[k][1])
        self.low, self.high = low, high
        return low, high

    def activate(self, slope: float) -> None:
        """Go on from the pre-activations to the activations."""
        self.low = np.where(self.low > 0, self.low, slope * self.low * (1 + 2 * EPS))
        self.high = np.where(self.high > 0, self.high, slope * self.high * (1 - 2 * EPS))

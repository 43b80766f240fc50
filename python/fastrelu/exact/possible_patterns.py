# SPDX-License-Identifier: BSD-3-Clause
"""Whether a pattern of active units occurs anywhere, in whole numbers: without a rounding.

Under a pattern every pre-activation is linear in (x, w), w = 1, so the points that have the pattern
are a polygon (an interval, of one input): the part of the plane on which all signs are right.
Floats are whole numbers times powers of two, and positive factors change no sign, so whole numbers
do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.exact.network_parameters import input_scale, negative_slope, parameters

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
# A direction (x, w), w >= 0, of whole numbers: the point x / w, or one at infinity. A part of the
# plane is the polygon between some of them, in turn.
Ray = tuple[int, ...]
Part = list[Ray]


@dataclass(frozen=True)
class Whole:
    """Numbers as Python's whole numbers (dtype object), 2**shift times too large."""

    numbers: NDArray[Any]
    shift: int

    @classmethod
    def of(cls, values: Array) -> Whole:
        """Return float64 values without a rounding."""
        digits, exponent = np.frexp(values)
        used = values != 0
        shift = 53 - int(exponent[used].min()) if used.any() else 0
        whole = [
            int(d * 2.0**53) << (int(e) - 53 + shift) if d else 0
            for d, e in zip(digits.flat, exponent.flat, strict=True)
        ]
        return cls(np.array(whole, dtype=object).reshape(values.shape), shift)

    def shifted(self, shift: int) -> NDArray[Any]:
        """Return the numbers 2**shift times too large, for a larger shift."""
        return self.numbers * (1 << (shift - self.shift))

    def __matmul__(self, other: Whole) -> Whole:
        return Whole(self.numbers.dot(other.numbers), self.shift + other.shift)


class PossiblePatterns:
    """The patterns that a network with one or two inputs has, in a box or everywhere."""

    def __init__(self, net: Network, box: Array | None) -> None:
        d_in = net.layer_sizes[0]
        self.slopes = [negative_slope(net, name) for name in net.activations]
        weights, biases = parameters(net)
        # A last input, 1, is multiplied by the biases.
        self.weights = [Whole.of(W.T) for W in weights[:-1]]
        self.biases = [Whole.of(b) for b in biases[:-1]]
        self.inputs = Whole.of(np.eye(d_in, d_in + 1) * input_scale(net))
        self.parts = _everywhere(d_in) if box is None else [_box(box)]

    def has_inside(self, active: Flags, is_open: Flags) -> bool:
        """Return whether a pattern has an inside.

        Open units may be either way. Nothing is said of layers behind the first that has some: if
        it does, the answer may be true for patterns that do not occur.
        """
        parts, h, at = self.parts, self.inputs, 0
        for slope, W, b in zip(self.slopes, self.weights, self.biases, strict=True):
            units = slice(at, at := at + len(b.numbers))
            z = _affine(W, h, b)
            for row, is_active, skip in zip(z.numbers, active[units], is_open[units], strict=True):
                if slope < 1 and not skip:
                    parts = [_cut(part, row if is_active else -row) for part in parts]
                    parts = [part for part in parts if part]
            if not parts:
                return False
            if is_open[units].any():
                return True
            below = Whole.of(np.array(slope))
            factor = np.where(active[units], 1 << below.shift, int(below.numbers))
            h = Whole(z.numbers * factor[:, None], z.shift + below.shift)
        return True


def _affine(W: Whole, h: Whole, b: Whole) -> Whole:
    z = W @ h
    shift = max(z.shift, b.shift)
    numbers = z.shifted(shift)
    numbers[:, -1] += b.shifted(shift)
    return Whole(numbers, shift)


def _everywhere(d_in: int) -> list[Part]:
    """Return the plane in quadrants, or the line in halves: a part has no two opposite rays."""
    unit = [tuple(int(i == j) for j in range(d_in + 1)) for i in range(d_in + 1)]
    return [
        [tuple(s * v for v in unit[i]) for i, s in enumerate(signs)] + [unit[d_in]]
        for signs in product((1, -1), repeat=d_in)
    ]


def _box(box: Array) -> Part:
    whole = Whole.of(box)
    one = 1 << max(whole.shift, 0)
    edges = whole.shifted(max(whole.shift, 0)).tolist()
    if len(edges) == 1:
        return [(edges[0][0], one), (edges[0][1], one)]
    (u0, u1), (v0, v1) = edges
    return [(u0, v0, one), (u1, v0, one), (u1, v1, one), (u0, v1, one)]


def _cut(part: Part, row: NDArray[Any]) -> Part:
    """Return the side of a part on which the row is positive; [] if there is none."""
    at = [sum(a * b for a, b in zip(row.tolist(), ray, strict=True)) for ray in part]
    # What is 0 all over has neither a side nor a slope.
    if min(at) >= 0:
        return part if max(at) > 0 or not any(at) else []
    if max(at) <= 0:
        return []
    kept: Part = []
    for i, (ray, here) in enumerate(zip(part, at, strict=True)):
        following, there = part[(i + 1) % len(part)], at[(i + 1) % len(part)]
        if here >= 0:
            kept.append(ray)
        if (here < 0 < there or there < 0 < here) and (len(part) > 2 or i == 0):
            mixed = [abs(there) * a + abs(here) * b for a, b in zip(ray, following, strict=True)]
            shared = math.gcd(*mixed)
            kept.append(tuple(v // shared for v in mixed))
    return kept

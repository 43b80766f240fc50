# SPDX-License-Identifier: BSD-3-Clause
"""A network's linear regions in one or two inputs by rational arithmetic: slow, no roundings.

It shares nothing with the library but the parameters. A region is kept only if it has an inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

Point = tuple[Fraction, ...]
# Further out than any kink of float64 parameters met in tests: rational numbers do not mind.
EVERYWHERE = Fraction(2) ** 600


@dataclass
class Region:
    corners: list[Point]  # of an interval, two; of a polygon, counter-clockwise
    A: list[list[Fraction]]  # the affine map of the layer that was added last, (width, d_in)
    c: list[Fraction]
    pattern: list[bool] = field(default_factory=list)

    def at(self, unit: int, x: Point) -> Fraction:
        return sum((a * v for a, v in zip(self.A[unit], x, strict=True)), self.c[unit])


def rational_regions(net: Any, bounds: Any = None) -> list[Region]:
    """Return the regions in a box, or everywhere; A and c are the outputs' map."""
    d_in = net.layer_sizes[0]
    box = [(-EVERYWHERE, EVERYWHERE)] * d_in if bounds is None else bounds
    box = [(Fraction(low), Fraction(high)) for low, high in box]
    if d_in == 1:
        corners: list[Point] = [(box[0][0],), (box[0][1],)]
    else:
        (u0, u1), (v0, v1) = box
        corners = [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
    scale = Fraction(float(net.dtype.type(net.scale)))
    unit = [[scale * (i == j) for j in range(d_in)] for i in range(d_in)]
    regions = [Region(corners, unit, [Fraction(0)] * d_in)]
    names = [*net.activations, "output"]
    for k, name in enumerate(names):
        W = [[Fraction(float(w)) for w in row] for row in np.asarray(net.weights[k])]
        b = [Fraction(float(v)) for v in net.biases[k]] if net.bias else [Fraction(0)] * len(W[0])
        regions = [_through_weights(r, W, b) for r in regions]
        if name in ("output", "identity"):
            for region in regions if name == "identity" else []:
                region.pattern += [True] * len(b)
            continue
        slope = Fraction(0 if name == "relu" else float(net.dtype.type(0.01)))
        regions = [part for r in regions for part in _switched(r, len(b), slope)]
    return regions


def largest_slope(net: Any, norm: float = 2, bounds: Any = None) -> float:
    """Return the Lipschitz constant, rounded once or so."""
    best = 0.0
    for region in rational_regions(net, bounds):
        A = region.A
        if norm == 2 and 1 in (len(A), len(A[0])):
            square = sum((a * a for row in A for a in row), Fraction(0))
            best = max(best, _square_root(square))
        elif norm == 2:
            best = max(best, float(np.linalg.norm(np.array(A, dtype=float), 2)))
        else:
            rows = A if norm == np.inf else list(zip(*A, strict=True))
            best = max(best, max(float(sum(map(abs, row), Fraction(0))) for row in rows))
    return best


def area(corners: list[Point]) -> Fraction:
    """Return the length of an interval, or the area of a polygon."""
    if len(corners[0]) == 1:
        return corners[1][0] - corners[0][0]
    following = [*corners[1:], corners[0]]
    twice = sum(
        (p[0] * q[1] - p[1] * q[0] for p, q in zip(corners, following, strict=True)), Fraction(0)
    )
    return twice / 2


def _through_weights(region: Region, W: list[list[Fraction]], b: list[Fraction]) -> Region:
    d_in = len(region.corners[0])
    A = [
        [sum((W[i][o] * region.A[i][j] for i in range(len(W)) if W[i][o]), Fraction(0))
         for j in range(d_in)]
        for o in range(len(b))
    ]  # fmt: skip
    c = [
        sum((W[i][o] * region.c[i] for i in range(len(W)) if W[i][o]), b[o]) for o in range(len(b))
    ]
    return Region(region.corners, A, c, list(region.pattern))


def _switched(region: Region, width: int, slope: Fraction) -> list[Region]:
    parts = [region]
    for unit in range(width):
        cut: list[Region] = []
        for part in parts:
            heights = [part.at(unit, x) for x in part.corners]
            if max(heights) > 0:
                cut.append(_side(part, heights, unit, slope, active=True))
            if min(heights) < 0 or max(heights) <= 0:
                cut.append(_side(part, heights, unit, slope, active=False))
        parts = cut
    for part in parts:
        for unit, active in enumerate(part.pattern[-width:]):
            if not active:
                part.A[unit] = [slope * a for a in part.A[unit]]
                part.c[unit] *= slope
    return parts


def _side(
    part: Region, heights: list[Fraction], unit: int, slope: Fraction, *, active: bool
) -> Region:
    """Return the part on one side of the unit's line; maps are scaled once all units are done."""
    sign = 1 if active else -1
    kept: list[Point] = []
    n = len(part.corners)
    for i, (x, h) in enumerate(zip(part.corners, heights, strict=True)):
        y, g = part.corners[(i + 1) % n], heights[(i + 1) % n]
        if sign * h >= 0:
            kept.append(x)
        if h * g < 0 and (n > 2 or i == 0):
            share = h / (h - g)
            kept.append(tuple(p + share * (q - p) for p, q in zip(x, y, strict=True)))
    if len(part.corners[0]) == 1:
        kept.sort()
    return Region(kept, [list(row) for row in part.A], list(part.c), [*part.pattern, active])


def _square_root(square: Fraction) -> float:
    """Return the square root of a number of any size."""
    if square == 0:
        return 0.0
    shift = (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    return float(np.ldexp(float(square / Fraction(4) ** shift) ** 0.5, shift))

# SPDX-License-Identifier: BSD-3-Clause
"""Decision boundaries on linear regions: a few segments in each polygon."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastrelu.exact.regions import LinearRegions

Array = NDArray[np.float64]
ROUNDING = 1e-12


def boundary_segments(regions: LinearRegions, level: float) -> Array:
    """Return the segments; see `LinearRegions.decision_boundary`."""
    owner = regions.owner
    heights = (
        np.einsum("voi,vi->vo", regions.A[owner], regions.vertices) + regions.c[owner]
    )  # (V, d_out)
    if heights.shape[1] == 1:
        heights = np.column_stack([heights[:, 0], np.full(len(heights), level)])
    heights[np.abs(heights) <= ROUNDING * np.abs(heights).max()] = 0
    segments = []
    for r in _undecided(heights, regions.offsets):
        corners = slice(regions.offsets[r], regions.offsets[r + 1])
        segments += _in_polygon(regions.vertices[corners], heights[corners])
    if not segments:
        return np.zeros((0, 2, 2))
    # An edge between two polygons comes from both.
    ordered = [min((tuple(a), tuple(b)), (tuple(b), tuple(a))) for a, b in segments]
    return np.array(list(dict.fromkeys(ordered)))


def _undecided(heights: Array, offsets: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the polygons in which not one output alone is the largest at every corner."""
    size = np.abs(heights).max()
    is_largest = heights >= heights.max(axis=1, keepdims=True) - ROUNDING * size
    alone = is_largest & (is_largest.sum(axis=1, keepdims=True) == 1)
    everywhere = np.logical_and.reduceat(alone, offsets[:-1], axis=0)
    return np.flatnonzero(~everywhere.any(axis=1))


def _in_polygon(corners: Array, heights: Array) -> list[Array]:
    """Return the segments where the largest two outputs are equal and not equal all over."""
    tolerance = ROUNDING * np.abs(heights).max()
    found = []
    for i, j in combinations(range(heights.shape[1]), 2):
        gap = heights[:, i] - heights[:, j]
        gap[np.abs(gap) <= tolerance] = 0
        line = _zero_line(corners, gap)
        if line is None:
            continue
        ends, weights = line
        # Kept is the part on which no other output is above these two.
        above = weights @ (heights - heights[:, [i]])
        above[np.abs(above) <= tolerance] = 0
        above[:, [i, j]] = -1
        low, high = _where_negative(above[0], above[1])
        if low < high:
            found.append(ends[0] + np.array([[low], [high]]) * (ends[1] - ends[0]))
    return found


def _zero_line(corners: Array, gap: Array) -> tuple[Array, Array] | None:
    """Return the ends of the segment with gap 0, and their weights on the corners.

    An edge counts where the gap is positive on the polygon: so an edge on which the sign
    changes counts at least once, and one along which the polygon is below 0 on both sides never.
    """
    following = np.roll(gap, -1)
    if not (gap > 0).any():
        return None
    weights = []
    n = len(gap)
    for a in range(n):
        b = (a + 1) % n
        row = np.zeros(n)
        if gap[a] == 0:
            row[a] = 1
        elif gap[a] * following[a] < 0:
            row[a] = following[a] / (following[a] - gap[a])
            row[b] = 1 - row[a]
        else:
            continue
        weights.append(row)
    if len(weights) < 2:
        return None
    chosen = np.stack([weights[0], weights[-1]])
    points = np.stack(weights) @ corners
    if len(weights) > 2:  # roundings: the two furthest apart
        far = np.square(points[:, None] - points[None]).sum(axis=2)
        ends = np.unravel_index(int(far.argmax()), far.shape)
        chosen = np.stack([weights[int(end)] for end in ends])
    return chosen @ corners, chosen


def _where_negative(at_0: Array, at_1: Array) -> tuple[float, float]:
    """Return the part of [0, 1] on which no line from at_0 to at_1 is above 0."""
    low, high = 0.0, 1.0
    for a, b in zip(at_0, at_1, strict=True):
        if a > 0 and b > 0:
            return 0.0, 0.0
        if a > 0 or b > 0:
            t = a / (a - b)
            low, high = (max(low, t), high) if a > 0 else (low, min(high, t))
    return float(low), float(high)

# SPDX-License-Identifier: BSD-3-Clause
"""A network's Lipschitz constant in one or two inputs, from all of its linear regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu.exact.jacobians import (
    Layers,
    evaluate,
    jacobians,
    norm_above,
    norm_below,
    operator_norms,
    roundings,
)
from fastrelu.exact.open_units import ParallelKinks, Patterns, open_norms
from fastrelu.exact.possible_patterns import PossiblePatterns
from fastrelu.exact.regions import MAX_REGIONS, on_plane

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Multiplications of whole numbers that may be spent on whether patterns occur, and how many may be
# left unknown.
EXACT_WORK, MOST_UNKNOWN = 3e6, 1000


def region_bounds(
    net: Network, layers: Layers, box: Array | None, norm: float
) -> tuple[float, float] | None:
    """Return bounds on the constant in a box, or everywhere; None if there are too many regions."""
    try:
        sheets = [_sheet(net, window, plane) for window, plane in _sheets(net, box)]
    except _core.TooManyRegionsError:
        return None
    return _Search(net, layers, box, norm, sheets).run()


def distances(net: Network) -> Array:
    """Return the distances of the first layer's kinks from 0, where they are of a usual size."""
    weights = np.asarray(net.weights[0], dtype=np.float64) * net.scale
    size = np.abs(weights).max(axis=0)
    if not net.bias:
        return np.zeros(0)
    found = np.abs(net.biases[0][size > 0]) / size[size > 0]
    return np.asarray(found[(found > 1e-100) & (found < 1e100)])


def usual_distance(net: Network) -> float:
    """Return a power of two near those distances."""
    found = distances(net)
    return float(2.0 ** np.ceil(np.log2(2 * np.median(found)))) if len(found) else 1.0


# A window and the plane it lies in (cpp/regions.h).
Window = tuple[Array, Array]


def _sheets(net: Network, box: Array | None) -> list[Window]:
    """Return planes that meet every region of one or two inputs.

    Without a box they are a square and the faces to its sides of the truncated cone from the
    square, at w = 1, down to w = 0: w net(x / w) is linear on the same regions, and each
    x outside the square is y / w with y on the square's edge. So nothing has to be known of
    how far out the last region begins. All are cut at 0, where float64's numbers are finest: kinks
    near 0 and far away are told apart in the same sheet, and what meets in 0 meets in a corner.
    """
    d_in = net.layer_sizes[0]
    unit = np.eye(3)
    # With one input the plane's second direction, v, does nothing.
    x = [unit[0, : d_in + 1], unit[1, : d_in + 1] if d_in == 2 else np.zeros(2)]
    w = unit[d_in, : d_in + 1]
    size = usual_distance(net)
    edges = np.full((d_in, 2), [-size, size]) if box is None else box
    halves = [_cut_at_0(*edge) for edge in edges] + [[(0.0, 1.0)]] * (2 - d_in)
    sheets = [
        (np.array([*first, *second]), np.array([*x, w]))
        for first in halves[0]
        for second in halves[1]
    ]
    if box is None:
        for i in range(d_in):
            for edge in (-size, size):
                for other in halves[1 - i] if d_in == 2 else [(0.0, 1.0)]:
                    rows = np.array([x[1 - i], w, edge * x[i]])
                    sheets.append((np.array([*other, 0, 1]), rows))
    return sheets


def _cut_at_0(low: float, high: float) -> list[tuple[float, float]]:
    return [(low, 0.0), (0.0, high)] if low < 0 < high else [(low, high)]


@dataclass(frozen=True)
class _Sheet:
    """The regions of a window: Jacobians, a point in each, patterns; and what may be lost there."""

    J: Array
    X: Array
    pattern: Flags
    doubts: Patterns


def _sheet(net: Network, window: Array, plane: Array) -> _Sheet:
    d_in = net.layer_sizes[0]
    regions, doubts = on_plane(net, window, plane, MAX_REGIONS, with_doubts=True)
    x, w = plane[:, :d_in], plane[:, d_in]
    st1 = np.column_stack([regions.centers, np.ones(len(regions))])
    X = (st1 @ x) / (st1 @ w)[:, None]
    # The derivatives by the inputs: those along the plane's rows, each of which is along one input
    # (or w, or nothing).
    by_rows = np.concatenate([regions.A, regions.c[:, :, None]], axis=2)
    J = np.zeros((len(regions), net.layer_sizes[-1], d_in))
    for row in range(3):
        for i in np.flatnonzero(x[row]):
            J[:, :, i] = by_rows[:, :, row] / x[row, i]
    return _Sheet(J, X, regions.pattern, doubts)


class _Search:
    """The largest norm among the regions and the patterns that may be lost between them.

    They are looked at in the order of bounds on their norms, the largest first. The first that is
    known to occur ends the search: a region whose point is inside it in spite of all roundings, or
    a pattern that has an inside by exact arithmetic. A pattern that has none is passed over.
    """

    def __init__(
        self, net: Network, layers: Layers, box: Array | None, norm: float, sheets: list[_Sheet]
    ) -> None:
        self.layers, self.norm = layers, norm
        self.error = layers.jacobian_error
        self.possible = PossiblePatterns(net, box)
        self.kinks = ParallelKinks(layers)
        self.work = EXACT_WORK
        self.cost = 3.0 * net.n_parameters
        self.J = np.concatenate([sheet.J for sheet in sheets])
        self.X = np.concatenate([sheet.X for sheet in sheets])
        self.pattern = np.concatenate([sheet.pattern for sheet in sheets])
        norms = operator_norms(self.J, norm)
        self.order = np.argsort(-norms, kind="stable").tolist()
        slack = norm_above(np.zeros_like(self.error), self.error, norm)
        self.bounds = (norms * (1 + 4 * roundings(sum(self.error.shape))) + slack).tolist()
        # Patterns by number, with the open units of each; those of regions stay where they are.
        self.active = [row for sheet in sheets for row in sheet.doubts.active]
        self.open = [row for sheet in sheets for row in sheet.doubts.open]
        self.queue: list[tuple[float, int]] = []
        self._expect(
            np.concatenate([open_norms(layers, sheet.doubts, norm) for sheet in sheets]), 0
        )

    def run(self) -> tuple[float, float]:
        """Return both bounds."""
        upper, unknown = 0.0, 0
        for bound, region, pattern in self._candidates():
            if unknown == 0:
                upper = bound
            certain = self._is_certain(region) if region is not None else False
            occurs = True if certain else self._occurs(pattern)
            if occurs:
                J = self.J[region] if region is not None else self._jacobian(pattern)
                return norm_below(J, self.error, self.norm), upper
            # Where the work is used up, what may be is counted, and others are known to be.
            if occurs is None:
                unknown += 1
                if unknown > MOST_UNKNOWN:
                    break
        return 0.0, upper

    def _candidates(self) -> Iterator[tuple[float, int | None, Flags]]:
        """Yield bounds, largest first, with a region's number and pattern, or a pattern alone."""
        for region in [*self.order, None]:
            bound = self.bounds[region] if region is not None else -np.inf
            while self.queue and -self.queue[0][0] > bound:
                larger, i = heappop(self.queue)
                if not self.open[i].any():
                    yield -larger, None, self.active[i]
                elif self._occurs(self.active[i], self.open[i]) is not False:
                    self._take_apart(i)
            if region is not None:
                yield bound, region, self.pattern[region]

    def _take_apart(self, i: int) -> None:
        parts = self.kinks.set_some(self.active[i], self.open[i])
        self._expect(open_norms(self.layers, parts, self.norm), len(self.active))
        self.active += list(parts.active)
        self.open += list(parts.open)

    def _expect(self, bounds: Array, first: int) -> None:
        for i, bound in enumerate(bounds.tolist(), first):
            heappush(self.queue, (-bound, i))

    def _is_certain(self, region: int) -> bool:
        """Return whether the region's point is inside it, whatever is rounded."""
        points = evaluate(self.layers, self.X[region : region + 1])
        same = np.concatenate([*points.pattern, self.pattern[:1, :0]], axis=1)
        return bool(points.certain[0] and (same == self.pattern[region]).all())

    def _occurs(self, active: Flags, is_open: Flags | None = None) -> bool | None:
        """Return whether a pattern occurs somewhere; None if the work is used up."""
        self.work -= self.cost
        if self.work < 0:
            return None
        return self.possible.has_inside(
            active, np.zeros_like(active) if is_open is None else is_open
        )

    def _jacobian(self, active: Flags) -> Array:
        ends = np.cumsum([len(b) for b in self.layers.biases[:-2]])
        layers = [part[None] for part in np.split(active, ends)] if len(active) else []
        return np.asarray(jacobians(self.layers, layers, 1)[0])

# SPDX-License-Identifier: BSD-3-Clause
"""The linear regions of a network in a box of up to six inputs, as polytopes.

Layer after layer, each polytope is cut by the units of the next layer. A corner is stored once for
all polytopes that have it, with the sign of every unit there, so that neighbours agree on whatever
roundings decide. Which corners an edge joins is read off the facets that they lie on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import whole_number
from fastrelu.exact.bounds import as_box
from fastrelu.exact.jacobians import EPS, Layers, evaluate, jacobians
from fastrelu.exact.network_parameters import check_activations, check_parameters

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ids = NDArray[np.intp]
MOST_INPUTS = 6
# So many times its error bound from 0, a unit counts as 0 at a corner.
DOUBT = 2


@dataclass
class Cell:
    """A polytope: its corners, which of its planes each lies on, and the units so far.

    `planes` counts hidden units over all layers; below 0 are the sides of the box, -1 and -2 the
    lower and the upper one of the first input, and so on.
    """

    corners: Ids
    on: Flags  # (corners, planes)
    planes: list[int]
    pattern: list[bool]


class Corners:
    """All corners that were made, with the sign of every hidden unit there: -1, 0 or 1."""

    def __init__(self, layers: Layers, X: Array) -> None:
        self.layers = layers
        self.count = 0
        n_hidden = sum(len(W) for W in layers.weights[:-1])
        self.X, self.signs = np.zeros((0, X.shape[1])), np.zeros((0, n_hidden), np.int8)
        self.off = np.zeros((0, X.shape[1]))  # what roundings may have moved each
        self.cuts: dict[tuple[int, int, int], int] = {}
        self.add(X, np.zeros_like(X))

    def add(self, X: Array, off: Array) -> Ids:
        """Store new corners and return their numbers."""
        ids = np.arange(self.count, self.count + len(X))
        if ids[-1] >= len(self.X):
            more = max(64, len(self.X), len(X))
            self.X = np.concatenate([self.X, np.zeros((more, self.X.shape[1]))])
            self.off = np.concatenate([self.off, np.zeros((more, self.X.shape[1]))])
            self.signs = np.concatenate(
                [self.signs, np.zeros((more, self.signs.shape[1]), np.int8)]
            )
        self.count += len(X)
        points = evaluate(self.layers, X, off)
        z, error = np.concatenate(points.z[:-1] or [np.zeros((len(X), 0))], axis=1), points.error
        doubt = np.concatenate(error[:-1] or [np.zeros((len(X), 0))], axis=1)
        self.X[ids], self.off[ids] = X, off
        self.signs[ids] = np.where(np.abs(z) <= DOUBT * doubt, 0, np.sign(z))
        return ids

    def crossings(self, first: Ids, second: Ids, unit: int, zero: list[list[int]]) -> Ids:
        """Return the corners at which a unit is 0 on edges; `zero`: units that are 0 all along."""
        keys = [
            (min(p, q), max(p, q), unit)
            for p, q in zip(first.tolist(), second.tolist(), strict=True)
        ]
        new = [i for i, key in enumerate(keys) if key not in self.cuts]
        if new:
            at = np.array([keys[i][:2] for i in new])
            p, q = self.X[at[:, 0]], self.X[at[:, 1]]
            a, a_error = self._heights(p, unit)
            b, b_error = self._heights(q, unit)
            share, rest = (a / (a - b))[:, None], (b / (b - a))[:, None]
            X = np.where(share <= 0.5, p + share * (q - p), q - rest * (q - p))
            along = ((a_error + b_error) / (np.abs(a) + np.abs(b)))[:, None] + 4 * EPS
            off = np.maximum(*self.off[at.T]) + 4 * EPS * (np.abs(p) + np.abs(q))
            ids = self.add(
                np.clip(X, np.minimum(p, q), np.maximum(p, q)), off + along * np.abs(q - p)
            )
            for i, corner in zip(new, ids.tolist(), strict=True):
                self.cuts[keys[i]] = corner
                self.signs[corner, [unit, *zero[i]]] = 0
        return np.array([self.cuts[key] for key in keys], dtype=np.intp)

    def _heights(self, X: Array, unit: int) -> tuple[Array, Array]:
        points = evaluate(self.layers, X)
        for z, error in zip(points.z, points.error, strict=True):
            if unit < z.shape[1]:
                return z[:, unit], error[:, unit]
            unit -= z.shape[1]
        raise AssertionError("a unit is in a layer")


def cut(cell: Cell, corners: Corners, unit: int, d_in: int) -> list[Cell]:
    """Return the parts in which a unit is active and not, those that have an inside."""
    signs = corners.signs[cell.corners, unit]
    if not (signs < 0).any() or not (signs > 0).any():
        cell.pattern.append(bool((signs > 0).any()))
        return [cell]
    above, below = np.flatnonzero(signs > 0), np.flatnonzero(signs < 0)
    shared = cell.on[above][:, None] & cell.on[below][None]
    i, j = np.nonzero(shared.sum(axis=2) >= d_in - 1)
    shared = shared[i, j]
    # Two corners make an edge if no third one lies on all the planes that they share.
    others = (cell.on[None] | ~shared[:, None]).all(axis=2).sum(axis=1)
    edge = others == 2
    i, j, shared = above[i[edge]], below[j[edge]], shared[edge]
    zero = [[cell.planes[p] for p in np.flatnonzero(row) if cell.planes[p] >= 0] for row in shared]
    made = corners.crossings(cell.corners[i], cell.corners[j], unit, zero)
    parts = []
    for active, sign in ((True, 1), (False, -1)):
        kept = np.flatnonzero(sign * signs >= 0)
        on = np.concatenate([cell.on[kept], shared])
        touches = np.concatenate([signs[kept] == 0, np.ones(len(made), bool)])
        on = np.column_stack([on, touches])
        ids = np.concatenate([cell.corners[kept], made])
        # The same corner may come from several edges where planes meet.
        ids, place = np.unique(ids, return_inverse=True)
        merged = np.zeros((len(ids), on.shape[1]), bool)
        np.logical_or.at(merged, place, on)
        needed = merged.sum(axis=0) >= d_in
        planes = [p for p, n in zip([*cell.planes, unit], needed, strict=True) if n]
        parts.append(Cell(ids, merged[:, needed], planes, [*cell.pattern, active]))
    return parts


@dataclass(frozen=True)
class Regions:
    """The polytopes in which a network is affine, from `Network.regions`.

    ``len(regions)`` is their number R.

    Attributes
    ----------
    pattern : ndarray of bool, (R, n_hidden)
        Which hidden units are active in each, as in `LocalAffine`.
    A : ndarray, (R, d_out, d_in)
        float64, see `c`.
    c : ndarray, (R, d_out)
        float64; the outputs in region r are ``A[r] @ x + c[r]``.
    corners : ndarray, (V, d_in)
        float64, all corners, each once.
    corner_ids : list of ndarray of int
        The corners of each region, as rows of `corners`.
    halfspaces : list of ndarray, (n_facets, d_in + 1)
        Each region is where ``h[:, :-1] @ x <= h[:, -1]``; one row for each facet, of length 1
        without its last entry.
    neighbours : list of ndarray of int, (n_facets,)
        The region behind each facet, or -1 where that is the box's side.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([3, 1, 1], dtype="float64")
    >>> net.weights[0][...], net.weights[1][...] = [[1], [0], [0]], 1  # max(0, x1)
    >>> regions = net.regions([(-1, 1)] * 3)
    >>> len(regions), regions.pattern.tolist(), regions.A[:, 0, 0].tolist()
    (2, [[True], [False]], [1.0, 0.0])
    >>> len(regions.halfspaces[0]), sorted(regions.neighbours[0].tolist())
    (6, [-1, -1, -1, -1, -1, 1])
    """

    pattern: Flags
    A: Array
    c: Array
    corners: Array
    corner_ids: list[Ids]
    halfspaces: list[Array]
    neighbours: list[Ids]

    def __len__(self) -> int:
        return len(self.pattern)

    @property
    def centers(self) -> Array:
        """The mean of each region's corners, ndarray, (R, d_in): a point inside it.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([3, 1, 1], dtype="float64")
        >>> net.weights[0][...], net.weights[1][...] = [[1], [0], [0]], 1  # max(0, x1)
        >>> net.regions([(-1, 1)] * 3).centers.tolist()
        [[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]
        """
        return np.stack([self.corners[ids].mean(axis=0) for ids in self.corner_ids])


def regions(net: Network, bounds: ArrayLike, max_regions: int) -> Regions:
    """Return the regions in a box; see `Network.regions`."""
    check_activations(net)
    check_parameters(net)
    d_in = net.layer_sizes[0]
    if d_in > MOST_INPUTS:
        raise ValueError(
            f"network: expected at most {MOST_INPUTS} inputs, got {d_in}; linear_regions takes "
            "planes of any network"
        )
    box = as_box(bounds, d_in, thin=False)
    most = whole_number("max_regions", max_regions, 1)
    layers = Layers(net)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        corners, cells = _cells(layers, box, most)
        if not np.isfinite(corners.X).all():
            raise ValueError("network: its numbers overflow float64 in this box")
        return _described(layers, box, corners, cells)


def _cells(layers: Layers, box: Array, most: int) -> tuple[Corners, list[Cell]]:
    d_in = len(box)
    bits = (np.arange(2**d_in)[:, None] >> np.arange(d_in)) & 1
    corners = Corners(layers, np.where(bits == 1, box[:, 1], box[:, 0]))
    on = np.stack([bits == side for side in (0, 1)], axis=2).reshape(len(bits), -1)
    sides = [-1 - side for side in range(2 * d_in)]
    cells = [Cell(np.arange(len(bits)), on, sides, [])]
    unit = 0
    for W, slope in zip(layers.weights[:-1], layers.slopes, strict=True):
        for _ in range(len(W)):
            if slope == 1:
                for cell in cells:
                    cell.pattern.append(True)
            else:
                cells = [part for cell in cells for part in cut(cell, corners, unit, d_in)]
                if len(cells) > most:
                    raise ValueError(f"max_regions: there are more than {most} regions")
            unit += 1
    return corners, cells


def _described(layers: Layers, box: Array, corners: Corners, cells: list[Cell]) -> Regions:
    pattern = np.array([cell.pattern for cell in cells], bool).reshape(len(cells), -1)
    widths = np.cumsum([len(W) for W in layers.weights[:-1]], dtype=int)
    by_layer = np.split(pattern, widths[:-1], axis=1) if len(widths) else []
    A = jacobians(layers, by_layer, len(cells)).copy()
    used = np.unique(np.concatenate([cell.corners for cell in cells]))
    place = np.full(corners.count, -1)
    place[used] = np.arange(len(used))
    # Of every hidden unit the affine map on each region, whose sides are made of them.
    G = np.broadcast_to(np.eye(len(box)), (len(cells), len(box), len(box)))
    g, unit_maps = np.zeros((len(cells), len(box))), []
    for k, (W, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        G, g = W @ G, g @ W.T + b
        if k < len(by_layer):
            unit_maps.append(np.concatenate([G, g[:, :, None]], axis=2))
            factor = np.where(by_layer[k], 1.0, layers.slopes[k])
            G, g = G * factor[:, :, None], g * factor
    maps = np.concatenate(unit_maps, axis=1) if unit_maps else np.zeros((len(cells), 0, 1))
    halfspaces, neighbours = [], []
    faces: dict[bytes, tuple[int, int]] = {}
    for r, cell in enumerate(cells):
        facets = _facets(cell)
        halfspaces.append(np.stack([_halfspace(box, maps[r], cell, p) for p in facets]))
        neighbours.append(np.full(len(facets), -1, dtype=np.intp))
        for f, p in enumerate(facets):
            key = cell.corners[cell.on[:, p]].tobytes()
            if key in faces:
                s, other = faces.pop(key)
                neighbours[r][f], neighbours[s][other] = s, r
            else:
                faces[key] = r, f
    return Regions(
        pattern, A, g, corners.X[used], [place[cell.corners] for cell in cells], halfspaces,
        neighbours,
    )  # fmt: skip


def _facets(cell: Cell) -> list[int]:
    """Return the planes, one for each facet: those whose corners are not among another's."""
    on = cell.on.T
    within = (~on[:, None] | on[None]).all(axis=2)  # [a, b]: a's corners are on b
    first = within & within.T & (np.arange(len(on))[None] < np.arange(len(on))[:, None])
    strictly = within & ~within.T
    return np.flatnonzero(~(strictly | first).any(axis=1)).tolist()


def _halfspace(box: Array, maps: Array, cell: Cell, p: int) -> Array:
    d_in, plane = len(box), cell.planes[p]
    row = np.zeros(d_in + 1)
    if plane < 0:
        i, upper = divmod(-1 - plane, 2)
        row[i], row[d_in] = (1, box[i, 1]) if upper else (-1, -box[i, 0])
        return row
    a, c = maps[plane, :d_in], maps[plane, d_in]
    sign = -1.0 if cell.pattern[plane] else 1.0
    size = np.abs(a).max()
    size = size * np.linalg.norm(a / size)
    row[:d_in], row[d_in] = sign * (a / size), -sign * (c / size)
    return row

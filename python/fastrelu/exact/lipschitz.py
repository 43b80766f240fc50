# SPDX-License-Identifier: BSD-3-Clause
"""A network's Lipschitz constant: from its linear regions, or between two bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import seed_number
from fastrelu.exact.bounds import as_box, pre_activation_bounds
from fastrelu.exact.jacobians import (
    Layers,
    evaluate,
    jacobians,
    norm_below,
    operator_norms,
)
from fastrelu.exact.lipschitz_upper import upper_bound
from fastrelu.exact.network_parameters import check_activations, check_parameters
from fastrelu.exact.region_norms import distances, region_bounds, usual_distance

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
# The search for the lower bound: multiply-adds that it may take, searches side by side, and the
# most Jacobians on one line.
WORK, CHAINS, ON_A_LINE = 1e10, 6, 64
# So many times as far from 0 as another, a kink is at another distance.
FAR = 1e4


def lipschitz(net: Network, bounds: ArrayLike | None, norm: Any, seed: int) -> tuple[float, float]:
    """Return (lower, upper); see `Network.lipschitz`."""
    check_activations(net)
    check_parameters(net)
    if isinstance(norm, (str, bool)) or norm not in (1, 2, np.inf):
        raise ValueError(f"norm: expected 1, 2 or inf, got {norm!r}")
    d_in = net.layer_sizes[0]
    box = None if bounds is None else as_box(bounds, d_in, thin=False)
    seed = seed_number(seed)
    layers = Layers(net)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = region_bounds(net, layers, box, float(norm)) if d_in <= 2 else None
        # What holds everywhere holds in a box, and where its blocks are weighted by 1/2 each it can
        # be a little lower.
        upper = exact[1] if exact else upper_bound(layers, None, float(norm))
        if box is not None and not exact:
            try:
                known = pre_activation_bounds(net, box[:, 0], box[:, 1], rounding=False)
            except ValueError:  # numbers beyond float64
                known = []
            upper = min(upper, upper_bound(layers, box, float(norm), known))
        if not np.isfinite(upper):
            raise ValueError("network: the bound of its Jacobian overflows float64")
        return exact or (_search(net, layers, box, float(norm), seed), upper)


def _search(net: Network, layers: Layers, box: Array | None, norm: float, seed: int) -> float:
    """Return the norm of a large Jacobian, found by sampling and searches along lines.

    On a line all regions are known (`along`); from the best of them the next line starts, in a
    random direction or the one that the Jacobian stretches most.
    """
    rng = np.random.default_rng(seed)
    d_in, *hidden, d_out = net.layer_sizes
    jacobian = (d_out + 2) * net.n_parameters + d_out**2 * d_in
    line = ON_A_LINE * jacobian + 4 * sum(hidden) * net.n_parameters
    starts = int(np.clip(WORK / 8 / jacobian, 64, 4096))
    rounds = int(np.clip(WORK / CHAINS / line, 3, 60))
    low, high = _region_of_search(net, box)
    X = rng.uniform(low, high, size=(starts, d_in))
    if box is None:
        X *= 10.0 ** rng.uniform(-1, 2, size=(starts, 1))
    # Kinks at very different distances from 0 are sought at all of them.
    sizes, nearest = distances(net) / (high - low).max(), np.clip(0, low, high)
    sizes = sizes if box is None else np.minimum(sizes, 1)
    if len(sizes) and sizes.max() > FAR * sizes.min():
        X = nearest + (X - nearest) * rng.choice(sizes, size=(starts, 1))
    best, found = [], _certain(layers, X, norm)
    for k in np.argsort(-found[0], kind="stable")[:CHAINS]:
        best.append((float(found[0][k]), found[1][k], found[2][k]))
    for turn in range(rounds):
        for chain, (value, x, J) in enumerate(best):
            direction = rng.normal(size=d_in)
            if turn % 3 == 1:
                direction = np.linalg.svd(J)[2][0]
            X = _along_a_line(net, x, direction, low, high, bounded=box is not None)
            norms, X, J = _certain(layers, X, norm)
            if len(norms) and norms.max() > value:
                k = int(norms.argmax())
                best[chain] = (float(norms[k]), X[k], J[k])
    error = layers.jacobian_error
    return max((norm_below(J, error, norm) for _, _, J in best), default=0.0)


def _certain(layers: Layers, X: Array, norm: float) -> tuple[Array, Array, Array]:
    """Return the norms, points and Jacobians of those points that are inside their regions."""
    found: list[tuple[Array, Array, Array]] = []
    for some in np.array_split(X, max(1, len(X) // 64)):
        points = evaluate(layers, some)
        sure = points.certain
        J = jacobians(layers, [p[sure] for p in points.pattern], int(sure.sum()))
        found.append((operator_norms(J, norm), some[sure], J))
    norms, kept, J = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return norms, kept, J


def _region_of_search(net: Network, box: Array | None) -> tuple[Array, Array]:
    if box is not None:
        return box[:, 0], box[:, 1]
    size = np.full(net.layer_sizes[0], usual_distance(net))
    return -size, size


def _along_a_line(
    net: Network, x: Array, direction: Array, low: Array, high: Array, *, bounded: bool
) -> Array:
    """Return a point in each piece on a line through x, at most `ON_A_LINE`, evenly chosen."""
    direction = direction / np.abs(direction).max()
    reach = max(100 * (high - low).max(), 2 * np.abs(x).max())
    ends = np.array([-reach, reach])
    if bounded:
        with np.errstate(divide="ignore"):
            steps = np.sort(np.array([(low - x) / direction, (high - x) / direction]), axis=0)
        ends = np.array([steps[0].max(), steps[1].min()])
    segment = (
        np.clip(x + ends[:, None] * direction, low, high)
        if bounded
        else (x + ends[:, None] * direction)
    )
    t, _ = _core.along(net, segment[0], segment[1])
    middle = 0.5 * (t[1:] + t[:-1])
    if len(middle) > ON_A_LINE:
        middle = middle[np.linspace(0, len(middle) - 1, ON_A_LINE).astype(int)]
    return np.asarray(segment[0] + middle[:, None] * (segment[1] - segment[0]))

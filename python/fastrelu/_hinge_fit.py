# SPDX-License-Identifier: BSD-3-Clause
"""Least-squares fits of a continuous piecewise-linear function with free knots.

For given knots the best values and outer slopes are a linear least-squares problem, so only the
knots are searched for (variable projection): Levenberg-Marquardt steps on the residual that the
best values leave. It has many minima; good starts come from the data, found on at most
`COARSE` weighted points: knots spread evenly, the best cuts into pieces that need not join
(dynamic programming), and knots put in one by one where they help most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastrelu._arguments import whole_number

Array = NDArray[np.float64]
COARSE = 240
# Neighbouring knots stay this far apart, as a share of the range of x.
GAP = 1e-7


def fit_hinges(x: Array, y: Array, n_hinges: int) -> tuple[Array, Array, float, float]:
    """Return knots, values, left and right slope; see `PiecewiseLinear.fit`."""
    n_hinges = whole_number("n_hinges", n_hinges, 1)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"x: expected shape (n,), n >= 1, got {x.shape}")
    if y.shape != x.shape:
        raise ValueError(f"y: expected shape {x.shape}, got {y.shape}")
    data = Points(x, y)
    if len(data.x) <= n_hinges + 2:
        return _through(data)
    # In x from 0 to 1 and y of size 1, so that no tolerance depends on the units.
    with np.errstate(over="ignore"):
        low, width = data.x[0], data.x[-1] - data.x[0]
    if not np.isfinite(width):
        raise ValueError("x: expected a range that does not overflow float64")
    offset = float(np.average(data.y, weights=data.weight))
    height = float(np.abs(data.y - offset).max()) or 1.0
    scaled = Points((data.x - low) / width, (data.y - offset) / height, data.weight)
    knots = _search(scaled, n_hinges)
    left, values, right = np.split(scaled.solve(knots)[0], [1, n_hinges + 1])
    slope = height / width
    # Far from 0 two knots may fall on one number.
    knots, first = np.unique(low + width * knots, return_index=True)
    return knots, offset + height * values[first], left[0] * slope, right[0] * slope


class Points:
    """Points in ascending x, each x once, with weights; the sums of squares lose a constant."""

    def __init__(self, x: Array, y: Array, weight: Array | None = None) -> None:
        weight = np.ones(len(x)) if weight is None else weight
        self.x, which = np.unique(x, return_inverse=True)
        self.weight = np.bincount(which, weight).astype(np.float64)
        # About one of the values: their own mean may round away small differences.
        self.y = y[0] + np.bincount(which, weight * (y - y[0])) / self.weight
        self.root = np.sqrt(self.weight)

    def coarse(self) -> Points:
        """Return at most `COARSE` points, each the mean of a run of these."""
        if len(self.x) <= COARSE:
            return self
        starts = np.linspace(0, len(self.x), COARSE, endpoint=False).astype(np.intp)
        weight = np.add.reduceat(self.weight, starts)
        x = np.add.reduceat(self.weight * self.x, starts) / weight
        return Points(x, np.add.reduceat(self.weight * self.y, starts) / weight, weight)

    def solve(self, knots: Array) -> tuple[Array, Array, Array]:
        """Return the best left slope, values, right slope; the residual; an orthonormal basis."""
        basis = self.root[:, None] * _basis(self.x, knots)
        u, s, vt = np.linalg.svd(basis, full_matrices=False)
        kept = s > 1e-12 * s[0]
        u, target = u[:, kept], self.root * self.y
        inside = u.T @ target
        solution = vt[kept].T @ (inside / s[kept])
        return solution, target - u @ inside, u

    def rss(self, knots: Array) -> float:
        """Return the sum of squares that the best values leave."""
        residual = self.solve(knots)[1]
        return float(residual @ residual)


def _basis(x: Array, knots: Array) -> Array:
    """Return, (n, K + 2): the left slope's part, a hat for each knot, the right slope's part."""
    n = len(knots)
    basis = np.zeros((len(x), n + 2))
    piece = np.searchsorted(knots, x, side="right")
    rows = np.arange(len(x))
    inner = rows[(piece > 0) & (piece < n)]
    right = piece[inner]
    share = (x[inner] - knots[right - 1]) / (knots[right] - knots[right - 1])
    basis[inner, right] = 1 - share
    basis[inner, right + 1] = share
    left, beyond = piece == 0, piece == n
    basis[left, 0], basis[left, 1] = x[left] - knots[0], 1
    basis[beyond, n + 1], basis[beyond, n] = x[beyond] - knots[-1], 1
    return basis


def _through(data: Points) -> tuple[Array, Array, float, float]:
    """Return the function through few points: the inner ones are its knots."""
    slopes = np.diff(data.y) / np.diff(data.x)
    if len(data.x) < 3:
        slope = float(slopes[0]) if len(slopes) else 0.0
        return data.x[:1], data.y[:1], slope, slope
    return data.x[1:-1], data.y[1:-1], float(slopes[0]), float(slopes[-1])


def _search(data: Points, n: int) -> Array:
    coarse = data.coarse()
    inner = coarse.x[1:-1]
    starts = [
        np.linspace(0, 1, n + 2)[1:-1],
        np.quantile(inner, np.linspace(0, 1, n + 2)[1:-1]),
        _best_cuts(coarse, n),
        _one_by_one(coarse, n, np.empty(0), steps=4),
    ]
    if n > 1:
        # Two knots may help together where neither does alone.
        firsts = np.quantile(inner, np.linspace(0, 1, 14)[1:-1])
        tries = [_one_by_one(coarse, n, firsts[i : i + 1], steps=0) for i in range(len(firsts))]
        starts += sorted(tries, key=coarse.rss)[:3]
    ends = [_refine(coarse, _apart(start), steps=30) for start in starts]
    ends.sort(key=coarse.rss)
    best = min((_move_one(coarse, end) for end in ends[:2]), key=coarse.rss)
    # On all points; the other ends may do better there.
    finals = [best, *ends] if data is not coarse else [best]
    finals = sorted(finals, key=data.rss)[:2]
    return min((_refine(data, knots, steps=60) for knots in finals), key=data.rss)


def _apart(knots: Array) -> Array:
    """Return the knots in order, inside (0, 1) and not nearer to each other than `GAP`."""
    n = len(knots)
    room = GAP * np.arange(1, n + 1)
    knots = np.maximum.accumulate(np.clip(np.sort(knots), GAP, 1 - GAP) - room) + room
    return np.asarray(np.minimum(knots, (1 - GAP) - room[::-1] + GAP))


def _refine(data: Points, knots: Array, steps: int) -> Array:
    """Return better knots by Levenberg-Marquardt steps on the projected residual."""
    solution, residual, u = data.solve(knots)
    rss, damping = float(residual @ residual), 1e-3
    floor = 1e-28 * float(data.weight @ data.y**2)
    for _ in range(steps):
        if rss <= floor:
            break
        slopes = np.concatenate(
            [solution[:1], np.diff(solution[1:-1]) / np.diff(knots), solution[-1:]]
        )
        # A knot that moves right by d lowers all right of it by d times its change of slope.
        moves = (data.x[:, None] > knots) * (data.root[:, None] * np.diff(slopes))
        moves = moves - u @ (u.T @ moves)
        normal, gradient = moves.T @ moves, moves.T @ residual
        scale = np.diag(normal) + 1e-12 * (np.trace(normal) + 1e-300)
        before = rss
        while damping < 1e8:
            step = np.linalg.solve(normal + damping * np.diag(scale), gradient)
            trial = _apart(knots - np.clip(step, -0.25, 0.25))
            outcome = data.solve(trial)
            trial_rss = float(outcome[1] @ outcome[1])
            if trial_rss < rss:
                knots, rss, damping = trial, trial_rss, max(damping / 8, 1e-9)
                solution, residual, u = outcome
                break
            damping *= 6
        if rss >= before * (1 - 1e-12):
            break
    return knots


def _gains(data: Points, knots: Array, candidates: Array) -> Array:
    """Return how much each candidate, added to the knots, would lower the sum of squares."""
    if len(knots):
        _, residual, u = data.solve(knots)
    else:
        line = data.root[:, None] * np.stack([np.ones_like(data.x), data.x], axis=1)
        u = np.linalg.qr(line)[0]
        target = data.root * data.y
        residual = target - u @ (u.T @ target)
    hinges = data.root[:, None] * np.maximum(data.x[:, None] - candidates, 0)
    size = (hinges**2).sum(axis=0)
    hinges = hinges - u @ (u.T @ hinges)
    left = (hinges**2).sum(axis=0)
    gains = (residual @ hinges) ** 2 / np.maximum(left, 1e-300)
    gains[left < 1e-10 * size] = 0
    return np.asarray(gains)


def _candidates(data: Points) -> Array:
    return np.sort(np.concatenate([data.x[1:-1], (data.x[1:] + data.x[:-1]) / 2]))


def _one_by_one(data: Points, n: int, knots: Array, steps: int) -> Array:
    """Return n knots: those given, and others put in one after another where they help most."""
    candidates = _candidates(data)
    while len(knots) < n:
        best = candidates[np.argmax(_gains(data, knots, candidates))]
        knots = _refine(data, _apart(np.append(knots, best)), steps)
    return knots


def _move_one(data: Points, knots: Array) -> Array:
    """Move one knot to where it helps most, as long as that is better."""
    rss, candidates = data.rss(knots), _candidates(data)
    floor = 1e-26 * float(data.weight @ data.y**2)
    for _ in range(2 * len(knots)):
        if rss <= floor:
            break
        moves = []
        for k in range(len(knots)):
            rest = np.delete(knots, k)
            gains = _gains(data, rest, candidates)
            base = data.rss(rest) if len(rest) else rss
            padded = np.concatenate([[-1.0], gains, [-1.0]])
            peaks = np.flatnonzero((gains > padded[:-2]) & (gains >= padded[2:]))
            for best in peaks[np.argsort(-gains[peaks])][:6]:
                moves.append((base - gains[best], np.append(rest, candidates[best])))
        moves.sort(key=lambda move: float(move[0]))
        ends = [_refine(data, _apart(trial), steps=15) for _, trial in moves[:8]]
        trial = min(ends, key=data.rss)
        trial_rss = data.rss(trial)
        if trial_rss >= rss * (1 - 1e-9):
            break
        knots, rss = trial, trial_rss
    return knots


def _best_cuts(data: Points, n: int) -> Array:
    """Return where to cut the points into n + 1 lines that need not join, at least squares."""
    powers = [data.weight * p for p in (1, data.x, data.y, data.x**2, data.x * data.y, data.y**2)]
    sums = np.concatenate([np.zeros((6, 1)), np.cumsum(powers, axis=1)], axis=1)
    # cost[i, j]: of the line through points i .. j - 1.
    w, sx, sy, sxx, sxy, syy = sums[:, None, :] - sums[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        vx, vxy, vy = sxx - sx * sx / w, sxy - sx * sy / w, syy - sy * sy / w
        cost = np.where(vx > 1e-14 * sxx, vy - vxy * vxy / vx, vy)
    cost = np.where(np.tri(len(w), k=0, dtype=bool), np.inf, np.maximum(cost, 0))
    total, backward = cost[0], []
    for _ in range(n):
        through = total[:, None] + cost
        backward.append(np.argmin(through, axis=0))
        total = np.min(through, axis=0)
    cuts, at = [], len(data.x)
    for before in reversed(backward):
        at = int(before[at])
        cuts.append(at)
    inner = np.clip(np.array(cuts[::-1]), 1, len(data.x) - 1)
    return np.asarray((data.x[inner - 1] + data.x[inner]) / 2)

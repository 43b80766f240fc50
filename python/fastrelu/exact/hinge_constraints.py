# SPDX-License-Identifier: BSD-3-Clause
"""Least-squares fits of hinges that go through given points, or have given outer slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import reals

Array = NDArray[np.float64]
Parts = tuple[Array, Array, Any, Any]
# The weight of a point to go through while knots are sought, beside all others together; steps of
# the search afterwards, each half as long as the one before.
HEAVY, HALVINGS = 1e4, 24


@dataclass(frozen=True)
class Constraints:
    """Points (x, y) that the function goes through, and its outer slopes where not None."""

    x: Array
    y: Array
    slopes: tuple[float | None, float | None]


def constraints_of(through: Any, outer_slopes: Any) -> Constraints | None:
    """Return what is asked for, checked; None if nothing is."""
    if through is None and outer_slopes is None:
        return None
    x, y = np.zeros(0), np.zeros(0)
    if through is not None:
        if not (isinstance(through, (tuple, list)) and len(through) == 2):
            raise TypeError(f"through: expected (x, y), got {through!r}")
        from fastrelu.exact.hinge_fit import as_numbers

        x, y = (np.atleast_1d(v) for v in (as_numbers(through[0]), reals("through", through[1])))
        if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) != len(x):
            raise ValueError(
                f"through: expected different x and as many y, got shapes {x.shape} and {y.shape}"
            )
    slopes = (None, None) if outer_slopes is None else outer_slopes
    if not (isinstance(slopes, (tuple, list)) and len(slopes) == 2):
        raise TypeError(f"outer_slopes: expected (left, right), got {outer_slopes!r}")
    ends = [None if s is None else float(reals("outer_slopes", s)) for s in slopes]
    return Constraints(x, y, (ends[0], ends[1]))


def fit_constrained(
    x: Array, y: Array, weight: Array | None, knots: ArrayLike | int, given: Constraints
) -> Parts:
    """Return the best function with given knots, or a good one with so many."""
    root = np.ones(len(x)) if weight is None else np.sqrt(weight)
    if not isinstance(knots, int):
        at = np.asarray(knots, dtype=np.float64)
        return _solve(x, y, root, at, given)[1]
    heavy = HEAVY * float((root**2).sum())
    least = float((root[root > 0] ** 2).min())
    weights = np.concatenate([root**2, np.full(len(given.x), min(heavy, least * 1e11))])
    start = _core.fit_hinges(
        np.concatenate([x, given.x]), np.concatenate([y, given.y]), weights, knots
    )[0]
    return _refined(x, y, root, start, given)


def _refined(x: Array, y: Array, root: Array, knots: Array, given: Constraints) -> Parts:
    """Return the fit after moving one knot after another as long as that helps."""
    squares, parts = _solve(x, y, root, knots, given)
    ends = np.concatenate([[x.min()], knots, [x.max()]])
    steps = np.maximum(np.diff(ends)[1:], np.diff(ends)[:-1]) / 4
    for _ in range(HALVINGS):
        moved = True
        for _ in range(8):
            if not moved:
                break
            moved = False
            for k in range(len(knots)):
                for step in (steps[k], -steps[k]):
                    trial = knots.copy()
                    trial[k] += step
                    if not (np.diff(trial) > 0).all() or not x.min() < trial[k] < x.max():
                        continue
                    try:
                        found = _solve(x, y, root, trial, given)
                    except ValueError:
                        continue
                    if found[0] < squares * (1 - 1e-12):
                        (squares, parts), knots, moved = found, trial, True
        steps = steps / 2
    return parts


def _basis(x: Array, knots: Array) -> Array:
    """Return what values at the knots, left and right slope contribute at each x."""
    k = len(knots)
    B = np.zeros((len(x), k + 2))
    piece = np.searchsorted(knots, x, side="right")
    rows = np.arange(len(x))
    first, last = piece == 0, piece == k
    inner = ~(first | last)
    B[first, 0], B[first, k] = 1, x[first] - knots[0]
    B[last, k - 1], B[last, k + 1] = 1, x[last] - knots[-1]
    p, r = piece[inner], rows[inner]
    share = (x[inner] - knots[p - 1]) / (knots[p] - knots[p - 1])
    B[r, p - 1], B[r, p] = 1 - share, share
    return B


def _solve(
    x: Array, y: Array, root: Array, knots: Array, given: Constraints
) -> tuple[float, Parts]:
    """Return the sum of squares and the best function with these knots."""
    k = len(knots)
    C, d = _basis(given.x, knots), given.y
    for end, slope in enumerate(given.slopes):
        if slope is not None:
            C = np.vstack([C, np.eye(k + 2)[k + end]])
            d = np.append(d, slope)
    B = _basis(x, knots)
    # Slopes in a unit of y.
    unit = np.ones(k + 2)
    unit[k:] = 1 / max(float(np.ptp(x)), np.finfo(float).tiny)
    C, B = C * unit, B * unit
    if len(C) > k + 2 or np.linalg.matrix_rank(C) < len(C):
        raise ValueError(
            f"through, outer_slopes: no function with these {k} knots can have all of them for "
            "certain; give more or other knots, or less to keep to"
        )
    Q, R = np.linalg.qr(C.T, mode="complete")
    m = len(C)
    fixed = Q[:, :m] @ np.linalg.solve(R[:m].T, d)
    free = Q[:, m:]
    if free.shape[1]:
        A = (B @ free) * root[:, None]
        z, _, rank, _ = np.linalg.lstsq(A, root * (y - B @ fixed), rcond=1e-11)
        if rank < free.shape[1]:
            raise ValueError(
                "knots: too few points to tell all values and slopes; give fewer knots"
            )
        theta = fixed + free @ z
    else:
        theta = fixed
    squares = float(((root * (y - B @ theta)) ** 2).sum())
    theta = theta * unit
    left, right = (
        theta[k + end] if slope is None else slope for end, slope in enumerate(given.slopes)
    )
    return squares, (knots, theta[:k].copy(), left, right)

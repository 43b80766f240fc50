# SPDX-License-Identifier: BSD-3-Clause
"""Least-squares fits of a continuous piecewise-linear function, by the core: options and checks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import reals, whole_number

Array = NDArray[np.float64]
# So many hinges take long.
MANY = 250
# The smallest weight beside the largest.
LIGHTEST = 1e-12
FARTHEST_YEAR = 290_000  # from 1970: 64 bits hold the microseconds of these
CRITERIA = ("bic", "cv")
Parts = tuple[Array, Array, Any, Any]  # knots, values, left slope, right slope


def points_of(x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, outputs: bool) -> Any:
    """Return x, y and weights (None: equal ones) as float64, points of weight 0 left out.

    `outputs`: y may have two axes. Dates become days since 1970-01-01.
    """
    at, to = as_numbers(x), reals("y", y)
    if at.ndim != 1 or len(at) == 0:
        raise ValueError(f"x: expected shape (n,), n >= 1, got {at.shape}")
    several = outputs and to.ndim == 2 and len(to) == len(at) and to.shape[1] > 0
    if to.shape != at.shape and not several:
        also = f" or ({len(at)}, K)" if outputs else ""
        raise ValueError(f"y: expected shape {at.shape}{also}, got {to.shape}")
    with np.errstate(over="ignore"):
        if not np.isfinite(at.max() - at.min()):
            raise ValueError("x: expected a range that does not overflow float64")
    if sample_weight is None:
        return at, to, None
    weight = reals("sample_weight", sample_weight)
    if weight.shape != at.shape:
        raise ValueError(f"sample_weight: expected shape {at.shape}, got {weight.shape}")
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight: expected numbers >= 0, not all 0")
    kept = weight > 0
    at, to, weight = at[kept], to[kept], weight[kept]
    weight = weight * 2.0 ** -np.frexp(weight.max())[1]
    if weight.min() < LIGHTEST * weight.max():
        raise ValueError(
            "sample_weight: expected weights above 0 within a factor of 1e12, got "
            f"{float(weight.min() / weight.max()):.3g} of the largest"
        )
    return at, to, None if (weight == weight[0]).all() else weight


def as_numbers(x: ArrayLike) -> Array:
    """Return x as float64; dates as days since 1970-01-01."""
    if np.asarray(x).dtype.kind != "M":
        return reals("x", x)
    dates = np.asarray(x)
    if np.isnat(dates).any():
        raise ValueError("x: expected dates, got NaT")
    years = dates.astype("datetime64[Y]").astype(np.int64)  # which does not go beyond 64 bits
    if (np.abs(years) > FARTHEST_YEAR).any():
        raise ValueError(
            f"x: expected dates within {FARTHEST_YEAR:,} years of 1970, got one in the year "
            f"{1970 + int(years.flat[np.abs(years).argmax()])}"
        )
    if np.datetime_data(dates.dtype) == ("ns", 1):  # whose earliest NumPy's own conversion wraps
        return dates.astype(np.int64) // 1000 / 86_400_000_000
    return dates.astype("datetime64[us]").astype(np.int64) / 86_400_000_000


def fit_hinges(
    x: ArrayLike,
    y: ArrayLike,
    n_hinges: int | str | None,
    knots: ArrayLike | None,
    sample_weight: ArrayLike | None,
    through: Any,
    outer_slopes: Any,
) -> Parts:
    """Return knots, values, left and right slope; see `PiecewiseLinear.fit`."""
    if (n_hinges is None) == (knots is None):
        raise TypeError("n_hinges, knots: expected one of the two")
    if through is not None or outer_slopes is not None:
        return _fit_constrained(x, y, n_hinges, knots, sample_weight, through, outer_slopes)
    if knots is not None:
        at, to, weight = points_of(x, y, sample_weight, outputs=True)
        return fit_given(at, to, weight, knots)
    if isinstance(n_hinges, str):
        from fastrelu.exact.hinge_choice import choose_hinges

        if n_hinges not in CRITERIA:
            raise ValueError(f"n_hinges: expected a number, 'bic' or 'cv', got {n_hinges!r}")
        return choose_hinges(x, y, n_hinges, sample_weight=sample_weight).parts
    n_hinges = whole_number("n_hinges", n_hinges, 1)
    at, to, weight = points_of(x, y, sample_weight, outputs=False)
    if MANY < n_hinges < len(at):
        warnings.warn(
            f"n_hinges: {n_hinges} of them may take minutes (on 1,000 points 120 take 2 to 6 s, "
            "240 take 35 s); Ctrl-C ends the fit",
            stacklevel=3,
        )
    return _core.fit_hinges(at, to, weight, min(n_hinges, len(at)))


def _fit_constrained(
    x: ArrayLike,
    y: ArrayLike,
    n_hinges: int | str | None,
    knots: ArrayLike | None,
    sample_weight: ArrayLike | None,
    through: Any,
    outer_slopes: Any,
) -> Parts:
    from fastrelu.exact.hinge_constraints import constraints_of, fit_constrained

    given = constraints_of(through, outer_slopes)
    assert given is not None
    at, to, weight = points_of(x, y, sample_weight, outputs=False)
    if knots is not None:
        return fit_constrained(at, to, weight, _knots(knots), given)
    if isinstance(n_hinges, str):
        raise ValueError(
            f"n_hinges: expected a number with through or outer_slopes, got {n_hinges!r}"
        )
    count = whole_number("n_hinges", n_hinges, 1, max(1, len(np.unique(at)) - 2))
    return fit_constrained(at, to, weight, count, given)


def _knots(knots: ArrayLike) -> Array:
    at = as_numbers(knots) if np.asarray(knots).dtype.kind == "M" else reals("knots", knots)
    if at.ndim != 1 or len(at) == 0 or not (np.diff(at) > 0).all():
        raise ValueError("knots: expected shape (k,), k >= 1, in strictly ascending order")
    return at


def fit_given(x: Array, y: Array, weight: Array | None, knots: ArrayLike) -> Parts:
    """Return the best function with given knots."""
    at = _knots(knots)
    _check_determined(np.unique(x), at)
    if y.ndim == 1:
        return _core.fit_values(x, y, weight, at.tolist())
    columns = [_core.fit_values(x, column.copy(), weight, at.tolist()) for column in y.T]
    left, right = (np.array([c[k] for c in columns]) for k in (2, 3))
    return at, np.stack([c[1] for c in columns], axis=1), left, right


def _check_determined(x: Array, knots: Array) -> None:
    """Refuse knots whose values and slopes the points leave open (Schoenberg and Whitney, 1953).

    Each of the k + 2 unknowns needs a point of its own where it counts, in ascending order.
    """
    ends = np.concatenate([[-np.inf, -np.inf], knots, [np.inf, np.inf]])
    place = 0
    for unknown in range(len(knots) + 2):
        low, high = ends[unknown], ends[unknown + 2]
        place = max(place, int(np.searchsorted(x, low, side="right")))
        if place >= len(x) or x[place] >= high:
            names = ["the slope before the first knot"]
            names += [f"the value at knot {k} ({at:g})" for k, at in enumerate(knots)]
            names += ["the slope after the last knot"]
            raise ValueError(
                f"knots: too few points to tell {names[unknown]}; give fewer knots, or others"
            )
        place += 1

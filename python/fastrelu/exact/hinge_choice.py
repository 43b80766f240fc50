# SPDX-License-Identifier: BSD-3-Clause
"""How many hinges a fit is to have, and how sure its numbers are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import whole_number
from fastrelu.exact.hinge_fit import CRITERIA, Parts, points_of

if TYPE_CHECKING:
    from fastrelu.exact.piecewise import PiecewiseLinear

Array = NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True)
class HingeChoice:
    """What `choose_hinges` found.

    Attributes
    ----------
    n_hinges : int
        The number of hinges with the least score.
    function : PiecewiseLinear
        The fit with that number, to all points.
    scores : ndarray of float64, (max_hinges,)
        The score with 1, 2, ... hinges: BIC, or the cross-validated mean squared error.
    criterion : {"bic", "cv"}
        Which of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu.exact import choose_hinges
    >>> x = np.linspace(0, 1, 40)
    >>> choice = choose_hinges(x, np.abs(x - 0.3), max_hinges=3)
    >>> choice.n_hinges, choice.scores.shape
    (1, (3,))
    """

    n_hinges: int
    function: PiecewiseLinear
    scores: Array
    criterion: str

    @property
    def parts(self) -> Parts:
        """Knots, values and outer slopes of the function, as `PiecewiseLinear` takes them.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import PiecewiseLinear
        >>> from fastrelu.exact import choose_hinges
        >>> x = np.linspace(0, 1, 40)
        >>> choice = choose_hinges(x, np.abs(x - 0.3), max_hinges=3)
        >>> PiecewiseLinear(*choice.parts) == choice.function
        True
        """
        f = self.function
        return f.knots, f.values, f.left_slope, f.right_slope


def choose_hinges(
    x: ArrayLike,
    y: ArrayLike,
    criterion: str = "bic",
    *,
    max_hinges: int = 10,
    sample_weight: ArrayLike | None = None,
) -> HingeChoice:
    """Fit with 1 to `max_hinges` hinges and say how many the points bear out.

    Parameters
    ----------
    x, y : array_like, (n,)
        The points, as for `PiecewiseLinear.fit`.
    criterion : {"bic", "cv"}
        ``"bic"``: n log(RSS / n) + p log(n), p = 2 k + 2 numbers with k hinges (Schwarz, 1978); it
        takes the errors for independent and of equal spread. ``"cv"``: the mean squared error on
        each of five parts by a fit to the others; every fifth point in the order of x is a part,
        so points between which y hardly changes at random make it choose too many.
    max_hinges : int
        At most a third of the different x are tried.
    sample_weight : array_like, (n,), optional
        The points' weights in all sums.

    Returns
    -------
    HingeChoice
        The number, the fit and all scores; `fastrelu.plot.hinge_choice` draws them.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or there are fewer than 10 different x.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu.exact import choose_hinges
    >>> x = np.linspace(0, 4, 100)
    >>> y = np.abs(x - 1) + np.maximum(0, x - 3) + np.random.default_rng(0).normal(0, 0.1, 100)
    >>> choose_hinges(x, y).n_hinges
    2
    """
    from fastrelu.exact.piecewise import PiecewiseLinear

    if criterion not in CRITERIA:
        raise ValueError(f"criterion: expected 'bic' or 'cv', got {criterion!r}")
    most = whole_number("max_hinges", max_hinges, 1)
    at, to, weight = points_of(x, y, sample_weight, outputs=False)
    distinct = len(np.unique(at))
    if distinct < 10:
        raise ValueError(f"x: expected at least 10 different values, got {distinct}")
    score = {"bic": _bic, "cv": _cross_validated}[criterion]
    counts = range(1, min(most, distinct // 3) + 1)
    unit = _unit(to)
    # A unit that is a power of two changes no digit of a fit, so BIC's own fits serve.
    tried = [score(at, to / unit, weight, k) for k in counts]
    found = np.array([value for value, _ in tried])
    best = int(np.argmin(found)) + 1
    parts = tried[best - 1][1] or _core.fit_hinges(at, to / unit, weight, best)
    with np.errstate(over="ignore", under="ignore"):
        of_unit = 2 * len(at) * math.log(unit)
        scores = found + of_unit if criterion == "bic" else found * unit * unit
        knots, values, left, right = parts
        function = PiecewiseLinear(knots, values * unit, left * unit, right * unit)
    return HingeChoice(best, function, scores, criterion)


def _unit(y: Array) -> float:
    """Return a power of two near the largest |y|, so that squares neither overflow nor vanish."""
    largest = float(np.abs(y).max())
    return 2.0 ** min(max(math.frexp(largest)[1], -1000), 1000) if largest > 0 else 1.0


def _squares(parts: Parts, x: Array, y: Array, weight: Array | None) -> tuple[float, float]:
    """Return the weighted sum of squared residuals, and the sum of weights."""
    from fastrelu.exact.piecewise import PiecewiseLinear

    residuals = (y - PiecewiseLinear(*parts)(x)) ** 2
    if weight is None:
        return float(residuals.sum()), float(len(x))
    return float((weight * residuals).sum()), float(weight.sum())


def _bic(x: Array, y: Array, weight: Array | None, k: int) -> tuple[float, Parts | None]:
    n = len(x)
    parts = _core.fit_hinges(x, y, weight, k)
    total, weights = _squares(parts, x, y, weight)
    # Of a perfect fit what is left is rounding, which tells nothing.
    least = (np.abs(y).max() * 2.0**-48) ** 2
    return n * math.log(max(total / weights, least, 5e-324)) + (2 * k + 2) * math.log(n), parts


def _cross_validated(
    x: Array, y: Array, weight: Array | None, k: int
) -> tuple[float, Parts | None]:
    order = np.argsort(x, kind="stable")
    total = weights = 0.0
    for fold in range(FOLDS):
        out = np.zeros(len(x), bool)
        out[order[fold::FOLDS]] = True
        inner, outer = (None if weight is None else weight[part] for part in (~out, out))
        parts = _core.fit_hinges(x[~out], y[~out], inner, min(k, int((~out).sum())))
        squares, counted = _squares(parts, x[out], y[out], outer)
        total, weights = total + squares, weights + counted
    return total / weights, None


@dataclass(frozen=True)
class HingeStatistics:
    """How well a function fits, and how sure its numbers are; from `hinge_statistics`.

    Attributes
    ----------
    n_points, degrees_of_freedom : int
        The points, and those beyond the 2 k + 2 numbers of k hinges.
    rss : float
        The weighted sum of squared residuals, in y's unit squared.
    sigma : float
        The residuals' standard deviation, sqrt(rss / degrees of freedom), in y's unit.
    r2 : float
        The share of y's variance explained.
    knots, values : ndarray of float64, (k,)
        The standard errors of the knots, in x's unit, and of the values there.
    left_slope, right_slope : float
        Those of the outer slopes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import PiecewiseLinear
    >>> from fastrelu.exact import hinge_statistics
    >>> x = np.linspace(0, 1, 40)
    >>> y = np.abs(x - 0.3) + 0.01 * np.cos(40 * x)
    >>> found = hinge_statistics(PiecewiseLinear.fit(x, y, n_hinges=1), x, y)
    >>> found.degrees_of_freedom, found.knots.shape
    (36, (1,))
    """

    n_points: int
    degrees_of_freedom: int
    rss: float
    sigma: float
    r2: float
    knots: Array
    values: Array
    left_slope: float
    right_slope: float


def hinge_statistics(
    f: PiecewiseLinear, x: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> HingeStatistics:
    """Say how well a function fits points, and the standard errors of its numbers.

    Parameters
    ----------
    f : PiecewiseLinear
        A least-squares fit with one output, as `PiecewiseLinear.fit` returns it.
    x, y : array_like, (n,)
        The points that it was fitted to.
    sample_weight : array_like, (n,), optional
        Their weights; an error's variance is taken to be in inverse proportion.

    Returns
    -------
    HingeStatistics
        Standard errors by linearization (the delta method): with J the derivative of f(x_i) with
        respect to knots, values and outer slopes, the covariance is sigma^2 (J' W J)^-1. They hold
        for many points and independent errors; where f does not bend at a knot they are infinite.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or there are not more points than numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import PiecewiseLinear
    >>> from fastrelu.exact import hinge_statistics
    >>> x = np.linspace(0, 2, 200)
    >>> y = np.abs(x - 1) + np.random.default_rng(0).normal(0, 0.1, 200)
    >>> found = hinge_statistics(PiecewiseLinear.fit(x, y, n_hinges=1), x, y)
    >>> bool(0.08 < found.sigma < 0.12), bool(0 < found.knots[0] < 0.05)
    (True, True)
    """
    if not hasattr(f, "left_slope"):
        raise TypeError(f"f: expected a PiecewiseLinear, got {type(f).__name__}")
    at, to, weight = points_of(x, y, sample_weight, outputs=False)
    if f.values.size != len(f.knots):
        raise ValueError(f"f: expected one output, got values {f.values.shape}")
    k, n = len(f.knots), len(at)
    free = n - (2 * k + 2)
    if free <= 0:
        raise ValueError(f"x: expected more than {2 * k + 2} points for {k} hinges, got {n}")
    w = np.ones(n) if weight is None else weight
    unit = _unit(to)
    residuals = (to - f(at)) / unit
    rss = float((w * residuals**2).sum())
    variance = rss / free
    spread = float((w * ((to - np.average(to, weights=w)) / unit) ** 2).sum())
    J = _derivatives(f, at)
    J[:, :k] /= unit  # knots are in x's unit, everything else in y's
    errors = _standard_errors(J * np.sqrt(w)[:, None], variance)
    with np.errstate(over="ignore", under="ignore"):
        errors[k:] *= unit
        total = rss * unit * unit
    return HingeStatistics(
        n, free, total, math.sqrt(variance) * unit,
        1 - rss / spread if spread > 0 else float(rss == 0),
        errors[:k], errors[k : 2 * k], float(errors[2 * k]), float(errors[2 * k + 1]),
    )  # fmt: skip


def _derivatives(f: PiecewiseLinear, x: Array) -> Array:
    """Return the derivatives of f at each x to its knots, values, left and right slope."""
    knots, k = f.knots, len(f.knots)
    slopes = np.concatenate([[f.left_slope], np.asarray(f.slopes)[1:-1], [f.right_slope]])
    J = np.zeros((len(x), 2 * k + 2))
    piece = np.searchsorted(knots, x, side="right")
    for p in range(k + 1):
        rows = np.flatnonzero(piece == p)
        at, slope = x[rows], slopes[p]
        if p == 0:
            J[rows, k], J[rows, 2 * k] = 1.0, at - knots[0]
            J[rows, 0] = -slope
        elif p == k:
            J[rows, 2 * k - 1], J[rows, 2 * k + 1] = 1.0, at - knots[-1]
            J[rows, k - 1] = -slope
        else:
            share = (at - knots[p - 1]) / (knots[p] - knots[p - 1])
            J[rows, k + p - 1], J[rows, k + p] = 1 - share, share
            J[rows, p - 1], J[rows, p] = -slope * (1 - share), -slope * share
    return J


def _standard_errors(J: Array, variance: float) -> Array:
    """Return sqrt(variance * diag((J' J)^-1)), infinite where J leaves a number open."""
    size = np.sqrt((J**2).sum(axis=0))
    size[size == 0] = 1.0
    _, singular, V = np.linalg.svd(J / size, full_matrices=False)
    open_ = singular <= singular[0] * len(J) * np.finfo(float).eps
    with np.errstate(divide="ignore"):
        inverse = np.where(open_, np.inf, 1 / np.where(open_, 1.0, singular))
    terms: Any = np.where(np.abs(V) > 1e-9, V, 0.0)
    with np.errstate(invalid="ignore"):
        terms = np.where(terms == 0, 0.0, (terms * inverse[:, None]) ** 2)
    return np.asarray(np.sqrt(variance * terms.sum(axis=0)) / size)

# SPDX-License-Identifier: BSD-3-Clause
"""Many runs of SGD beside the bound of the proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import real_number, seed_number, whole_number
from fastrelu.convergence._bound import bound, limits_of_mean
from fastrelu.convergence._constants import SAMPLINGS, SLACK, Constants, constants_of
from fastrelu.convergence._problem import Problem, draw_factor, make_problem, starting_point
from fastrelu.losses import Loss
from fastrelu.network import Network
from fastrelu.optimizers import LearningRate
from fastrelu.schedules import inverse_time

Array = NDArray[np.float64]

# Steps at which the gradients are measured, fewer where their w take more numbers than this.
_LOOKED_AT, _MOST_NUMBERS = 64, 20_000_000


@dataclass(frozen=True)
class Study:
    """Measured distances of SGD's iterates from the minimum, and the bound on them.

    ``print(study)`` gives a short report.

    Attributes
    ----------
    k : ndarray of int, (n,)
        The numbers of the iterates recorded, from 2 on: step k starts from w_k.
    d : ndarray, (n,)
        The mean of ``|w_k - w*|^2`` over the runs.
    d_low, d_high : ndarray, (n,)
        The confidence limits of `d`, each with the confidence `confidence` by itself (Student's t).
    bound : ndarray, (n,), or None
        The bound on d; None where it does not apply.
    holds : bool
        Whether the assumptions of the proof hold, so that the bound applies.
    reasons : list of str
        The assumptions that do not hold, one sentence each; empty if `holds`.
    notes : list of str
        How ell and M were found, and what is measured instead of proven.
    ell, M : float
        The constants of the bound.
    M_measured : float
        The root of the largest mean over the runs of E|G_k|^2, at the steps that were measured
        (each E is exact: over all draws of a minibatch at that w).
    w_star : ndarray, (n_parameters,)
        The minimum w*.
    distances : ndarray, (replicates, n)
        ``|w_k - w*|^2`` of each run.
    constants : Constants
        What was known before the runs.
    batch_size, replicates, confidence, sampling
        The arguments.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> study = convergence.study(X, y, alpha=1.0, n_steps=100, replicates=20)
    >>> study.d.shape, study.distances.shape
    ((100,), (20, 100))
    >>> study.holds, bool((study.d_low <= study.bound).all())
    (True, True)
    """

    k: NDArray[np.int64]
    d: Array
    d_low: Array
    d_high: Array
    bound: Array | None
    reasons: list[str]
    notes: list[str]
    ell: float
    M: float
    M_measured: float
    w_star: Array
    distances: Array = field(repr=False)
    constants: Constants = field(repr=False)
    batch_size: int
    replicates: int
    confidence: float
    sampling: str

    @property
    def holds(self) -> bool:
        """Whether the assumptions of the proof hold."""
        return not self.reasons

    def __str__(self) -> str:
        """Return a short report, without a trailing newline."""
        d, low, high = self.d[-1], self.d_low[-1], self.d_high[-1]
        lines = [
            f"SGD, minibatches of {self.batch_size}, {self.replicates} runs, w_2 to w_{self.k[-1]}",
            f"ell {self.ell:.4g}, M {self.M:.4g} (measured {self.M_measured:.4g})",
            f"d_{self.k[-1]} {d:.4g} ({low:.4g} to {high:.4g})",
        ]
        if self.bound is not None:
            crossed = self.k[self.d_low > self.bound]
            lines[-1] += f", bound {self.bound[-1]:.4g}"
            lines.append(
                "the lower limit of d_k is below the bound for every k"
                if not len(crossed)
                else f"the lower limit of d_k is above the bound at k = {crossed[0]}"
            )
        lines += [f"the bound does not apply: {reason}" for reason in self.reasons]
        return "\n".join(lines + [f"({note})" for note in self.notes])


def study(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss = "squared_error",
    alpha: float,
    batch_size: int = 1,
    n_steps: int = 10000,
    replicates: int = 200,
    seed: int | None = 0,
    w_1: ArrayLike | None = None,
    bias: bool = True,
    sampling: str = "subset",
    ell: float | None = None,
    M: float | None = None,
    learning_rate: LearningRate | None = None,
    features: Network | None = None,
    confidence: float = 0.999,
    k: ArrayLike | None = None,
) -> Study:
    """Run SGD many times from one start and set its distance from the minimum beside the bound.

    The runs are those of ``Trainer``, in float64, with
    ``SGD(inverse_time(ell), weight_decay=alpha)``. All of them are made in the core, on all
    threads. Run r has the seed ``reference.random.replicate_seed(seed, r)``. The same arguments
    give the same runs for a given w*, with any number of threads.

    Parameters
    ----------
    X, y, loss, alpha, batch_size, w_1, bias, ell, learning_rate, features
        As for `estimate_constants`.
    n_steps : int
        The number of steps of each run.
    replicates : int
        The number of runs, >= 2.
    seed : int or None
        Seed of the runs' draws, 0 to 2**64 - 1; None picks a random one.
    sampling : {"subset", "with_replacement", "shuffle"}
        How each step draws its rows: a uniform subset; one row after another from all rows; or the
        next rows of a shuffled epoch. The steps of shuffled epochs are not independent: such runs
        are made, without a bound.
    M : float, optional
        Another M for the bound, such as a measured one.
    confidence : float
        The confidence of each limit of d_k, above 0.5 and below 1.
    k : array_like of int, optional
        The numbers of the iterates to record, ascending, from 2 to n_steps + 1. By default all are
        recorded; or, where all would take more than 160 MB, some 10,000 of them, evenly spread on a
        logarithmic scale.

    Returns
    -------
    Study
        The distances, the bound, and the reasons for which it may not apply.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the problem is not strongly convex.
    KeyboardInterrupt
        On Ctrl-C, within 0.2 s or one step, whichever is longer.

    References
    ----------
    The proof is that of the lecture notes on neural networks, chapter "Speeding up Gradient
    Descent"; docs/convergence.md repeats it.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> print(convergence.study(X, y, alpha=1.0, n_steps=100, replicates=20))
    SGD, minibatches of 1, 20 runs, w_2 to w_101
    ell 1.691, M 2.462 (measured 2.462)
    d_101 0.001972 (0.0003499 to 0.003594), bound 0.0275
    the lower limit of d_k is below the bound for every k
    (ell is the smallest eigenvalue of the second derivative)
    (M^2 is the largest E|G_k|^2, by the exact recursion of the second moments)
    """
    problem = make_problem(X, y, loss, alpha, bias, features)
    start = starting_point(w_1, problem.shape)
    m = whole_number("batch_size", batch_size, 1, 2**48)
    n_steps = whole_number("n_steps", n_steps, 1, 2**40)
    replicates = whole_number("replicates", replicates, 2, 2**31)
    if M is not None:
        real_number("M", M, 0.0, above=True)
    real_number("confidence", confidence, 0.5, 1.0, above=True)
    if confidence == 1:
        raise ValueError("confidence: expected a number below 1, got 1.0")
    if sampling not in (*SAMPLINGS, "shuffle"):
        raise ValueError(
            f"sampling: expected subset, with_replacement or shuffle, got {sampling!r}"
        )
    recorded = _recorded(k, n_steps, replicates)
    c = draw_factor(len(problem.X), m, sampling)
    constants, rates = constants_of(problem, start, c, n_steps, ell, learning_rate)
    options = {"seed": seed_number(seed), "replicates": replicates, "sampling": sampling}
    # Where the steps 2..n_steps start from.
    most = int(np.clip(_MOST_NUMBERS // (replicates * start.size), 8, _LOOKED_AT))
    at = _spread(1, max(n_steps - 1, 1), most)
    at = at[at < n_steps]
    distances, weights = run(problem, start, constants.w_star, rates, m, recorded - 1, at, options)
    measured = _measure(problem, start, weights, constants.w_star, c)
    reasons, notes = _unmet_assumptions(
        constants, measured, M, ell, learning_rate, sampling, confidence, problem
    )
    if not np.isfinite(distances).all():
        reasons.append(
            "the iterates left the range of float64, since the first steps are too long for these "
            "data: scale the columns of X, raise alpha, or take larger minibatches"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        mean, low, high = limits_of_mean(distances, confidence)
    chosen = constants.M if M is None else float(M)
    return Study(
        k=recorded,
        d=mean,
        d_low=low,
        d_high=high,
        bound=bound(recorded, chosen, constants.ell) if not reasons else None,
        reasons=reasons,
        notes=notes,
        ell=constants.ell,
        M=chosen,
        M_measured=float(np.sqrt(measured.squares.mean(axis=0).max())),
        w_star=constants.w_star,
        distances=distances,
        constants=constants,
        batch_size=m,
        replicates=replicates,
        confidence=float(confidence),
        sampling=sampling,
    )


def run(
    problem: Problem,
    start: Array,
    target: Array,
    rates: Array,
    batch_size: int,
    distance_at: NDArray[np.int64],
    weights_at: NDArray[np.int64],
    options: dict[str, Any],
) -> tuple[Array, Array]:
    """Run SGD in the core; return ``|w - target|^2`` (replicates, n), w (replicates, n', p, K)."""
    core_options = {
        "loss": problem.loss,
        "weight_decay": problem.alpha,
        "batch_size": batch_size,
        **options,
    }
    return _core.study(
        problem.X,
        problem.targets,
        core_options,
        rates,
        start,
        target.reshape(problem.shape),
        distance_at,
        weights_at,
    )


def _spread(first: int, last: int, count: int) -> NDArray[np.int64]:
    """Return up to `count` whole numbers, evenly on a logarithmic scale."""
    return np.unique(np.geomspace(first, last, count).astype(np.int64))


def _recorded(k: ArrayLike | None, n_steps: int, replicates: int) -> NDArray[np.int64]:
    if k is None:
        if replicates * n_steps > _MOST_NUMBERS:
            return _spread(2, n_steps + 1, 10_000)
        return np.arange(2, n_steps + 2)
    values = np.asarray(k)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iu":
        raise TypeError(f"k: expected a list of whole numbers, got {k!r}")
    values = values.astype(np.int64)
    if values[0] < 2 or values[-1] > n_steps + 1 or (np.diff(values) <= 0).any():
        raise ValueError(
            f"k: expected ascending numbers from 2 to n_steps + 1 = {n_steps + 1}, got {k!r}"
        )
    return values


@dataclass(frozen=True)
class _Measured:
    """At each step measured, (replicates, steps): E|G|^2, the two sides of strong convexity."""

    squares: Array
    products: Array  # (w - w*)' grad f(w)
    distances: Array  # |w - w*|^2


def _measure(problem: Problem, start: Array, weights: Array, w_star: Array, c: float) -> _Measured:
    first = np.broadcast_to(start, (len(weights), 1, *start.shape))
    points = np.concatenate([first, weights], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        gradient, variance = problem.moments(points)
        e = points - w_star.reshape(problem.shape)
        return _Measured(
            squares=(gradient**2).sum(axis=(2, 3)) + c * variance,
            products=(gradient * e).sum(axis=(2, 3)),
            distances=(e * e).sum(axis=(2, 3)),
        )


def _unmet_assumptions(
    constants: Constants,
    measured: _Measured,
    M: float | None,
    ell: float | None,
    learning_rate: LearningRate | None,
    sampling: str,
    confidence: float,
    problem: Problem,
) -> tuple[list[str], list[str]]:
    """Return the assumptions that do not hold, and the notes."""
    reasons, notes = [], list(constants.how)
    if sampling == "shuffle":
        reasons.append(
            "the steps of a shuffled epoch are not independent of one another, so that G_k is not "
            "unbiased given the past; sampling='subset' draws them independently"
        )
    if learning_rate is not None and learning_rate != inverse_time(constants.ell):
        reasons.append(f"the steps are not 1 / (2 ell k) with ell = {constants.ell:.6g}")
    if ell is not None and ell > constants.ell_proven * (1 + SLACK):
        least = measured.products.sum(axis=0) / np.maximum(measured.distances.sum(axis=0), 1e-300)
        if problem.loss == "squared_error" or ell > constants.ell_at_optimum * (1 + SLACK):
            reasons.append(
                f"ell = {ell:.6g} is too large: at w* the smallest eigenvalue of the second "
                f"derivative is {constants.ell_at_optimum:.6g}"
            )
        elif not least.min() >= ell:
            reasons.append(
                f"ell = {ell:.6g} is too large: the mean of (w_k - w*)' grad f(w_k) was "
                f"{least.min():.6g} times that of |w_k - w*|^2"
            )
        else:
            notes.append(
                f"ell = {ell:.6g} is more than the {constants.ell_proven:.6g} that is proven; the "
                f"runs were convex enough where that was measured"
            )
    if M is not None and M < constants.M:
        notes[1] = "M was given"
        with np.errstate(over="ignore", invalid="ignore"):
            _, low, _ = limits_of_mean(measured.squares, confidence)
        if not low.max() <= M * M * (1 + SLACK):
            reasons.append(
                f"M = {M:.6g} is exceeded: E|G_k|^2 reached "
                f"{measured.squares.mean(axis=0).max():.6g}, more than M^2 = {M * M:.6g}"
            )
        else:
            notes.append(
                f"M = {M:.6g} is less than the {constants.M:.6g} that is proven; it was not "
                f"exceeded in the {measured.squares.shape[1]} steps that were measured"
            )
    elif (
        problem.loss == "squared_error"
        and measured.squares.mean(axis=0).max() < 0.25 * constants.M**2
    ):
        notes.append(
            "the largest E|G_k|^2 comes from runs that are so rare that none of these is like "
            "them: the first steps are long for these data, and what is measured there is too small"
        )
    elif M is not None:
        notes[1] = "M was given, and is no less than the one that is proven"
    return reasons, notes

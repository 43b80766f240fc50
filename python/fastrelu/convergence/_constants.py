# SPDX-License-Identifier: BSD-3-Clause
"""The constants of the proof: the modulus ell and a bound M^2 on E|G_k|^2."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import optimizers
from fastrelu._arguments import real_number, whole_number
from fastrelu.convergence._moments import growth, largest_square
from fastrelu.convergence._problem import Problem, draw_factor, make_problem, starting_point
from fastrelu.losses import Loss
from fastrelu.network import Network
from fastrelu.optimizers import LearningRate

Array = NDArray[np.float64]

SAMPLINGS = ("subset", "with_replacement")
# What the constants themselves may be off by rounding, relatively.
SLACK = 1e-9


@dataclass(frozen=True)
class Constants:
    """The constants that the proof needs of a problem and of a run of SGD on it.

    Attributes
    ----------
    ell : float
        The modulus of strong convexity from which the steps 1 / (2 ell k) are made.
    M : float
        M^2 bounds E|G_k|^2 for every step of the run, k = 1 to n_steps.
    L : float
        The largest eigenvalue that the second derivative has anywhere (an upper bound on it for the
        cross entropies).
    w_star : ndarray, (n_parameters,)
        The minimum w*, in the order of ``Network([d, K]).parameters``: the weights row by row, then
        the biases.
    ell_proven : float
        The largest modulus that is proven. `ell` is equal to it unless another was given.
    ell_at_optimum : float
        The smallest eigenvalue of the second derivative at w*. No larger modulus can hold.
    how : tuple of str
        How ell and M were found, one sentence each.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> constants = convergence.estimate_constants(X, y, alpha=1.0)
    >>> constants.w_star.round(4).tolist()  # weight and bias
    [0.5658, 0.1711]
    >>> constants.how[0]
    'ell is the smallest eigenvalue of the second derivative'
    """

    ell: float
    M: float
    L: float
    w_star: Array = field(repr=False)
    ell_proven: float
    ell_at_optimum: float
    how: tuple[str, ...] = field(repr=False)


def estimate_constants(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss = "squared_error",
    alpha: float,
    batch_size: int = 1,
    n_steps: int = 10000,
    w_1: ArrayLike | None = None,
    bias: bool = True,
    sampling: str = "subset",
    ell: float | None = None,
    learning_rate: LearningRate | None = None,
    features: Network | None = None,
) -> Constants:
    """Find ell, M and w* of a ridge problem, for the run of SGD that is described.

    They are derived from X and y, not measured on a run.

    Parameters
    ----------
    X : array_like, (n, d)
        Rows. It is best to standardise the columns, as ell is the smallest and L the largest
        eigenvalue.
    y : array_like
        Targets, (n,) or (n, K); integer labels 0 to K - 1 for cross_entropy.
    loss : {"squared_error", "binary_cross_entropy", "cross_entropy"}
        The loss, as `fastrelu.losses` defines it: squared_error is half the squared error, averaged
        over the outputs.
    alpha : float
        The ridge penalty ``alpha / 2 |w|^2`` on all parameters, including the bias; > 0 for the
        cross entropies.
    batch_size : int
        The rows of a minibatch, m.
    n_steps : int
        The number of steps for which M has to hold.
    w_1 : array_like, (n_parameters,), optional
        The point at which the runs start; 0 by default.
    bias : bool
        Whether a column of ones is added to the inputs.
    sampling : {"subset", "with_replacement"}
        How each step draws its rows: a uniform subset, or one row after another from all rows.
    ell : float, optional
        Another modulus from which to make the steps.
    learning_rate : float or callable, optional
        Other steps k -> alpha_k altogether, which the proof does not cover.
    features : Network, optional
        A network with hidden layers. They stay as they are; the problem is then that of its last
        layer, whose inputs are the activations of the last hidden layer.

    Returns
    -------
    Constants
        The constants, with w* and the way they were found.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the problem is not strongly convex.

    Notes
    -----
    ell of squared_error is the smallest eigenvalue of the second derivative, less its possible
    rounding error. For cross_entropy it is alpha. For binary_cross_entropy it is alpha plus the
    least curvature of the loss in the ball that the iterates provably stay in.

    M of squared_error comes from the exact recursion of E[(w_k - w*)(w_k - w*)'] over all draws.
    For the cross entropies it is the largest value of a recursion that bounds d_k and E|G_k|^2
    together. docs/convergence.md derives both.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> constants = convergence.estimate_constants(X, y, alpha=1.0, batch_size=2)
    >>> round(constants.ell, 4), round(constants.M, 4), round(constants.L, 4)
    (1.691, 1.9445, 2.809)
    """
    problem = make_problem(X, y, loss, alpha, bias, features)
    start = starting_point(w_1, problem.shape)
    m = whole_number("batch_size", batch_size, 1)
    steps = whole_number("n_steps", n_steps, 1)
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling: expected subset or with_replacement, got {sampling!r}")
    c = draw_factor(len(problem.X), m, sampling)
    return constants_of(problem, start, c, steps, ell, learning_rate)[0]


def constants_of(
    problem: Problem,
    start: Array,
    c: float,
    n_steps: int,
    ell: float | None,
    learning_rate: LearningRate | None,
) -> tuple[Constants, Array]:
    """Return the constants and the run's learning rates (n_steps,)."""
    if ell is not None:
        real_number("ell", ell, 0.0, above=True)
    given = None
    if learning_rate is not None:
        given = optimizers.learning_rates(optimizers.SGD(learning_rate), 1, n_steps)
    first = given.max() if given is not None else 0.5 / ell if ell is not None else 0.0
    proven, curved, L, why = _modulus(problem, start, stays=first * problem.alpha <= 1.0)
    modulus = float(ell) if ell is not None else proven
    rates = given if given is not None else 1.0 / ((2.0 * modulus) * np.arange(1.0, n_steps + 1.0))
    w_star = problem.minimum()
    if problem.loss == "squared_error":
        square = largest_square(problem, start, w_star, rates, c, proven)
        why_M = "M^2 is the largest E|G_k|^2, by the exact recursion of the second moments"
    else:
        square = growth(problem, start, w_star, rates, c, proven)
        curved = float(np.linalg.eigvalsh(problem.hessian(w_star))[0])
        why_M = "M^2 is the largest value of a recursion that bounds d_k and E|G_k|^2 together"
    constants = Constants(
        ell=modulus,
        M=math.sqrt(square * (1.0 + SLACK)),
        L=L,
        w_star=w_star.ravel(),
        ell_proven=proven,
        ell_at_optimum=curved,
        how=(why if ell is None else "ell was given", why_M),
    )
    return constants, rates


def _modulus(problem: Problem, start: Array, stays: bool) -> tuple[float, float, float, str]:
    """Return the proven modulus, the one at w* (if known here), L, and where they come from.

    stays: no step is so long that the penalty's pull passes 0.
    """
    alpha, s = problem.alpha, problem.curvature
    low, high = _ends(s * problem.scatter())
    if problem.loss == "squared_error":
        margin = problem.X.shape[1] * 2.0**-52 * (high + alpha)
        ell = low + alpha - margin
        if ell <= margin:
            raise ValueError(
                f"alpha: the squared error of these columns is not strongly convex (its smallest "
                f"eigenvalue is {low + alpha:.3g}); expected alpha > 0 or independent columns"
            )
        return ell, ell, high + alpha, "ell is the smallest eigenvalue of the second derivative"
    if problem.loss == "binary_cross_entropy" and stays:
        # |w_k| <= R always: a step takes w to (1 - a) w - rate * g, |g| <= G, a = rate * alpha.
        reach = np.linalg.norm(np.maximum(problem.y, 1.0 - problem.y), axis=1)
        lengths = np.sqrt(problem.row_squares)
        radius = max(float(np.linalg.norm(start)), float((lengths * reach).max()) / alpha)
        e = np.exp(-lengths * radius)
        low_here, high_here = _ends(problem.scatter(e / (1.0 + e) ** 2))
        extra = low_here - problem.X.shape[1] * 2.0**-52 * high_here
        if extra > 1e-3 * alpha:
            why = f"ell is alpha and the least curvature of the loss where |w| <= {radius:.3g}"
            return alpha + extra, alpha, high + alpha, why
    return alpha, alpha, high + alpha, "ell is alpha: the loss itself is convex, no more is known"


def _ends(matrix: Array) -> tuple[float, float]:
    values = np.linalg.eigvalsh(matrix)
    return float(values[0]), float(values[-1])

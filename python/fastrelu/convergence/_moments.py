# SPDX-License-Identifier: BSD-3-Clause
"""Bounds M^2 on E|G_k|^2 along a run of SGD, the expectation over all draws up to step k.

With e = w_k - w*, a minibatch B gives G = H_B e + xi_B, where E H_B = H and E xi_B = grad f(w*) = 0;
c = draw_factor(...) says how much of the rows' variance a minibatch has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastrelu.convergence._problem import Problem

Array = NDArray[np.float64]

# The exact recursion goes on for so many steps at most; then its bound takes over.
_MOST_EXACT = 2048


def largest_square(
    problem: Problem, start: Array, w_star: Array, rates: Array, c: float, ell: float
) -> float:
    """Return a bound on the largest E|G_k|^2 of the squared error: exact, but for a late tail.

    S = sum over the outputs of E[e e'] and the means mu = E[e] obey a linear recursion. It is
    followed until what may still come (`_bounds`) is no more than what has been.
    """
    recursion = SecondMoments(problem, w_star, c)
    e = start - w_star
    S, mu = e @ e.T, e
    noise, q = noise_and_slope(problem, w_star, c)
    largest, check = 0.0, 1
    for k in range(1, len(rates) + 1):
        square, S, mu = recursion.step(S, mu, float(rates[k - 1]))
        largest = max(largest, square)
        if not math.isfinite(largest):
            return math.inf
        if k == check or k == len(rates):
            check *= 2
            rest = max(_bounds(float(np.trace(S)), rates[k:].tolist(), ell, noise, q), default=0.0)
            if rest <= largest or k >= _MOST_EXACT:
                return max(rest, largest)
    return largest


class SecondMoments:
    """The exact course of E[e], sum of E[e e'] and E|G|^2 under SGD on the squared error."""

    def __init__(self, problem: Problem, w_star: Array, c: float) -> None:
        self.X, self.alpha, self.c = problem.X, problem.alpha, c
        self.n, self.K = len(problem.X), problem.shape[1]
        self.A = problem.scatter() / self.K
        self.w_star = w_star
        self.residuals = problem.X @ w_star - problem.y
        # E[xi xi'] summed over the outputs; xi of row i is x r / K + alpha w*.
        squares = (self.residuals**2).sum(axis=1)
        cross = problem.X.T @ (self.residuals @ w_star.T) / (self.n * self.K)
        plain = problem.scatter(squares) / self.K**2
        self.noise = c * (
            plain + self.alpha * (cross + cross.T) + self.alpha**2 * w_star @ w_star.T
        )

    def step(self, S: Array, mu: Array, rate: float) -> tuple[float, Array, Array]:
        """Return E|G|^2 at this point, and S and mu after a step."""
        X, A, alpha, c = self.X, self.A, self.alpha, self.c
        with np.errstate(over="ignore", invalid="ignore"):
            AS = A @ S
            # Rows' x x' S x x' and x x' mu xi', both multiples of x x'.
            of_rows = np.einsum("ni,ni->n", X @ S, X)
            of_rows += 2.0 * ((X @ mu) * self.residuals).sum(axis=1)
            fourth = (X * of_rows[:, None]).T @ X / (self.n * self.K**2)
            cross = c * alpha * (A @ mu) @ self.w_star.T
            squares = (1.0 - c) * AS @ A + c * fourth + alpha * (AS + AS.T) + alpha**2 * S
            squares += cross + cross.T + self.noise
            HS = AS + alpha * S
            S = S - rate * (HS + HS.T) + (rate * rate) * squares
            mu = mu - rate * (A @ mu + alpha * mu)
        return float(np.trace(squares)), S, mu


def growth(
    problem: Problem, start: Array, w_star: Array, rates: Array, c: float, ell: float
) -> float:
    """Return a bound on the largest E|G_k|^2 of a loss whose gradient in the outputs is bounded."""
    gradient, variance = problem.moments(start)
    first = float((gradient**2).sum() + c * variance)
    if problem.loss == "cross_entropy":
        reach = np.full(len(problem.X), 2.0)  # |p - e_y|^2
    else:
        reach = (np.maximum(problem.y, 1.0 - problem.y) ** 2).sum(axis=1)
    pull = math.sqrt(float((problem.row_squares * reach).mean()))
    noise, q = noise_and_slope(problem, w_star, c)
    d = float(((start - w_star) ** 2).sum())
    ball = _Ball(problem.alpha, pull, float(np.linalg.norm(start)), float(np.linalg.norm(w_star)))
    return max(_bounds(d, rates.tolist(), ell, noise, q, first, ball))


class _Ball:
    """|w_k| in the mean square: E|w_k|^2 <= norm^2, where the data's gradient has E|g|^2 <= pull^2."""

    def __init__(self, alpha: float, pull: float, norm: float, norm_star: float) -> None:
        self.alpha, self.pull, self.norm, self.norm_star = alpha, pull, norm, norm_star

    def square(self) -> float:
        """Return a bound on E|G|^2 here."""
        bound = self.pull + self.alpha * self.norm
        return bound * bound

    def step(self, rate: float) -> float:
        """Take a step; return a bound on E|w - w*|^2 after it."""
        self.norm = abs(1.0 - rate * self.alpha) * self.norm + rate * self.pull
        return (self.norm + self.norm_star) * (self.norm + self.norm_star)


def noise_and_slope(problem: Problem, w_star: Array, c: float) -> tuple[float, float]:
    """Return V and q with E|G|^2 <= (sqrt(V) + sqrt(q d))^2, d = E|w - w*|^2.

    V = E|G(w*)|^2. E|G(w) - G(w*)|^2 = (1 - c) |grad f(w) - grad f(w*)|^2 + c * the rows' mean of
    |g_i(w) - g_i(w*)|^2, and each is a mean second derivative, at most s x x' + alpha, times e.
    """
    alpha, s = problem.alpha, problem.curvature
    scatter = problem.scatter()
    eye = np.eye(len(scatter))
    H = s * scatter + alpha * eye
    rows = s * s * problem.scatter(problem.row_squares) + 2 * alpha * s * scatter + alpha**2 * eye
    L = float(np.linalg.eigvalsh(H)[-1])
    q = float(np.linalg.eigvalsh((1.0 - c) * L * H + c * rows)[-1])
    return c * float(problem.moments(w_star)[1]), q


def _bounds(
    d: float,
    rates: Sequence[float],
    ell: float,
    noise: float,
    q: float,
    first: float | None = None,
    ball: _Ball | None = None,
) -> list[float]:
    """Return bounds on E|G_k|^2, step by step, from E|w - w*|^2 <= d on.

    d' <= (1 - 2 rate ell) d + rate^2 E|G|^2, as in the proof. `first` is E|G|^2 where it is known.
    """
    squares = []
    root = math.sqrt(noise)
    for rate in rates:
        bound = root + math.sqrt(q * d)
        square = bound * bound
        if ball is not None:
            square = min(square, ball.square())
        if first is not None:
            square, first = first, None
        squares.append(square)
        d = max(0.0, 1.0 - 2.0 * rate * ell) * d + rate * rate * square
        if ball is not None:
            d = min(d, ball.step(rate))
    return squares

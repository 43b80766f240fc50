# SPDX-License-Identifier: BSD-3-Clause
"""Bounds M^2 on E|G_k|^2 along a run of SGD, the expectation over all draws up to step k.

With e = w_k - w*, a minibatch B gives G = H_B e + xi_B, where E H_B = H and E xi_B = 0, the
gradient at w*; c = draw_factor(...) says how much of the rows' variance a minibatch has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastrelu.convergence._problem import Problem

Array = NDArray[np.float64]

# The exact recursion goes on for so many steps, or multiply-adds, at most; then a bound takes over.
_MOST_STEPS, _MOST_WORK = 2048, 2e10


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
    most = min(_MOST_STEPS, 16 + _MOST_WORK / (2.0 * problem.X.size * problem.X.shape[1]))
    for k in range(1, len(rates) + 1):
        square, S, mu = recursion.step(S, mu, float(rates[k - 1]))
        largest = max(largest, square)
        if not math.isfinite(largest):
            return math.inf
        if k == check or k == len(rates):
            check *= 2
            rest = max(_bounds(float(np.trace(S)), rates[k:].tolist(), ell, noise, q), default=0.0)
            if rest <= largest or k >= most:
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
    """Return a bound on the largest E|G_k|^2 of a cross entropy. Its first step is exact."""
    gradient, variance = problem.moments(start)
    first, rate = float((gradient**2).sum() + c * variance), float(rates[0])
    ball = _Ball(problem, c)

    def after_step(point: Array) -> float:
        """Return E|w_2 - w_1 + point|^2."""
        moved = (point * point).sum() - 2.0 * rate * (point * gradient).sum()
        return max(float(moved) + rate * rate * first, 0.0)

    ball.square = after_step(start)
    ball.norm_star = float(np.linalg.norm(w_star))
    noise, q = noise_and_slope(problem, w_star, c)
    d = after_step(start - w_star)
    return max([first, *_bounds(d, rates[1:].tolist(), ell, noise, q, ball)])


class _Ball:
    """E|w_k|^2 <= square, from the cross entropies' gradients g being bounded, L their mean loss.

    E|g|^2 <= pull^2; in E|(1 - a) w - rate g|^2, a = rate * alpha, the product -w' grad L(w) is at
    most L(0) - L(w) <= L(0), since L is convex and not negative.
    """

    def __init__(self, problem: Problem, c: float) -> None:
        if problem.loss == "cross_entropy":
            reach = np.full(len(problem.X), 2.0)  # |p - e_y|^2
        else:
            reach = (np.maximum(problem.y, 1.0 - problem.y) ** 2).sum(axis=1)
        # |grad L|^2 <= (largest eigenvalue of the mean x x') * (mean |dz|^2).
        high = float(np.linalg.eigvalsh(problem.scatter())[-1])
        of_rows = float((problem.row_squares * reach).mean())
        whole = min(high * float(reach.mean()), of_rows)
        self.pull = math.sqrt((1.0 - c) * whole + c * of_rows)
        self.alpha, self.at_zero = problem.alpha, problem.value(np.zeros(problem.shape))
        self.square = self.norm_star = 0.0

    def gradient(self) -> float:
        """Return a bound on E|G|^2 here."""
        bound = self.pull + self.alpha * math.sqrt(self.square)
        return bound * bound

    def step(self, rate: float) -> float:
        """Take a step; return a bound on E|w - w*|^2 after it."""
        left = 1.0 - rate * self.alpha
        pull = rate * self.pull
        norm = abs(left) * math.sqrt(self.square) + pull
        convex = left * left * self.square + 2.0 * rate * left * self.at_zero + pull * pull
        self.square = min(norm * norm, convex) if left >= 0.0 else norm * norm
        bound = math.sqrt(self.square) + self.norm_star
        return bound * bound


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
    ball: _Ball | None = None,
) -> list[float]:
    """Return bounds on E|G_k|^2, step by step, from E|w - w*|^2 <= d on.

    d' <= (1 - 2 rate ell) d + rate^2 E|G|^2, as in the proof.
    """
    squares = []
    root = math.sqrt(noise)
    for rate in rates:
        bound = root + math.sqrt(q * d)
        square = bound * bound
        if ball is not None:
            square = min(square, ball.gradient())
        squares.append(square)
        d = max(0.0, 1.0 - 2.0 * rate * ell) * d + rate * rate * square
        if ball is not None:
            d = min(d, ball.step(rate))
    return squares

# SPDX-License-Identifier: BSD-3-Clause
"""How much a minibatch's gradient varies, against its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import real_number, seed_number, whole_number
from fastrelu.convergence._bound import limits_of_mean
from fastrelu.convergence._constants import SAMPLINGS
from fastrelu.convergence._problem import draw_factor, make_problem, starting_point
from fastrelu.convergence._study import run
from fastrelu.losses import Loss
from fastrelu.network import Network

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GradientNoise:
    """E|G - grad f(w)|^2 at one w, for minibatches of several sizes.

    Attributes
    ----------
    batch_size : ndarray of int, (s,)
        The sizes m.
    measured : ndarray, (s,)
        The mean over the draws, for each size.
    low, high : ndarray, (s,)
        The confidence limits of each mean, each by itself.
    theory : ndarray, (s,)
        `variance` times 1 / m (with_replacement) or (n - m) / (m (n - 1)) (subset).
    variance : float
        The variance of one row's gradient.
    n_rows : int
        The number of rows, n.
    sampling : str
        How the rows of a minibatch were drawn.
    draws : int
        The number of minibatches of each size.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> noise = convergence.gradient_noise(X, y, alpha=1.0, batch_sizes=[1, 2, 4])
    >>> noise.theory.round(4).tolist()  # all 4 rows make no noise
    [0.5034, 0.1678, 0.0]
    """

    batch_size: NDArray[np.int64]
    measured: Array
    low: Array
    high: Array
    theory: Array
    variance: float
    n_rows: int
    sampling: str
    draws: int


def gradient_noise(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | Loss = "squared_error",
    alpha: float,
    batch_sizes: ArrayLike | None = None,
    w: ArrayLike | None = None,
    draws: int = 1000,
    seed: int | None = 0,
    bias: bool = True,
    sampling: str = "subset",
    features: Network | None = None,
    confidence: float = 0.999,
) -> GradientNoise:
    """Measure the variance of the stochastic gradient for minibatches of several sizes.

    Each gradient is that of a step which ``Trainer`` makes in the core.

    Parameters
    ----------
    X, y, loss, alpha, bias, features
        As for `estimate_constants`.
    batch_sizes : array_like of int, optional
        Sizes, each from 1 to n, ascending; by default the powers of 2, and n.
    w : array_like, (n_parameters,), optional
        The point at which the gradients are taken; w* by default.
    draws : int
        The number of minibatches of each size, >= 2.
    seed : int or None
        Seed of the draws, 0 to 2**64 - 1; None picks a random one.
    sampling : {"subset", "with_replacement"}
        How the rows of a minibatch are drawn: a uniform subset, or one row after another from all
        rows.
    confidence : float
        The confidence of each limit, above 0.5 and below 1.

    Returns
    -------
    GradientNoise
        The measured means with their limits, and the variance that theory expects.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Cochran (1977), Sampling techniques, has the variance of the mean of a random subset.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> X, y = [[-1.0], [0.0], [1.0], [2.0]], [-1.0, 0.5, 1.0, 2.0]
    >>> noise = convergence.gradient_noise(X, y, alpha=1.0, batch_sizes=[1, 2, 4], draws=500)
    >>> ((noise.low <= noise.theory) & (noise.theory <= noise.high)).tolist()
    [True, True, True]
    """
    problem = make_problem(X, y, loss, alpha, bias, features)
    n = len(problem.X)
    at = problem.minimum() if w is None else starting_point(w, problem.shape, "w")
    draws = whole_number("draws", draws, 2, 2**31)
    seed = seed_number(seed)
    if real_number("confidence", confidence, 0.5, 1.0, above=True) == 1.0:
        raise ValueError("confidence: expected a number below 1, got 1.0")
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling: expected subset or with_replacement, got {sampling!r}")
    if batch_sizes is None:
        batch_sizes = [*(2**i for i in range((n - 1).bit_length())), n]
    sizes = np.array([whole_number("batch_sizes", m, 1, n) for m in np.asarray(batch_sizes).flat])
    gradient, variance = problem.moments(at)
    # A step of length 1 from w ends at w - G, which is |G - grad f(w)| away from w - grad f(w).
    one, none = np.array([1]), np.zeros(0, dtype=np.int64)
    options = {"seed": seed, "replicates": draws, "sampling": sampling}
    columns = [
        run(problem, at, at - gradient, np.ones(1), int(m), one, none, options)[0] for m in sizes
    ]
    mean, low, high = limits_of_mean(np.hstack(columns), confidence)
    factors = np.array([draw_factor(n, int(m), sampling) for m in sizes])
    return GradientNoise(
        batch_size=sizes,
        measured=mean,
        low=low,
        high=high,
        theory=factors * float(variance),
        variance=float(variance),
        n_rows=n,
        sampling=sampling,
        draws=draws,
    )

# SPDX-License-Identifier: BSD-3-Clause
"""The bound of the proof, and the confidence limits of a mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import real_number

Array = NDArray[np.float64]

_SMALL = 64
_FEW = np.array([math.fsum(1.0 / j for j in range(1, n + 1)) for n in range(_SMALL)])


def harmonic(n: Array) -> Array:
    """Return H_n = 1 + 1/2 + ... + 1/n for whole n >= 0, to a few roundings."""
    large = np.maximum(n, 1.0)
    y = 1.0 / (large * large)
    # Euler and Maclaurin's series: the next term is below 2^-60 from n = 64 on.
    tail = y * (1.0 / 12.0 - y * (1.0 / 120.0 - y * (1.0 / 252.0)))
    series = np.log(large) + np.euler_gamma + (0.5 / large - tail)
    return np.where(n < _SMALL, _FEW[np.minimum(n, _SMALL - 1).astype(np.intp)], series)


def bound(n: ArrayLike, M: float, ell: float) -> Any:
    """Return the bound on ``d_n = E|w_n - w*|^2`` for SGD with the steps alpha_k = 1 / (2 ell k).

    It is ``S / (n - 1) * H_{n-1}`` with ``S = M^2 / (2 ell)^2`` and the harmonic numbers
    ``H_n = 1 + 1/2 + ... + 1/n``.

    Parameters
    ----------
    n : int or array_like of int
        The numbers of the iterates, each >= 2: w_1 is the start, and the first step gives w_2.
    M : float
        M^2 bounds the expected squared norm E|G_k|^2 of the stochastic gradients; M >= 0.
    ell : float
        The modulus of strong convexity, > 0.

    Returns
    -------
    float or ndarray of n's shape
        The bound for each n, in the squared units of w.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    The proof is that of the lecture notes on neural networks, chapter "Speeding up Gradient
    Descent"; docs/convergence.md repeats it.

    Examples
    --------
    >>> from fastrelu import convergence
    >>> convergence.bound([2, 3, 101], M=2.0, ell=1.0).round(4).tolist()
    [1.0, 0.75, 0.0519]
    """
    M = real_number("M", M, 0.0)
    ell = real_number("ell", ell, 0.0, above=True)
    numbers = np.asarray(n)
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"n: expected whole numbers >= 2, got {numbers.dtype}")
    values = numbers.astype(np.float64)
    wrong = ~((values >= 2) & (values == np.floor(values)) & (values < 2.0**53))
    if wrong.any():
        raise ValueError(f"n: expected whole numbers >= 2, got {values[wrong].flat[0]:g}")
    ratio = M / (2.0 * ell)
    result = (ratio * ratio) * (harmonic(values - 1) / (values - 1))
    return float(result) if numbers.ndim == 0 else result


def student_quantile(probability: float, degrees: int) -> float:
    """Return x with P(T <= x) = probability for Student's T; probability in [0.5, 1)."""
    low, high = 0.0, 1.0
    while _student_cdf(high, degrees) < probability:
        high *= 2.0
        if high > 1e300:
            raise ValueError(f"confidence: too close to 1, got {probability!r}")
    for _ in range(100):
        middle = 0.5 * (low + high)
        if _student_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return high


def _student_cdf(x: float, degrees: int) -> float:
    """Return P(T <= x), x >= 0, by the finite sums over powers of cos^2 (A&S 26.7.3, 26.7.4)."""
    theta = math.atan2(x, math.sqrt(degrees))
    cosine, sine = math.cos(theta), math.sin(theta)
    total, term = 0.0, sine if degrees % 2 == 0 else sine * cosine
    for j in range(1 if degrees % 2 == 0 else 2, degrees, 2):
        total += term
        term *= cosine * cosine * j / (j + 1)
    if degrees % 2 == 1:
        total = 2.0 / math.pi * (theta + total)
    return 0.5 + 0.5 * total


def limits_of_mean(values: Array, confidence: float) -> tuple[Array, Array, Array]:
    """Return mean, lower and upper limit over the first axis; each limit has this confidence."""
    n = len(values)
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / math.sqrt(n)
    t = student_quantile(confidence, n - 1)
    return mean, mean - t * error, mean + t * error

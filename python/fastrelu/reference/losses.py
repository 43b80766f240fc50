# SPDX-License-Identifier: BSD-3-Clause
"""The losses: that of each row, and its derivative with respect to the row's outputs z (n, K).

A class is a loss. Its `rows` takes z and the targets, and returns the row losses (n,) and the
derivatives g (n, K); see `loss.Loss`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .elementary import exp, log, log1p
from .fma import fma
from .layers import logistic, relu
from .loss import Loss, averaged, sum_outputs
from .quantile_losses import AbsoluteError, Quantile, Quantiles, ordered

Array = NDArray[Any]

__all__ = [
    "AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Expectile", "Gamma", "Huber", "Poisson",
    "Quantile", "Quantiles", "SquaredError", "Tweedie",
]  # fmt: skip


# Losses of the residual r = z - y


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, averaged over outputs and rows.

    Parameters
    ----------
    summed : bool
        Whether to sum over the outputs instead; scikit-learn's gradient is that of the sum.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.SquaredError())
    2.0
    """

    summed: bool = False
    name: ClassVar[str] = "squared_error"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return half the mean (or sum) over the outputs of (z - y)^2; g is z - y.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.SquaredError().rows(np.array([[3.0]]), np.array([[1.0]]))
        (array([2.]), array([[2.]]))
        """
        r = z - y
        acc = np.zeros_like(z[:, 0])
        for k in range(z.shape[1]):
            acc = fma(r[:, k], r[:, k], acc)
        return averaged(acc * z.dtype.type(0.5), z, self.summed), r


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared residual up to `delta`, linear beyond; averaged over the outputs.

    Parameters
    ----------
    delta : float
        The residual at which it turns from squared to linear, > 0.
    summed : bool
        Whether to sum over the outputs instead.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.Huber())
    1.5
    """

    delta: float = 1.0
    summed: bool = False
    name: ClassVar[str] = "huber"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the squares, linear beyond delta; g is z - y kept in [-delta, delta].

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Huber().rows(np.array([[3.0]]), np.array([[1.0]]))
        (array([1.5]), array([[1.]]))
        """
        r, delta, half = z - y, z.dtype.type(self.delta), z.dtype.type(0.5)
        a = np.where(0 > r, -r, r)
        each = np.where(a > delta, delta * (a - half * delta), (half * r) * r)
        low = np.where(-delta > r, -delta, r)
        slope = np.where(low > delta, delta, low)
        return averaged(sum_outputs(each), z, self.summed), slope


@dataclass(frozen=True)
class Expectile(Loss):
    """The squared error, weighted by the residual's sign; averaged over the outputs.

    Parameters
    ----------
    tau : float
        The weight of targets above the output, above 0 and below 1; 1 - tau is that of others.
    summed : bool
        Whether to sum over the outputs instead.

    References
    ----------
    Newey and Powell (1987), Asymmetric least squares estimation and testing.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.Expectile(0.75))
    1.0
    """

    tau: float = 0.5
    summed: bool = False
    name: ClassVar[str] = "expectile"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return (z - y)^2, times tau for z below y, times 1 - tau above; g is its derivative.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Expectile(0.75).rows(np.array([[3.0], [-1.0]]), np.array([[1.0], [1.0]]))
        (array([1., 3.]), array([[ 1.],
               [-3.]]))
        """
        T = z.dtype.type
        r = z - y
        g = np.where(r > 0, T(2) * T(1 - self.tau), T(2) * T(self.tau)) * r
        acc = np.zeros_like(z[:, 0])
        for k in range(z.shape[1]):
            acc = fma(g[:, k], r[:, k], acc)
        return averaged(acc * T(0.5), z, self.summed), g


# Losses of classes


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the log-likelihood of integer labels 0..K-1 under the softmax of the outputs.

    Parameters
    ----------
    clipped : bool
        Whether to compute the loss (not its gradient) from a probability that is kept away from 0
        and 1 by the dtype's epsilon, as scikit-learn does.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 2])
    >>> net.set_parameters([0, 0, 0, 0])
    >>> round(net.loss([[3.0]], [1], reference.CrossEntropy()), 4)
    0.6931
    """

    clipped: bool = False
    name: ClassVar[str] = "cross_entropy"
    link: ClassVar[str] = "softmax"
    domain: ClassVar[str] = "labels"
    least_outputs: ClassVar[int] = 2

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return minus the logarithm of the label's share of the softmax.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.CrossEntropy().rows(np.array([[0.0, 0.0]]), np.array([1]))
        (array([0.69314718]), array([[ 0.5, -0.5]]))
        """
        u, e, s = softmax_terms(z)
        p = e / s[:, np.newaxis]
        is_label = np.arange(z.shape[1]) == y[:, np.newaxis]
        g = np.where(is_label, p - z.dtype.type(1), p)
        n = np.arange(len(z))
        return (-log(off_the_ends(p[n, y])) if self.clipped else log(s) - u[n, y]), g


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Minus the log-likelihood of targets in [0, 1] under the logistic of the outputs.

    Parameters
    ----------
    pos_weight : float or array_like of shape (K,), optional
        A factor on the positive part of each output's loss; none by default.
    clipped : bool
        As for `CrossEntropy`; for targets 0 and 1.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> round(net.loss([[3.0]], [1.0], reference.BinaryCrossEntropy()), 4)
    0.6931
    """

    pos_weight: ArrayLike | None = None
    clipped: bool = False
    name: ClassVar[str] = "binary_cross_entropy"
    link: ClassVar[str] = "logistic"
    domain: ClassVar[str] = "unit_interval"

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return ``log(1 + exp(z)) - z y``, written so that no exp overflows.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.BinaryCrossEntropy().rows(np.array([[0.0]]), np.array([[1.0]]))
        (array([0.69314718]), array([[-0.5]]))
        """
        if self.clipped:
            return self._clipped(z, y)
        if self.pos_weight is not None:
            c = np.asarray(self.pos_weight, dtype=np.float64).astype(z.dtype)
            return self._weighted(z, y, np.broadcast_to(c, z.shape[1:]))
        e = exp(-np.abs(z))
        loss = fma(-z, y, relu(z)) + log1p(e)
        return sum_outputs(loss), logistic(z) - y

    def _clipped(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return minus the logarithm of the probability of y, 0 or 1."""
        p, one = logistic(z), z.dtype.type(1)
        q = off_the_ends(p)
        loss = np.zeros_like(z[:, 0])
        for k in range(z.shape[1]):
            loss = loss - log(np.where(y[:, k] > 0, q[:, k], one - q[:, k]))
        return loss, p - y

    def _weighted(self, z: Array, y: Array, c: Array) -> tuple[Array, Array]:
        """Return minus ``c y log(p) + (1 - y) log(1 - p)``, with p the logistic of z."""
        one = z.dtype.type(1)
        e = exp(-np.abs(z))
        h = fma(c - one, y, one)  # the factor of log(1 + exp(-z)): 1 - y + c y
        loss = fma(one - y, z, h * (log1p(e) + relu(-z)))
        p_minus = np.where(0 > z, one, e) / (one + e)  # the logistic of -z
        return sum_outputs(loss), fma(-h, p_minus, one - y)


def softmax_terms(z: Array) -> tuple[Array, Array, Array]:
    """Return u = z - max z, e = exp(u), and the sum of e over the outputs."""
    m = z[:, 0]
    for k in range(1, z.shape[1]):
        m = np.where(z[:, k] > m, z[:, k], m)
    u = z - m[:, np.newaxis]
    e = exp(u)
    return u, e, sum_outputs(e)


def off_the_ends(p: Array) -> Array:
    """Return the probabilities p kept off 0 and 1 by the dtype's epsilon."""
    low = np.finfo(p.dtype).eps
    high = p.dtype.type(1) - low
    p = np.where(low > p, low, p)
    return np.where(p > high, high, p)


# Deviances, with a log link


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the Poisson deviance of targets >= 0; the outputs are the logarithms of the means.

    References
    ----------
    McCullagh and Nelder (1989), Generalized linear models.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> round(net.loss([[3.0]], [0.0], reference.Poisson()), 4)
    1.0
    """

    name: ClassVar[str] = "poisson"
    link: ClassVar[str] = "log"
    domain: ClassVar[str] = "non_negative"

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return ``y log(y / mu) - y + mu`` with ``mu = exp(z)``; y log y is 0 at 0.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Poisson().rows(np.array([[0.0]]), np.array([[0.0]]))
        (array([1.]), array([[1.]]))
        """
        mu = exp(z)
        loss = np.where(y > 0, fma(y, log(y) - z, mu - y), mu)
        return sum_outputs(loss), mu - y


@dataclass(frozen=True)
class Gamma(Loss):
    """Half the Gamma deviance of targets > 0; the outputs are the logarithms of the means.

    References
    ----------
    McCullagh and Nelder (1989), Generalized linear models.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> round(net.loss([[3.0]], [2.0], reference.Gamma()), 4)
    0.3069
    """

    name: ClassVar[str] = "gamma"
    link: ClassVar[str] = "log"
    domain: ClassVar[str] = "positive"

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return ``log(mu / y) + y / mu - 1`` with ``mu = exp(z)``; g is ``1 - y / mu``.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Gamma().rows(np.array([[0.0]]), np.array([[2.0]]))
        (array([0.30685282]), array([[-1.]]))
        """
        half, one = z.dtype.type(0.5), z.dtype.type(1)
        h = exp(-(half * z))  # exp(-z) may be out of range where y exp(-z) is not
        r = fma(y * h, h, -one)
        return sum_outputs((z - log(y)) + r), -r


@dataclass(frozen=True)
class Tweedie(Loss):
    """Half the Tweedie deviance of targets >= 0; the outputs are the logarithms of the means.

    Parameters
    ----------
    power : float
        The variance grows as the mean to this power, in (1, 2).

    References
    ----------
    Jorgensen (1997), The theory of dispersion models.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> net.loss([[3.0]], [0.0], reference.Tweedie(1.5))
    2.0
    """

    power: float = 1.5
    name: ClassVar[str] = "tweedie"
    link: ClassVar[str] = "log"
    domain: ClassVar[str] = "non_negative"

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return ``(mu^a - y^a) / a + (y mu^-b - y^a) / b`` with ``mu = exp(z)``.

        a is 2 - power and b is power - 1; g is ``mu^a - y mu^-b``. The arguments are those of
        `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Tweedie(1.5).rows(np.array([[0.0]]), np.array([[0.0]]))
        (array([2.]), array([[1.]]))
        """
        T = z.dtype.type
        a, b = T(2) - T(self.power), T(self.power) - T(1)  # exact, and their sum is 1
        u, h = exp(a * z), exp(-((T(0.5) * b) * z))
        q = np.where(y > 0, (y * h) * h, T(0))  # h may be infinite where y is 0
        s = np.where(y > 0, exp(a * log(y)), T(0))
        return sum_outputs((u - s) / a + (q - s) / b), u - q


# The links


@np.errstate(all="ignore")
def link(z: Array, loss: Loss) -> Array:
    """Return the predictions that the outputs z stand for: the inverse of the loss's link."""
    if loss.link == "softmax":
        _, e, s = softmax_terms(z)
        return np.asarray(e / s[:, np.newaxis])
    if loss.link == "logistic":
        return logistic(z)
    if loss.link == "ordered":
        return ordered(z)
    return exp(z) if loss.link == "log" else z

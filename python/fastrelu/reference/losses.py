# SPDX-License-Identifier: BSD-3-Clause
"""The losses: of each row, and its derivative by the row's outputs z (n, K).

A class is a loss. Its `rows` takes z and the targets, and returns the row losses (n,) and the
derivatives g (n, K) of each; a row's factor, its share of the mean, is multiplied into g alone, and
once. Beside it stand the loss's properties: the link, what the targets may be, mean or sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .elementary import exp, log, log1p
from .fma import fma
from .layers import logistic, relu

Array = NDArray[Any]

__all__ = [
    "AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Gamma", "Huber", "Poisson", "Quantile",
    "SquaredError", "Tweedie",
]  # fmt: skip

#: What targets may be: a name, in words, and whether a number is one.
DOMAINS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "real": ("targets", lambda y: np.ones(y.shape, bool)),
    "labels": ("labels", lambda y: y >= 0),
    "unit_interval": ("targets in [0, 1]", lambda y: (y >= 0) & (y <= 1)),
    "non_negative": ("targets >= 0", lambda y: y >= 0),
    "positive": ("targets > 0", lambda y: y > 0),
}

_BY_NAME: dict[str, type[Loss]] = {}


class Loss:
    """What the losses have in common.

    Attributes
    ----------
    name : str
        Of the loss.
    link : {"identity", "softmax", "logistic", "log"}
        What predictions are of the outputs: see `link`.
    domain : str
        What the targets may be, one of `DOMAINS`.
    averaged : bool
        Whether a row's loss is the mean over the outputs unless it is `summed`; else the sum.
    least_outputs : int
        Outputs that a network needs.
    """

    name: ClassVar[str]
    link: ClassVar[str] = "identity"
    domain: ClassVar[str] = "real"
    averaged: ClassVar[bool] = False
    least_outputs: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        if hasattr(cls, "name"):
            _BY_NAME[cls.name] = cls

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the rows' losses (n,) and the derivative of each by its outputs (n, K)."""
        raise NotImplementedError


def as_loss(loss: Any) -> Loss:
    """Return the loss for a name, or for any object with its `name` and some of its fields."""
    name = getattr(loss, "name", loss)
    if name not in _BY_NAME:
        raise ValueError(f"loss: unknown loss {loss!r}")
    kind: Any = _BY_NAME[name]
    given = {f.name: getattr(loss, f.name) for f in fields(kind) if hasattr(loss, f.name)}
    found: Loss = kind(**given)
    return found


def as_targets(y: ArrayLike, loss: Loss, outputs: int, dtype: DTypeLike) -> Array:
    """Return y as the loss takes it: labels (n,) for cross_entropy, else (n, K) of `dtype`."""
    check_outputs(loss, outputs)
    y = np.asarray(y)
    is_label = loss.domain == "labels"
    y = y.astype(np.int64).reshape(len(y)) if is_label else y.astype(dtype).reshape(-1, outputs)
    text, is_inside = DOMAINS[loss.domain]
    text = f"labels 0..{outputs - 1}" if is_label else f"{text} for {loss.name}"
    inside = is_inside(y) & (y < outputs) if is_label else is_inside(y) | np.isnan(y)
    if not inside.all():
        row = np.argwhere(~inside)[0]
        raise ValueError(f"y: expected {text}, got {y[tuple(row)]} in row {row[0]}")
    return y


def check_outputs(loss: Loss, outputs: int) -> None:
    """Raise ValueError if a network has too few outputs for the loss."""
    if outputs < loss.least_outputs:
        raise ValueError(f"loss: {loss.name} needs {loss.least_outputs} outputs, got {outputs}")


# The mean over a minibatch


def chain(terms: Array) -> float:
    """Return the float64 sum of the terms, one after the other, from +0."""
    total = 0.0
    for term in terms:
        total += float(term)
    return total


@np.errstate(all="ignore")
def row_factors(weights: Array, outputs: int, loss: Loss, dtype: DTypeLike) -> Array:
    """Return each row's factor in the mean over a minibatch, from its weights in float64."""
    weight_sum = chain(weights)
    if weight_sum == 0:
        return np.zeros(len(weights), dtype)
    if loss.averaged and not getattr(loss, "summed", False):
        weight_sum = outputs * weight_sum
    return np.asarray(weights / weight_sum).astype(dtype)


@np.errstate(all="ignore")
def total_loss(row_losses: Array, weights: Array) -> float:
    """Return the sum of the rows' losses times their weights, in float64, in order."""
    return chain(row_losses.astype(np.float64) * weights)


def reported_loss(total: float, weight_sum: float) -> float:
    """Return the mean loss; 0 if no row has a weight."""
    return 0.0 if weight_sum == 0 else total / weight_sum


@np.errstate(all="ignore")
def loss_and_d_out(z: Array, y: Array, factor: Array, loss: Loss) -> tuple[Array, Array]:
    """Return the rows' losses (n,) and the derivatives of the mean by the outputs (n, K)."""
    row_losses, g = loss.rows(z, y)
    return row_losses, g * factor[:, np.newaxis]


def sum_outputs(terms: Array) -> Array:
    """Return the sum over the outputs k, one after the other, from +0."""
    total = np.zeros_like(terms[:, 0])
    for k in range(terms.shape[1]):
        total = total + terms[:, k]
    return total


def averaged(total: Array, z: Array, summed: bool) -> Array:
    """Return the mean over the outputs, given their sum."""
    return total if summed else total / z.dtype.type(z.shape[1])


# Losses of the residual r = z - y


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, averaged over outputs and rows.

    Parameters
    ----------
    summed : bool
        Sum over the outputs instead; scikit-learn's gradient is that of the sum.

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
        """Return half the mean (or sum) over the outputs of (z - y)^2; g is z - y."""
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
        Where it turns, > 0.
    summed : bool
        Sum over the outputs instead.

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
        """Return the squares, linear beyond delta; g is z - y kept in [-delta, delta]."""
        r, delta, half = z - y, z.dtype.type(self.delta), z.dtype.type(0.5)
        a = np.where(0 > r, -r, r)
        each = np.where(a > delta, delta * (a - half * delta), (half * r) * r)
        low = np.where(-delta > r, -delta, r)
        slope = np.where(low > delta, delta, low)
        return averaged(sum_outputs(each), z, self.summed), slope


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """The absolute residual, averaged over the outputs, or `summed`.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.AbsoluteError())
    2.0
    """

    summed: bool = False
    name: ClassVar[str] = "absolute_error"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the sizes of the residuals; g is their signs."""
        return pinball(z, y, 1, 1, self.summed)


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, averaged over the outputs: its minimum is the quantile of y given x.

    Parameters
    ----------
    quantile : float
        In (0, 1).
    summed : bool
        Sum over the outputs instead.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.Quantile())
    1.0
    """

    quantile: float = 0.5
    summed: bool = False
    name: ClassVar[str] = "quantile"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the residuals times `quantile` below y, times the rest above it."""
        return pinball(z, y, 1 - self.quantile, self.quantile, self.summed)


def pinball(z: Array, y: Array, hi: float, lo: float, summed: bool) -> tuple[Array, Array]:
    """Return a loss that rises with slope `hi` where z is above y, and `lo` below."""
    r, zero = z - y, z.dtype.type(0)
    above, below = z.dtype.type(hi), z.dtype.type(lo)
    each = np.where(r > zero, above * r, -(below * r))
    slope = np.where(r > zero, above, np.where(zero > r, -below, r))
    return averaged(sum_outputs(each), z, summed), slope


# Losses of classes


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the log-likelihood of integer labels 0..K-1 under the softmax of the outputs.

    Parameters
    ----------
    clipped : bool
        Compute the loss (not its gradient) from a probability kept off 0 and 1, as scikit-learn.

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
        """Return minus the logarithm of the label's share of the softmax."""
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
        Factor on the positive part of each output's loss; none by default.
    clipped : bool
        As in `CrossEntropy`, for targets 0 and 1.

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
        """Return ``log(1 + exp(z)) - z y``, written so that no exp overflows."""
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
        """Return ``y log(y / mu) - y + mu`` with ``mu = exp(z)``; y log y is 0 at 0."""
        mu = exp(z)
        loss = np.where(y > 0, fma(y, log(y) - z, mu - y), mu)
        return sum_outputs(loss), mu - y


@dataclass(frozen=True)
class Gamma(Loss):
    """Half the Gamma deviance of targets > 0; the outputs are the logarithms of the means.

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
        """Return ``log(mu / y) + y / mu - 1`` with ``mu = exp(z)``; g is ``1 - y / mu``."""
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

        a is 2 - power and b is power - 1; g is ``mu^a - y mu^-b``.
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
    return exp(z) if loss.link == "log" else z

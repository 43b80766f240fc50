# SPDX-License-Identifier: BSD-3-Clause
"""The losses: of each row, and its derivative by the row's outputs z (n, K).

Each function takes z, the targets and each row's factor (its share of the mean), and returns the
row losses (n,), *without* the factor, and dz (n, K), *with* it: nothing is scaled later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .elementary import exp, log, log1p
from .fma import fma
from .layers import logistic, relu

Array = NDArray[Any]


@dataclass(frozen=True)
class SquaredError:
    """Half the squared error, averaged over outputs and rows.

    Parameters
    ----------
    summed : bool
        Sum over the outputs instead; scikit-learn's gradient is that of the sum.
    """

    summed: bool = False
    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class CrossEntropy:
    """Minus the log-likelihood of integer labels 0..K-1 under the softmax of the outputs.

    Parameters
    ----------
    clipped : bool
        Compute the loss (not its gradient) from a probability kept off 0 and 1, as scikit-learn.
    """

    clipped: bool = False
    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Minus the log-likelihood of targets in [0, 1] under the logistic of the outputs.

    Parameters
    ----------
    pos_weight : float or array_like of shape (K,), optional
        Factor on the positive part of each output's loss; none by default.
    clipped : bool
        As in `CrossEntropy`, for targets 0 and 1.
    """

    pos_weight: ArrayLike | None = None
    clipped: bool = False
    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Poisson:
    """Half the Poisson deviance of targets >= 0; the outputs are the logarithms of the means."""

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class Huber:
    """Half the squared residual up to `delta`, linear beyond; averaged over the outputs.

    Parameters
    ----------
    delta : float
        Where it turns, > 0.
    summed : bool
        Sum over the outputs instead.
    """

    delta: float = 1.0
    summed: bool = False
    name: ClassVar[str] = "huber"


@dataclass(frozen=True)
class AbsoluteError:
    """The absolute residual, averaged over the outputs, or `summed`."""

    summed: bool = False
    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Quantile:
    """The pinball loss, averaged over the outputs: its minimum is the quantile of y given x.

    Parameters
    ----------
    quantile : float
        In (0, 1).
    summed : bool
        Sum over the outputs instead.
    """

    quantile: float = 0.5
    summed: bool = False
    name: ClassVar[str] = "quantile"


Averaged = SquaredError | Huber | AbsoluteError | Quantile
Loss = Averaged | CrossEntropy | BinaryCrossEntropy | Poisson
_KINDS: tuple[Any, ...] = (
    SquaredError, CrossEntropy, BinaryCrossEntropy, Poisson, Huber, AbsoluteError, Quantile
)  # fmt: skip


def as_loss(loss: Any) -> Loss:
    """Return the loss for a name, or for any object with its `name` and some of its fields."""
    name = getattr(loss, "name", loss)
    for kind in _KINDS:
        if name == kind.name:
            fields = kind.__dataclass_fields__
            given = {f: getattr(loss, f) for f in fields if f != "name" and hasattr(loss, f)}
            found: Loss = kind(**given)
            return found
    raise ValueError(f"loss: unknown loss {loss!r}")


def as_targets(y: ArrayLike, loss: Loss, outputs: int, dtype: DTypeLike) -> Array:
    """Return y as the loss takes it: labels (n,) for cross_entropy, else (n, K) of `dtype`."""
    y = np.asarray(y)
    if isinstance(loss, CrossEntropy):
        return y.astype(np.int64).reshape(len(y))
    return y.astype(dtype).reshape(len(y), outputs)


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
    if isinstance(loss, Averaged) and not loss.summed:
        weight_sum = outputs * weight_sum
    return np.asarray(weights / weight_sum).astype(dtype)


@np.errstate(all="ignore")
def total_loss(row_losses: Array, weights: Array) -> float:
    """Return the sum of the rows' losses times their weights, in float64, in order."""
    return chain(row_losses.astype(np.float64) * weights)


def reported_loss(total: float, weight_sum: float) -> float:
    """Return the mean loss; 0 if no row has a weight."""
    return 0.0 if weight_sum == 0 else total / weight_sum


# The losses


@np.errstate(all="ignore")
def loss_and_d_out(z: Array, y: Array, factor: Array, loss: Loss) -> tuple[Array, Array]:
    """Return the rows' losses (n,) and the derivatives of the mean by the outputs (n, K)."""
    if isinstance(loss, SquaredError):
        return squared_error(z, y, factor, loss.summed)
    if isinstance(loss, Averaged):
        return residual_loss(z, y, factor, loss)
    if isinstance(loss, CrossEntropy):
        return cross_entropy(z, y, factor, loss.clipped)
    if isinstance(loss, Poisson):
        return poisson(z, y, factor)
    if loss.clipped:
        return clipped_binary_cross_entropy(z, y, factor)
    if loss.pos_weight is None:
        return binary_cross_entropy(z, y, factor)
    pos_weight = np.asarray(loss.pos_weight, dtype=np.float64).astype(z.dtype)
    return weighted_binary_cross_entropy(z, y, factor, np.broadcast_to(pos_weight, z.shape[1:]))


def squared_error(z: Array, y: Array, factor: Array, summed: bool = False) -> tuple[Array, Array]:
    """Half the mean (or sum) over the outputs of (z - y)^2."""
    r = z - y
    acc = np.zeros_like(z[:, 0])
    for k in range(z.shape[1]):
        acc = fma(r[:, k], r[:, k], acc)
    return averaged(acc * z.dtype.type(0.5), z, summed), r * factor[:, np.newaxis]


def averaged(total: Array, z: Array, summed: bool) -> Array:
    """Return the mean over the outputs, given their sum."""
    return total if summed else total / z.dtype.type(z.shape[1])


def residual_loss(z: Array, y: Array, factor: Array, loss: Averaged) -> tuple[Array, Array]:
    """Losses of r = z - y that are linear far from 0."""
    r, T, zero = z - y, z.dtype.type, z.dtype.type(0)
    if isinstance(loss, Huber):
        a, delta, half = np.where(0 > r, -r, r), T(loss.delta), T(0.5)
        each = np.where(a > delta, delta * (a - half * delta), (half * r) * r)
        low = np.where(-delta > r, -delta, r)
        slope = np.where(low > delta, delta, low)
    else:
        above, below = T(1), T(1)  # the slopes where z is above and below y
        if isinstance(loss, Quantile):
            above, below = T(1 - loss.quantile), T(loss.quantile)
        each = np.where(r > zero, above * r, -(below * r))
        slope = np.where(r > zero, above, np.where(zero > r, -below, r))
    return averaged(sum_outputs(each), z, loss.summed), slope * factor[:, np.newaxis]


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


def cross_entropy(
    z: Array, label: Array, factor: Array, clipped: bool = False
) -> tuple[Array, Array]:
    """Minus the logarithm of the label's share of the softmax."""
    u, e, s = softmax_terms(z)
    p = e / s[:, np.newaxis]
    is_label = np.arange(z.shape[1]) == label[:, np.newaxis]
    g = np.where(is_label, p - z.dtype.type(1), p)
    rows = np.arange(len(z))
    loss = -log(off_the_ends(p[rows, label])) if clipped else log(s) - u[rows, label]
    return loss, g * factor[:, np.newaxis]


def clipped_binary_cross_entropy(z: Array, t: Array, factor: Array) -> tuple[Array, Array]:
    """Minus the logarithm of the probability of t, 0 or 1."""
    p, one = logistic(z), z.dtype.type(1)
    q = off_the_ends(p)
    loss = np.zeros_like(z[:, 0])
    for k in range(z.shape[1]):
        loss = loss - log(np.where(t[:, k] > 0, q[:, k], one - q[:, k]))
    return loss, (p - t) * factor[:, np.newaxis]


def binary_cross_entropy(z: Array, t: Array, factor: Array) -> tuple[Array, Array]:
    """``log(1 + exp(z)) - z t``, written so that no exp overflows."""
    e = exp(-np.abs(z))
    loss = fma(-z, t, relu(z)) + log1p(e)
    return sum_outputs(loss), (logistic(z) - t) * factor[:, np.newaxis]


def weighted_binary_cross_entropy(
    z: Array, t: Array, factor: Array, c: Array
) -> tuple[Array, Array]:
    """Minus ``c t log(p) + (1 - t) log(1 - p)``, with p the logistic of z."""
    one = z.dtype.type(1)
    e = exp(-np.abs(z))
    h = fma(c - one, t, one)  # the factor of log(1 + exp(-z)): 1 - t + c t
    loss = fma(one - t, z, h * (log1p(e) + relu(-z)))
    p_minus = np.where(0 > z, one, e) / (one + e)  # the logistic of -z
    return sum_outputs(loss), fma(-h, p_minus, one - t) * factor[:, np.newaxis]


def poisson(z: Array, y: Array, factor: Array) -> tuple[Array, Array]:
    """``y log(y / mu) - y + mu`` with ``mu = exp(z)``; y log y is 0 at 0."""
    mu = exp(z)
    loss = np.where(y > 0, fma(y, log(y) - z, mu - y), mu)
    return sum_outputs(loss), (mu - y) * factor[:, np.newaxis]


def sum_outputs(terms: Array) -> Array:
    """Return the sum over the outputs k, one after the other, from +0."""
    total = np.zeros_like(terms[:, 0])
    for k in range(terms.shape[1]):
        total = total + terms[:, k]
    return total


# The links


@np.errstate(all="ignore")
def link(z: Array, loss: Loss) -> Array:
    """Return the probabilities or means that the outputs z stand for."""
    if isinstance(loss, CrossEntropy):
        _, e, s = softmax_terms(z)
        return np.asarray(e / s[:, np.newaxis])
    if isinstance(loss, BinaryCrossEntropy):
        return logistic(z)
    if isinstance(loss, Poisson):
        return exp(z)
    return z

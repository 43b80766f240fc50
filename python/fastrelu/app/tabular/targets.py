# SPDX-License-Identifier: BSD-3-Clause
"""Numbers to be predicted, in the unit that networks learn in, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import elementary
from fastrelu.app.tabular.train import Problem
from fastrelu.app.usual import VALUE_LOSSES
from fastrelu.losses import Expectile, Loss, Quantile, Tweedie, as_loss
from fastrelu.metrics import weighted_expectile, weighted_quantile

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """From the unit of networks to that of y.

    Attributes
    ----------
    loss : Loss
        What is minimized.
    location, scale : ndarray of float64, (K,)
        y is location + scale * t for targets t of the networks; with a log link, scale * t.
    """

    loss: Loss
    location: Floats
    scale: Floats

    @property
    def log(self) -> bool:
        """Whether outputs are logarithms of predictions."""
        return self.loss.info.link == "log"

    def predictions(self, predicted: Floats) -> Floats:
        """Return mean predictions, (n, K), in the unit of y."""
        return np.asarray(predicted * self.scale + (0.0 if self.log else self.location))

    def outputs(self, outputs: Floats, differences: bool) -> Floats:
        """Return outputs, or differences of outputs, (n, K), in the unit of the link of y."""
        if self.log:
            return outputs if differences else np.asarray(outputs + elementary.log(self.scale))
        return np.asarray(outputs * self.scale + (0.0 if differences else self.location))


def chosen_loss(loss: Any) -> Loss:
    """Return the loss that a user names; ValueError or TypeError if models of tables have none."""
    found = as_loss(loss)
    if found.name not in VALUE_LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(VALUE_LOSSES)}, got {found.name!r}")
    return found


def variance_power(loss: Loss) -> float:
    """Return p: with a log link, the variance goes with the mean to the power p."""
    return loss.power if isinstance(loss, Tweedie) else {"poisson": 1.0, "gamma": 2.0}[loss.name]


def scaled(y: Array, loss: Loss, weight: Array | None, exposure: Array | None) -> Any:
    """Return what networks learn of targets, and the unit in which they do.

    An exposure e multiplies the mean. That is learned as the ratios y / e with their weights times
    e^(2 - p), whose deviance is that of y from e * mu: the same gradient, row for row.

    Parameters
    ----------
    y : ndarray of float64, (n, K)
        The targets.
    loss : Loss
        What is minimized.
    weight : ndarray of float64, (n,), or None
        The rows' weights.
    exposure : ndarray of float64, (n,), or None
        Each > 0; for a log link alone.

    Returns
    -------
    Problem, Unit
        The start is 0: the constant that is best by the loss.

    Raises
    ------
    ValueError
        If a target is none of the loss, or with a log link all are 0.
    """
    start = np.zeros(y.shape[1])
    if loss.info.link == "log":
        wrong = np.argwhere(loss.info.domain.outside(y))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"y: row {row + 1}: expected {loss.info.domain.text} for the loss {loss.name}, "
                f"got {y[row, column]}"
            )
        if exposure is not None:
            with np.errstate(over="ignore"):
                y = y / exposure[:, None]
            factor = elementary.power(exposure, 2.0 - variance_power(loss))
            weight = factor if weight is None else weight * factor
            if not (np.isfinite(y).all() and np.isfinite(weight).all()):
                raise ValueError("exposure: y / exposure is too large for a float64")
            # Weights of at most 1, by a power of two, which changes no bit of what comes of them.
            weight = np.ldexp(weight, -int(np.frexp(weight.max())[1]))
        scale = _mean(y, weight)
        if not (scale > 0).all():
            raise ValueError(f"y: expected targets above 0 for the loss {loss.name}, got zeros")
        return Problem(loss, y / scale, weight, start, exposure), Unit(loss, start, scale)
    location = _best_constants(y, loss, weight)
    beyond = y - location
    largest = np.abs(beyond).max(axis=0)  # whose squares might overflow, or vanish
    largest[largest == 0] = 1.0
    shares = beyond / largest
    if loss.name in ("squared_error", "expectile"):
        size = np.sqrt(np.average(shares**2, axis=0, weights=weight))
    else:  # a few far targets, to which the loss is robust, matter less
        size = np.average(np.abs(shares), axis=0, weights=weight)
    deviation = largest * size
    deviation = np.where(deviation > 0, deviation, 1.0)
    return Problem(loss, beyond / deviation, weight, start), Unit(loss, location, deviation)


def _mean(y: Array, weight: Array | None) -> Floats:
    """Return the means of columns of numbers >= 0, also of very large ones."""
    largest = y.max(axis=0)
    largest[largest == 0] = 1.0
    return np.asarray(largest * np.average(y / largest, axis=0, weights=weight))


def _best_constants(y: Array, loss: Loss, weight: Array | None) -> Floats:
    """Return the constant of each column that is best by a loss with the identity as its link."""
    if loss.name == "squared_error":
        return np.asarray(np.average(y, axis=0, weights=weight))
    weight = np.ones(len(y)) if weight is None else weight
    if isinstance(loss, Expectile):
        return np.array([weighted_expectile(column, weight, loss.tau) for column in y.T])
    q = loss.quantile if isinstance(loss, Quantile) else 0.5
    return np.array([weighted_quantile(column, weight, q) for column in y.T])

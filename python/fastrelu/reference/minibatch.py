# SPDX-License-Identifier: BSD-3-Clause
"""A minibatch's targets and its mean loss: the factor of each row, and the sums in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .loss import DOMAINS, Loss

Array = NDArray[Any]


def as_targets(y: ArrayLike, loss: Loss, outputs: int, dtype: DTypeLike) -> Array:
    """Return y as the loss takes it: labels (n,) for cross_entropy, else (n, K) of `dtype`."""
    check_outputs(loss, outputs)
    y = np.asarray(y)
    if loss.link == "ordered" and y.size == len(y):
        y = np.repeat(y.reshape(-1, 1), outputs, axis=1)  # one target, which all outputs have
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

# SPDX-License-Identifier: BSD-3-Clause
"""What tests are run over: every entry of the core's catalogue, and targets that suit a loss."""

import math

import numpy as np

from fastrelu._catalogue import ACTIVATIONS, LOSSES
from fastrelu._catalogue import OPTIMIZERS as OPTIMIZER_ROWS
from fastrelu.losses import BinaryCrossEntropy, with_parameter
from fastrelu.optimizers import as_optimizer

LOSS_NAMES = list(LOSSES)
ACTIVATION_NAMES = list(ACTIVATIONS)
OPTIMIZER_NAMES = list(OPTIMIZER_ROWS)

# Label -> class and numbers: every optimizer, and SGD's other forms.
OPTIMIZERS = {
    name: (type(as_optimizer(name)).__name__, {"learning_rate": 0.01, "weight_decay": 0.01})
    for name in OPTIMIZER_NAMES
} | {
    "sgd": ("SGD", {"learning_rate": 0.05}),
    "momentum": ("SGD", {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": ("SGD", {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True}),
}


def optimizer_of(module, label):
    """The optimizer of either implementation."""
    name, numbers = OPTIMIZERS[label]
    return getattr(module.optimizers, name)(**numbers)


def inside(parameter):
    """A value of a loss's parameter that is not its usual one."""
    share = 0.4 if parameter.initial != 0.4 else 0.6
    return parameter.low + share * min(1.0, parameter.high - parameter.low)


def variants():
    """Label -> loss: every name, each loss with another parameter, one with pos_weight."""
    found = {name: name for name in LOSSES}
    for name, info in LOSSES.items():
        if info.parameter is not None:
            found[f"{name}:{inside(info.parameter):g}"] = with_parameter(
                name, inside(info.parameter)
            )
    return found | {"weighted": BinaryCrossEntropy(2.5)}


VARIANTS = variants()


def info_of(loss):
    return LOSSES[getattr(loss, "name", loss)]


def outputs_for(loss, K):
    """K, or as many outputs as the loss needs."""
    return max(K, info_of(loss).least_outputs)


def targets(rng, loss, n, K, dtype="float64"):
    """Targets of any kind that the loss takes, the ends of its domain among them."""
    domain = info_of(loss).domain
    if domain.labels:
        return rng.integers(0, K, n)
    low, high = max(domain.low, -2.0), min(domain.high, 3.0)
    y = low + (high - low) * rng.random((n, K))
    if math.isfinite(domain.low) and not domain.open_low:
        y[rng.random((n, K)) < 0.2] = domain.low
    if math.isfinite(domain.high):
        y[rng.random((n, K)) < 0.2] = domain.high
    return np.maximum(y, 1e-3 + low if domain.open_low else low).astype(dtype)


def bad_target(loss, K):
    """A target just outside the loss's domain."""
    domain = info_of(loss).domain
    if domain.labels:
        return K
    if math.isfinite(domain.low):
        return domain.low if domain.open_low else domain.low - 0.5
    return None

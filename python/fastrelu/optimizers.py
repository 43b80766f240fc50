# SPDX-License-Identifier: BSD-3-Clause
"""SGD, Adam and AdamW: what they are set to. docs/arithmetic.md gives each update's formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrelu._arguments import real_number

LearningRate = float | Callable[[int], float]


def _check_learning_rate(rate: Any) -> None:
    if not callable(rate):
        real_number("learning_rate", rate, 0.0)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, plain or with (Nesterov's) momentum.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k for the step k = 1, 2, ...
    momentum : float
        0 (none) to 1.
    nesterov : bool
        Nesterov's form of momentum.
    weight_decay : float
        Coupled L2 penalty on weights, not biases: its product with the weight joins the gradient.
    """

    learning_rate: LearningRate = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        _check_learning_rate(self.learning_rate)
        real_number("momentum", self.momentum, 0.0, 1.0)
        real_number("weight_decay", self.weight_decay, 0.0)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015), in scikit-learn's form.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k.
    beta_1, beta_2 : float
        Decay of the first and second moment, in [0, 1).
    epsilon : float
        Added to the root of the second moment, > 0.
    weight_decay : float
        Coupled L2 penalty on weights, not biases.
    """

    learning_rate: LearningRate = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        _check_learning_rate(self.learning_rate)
        for name in ("beta_1", "beta_2"):
            if real_number(name, getattr(self, name), 0.0, 1.0) == 1.0:
                raise ValueError(f"{name}: expected a number in [0, 1), got 1.0")
        real_number("epsilon", self.epsilon, 0.0, above=True)
        real_number("weight_decay", self.weight_decay, 0.0)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): lr * weight_decay * w."""

    weight_decay: float = 1e-2
    name: ClassVar[str] = "adamw"


Optimizer = SGD | Adam | AdamW


def core_options(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer's numbers as the core takes them."""
    return {
        "optimizer": optimizer.name,
        "momentum": float(getattr(optimizer, "momentum", 0.0)),
        "nesterov": bool(getattr(optimizer, "nesterov", False)),
        "weight_decay": float(optimizer.weight_decay),
        "beta_1": float(getattr(optimizer, "beta_1", 0.9)),
        "beta_2": float(getattr(optimizer, "beta_2", 0.999)),
        "epsilon": float(getattr(optimizer, "epsilon", 1e-8)),
    }


def learning_rates(optimizer: Optimizer, first: int, count: int) -> NDArray[np.float64]:
    """Return alpha_k for k = first .. first + count - 1.

    Raises
    ------
    ValueError, TypeError
        If the schedule gives something other than a finite number >= 0.
    """
    rate = optimizer.learning_rate
    if not callable(rate):
        return np.full(count, float(rate))
    rates = np.empty(count)
    for i in range(count):
        value = rate(first + i)
        value = value.item() if isinstance(value, np.generic) else value
        rates[i] = real_number(f"learning_rate({first + i})", value, 0.0)
    return rates

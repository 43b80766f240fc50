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
    """Stochastic gradient descent, plain or with momentum.

    Parameters
    ----------
    learning_rate : float or callable
        The rate, >= 0; or a schedule, which gives the rate alpha_k of step k = 1, 2, ....
    momentum : float
        The share of the last change that is kept in the next one, 0 (none) to 1.
    nesterov : bool
        Whether to use Nesterov's form of momentum.
    weight_decay : float
        Coupled L2 penalty on weights, not on biases, >= 0: weight_decay times the weight is added
        to the gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Robbins and Monro (1951), A stochastic approximation method. Polyak (1964), Some methods of
    speeding up the convergence of iteration methods (momentum). Sutskever, Martens, Dahl and Hinton
    (2013), On the importance of initialization and momentum in deep learning (Nesterov's form).

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0
    >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(learning_rate=0.5))
    >>> loss = trainer.step([[1.0]], [1.0])  # the gradient is -1 for the weight and for the bias
    >>> net.parameters
    array([0.5, 0.5], dtype=float32)
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
    """Adam, in scikit-learn's form.

    The form differs in where epsilon is added: to the root of the uncorrected second moment.

    Parameters
    ----------
    learning_rate : float or callable
        The rate, >= 0; or a schedule, which gives the rate alpha_k of step k = 1, 2, ....
    beta_1, beta_2 : float
        The decay rates of the first and the second moment, in [0, 1).
    epsilon : float
        Added to the root of the second moment, > 0.
    weight_decay : float
        Coupled L2 penalty on weights, not on biases, >= 0: weight_decay times the weight is added
        to the gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0
    >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.Adam(learning_rate=0.5))
    >>> loss = trainer.step([[1.0]], [1.0])  # the first step has the length of the learning rate
    >>> net.parameters.round(4)
    array([0.5, 0.5], dtype=float32)
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
    """Adam with decoupled weight decay: each step also lowers the weights by lr * weight_decay * w.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon
        As for `Adam`.
    weight_decay : float
        Decoupled decay of weights, not of biases, >= 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1], bias=False)
    >>> net.parameters[:] = 1
    >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.AdamW(0.5, weight_decay=0.5))
    >>> loss = trainer.step([[1.0]], [1.0])  # no gradient: only the decay acts
    >>> net.parameters
    array([0.75], dtype=float32)
    """

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

# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers: what they are set to. docs/arithmetic.md gives each update's formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue
from fastrelu._arguments import real_number
from fastrelu._catalogue import OptimizerInfo

__all__ = [
    "SGD", "Adam", "AdamW", "LearningRate", "Lion", "Optimizer", "as_optimizer", "core_options",
    "learning_rates", "names",
]  # fmt: skip

LearningRate = float | Callable[[int], float]

_classes: dict[str, type[Optimizer]] = {}


@dataclass(frozen=True)
class Optimizer:
    """The base of all optimizers. A class is one optimizer; an object is one with its numbers.

    What the core's catalogue says of an optimizer is in `info`: what numbers it takes beside the
    learning rate, their limits and their usual values.

    Attributes
    ----------
    learning_rate : float or callable
        The rate, >= 0; or a schedule, which gives the rate alpha_k of step k = 1, 2, ....
    name : str
        The optimizer's name. It can be given instead of an object, and then every number has its
        usual value.
    info : OptimizerInfo
        ``info.learning_rate`` and ``info.numbers[NAME].initial`` are the usual values;
        ``info.decoupled`` says whether weight decay takes from the weights themselves.

    Examples
    --------
    >>> import fastrelu
    >>> optimizer = fastrelu.Adam(learning_rate=0.01)
    >>> optimizer.name, list(optimizer.info.numbers), optimizer.info.decoupled
    ('adam', ['beta_1', 'beta_2', 'epsilon', 'weight_decay'], False)
    """

    learning_rate: LearningRate
    name: ClassVar[str]
    info: ClassVar[OptimizerInfo]

    def __init_subclass__(cls) -> None:
        cls.info = _catalogue.OPTIMIZERS[cls.name]
        _classes[cls.name] = cls

    def __post_init__(self) -> None:
        if not hasattr(self, "info"):
            raise TypeError(f"optimizer: expected one of {', '.join(names())}, got their base")
        if not callable(self.learning_rate):
            real_number("learning_rate", self.learning_rate, 0.0)
        for number in self.info.numbers.values():
            number.check(getattr(self, number.name))


def _usual(optimizer: str, number: str = "learning_rate") -> float:
    """Return the usual value of one of an optimizer's numbers."""
    info = _catalogue.OPTIMIZERS[optimizer]
    return info.learning_rate if number == "learning_rate" else info.numbers[number].initial


@dataclass(frozen=True)
class SGD(Optimizer):
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

    learning_rate: LearningRate = _usual("sgd")
    momentum: float = _usual("sgd", "momentum")
    nesterov: bool = False
    weight_decay: float = _usual("sgd", "weight_decay")
    name: ClassVar[str] = "sgd"


@dataclass(frozen=True)
class Adam(Optimizer):
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

    learning_rate: LearningRate = _usual("adam")
    beta_1: float = _usual("adam", "beta_1")
    beta_2: float = _usual("adam", "beta_2")
    epsilon: float = _usual("adam", "epsilon")
    weight_decay: float = _usual("adam", "weight_decay")
    name: ClassVar[str] = "adam"


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

    weight_decay: float = _usual("adamw", "weight_decay")
    name: ClassVar[str] = "adamw"


@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one length, the learning rate, in the direction of a momentum's sign.

    The direction of each parameter is the sign of beta_1 m + (1 - beta_1) g, where g is the
    gradient and the momentum m then becomes beta_2 m + (1 - beta_2) g. It keeps one number for each
    parameter, Adam two. Its learning rate is usually a third to a tenth of Adam's.

    Parameters
    ----------
    learning_rate : float or callable
        The rate, >= 0; or a schedule, which gives the rate alpha_k of step k = 1, 2, ....
    beta_1, beta_2 : float
        The shares of the momentum in the direction and in the next momentum, in [0, 1).
    weight_decay : float
        Decoupled decay of weights, not of biases, >= 0: each step also lowers the weights by
        learning_rate * weight_decay * w.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Chen and others (2023), Symbolic discovery of optimization algorithms.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0
    >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.optimizers.Lion(0.5))
    >>> loss = trainer.step([[2.0]], [1.0])  # the gradient is -2 for the weight, -1 for the bias
    >>> net.parameters
    array([0.5, 0.5], dtype=float32)
    """

    learning_rate: LearningRate = _usual("lion")
    beta_1: float = _usual("lion", "beta_1")
    beta_2: float = _usual("lion", "beta_2")
    weight_decay: float = _usual("lion", "weight_decay")
    name: ClassVar[str] = "lion"


def names() -> list[str]:
    """Return the optimizers' names.

    Returns
    -------
    list of str
        The names, as `Trainer` and the command take them.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.optimizers.names()[:2]
    ['sgd', 'adam']
    """
    return [name for name in _catalogue.OPTIMIZERS if name in _classes]


def as_optimizer(optimizer: Any, **settings: Any) -> Optimizer:
    """Return an optimizer from its name, with these settings, or the object as it is.

    Parameters
    ----------
    optimizer : str or Optimizer
        A name, as `names` lists them, or an object.
    **settings
        The learning rate and other numbers, for a name; the usual ones by default.

    Returns
    -------
    Optimizer
        The optimizer.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or there is none of that name, or a setting is not possible.

    Examples
    --------
    >>> from fastrelu import optimizers
    >>> optimizers.as_optimizer("sgd", learning_rate=0.5)
    SGD(learning_rate=0.5, momentum=0.0, nesterov=False, weight_decay=0.0)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    expected = f"one of {', '.join(names())}, or an object of fastrelu.optimizers"
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer: expected {expected}, got {optimizer!r}")
    if optimizer not in _classes:
        raise ValueError(f"optimizer: expected {expected}, got {optimizer!r}")
    return _classes[optimizer](**settings)


def core_options(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's name and numbers as the core takes them.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer.

    Returns
    -------
    dict
        The name `optimizer`, and each number that the optimizer takes by its name. The learning
        rate is not among them.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import optimizers
    >>> options = optimizers.core_options(fastrelu.SGD(0.1, momentum=0.9))
    >>> options["optimizer"], options["momentum"]
    ('sgd', 0.9)
    """
    options: dict[str, Any] = {"optimizer": optimizer.name}
    options |= {name: float(getattr(optimizer, name)) for name in optimizer.info.numbers}
    return options | {"nesterov": bool(getattr(optimizer, "nesterov", False))}


def learning_rates(optimizer: Optimizer, first: int, count: int) -> NDArray[np.float64]:
    """Return the learning rates alpha_k of the steps k = first to first + count - 1.

    Parameters
    ----------
    optimizer : SGD, Adam or AdamW
        The optimizer.
    first : int
        The number of the first step, from 1.
    count : int
        The number of steps.

    Returns
    -------
    ndarray of float64, (count,)
        The rates.

    Raises
    ------
    ValueError, TypeError
        If the schedule gives something other than a finite number >= 0.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import optimizers
    >>> optimizers.learning_rates(fastrelu.SGD(lambda k: 1 / k), first=1, count=4)
    array([1.        , 0.5       , 0.33333333, 0.25      ])
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

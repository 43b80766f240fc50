# SPDX-License-Identifier: BSD-3-Clause
"""SGD, Adam and AdamW: how a gradient g changes a parameter w.

`State` is what an optimizer remembers from step to step; `apply` makes one step in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .fma import fma

Array = NDArray[Any]
LearningRate = float | Callable[[int], float]


class State:
    """The velocity, or the first and second moments, of each parameter; powers of the betas."""

    def __init__(self, parameters: Sequence[Array]) -> None:
        self.first = [np.zeros_like(w) for w in parameters]
        self.second = [np.zeros_like(w) for w in parameters]
        self.power_1 = self.power_2 = 1.0


def learning_rate_at(rate: LearningRate, k: int) -> float:
    """Return the learning rate of step k = 1, 2, ..."""
    return float(rate(k) if callable(rate) else rate)


def flush(x: Array) -> Array:
    """Return x with what is smaller than the smallest normal number replaced by +0."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.zeros_like(x), x)


# Before the update


def squared_norm(weights: Sequence[Array], biases: Sequence[Array]) -> float:
    """Return the sum of squares in float64: down the columns, then over them, then the layers.

    A layer's biases are one more row after its weights.
    """
    total = 0.0
    for k, W in enumerate(weights):
        rows = np.vstack([W, biases[k]]) if len(biases) else W
        columns = np.zeros(W.shape[1])
        for row in rows.astype(np.float64):
            columns = fma(row, row, columns)
        layer = 0.0
        for column in columns:
            layer += float(column)
        total += layer
    return total


@np.errstate(all="ignore")
def clip(weights: Sequence[Array], biases: Sequence[Array], clip_norm: float | None) -> None:
    """Shorten the gradient in place to the length `clip_norm` if it is longer."""
    if clip_norm is None:
        return
    norm = math.sqrt(squared_norm(weights, biases))
    if norm > clip_norm:
        for g in (*weights, *biases):
            g *= g.dtype.type(clip_norm / norm)


def decayed(g: Array, w: Array, weight_decay: float) -> Array:
    """Return g + weight_decay * w, the gradient with the L2 penalty's; biases have no penalty."""
    wd = w.dtype.type(weight_decay)
    is_decayed = wd != 0 and w.ndim == 2
    return fma(wd, w, g) if is_decayed else g


# The updates


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent ``w = w - alpha_k g``, plain or with (Nesterov's) momentum.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k for the step k = 1, 2, ...
    momentum : float
        What remains of the velocity from step to step, 0 to 1.
    nesterov : bool
        Nesterov's form of momentum.
    weight_decay : float
        Coupled L2 penalty on weights, not biases.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> trainer = reference.Trainer(net, optimizer=reference.SGD(0.5))
    >>> loss = trainer.step([[1.0]], [1.0])
    >>> net.parameters.round(4).tolist()
    [0.5, 0.5]
    """

    learning_rate: LearningRate = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    name: ClassVar[str] = "sgd"

    @np.errstate(all="ignore")
    def apply(
        self, parameters: Sequence[Array], gradients: Sequence[Array], state: State, k: int
    ) -> None:
        """Make step k in place."""
        rate = learning_rate_at(self.learning_rate, k)
        for i, w in enumerate(parameters):
            T = w.dtype.type
            lr, mu = T(rate), T(self.momentum)
            g = decayed(gradients[i], w, self.weight_decay)
            if self.momentum == 0:
                w[:] = fma(-lr, g, w)
                continue
            push = -(lr * g)
            v = state.first[i] = flush(fma(mu, state.first[i], push))
            w[:] = w + (fma(mu, v, push) if self.nesterov else v)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015): steps scaled by running means of g and of g^2.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k.
    beta_1, beta_2 : float
        Decay of the first and second moment, in [0, 1).
    epsilon : float
        Added to the root of the second moment.
    weight_decay : float
        Coupled L2 penalty on weights, not biases.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> trainer = reference.Trainer(net, optimizer=reference.Adam(0.5))
    >>> loss = trainer.step([[1.0]], [1.0])
    >>> net.parameters.round(4).tolist()
    [0.5, 0.5]
    """

    learning_rate: LearningRate = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    name: ClassVar[str] = "adam"

    def apply(
        self, parameters: Sequence[Array], gradients: Sequence[Array], state: State, k: int
    ) -> None:
        """Make step k in place."""
        rate = learning_rate_at(self.learning_rate, k)
        corrected = self._corrected_rate(rate, state)
        for i, w in enumerate(parameters):
            g = decayed(gradients[i], w, self.weight_decay)
            w[:] = w - self._step(i, g, corrected, state)

    def _corrected_rate(self, rate: float, state: State) -> float:
        """Return the rate that makes up for moments that began at 0."""
        state.power_1 *= self.beta_1
        state.power_2 *= self.beta_2
        return (rate * math.sqrt(1 - state.power_2)) / (1 - state.power_1)

    @np.errstate(all="ignore")
    def _step(self, i: int, g: Array, corrected: float, state: State) -> Array:
        """Bring the moments of parameter array i up to date; return what w is lowered by."""
        T = g.dtype.type
        b1, c1, b2, c2 = T(self.beta_1), T(1 - self.beta_1), T(self.beta_2), T(1 - self.beta_2)
        m = state.first[i] = flush(fma(b1, state.first[i], c1 * g))
        v = state.second[i] = flush(fma(b2, state.second[i], (c2 * g) * g))
        return np.asarray((T(corrected) * m) / (np.sqrt(v) + T(self.epsilon)))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): w shrinks by lr * wd.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> trainer = reference.Trainer(net, optimizer=reference.AdamW(0.5))
    >>> loss = trainer.step([[1.0]], [1.0])
    >>> net.parameters.round(4).tolist()
    [0.5, 0.5]
    """

    weight_decay: float = 1e-2
    name: ClassVar[str] = "adamw"

    @np.errstate(all="ignore")
    def apply(
        self, parameters: Sequence[Array], gradients: Sequence[Array], state: State, k: int
    ) -> None:
        """Make step k in place."""
        rate = learning_rate_at(self.learning_rate, k)
        corrected = self._corrected_rate(rate, state)
        for i, w in enumerate(parameters):
            u = self._step(i, gradients[i], corrected, state)
            d = w.dtype.type(rate * self.weight_decay)
            is_decayed = d != 0 and w.ndim == 2  # biases are not
            w[:] = (fma(-d, w, w) if is_decayed else w) - u


Optimizer = SGD | Adam


def as_optimizer(optimizer: Any) -> Optimizer:
    """Return the optimizer here with the name and numbers of `optimizer`."""
    for kind in (SGD, Adam, AdamW):
        if optimizer.name == kind.name:
            fields = kind.__dataclass_fields__
            return kind(**{f: getattr(optimizer, f) for f in fields if f != "name"})
    raise ValueError(f"optimizer: unknown optimizer {optimizer!r}")

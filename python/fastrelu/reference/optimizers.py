# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers: how a gradient g changes a parameter w.

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

__all__ = ["SGD", "Adam", "AdamW", "Lion"]


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


def shrunk(w: Array, share: float) -> Array:
    """Return w less the share of decoupled weight decay; biases are not decayed."""
    d = w.dtype.type(share)
    is_decayed = d != 0 and w.ndim == 2
    return fma(-d, w, w) if is_decayed else w


# The updates


class Optimizer:
    """What all optimizers do in a step; each says how one array of parameters changes."""

    learning_rate: LearningRate
    name: ClassVar[str]

    @np.errstate(all="ignore")
    def apply(
        self, parameters: Sequence[Array], gradients: Sequence[Array], state: State, k: int
    ) -> None:
        """Make step k in place.

        Parameters
        ----------
        parameters : sequence of ndarray
            Weights, (fan_in, fan_out), and biases, (fan_out,); they are changed in place.
        gradients : sequence of ndarray
            The gradient with respect to each of them.
        state : State
            What is kept from step to step; it is changed, too.
        k : int
            The number of the step, from 1.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> w = [np.array([[1.0]])]
        >>> state = reference.optimizers.State(w)
        >>> reference.SGD(0.5).apply(w, [np.array([[2.0]])], state, k=1)
        >>> w[0].round(4).tolist()
        [[0.0]]
        """
        rate = learning_rate_at(self.learning_rate, k)
        self._begin(state)
        for i, w in enumerate(parameters):
            w[:] = self._updated(i, w, gradients[i], rate, state)

    def _begin(self, state: State) -> None:
        """Count a step."""

    def _updated(self, i: int, w: Array, g: Array, rate: float, state: State) -> Array:
        """Return parameter array i after the step; bring its state up to date."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent ``w = w - alpha_k g``, plain or with (Nesterov's) momentum.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k for the step k = 1, 2, ...
    momentum : float
        The share of the velocity that is kept from step to step, 0 to 1.
    nesterov : bool
        Whether to use Nesterov's form of momentum.
    weight_decay : float
        Coupled L2 penalty on weights, not on biases.

    References
    ----------
    Robbins and Monro (1951), A stochastic approximation method. Polyak (1964), Some methods of
    speeding up the convergence of iteration methods (momentum). Sutskever, Martens, Dahl and Hinton
    (2013), On the importance of initialization and momentum in deep learning (Nesterov's form).

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

    def _updated(self, i: int, w: Array, g: Array, rate: float, state: State) -> Array:
        T = w.dtype.type
        lr, mu = T(rate), T(self.momentum)
        g = decayed(g, w, self.weight_decay)
        if self.momentum == 0:
            return fma(-lr, g, w)
        push = -(lr * g)
        v = state.first[i] = flush(fma(mu, state.first[i], push))
        return w + (fma(mu, v, push) if self.nesterov else v)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps scaled by running means of g and of g^2.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k.
    beta_1, beta_2 : float
        The decay of the first and of the second moment, in [0, 1).
    epsilon : float
        A number added to the root of the second moment.
    weight_decay : float
        Coupled L2 penalty on weights, not on biases.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization.

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

    def _begin(self, state: State) -> None:
        state.power_1 *= self.beta_1
        state.power_2 *= self.beta_2

    def _updated(self, i: int, w: Array, g: Array, rate: float, state: State) -> Array:
        return w - self._step(i, decayed(g, w, self.weight_decay), rate, state)

    def _step(self, i: int, g: Array, rate: float, state: State) -> Array:
        """Bring the moments of parameter array i up to date; return what w is lowered by."""
        T = g.dtype.type
        b1, c1, b2, c2 = T(self.beta_1), T(1 - self.beta_1), T(self.beta_2), T(1 - self.beta_2)
        m = state.first[i] = flush(fma(b1, state.first[i], c1 * g))
        v = state.second[i] = flush(fma(b2, state.second[i], (c2 * g) * g))
        # The rate makes up for moments that began at 0.
        corrected = (rate * math.sqrt(1 - state.power_2)) / (1 - state.power_1)
        return np.asarray((T(corrected) * m) / (np.sqrt(v) + T(self.epsilon)))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: a weight shrinks by the share alpha_k * weight_decay.

    The parameters are those of `Adam`.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization.

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

    def _updated(self, i: int, w: Array, g: Array, rate: float, state: State) -> Array:
        return shrunk(w, rate * self.weight_decay) - self._step(i, g, rate, state)


@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion (Chen and others, 2023): steps along the sign of a momentum; decoupled weight decay.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a schedule k -> alpha_k.
    beta_1, beta_2 : float
        The shares of the momentum in the direction and in the next momentum, in [0, 1).
    weight_decay : float
        Decoupled decay of weights, not biases.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([0, 0])
    >>> trainer = reference.Trainer(net, optimizer=reference.Lion(0.5))
    >>> loss = trainer.step([[2.0]], [1.0])
    >>> net.parameters.round(4).tolist()
    [0.5, 0.5]
    """

    learning_rate: LearningRate = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.0
    name: ClassVar[str] = "lion"

    def _updated(self, i: int, w: Array, g: Array, rate: float, state: State) -> Array:
        T, m = w.dtype.type, state.first[i]
        lr = T(rate)
        c = fma(T(self.beta_1), m, T(1 - self.beta_1) * g)
        state.first[i] = flush(fma(T(self.beta_2), m, T(1 - self.beta_2) * g))
        step = np.where(c > 0, lr, np.where(0 > c, -lr, c))  # c: 0, or NaN
        return shrunk(w, rate * self.weight_decay) - step


_BY_NAME: dict[str, Any] = {kind.name: kind for kind in (SGD, Adam, AdamW, Lion)}


def as_optimizer(optimizer: Any) -> Any:
    """Return the optimizer here with the name and numbers of `optimizer`; a name has the usual."""
    if isinstance(optimizer, str):
        return _BY_NAME[optimizer]()
    kind = _BY_NAME[optimizer.name]
    return kind(**{f: getattr(optimizer, f) for f in kind.__dataclass_fields__ if f != "name"})

# SPDX-License-Identifier: BSD-3-Clause
"""Learning-rate schedules: callables k -> alpha_k for the step k = 1, 2, ..., pure in k.

They compute with ``+ - * /`` alone, in the order written, so that their bits are everywhere the
same: no function of the C library, which differs from system to system.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastrelu._arguments import real_number, whole_number

__all__ = ["constant", "cosine", "inverse_time", "step_decay", "warm_up"]


@dataclass(frozen=True)
class constant:  # noqa: N801 - used like a function
    """The same rate for every step: alpha_k = learning_rate.

    Parameters
    ----------
    learning_rate : float
        The rate, >= 0.

    Raises
    ------
    TypeError, ValueError
        If the rate is not a finite number >= 0.

    Examples
    --------
    >>> from fastrelu import schedules
    >>> rate = schedules.constant(0.1)
    >>> rate(1), rate(1000)
    (0.1, 0.1)
    """

    learning_rate: float

    def __post_init__(self) -> None:
        real_number("learning_rate", self.learning_rate, 0.0)

    def __call__(self, k: int) -> float:
        """Return alpha_k, the rate of step k = 1, 2, ...."""
        return float(self.learning_rate)


@dataclass(frozen=True)
class inverse_time:  # noqa: N801
    """The step sizes of SGD's convergence proof: alpha_k = 1 / (2 ell k).

    Parameters
    ----------
    ell : float
        The loss's modulus of strong convexity, > 0.

    Raises
    ------
    TypeError, ValueError
        If `ell` is not a finite number > 0.

    References
    ----------
    Robbins and Monro (1951), A stochastic approximation method, introduced steps that fall as 1/k;
    docs/convergence.md has the proof that chooses these.

    Examples
    --------
    >>> from fastrelu import schedules
    >>> rate = schedules.inverse_time(ell=0.5)
    >>> rate(1), rate(2), rate(4)
    (1.0, 0.5, 0.25)
    """

    ell: float

    def __post_init__(self) -> None:
        real_number("ell", self.ell, 0.0, above=True)

    def __call__(self, k: int) -> float:
        """Return alpha_k, the rate of step k = 1, 2, ...."""
        return 1.0 / ((2.0 * self.ell) * k)


@dataclass(frozen=True)
class step_decay:  # noqa: N801
    """A rate that changes by a factor at regular steps.

    alpha_k = learning_rate * factor ** ((k - 1) // every).

    Parameters
    ----------
    learning_rate : float
        The first rate, alpha_1, >= 0.
    factor : float
        The factor on the rate after every `every` steps, > 0.
    every : int
        The number of steps between two changes, >= 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from fastrelu import schedules
    >>> rate = schedules.step_decay(0.8, factor=0.5, every=2)
    >>> [rate(k) for k in (1, 2, 3, 4, 5)]
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    learning_rate: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        real_number("learning_rate", self.learning_rate, 0.0)
        real_number("factor", self.factor, 0.0, above=True)
        whole_number("every", self.every, 1)

    def __call__(self, k: int) -> float:
        """Return alpha_k, the rate of step k = 1, 2, ...."""
        rate = float(self.learning_rate)
        # Repeated products, not pow: the same bits with every C library.
        power, base, exponent = 1.0, float(self.factor), (k - 1) // self.every
        while exponent:
            if exponent & 1:
                power *= base
            base *= base
            exponent >>= 1
        return rate * power


@dataclass(frozen=True)
class cosine:  # noqa: N801
    """Half a cosine from `learning_rate` at step 1 to `final` at step `n_steps`, then `final`.

    alpha_k = final + (learning_rate - final) * (1 + cos(pi (k - 1) / (n_steps - 1))) / 2 for k <
    n_steps.

    Parameters
    ----------
    learning_rate : float
        The first rate, alpha_1, >= 0.
    n_steps : int
        The step that reaches `final`, >= 1.
    final : float
        The last rate, >= 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts; this is one
    of their periods.

    Examples
    --------
    >>> from fastrelu import schedules
    >>> rate = schedules.cosine(1.0, n_steps=5)
    >>> [round(rate(k), 3) for k in (1, 2, 3, 4, 5, 6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    learning_rate: float
    n_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        real_number("learning_rate", self.learning_rate, 0.0)
        whole_number("n_steps", self.n_steps, 1)
        real_number("final", self.final, 0.0)

    def __call__(self, k: int) -> float:
        """Return alpha_k, the rate of step k = 1, 2, ...."""
        if k >= self.n_steps:
            return float(self.final)
        part = (k - 1) / (self.n_steps - 1)
        return self.final + (self.learning_rate - self.final) * 0.5 * (1.0 + _cosine_of_pi(part))


@dataclass(frozen=True)
class warm_up:  # noqa: N801
    """A ramp into another schedule: alpha_k = schedule(k) * (k / n_steps) for k < n_steps.

    From step n_steps on it is the schedule itself. The ramp's steps count as the schedule's own: a
    cosine of 1,000 steps ends at step 1,000 however long the ramp is.

    Parameters
    ----------
    schedule : callable
        k -> alpha_k: a schedule of this module, or any other function.
    n_steps : int
        The first step at the full rate, >= 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    Goyal and others (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour.

    Examples
    --------
    >>> from fastrelu import schedules
    >>> rate = schedules.warm_up(schedules.constant(1.0), n_steps=4)
    >>> [rate(k) for k in (1, 2, 3, 4, 5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    schedule: Callable[[int], float]
    n_steps: int

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            raise TypeError(f"schedule: expected a callable k -> alpha_k, got {self.schedule!r}")
        whole_number("n_steps", self.n_steps, 1)

    def __call__(self, k: int) -> float:
        """Return alpha_k, the rate of step k = 1, 2, ...."""
        rate = self.schedule(k)
        return rate if k >= self.n_steps else rate * (k / self.n_steps)


# 1, -1/2!, 1/4!, ... and 1, -1/3!, 1/5!, ...
_COSINE = [(-1) ** i / math.factorial(2 * i) for i in range(10)]
_SINE = [(-1) ** i / math.factorial(2 * i + 1) for i in range(9)]


def _cosine_of_pi(x: float) -> float:
    """Return cos(pi x) for x in [0, 1], at most 2 ulp of 1 off: Taylor's series up to pi / 4."""
    if x > 0.5:
        return -_cosine_of_pi(1.0 - x)
    if x <= 0.25:
        return _series(_COSINE, (math.pi * x) * (math.pi * x))
    t = math.pi * (0.5 - x)
    return t * _series(_SINE, t * t)


def _series(coefficients: list[float], y: float) -> float:
    total = 0.0
    for c in reversed(coefficients):
        total = total * y + c
    return total


def as_description(schedule: Any) -> dict[str, Any] | None:
    """Return a JSON-able description of a built-in schedule, or None for any other callable."""
    if isinstance(schedule, warm_up):
        inner = as_description(schedule.schedule)
        if inner is None:
            return None
        return {"name": "warm_up", "schedule": inner, "n_steps": schedule.n_steps}
    if isinstance(schedule, (constant, inverse_time, step_decay, cosine)):
        return {"name": type(schedule).__name__, **asdict(schedule)}
    return None


def from_description(description: dict[str, Any]) -> Any:
    """Return the schedule that `as_description` described."""
    arguments = dict(description)
    name = arguments.pop("name")
    if name == "warm_up":
        return warm_up(from_description(arguments["schedule"]), arguments["n_steps"])
    classes = {c.__name__: c for c in (constant, inverse_time, step_decay, cosine)}
    return classes[name](**arguments)

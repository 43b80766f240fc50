# SPDX-License-Identifier: BSD-3-Clause
"""Learning-rate schedules: callables k -> alpha_k for the step k = 1, 2, ..., pure in k."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from fastrelu._arguments import real_number, whole_number

__all__ = ["constant", "cosine", "inverse_time", "step_decay"]


@dataclass(frozen=True)
class constant:  # noqa: N801 - used like a function
    """alpha_k = learning_rate."""

    learning_rate: float

    def __post_init__(self) -> None:
        real_number("learning_rate", self.learning_rate, 0.0)

    def __call__(self, k: int) -> float:
        """Return alpha_k."""
        return float(self.learning_rate)


@dataclass(frozen=True)
class inverse_time:  # noqa: N801
    """alpha_k = 1 / (2 ell k): the step sizes of SGD's convergence proof.

    Parameters
    ----------
    ell : float
        The loss's modulus of strong convexity, > 0.
    """

    ell: float

    def __post_init__(self) -> None:
        real_number("ell", self.ell, 0.0, above=True)

    def __call__(self, k: int) -> float:
        """Return alpha_k."""
        return 1.0 / ((2.0 * self.ell) * k)


@dataclass(frozen=True)
class step_decay:  # noqa: N801
    """alpha_k = learning_rate * factor ** ((k - 1) // every).

    Parameters
    ----------
    learning_rate : float
        alpha_1, >= 0.
    factor : float
        What the rate is multiplied with after each `every` steps, > 0.
    every : int
        Steps between two changes, >= 1.
    """

    learning_rate: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        real_number("learning_rate", self.learning_rate, 0.0)
        real_number("factor", self.factor, 0.0, above=True)
        whole_number("every", self.every, 1)

    def __call__(self, k: int) -> float:
        """Return alpha_k."""
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

    Parameters
    ----------
    learning_rate : float
        alpha_1, >= 0.
    n_steps : int
        The step that reaches `final`, >= 1.
    final : float
        The last rate, >= 0.
    """

    learning_rate: float
    n_steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        real_number("learning_rate", self.learning_rate, 0.0)
        whole_number("n_steps", self.n_steps, 1)
        real_number("final", self.final, 0.0)

    def __call__(self, k: int) -> float:
        """Return alpha_k."""
        if k >= self.n_steps:
            return float(self.final)
        part = (k - 1) / (self.n_steps - 1)
        return self.final + (self.learning_rate - self.final) * 0.5 * (
            1.0 + math.cos(math.pi * part)
        )


def as_description(schedule: Any) -> dict[str, Any] | None:
    """Return a JSON-able description of a built-in schedule, or None for any other callable."""
    if isinstance(schedule, (constant, inverse_time, step_decay, cosine)):
        return {"name": type(schedule).__name__, **asdict(schedule)}
    return None


def from_description(description: dict[str, Any]) -> Any:
    """Return the schedule that `as_description` described."""
    arguments = dict(description)
    classes = {c.__name__: c for c in (constant, inverse_time, step_decay, cosine)}
    return classes[arguments.pop("name")](**arguments)

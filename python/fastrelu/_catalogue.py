# SPDX-License-Identifier: BSD-3-Clause
"""The core's catalogue: what each loss and each activation is. `cpp/catalogue.h` says it once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu._arguments import real_number

Task = Literal["regression", "classification", "multilabel", "quantiles"]
Link = Literal["identity", "softmax", "logistic", "log", "ordered"]
MetricName = Literal["r2", "accuracy", "d2"]
Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class Parameter:
    """A number that a loss or an optimizer takes: `initial` unless it is given.

    It lies between `low` and `high`, which are possible themselves if `with_low` and `with_high`.
    """

    name: str
    initial: float
    low: float
    high: float
    with_low: bool
    with_high: bool

    def check(self, value: Any) -> float:
        """Return the value as a float; TypeError or ValueError if it is not possible."""
        above, below = not self.with_low, not self.with_high
        return real_number(self.name, value, self.low, self.high, above=above, below=below)


@dataclass(frozen=True)
class Domain:
    """What targets may be: whole numbers from 0 on if `labels`, else numbers in [low, high].

    `low` itself is no target if `open_low`; `text` says it in words.
    """

    name: str
    text: str
    labels: bool
    low: float
    high: float
    open_low: bool

    def outside(self, y: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where `y`, numbers of any shape, is no target; NaN is left to other checks."""
        below = y <= self.low if self.open_low else y < self.low
        return np.asarray(below | (y > self.high))


@dataclass(frozen=True)
class LossInfo:
    """A loss's row of the catalogue.

    Attributes
    ----------
    name : str
    task : {"regression", "classification", "multilabel", "quantiles"}
        Numbers, one of several classes, any of several, or quantiles of one number are predicted.
    link : {"identity", "softmax", "logistic", "log", "ordered"}
        Predictions are the inverse link of the outputs; softmax, logistic and ordered name that
        inverse.
    domain : Domain
        What the targets may be.
    metric : {"r2", "accuracy", "d2"}
        How predictions are evaluated.
    averaged : bool
        A row's loss is the mean over the outputs, else their sum.
    least_outputs : int
        What a network must have.
    has_pos_weight : bool
        Whether the positive part of each output's loss may have a factor.
    has_levels : bool
        Whether each output has a level, a probability.
    parameter : Parameter or None
    """

    name: str
    task: Task
    link: Link
    domain: Domain
    metric: MetricName
    averaged: bool
    least_outputs: int
    has_pos_weight: bool
    has_levels: bool
    parameter: Parameter | None


@dataclass(frozen=True)
class ActivationInfo:
    """An activation's row of the catalogue.

    Attributes
    ----------
    name : str
    piecewise_linear : bool
        Whether it is z from 0 on and slope * z below.
    slope : float
        That slope, before it is rounded to a network's dtype.
    """

    name: str
    piecewise_linear: bool
    slope: float


@dataclass(frozen=True)
class OptimizerInfo:
    """An optimizer's row of the catalogue.

    Attributes
    ----------
    name : str
    decoupled : bool
        Whether weight decay takes from the weights, else it is added to the gradient.
    learning_rate : float
        The usual one.
    numbers : dict of str to Parameter
        What else the optimizer takes, each with its usual value.
    """

    name: str
    decoupled: bool
    learning_rate: float
    numbers: dict[str, Parameter]


def _loss_info(row: dict[str, Any]) -> LossInfo:
    parameter = row["parameter"]
    return LossInfo(
        **row
        | {
            "domain": Domain(**row["domain"]),
            "parameter": None if parameter is None else Parameter(**parameter),
        }
    )


_tables = _core.catalogue()
LOSSES: dict[str, LossInfo] = {row["name"]: _loss_info(row) for row in _tables["losses"]}
ACTIVATIONS: dict[str, ActivationInfo] = {
    row["name"]: ActivationInfo(**row) for row in _tables["activations"]
}


def hidden_activations(activation: str | Sequence[str], hidden: int) -> list[str]:
    """Return the activation of each of so many hidden layers, given as one name or as a list."""
    if not isinstance(activation, Iterable):
        raise TypeError(
            f"activation: expected a name or a list of names, got {type(activation).__name__}"
        )
    names = [activation] * hidden if isinstance(activation, str) else list(activation)
    for name in [activation] if isinstance(activation, str) else names:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    if len(names) != hidden:
        raise ValueError(
            "activation: expected one name, or a list of one for each hidden layer "
            f"({hidden} in all), got {names}"
        )
    return names


OPTIMIZERS: dict[str, OptimizerInfo] = {
    row["name"]: OptimizerInfo(
        **row | {"numbers": {each["name"]: Parameter(**each) for each in row["numbers"]}}
    )
    for row in _tables["optimizers"]
}


def names_text(names: Iterable[str]) -> str:
    """Return names as a docstring lists them: ``{"a", "b"}``."""
    return "{" + ", ".join(f'"{name}"' for name in names) + "}"


def with_names(cls: Class) -> Class:
    """Return the class; ``{activations}`` and ``{optimizers}`` in its docstring become names."""
    for key, names in (("{activations}", ACTIVATIONS), ("{optimizers}", OPTIMIZERS)):
        cls.__doc__ = (cls.__doc__ or "").replace(key, names_text(names))
    return cls

# SPDX-License-Identifier: BSD-3-Clause
"""The losses, as names or objects. docs/arithmetic.md gives each formula to the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _catalogue
from fastrelu._arguments import real_number
from fastrelu._catalogue import LossInfo

Array = NDArray[np.float64]

_classes: dict[str, type[Loss]] = {}


class Loss:
    """What training makes small: the mean over the rows of what each of these classes describes.

    A class is one loss, an object it with its parameter. A class has its row of the core's
    catalogue as `info`: the task and the link, what targets may be, the metric, the parameter.

    Attributes
    ----------
    name : str
        The loss's name, which also stands for it with its usual parameter.
    info : LossInfo
        ``info.link`` is "identity", "softmax", "logistic" or "log"; ``info.domain.text`` says what
        the targets may be; ``info.metric`` is "r2", "accuracy" or "d2".
    """

    name: ClassVar[str]
    info: ClassVar[LossInfo]

    def __init_subclass__(cls) -> None:
        cls.info = _catalogue.LOSSES[cls.name]
        _classes[cls.name] = cls

    def __post_init__(self) -> None:
        parameter = self.info.parameter
        if parameter is None:
            return
        low, high = parameter.low, parameter.high
        value = real_number(parameter.name, self.parameter, low, high, above=True)
        if value == high:
            raise ValueError(
                f"{parameter.name}: expected a number between {low:g} and {high:g}, got {value!r}"
            )

    @property
    def parameter(self) -> Any:
        """The value of its parameter, 0 if it has none."""
        return 0.0 if self.info.parameter is None else getattr(self, self.info.parameter.name)

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return half the unit deviance of each mean `mu` from its target `y`, in float64.

        Only losses whose metric is "d2" have one: the metric is the share of it that is explained.
        """
        raise NotImplementedError(f"{self.name} has no deviance")


def _initial(name: str) -> float:
    """Return the usual value of a loss's parameter."""
    parameter = _catalogue.LOSSES[name].parameter
    assert parameter is not None
    return parameter.initial


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, averaged over outputs and rows."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the log-likelihood of integer labels 0..K-1 under the softmax of the K outputs."""

    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Minus the log-likelihood of targets in [0, 1] under the logistic of the outputs (logits).

    Parameters
    ----------
    pos_weight : float or array_like of shape (d_out,), optional
        Factor on the positive part of each output's loss; none by default.
    """

    pos_weight: ArrayLike | None = None
    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the Poisson deviance of targets >= 0; the outputs are the logarithms of the means."""

    name: ClassVar[str] = "poisson"

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return ``y log(y / mu) - y + mu``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            each: Array = np.where(y > 0, y * np.log(y / mu), 0.0) - y + mu
        return each


@dataclass(frozen=True)
class Gamma(Loss):
    """Half the Gamma deviance of targets > 0; the outputs are the logarithms of the means.

    For positive amounts whose spread grows in proportion to their mean.
    """

    name: ClassVar[str] = "gamma"

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return ``log(mu / y) + y / mu - 1``."""
        return np.asarray(np.log(mu / y) + y / mu - 1.0)


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared residual up to `delta`, linear beyond; averaged over outputs and rows.

    Parameters
    ----------
    delta : float
        Where it turns from squared to linear, > 0.
    """

    delta: float = _initial("huber")
    name: ClassVar[str] = "huber"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """The absolute residual, averaged over outputs and rows."""

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, whose minimum is a quantile of y; averaged over outputs and rows.

    Parameters
    ----------
    quantile : float
        Between 0 and 1.
    """

    quantile: float = _initial("quantile")
    name: ClassVar[str] = "quantile"


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the losses' names, of all or of one task ("regression", ...): its usual one first."""
    return tuple(n for n, each in _classes.items() if task is None or each.info.task == task)


def as_loss(loss: Any) -> Loss:
    """Return the loss object for a name or a loss object; raise for anything else."""
    if isinstance(loss, str):
        if loss not in _classes:
            raise ValueError(f"loss: expected one of {', '.join(_classes)}, got {loss!r}")
        return _classes[loss]()
    if isinstance(loss, Loss):
        return loss
    raise TypeError(f"loss: expected a name or a fastrelu.losses object, got {loss!r}")


def with_parameter(name: str, value: float) -> Loss:
    """Return the loss of this name; `value` is its parameter, if it has one."""
    parameter = as_loss(name).info.parameter
    return as_loss(name) if parameter is None else _classes[name](**{parameter.name: value})


def core_options(loss: Loss, outputs: int) -> dict[str, Any]:
    """Return the loss's name and numbers as the core takes them."""
    return {
        "loss": loss.name,
        "pos_weight": positive_weights(loss, outputs),
        "loss_parameter": float(loss.parameter),
    }


def from_settings(settings: dict[str, Any]) -> Loss:
    """Return the loss that `core_options` described."""
    if settings["pos_weight"]:
        return BinaryCrossEntropy(tuple(settings["pos_weight"]))
    if "loss_parameter" not in settings:
        return as_loss(settings["loss"])
    return with_parameter(settings["loss"], settings["loss_parameter"])


def positive_weights(loss: Loss, outputs: int) -> list[float]:
    """Return pos_weight as one float for each output, or [] without any."""
    pos_weight = getattr(loss, "pos_weight", None)
    if pos_weight is None:
        return []
    values = np.asarray(pos_weight, dtype=np.float64)
    if values.shape not in ((), (outputs,)):
        raise ValueError(f"pos_weight: expected a number or shape ({outputs},), got {values.shape}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"pos_weight: expected finite numbers > 0, got {pos_weight!r}")
    return [float(v) for v in np.broadcast_to(values, (outputs,))]

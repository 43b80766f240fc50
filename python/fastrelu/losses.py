# SPDX-License-Identifier: BSD-3-Clause
"""The losses, as names or objects. docs/arithmetic.md gives each formula to the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastrelu._arguments import real_number


@dataclass(frozen=True)
class SquaredError:
    """Half the squared error, averaged over outputs and rows."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class CrossEntropy:
    """Minus the log-likelihood of integer labels 0..K-1 under the softmax of the outputs."""

    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Minus the log-likelihood of targets in [0, 1] under the logistic of the outputs (logits).

    Parameters
    ----------
    pos_weight : float or array_like of shape (d_out,), optional
        Factor on the positive part of each output's loss; none by default.
    """

    pos_weight: ArrayLike | None = None
    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Poisson:
    """Half the Poisson deviance of targets >= 0; the outputs are the logarithms of the means."""

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class Huber:
    """Half the squared residual up to `delta`, linear beyond; averaged over outputs and rows.

    Parameters
    ----------
    delta : float
        Where it turns from squared to linear, > 0.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        real_number("delta", self.delta, 0.0, above=True)


@dataclass(frozen=True)
class AbsoluteError:
    """The absolute residual, averaged over outputs and rows."""

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Quantile:
    """The pinball loss, whose minimum is a quantile of y; averaged over outputs and rows.

    Parameters
    ----------
    quantile : float
        Between 0 and 1.
    """

    quantile: float = 0.5
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        if real_number("quantile", self.quantile, 0.0, 1.0, above=True) == 1.0:
            raise ValueError("quantile: expected a number between 0 and 1, got 1.0")


Loss = SquaredError | CrossEntropy | BinaryCrossEntropy | Poisson | Huber | AbsoluteError | Quantile
_BY_NAME: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        SquaredError(),
        CrossEntropy(),
        BinaryCrossEntropy(),
        Poisson(),
        Huber(),
        AbsoluteError(),
        Quantile(),
    )
}


def as_loss(loss: Any) -> Loss:
    """Return the loss object for a name or a loss object; raise for anything else."""
    if isinstance(loss, str):
        if loss not in _BY_NAME:
            raise ValueError(f"loss: expected one of {', '.join(_BY_NAME)}, got {loss!r}")
        return _BY_NAME[loss]
    if isinstance(loss, Loss):
        return loss
    raise TypeError(f"loss: expected a name or a fastrelu.losses object, got {loss!r}")


def core_options(loss: Loss, outputs: int) -> dict[str, Any]:
    """Return the loss's name and numbers as the core takes them."""
    parameter = getattr(loss, "delta", getattr(loss, "quantile", 0.0))
    return {
        "loss": loss.name,
        "pos_weight": positive_weights(loss, outputs),
        "loss_parameter": float(parameter),
    }


def from_settings(settings: dict[str, Any]) -> Loss:
    """Return the loss that `core_options` described."""
    name, parameter = settings["loss"], settings.get("loss_parameter", 0.0)
    if settings["pos_weight"]:
        return BinaryCrossEntropy(tuple(settings["pos_weight"]))
    if name == "huber":
        return Huber(parameter)
    return Quantile(parameter) if name == "quantile" else as_loss(name)


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

# SPDX-License-Identifier: BSD-3-Clause
"""The losses, as names or objects. docs/arithmetic.md gives each formula to the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike


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


Loss = SquaredError | CrossEntropy | BinaryCrossEntropy | Poisson
_BY_NAME: dict[str, Loss] = {
    loss.name: loss for loss in (SquaredError(), CrossEntropy(), BinaryCrossEntropy(), Poisson())
}


def as_loss(loss: Any) -> Loss:
    """Return the loss object for a name or a loss object; raise for anything else."""
    if isinstance(loss, str):
        if loss not in _BY_NAME:
            raise ValueError(f"loss: expected one of {', '.join(_BY_NAME)}, got {loss!r}")
        return _BY_NAME[loss]
    if isinstance(loss, (SquaredError, CrossEntropy, BinaryCrossEntropy, Poisson)):
        return loss
    raise TypeError(f"loss: expected a name or a fastrelu.losses object, got {loss!r}")


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

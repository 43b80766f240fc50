# SPDX-License-Identifier: BSD-3-Clause
"""The error of a training whose numbers are no longer finite."""

from __future__ import annotations

import math

__all__ = ["DivergenceError"]


class DivergenceError(ArithmeticError):
    """A training has diverged: the loss of a step, or the parameters after it, are not finite.

    The network and the trainer are then as they were when the parameters were last known to be
    finite: at the beginning of that epoch, or of an earlier one where epochs are of few rows.

    Parameters
    ----------
    step : int
        The step of the trainer, from 1.
    loss : float
        The mean loss of the step's rows, before its update.

    Attributes
    ----------
    step, loss
        The arguments.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(1e30))
    >>> try:
    ...     trainer.fit([[1.0], [2.0]], [1.0, 2.0], epochs=10)
    ... except fastrelu.DivergenceError as error:
    ...     print(error.step)
    2
    >>> net.parameters.tolist() == fastrelu.Network([1, 1]).parameters.tolist()
    True
    """

    def __init__(self, step: int, loss: float) -> None:
        self.step, self.loss = step, loss
        what = (
            f"the parameters are not finite after step {step}, and the loss was {loss:g}"
            if math.isfinite(loss)
            else f"the loss of step {step} is {loss:g}"
        )
        super().__init__(
            f"diverged: {what}; the last finite parameters are kept. A smaller learning rate or "
            "clip_norm may help"
        )

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[int, float]]:
        return type(self), (self.step, self.loss)

# SPDX-License-Identifier: BSD-3-Clause
"""What a trainer works on: rows checked once for many calls, blocks of rows, sums of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu.history import Metric
from fastrelu.losses import Loss

__all__ = ["Block", "BlockSource", "DataSet", "Evaluation", "LossSums"]


class Shape(NamedTuple):
    """What has to be the same for a data set to fit a trainer."""

    n_inputs: int
    n_outputs: int
    dtype: np.dtype[Any]
    loss: str


class DataSet:
    """Rows, targets and weights that `Trainer.prepare` has checked, for any number of calls.

    It holds on to the arrays that it was made of, and reads those in place that need no copy:
    leave them as they are while it is in use. Any trainer with this loss, on a network of these
    widths and this dtype, takes it.

    Attributes
    ----------
    n_rows : int
        How many rows.
    """

    def __init__(self, core: _core.DataSet, shape: Shape, y: Any, sample_weight: Any) -> None:
        self.core = core  # as the compiled trainer takes it
        self.n_rows: int = core.rows
        self._shape, self._y, self._sample_weight = shape, y, sample_weight
        self._metric: Metric | None = None

    @property
    def n_inputs(self) -> int:
        """The inputs of the networks that it is for."""
        return self._shape.n_inputs

    @property
    def n_outputs(self) -> int:
        """The outputs of the networks that it is for."""
        return self._shape.n_outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of those networks, float32 or float64."""
        return self._shape.dtype

    @property
    def loss(self) -> str:
        """The name of the loss that the targets were checked for."""
        return self._shape.loss

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        widths = f"{self.n_inputs} inputs, {self.n_outputs} outputs"
        return f"<fastrelu.DataSet of {self.n_rows} rows, {widths}, {self.dtype}, {self.loss}>"

    def metric(self, loss: Loss) -> Metric:
        """Return the metric of `loss` on these targets; what it needs of them is kept."""
        if self._metric is None:
            self._metric = Metric(loss, self._y, self._sample_weight)
        return self._metric

    def require(self, name: str, shape: Shape) -> None:
        """Raise ValueError, naming the argument, if this was made for another kind of network."""
        if self._shape != shape:
            raise ValueError(
                f"{name}: expected rows prepared for {shape.n_inputs} inputs, {shape.n_outputs} "
                f"outputs, {shape.dtype} and {shape.loss}, got {self!r}"
            )


class Block(NamedTuple):
    """Rows of one epoch that are in memory, and the order in which they are trained on.

    Attributes
    ----------
    X : ndarray, (m, n_inputs)
        Rows; finite numbers, which are not looked at again.
    y : ndarray
        Their targets, as `Trainer.fit` takes them.
    sample_weight : ndarray of float64, (m,), or None
        Their weights.
    order : ndarray of int64
        The numbers, among these m, of the rows to train on.
    """

    X: Any
    y: Any
    sample_weight: Any
    order: NDArray[np.int64]


class BlockSource(Protocol):
    """Rows for training that come a block at a time, such as those of a file.

    `Trainer.run_epoch` and `Trainer.fit` ask for the blocks 0, 1, ... of each epoch in turn. Each
    but the last of an epoch has `block_rows` rows in its order; an epoch that was interrupted may
    be taken up again at any block, in another process too, so the rows of a block have to be a
    function of its number and the epoch's.

    Attributes
    ----------
    n_rows : int
        Rows of an epoch.
    block_rows : int
        Rows of a block: a multiple of the trainer's batch size.
    """

    n_rows: int
    block_rows: int

    def block(self, epoch: int, number: int) -> Block:
        """Return a block of an epoch (from 1) by its number (from 0), valid until the next call."""
        ...


def is_block_source(data: Any) -> bool:
    """Whether this is a `BlockSource`; isinstance would take longer than a small epoch."""
    return hasattr(data, "block_rows") and callable(getattr(data, "block", None))


class Evaluation(NamedTuple):
    """How a network does on some rows.

    Attributes
    ----------
    loss : float
        The mean loss, weighted by row.
    metric : float
        Accuracy, R2 or the share of deviance explained: what the loss goes with, as `History`
        names it.
    outputs : ndarray, (n, n_outputs)
        The outputs of the network for the rows.
    """

    loss: float
    metric: float
    outputs: NDArray[Any]


@dataclass
class LossSums:
    """The loss of rows that come in parts: the same bits as that of all of them at once.

    Attributes
    ----------
    loss_sum : float
        The sum of the rows' losses, each times its weight.
    weight_sum : float
        The sum of the weights (the number of rows without).

    Examples
    --------
    >>> import numpy as np, fastrelu
    >>> X, y = np.ones((6, 2), "float32"), np.arange(6.0)
    >>> trainer = fastrelu.Trainer(fastrelu.Network([2, 4, 1]))
    >>> sums = fastrelu.LossSums()
    >>> for part in (slice(0, 4), slice(4, 6)):
    ...     outputs = trainer.add_losses(trainer.prepare(X[part], y[part]), sums)
    >>> sums.loss == trainer.evaluate(X, y).loss
    True
    """

    loss_sum: float = 0.0
    weight_sum: float = 0.0

    @property
    def loss(self) -> float:
        """The mean loss; 0 before the first row with a weight."""
        return self.loss_sum / self.weight_sum if self.weight_sum else 0.0

# SPDX-License-Identifier: BSD-3-Clause
"""What a trainer works on: rows checked once for many calls, blocks of rows, sums of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu.history import Metric
from fastrelu.losses import Loss
from fastrelu.network import Network

__all__ = ["Block", "BlockSource", "DataSet", "Evaluation", "LossSums"]


class DataSet:
    """Rows, targets and weights that `Trainer.prepare` has checked, for any number of calls.

    It holds on to the arrays that it was made of, and reads those in place that need no copy:
    leave them as they are while it is in use. Any trainer with this loss, on a network of these
    widths and this dtype, takes it.

    Attributes
    ----------
    n_rows : int
        How many rows.
    n_inputs, n_outputs : int
        The widths of the network that it is for.
    dtype : numpy.dtype
        The dtype of that network, float32 or float64.
    loss : str
        The name of the loss that the targets were checked for.
    """

    def __init__(
        self, core: _core.DataSet, network: Network, loss: Loss, y: Any, sample_weight: Any
    ) -> None:
        self.core = core  # as the compiled trainer takes it
        self.n_rows: int = core.rows
        self.n_inputs, self.n_outputs = network.layer_sizes[0], network.layer_sizes[-1]
        self.dtype: np.dtype[Any] = network.dtype
        self.loss = loss.name
        self._y, self._sample_weight = y, sample_weight
        self._metric: Metric | None = None

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

    def require(self, name: str, network: Network, loss: Loss) -> None:
        """Raise ValueError, naming the argument, if this was made for another kind of network."""
        sizes = network.layer_sizes
        here = (self.n_inputs, self.n_outputs, self.dtype, self.loss)
        if here != (sizes[0], sizes[-1], network.dtype, loss.name):
            raise ValueError(
                f"{name}: expected rows prepared for {sizes[0]} inputs, {sizes[-1]} outputs, "
                f"{network.dtype} and {loss.name}, got {self!r}"
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


@runtime_checkable
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

# SPDX-License-Identifier: BSD-3-Clause
"""The data of a trainer: rows checked once for many calls, blocks of rows, sums of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol, SupportsIndex

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

    It keeps the arrays that it was made of, and reads in place those that need no conversion: do
    not change them while it is in use. Any trainer with this loss takes it, on a network with these
    inputs and outputs and this dtype. ``len(data)`` is the number of rows.

    Attributes
    ----------
    n_rows : int
        The number of rows.

    Examples
    --------
    >>> import fastrelu
    >>> data = fastrelu.Trainer(fastrelu.Network([1, 1])).prepare([[0.0], [1.0]], [0.0, 1.0])
    >>> len(data), data.n_inputs, data.n_outputs, data.dtype, data.loss
    (2, 1, 1, dtype('float32'), 'squared_error')
    """

    def __init__(self, core: _core.DataSet, shape: Shape, y: Any, sample_weight: Any) -> None:
        self.core = core  # as the compiled trainer takes it
        self.n_rows: int = core.rows
        self._shape, self._y, self._sample_weight = shape, y, sample_weight
        self._metrics: dict[str, Metric] = {}  # by the loss and its numbers

    def __copy__(self) -> DataSet:
        return self  # nothing of it changes

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "cannot pickle or deep-copy a DataSet, which has its rows from elsewhere: copy the "
            "arrays, and give them to Trainer.prepare"
        )

    @property
    def n_inputs(self) -> int:
        """The number of inputs of the networks that it is for."""
        return self._shape.n_inputs

    @property
    def n_outputs(self) -> int:
        """The number of outputs of the networks that it is for."""
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
        """Return the metric of `loss` on these targets. What it needs to know of them is kept.

        Parameters
        ----------
        loss : Loss
            The loss that the rows were prepared for.

        Returns
        -------
        Metric
            A function from outputs (n_rows, n_outputs) to the metric, a float.

        Examples
        --------
        >>> import fastrelu
        >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]))
        >>> data = trainer.prepare([[0.0], [1.0]], [0.0, 1.0])
        >>> data.metric(trainer.loss)([[0.0], [1.0]])  # R2 of outputs without an error
        1.0
        """
        key = repr(loss)
        if key not in self._metrics:
            self._metrics[key] = Metric(loss, self._y, self._sample_weight)
        return self._metrics[key]

    def require(self, name: str, shape: Shape) -> None:
        """Raise an error if this was made for another kind of network.

        Parameters
        ----------
        name : str
            The name of the argument, for the message.
        shape : Shape
            The inputs, outputs, dtype and loss that are needed.

        Raises
        ------
        ValueError
            If this does not fit.

        Examples
        --------
        >>> import fastrelu
        >>> from fastrelu.data_set import Shape
        >>> data = fastrelu.Trainer(fastrelu.Network([1, 1])).prepare([[0.0]], [0.0])
        >>> data.require("data", Shape(2, 1, np.dtype("float32"), "squared_error"))
        Traceback (most recent call last):
        ValueError: data: expected rows prepared for 2 inputs, 1 outputs, float32 and ...
        """
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
        Rows.
    y : ndarray
        Their targets, as `Trainer.fit` takes them.
    sample_weight : ndarray of float64, (m,), or None
        Their weights.
    order : ndarray of int64
        The positions, from 0 to m - 1, of the rows to train on, in their order.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> fastrelu.Block(np.eye(2), np.arange(2.0), None, np.array([1, 0])).order.tolist()
    [1, 0]
    """

    X: Any
    y: Any
    sample_weight: Any
    order: NDArray[np.int64]


class BlockSource(Protocol):
    """A source of training rows that come a block at a time, such as those of a file.

    `Trainer.run_epoch` and `Trainer.fit` ask for the blocks 0, 1, ... of each epoch in turn. Every
    block but the last of an epoch has `block_rows` rows in its order. An interrupted epoch may be
    continued at any block, even in another process, so the rows of a block have to be a function of
    its number and the epoch's.

    Attributes
    ----------
    n_rows : int
        The number of rows of an epoch.
    block_rows : int
        The number of rows of a block: a multiple of the trainer's batch size.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> class Halves:
    ...     n_rows, block_rows = 4, 2
    ...
    ...     def block(self, epoch, number):
    ...         X = np.arange(2.0).reshape(2, 1) + 2 * number
    ...         return fastrelu.Block(X, X[:, 0], None, np.arange(2))
    >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]), batch_size=2)
    >>> history = trainer.fit(Halves(), epochs=3)
    >>> trainer.n_steps
    6
    """

    n_rows: int
    block_rows: int

    def block(self, epoch: int, number: int) -> Block:
        """Return a block.

        Parameters
        ----------
        epoch : int
            The number of the epoch, from 1.
        number : int
            The number of the block in the epoch, from 0.

        Returns
        -------
        Block
            It has to stay valid until the next call.
        """
        ...


def is_block_source(data: Any) -> bool:
    """Whether this is a `BlockSource`; isinstance would take longer than a small epoch."""
    return hasattr(data, "block_rows") and callable(getattr(data, "block", None))


class Evaluation(NamedTuple):
    """How good a network is on some rows; unpacks as ``loss, metric, outputs``.

    Attributes
    ----------
    loss : float
        The mean loss over the rows, weighted by `sample_weight`.
    metric : float
        The metric that belongs to the loss: accuracy, R2 or D2 (the share of the deviance that is
        explained); see `History`.
    outputs : ndarray, (n, n_outputs)
        The outputs of the network for the rows.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = [1, 0]  # net(x) = x
    >>> loss, r2, outputs = fastrelu.Trainer(net).evaluate([[0.0], [2.0]], [0.0, 2.0])
    >>> loss, r2
    (0.0, 1.0)
    """

    loss: float
    metric: float
    outputs: NDArray[Any]


@dataclass
class LossSums:
    """Sums for the loss of rows that come in parts: the bits are those of all rows at once.

    Attributes
    ----------
    loss_sum : float
        The sum of the rows' losses, each times its weight.
    weight_sum : float
        The sum of the weights; without weights the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
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
        """The mean loss so far; 0 as long as no row has a weight."""
        return self.loss_sum / self.weight_sum if self.weight_sum else 0.0

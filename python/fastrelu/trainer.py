# SPDX-License-Identifier: BSD-3-Clause
"""Minibatch SGD on a network: single steps, epochs, whole fits, evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core, _shared, epoch, losses, optimizers
from fastrelu._arguments import (
    MatrixLike,
    dropout_rates,
    real_number,
    seed_number,
    whole_number,
)
from fastrelu._catalogue import with_names
from fastrelu._steps import end_run
from fastrelu.checkpoint import CheckpointMethods
from fastrelu.data_set import BlockSource, DataSet, Evaluation, LossSums, Shape
from fastrelu.epoch import EpochMethods, Sampling, checked_sampling
from fastrelu.history import (
    Callback,
    History,
    Progress,
    checked_callbacks,
)
from fastrelu.network import Network
from fastrelu.optimizers import Optimizer

__all__ = ["History", "Trainer"]


@with_names
class Trainer(EpochMethods, CheckpointMethods):
    """Trains a network by minibatch SGD or one of its relatives.

    Parameters
    ----------
    network : Network
        The network; it is trained in place.
    loss : str or loss object
        The loss; `fastrelu.losses` lists them.
    optimizer : {optimizers} or optimizer object
        The optimizer; `fastrelu.optimizers` has them. A name stands for an object with the usual
        numbers; a schedule, or another learning rate, needs an object.
    batch_size : int
        The number of rows of a minibatch, >= n_shards.
    seed : int or None
        Seed of the row order and of dropout, 0 to 2**64 - 1; None picks a random one.
    clip_norm : float, optional
        The largest Euclidean norm of a step's gradient; a longer one is shortened to it.
    dropout : float or sequence of float
        The probability, in [0, 1), that a hidden unit is dropped from a step: one for all hidden
        layers, or one for each. The units that stay are scaled up by 1 / (1 - dropout). Outside
        training nothing is dropped. The probability taken is the multiple of 2**-16 that is nearest
        (of rates below 2**-17 nothing is dropped), at most 1 - 2**-16.
    input_scale_rate : float
        How many times the learning rate that of learned factors of the inputs is, 0 to 1e6; 0:
        there are none. With them the first layer's weights are each input's factor, 1 at first,
        times weights that are trained as always, so that the weights of an input that matters grow
        together. The network holds the products. Not for sparse rows.
    n_shards : int
        The number of contiguous runs into which the rows are cut. It changes the order of sums, and
        so the bits of the result; the number of threads does not.
    comm : Communicator or mpi4py.MPI.Comm, optional
        The processes that share the shards: each has a run of them, and their rows. The result has
        the bits of one process with the same `n_shards`; `fastrelu.distributed` says more.
    check_finite : bool
        Whether infinities and NaN in X, y and sample_weight are refused by default.

    Attributes
    ----------
    network, loss, optimizer, batch_size, seed, clip_norm, dropout, input_scale_rate, n_shards,
    check_finite
        The arguments; `loss` is always an object, `dropout` a tuple.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    One thread at a time may use a trainer. Where another thread's step or epoch runs on it,
    ``n_steps``, ``n_epochs``, ``epoch_open``, ``epoch_steps``, ``epoch_loss`` and all calls raise
    ``RuntimeError``; between two of them those properties give whole values. A callback, and what
    `run_epoch` calls as ``stop``, may read them.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), Dropout: a simple way to
    prevent neural networks from overfitting. Pascanu, Mikolov and Bengio (2013), On the difficulty
    of training recurrent neural networks (clip_norm). Holzmüller, Grinsztajn and Steinwart (2024),
    Better by default (input_scale_rate: a scaling layer with a rate of its own).

    Examples
    --------
    >>> import fastrelu
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.0, 7.0]
    >>> net = fastrelu.Network([1, 1])
    >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(0.1), batch_size=2)
    >>> history = trainer.fit(X, y, epochs=100)
    >>> net.parameters.round(2)  # y = 2 x + 1
    array([2., 1.], dtype=float32)
    >>> trainer.n_epochs, trainer.n_steps, trainer.epoch_open, trainer.epoch_steps
    (100, 200, False, 0)
    >>> trainer.epoch_loss == history.loss[-1]
    True
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: str | losses.Loss = "squared_error",
        optimizer: str | Optimizer = "sgd",
        batch_size: int = 32,
        seed: int | None = 0,
        clip_norm: float | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_scale_rate: float = 0.0,
        n_shards: int = 1,
        comm: Any = None,
        check_finite: bool = True,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: expected a fastrelu.Network, got {network!r}")
        self.network = network
        self.comm = None if comm is None else _shared.communicator(comm, n_shards)
        self.loss = losses.as_loss(loss)
        self.optimizer = optimizers.as_optimizer("sgd" if optimizer is None else optimizer)
        self.n_shards = whole_number("n_shards", n_shards, 1, 2**31 - 1)
        self.batch_size = whole_number("batch_size", batch_size, 1, 2**48)
        if self.batch_size < self.n_shards:
            raise ValueError(
                f"batch_size: expected at least n_shards={self.n_shards}, got {batch_size}"
            )
        self.seed = seed_number(seed)
        if seed is None and self.comm is not None:
            self.seed = self.comm.broadcast(self.seed)
        self.clip_norm = (
            None if clip_norm is None else real_number("clip_norm", clip_norm, 0.0, above=True)
        )
        self.dropout = tuple(dropout_rates(dropout, len(network.layer_sizes) - 2))
        self.input_scale_rate = real_number("input_scale_rate", input_scale_rate, 0.0, 1e6)
        self.check_finite = bool(check_finite)
        options = {
            **losses.core_options(self.loss, network.layer_sizes[-1]),
            **optimizers.core_options(self.optimizer),
            "batch_size": self.batch_size,
            "n_shards": self.n_shards,
            "seed": self.seed,
            "clip_norm": self.clip_norm or 0.0,
            "input_scale_rate": self.input_scale_rate,
            "dropout": list(self.dropout) if any(self.dropout) else [],
            **({} if self.comm is None else {"comm": self.comm}),
        }
        self._core = _core.Trainer(network, options)
        sizes = network.layer_sizes
        self._shape = Shape(sizes[0], sizes[-1], network.dtype, self.loss.name)
        self._seconds = 0.0  # spent in the open epoch
        self._rates: epoch.Rates = (0.0, 0), np.empty(0)  # constant rate, steps; so many of it
        if self.comm is not None:
            _shared.begin(self, self.comm)

    @_core.fast_step
    def step(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Take one step on exactly these rows.

        Parameters
        ----------
        X : array_like, sparse matrix or EncodedRows, (n, d_in)
            The minibatch, n >= 1 rows; `batch_size` does not matter here.
        y : array_like
            Targets, (n, d_out) ((n,) also for one output), or integer labels, (n,), for
            cross_entropy.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0 with a positive sum.

        Returns
        -------
        float
            The minibatch's loss before the update.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit; nothing has changed then.
        RuntimeError
            If another thread is using the network.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([1, 1])
        >>> net.parameters[:] = 0
        >>> trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(0.5))
        >>> trainer.step([[1.0]], [1.0]), net.parameters.tolist()
        (0.5, [0.5, 0.5])
        """
        rate = self.optimizer.learning_rate
        if callable(rate):
            with _core.DefaultFloatingPoint():
                k = self._core.step_count + 1
                rate = float(optimizers.learning_rates(self.optimizer, k, 1)[0])
        if self.comm is not None:
            with _core.DefaultFloatingPoint():
                data = self._prepared(X, y, sample_weight, None)
            return self._core.step_on(data.core, rate)
        return self._core.step(X, y, sample_weight, rate, self.check_finite)

    # Whole fits

    def fit(
        self,
        X: MatrixLike | DataSet | BlockSource,
        y: ArrayLike | None = None,
        epochs: int = 1,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | DataSet | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
        sampling: Sampling = "shuffle",
        check_finite: bool | None = None,
    ) -> History:
        """Train for `epochs` more epochs.

        Parameters
        ----------
        X : array_like, sparse matrix or EncodedRows, (n, d_in); or DataSet; or BlockSource
            Rows, n >= 1. A C-contiguous array of the network's dtype or of uint8 is read in place,
            and so is a CSR matrix of that dtype with int32 indices in order; do not change it
            during the fit. A `DataSet` from `prepare` and a `BlockSource` have their targets and
            weights with them.
        y : array_like
            Targets, (n, d_out) ((n,) also for one output), or integer labels, (n,), for
            cross_entropy.
        epochs : int
            The number of epochs to make. An open epoch is finished first and does not count.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0 with a positive sum.
        validation_data : tuple (X, y) or (X, y, sample_weight), or DataSet, optional
            The rows to evaluate after each epoch.
        callbacks : iterable of callables
            Each is called as ``callback(trainer, record)`` after each epoch, with an `EpochRecord`.
            If one returns something true, the fit ends.
        progress : bool
            Whether to report each epoch on standard error.
        sampling : {"shuffle", "subset", "with_replacement"}
            How the rows of a step are drawn: the next ones of a shuffled order; a uniform subset of
            all rows, independent of the other steps; or one row after another from all rows.
        check_finite : bool, optional
            Whether infinities and NaN in the data are refused, those of a `BlockSource` block by
            block; by default the trainer's own setting.

        Returns
        -------
        History
            The numbers of the epochs that this call finished.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit; nothing has changed then.
        DivergenceError
            If a loss or the parameters are no longer finite; the last finite parameters are kept.
        KeyboardInterrupt
            On Ctrl-C, between two steps. Network and trainer stay usable, and the next fit
            continues where this one stopped.
        RuntimeError
            If another thread is using the network.

        Examples
        --------
        >>> import fastrelu
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [1.0, 3.0, 5.0, 7.0]
        >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]), batch_size=2)
        >>> history = trainer.fit(X, y, epochs=100, validation_data=([[4.0]], [9.0]))
        >>> len(history), bool(history.val_loss[-1] < 0.001)
        (100, True)
        """
        epochs = whole_number("epochs", epochs, 0)
        checked_sampling(sampling)
        calls = checked_callbacks(callbacks)
        history = History(metric=self.loss.info.metric)
        self.network._begin_use("a fit")
        try:
            with _core.DefaultFloatingPoint():
                data = epoch.as_data(self, "X", X, y, sample_weight, check_finite)
                comm = self.comm
                if comm is None:  # without a context, whose cost small fits would notice
                    validation = epoch.begin_fit(
                        self, data, sampling, validation_data, check_finite
                    )
                else:
                    with _shared.same_fit(comm, {"epochs": epochs, "sampling": sampling}):
                        validation = epoch.begin_fit(
                            self, data, sampling, validation_data, check_finite
                        )
                bar = Progress(epochs, history.metric) if progress else None
                if bar is not None:
                    calls.append(lambda _, record: bar(record))
                self._core.forget_kept()
                try:
                    for _ in range(epochs + self.epoch_open):
                        record = self._one_epoch(data, None, sampling, validation, check_finite)
                        if record is None:  # nobody here has asked for it
                            raise RuntimeError("comm: the fit was stopped on another rank")
                        history.append(record)
                        if _shared.call_callbacks_of_ranks(comm, calls, self, record):
                            break
                    end_run(self._core)
                finally:
                    if bar is not None:
                        bar.close()
        finally:
            self.network._end_use()
        return history

    # What the network is worth

    def evaluate(
        self,
        X: MatrixLike | DataSet,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Evaluation:
        """Return loss, metric and outputs for some rows, by one forward pass without dropout.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; or a `DataSet` alone.

        Returns
        -------
        Evaluation
            Unpacks as ``loss, metric, outputs``.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> trainer = fastrelu.Trainer(fastrelu.Network([2, 3], seed=1), loss="cross_entropy")
        >>> loss, accuracy, outputs = trainer.evaluate(np.eye(2), [0, 2])
        >>> outputs.shape, accuracy
        ((2, 3), 0.5)
        """
        with _core.DefaultFloatingPoint():
            data = epoch.as_data(self, "X", X, y, sample_weight, None, whole=True)
        if not isinstance(data, DataSet):
            raise TypeError("X: expected rows or a DataSet, got blocks, which are for training")
        return self._evaluated(data)

    def add_losses(self, data: DataSet, sums: LossSums) -> NDArray[Any]:
        """Add the losses of some rows to the sums over the rows before them.

        Parameters
        ----------
        data : DataSet
            The rows, from `prepare`.
        sums : LossSums
            The sums; they are changed in place.

        Returns
        -------
        ndarray, (n, d_out)
            The outputs for these rows.

        Raises
        ------
        TypeError, ValueError
            If the rows were prepared for another kind of network, or the trainer has shards, which
            need all rows at once.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([1, 1])
        >>> net.parameters[:] = [1, 0]  # net(x) = x
        >>> trainer, sums = fastrelu.Trainer(net), fastrelu.LossSums()
        >>> for X, y in ([[1.0]], [0.0]), ([[2.0]], [0.0]):
        ...     outputs = trainer.add_losses(trainer.prepare(X, y), sums)
        >>> sums.loss  # the mean of 1**2 / 2 and 2**2 / 2
        1.25
        """
        epoch.check_data(self, "data", data, whole=True)
        if self.n_shards != 1:
            raise ValueError(f"n_shards: expected 1 to add losses, got {self.n_shards}")
        sums.loss_sum, sums.weight_sum, outputs = self._core.evaluate_part(
            data.core, sums.loss_sum, sums.weight_sum
        )
        return outputs

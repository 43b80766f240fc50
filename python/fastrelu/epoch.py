# SPDX-License-Identifier: BSD-3-Clause
"""One epoch of a trainer over rows in memory or in blocks, and the checks of what it runs over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike, NDArray

from fastrelu import _core, _shared
from fastrelu._arguments import MatrixLike, whole_number
from fastrelu._core import Trainer as CoreTrainer
from fastrelu._steps import Poll, end_run, run
from fastrelu.data_set import BlockSource, DataSet, Evaluation, Shape, is_block_source
from fastrelu.history import EpochRecord
from fastrelu.losses import Loss
from fastrelu.network import Network
from fastrelu.optimizers import Optimizer

if TYPE_CHECKING:
    from fastrelu.distributed.communicator import Communicator

__all__ = ["SAMPLINGS", "Sampling"]

Sampling = Literal["shuffle", "subset", "with_replacement"]
SAMPLINGS = ("shuffle", "subset", "with_replacement")
Stop = Callable[[], Any]
Rates = tuple[tuple[float, int], NDArray[Any]]


class EpochMethods:
    """The methods of Trainer that run epochs; their docstrings address Trainer's users."""

    loss: Loss
    optimizer: Optimizer
    batch_size: int
    n_shards: int
    network: Network
    check_finite: bool
    _core: CoreTrainer
    _shape: Shape
    _seconds: float  # spent in the open epoch
    _rates: Rates
    comm: Communicator | None

    # Where it stands

    @property
    def n_steps(self) -> int:
        """The number of steps taken so far; the next one is step k = n_steps + 1."""
        return self._core.step_count

    @property
    def n_epochs(self) -> int:
        """The number of epochs finished so far."""
        state = self._core.state
        return int(state["epoch"]) - int(state["in_epoch"])

    @property
    def epoch_open(self) -> bool:
        """Whether an epoch was stopped or interrupted and waits to be finished."""
        return bool(self._core.state["in_epoch"])

    @property
    def epoch_steps(self) -> int:
        """The number of steps taken so far in the open epoch; 0 if none is open."""
        state = self._core.state
        return int(state["place"]) if state["in_epoch"] else 0

    @property
    def epoch_loss(self) -> float:
        """The mean training loss of the open epoch so far; of the last epoch if none is open."""
        return self._core.epoch_loss()

    def steps_in_epoch(self, n_rows: int, sampling: Sampling = "shuffle") -> int:
        """Return the number of steps of an epoch.

        Parameters
        ----------
        n_rows : int
            The number of training rows, >= 1.
        sampling : {"shuffle", "subset", "with_replacement"}
            How the rows are drawn, as for `fit`.

        Returns
        -------
        int
            The number of steps.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import fastrelu
        >>> fastrelu.Trainer(fastrelu.Network([1, 1]), batch_size=4).steps_in_epoch(10)
        3
        """
        return self._core.steps_in_epoch(
            whole_number("n_rows", n_rows, 1), checked_sampling(sampling)
        )

    # Rows, and epochs over them

    def prepare(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool | None = None,
    ) -> DataSet:
        """Return rows that are checked once, for many calls of `run_epoch`, `fit` or `evaluate`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        check_finite : bool, optional
            Whether infinities and NaN in them are refused; by default the trainer's own setting.

        Returns
        -------
        DataSet
            For this trainer, and for others with the same loss on networks with the same inputs,
            outputs and dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> trainer = fastrelu.Trainer(fastrelu.Network([2, 8, 1]), batch_size=5)
        >>> trainer.prepare(np.ones((20, 2)), np.arange(20.0))
        <fastrelu.DataSet of 20 rows, 2 inputs, 1 outputs, float32, squared_error>
        """
        with _core.DefaultFloatingPoint():
            return self._prepared(X, y, sample_weight, check_finite)

    def own_rows(self, n_rows: int) -> range:
        """Return the rows of a data set that this process has, as `comm` shares them.

        Parameters
        ----------
        n_rows : int
            The number of rows of the whole data set, >= 0.

        Returns
        -------
        range
            Contiguous rows; all without `comm`.

        Raises
        ------
        TypeError, ValueError
            If the argument is not as described.

        Examples
        --------
        >>> import fastrelu
        >>> fastrelu.Trainer(fastrelu.Network([1, 1])).own_rows(10)
        range(0, 10)
        """
        return _shared.own_rows(self.comm, whole_number("n_rows", n_rows, 0), self.n_shards)

    def run_epoch(
        self,
        data: DataSet | BlockSource,
        *,
        stop: Stop | None = None,
        sampling: Sampling = "shuffle",
        validation: DataSet | None = None,
    ) -> EpochRecord | None:
        """Finish the open epoch, or run a new one.

        Parameters
        ----------
        data : DataSet or BlockSource
            The rows, from `prepare`; or rows that come in blocks. They must stay the same until the
            epoch is finished.
        stop : callable, optional
            Called without arguments some 20 times a second, between two steps. If it returns
            something true, the epoch is left open.
        sampling : {"shuffle", "subset", "with_replacement"}
            How the rows of a step are drawn, as for `fit`. Blocks have an order of their own.
        validation : DataSet, optional
            The rows to evaluate when the epoch is finished.

        Returns
        -------
        EpochRecord or None
            The numbers of the epoch. None if `stop` left it open; the next call then finishes it,
            and all ends in the same bits as without the stop.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit; nothing has changed then. If a block does not, or has
            infinities or NaN; the blocks before it have been trained on, and the epoch stays open.
        DivergenceError
            If a loss or the parameters are no longer finite.
        KeyboardInterrupt
            On Ctrl-C, between two steps; the epoch stays open.
        RuntimeError
            If another thread is using the network.

        Examples
        --------
        A loop of your own, which stops after a minute and can be continued:

        >>> import time
        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(100, 2))
        >>> trainer = fastrelu.Trainer(fastrelu.Network([2, 8, 1]))
        >>> data, end = trainer.prepare(X, X[:, 0] * X[:, 1]), time.monotonic() + 60
        >>> for _ in range(3):
        ...     record = trainer.run_epoch(data, stop=lambda: time.monotonic() > end)
        ...     if record is None:
        ...         break
        >>> record.epoch, trainer.n_steps
        (3, 12)
        """
        check_data(self, "data", data)
        if validation is not None:
            check_data(self, "validation", validation, whole=True)
        checked_sampling(sampling)
        require_same_epoch(self, data, sampling)
        self.network._begin_use("an epoch")
        try:
            with _core.DefaultFloatingPoint():
                self._core.forget_kept()
                record = self._one_epoch(data, stop, sampling, validation)
                end_run(self._core)
                return record
        finally:
            self.network._end_use()

    def discard_epoch(self) -> None:
        """Give up the open epoch: the next epoch begins from its start. The parameters stay.

        Raises
        ------
        RuntimeError
            If another thread is using the network.

        Examples
        --------
        >>> import fastrelu
        >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]), batch_size=1)
        >>> data = trainer.prepare([[0.0], [1.0]], [0.0, 1.0])
        >>> trainer.discard_epoch()
        >>> trainer.epoch_open
        False
        """
        self.network._begin_use("a change of the trainer")  # between two epochs of a fit at most
        try:
            self._core.state = {**self._core.state, "in_epoch": False}
            self._seconds = 0.0
        finally:
            self.network._end_use()

    # Inside

    def _prepared(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        check_finite: bool | None,
        whole: bool = False,
    ) -> DataSet:
        """Return rows to train on, this process's own; `whole`: all rows of a set to judge by."""
        finite = self.check_finite if check_finite is None else bool(check_finite)
        if self.comm is None or whole:
            core = self._core.data(X, y, sample_weight, finite)
        else:
            core = _shared.data(self, self.comm, X, y, sample_weight, finite)
        return DataSet(core, self._shape, y, sample_weight)

    def _one_epoch(
        self,
        data: DataSet | BlockSource,
        stop: Stop | None,
        sampling: Sampling,
        validation: DataSet | None,
        check_finite: bool | None = None,
    ) -> EpochRecord | None:
        finite = self.check_finite if check_finite is None else bool(check_finite)
        state = self._core.state
        before = self._seconds if state["in_epoch"] else 0.0
        began = time.perf_counter()
        try:
            rates = run(self, state, data, _poll(stop), sampling, finite)
        finally:
            seconds = self._seconds = before + time.perf_counter() - began
        if rates is None:
            return None
        record = EpochRecord(
            epoch=state["epoch"] + (not state["in_epoch"]),
            loss=self._core.epoch_loss(),
            learning_rate=float(rates[-1]),
            seconds=seconds,
            rows_per_second=data.n_rows / max(seconds, 1e-9),
        )
        if validation is not None:
            record["val_loss"], record["val_metric"], _ = self._evaluated(validation)
        return record

    def _evaluated(self, data: DataSet) -> Evaluation:
        loss, outputs = self._core.evaluate(data.core)
        return Evaluation(loss, data.metric(self.loss)(outputs), outputs)


def _poll(stop: Stop | None) -> Poll | None:
    """Return `stop` as the core asks it: it takes True alone for a yes."""
    if stop is None:
        return None
    return lambda: bool(stop())


def checked_sampling(sampling: Any) -> Sampling:
    """Return where the rows of a step come from, if it is known."""
    if sampling not in SAMPLINGS:
        raise ValueError(
            f"sampling: expected shuffle, subset or with_replacement, got {sampling!r}"
        )
    kind: Sampling = sampling
    return kind


def check_data(trainer: EpochMethods, name: str, data: Any, whole: bool = False) -> None:
    """Raise an error that names the argument if a trainer cannot run over these rows.

    `whole`: it is to judge by them, for which each process needs all of them.
    """
    if isinstance(data, DataSet):
        data.require(name, trainer._shape)
        if data.core.shared != (trainer.comm is not None and not whole):
            raise ValueError(
                f"{name}: expected {'all rows' if whole else 'rows'} prepared "
                f"{'without comm' if whole else 'by this trainer, with its comm'}, got {data!r}"
            )
        return
    if not is_block_source(data):
        raise TypeError(f"{name}: expected a DataSet from prepare, got {type(data).__name__}")
    if trainer.n_shards != 1:
        raise ValueError(f"{name}: expected n_shards=1 for blocks, got {trainer.n_shards}")
    if data.block_rows % trainer.batch_size or data.block_rows < 1 or data.n_rows < 1:
        raise ValueError(
            f"{name}: expected blocks of a multiple of batch_size={trainer.batch_size} rows, and "
            f"at least one row, got blocks of {data.block_rows} rows and {data.n_rows} rows in all"
        )


def as_data(
    trainer: EpochMethods,
    name: str,
    X: Any,
    y: Any,
    sample_weight: Any,
    check_finite: bool | None,
    whole: bool = False,
) -> DataSet | BlockSource:
    """Return arrays as a data set; one that is there already as it is, if it fits."""
    if not isinstance(X, DataSet) and not is_block_source(X):
        if y is None:
            raise TypeError("y: expected targets, got None")
        return trainer._prepared(X, y, sample_weight, check_finite, whole)
    for other, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"{other}: expected None, as {name} has its own, got {value!r}")
    check_data(trainer, name, X, whole)
    data: DataSet | BlockSource = X
    return data


def as_validation(trainer: EpochMethods, data: Any, check_finite: bool | None) -> DataSet | None:
    """Return what `Trainer.fit` takes as validation_data as a data set."""
    if data is None or isinstance(data, DataSet):
        if data is not None:
            check_data(trainer, "validation_data", data, whole=True)
        return data
    X, y, weight = validation_parts(data)
    try:
        return trainer._prepared(X, y, weight, check_finite, whole=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error


def validation_parts(data: Any) -> tuple[Any, Any, Any]:
    """Return X, y and sample_weight, or None, of what users give as validation_data."""
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            f"validation_data: expected (X, y) or (X, y, sample_weight), got {type(data).__name__}"
        )
    X, y, weight = (*data, None)[:3]
    return X, y, weight


def begin_fit(
    trainer: EpochMethods,
    data: DataSet | BlockSource,
    sampling: Sampling,
    validation_data: tuple[Any, ...] | DataSet | None,
    check_finite: bool | None,
) -> DataSet | None:
    """Return the validation rows, checked; ValueError if another epoch is to be finished first."""
    validation = as_validation(trainer, validation_data, check_finite)
    require_same_epoch(trainer, data, sampling)
    return validation


def require_same_epoch(
    trainer: EpochMethods, data: DataSet | BlockSource, sampling: Sampling
) -> None:
    """Raise ValueError if an epoch over other rows is to be finished first."""
    require_epoch_of(trainer, data.n_rows, sampling if isinstance(data, DataSet) else "blocks")


def require_epoch_of(trainer: EpochMethods, n_rows: int, kind: str) -> None:
    """Raise ValueError if an epoch over other rows, or of another kind, is to be finished first."""
    state = trainer._core.state
    if state["in_epoch"] and (state["epoch_rows"], state["sampling"]) != (n_rows, kind):
        raise ValueError(
            f"X: expected the {state['epoch_rows']} rows with sampling={state['sampling']!r} of "
            f"the interrupted epoch, which is to be finished first, got {n_rows} rows with "
            f"{kind!r} (discard_epoch() gives that epoch up)"
        )

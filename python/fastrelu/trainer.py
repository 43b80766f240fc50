# SPDX-License-Identifier: BSD-3-Clause
"""Minibatch SGD on a network: single steps, whole fits, checkpoints."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Literal

from numpy.typing import ArrayLike

from fastrelu import _core, losses, model_file, optimizers, schedules
from fastrelu._arguments import MatrixLike, real_number, seed_number, whole_number
from fastrelu.history import History, Metric, Progress
from fastrelu.network import Network
from fastrelu.optimizers import SGD, Adam, AdamW, Optimizer

__all__ = ["History", "Trainer"]

CHECKPOINT = "fastrelu.checkpoint"  # the files' format
Sampling = Literal["shuffle", "subset", "with_replacement"]
Callback = Callable[["Trainer", dict[str, Any]], Any]


class Trainer:
    """Trains a network by minibatch SGD or one of its relatives.

    Parameters
    ----------
    network : Network
        Trained in place.
    loss : str or loss object
        See `fastrelu.losses`.
    optimizer : SGD, Adam or AdamW, optional
        ``SGD(0.1)`` by default.
    batch_size : int
        Rows of a minibatch, >= n_shards.
    seed : int or None
        Of the row orders, 0..2**64 - 1; None draws one.
    clip_norm : float, optional
        Largest Euclidean norm of a step's gradient; a longer one is shortened to it.
    n_shards : int
        Contiguous runs into which the data are cut. It enters the sums, so it changes bits; the
        number of threads does not.
    comm : None
        Reserved for runs of several processes.
    check_finite : bool
        Whether X, y and sample_weight with infinities or NaN are refused by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: str | losses.Loss = "squared_error",
        optimizer: Optimizer | None = None,
        batch_size: int = 32,
        seed: int | None = 0,
        clip_norm: float | None = None,
        n_shards: int = 1,
        comm: None = None,
        check_finite: bool = True,
    ) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network: expected a fastrelu.Network, got {network!r}")
        if optimizer is None:
            optimizer = SGD(0.1)
        if not isinstance(optimizer, (SGD, Adam)):
            raise TypeError(f"optimizer: expected SGD, Adam or AdamW, got {optimizer!r}")
        if comm is not None:
            raise ValueError("comm: runs of several processes are not there yet; leave it None")
        self.network = network
        self.loss = losses.as_loss(loss)
        self.optimizer = optimizer
        self.n_shards = whole_number("n_shards", n_shards, 1, 2**31 - 1)
        self.batch_size = whole_number("batch_size", batch_size, 1, 2**48)
        if self.batch_size < self.n_shards:
            raise ValueError(
                f"batch_size: expected at least n_shards={self.n_shards}, got {batch_size}"
            )
        self.seed = seed_number(seed)
        self.clip_norm = (
            None if clip_norm is None else real_number("clip_norm", clip_norm, 0.0, above=True)
        )
        self.check_finite = bool(check_finite)
        options = {
            **losses.core_options(self.loss, network.layer_sizes[-1]),
            **optimizers.core_options(optimizer),
            "batch_size": self.batch_size,
            "n_shards": self.n_shards,
            "seed": self.seed,
            "clip_norm": self.clip_norm or 0.0,
        }
        self._core = _core.Trainer(network, options)

    @property
    def n_steps(self) -> int:
        """Steps taken so far; the next is step k = n_steps + 1."""
        return self._core.step_count

    @property
    def n_epochs(self) -> int:
        """Epochs finished so far."""
        state = self._core.state
        return int(state["epoch"]) - int(state["in_epoch"])

    @_core.fast_step
    def step(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Take one step on exactly these rows.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            The minibatch, n >= 1 rows; `batch_size` does not matter here.
        y : array_like
            Targets (n, d_out) ((n,) also for one output), or integer labels (n,).
        sample_weight : array_like, (n,), optional
            Weights of the rows, with a positive sum.

        Returns
        -------
        float
            The minibatch's loss, before the update.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit; nothing has changed then.
        RuntimeError
            If another thread is using the network.
        """
        rate = self.optimizer.learning_rate
        if callable(rate):
            with _core.DefaultFloatingPoint():
                k = self._core.step_count + 1
                rate = float(optimizers.learning_rates(self.optimizer, k, 1)[0])
        return self._core.step(X, y, sample_weight, rate, self.check_finite)

    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        epochs: int = 1,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
        sampling: Sampling = "shuffle",
        check_finite: bool | None = None,
    ) -> History:
        """Train for `epochs` more epochs.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows, n >= 1; a C-contiguous array of the network's dtype or uint8 is read in place, and
            so is a CSR matrix of that dtype with int32 indices in order. Leave X as it is during
            the fit.
        y : array_like
            Targets (n, d_out) ((n,) also for one output), or integer labels (n,).
        epochs : int
            Epochs to make. An epoch that was interrupted is finished first and does not count.
        sample_weight : array_like, (n,), optional
            Weights of the rows, with a positive sum.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Judged after each epoch.
        callbacks : iterable of callables
            Each called ``callback(trainer, record)`` after each epoch; record has the keys epoch,
            loss, val_loss, val_metric, seconds, rows_per_second. One that returns True ends the
            fit.
        progress : bool
            Whether to report each epoch on standard error.
        sampling : {"shuffle", "subset", "with_replacement"}
            Minibatches from a shuffled order; each an independent uniform subset of the rows; or
            independent draws with replacement.
        check_finite : bool, optional
            Whether non-finite data are refused; the trainer's own setting by default.

        Returns
        -------
        History
            Of the epochs that this call finished.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit; nothing has changed then.
        KeyboardInterrupt
            On Ctrl-C, between two steps; network and trainer stay usable, and the next fit goes on
            where this one stopped.
        RuntimeError
            If another thread is using the network.
        """
        epochs = whole_number("epochs", epochs, 0)
        finite = self.check_finite if check_finite is None else bool(check_finite)
        if sampling not in ("shuffle", "subset", "with_replacement"):
            raise ValueError(
                f"sampling: expected shuffle, subset or with_replacement, got {sampling!r}"
            )
        history = History(metric=self.loss.info.metric)
        calls = list(callbacks)
        self.network._begin_use()
        try:
            with _core.DefaultFloatingPoint():
                data = self._core.data(X, y, sample_weight, finite)
                judged = self._validation(validation_data, finite)
                bar = Progress(epochs, history.metric) if progress else None
                if bar is not None:
                    calls.append(lambda _, record: bar(record))
                try:
                    self._run(data, epochs, sampling, judged, calls, history)
                finally:
                    if bar is not None:
                        bar.close()
        finally:
            self.network._end_use()
        return history

    def _run(
        self,
        data: _core.DataSet,
        epochs: int,
        sampling: Sampling,
        judged: tuple[_core.DataSet, Metric] | None,
        callbacks: list[Callback],
        history: History,
    ) -> None:
        state = self._core.state
        left = epochs
        if state["in_epoch"]:
            if (state["epoch_rows"], state["sampling"]) != (data.rows, sampling):
                raise ValueError(
                    f"X: an interrupted epoch over {state['epoch_rows']} rows with "
                    f"sampling={state['sampling']!r} is to be finished first, got {data.rows} "
                    f"rows with {sampling!r} (discard_epoch() gives it up)"
                )
            left += 1
        while left > 0:
            left -= 1
            record = self._one_epoch(data, sampling, judged)
            history.append(record)
            # Every callback sees the epoch, also after one that asks to stop.
            if any([callback(self, record) is True for callback in callbacks]):
                break

    def _run_epoch(
        self, data: _core.DataSet, stop: Callable[[], bool], sampling: Sampling = "shuffle"
    ) -> bool:
        """Go on with the open epoch, or a new one.

        Parameters
        ----------
        data : DataSet
            From ``_core.data``, the same until the epoch is finished.
        stop : callable
            Asked some 20 times a second, between two steps.
        sampling : {"shuffle", "subset", "with_replacement"}
            As for `fit`.

        Returns
        -------
        bool
            Whether the epoch is finished; else `stop` said True, and the next call goes on.
        """

        def poll() -> None:
            if stop():
                raise _Stopped

        state = self._core.state
        done = state["place"] if state["in_epoch"] else 0
        left = self._core.steps_in_epoch(data.rows, sampling) - done
        self.network._begin_use()
        try:
            with _core.DefaultFloatingPoint():
                rates = optimizers.learning_rates(self.optimizer, state["step"] + 1, left)
                self._core.run_epoch(data, sampling, rates, poll)
        except _Stopped:
            return False
        finally:
            self.network._end_use()
        return True

    def discard_epoch(self) -> None:
        """Give up an interrupted epoch: the next fit begins a new one."""
        self._core.state = {**self._core.state, "in_epoch": False}

    def _one_epoch(
        self,
        data: _core.DataSet,
        sampling: Sampling,
        judged: tuple[_core.DataSet, Metric] | None,
    ) -> dict[str, Any]:
        state = self._core.state
        steps = self._core.steps_in_epoch(data.rows, sampling)
        done = state["place"] if state["in_epoch"] else 0
        rates = optimizers.learning_rates(self.optimizer, state["step"] + 1, steps - done)
        began = time.perf_counter()
        self._core.run_epoch(data, sampling, rates, None)
        seconds = time.perf_counter() - began
        rows = data.rows * (steps - done) / steps
        record: dict[str, Any] = {
            "epoch": state["epoch"] + (not state["in_epoch"]),
            "loss": self._core.epoch_loss(),
            "val_loss": None,
            "val_metric": None,
            "seconds": seconds,
            "rows_per_second": rows / max(seconds, 1e-9),
        }
        if judged is not None:
            rows_judged, metric = judged
            record["val_loss"], outputs = self._core.evaluate(rows_judged)
            record["val_metric"] = metric(outputs)
        return record

    def _validation(
        self, validation_data: tuple[Any, ...] | None, finite: bool
    ) -> tuple[_core.DataSet, Metric] | None:
        if validation_data is None:
            return None
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise ValueError(
                "validation_data: expected (X, y) or (X, y, sample_weight), got "
                f"{type(validation_data).__name__}"
            )
        X, y, weight = (*validation_data, None)[:3]
        try:
            data = self._core.data(X, y, weight, finite)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from error
        return data, Metric(self.loss, y, weight)

    def save_checkpoint(self, path: Any) -> None:
        """Write all that goes on from here to a safetensors file.

        Parameters
        ----------
        path : path-like
            Replaced only once the new file is whole. It holds parameters, optimizer state, the
            step, the place in an interrupted epoch and its partial loss; no data, no pickle.
        """
        model_file.write(path, *self._checkpoint_content())

    def _checkpoint_content(self) -> tuple[model_file.Arrays, dict[str, str]]:
        """Return the arrays and metadata of a checkpoint."""
        arrays, metadata = model_file.network_content(self.network)
        for i, array in enumerate(self._core.optimizer_arrays):
            arrays[f"optimizer.{i}"] = array
        state = {
            key: value.hex() if isinstance(value, float) else value
            for key, value in self._core.state.items()
        }
        return arrays, {
            "format": CHECKPOINT,
            **metadata,
            "trainer": json.dumps(self._settings()),
            "state": json.dumps(state),
        }

    def _settings(self) -> dict[str, Any]:
        settings = {k: v for k, v in asdict(self.optimizer).items() if k != "learning_rate"}
        rate = self.optimizer.learning_rate
        return {
            **losses.core_options(self.loss, self.network.layer_sizes[-1]),
            "optimizer": self.optimizer.name,
            "optimizer_settings": settings,
            "learning_rate": schedules.as_description(rate) if callable(rate) else rate,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "clip_norm": self.clip_norm,
            "n_shards": self.n_shards,
            "check_finite": self.check_finite,
        }

    @classmethod
    def from_checkpoint(
        cls, path: Any, *, learning_rate: optimizers.LearningRate | None = None
    ) -> Trainer:
        """Return the trainer that `save_checkpoint` wrote, with a network of its own.

        Parameters
        ----------
        path : path-like
            The checkpoint.
        learning_rate : float or callable, optional
            Needed if it was a callable of the user's own; otherwise replaces the one saved.

        Returns
        -------
        Trainer
            Its next steps give the same bits as if there had been no interruption.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, it is not a checkpoint, or its learning rate is missing.
        """
        return cls._from_content(*model_file.read(path, CHECKPOINT), learning_rate)

    @classmethod
    def _from_content(
        cls,
        arrays: model_file.Arrays,
        metadata: dict[str, str],
        learning_rate: optimizers.LearningRate | None = None,
    ) -> Trainer:
        """Return the trainer whose `_checkpoint_content` this is."""
        try:
            settings = json.loads(metadata["trainer"])
            state = json.loads(metadata["state"])
            for key in ("loss_sum", "weight_sum", "power_1", "power_2"):
                state[key] = float.fromhex(state[key])
            rate = learning_rate if learning_rate is not None else settings["learning_rate"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path: the checkpoint is damaged ({error!r})") from error
        if rate is None:
            raise ValueError(
                "learning_rate: the checkpoint was made with a callable of your own; give it again"
            )
        if isinstance(rate, dict):
            rate = schedules.from_description(rate)
        kinds = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
        optimizer = kinds[settings["optimizer"]](
            learning_rate=rate, **settings["optimizer_settings"]
        )
        trainer = cls(
            model_file.network_from(arrays, metadata),
            loss=losses.from_settings(settings),
            optimizer=optimizer,
            batch_size=settings["batch_size"],
            seed=settings["seed"],
            clip_norm=settings["clip_norm"],
            n_shards=settings["n_shards"],
            check_finite=settings["check_finite"],
        )
        count = len(trainer._core.optimizer_arrays)
        missing = [f"optimizer.{i}" for i in range(count) if f"optimizer.{i}" not in arrays]
        if missing:
            raise ValueError(f"path: the checkpoint is damaged (no {missing[0]})")
        trainer._core.optimizer_arrays = [arrays[f"optimizer.{i}"] for i in range(count)]
        trainer._core.state = state
        return trainer


class _Stopped(Exception):  # noqa: N818 - a way out, not an error
    """Raised between two steps to leave an epoch open."""

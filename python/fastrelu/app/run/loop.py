# SPDX-License-Identifier: BSD-3-Clause
"""One training: epochs, validation, early stopping, checkpoints, signals."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fastrelu import DivergenceError, EpochRecord, Trainer
from fastrelu.app.errors import DataError, DivergedError, OutputError
from fastrelu.app.run.checkpoint import Checkpoints, RunState
from fastrelu.app.run.feeder import Feeder
from fastrelu.app.settings import Settings


class Watcher(Protocol):
    """What is told how a training goes on."""

    def tick(self, step: int) -> None:
        """Note the steps taken; some 20 times a second."""
        ...

    def epoch(self, record: EpochRecord) -> None:
        """Note an epoch's record."""
        ...


class Judgement(NamedTuple):
    """How good a network is on some rows: their number, loss, metric; whether all is finite."""

    rows: int
    loss: float = 0.0
    metric: float = 0.0
    finite: bool = True


@dataclass
class Training:
    """One training, ready to run or to go on.

    Attributes
    ----------
    trainer : Trainer
    feeder : Feeder
    settings : Settings
        With every choice made.
    state : RunState
        Where it stands.
    checkpoints : Checkpoints, optional
        Where it saves.
    """

    trainer: Trainer
    feeder: Feeder
    settings: Settings
    state: RunState
    checkpoints: Checkpoints | None = None

    def agreed(self, wish: bool) -> bool:
        """Return whether this process wishes it, or another that shares the training."""
        comm = self.trainer.comm
        return wish if comm is None else any(comm.gather(wish))

    def judged(self) -> Judgement:
        """Return how good the network is on the validation rows; of several, one says it."""
        comm = self.trainer.comm
        if comm is None:
            return self._judged()
        looks = comm.rank == 0 or self.feeder.collective
        return comm.broadcast(self._judged() if looks else Judgement(0))

    def _judged(self) -> Judgement:
        scores = self.feeder.evaluate(self.trainer.network, "validation")
        if not scores.rows:
            return Judgement(0)
        return Judgement(scores.rows, scores.loss, scores.metric, scores.finite)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        assert self.settings.epochs is not None
        return self.state.stopped_early or self.state.epochs >= self.settings.epochs

    def save(self) -> None:
        """Write a checkpoint, if there is a place for it."""
        if self.checkpoints is not None:
            self.state.feeder = self.feeder.state()
            self.checkpoints.save(self.trainer, self.state)

    def run(self, watcher: Watcher, asked: Callable[[], bool] = lambda: False) -> bool:
        """Train on.

        Parameters
        ----------
        watcher : Watcher
            Told of steps and epochs.
        asked : callable
            Whether to stop, between two steps; a checkpoint is saved then.

        Returns
        -------
        bool
            Whether the training is finished.

        Raises
        ------
        DivergedError
            As soon as a loss is not finite.
        OutputError
            If a checkpoint cannot be written, or what is told cannot; a checkpoint is saved then.
        """
        while not self.finished:
            if not self._one_epoch(watcher, asked):
                self.save()
                return False
            record = self.state.records[-1]
            try:
                watcher.epoch(record)
            except OutputError:  # of a log, which the run's own folder need not share
                with suppress(OutputError):
                    self.save()
                raise
            stop = self.agreed(asked())
            if self.checkpoints is not None and not self.finished:
                if stop or self.checkpoints.due_after(record.epoch):
                    self.save()
            if stop and not self.finished:
                return False
        self.save()
        return True

    def _one_epoch(self, watcher: Watcher, asked: Callable[[], bool]) -> bool:
        """Finish one epoch and judge it; False: asked to stop inside it."""
        due = self.checkpoints.due if self.checkpoints is not None else lambda: False
        trainer = self.trainer

        def stop() -> bool:
            watcher.tick(trainer.n_steps)
            return asked() or due()

        while True:
            try:
                record = self.feeder.run_epoch(trainer, stop)
            except DivergenceError as error:
                self.save()  # with the last finite parameters
                raise self._diverged(f"loss of step {error.step}", error.loss) from None
            except ValueError as error:  # such as a number beyond the network's dtype
                raise DataError(str(error)) from error
            if record is not None:
                break
            if self.agreed(asked()):
                return False
            self.save()
        self._judge(record)
        return True

    def _judge(self, record: EpochRecord) -> None:
        """Complete the epoch's record; note the best, and whether to stop early."""
        state, settings = self.state, self.settings
        scores = self.judged()
        if scores.rows:
            record["val_loss"], record["val_metric"] = scores.loss, scores.metric
            if not (scores.finite and math.isfinite(scores.loss)):
                raise self._diverged("validation loss", scores.loss)
            if scores.loss < state.best_loss:
                state.best_loss, state.best_epoch = scores.loss, record.epoch
                if settings.early_stopping:
                    state.best_parameters = self.trainer.network.parameters.copy()
        state.records.append(record)
        if settings.early_stopping and state.best_epoch is not None:
            state.stopped_early = record.epoch - state.best_epoch >= settings.early_stopping

    def _diverged(self, what: str, value: float) -> DivergedError:
        after = ", and the parameters after it are not finite" if math.isfinite(value) else ""
        return DivergedError(
            f"diverged: in epoch {self.state.epochs + 1} the {what} is {value}{after}; a smaller "
            f"--lr may help (it was {self.settings.lr:g}), or --clip-norm"
        )

    def keep_best(self) -> int | None:
        """Put the best epoch's parameters into the network, if early stopping kept any.

        The checkpoint that the run goes on from is saved before, with the last ones.
        """
        if self.state.best_parameters is not None:
            self.trainer.network.parameters[...] = self.state.best_parameters
            return self.state.best_epoch
        return self.state.epochs

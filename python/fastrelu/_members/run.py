# SPDX-License-Identifier: BSD-3-Clause
"""A member's part in one fit of its population."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core, epoch, optimizers
from fastrelu._members.member import Course, Member
from fastrelu._members.rows import MemberRows
from fastrelu.divergence import DivergenceError
from fastrelu.history import Callback, EpochRecord, History, call_callbacks

__all__ = ["MemberRun", "run_members"]


class Part:
    """A member's part in one fit: where it begins and ends, and what happens after its epochs.

    `turn` is held while callbacks are called, which all members of the fit have in common.
    """

    def __init__(
        self,
        member: Member,
        n_rows: int,
        patience: int | None,
        calls: list[Callback] | None = None,
        turn: threading.Lock | None = None,
    ) -> None:
        self.member, self._n_rows = member, n_rows
        self._patience = member.patience if member.patience is not None else patience
        self._calls, self._turn = calls or [], turn or threading.Lock()

    def begin(self, epochs: int, goes_on: bool) -> None:
        """Set where the member's fit ends: from where it began, if it goes on with one."""
        member = self.member
        if not goes_on:
            history = History(metric=member.trainer.loss.info.metric)
            member.course = Course(first_epoch=member.trainer.n_epochs, history=history)
            member.diverged = None
        epochs = epochs if member.epochs is None else member.epochs
        member.course.last_epoch = member.course.first_epoch + epochs
        if member.epochs_left == 0:
            member.restore_best()

    def evaluated(self) -> tuple[float, float] | None:
        """Return the loss and metric on the rows that the member is judged by; None without."""
        return None

    def after_epoch(self, loss: float, rate: float, seconds: float) -> bool:
        """Evaluate the member, and say whether it ends here."""
        member, course = self.member, self.member.course
        record = self._noted(loss, rate, seconds)
        if self._calls:
            with self._turn:
                course.stopped = call_callbacks(self._calls, member, record) or course.stopped
        if member.epochs_left > 0:
            return False
        member.restore_best()
        return True

    def end_diverged(self, error: DivergenceError) -> None:
        """End the member where its numbers were no longer finite."""
        self.member.diverged = error
        self.member.course.stopped = True

    def _noted(self, loss: float, rate: float, seconds: float) -> EpochRecord:
        member, course = self.member, self.member.course
        record = EpochRecord(
            epoch=course.first_epoch + len(course.history) + 1,
            loss=loss,
            learning_rate=rate,
            seconds=seconds,
            rows_per_second=self._n_rows / max(seconds, 1e-9),
        )
        found = self.evaluated()
        if found is not None:
            record["val_loss"], record["val_metric"] = found
        course.note(record, member.network.parameters, self._patience)
        return record


class MemberRun(Part):
    """A member's part in one fit whose rows are all in memory; the core runs it."""

    def __init__(
        self,
        member: Member,
        rows: MemberRows,
        calls: list[Callback],
        patience: int | None,
        turn: threading.Lock,
    ) -> None:
        self._data, self._order = rows.training(member)
        n_rows = self._data.n_rows if self._order is None else len(self._order)
        super().__init__(member, n_rows, patience, calls, turn)
        self._validation = rows.validation(member)
        self._asks = self._validation is not None or bool(calls)
        try:
            epoch.require_epoch_of(member.trainer, n_rows, member.sampling)
        except ValueError as error:
            raise ValueError(f"{member}: {error}") from error

    def evaluated(self) -> tuple[float, float] | None:
        """Return the loss and metric on the validation rows."""
        if self._validation is None:
            return None
        found = self.member.trainer._evaluated(self._validation)
        return found.loss, found.metric

    def for_core(self) -> dict[str, Any]:
        """Return what the core needs to know of the member."""
        trainer = self.member.trainer
        rate = trainer.optimizer.learning_rate
        return {
            "trainer": trainer._core,
            "data": self._data.core,
            "rows": self._order,
            "rates": self._next_rates if callable(rate) else float(rate),
            "epochs": self.member.epochs_left,
            "sampling": self.member.sampling,
            "given": None,
            "asks": self._asks,
        }

    def _next_rates(self, steps: int) -> NDArray[np.float64]:
        trainer = self.member.trainer
        rates = optimizers.learning_rates(trainer.optimizer, trainer.n_steps + 1, steps)
        return np.ascontiguousarray(rates, np.float64)

    def after(self, numbers: NDArray[np.float64]) -> None:
        """Take in what the core has left: epochs that nobody asked for, and a divergence.

        A signal may have been raised inside `after_epoch`, before the epoch was noted: it is noted
        now, so that the next fit goes on as if there had been no signal.
        """
        course = self.member.course
        noted = course.first_epoch + len(course.history)
        if self._asks and len(numbers) and self.member.trainer.n_epochs == noted + 1:
            self._noted(*numbers[-1, :3].tolist())
        if not self._asks:
            history = self.member.course.history
            loss, rate, seconds, _ = numbers.T
            history.loss += loss.tolist()
            history.learning_rate += rate.tolist()
            history.seconds += seconds.tolist()
            history.rows_per_second += (self._n_rows / np.maximum(seconds, 1e-9)).tolist()
        divergence = self.member.trainer._core.divergence
        if divergence is not None:
            self.end_diverged(DivergenceError(*divergence))


def run_members(runs: list[MemberRun], on_poll: Any) -> tuple[bool, int]:
    """Run these members: whether all have ended, and how many epochs they have made."""
    numbers: list[NDArray[np.float64]] = []
    try:
        finished = _core.run_population(
            [run.for_core() for run in runs],
            lambda i, *of_epoch: runs[i].after_epoch(*of_epoch),
            on_poll,
            numbers,
        )
    finally:
        for run, of_run in zip(runs, numbers, strict=False):
            run.after(of_run)
    return finished, sum(map(len, numbers))

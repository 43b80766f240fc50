# SPDX-License-Identifier: BSD-3-Clause
"""What is shown while a run goes on: a bar, plain lines, lines of JSON, TensorBoard scalars."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any

import click

from fastrelu import EpochRecord
from fastrelu.app.errors import OutputError
from fastrelu.app.run.json_lines import JsonLines
from fastrelu.app.run.tensorboard import TensorBoard
from fastrelu.app.run.watching import Nothing

__all__ = ["Bar", "JsonLines", "Lines", "Nothing", "Several", "TensorBoard", "watchers"]


def describe(record: EpochRecord, metric: str) -> str:
    """Return an epoch's numbers as a line has them."""
    text = f"loss {record.loss:.4g}"
    if record.val_loss is not None:
        text += f"  validation {record.val_loss:.4g}, {metric} {record.val_metric:.4f}"
    return f"{text}  {record.rows_per_second:,.0f} rows/s"


class Lines(Nothing):
    """Plain lines on standard error, one a second at most but for the last."""

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start."""
        self.epochs, self.metric, self.last = epochs, metric, 0.0
        self.every = max(1, epochs // 10)

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch: about ten of them, and more of a long run."""
        now, number = time.monotonic(), record["epoch"]
        if number % self.every and number != self.epochs and now - self.last < 10:
            return
        self.last = now
        click.echo(f"epoch {number}/{self.epochs}  {describe(record, self.metric)}", err=True)

    def status(self, text: str) -> None:
        """Show it every ten seconds."""
        now = time.monotonic()
        self.shown = getattr(self, "shown", now)
        if now - self.shown >= 10:
            self.shown = now
            click.echo(text, err=True)


class Bar(Nothing):
    """A bar in a terminal, with the time that is left."""

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.metric, self.epochs = metric, epochs
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )
        self.bar.start()
        self.task = self.bar.add_task("", total=epochs * steps, completed=done, epoch=1, text="")
        self.steps = steps
        self.tick(done)

    def tick(self, step: int) -> None:
        """Move the bar."""
        epoch = min(self.epochs, step // self.steps + 1)
        self.bar.update(self.task, completed=step, epoch=epoch)

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch."""
        self.bar.update(
            self.task,
            completed=record["epoch"] * self.steps,
            epoch=record["epoch"],
            text=describe(record, self.metric),
        )

    def status(self, text: str) -> None:
        """Write it over what was there, ten times a second at most."""
        now = time.monotonic()
        if now - getattr(self, "shown", 0.0) >= 0.1:
            self.shown, self.wrote = now, True
            click.echo(f"\r{text[:99]:<99}", err=True, nl=False)

    def pause(self) -> None:
        """Leave the bar as it is; wipe out a status."""
        if hasattr(self, "bar"):
            self.bar.stop()
        if getattr(self, "wrote", False):
            self.wrote = False
            click.echo("\r" + " " * 99 + "\r", err=True, nl=False)


class Several(Nothing):
    """All of some."""

    def __init__(self, each: list[Nothing]) -> None:
        self.each = each

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start."""
        for one in self.each:
            one.begin(epochs, steps, done, first, metric)

    def former(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs before."""
        for one in self.each:
            one.former(records)

    def tick(self, step: int) -> None:
        """Note the steps taken."""
        for one in self.each:
            one.tick(step)

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch."""
        for one in self.each:
            one.epoch(record)

    def status(self, text: str) -> None:
        """Show where several trainings stand."""
        for one in self.each:
            one.status(text)

    def candidate(self, record: dict[str, Any]) -> None:
        """Note a candidate that has been trained."""
        for one in self.each:
            one.candidate(record)

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs of a model."""
        for one in self.each:
            one.history(records)

    def result(self, metrics: dict[str, Any]) -> None:
        """Show the final metrics."""
        for one in self.each:
            one.result(metrics)

    def finished(
        self,
        candidates: Sequence[dict[str, Any]],
        records: Sequence[EpochRecord],
        metrics: dict[str, Any],
    ) -> None:
        """Note all of a run that has ended already."""
        for one in self.each:
            one.finished(candidates, records, metrics)

    def pause(self) -> None:
        """End what stands in the way of other lines."""
        for one in self.each:
            one.pause()

    def close(self) -> None:
        """End all of them, and raise the first one's OutputError, if any."""
        failed = None
        for one in self.each:
            try:
                one.close()
            except OutputError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def __enter__(self) -> Several:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; what has ended the run is told, and not what follows from it."""
        with nullcontext() if kind is None else suppress(OutputError):
            self.close()


def watchers(
    quiet: bool,
    log_json: str | None,
    tensorboard: str | None,
    resumed: bool,
    run: str | None = None,
) -> Several:
    """Return what the flags ask for; `resumed` runs go on in the files that they have begun.

    `run` tells the records of a run from others': see `JsonLines`.
    """
    each: list[Nothing] = []
    if not quiet:
        each.append(Bar() if sys.stderr.isatty() else Lines())
    if log_json is not None:
        each.append(JsonLines(log_json, resumed, run))
    if tensorboard is not None:
        each.append(TensorBoard(tensorboard))
    return Several(each)

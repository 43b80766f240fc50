# SPDX-License-Identifier: BSD-3-Clause
"""What is shown while a run goes on: a bar, plain lines, lines of JSON, TensorBoard scalars."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from fastrelu import EpochRecord
from fastrelu.app.errors import ConfigError, OutputError
from fastrelu.app.run_folder import finite, writing


class Nothing:
    """Shows nothing; what the others refine."""

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start.

        Parameters
        ----------
        epochs, steps : int
            Epochs in all, and the steps of each.
        done : int
            Steps that were taken before.
        first : int
            The first epoch that `epoch` will be called for.
        metric : str
            The metric's name.
        """

    def former(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs of the run that is to go on, before `begin`."""

    def tick(self, step: int) -> None:
        """Note the steps taken."""

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch."""

    def status(self, text: str) -> None:
        """Show where several trainings stand, in place of what was shown of it before."""

    def candidate(self, record: dict[str, Any]) -> None:
        """Note a candidate that has been trained."""

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Note the epochs of a model whose members have been trained: their means."""

    def result(self, metrics: dict[str, Any]) -> None:
        """Show the final metrics."""

    def pause(self) -> None:
        """End what stands in the way of other lines: the training is over."""

    def close(self) -> None:
        """End."""


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


class JsonLines(Nothing):
    """A line of JSON for each epoch and for the result, after those that the file has.

    Parameters
    ----------
    target : str
        The file; - is standard output.
    resumed : bool
        Whether the run goes on: then the lines of epochs that it wrote after its last checkpoint,
        and that are trained again, are dropped.
    """

    def __init__(self, target: str, resumed: bool = False) -> None:
        self.path, self.resumed = Path(target), resumed
        self.file: IO[str] = sys.stdout
        if target != "-":
            with writing(self.path):
                self.file = open(self.path, "a", encoding="utf-8")

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start: drop the epochs at the file's end that come again, once."""
        if self.resumed and self.path.is_file():
            with writing(self.path):
                _drop_epochs(self.path, first)
        self.resumed = False

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch."""
        self._write({"event": "epoch", **record})

    def candidate(self, record: dict[str, Any]) -> None:
        """Write a candidate."""
        self._write({"event": "candidate", **record})

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Write the epochs."""
        for record in records:
            self.epoch(record)

    def result(self, metrics: dict[str, Any]) -> None:
        """Write the final metrics."""
        self._write({"event": "result", **metrics})

    def _write(self, value: dict[str, Any]) -> None:
        with writing(self.path):
            self.file.write(json.dumps(finite(value), allow_nan=False) + "\n")
            self.file.flush()

    def close(self) -> None:
        """End."""
        if self.file is not sys.stdout:
            self.file.close()


def _drop_epochs(path: Path, first: int) -> None:
    """Cut off the epochs from `first` on at the end of a file of lines, and a line cut short."""
    with open(path, "r+b") as file:
        lines = file.readlines()
        before = None  # the epoch of the line below
        while lines:
            epoch = _epoch_of(lines[-1])
            whole = lines[-1].endswith(b"\n")
            if whole and (epoch is None or epoch < first or (before and epoch >= before)):
                break
            before = epoch if whole else before
            lines.pop()
        file.truncate(sum(map(len, lines)))


def _epoch_of(line: bytes) -> int | None:
    """Return the epoch that a line tells of; None for other lines."""
    try:
        value = json.loads(line)
        return int(value["epoch"]) if value["event"] == "epoch" else None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


class TensorBoard(Nothing):
    """Scalars in a folder that TensorBoard shows."""

    def __init__(self, folder: str) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ConfigError(
                "--tensorboard needs tensorboardX: pip install tensorboardX"
            ) from None
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--tensorboard {folder}: cannot be written ({error})") from None
        self.folder, self._open, self.writer = folder, SummaryWriter, None

    def former(self, records: Sequence[EpochRecord]) -> None:
        """Write all epochs again, in place of those there: a killed run kept some in memory."""
        if records and self.writer is None:
            self.history(records)

    def begin(self, epochs: int, steps: int, done: int, first: int, metric: str) -> None:
        """Start: epochs that a killed run wrote after its last checkpoint are dropped."""
        if self.writer is not None:  # the next fold, or the last training of a search
            return
        try:
            self.writer = self._open(self.folder, purge_step=first)
        except OSError as error:
            message = f"--tensorboard {self.folder}: cannot be written ({error})"
            raise OutputError(message) from None

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch."""
        for name, value in record.items():
            if self.writer is not None and name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, record["epoch"])

    def history(self, records: Sequence[EpochRecord]) -> None:
        """Write the epochs."""
        self.begin(len(records), 1, 0, 1, "")
        for record in records:
            self.epoch(record)

    def close(self) -> None:
        """End."""
        if self.writer is not None:
            self.writer.close()


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

    def pause(self) -> None:
        """End what stands in the way of other lines."""
        for one in self.each:
            one.pause()

    def close(self) -> None:
        """End."""
        for one in self.each:
            one.close()


def watchers(quiet: bool, log_json: str | None, tensorboard: str | None, resumed: bool) -> Several:
    """Return what the flags ask for; `resumed` runs go on in the files that they have begun."""
    each: list[Nothing] = []
    if not quiet:
        each.append(Bar() if sys.stderr.isatty() else Lines())
    if log_json is not None:
        each.append(JsonLines(log_json, resumed))
    if tensorboard is not None:
        each.append(TensorBoard(tensorboard))
    return Several(each)

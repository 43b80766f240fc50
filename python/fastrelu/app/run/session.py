# SPDX-License-Identifier: BSD-3-Clause
"""A run of the command: new or resumed, from the data to the files in its folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastrelu import __version__, get_isa, get_num_threads, set_num_threads
from fastrelu.app import run_folder
from fastrelu.app.data.readers import read
from fastrelu.app.data.readers.files import BUNDLED, STANDARD_INPUT, Source, expand
from fastrelu.app.data.split import PARTS
from fastrelu.app.data.stream import open_stream
from fastrelu.app.data.stream.source import Stream
from fastrelu.app.data.table import Table
from fastrelu.app.errors import CheckpointError, DivergedError, OutputError, debugging
from fastrelu.app.kinds import size
from fastrelu.app.metrics import Scores
from fastrelu.app.model import Model
from fastrelu.app.run.build import build
from fastrelu.app.run.checkpoint import Checkpoints, RunState
from fastrelu.app.run.feeder import Feeder
from fastrelu.app.run.interrupt import Interrupt, Interrupted
from fastrelu.app.run.loop import Training
from fastrelu.app.run.prepare import Prepared, column_choice, prepare
from fastrelu.app.run.progress import Several
from fastrelu.app.run.resumed import compare, ended_with
from fastrelu.app.run.threshold import (
    absent_metrics,
    require_two_classes,
    threshold_metrics,
    with_threshold,
)
from fastrelu.app.run_folder import RunFolder
from fastrelu.app.settings import (
    Settings,
    as_dict,
    options,
    shown,
)  # fmt: skip
from fastrelu.app.settings_file import to_toml
from fastrelu.distributed import Communicator

READING = "reading"  # in metrics.json, beside what is told of the result
Say = Callable[[str], None]
Loaded = tuple[Any, RunState]


def load_rows(
    settings: Settings, began: Mapping[str, Any] | None = None
) -> tuple[Table | Stream, bool]:
    """Read what the settings name; open it as a stream, if it is larger than --memory.

    Parameters
    ----------
    settings : Settings
        The user's choices.
    began : mapping, optional
        The state of the feeder in a checkpoint of the run, which goes on as it began: in memory
        ({}), whether --memory allows it today or not, or streamed, by the split of its version.

    Returns
    -------
    data : Table or Stream
        The rows.
    former : bool
        Whether they are a stream's as of fastrelu 0.1; see `prepare`.

    Raises
    ------
    CheckpointError
        If the run was streamed, and the data are not larger than --memory any more.
    DataError
        If they cannot be read.
    """
    choice = column_choice(settings)
    in_memory = began is not None and not began
    stream = None if in_memory else open_stream(settings.data, choice, size(settings.memory))
    if stream is not None:
        # A stream's checkpoint of fastrelu 0.1 does not say how its rows were split.
        former = began is not None and "split" not in began
        return stream, former
    if began:
        for path in expand(settings.data):
            Source(path)  # says of a file that it is missing or empty
        raise CheckpointError(
            "the checkpoint does not fit: its data were larger than --memory "
            f"{settings.memory} and read in blocks, and those of today are not: they have "
            "changed; give the data that it began with, or start a new run"
        )
    return read(list(settings.data), choice), False


def load_data(settings: Settings, began: Mapping[str, Any] | None = None) -> Prepared:
    """Read and prepare what the settings name, for one network; see `load_rows`."""
    data, former = load_rows(settings, began)
    return prepare(data, settings, former=former)


class Session:
    """One run of ``fastrelu train``.

    Parameters
    ----------
    settings : Settings
        What the run is set to.
    folder : RunFolder, optional
        Where it saves.
    watcher : Several
        What shows its progress.
    say : callable
        Takes lines for the user.
    command : str
        As it was typed, for the report.
    """

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder | None,
        watcher: Several,
        say: Say,
        command: str = "",
    ) -> None:
        self.given = self.settings = settings  # the user's choices; then with every choice made
        self.folder = folder
        self.watcher, self.say, self.command = watcher, say, command
        self.interrupt = Interrupt("interrupted: no epoch has begun")
        self.rows: Table | Stream | None = None  # where they have been read already
        self.comm: Communicator | None = None  # the processes that share the training

    def start(self, force: bool = False) -> dict[str, Any]:
        """Run from the beginning and return the metrics."""
        with self.interrupt:
            return self._start(force)

    def _start(self, force: bool) -> dict[str, Any]:
        if self.folder is not None:
            self.folder.take(force)
        return self.begin()

    def begin(self) -> dict[str, Any]:
        """Run from the beginning, in a folder that has been taken, and return the metrics."""
        prepared = self._prepared()
        if self.folder is not None:
            self.folder.clear()
            self._save_settings()
        return self._train(prepared, None)

    def resume(self) -> dict[str, Any]:
        """Go on with the run in the folder, which `reopen` gave, and return the metrics."""
        self.interrupt.text = (
            f"interrupted before it went on; {self._how_to_resume('nothing is lost')}"
        )
        with self.interrupt:
            return self._resume()

    def _resume(self) -> dict[str, Any]:
        assert self.folder is not None
        checkpoints = Checkpoints(self.folder.checkpoints, self.settings.checkpoint_every, 1)
        loaded = checkpoints.load(lambda text: self.say(f"warning: {text}"))
        if loaded is not None:
            metrics = self._finished(loaded[1])
            if metrics is not None:
                return metrics
        prepared = self._prepared(self._began(loaded))
        if loaded is None:
            self.say("no checkpoint yet: the run starts from its beginning")
        else:
            compare(loaded[1].fingerprint, self._fingerprint(prepared), self.say)
            self.say(f"resumed: {loaded[1].epochs} epochs and {loaded[0].n_steps} steps are done")
        self._save_settings()
        return self._train(prepared, loaded)

    def _began(self, loaded: Loaded | None) -> Mapping[str, Any] | None:
        """Return how the data of a resumed run were read when it began; see `load_data`."""
        return None if loaded is None else loaded[1].feeder

    def _finished(self, state: RunState) -> dict[str, Any] | None:
        """Return the metrics if there is nothing left to do."""
        assert self.folder is not None and self.settings.epochs is not None
        if not (state.stopped_early or state.epochs >= self.settings.epochs):
            return None
        metrics = ended_with(self.folder, self.say)
        if metrics is None or metrics.get("epochs") != state.epochs:
            return None
        # It may have been killed before it told.
        self.watcher.finished([], state.records, told_of(metrics))
        early = " (stopped early)" if state.stopped_early else ""
        self.say(
            f"the run in {self.folder.path} is finished: {state.epochs} epochs{early}; "
            "--epochs N trains on"
        )
        return metrics

    def _prepared(self, began: Mapping[str, Any] | None = None) -> Prepared:
        if self.settings.threads is not None:
            set_num_threads(self.settings.threads)
        if self.rows is None:
            prepared = self._loaded(began)
        else:
            prepared, self.rows = prepare(self.rows, self.settings), None
        return self._announced(prepared)

    def _loaded(self, began: Mapping[str, Any] | None) -> Prepared:
        """Read and prepare the data."""
        return load_data(self.settings, began)

    def _announced(self, prepared: Prepared) -> Prepared:
        """Take over the choices made, and say what the data are."""
        self.settings = prepared.settings
        name, target = prepared.target_name, prepared.target
        classes = f", {len(target.classes)} classes" if target.classes else ""
        self.say(
            f"data: {prepared.source}, {prepared.n_rows:,} rows; "
            f"target {name!r}, {target.task}{classes}"
        )
        for line in read_as(prepared):
            self.say(line)
        for note in prepared.notes:
            self.say(f"note: {note}")
        require_two_classes(self.settings.threshold, target)
        counts = prepared.counts()
        parts = [part for part in PARTS if counts[part] or not self.settings.by_recipe]
        self.say("split: " + ", ".join(f"{counts[part]:,} {part}" for part in parts) + " rows")
        return prepared

    def _save_settings(self) -> None:
        assert self.folder is not None
        settings = self._saved_settings()
        text = to_toml(
            replace(settings, data=absolute(settings.data)),
            f"fastrelu {__version__}: the settings of this run; fastrelu train --config takes them"
            + run_folder.as_comment(self.folder.run),
        )
        self.folder.write_text(run_folder.CONFIG, text)

    def _saved_settings(self) -> Settings:
        """Return the settings from which the same run can be made again."""
        return self.settings

    def _fingerprint(self, prepared: Prepared) -> dict[str, Any]:
        return {"data": prepared.fingerprint, "settings": self._fixed()}

    def _fixed(self) -> dict[str, Any]:
        """Return the settings that the model depends on."""
        fixed = {each.name for each, option in options() if option.fixed}
        return {k: v for k, v in as_dict(self.settings).items() if k in fixed}

    def _train(self, prepared: Prepared, loaded: Loaded | None) -> dict[str, Any]:
        feeder = prepared.feeder()
        try:
            return self._train_with(feeder, prepared, loaded)
        finally:
            feeder.close()

    def _train_with(
        self, feeder: Feeder, prepared: Prepared, loaded: Loaded | None
    ) -> dict[str, Any]:
        settings = self.settings
        steps = feeder.steps_in_epoch()
        if loaded is None:
            state = RunState(fingerprint=self._fingerprint(prepared))
            parts = prepared.inputs, prepared.target, prepared.loss
            trainer = build(settings, *parts, steps, self.comm)
        else:
            trainer, state = loaded
            feeder.restore(state.feeder)
        checkpoints = None
        if self.folder is not None:
            checkpoints = Checkpoints(
                self.folder.checkpoints,
                settings.checkpoint_every,
                settings.keep,
                bool(self.comm),
                self.folder,
            )
            size = checkpoints.size(trainer, bool(settings.early_stopping))
            self.folder.require_space(size * (settings.keep + 2))  # also the model, about
        net = trainer.network
        sizes = "-".join(map(str, net.layer_sizes))
        self.say(
            f"network: {sizes}, {net.n_parameters:,} parameters, {settings.dtype}, "
            f"{get_num_threads()} threads"
        )
        self.say(
            f"training: {settings.epochs} epochs of {steps:,} steps, batch {settings.batch_size}, "
            f"{settings.optimizer} {settings.lr:g} {settings.schedule}, seed {settings.seed}"
        )
        training = Training(trainer, feeder, settings, state, checkpoints)
        self._run(training, prepared.loss.info.metric, steps)
        return self._finish(training, prepared)

    def _run(self, training: Training, metric: str, steps: int) -> None:
        assert self.settings.epochs is not None
        interrupt = self.interrupt
        first = len(training.state.records) + 1
        self.watcher.former(training.state.records)
        self.watcher.begin(self.settings.epochs, steps, training.trainer.n_steps, first, metric)
        interrupt.text = None  # from here on a signal is noted, and the minibatch finished
        try:
            finished = training.run(self.watcher, lambda: interrupt.asked is not None)
        finally:
            self.watcher.pause()
            if self.folder is not None and training.state.records:
                with suppress(OutputError):  # told by what else ends the run, or by _write
                    self.folder.write_history(training.state.records)
        where = f"{training.state.epochs} of {self.settings.epochs} epochs are done"
        text = f"interrupted: {where}; {self._how_to_resume()}"
        if not finished:
            raise Interrupted(self._asked(), text)
        interrupt.text = text  # every file is written whole, or not at all

    def _asked(self) -> int:
        """Return the signal that has stopped the run."""
        assert self.interrupt.asked is not None
        return self.interrupt.asked

    def _how_to_resume(self, saved: str = "a checkpoint is saved") -> str:
        if self.folder is None:
            return "nothing is saved without --out DIR"
        return f"{saved}\ngo on with: fastrelu train --resume {shlex.quote(str(self.folder.path))}"

    def _finish(self, training: Training, prepared: Prepared) -> dict[str, Any]:
        """Judge the trained network and write what the folder holds."""
        settings, state = self.settings, training.state
        training.feeder.close()  # the memory is for judging and for the report
        used = training.keep_best()
        net = training.trainer.network
        target = with_threshold(
            settings.threshold,
            prepared.target,
            lambda: training.feeder.evaluate(net, "validation"),
            self.say,
        )
        scores = {}
        for part in PARTS:
            scores[part] = training.feeder.evaluate(net, part, target)
            prepared.give_back(part)
        if not all(each.finite for each in scores.values()):
            raise DivergedError("diverged: the trained network's outputs are not finite")
        metrics = self._metrics(training, prepared, scores)
        metrics |= threshold_metrics(settings.threshold, target)
        model = Model(
            net,
            prepared.inputs,
            target,
            prepared.target_name,
            prepared.loss,
            {
                "fastrelu": __version__,
                "metrics": {part: metrics[part] for part in PARTS if part in metrics},
                "rows": metrics["rows"],
                "settings": self._fixed() | {"epochs": settings.epochs},
                "epochs": state.epochs,
                "epoch_used": used,
                **kept_reading(prepared),
            },
        )
        if self.folder is not None:
            self._write(model, metrics, state, prepared)
        self.watcher.result(metrics)
        return metrics

    def _metrics(
        self, training: Training, prepared: Prepared, scores: Mapping[str, Scores]
    ) -> dict[str, Any]:
        settings, net = self.settings, training.trainer.network
        return {
            **{part: scores[part].result() for part in ("test", "validation", "train")
               if scores[part].rows},
            **absent_metrics(scores),
            "task": prepared.target.task,
            "target": prepared.target_name,
            "rows": prepared.counts(),
            "layer_sizes": list(net.layer_sizes),
            "n_parameters": net.n_parameters,
            "epochs": training.state.epochs,
            "best_epoch": training.state.best_epoch,
            "stopped_early": training.state.stopped_early,
            "batch_size": settings.batch_size,
            "optimizer": settings.optimizer,
            "lr": settings.lr,
            "loss": settings.loss,
            "seed": settings.seed,
            "dtype": settings.dtype,
            "fastrelu": __version__,
            "isa": get_isa(),
        }  # fmt: skip

    def _write(
        self, model: Model, metrics: dict[str, Any], state: RunState, prepared: Prepared
    ) -> None:
        """Write the results; metrics.json comes last and says that the run is complete."""
        assert self.folder is not None
        path = self.folder.path
        self.folder.write_history(state.records)
        with run_folder.writing(path / run_folder.MODEL):
            model.save(path / run_folder.MODEL)
        self._report(model, metrics, state, prepared)
        self.folder.write_json(run_folder.METRICS, metrics | kept_reading(prepared))

    def _report(
        self, model: Model, metrics: dict[str, Any], state: RunState, prepared: Prepared
    ) -> None:
        """Write the report; a fault in it is told, and costs nobody a trained model."""
        from fastrelu.app.report.gather import Run, report_run

        assert self.folder is not None
        sources = list(self.settings.data) or ["query"]
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        run = Run(
            model,
            prepared,
            metrics,
            state.records,
            as_dict(self.settings),
            [*read_as(prepared), *prepared.notes],
            self.command,
            os.path.basename(sources[0]) + more,
        )
        try:
            with run_folder.writing(self.folder.path / run_folder.REPORT):
                found = report_run(run, self.folder.path, run_folder.MODEL)
        except OutputError:
            raise
        except Exception as error:
            if debugging():
                raise
            self.say(f"warning: no {run_folder.REPORT} ({type(error).__name__}: {error})")
            return
        metrics |= found


def read_as(prepared: Prepared) -> list[str]:
    """Return in a line how text was read; nothing for other formats."""
    line = prepared.reading.line() if prepared.reading is not None else ""
    return [line] if line else []


def told_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of the result of metrics.json's content."""
    return {name: value for name, value in metrics.items() if name != READING}


def kept_reading(prepared: Prepared) -> dict[str, Any]:
    """Return what a model file says of the reading of texts."""
    return {} if prepared.reading is None else {READING: prepared.reading.describe()}


def absolute(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths that mean the same from any folder."""
    kept = (*BUNDLED, STANDARD_INPUT)
    return tuple(path if path in kept else os.path.abspath(path) for path in paths)


__all__ = ["Session", "load_data", "shown"]

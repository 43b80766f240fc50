# SPDX-License-Identifier: BSD-3-Clause
"""A run by the recipe of tables (``--preset fast|default|best``): the estimators' members."""

from __future__ import annotations

import csv
import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastrelu import (
    EpochRecord,
    __version__,
    elementary,
    get_isa,
    get_num_threads,
    set_num_threads,
    whole_files,
)
from fastrelu.app import ensemble, kinds, run_folder
from fastrelu.app.data.table import Table
from fastrelu.app.described import anything, mapping
from fastrelu.app.ensemble import Ensemble
from fastrelu.app.errors import CheckpointError, ConfigError, DivergedError
from fastrelu.app.metrics import Scores
from fastrelu.app.model import Model
from fastrelu.app.preprocess import Target
from fastrelu.app.preprocess.inputs import Seen, warnings_of
from fastrelu.app.run.checkpoint import RunState
from fastrelu.app.run.prepare import Prepared
from fastrelu.app.run.recipe_data import (
    asks_for_one,
    by_columns,
    prepare_for_recipe,
    problem_of,
)
from fastrelu.app.run.resumed import compare, ended_with
from fastrelu.app.run.rows import LaterExamples
from fastrelu.app.run.session import Session, kept_reading, load_rows, told_of
from fastrelu.app.run.threshold import (
    absent_metrics,
    require_two_classes,
    threshold_metrics,
    with_threshold,
)
from fastrelu.app.run.together import mean_history
from fastrelu.app.settings_file import recipe_by
from fastrelu.app.tabular.clock import Clock
from fastrelu.app.tabular.fit import Fitted, Observer, Plan, fit_members
from fastrelu.app.tabular.monotone import directions_of, rising_of
from fastrelu.app.tabular.recipe import Candidate, candidates
from fastrelu.app.tabular.train import Problem, Trial
from fastrelu.app.tabular.training_rows import WholeRows
from fastrelu.app.usual import LEFT_OUT, PRESETS, SINGLE
from fastrelu.history import History
from fastrelu.population import Member, Population


class RecipeSession(Session):
    """A run of several members by folds, of the candidate that was best where they left rows out.

    Where the data speak of one network, and no preset was asked for, it hands over to `Session`.
    """

    def begin(self) -> dict[str, Any]:
        """Run from the beginning, in a folder that has been taken, and return the metrics."""
        prepared = self._rows_or_reason()
        if isinstance(prepared, str):
            return self._of_one_network(prepared)
        if self.folder is not None:
            self.folder.clear()
            self._save_settings()
        return self._train(self._announced(prepared), None)

    def _rows_or_reason(self) -> Prepared | str:
        """Return the data ready for the recipe, or why one network is to be trained on them."""
        if self.settings.threads is not None:
            set_num_threads(self.settings.threads)
        self.rows, _ = load_rows(self.settings)
        reason = asks_for_one(self.rows, self.settings)
        prepared = None
        if reason is None:
            assert isinstance(self.rows, Table)
            prepared = prepare_for_recipe(self.rows, self.settings)
            reason = "no column tells the training rows apart"
        if prepared is not None:
            self.settings, self.rows = prepared.settings, None
            return prepared
        asked = recipe_by(vars(self.settings))
        if self.settings.preset is not None:
            asked = f"--preset {self.settings.preset}"
        if asked:
            raise ConfigError(f"{asked}: {reason}; --preset {SINGLE} trains one network on them")
        return reason

    def _of_one_network(self, reason: str) -> dict[str, Any]:
        self.say(f"one network (--preset {SINGLE}), as {reason}")
        other = Session(
            replace(self.settings, preset=SINGLE), self.folder, self.watcher, self.say, self.command
        )
        other.interrupt, other.rows = self.interrupt, self.rows
        return other.begin()

    def _resume(self) -> dict[str, Any]:
        assert self.folder is not None
        metrics = ended_with(self.folder, self.say)
        if metrics is not None:
            self._tell_finished(metrics)
            self._remove_checkpoints()
            self.say(f"the run in {self.folder.path} is finished: its members have stopped")
            return metrics
        prepared = self._rows_or_reason()
        assert isinstance(prepared, Prepared)  # the run began with its preset
        self._announced(prepared)
        begun = self.folder.checkpoints / run_folder.BEGUN
        if self._place() is None or not begun.exists():
            asked = recipe_by(vars(self.settings))
            why = f" (a run with {asked} keeps none)" if asked else ""
            self.say(f"no checkpoint yet{why}: the run starts from its beginning")
        else:
            saved, now = _begun(begun), self._fingerprint(prepared)
            compare(saved, now, self.say)
            if saved.get("recipe") != now["recipe"]:
                raise CheckpointError(
                    "the checkpoint does not fit: the version of fastrelu that began this run "
                    "tries other candidates than this one; go on with that version, or train anew "
                    "(--force)"
                )
        self._save_settings()
        return self._train(prepared, None)

    def _train(self, prepared: Prepared, loaded: Any) -> dict[str, Any]:
        settings = self.settings
        assert settings.preset is not None
        table, problem, target = problem_of(prepared)
        require_two_classes(settings.threshold, target)
        place = self._place()
        if place is not None:
            begun = json.dumps(self._fingerprint(prepared))
            with run_folder.writing(place / run_folder.BEGUN):
                whole_files.write_bytes(place / run_folder.BEGUN, begun.encode())
        progress, clock = Progress(self, place), Clock(settings.time_limit)
        plan, random = self._plan(table, problem), random_of(settings.seed)
        # A disk may be full when members are saved; nothing else touches files meanwhile.
        with nullcontext() if place is None else run_folder.writing(place):
            fitted = fit_members(WholeRows(table), problem, plan, clock, random, progress)
        self.watcher.pause()
        self.interrupt.text = f"interrupted: the members are trained; {self._how_to_resume()}"
        factor = f"shrinkage {fitted.shrinkage:.3f}"
        self.say(f"chosen: {fitted.best.candidate}; {factor}; {clock.spent:.1f} s")
        own = replace(prepared.split_rows, inputs=fitted.inputs, target=target)
        prepared = replace(prepared, split_rows=own)
        metrics = self._judged_recipe(prepared, fitted)
        return metrics

    def _fingerprint(self, prepared: Prepared) -> dict[str, Any]:
        """Return what a run that goes on must have in common with the one that began."""
        preset = self.settings.preset or PRESETS[0]
        columns = len(by_columns(prepared.table).columns)
        tried = candidates(preset, len(prepared.rows["train"]), columns)
        return {**super()._fingerprint(prepared), "recipe": [str(each) for each in tried]}

    def _place(self) -> Path | None:
        """Return where members are saved; nowhere without a folder, or if none could go on.

        A limit of time depends on when a run began, and members within bounds are trained epoch by
        epoch.
        """
        goes_on = not (self.settings.time_limit or self.settings.monotone)
        return self.folder.checkpoints if self.folder is not None and goes_on else None

    def _plan(self, table: Table, problem: Problem) -> Plan:
        settings = self.settings
        assert settings.preset is not None
        wanted = kinds.directions(settings.monotone)
        try:
            found = directions_of(wanted, list(table.columns), table)
            return Plan(settings.preset, None, found, rising_of(problem) if found else [])
        except ValueError as error:
            raise ConfigError(f"--{error}") from None

    def _judged_recipe(self, prepared: Prepared, fitted: Fitted) -> dict[str, Any]:
        """Judge the members and write what the folder holds."""
        own = prepared.split_rows
        both = Ensemble(fitted.networks, ensemble.link_of(own.loss))
        settings = self.settings
        target = with_threshold(
            settings.threshold,
            own.target,
            lambda: scores_of_held(fitted, own.target, prepared),
            self.say,
        )
        own = replace(own, target=target)
        test = LaterExamples(own, prepared.table, prepared.rows["test"])
        seen: Seen = Counter()
        test.check(seen)
        for note in [f"test: {text}" for text in warnings_of(seen)]:
            self.say(f"note: {note}")
            prepared.notes.append(note)
        scores = ensemble.evaluate(both, test.batches(), own.target, own.loss)
        held = scores_of_held(fitted, own.target, prepared)
        if not (scores.finite and held.finite):
            raise DivergedError("diverged: a trained network's outputs are not finite")
        records = mean_history([records_of(history) for history in fitted.best.histories])
        metrics = self._recipe_metrics(prepared, fitted, both)
        parts = {"test": scores.result()} if scores.rows else {}
        absent = absent_metrics({"test": scores, LEFT_OUT: held})
        metrics = {**parts, LEFT_OUT: held.result(), **absent, **metrics}
        metrics |= threshold_metrics(settings.threshold, target)
        about = {
            "fastrelu": __version__,
            "metrics": {part: metrics[part] for part in (*parts, LEFT_OUT)},
            "rows": metrics["rows"],
            "settings": self._fixed(),
            "epochs": metrics["epochs"],
            "members": len(both.networks),
            "recipe": metrics["recipe"],
            **kept_reading(prepared),
        }
        name = prepared.target_name
        model = Model(both, own.inputs, own.target, name, own.loss, about)
        if self.folder is not None:
            self.folder.write_rows(run_folder.MEMBERS, metrics["members"])
            self._write(model, metrics, RunState(records=records), prepared)
            self._remove_checkpoints()
        self.watcher.history(records)
        self.watcher.result(metrics)
        return metrics

    def _remove_checkpoints(self) -> None:
        """Remove what members are saved in: nothing goes on from a finished run."""
        assert self.folder is not None
        for name in (run_folder.BEGUN, run_folder.CHECKPOINT_FILES):
            for path in self.folder.checkpoints.glob(name):
                with run_folder.writing(path):
                    path.unlink()

    def _tell_finished(self, metrics: dict[str, Any]) -> None:
        """Tell all of a finished run, which may have been killed before it told it."""
        assert self.folder is not None
        path = self.folder.path / run_folder.HISTORY
        try:
            tried = [
                mapping(each, "candidate", anything) for each in metrics["recipe"]["candidates"]
            ]
            records = [EpochRecord(**row) for row in run_folder.read_history(path)]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
            self.say(f"warning: {path}: {error}; logs get no more of this run")
            return
        self.watcher.finished([dict(each) for each in tried], records, told_of(metrics))

    def _recipe_metrics(self, prepared: Prepared, fitted: Fitted, both: Ensemble) -> dict[str, Any]:
        settings, best = self.settings, fitted.best
        lengths = [len(history) for history in best.histories]
        return {
            "task": prepared.target.task,
            "target": prepared.target_name,
            "rows": prepared.counts(),
            "layer_sizes": list(both.layer_sizes),
            "n_parameters": both.n_parameters,
            "epochs": max(lengths),
            "best_epoch": None,
            "stopped_early": True,
            "preset": settings.preset,
            "recipe": {
                "candidate": str(best.candidate),
                "candidates": [
                    {"candidate": str(t.candidate), "loss": loss, "epochs": t.epochs}
                    for t, loss in zip(fitted.trials, fitted.losses, strict=True)
                ],
                "shrinkage": fitted.shrinkage,
                "trained_rows": len(fitted.data),
            },
            "members": [
                {"member": k + 1, "epochs": n, "epoch_used": epoch, "left_out_loss": loss}
                for k, (n, epoch, loss) in enumerate(
                    zip(lengths, best.epochs, member_losses(fitted), strict=True)
                )
            ],
            "batch_size": best.candidate.batch_size,
            "optimizer": "adamw",
            "lr": best.candidate.learning_rate,
            "loss": settings.loss,
            "seed": settings.seed,
            "dtype": "float32",
            "fastrelu": __version__,
            "isa": get_isa(),
        }


class Progress(Observer):
    """Tells a session's user how the recipe goes on, and says where members are saved.

    Parameters
    ----------
    session : RecipeSession
        Whose watcher and lines it uses.
    place : Path or None
        The folder of the checkpoints.
    """

    def __init__(self, session: RecipeSession, place: Path | None) -> None:
        self.session, self.place = session, place
        seconds, _ = kinds.cadence(session.settings.checkpoint_every)
        self.checkpoint_seconds = seconds or self.checkpoint_seconds  # epochs are of one network
        self.epochs: list[int] = []
        self.name = ""

    def tell(self, text: str) -> None:
        """Say what a limit of time leaves out; the sizes are said of the candidates."""
        if text.startswith("time_limit"):
            self._say("--time-limit" + text.removeprefix("time_limit"))

    def begin(self, number: int, count: int, candidate: Candidate, members: int) -> None:
        """Say what is to come, and what a signal would end."""
        session = self.session
        if session.folder is not None:
            session.folder.require_held()  # its members are saved in it, and an end removes them
        if not number:
            session.say(
                f"training: {members} members by folds, {count} "
                f"{'candidates' if count > 1 else 'candidate'} (--preset {session.settings.preset})"
                f", seed {session.settings.seed}, {get_num_threads()} threads"
            )
        self.name = f"candidate {number + 1} of {count}"
        self.epochs = [0] * members
        lost = "it starts from its beginning" if self.place is None else "the members are saved"
        session.interrupt.text = (
            f"interrupted: {self.name} is in training; {session._how_to_resume(lost)}"
        )

    def epoch(self, member: Member, record: EpochRecord) -> None:
        """Show the epochs of the members."""
        self.epochs[member.index] = record.epoch
        shown = " ".join(str(n or "-") for n in self.epochs)
        self.session.watcher.status(f"{self.name}: members at epoch {shown}")

    def end(self, number: int, trial: Trial, loss: float) -> None:
        """Say how good a candidate is, and which epochs its members keep."""
        kept = " ".join(map(str, trial.epochs))
        self._say(f"{self.name}: {trial.candidate}: loss {loss:.5g}, epochs kept {kept}")
        record = {"candidate": str(trial.candidate), "loss": loss, "epochs": trial.epochs}
        self.session.watcher.candidate(record)

    def checkpoint(self, number: int) -> Path | None:
        """Return where a candidate's members are saved; a damaged file is said and left out."""
        if self.place is None:
            return None
        path = self.place / f"checkpoint-candidate-{number:03d}.safetensors"
        if path.exists():
            try:
                Population.from_checkpoint(path)
            except (OSError, ValueError) as error:
                self._say(f"warning: {path}: {error}; its members are trained anew")
                path.unlink()
        return path

    def _say(self, text: str) -> None:
        self.session.watcher.pause()
        self.session.say(text)


def random_of(seed: int) -> np.random.RandomState:
    """Return the source of folds and seeds: that of an estimator's `random_state` below 2^32."""
    if seed < 2**32:
        return np.random.RandomState(seed)
    return np.random.RandomState([seed % 2**32, seed >> 32])


def records_of(history: History) -> list[EpochRecord]:
    """Return a member's course as records of its epochs."""
    columns = {
        key: getattr(history, key)
        for key in ("loss", "val_loss", "val_metric", "learning_rate", "seconds",
                    "rows_per_second")
        if len(getattr(history, key)) == len(history)
    }  # fmt: skip
    return [
        EpochRecord(epoch=k + 1, **{key: values[k] for key, values in columns.items()})
        for k in range(len(history))
    ]


def _begun(path: Path) -> dict[str, Any]:
    """Return what a run wrote of its data and settings when it began."""
    try:
        saved: Any = json.loads(path.read_text(encoding="utf-8"))
        for name in ("data", "settings"):
            mapping(saved.get(name, {}), name, anything)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error})") from None
    return dict(saved)


def member_losses(fitted: Fitted) -> list[float]:
    """Return the loss of each member on the rows that it left out, before it was shrunk."""
    problem, found = fitted.problem, []
    for network, rows in zip(fitted.best.networks, fitted.left_out, strict=True):
        X = fitted.inputs.for_network(fitted.data.table, rows)
        found.append(problem.mean(problem.losses(network(X), rows), rows))
    return found


def scores_of_held(fitted: Fitted, target: Target, prepared: Prepared) -> Scores:
    """Return the scores of what members say of the training rows that each left out."""
    held, loss = fitted.held, prepared.loss
    scores = Scores(target, loss)
    outputs = held.predicted
    if loss.info.link != "identity":
        outputs = np.maximum(elementary.log(outputs), -1e4)
    table = fitted.data.table.take(held.rows)
    assert table.target is not None
    truth = target.encode(table.target) if target.task == "classification" else table.target
    scores.add(truth, outputs, table.weights)
    problem = fitted.problem
    scores.sums = replace(
        scores.sums,
        loss_sum=problem.mean(problem.losses(outputs, held.rows), held.rows),
        weight_sum=1.0,
    )
    return scores

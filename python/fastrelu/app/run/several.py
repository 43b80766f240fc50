# SPDX-License-Identifier: BSD-3-Clause
"""Runs of several trainings at once: what they share, and the ensemble (``--seeds``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fastrelu import __version__, get_num_threads
from fastrelu.app import ensemble, run_folder
from fastrelu.app.data.split import PARTS
from fastrelu.app.ensemble import Ensemble
from fastrelu.app.errors import ConfigError, DivergedError, OutputError
from fastrelu.app.metrics import Scores
from fastrelu.app.model import Model
from fastrelu.app.preprocess import Target
from fastrelu.app.run.build import build
from fastrelu.app.run.checkpoint import Checkpoints, RunState
from fastrelu.app.run.interrupt import Interrupted
from fastrelu.app.run.loop import Training
from fastrelu.app.run.prepare import Prepared
from fastrelu.app.run.resumed import compare
from fastrelu.app.run.session import Loaded, Session, kept_reading
from fastrelu.app.run.threshold import threshold_metrics, with_threshold
from fastrelu.app.run.together import Shared, Stop, T, mean_history, run_together
from fastrelu.app.settings import Settings

COPIES = 5  # of the parameters in a checkpoint, at most


def session_of(settings: Settings) -> type[Session]:
    """Return the kind of session that the settings ask for."""
    if settings.by_recipe:
        from fastrelu.app.run.recipe import RecipeSession

        return RecipeSession
    if settings.search:
        from fastrelu.app.run.search import SearchSession

        return SearchSession
    if settings.folds:
        from fastrelu.app.run.folds import FoldsSession

        return FoldsSession
    return EnsembleSession if settings.seeds else Session


class SeveralSession(Session):
    """A session of several trainings, each with checkpoints in a folder of its own."""

    mode = ""

    def training(
        self, name: str, settings: Settings, prepared: Prepared, fingerprint: dict[str, Any]
    ) -> Training:
        """Return one of the trainings: from its checkpoint, or from the beginning."""
        assert settings.batch_size is not None
        feeder = prepared.with_settings(settings).feeder()
        checkpoints = loaded = None
        if self.folder is not None:
            place = self.folder.part(name)
            checkpoints = Checkpoints(
                place, settings.checkpoint_every, min(2, settings.keep), run=self.folder
            )
            loaded = checkpoints.load(lambda text: self.say(f"warning: {text}"))
        if loaded is not None:
            compare(loaded[1].fingerprint, fingerprint, self.say)
            trainer, state = loaded
            feeder.restore(state.feeder)
        else:
            steps = feeder.steps_in_epoch()
            trainer = build(settings, prepared.inputs, prepared.target, prepared.loss, steps)
            state = RunState(fingerprint=fingerprint)
        return Training(trainer, feeder, settings, state, checkpoints)

    def _began(self, loaded: Loaded | None) -> dict[str, Any]:
        return {}  # in memory, as all of them

    def in_memory(self, prepared: Prepared) -> Prepared:
        """Return data that are in memory; ConfigError for a stream."""
        if prepared.parts is None:
            raise ConfigError(
                f"--{self.mode} trains on data in memory, and {prepared.source} needs more than "
                f"--memory {self.settings.memory}: raise it, or leave --{self.mode} out"
            )
        return prepared

    def together(self, tasks: Sequence[Callable[[Stop], T]], where: Callable[[], str]) -> list[T]:
        """Run tasks in threads; a signal stops them and raises Interrupted."""
        with self.interruptible(where) as stop:
            results = run_together(tasks, stop)
        return results  # type: ignore[return-value] # None only where asked to stop

    @contextmanager
    def interruptible(self, where: Callable[[], str]) -> Iterator[Stop]:
        """Yield what says whether a signal has come, and raise Interrupted in the end if so."""
        interrupt = self.interrupt
        interrupt.text = None
        yield lambda: interrupt.asked is not None
        text = f"interrupted: {where()}; {self._how_to_resume('checkpoints are saved')}"
        if interrupt.asked is not None:
            raise Interrupted(interrupt.asked, text)
        interrupt.text = text


class EnsembleSession(SeveralSession):
    """``--seeds K``: networks of K seeds over the same rows, saved as one model."""

    mode = "seeds"

    def _resume(self) -> dict[str, Any]:
        prepared = self._prepared(self._began(None))
        self._save_settings()
        return self._train(prepared, None)

    def _train(self, prepared: Prepared, loaded: Loaded | None) -> dict[str, Any]:
        settings, prepared = self.settings, self.in_memory(prepared)
        assert settings.seeds is not None and settings.epochs is not None
        fingerprint = self._fingerprint(prepared)
        members = [
            self.training(
                f"member-{k:03d}", replace(settings, seed=settings.seed + k), prepared, fingerprint
            )
            for k in range(settings.seeds)
        ]
        net = members[0].trainer.network
        if self.folder is not None:
            self.folder.require_space(3 * COPIES * len(members) * net.parameters.nbytes)
        self.say(
            f"networks: {len(members)} of {'-'.join(map(str, net.layer_sizes))}, seeds "
            f"{settings.seed} to {settings.seed + len(members) - 1}, {get_num_threads()} threads"
        )
        self._run_members(members, prepared.loss.info.metric)
        return self._finish_ensemble(members, prepared)

    def _run_members(self, members: list[Training], metric: str) -> None:
        epochs = self.settings.epochs
        assert epochs is not None
        shared = Shared(self.watcher, len(members))
        told = [
            shared.member(k, each.trainer.n_steps, each.state.records)
            for k, each in enumerate(members)
        ]
        steps = members[0].feeder.steps_in_epoch()
        shared.begin(epochs, steps * len(members), metric)

        def task(k: int, stop: Stop) -> None:
            members[k].run(told[k], stop)
            if members[k].finished:
                shared.end(k)

        def where() -> str:
            done = sum(each.finished for each in members)
            return f"{done} of {len(members)} networks are done"

        try:
            self.together([partial(task, k) for k in range(len(members))], where)
        finally:
            self.watcher.pause()
            records = mean_history([each.state.records for each in members])
            if self.folder is not None and records:
                with suppress(OutputError):
                    self.folder.write_history(records)

    def _judged(
        self, members: list[Training], both: Ensemble, prepared: Prepared
    ) -> tuple[list[dict[str, Scores]], dict[str, Scores], Target]:
        """Return the scores of each member and of the ensemble, by part, and its target."""
        loss, parts = prepared.loss, prepared.parts
        assert parts is not None

        def judged(part: str, target: Target) -> Scores:
            return ensemble.evaluate(both, parts[part].batches(), target, loss)

        target = with_threshold(
            self.settings.threshold,
            prepared.target,
            lambda: judged("validation", prepared.target),
            self.say,
        )

        def judge(k: int, stop: Stop) -> dict[str, Scores]:
            if k < len(members):
                feeder = members[k].feeder
                return {part: feeder.evaluate(both.networks[k], part, target) for part in PARTS}
            return {part: judged(part, target) for part in PARTS}

        tasks = [partial(judge, k) for k in range(len(members) + 1)]
        *each, scores = (found or {} for found in run_together(tasks, lambda: False))
        return each, scores, target

    def _finish_ensemble(self, members: list[Training], prepared: Prepared) -> dict[str, Any]:
        settings, loss = self.settings, prepared.loss
        used = [each.keep_best() for each in members]
        networks = [each.trainer.network for each in members]
        link = ensemble.link_of(loss)
        both = Ensemble(networks, link)

        each, scores, target = self._judged(members, both, prepared)
        for part in PARTS:
            prepared.give_back(part)
        if not all(score.finite for score in scores.values()):
            raise DivergedError("diverged: a trained network's outputs are not finite")
        metrics = self._metrics(members[0], prepared, scores)
        metrics |= threshold_metrics(settings.threshold, target)
        states = [member.state for member in members]
        metrics |= {
            "epochs": max(state.epochs for state in states),
            "best_epoch": None,
            "stopped_early": all(state.stopped_early for state in states),
            "n_parameters": both.n_parameters,
            "members": [
                {
                    "seed": settings.seed + k,
                    **{p: s.result() for p, s in each[k].items() if s.rows},
                    "epochs": states[k].epochs,
                    "epoch_used": used[k],
                }
                for k in range(len(members))
            ],
        }
        model = Model(
            both, prepared.inputs, target, prepared.target_name, loss,
            {
                "fastrelu": __version__,
                "metrics": {part: metrics[part] for part in PARTS if part in metrics},
                "rows": metrics["rows"],
                "settings": self._fixed() | {"epochs": settings.epochs},
                "epochs": metrics["epochs"],
                "members": len(members),
                **kept_reading(prepared),
            },
        )  # fmt: skip
        for row in _rows(metrics["members"]):
            self.say("member: " + ", ".join(f"{k} {_short(v)}" for k, v in row.items()))
        if self.folder is not None:
            self.folder.write_rows(run_folder.MEMBERS, _rows(metrics["members"]))
            history = RunState(records=mean_history([state.records for state in states]))
            self._write(model, metrics, history, prepared)
        self.watcher.result(metrics)
        return metrics


def _rows(members: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the members as flat rows: seed, epochs, the metrics of each part."""
    rows = []
    for member in members:
        row = {name: member[name] for name in ("seed", "epochs", "epoch_used")}
        for part in PARTS:
            scores = member.get(part, {})
            row |= {f"{part}_{k}": v for k, v in scores.items() if k not in ("loss", "mae")}
        rows.append(row)
    return rows


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)

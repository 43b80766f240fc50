# SPDX-License-Identifier: BSD-3-Clause
"""A run that searches: rungs of candidates in threads, and the winner trained to the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fastrelu import get_num_threads
from fastrelu.app import run_folder
from fastrelu.app.errors import ConfigError, DivergedError, OutputError
from fastrelu.app.metrics import Scores
from fastrelu.app.run.choices import resolve
from fastrelu.app.run.loop import Training
from fastrelu.app.run.prepare import Prepared
from fastrelu.app.run.progress import Nothing
from fastrelu.app.run.resumed import CHOICE
from fastrelu.app.run.search.space import draw, rungs, space_of, spelled
from fastrelu.app.run.search.workers import cluster, train_on_workers
from fastrelu.app.run.session import Loaded
from fastrelu.app.run.several import COPIES, SeveralSession
from fastrelu.app.run.together import Stop
from fastrelu.app.settings import Settings, shown

Rank = tuple[bool, float, float, int]
OPTIMIZERS_OWN = ("lr", "momentum", "weight_decay")  # settings whose default is the optimizer's


@dataclass
class Candidate:
    """One candidate: what was drawn, its training while it is in the race, how far it came."""

    number: int
    choice: dict[str, Any]
    settings: Settings
    training: Training | None = None
    record: dict[str, Any] | None = None
    diverged: bool = False
    rung: int = 0

    def fingerprint(self, of_search: dict[str, Any]) -> dict[str, Any]:
        """Return what its checkpoints must have in common with it: also what was drawn."""
        return of_search | {CHOICE: {name: shown(value) for name, value in self.choice.items()}}

    def rank(self) -> Rank:
        """Return what sorts candidates of one rung, the best first."""
        if self.diverged or self.record is None:
            return True, math.inf, math.inf, self.number
        return False, -self.record["val_metric"], self.record["val_loss"], self.number


class SearchSession(SeveralSession):
    """``--search``: successive halving; the winner is the run's model."""

    mode = "search"

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._found: dict[str, Any] = {}

    def begin(self) -> dict[str, Any]:
        """Run from the beginning, in a folder that has been taken, and return the metrics."""
        space = spelled(self.settings.search_space)
        self.given = self.settings = replace(self.settings, search_space=space)
        return super().begin()

    def _resume(self) -> dict[str, Any]:
        prepared = self._prepared(self._began(None))
        self._save_settings()
        return self._train(prepared, None)

    def _train(self, prepared: Prepared, loaded: Loaded | None) -> dict[str, Any]:
        held, settings = self.in_memory(prepared), self.settings
        assert settings.epochs is not None
        if not held.counts()["validation"]:
            raise ConfigError("--search chooses by validation rows, and there are none")
        candidates = self._draw(held)
        metric = held.loss.info.metric
        plan = rungs(len(candidates), settings.epochs)
        self.say(
            f"search: {len(candidates)} candidates, {get_num_threads()} threads; "
            + ", ".join(f"{n} to epoch {epochs}" for n, epochs in plan)
        )
        fingerprint = self._fingerprint(held)
        racing = candidates
        for r, (count, epochs) in enumerate(plan[:-1]):
            racing = sorted(racing, key=Candidate.rank)[:count]
            self._one_rung(r, racing, epochs, held, fingerprint)
            self._note(candidates, metric)
        ranked = sorted(racing, key=Candidate.rank)
        winner = ranked[0]
        if winner.diverged:
            raise DivergedError(
                f"diverged: all {len(candidates)} candidates; a space of smaller lr may help"
            )
        for other in candidates:
            other.training = None if other is not winner else other.training
        self._tell(candidates, winner, metric)
        return self._train_winner(winner, held, metric, fingerprint)

    def _saved_settings(self) -> Settings:
        """Return settings that leave open what each optimizer has a default of its own for."""
        own = {name: getattr(self.given, name) for name in OPTIMIZERS_OWN}
        return replace(self.settings, **own)

    def _draw(self, prepared: Prepared) -> list[Candidate]:
        settings, n_train = self.settings, len(prepared.rows["train"])
        choices = draw(space_of(settings), settings.candidates, settings.seed)
        return [
            Candidate(k, choice, resolve(with_choice(self.given, choice), prepared.target, n_train))
            for k, choice in enumerate(choices)
        ]

    def _one_rung(
        self,
        rung: int,
        racing: Sequence[Candidate],
        epochs: int,
        prepared: Prepared,
        fingerprint: dict[str, Any],
    ) -> None:
        """Train each candidate on to `epochs`; a rung that a checkpoint is beyond is looked up."""
        done = [False] * len(racing)

        def begun(each: Candidate) -> Training:
            if each.training is None:
                each.training = self._training_of(each, prepared, fingerprint)
                self._require_space(each.training, len(racing))
            each.training.settings = replace(each.settings, epochs=epochs)
            return each.training

        def ended(k: int, diverged: bool) -> None:
            each = racing[k]
            assert each.training is not None
            records = each.training.state.records
            each.record = records[min(epochs, len(records)) - 1] if records else None
            each.rung, each.diverged, done[k] = rung + 1, diverged, True

        def task(k: int, stop: Stop) -> None:
            diverged = False
            try:
                if not begun(racing[k]).run(Nothing(), stop):
                    return
            except DivergedError:
                diverged = True
            ended(k, diverged)

        def where() -> str:
            return f"{sum(done)} of {len(racing)} candidates of round {rung + 1} are done"

        if self.settings.dask is None:
            self.together([partial(task, k) for k in range(len(racing))], where)
            return
        trainings = {k: begun(each) for k, each in enumerate(racing)}
        with cluster(self.settings.dask) as client, self.interruptible(where) as stop:
            train_on_workers(client, prepared, trainings, ended, stop)

    def _require_space(self, training: Training, count: int) -> None:
        if self.folder is not None:
            size = training.trainer.network.parameters.nbytes
            self.folder.require_space(2 * COPIES * count * size)

    def _training_of(
        self, each: Candidate, prepared: Prepared, fingerprint: dict[str, Any]
    ) -> Training:
        """Return a candidate's training; `fingerprint` is the search's."""
        name = f"candidate-{each.number:04d}"
        return self.training(name, each.settings, prepared, each.fingerprint(fingerprint))

    def _train_winner(
        self, winner: Candidate, prepared: Prepared, metric: str, fingerprint: dict[str, Any]
    ) -> dict[str, Any]:
        if winner.training is None:  # of a search of one candidate
            winner.training = self._training_of(winner, prepared, fingerprint)
        training, self.settings = winner.training, winner.settings
        training.settings = winner.settings
        self._run(training, metric, training.feeder.steps_in_epoch())
        return self._finish(training, prepared)

    def _note(self, candidates: Sequence[Candidate], metric: str) -> None:
        """Write the table as far as it is known."""
        if self.folder is not None:
            with suppress(OutputError):  # told when the model is written
                self.folder.write_rows(run_folder.SEARCH, table(candidates, metric))

    def _tell(self, candidates: Sequence[Candidate], winner: Candidate, metric: str) -> None:
        rows = table(candidates, metric)
        self._found = {
            "search": {
                "candidates": len(candidates),
                "winner": winner.number,
                "chosen": {k: shown(v) for k, v in winner.choice.items()},
            }
        }
        texts = [list(rows[0])] + [[_cell(v) for v in row.values()] for row in rows]
        widths = [max(len(text[j]) for text in texts) for j in range(len(rows[0]))]
        for text in texts:
            cells = (t.rjust(w) for t, w in zip(text, widths, strict=True))
            self.say("  ".join(cells))
        chosen = ", ".join(f"{k} {v}" for k, v in self._found["search"]["chosen"].items())
        self.say(f"best: candidate {winner.number}: {chosen}")

    def _metrics(
        self, training: Training, prepared: Prepared, scores: Mapping[str, Scores]
    ) -> dict[str, Any]:
        return super()._metrics(training, prepared, scores) | self._found


def with_choice(given: Settings, choice: Mapping[str, Any]) -> Settings:
    """Return the user's settings with what a candidate has drawn in their place.

    Raises
    ------
    ConfigError
        If they do not fit together.
    """
    own = replace(given, **choice)
    if own.optimizer != "sgd" and "optimizer" in choice and "momentum" not in choice:
        own = replace(own, momentum=None)  # what the user said of sgd
    return own.check()


def table(candidates: Sequence[Candidate], metric: str) -> list[dict[str, Any]]:
    """Return a row for each candidate, those that came farthest first, the best first."""
    ordered = sorted(candidates, key=lambda each: (-each.rung, each.rank()))
    return [
        {
            "place": place + 1,
            "candidate": each.number,
            **{name: shown(value) for name, value in each.choice.items()},
            "round": each.rung,
            "epochs": each.record["epoch"] if each.record else 0,
            "val_loss": each.record["val_loss"] if each.record else None,
            f"val_{metric}": each.record["val_metric"] if each.record else None,
            "state": "diverged" if each.diverged else "",
        }
        for place, each in enumerate(ordered)
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

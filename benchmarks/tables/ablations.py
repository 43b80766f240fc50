# SPDX-License-Identifier: BSD-3-Clause
"""Ingredients of the recipe switched off, and others on, each by itself, several splits.

What is shown is the error (1 - R2, log loss), as a ratio to that of the recipe as it is: above 1
for what is worth having where it is switched off, below 1 for what would be worth having where it
is switched on. It is done from outside, by replacing a part of the recipe; the estimators have no
such settings.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.report_tables import table as markdown
from benchmarks.tables.data import Table, tables
from benchmarks.tables.worker import measure
from fastrelu.app.preprocess.piece_inputs import PieceNumber
from fastrelu.app.tabular import fit, recipe, targets, train
from fastrelu.optimizers import AdamW
from fastrelu.population import Population
from fastrelu.schedules import cosine

TABLES = ("diabetes", "friedman1_300", "friedman2_1000", "mixed_2000", "breast_cancer",
          "classes_500", "noise_300")  # fmt: skip


def of_candidates(change: Callable[[list[recipe.Candidate]], list[recipe.Candidate]]) -> Any:
    """Replace what is tried."""

    def tried(*arguments: Any) -> list[recipe.Candidate]:
        return list(dict.fromkeys(change(recipe.candidates(*arguments))))

    return mock.patch.object(fit, "candidates", tried)


def each(**changes: Any) -> Any:
    return of_candidates(lambda found: [replace(c, **changes) for c in found])


def scaled_only(number: PieceNumber, values: Any, out: Any) -> None:
    """Write standardised numbers, unclipped, with no end of the range."""
    missing = np.isnan(values)
    out[:, 0] = np.where(
        missing, 0.0, (np.where(missing, 0, values) - number.centre) / number.width
    )
    if number.indicator:
        out[:, -1] = missing


@contextlib.contextmanager
def scaled_numbers() -> Iterator[None]:
    with each(pieces=1), mock.patch.object(PieceNumber, "write", scaled_only):
        yield


@contextlib.contextmanager
def one_member() -> Iterator[None]:
    with mock.patch.dict(fit.MEMBERS, dict.fromkeys(fit.MEMBERS, 1)):
        yield


@contextlib.contextmanager
def last_weights() -> Iterator[None]:
    """Members keep the weights of their last epoch: they still stop when they do."""

    def restore(member: Any) -> None:
        member.course.best = None

    with mock.patch("fastrelu.population.Member.restore_best", restore):
        yield


@contextlib.contextmanager
def own_starts() -> Iterator[None]:
    """Members begin with random outputs, not as the model that knows nothing."""
    made = mock.patch.object(
        train.Training, "_population", lambda self, configs: Population(configs)
    )
    with made:
        yield


@contextlib.contextmanager
def raw_targets() -> Iterator[None]:
    """Regressions learn y less its mean, not divided by its deviation."""
    scaled = targets.scaled

    def unscaled(*arguments: Any) -> Any:
        problem, unit = scaled(*arguments)
        ones = np.ones_like(unit.scale)
        return replace(problem, y=problem.y * unit.scale), replace(unit, scale=ones)

    with mock.patch("fastrelu.app.tabular.regressor.scaled", unscaled):
        yield


ABLATIONS: dict[str, Callable[[], Any]] = {
    "all of it": contextlib.nullcontext,
    "pieces of numbers": lambda: each(pieces=1),
    "pieces, clipping, range": scaled_numbers,
    "members: one": one_member,
    "candidates: the usual": lambda: of_candidates(lambda found: found[:1]),
    "weight decay": lambda: each(weight_decay=0.0),
    "input factors": lambda: each(input_scale_rate=0.0),
    "hidden layers": lambda: each(hidden=()),
    "early stopping (60 epochs)": lambda: each(patience=10_000, epochs=60),
    "best weights": last_weights,
    "start as shares, mean": own_starts,
    "shrinkage": lambda: mock.patch.object(fit, "shrink", lambda problem, trial: 1.0),
    "scale of targets": raw_targets,
}


def with_settings(**settings: Any) -> Any:
    """Members with further settings; a function is given the candidate and an epoch's steps."""
    made = train.Training._config

    def config(self: Any, X: Any, candidate: recipe.Candidate, seed: int) -> dict[str, Any]:
        steps = math.ceil(0.8 * self.n_rows / candidate.batch_size)
        found = {
            name: value(candidate, steps) if callable(value) else value
            for name, value in settings.items()
        }
        return {**made(self, X, candidate, seed), **found}

    return mock.patch.object(train.Training, "_config", config)


def adamw(beta_2: float = 0.999, epochs: int = 0, flat: float = 0.0) -> Any:
    """AdamW with another beta_2, or with a rate that falls by half a cosine within some epochs."""

    def optimizer(candidate: recipe.Candidate, steps: int) -> AdamW:
        rate: Any = candidate.learning_rate
        if epochs:
            first, n = int(flat * epochs * steps), epochs * steps
            falling = cosine(rate, n - first)
            rate = lambda k: falling(max(1, k - first))  # noqa: E731
        return AdamW(rate, beta_2=beta_2, weight_decay=candidate.weight_decay)

    return optimizer


@contextlib.contextmanager
def falling_rate(epochs: int, flat: float) -> Iterator[None]:
    with each(patience=10_000, epochs=epochs), with_settings(
        optimizer=adamw(epochs=epochs, flat=flat)
    ):  # fmt: skip
        yield


ADDITIONS: dict[str, Callable[[], Any]] = {
    "dropout 0.1": lambda: with_settings(dropout=0.1),
    "dropout 0.25": lambda: with_settings(dropout=0.25),
    "beta_2 0.95": lambda: with_settings(optimizer=adamw(0.95)),
    "cosine, 40 epochs": lambda: falling_rate(40, 0.0),
    "flat, then cosine, 40 epochs": lambda: falling_rate(40, 0.5),
    "leaky ReLU": lambda: with_settings(activation="leaky_relu"),
    "twice as wide": lambda: of_candidates(
        lambda found: [replace(c, hidden=tuple(2 * n for n in c.hidden)) for c in found]
    ),
    "half the rate": lambda: of_candidates(
        lambda found: [replace(c, learning_rate=c.learning_rate / 2) for c in found]
    ),
    "half the batch": lambda: of_candidates(
        lambda found: [replace(c, batch_size=max(8, c.batch_size // 2)) for c in found]
    ),
    "ten members": lambda: mock.patch.dict(fit.MEMBERS, dict.fromkeys(fit.MEMBERS, 10)),
}


def error(table: Table, name: str, splits: int) -> tuple[float, float]:
    """Return the mean error without an ingredient, and the CPU seconds of a fit."""
    found, seconds = [], []
    for split in range(splits):
        with {**ABLATIONS, **ADDITIONS}[name](), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            measured = measure(table, "tabular", split)
        regression = table.task == "regression"
        found.append(1 - measured["R2"] if regression else measured["log loss"])
        seconds.append(measured["fit"])
    return float(np.mean(found)), float(np.mean(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(TABLES), help="names of tables")
    known = [*ABLATIONS, *ADDITIONS]
    parser.add_argument("--what", nargs="*", default=list(ABLATIONS), choices=known)
    arguments = parser.parse_args()
    chosen = [t for t in tables([]) if t.name in arguments.only]
    began = time.process_time()
    full = [error(t, "all of it", arguments.splits) for t in chosen]
    rows = []
    for name in arguments.what:
        found = [error(t, name, arguments.splits) for t in chosen] if name != "all of it" else full
        ratios = np.array([a / b for (a, _), (b, _) in zip(found, full, strict=True)])
        times = np.array([a / b for (_, a), (_, b) in zip(found, full, strict=True)])
        shown = ratios if name != "all of it" else [value for value, _ in full]
        mean = np.exp(np.mean(np.log(ratios)))
        rows.append(
            [
                name,
                *(f"{v:.3f}" for v in shown),
                f"{mean:.3f}",
                f"{np.exp(np.log(times).mean()):.2f}",
            ]
        )
        print(rows[-1], flush=True)
    print(markdown(["what", *(t.name for t in chosen), "geometric mean", "CPU time"], rows))
    print(f"\n{time.process_time() - began:.0f} s of CPU, {arguments.splits} splits")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""Each ingredient of the recipe switched off by itself, on a few tables, several splits.

What is shown is the error (1 - R2, log loss) without the ingredient, as a ratio to that with it:
above 1 it is worth having. The ingredients are switched off from outside, by replacing a part of
the recipe; the estimators have no such settings.
"""

from __future__ import annotations

import argparse
import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.report_tables import table as markdown
from benchmarks.tables.__main__ import measure
from benchmarks.tables.data import Table, tables
from fastrelu.app.preprocess.piece_inputs import PieceNumber
from fastrelu.app.tabular import fit, recipe, targets, train
from fastrelu.population import Population

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
    "hidden layers": lambda: each(hidden=()),
    "early stopping (60 epochs)": lambda: each(patience=10_000, epochs=60),
    "best weights": last_weights,
    "start as shares, mean": own_starts,
    "shrinkage": lambda: mock.patch.object(fit, "shrink", lambda problem, trial: 1.0),
    "scale of targets": raw_targets,
}


def error(table: Table, name: str, splits: int) -> tuple[float, float]:
    """Return the mean error without an ingredient, and the CPU seconds of a fit."""
    found, seconds = [], []
    for split in range(splits):
        with ABLATIONS[name](), warnings.catch_warnings():
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
    parser.add_argument("--without", nargs="*", default=list(ABLATIONS), choices=list(ABLATIONS))
    arguments = parser.parse_args()
    chosen = [t for t in tables([]) if t.name in arguments.only]
    began = time.process_time()
    full = [error(t, "all of it", arguments.splits) for t in chosen]
    rows = []
    for name in arguments.without:
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
    print(markdown(["without", *(t.name for t in chosen), "geometric mean", "CPU time"], rows))
    print(f"\n{time.process_time() - began:.0f} s of CPU, {arguments.splits} splits")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""Cross-validation (``--folds``): each fold is preprocessed, trained and tested on its own."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.split import row_numbers
from fastrelu.app.errors import DataError, DivergedError
from fastrelu.app.metrics import Scores
from fastrelu.app.run.loop import Training
from fastrelu.app.run.prepare import Prepared, prepare
from fastrelu.app.run.progress import Nothing
from fastrelu.app.run.session import Loaded
from fastrelu.app.run.several import SeveralSession
from fastrelu.app.run.threshold import with_threshold
from fastrelu.app.run.together import Stop

Rows = dict[str, NDArray[np.intp]]


def fold_rows(prepared: Prepared, count: int, seed: int) -> list[Rows]:
    """Return each fold's parts: "test" is the fold; the rows outside it keep their part.

    The rows that are no test rows are put in random order, in classification class by class, and
    dealt out in turn: each fold has its share of each class, to one row.
    """
    rows = prepared.rows
    own = np.sort(np.concatenate([rows["train"], rows["validation"]]))
    numbers = row_numbers(seed, 0, int(own[-1]) + 1)[own]
    values = np.zeros(len(own))
    if prepared.target.task == "classification":
        assert prepared.table.target is not None
        values = np.asarray(prepared.target.encode(prepared.table.target[own])).reshape(-1)
    order = np.lexsort((numbers, values))
    folds = []
    for k in range(count):
        held = np.sort(own[order[k::count]])
        parts = {p: np.setdiff1d(rows[p], held) for p in ("train", "validation")}
        folds.append({**parts, "test": held})
    return folds


class FoldsSession(SeveralSession):
    """``--folds K``: K trainings that are only judged, then the run as without."""

    mode = "folds"

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._validated: dict[str, Any] = {}

    def _train(self, prepared: Prepared, loaded: Loaded | None) -> dict[str, Any]:
        held = self.in_memory(prepared)
        assert self.settings.folds is not None
        n = len(held.rows["train"]) + len(held.rows["validation"])
        if n < 2 * self.settings.folds:
            raise DataError(
                f"{n} rows outside the test are too few for {self.settings.folds} folds"
            )
        folds = fold_rows(held, self.settings.folds, self.settings.seed)
        done = [False] * len(folds)

        def where() -> str:
            return f"{sum(done)} of {len(folds)} folds are done"

        def task(k: int, stop: Stop) -> Scores | None:
            scores = self._one_fold(k, folds[k], held, stop)
            done[k] = scores is not None
            return scores

        results = self.together([partial(task, k) for k in range(len(folds))], where)
        self._validated = {
            "cross_validation": summary([r.result() for r in results if r is not None])
        }
        self._tell(held.loss.info.metric)
        return super()._train(prepared, loaded)

    def _one_fold(self, k: int, rows: Rows, held: Prepared, stop: Stop) -> Scores | None:
        """Train and judge a fold; None if it was stopped."""
        try:
            fold = prepare(held.table, self.settings, rows)
        except DataError as error:
            raise DataError(f"fold {k + 1} of {self.settings.folds}: {error}") from None
        training: Training = self.training(
            f"fold-{k:03d}", fold.settings, fold, self._fingerprint(held)
        )
        if not training.run(Nothing(), stop):
            return None
        training.keep_best()
        net, feeder = training.trainer.network, training.feeder
        target = with_threshold(
            self.settings.threshold,
            fold.target,
            lambda: feeder.evaluate(net, "validation"),
            self.say,
        )
        scores = feeder.evaluate(net, "test", target)
        if not scores.finite:
            raise DivergedError(f"diverged: fold {k + 1}'s outputs are not finite")
        return scores

    def _tell(self, metric: str) -> None:
        found = self._validated["cross_validation"]
        for k, fold in enumerate(found["folds"]):
            self.say(f"fold {k + 1}: {metric} {fold[metric]:.4f}")
        self.say(
            f"cross-validation: {metric} {found['mean'][metric]:.4f}, standard deviation "
            f"{found['std'][metric]:.4f} over {len(found['folds'])} folds"
        )

    def _metrics(self, *arguments: Any) -> dict[str, Any]:
        return super()._metrics(*arguments) | self._validated


def summary(folds: list[dict[str, float]]) -> dict[str, Any]:
    """Return the folds' metrics with their means and standard deviations (of a sample).

    A metric that a fold has not, such as the area under a curve of one class alone, is left out.
    """
    names = list(folds[0])
    columns = {name: [f[name] for f in folds if f[name] is not None] for name in names}
    return {
        "folds": folds,
        "mean": {name: float(np.mean(v)) if v else None for name, v in columns.items()},
        "std": {name: float(np.std(v, ddof=1)) if v[1:] else None for name, v in columns.items()},
    }

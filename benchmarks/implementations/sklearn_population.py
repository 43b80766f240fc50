# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's MLPs in a joblib loop, a process a core, which are there before the first turn."""

from __future__ import annotations

import os
import warnings

from joblib import Parallel, delayed
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.implementations.sklearn_peer import info
from benchmarks.populations import CASES, LEARNING_RATE, data

__all__ = ["TASKS", "info"]


def fit(kind, widths, case, X, y, seed) -> None:
    warnings.simplefilter("ignore")
    kind(
        hidden_layer_sizes=widths[1:-1],
        solver="sgd",
        momentum=0.0,
        nesterovs_momentum=False,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=LEARNING_RATE,
        max_iter=case.epochs,
        tol=0.0,
        n_iter_no_change=10**6,
        random_state=seed,
    ).fit(X, y)


class Fits:
    """Fits the first `members` of a case."""

    def __init__(self, spec: dict) -> None:
        self.case = CASES[spec["case"]]
        self.X, y = data(self.case)
        self.kind = MLPClassifier if self.case.classes else MLPRegressor
        self.y = y.ravel() if y.shape[1:] == (1,) else y
        self.members = spec["members"]
        self.steps = self.case.steps * self.members // len(self.case.widths)
        self.parallel = Parallel(n_jobs=len(os.sched_getaffinity(0)))

    def run(self, count: int) -> None:
        for _ in range(count):
            self.parallel(
                delayed(fit)(self.kind, widths, self.case, self.X, self.y, i)
                for i, widths in enumerate(self.case.widths[: self.members])
            )


TASKS = {"population": Fits}

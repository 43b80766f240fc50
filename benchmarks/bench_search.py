# SPDX-License-Identifier: BSD-3-Clause
"""Searches on small tables, in turns: ours, scikit-learn's over our estimators and over its own.

    python -m benchmarks.bench_search [--rounds N]

Prints the medians of the seconds of a search of 12 candidates on 5 folds. Ours and scikit-learn's
over our estimators have the same scores to the bit, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import fastrelu
from benchmarks.machine import cpu_model

GRID = {
    "hidden_layer_sizes": [(8,), (16,), (16, 8)],
    "alpha": [1e-4, 1e-2],
    "learning_rate_init": [1e-3, 1e-2],
}
CASES: dict[str, dict[str, Any]] = {
    "500 x 10, minibatches of 200": {},
    "500 x 10, minibatches of 32": {"batch_size": 32},
    "500 x 10, sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive"},
    "150 x 4, minibatches of 16, 500 epochs": {
        "rows": 150, "columns": 4, "batch_size": 16, "max_iter": 500
    },
}  # fmt: skip


def searches(options: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return what is held side by side for a case."""
    options = {"random_state": 0, "max_iter": 200, **options}
    rows, columns = options.pop("rows", 500), options.pop("columns", 10)
    X, y = make_classification(rows, columns, n_informative=min(6, columns), n_redundant=0)
    ours = fastrelu.MLPClassifier(**options)
    theirs = sklearn.neural_network.MLPClassifier(**options)
    return {
        "PopulationSearchCV": lambda: fastrelu.PopulationSearchCV(ours, GRID).fit(X, y),
        "GridSearchCV": lambda: GridSearchCV(ours, GRID).fit(X, y),
        "GridSearchCV, n_jobs=-1": lambda: GridSearchCV(ours, GRID, n_jobs=-1).fit(X, y),
        "scikit-learn's own, n_jobs=-1": lambda: GridSearchCV(theirs, GRID, n_jobs=-1).fit(X, y),
    }


def seconds_of(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, in turns from either end."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    scores = {}
    for turn in range(rounds):
        for name in list(contestants)[:: 1 if turn % 2 == 0 else -1]:
            began = time.perf_counter()
            search = contestants[name]()
            found[name].append(time.perf_counter() - began)
            scores[name] = search.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores["PopulationSearchCV"], scores["GridSearchCV"])
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    np.random.seed(0)
    print(f"{cpu_model()}, {fastrelu.get_num_threads()} threads\n")
    for case, options in CASES.items():
        found = seconds_of(searches(options), rounds)
        if case == next(iter(CASES)):
            print("| search | " + " | ".join(found) + " |\n|---" + "|---:" * len(found) + "|")
        ours = found["PopulationSearchCV"]
        cells = [f"{s:.2f} s (x{s / ours:.1f})" for s in found.values()]
        print(f"| {case} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

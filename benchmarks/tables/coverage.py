# SPDX-License-Identifier: BSD-3-Clause
"""How often intervals and sets of nine tenths hold the target, over many splits of tables."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import fastrelu
from benchmarks.report_tables import table as markdown
from benchmarks.tables.data import Frame, carried, classes, friedman, mixed, mixed_classes

TABLES: dict[str, tuple[str, int, Frame]] = {
    "diabetes": ("regression", 300, carried("diabetes")),
    "friedman1": ("regression", 400, friedman(1, 6000, 1.0)),
    "mixed": ("regression", 1000, mixed(6000, 0)),
    "friedman1, few rows": ("regression", 60, friedman(1, 6000, 1.0)),
    "classes": ("classification", 400, classes(6000, 20, 5, 4, 0.1)),
    "mixed_classes": ("classification", 1000, mixed_classes(6000, 2)),
}
TEST_ROWS = 2000


def share(task: str, n: int, frame: Frame, preset: str, seed: int, coverage: float) -> float:
    """Return the share of new rows whose target is where it should be."""
    X, y = frame[0], np.asarray(frame[1])
    rows = np.random.default_rng(seed).permutation(len(X))
    train, test = rows[:n], rows[n : n + TEST_ROWS]
    before, after = X.iloc[train], X.iloc[test]
    model: Any
    if task == "regression":
        model = fastrelu.TabularRegressor(preset, random_state=seed).fit(before, y[train])
        low, high = model.predict_interval(after, coverage).T
        return float(np.mean((low <= y[test]) & (y[test] <= high)))
    model = fastrelu.TabularClassifier(preset, random_state=seed).fit(before, y[train])
    sets = model.predict_set(after, coverage)
    return float(sets[np.arange(len(test)), np.searchsorted(model.classes_, y[test])].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--presets", nargs="*", default=["fast", "default"])
    parser.add_argument("--coverage", type=float, default=0.9)
    arguments = parser.parse_args()
    rows = []
    for name, (task, n, frame) in TABLES.items():
        shown = []
        for preset in arguments.presets:
            seeds = range(arguments.splits)
            found = [share(task, n, frame, preset, k, arguments.coverage) for k in seeds]
            error = np.std(found, ddof=1) / np.sqrt(len(found))
            shown.append(f"{np.mean(found):.3f} ± {error:.3f}")
        rows.append([name, f"{n}", *shown])
        print(rows[-1], flush=True)
    print(markdown(["table", "rows", *arguments.presets], rows))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""Twenty tables of which little or nothing can be learned: beside the mean, or the shares.

What is shown is the excess: how much more is lost on 10,000 new rows than by the mean (squared
error) or the shares (log loss) of the training rows, in per cent; what a model knows of itself
cannot make it less than 0 where there is nothing.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss

import fastrelu
from benchmarks.report_tables import table as markdown

NEW_ROWS = 10_000
ROWS, COLUMNS, SHARES = (60, 200, 600, 1500), (5, 30), (0.0, 0.02)


def weak(n: int, columns: int, share: float, classes: int, seed: int) -> tuple[Any, Any]:
    """Return rows and targets; of their variance a share is a sum over three columns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + NEW_ROWS, columns))
    X[:, 0] = np.exp(X[:, 0])  # a long tail
    X[:, 1] = rng.integers(0, 3, len(X))
    signal = (np.abs(X[:, 2]) + X[:, 3] + (X[:, 1] == 1)) / np.sqrt(0.36 + 1 + 0.22)
    z = np.sqrt(share) * (signal - signal.mean()) + np.sqrt(1 - share) * rng.standard_t(4, len(X))
    return X, z if not classes else np.digitize(z, np.quantile(z, [0.7, 0.9][: classes - 1]))


def excess(model: Any, X: Any, y: Any, n: int) -> float:
    """Return how much more is lost than by the constant, as a share of it."""
    model.fit(X[:n], y[:n])
    after = y[n:]
    if hasattr(model, "predict_proba"):
        shares = np.bincount(y[:n], minlength=len(model.classes_)) / n
        constant = log_loss(after, np.tile(shares, (len(after), 1)), labels=model.classes_)
        return float(log_loss(after, model.predict_proba(X[n:]), labels=model.classes_) / constant)
    constant = np.mean((after - y[:n].mean()) ** 2)
    return float(np.mean((after - model.predict(X[n:])) ** 2) / constant)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="default")
    arguments = parser.parse_args()
    names = ["table", "excess, %", "boosted trees", "shrinkage"]
    rows, found = [], []
    began = time.process_time()
    sizes = [(n, p, s) for n in ROWS for p in COLUMNS for s in SHARES]
    for k, (n, p, share) in enumerate([*sizes, *sizes[2::4]]):  # 16 and 4: with three classes
        classes = 3 if k >= len(sizes) else 2 * (k // 2 % 2)
        X, y = weak(n, p, share, classes, k)
        of = fastrelu.TabularClassifier if classes else fastrelu.TabularRegressor
        trees = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        model = of(arguments.preset, random_state=0)
        each = [100 * (excess(m, X, y, n) - 1) for m in (model, trees(random_state=0))]
        found.append(each)
        kind = f"{classes} classes" if classes else "numbers"
        what = f"{kind}, {n} rows, {p} columns, signal {share:.0%}"
        rows.append([what, *(f"{v:+.2f}" for v in each), f"{model.shrinkage_:.2f}"])
    print(markdown(names, rows))
    worst, mean = np.max(found, axis=0), np.mean(found, axis=0)
    print(f"\nWorst {worst[0]:+.2f} % (trees {worst[1]:+.2f}), mean {mean[0]:+.2f} % "
          f"(trees {mean[1]:+.2f}); {time.process_time() - began:.0f} s of CPU")  # fmt: skip


if __name__ == "__main__":
    main()

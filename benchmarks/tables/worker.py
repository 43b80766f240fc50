# SPDX-License-Identifier: BSD-3-Clause
"""One contestant on one table, in a process of its own: a line of JSON for each split."""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks.tables.data import Table, tables
from benchmarks.tables.models import made, plain
from benchmarks.tables.peers import PEERS, categorical


def measure(table: Table, model: str, split: int) -> dict[str, Any]:
    """Return the scores of one contestant on one split: 20 % of the rows are its test."""
    X, y = table.load()
    if not model.startswith("tabular"):
        X = plain(X)
    if model in PEERS:
        X = categorical(X)
    classification = table.task == "classification"
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.2, random_state=split, stratify=y if classification else None
    )
    estimator = made(model, table.task, split)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    found = {"fit": time.process_time() - began}
    began = time.process_time()
    if not classification:
        found |= {"R2": r2_score(y_test, estimator.predict(X_test))}
    else:
        shares = np.asarray(estimator.predict_proba(X_test), np.float64)
        shares = shares / shares.sum(axis=1, keepdims=True)
        two = shares.shape[1] == 2
        found |= {
            "log loss": log_loss(y_test, shares, labels=estimator.classes_),
            "AUC": roc_auc_score(
                y_test == estimator.classes_[1] if two else y_test,
                shares[:, 1] if two else shares, multi_class="ovr",
            ),
        }  # fmt: skip
    return {**found, "predict": time.process_time() - began, "rows": len(X)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("model")
    parser.add_argument("splits", type=int, nargs="+")
    parser.add_argument("--files", nargs="*", default=[])
    arguments = parser.parse_args()
    table = next(t for t in tables(arguments.files) if t.name == arguments.table)
    answers = os.fdopen(os.dup(1), "w")  # a library may print what it likes
    os.dup2(2, 1)
    if arguments.model != "LightGBM tuned":
        made(arguments.model, table.task, 0).fit(*_few(table))  # loads what it needs
    for split in arguments.splits:
        found = {name: float(v) for name, v in measure(table, arguments.model, split).items()}
        print(json.dumps({"split": split, **found}), file=answers, flush=True)


def _few(table: Table) -> tuple[pd.DataFrame, Any]:
    """Return a table of few rows: what loading a library costs is no part of a fit."""
    y = np.arange(64.0) if table.task == "regression" else np.repeat(["a", "b"], 32)
    return pd.DataFrame({"x": np.arange(64.0)}), y


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""Every contestant on every table, several splits: a table of scores and CPU seconds.

`--out` keeps what was measured; what is there already is not measured again. The target of the
regressions in turns is R2; for classes it is the log loss, beside the area under the ROC curve.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks.tables.data import Table, tables
from benchmarks.tables.models import MODELS, plain
from benchmarks.tables.show import report


def measure(table: Table, model: str, split: int) -> dict[str, Any]:
    """Return the scores of one contestant on one split: 20 % of the rows are its test."""
    X, y = table.load()
    if not model.startswith("tabular"):
        X = plain(X)
    classification = table.task == "classification"
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.2, random_state=split, stratify=y if classification else None
    )
    estimator = MODELS[model](table.task, split)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    found = {"fit": time.process_time() - began}
    began = time.process_time()
    if not classification:
        predicted = estimator.predict(X_test)
        found |= {"R2": r2_score(y_test, predicted)}
    else:
        shares = estimator.predict_proba(X_test)
        two = shares.shape[1] == 2
        found |= {
            "log loss": log_loss(y_test, shares, labels=estimator.classes_),
            "AUC": roc_auc_score(y_test, shares[:, 1] if two else shares, multi_class="ovr"),
        }
    return {**found, "predict": time.process_time() - began, "rows": len(X)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file, gone on with")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--files", nargs="*", default=[], metavar="CSV:TARGET")
    arguments = parser.parse_args()
    kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    chosen = [t for t in tables(arguments.files) if not arguments.only or t.name in arguments.only]
    for table in chosen:
        for model in arguments.models:
            for split in range(arguments.splits):
                key = f"{table.name}|{model}|{split}"
                if key in kept:
                    continue
                kept[key] = {name: float(v) for name, v in measure(table, model, split).items()}
                arguments.out.write_text(json.dumps(kept, indent=0))
                print(key, {n: round(v, 4) for n, v in kept[key].items()}, flush=True)
    print(
        report(
            kept, chosen, [m for m in MODELS if m in arguments.models], np.arange(arguments.splits)
        )
    )


if __name__ == "__main__":
    main()

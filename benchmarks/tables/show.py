# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.report_tables import table as markdown
from benchmarks.tables.data import Table

Kept = dict[str, dict[str, float]]


def mean(kept: Kept, table: str, model: str, splits: Iterable[int], name: str) -> float:
    values = [kept.get(f"{table}|{model}|{k}", {}).get(name, np.nan) for k in splits]
    there = [v for v in values if not np.isnan(v)]  # a costly contestant may have fewer splits
    return float(np.mean(there)) if there else float("nan")


def scores(
    kept: Kept, tables: list[Table], models: Sequence[str], splits: Any, name: str, best: Any
) -> str:
    rows = []
    for table in tables:
        values = [mean(kept, table.name, model, splits, name) for model in models]
        if np.isnan(values).all():
            continue
        top = best(np.round(values, 3))
        shown = [f"**{v:.3f}**" if round(v, 3) == top else f"{v:.3f}" for v in values]
        n = mean(kept, table.name, models[0], splits, "rows")
        rows.append([table.name + (" (judged)" if table.judged else ""), f"{n:.0f}", *shown])
    return f"{name}:\n\n" + markdown(["table", "rows", *models], rows)


def seconds(kept: Kept, tables: list[Table], models: Sequence[str], splits: Any) -> str:
    rows, each = [], []
    for table in tables:
        values = [mean(kept, table.name, model, splits, "fit") for model in models]
        each.append(np.log(values))
        rows.append([table.name, *(f"{v:.2f}" for v in values)])
    rows.append(["geometric mean", *(f"{v:.3f}" for v in np.exp(np.nanmean(each, axis=0)))])
    return "CPU seconds of a fit:\n\n" + markdown(["table", *models], rows)


def both(kept: Kept, table: Table, models: Sequence[str], splits: Any) -> list[int]:
    """Return the splits that all these models were measured on: costly ones may have fewer."""
    return [int(k) for k in splits if all(f"{table.name}|{m}|{k}" in kept for m in models)]


LEAST = 1e-4  # of an error: a table that all tell perfectly does not rule the mean


def error(kept: Kept, table: Table, model: str, splits: Any, of_classes: str = "AUC") -> float:
    """Return what is ranked: 1 - R2; of classes 1 - AUC, or the log loss."""
    if table.task == "regression":
        return max(LEAST, 1 - mean(kept, table.name, model, splits, "R2"))
    found = mean(kept, table.name, model, splits, of_classes)
    return max(LEAST, 1 - found if of_classes == "AUC" else found)


def beside(
    kept: Kept, tables: list[Table], models: Sequence[str], splits: Any, peer: str, of: str
) -> str:
    """Return the geometric means of errors beside a peer's, over the tables that both have."""
    rows = []
    for label, some in (
        ("all", tables), ("judged", [t for t in tables if t.judged]),
        ("regression", [t for t in tables if t.task == "regression"]),
        ("classes", [t for t in tables if t.task == "classification"]),
    ):  # fmt: skip
        some = [t for t in some if not t.name.startswith("noise")]
        values = []
        for model in models:
            shared = [both(kept, t, (model, peer), splits) for t in some]
            ratios = [
                error(kept, t, model, k, of) / error(kept, t, peer, k, of)
                for t, k in zip(some, shared, strict=True)
            ]
            there = np.isfinite(ratios)
            mean_ratio = np.exp(np.mean(np.log(np.array(ratios)[there])))
            values.append(f"{mean_ratio:.3f}" + ("" if there.all() else f" ({there.sum()})"))
        rows.append([f"{label} ({len(some)})", *values])
    return (
        f"Geometric mean of the error (1 - R2, {of if of != 'AUC' else '1 - AUC'}) beside that of "
        f"{peer}, without the tables of noise:\n\n" + markdown(["tables", *models], rows)
    )


def report(kept: Kept, tables: list[Table], models: Sequence[str], splits: Any) -> str:
    parts = [
        scores(kept, tables, models, splits, "R2", np.nanmax),
        scores(kept, tables, models, splits, "log loss", np.nanmin),
        scores(kept, tables, models, splits, "AUC", np.nanmax),
        seconds(kept, tables, models, splits),
    ]
    if "boosted trees" in models:
        parts += [
            beside(kept, tables, models, splits, "boosted trees", of) for of in ("AUC", "log loss")
        ]
    return "\n\n".join(parts)

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
    return float(np.mean(values))


def scores(
    kept: Kept, tables: list[Table], models: Sequence[str], splits: Any, name: str, best: Any
) -> str:
    rows = []
    for table in tables:
        values = [mean(kept, table.name, model, splits, name) for model in models]
        if np.isnan(values).all():
            continue
        top = best(values)
        shown = [f"**{v:.3f}**" if v == top else f"{v:.3f}" for v in values]
        n = mean(kept, table.name, models[0], splits, "rows")
        rows.append([table.name + (" (judged)" if table.judged else ""), f"{n:.0f}", *shown])
    return f"{name}:\n\n" + markdown(["table", "rows", *models], rows)


def seconds(kept: Kept, tables: list[Table], models: Sequence[str], splits: Any) -> str:
    rows, each = [], []
    for table in tables:
        values = [mean(kept, table.name, model, splits, "fit") for model in models]
        each.append(np.log(values))
        rows.append([table.name, *(f"{v:.2f}" for v in values)])
    rows.append(["geometric mean", *(f"{v:.3f}" for v in np.exp(np.mean(each, axis=0)))])
    return "CPU seconds of a fit:\n\n" + markdown(["table", *models], rows)


def error(kept: Kept, table: Table, model: str, splits: Any) -> float:
    """Return what a geometric mean is taken of: 1 - R2, or the log loss."""
    if table.task == "regression":
        return 1 - mean(kept, table.name, model, splits, "R2")
    return mean(kept, table.name, model, splits, "log loss")


def beside(kept: Kept, tables: list[Table], models: Sequence[str], splits: Any, peer: str) -> str:
    rows = []
    for label, some in (
        ("all", tables), ("judged", [t for t in tables if t.judged]),
    ):  # fmt: skip
        some = [t for t in some if not t.name.startswith("noise")]
        values = []
        for model in models:
            ratios = [error(kept, t, model, splits) / error(kept, t, peer, splits) for t in some]
            values.append(f"{np.exp(np.mean(np.log(ratios))):.3f}")
        rows.append([f"{label} ({len(some)})", *values])
    return (
        f"Geometric mean of the error (1 - R2, log loss) beside that of {peer}, without the tables "
        "of noise:\n\n" + markdown(["tables", *models], rows)
    )


def report(kept: Kept, tables: list[Table], models: Sequence[str], splits: Any) -> str:
    parts = [
        scores(kept, tables, models, splits, "R2", np.nanmax),
        scores(kept, tables, models, splits, "log loss", np.nanmin),
        scores(kept, tables, models, splits, "AUC", np.nanmax),
        seconds(kept, tables, models, splits),
    ]
    if "boosted trees" in models:
        parts.append(beside(kept, tables, models, splits, "boosted trees"))
    return "\n\n".join(parts)

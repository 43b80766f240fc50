# SPDX-License-Identifier: BSD-3-Clause
"""Mean ranks over tables, and their picture with the critical difference of Nemenyi's test.

Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata, studentized_range

from benchmarks.tables.data import Table
from benchmarks.tables.show import Kept, both, error


def mean_ranks(
    kept: Kept, tables: list[Table], models: Sequence[str], splits: Any
) -> tuple[list[str], np.ndarray, int]:
    """Return the models that were measured on every table, their mean ranks, and how many tables.

    Tables that say nothing are left out, and so are models that lack a table.
    """
    some = [t for t in tables if not t.name.startswith("noise")]
    names = [m for m in models if all(both(kept, t, [m], splits) for t in some)]
    shared = [both(kept, t, names, splits) for t in some]
    errors = np.array(
        [[error(kept, t, m, k) for m in names] for t, k in zip(some, shared, strict=True)]
    )
    ranks = np.array([rankdata(np.round(row, 6)) for row in errors])
    return names, ranks.mean(axis=0), len(some)


def critical_difference(n_models: int, n_tables: int, level: float = 0.05) -> float:
    """Return by how much two mean ranks differ at least, if they differ (Nemenyi's test)."""
    quantile = studentized_range.ppf(1 - level, n_models, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(n_models * (n_models + 1) / (6 * n_tables)))


def picture(
    kept: Kept, tables: list[Table], models: Sequence[str], splits: Any, path: Path
) -> None:
    """Draw the mean ranks; a bar joins those that are not further apart than the difference."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names, ranks, n_tables = mean_ranks(kept, tables, models, splits)
    apart = critical_difference(len(names), n_tables)
    order = np.argsort(ranks)
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(names) + 1.4), layout="constrained")
    for place, k in enumerate(order):
        ours = names[k].startswith("tabular")
        axes.plot([ranks[k] - apart / 2, ranks[k] + apart / 2], [place, place],
                  color="#0072B2" if ours else "#999999", linewidth=2)  # fmt: skip
        axes.plot(ranks[k], place, "o" if ours else "s", color="#0072B2" if ours else "#D55E00")
    axes.set_yticks(range(len(names)), [f"{names[k]}  {ranks[k]:.2f}" for k in order])
    axes.invert_yaxis()
    axes.set(
        title=f"Mean rank of the error on {n_tables} tables, {len(splits)} splits",
        xlabel=f"mean rank (1 is best); bars that do not overlap differ by more than {apart:.2f}, "
        "Nemenyi's 5 %",
    )
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=140, metadata={"Software": None})
    pyplot.close(figure)

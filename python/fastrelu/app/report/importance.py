# SPDX-License-Identifier: BSD-3-Clause
"""Permutation importance: what a model loses when a column's values are dealt out anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import metrics
from fastrelu.app.report.images import grid_of, patches
from fastrelu.random import Purpose

MOST_COLUMNS = 200
MOST_ROWS = 2000
# Multiply-adds that all of it may take: a second or two. Fewer rows where that is not enough.
MOST_WORK = 3e10


@dataclass(frozen=True)
class Importance:
    """What shuffling each column costs.

    Attributes
    ----------
    metric : str
        "accuracy" or "R2".
    baseline : float
        With nothing shuffled.
    names : list of str
        Columns, or patches of an image.
    drops : ndarray of float64, (n_names, n_repeats)
        `baseline` minus the metric with the column shuffled.
    n_rows : int
        Rows of the sample.
    patch_of : ndarray of int64, (height, width), or None
        For images: the number, in `names`, of each pixel's patch.
    """

    metric: str
    baseline: float
    names: list[str]
    drops: NDArray[np.float64]
    n_rows: int
    patch_of: NDArray[np.int64] | None = None


def shuffled(seed: int, column: int, repeat: int, n: int) -> NDArray[np.intp]:
    """Return an order of n rows that depends on these numbers alone, whatever NumPy's version."""
    # NumPy's Philox steps its counter before the first block.
    counter = ((column << 64) + (repeat << 128) - 1) % 2**256
    words = np.random.Philox(key=seed + (Purpose.IMPORTANCE << 64), counter=counter).random_raw(n)
    return np.argsort(words, kind="stable")


def permutation_importance(
    model: Any, sample: Any, *, seed: int = 0, repeats: int = 5
) -> Importance | None:
    """Return by how much shuffling each raw column, before preprocessing, lowers the metric.

    Parameters
    ----------
    model : Model
        With `target`, `network` and `outputs(table)`: probabilities, or predicted values.
    sample : Table
        Rows with targets; the first 2,000 are used at most, fewer for large networks.
    seed : int
        The same seed gives the same numbers.
    repeats : int
        Shuffles of each column.

    Returns
    -------
    Importance or None
        None if there are fewer than two rows, or more than 200 columns that are no image.
    """
    sample = _known_rows(model, sample)
    groups = _groups(sample)
    if sample.n_rows < 2 or not groups:
        return None
    work = model.network.n_parameters * len(groups) * repeats
    n = min(sample.n_rows, MOST_ROWS, max(200, int(MOST_WORK / work)))
    sample = sample.take(np.arange(n))
    metric, score = _metric(model, sample)
    baseline = score(sample)
    drops = np.zeros((len(groups), repeats))
    for k, columns in enumerate(groups.values()):
        for repeat, table in enumerate(_variants(sample, columns, seed, k, repeats)):
            drops[k, repeat] = baseline - score(table)
    patch_of = None
    if sample.matrix is not None:
        grid = grid_of(sample.matrix, sample.matrix_names)
        patch_of = None if grid is None else patches(grid)
    return Importance(metric, baseline, list(groups), drops, n, patch_of)


def _known_rows(model: Any, sample: Any) -> Any:
    """Return the rows whose target the model knows."""
    if model.target.task == "classification":
        known = metrics.class_numbers(sample.target, model.target.classes) >= 0
    else:
        known = np.isfinite(sample.target.astype(np.float64))
    return sample if known.all() else sample.take(np.flatnonzero(known))


def _groups(sample: Any) -> dict[str, Any]:
    """Return what is shuffled together, by name: a column's name, or columns of the matrix."""
    if sample.matrix is None:
        return {n: n for n in sample.columns} if len(sample.columns) <= MOST_COLUMNS else {}
    width = sample.matrix.shape[1]
    names = sample.matrix_names or [f"X[{j}]" for j in range(width)]
    grid = grid_of(sample.matrix, sample.matrix_names)
    if grid is not None:
        patch = patches(grid).reshape(-1)
        if int(patch.max()) + 1 == width:
            return {str(name): np.array([j]) for j, name in enumerate(names)}
        return {f"patch {k}": np.flatnonzero(patch == k) for k in range(int(patch.max()) + 1)}
    if width > MOST_COLUMNS:
        return {}
    return {str(name): np.array([j]) for j, name in enumerate(names)}


def _variants(sample: Any, columns: Any, seed: int, k: int, repeats: int) -> Iterator[Any]:
    """Yield the sample with these columns shuffled, once for each repeat."""
    orders = [shuffled(seed, k, repeat, sample.n_rows) for repeat in range(repeats)]
    if sample.matrix is None:
        for order in orders:
            changed = {**sample.columns, columns: sample.columns[columns][order]}
            yield dataclasses.replace(sample, columns=changed)
    elif hasattr(sample.matrix, "tocsc"):
        for order in orders:
            yield dataclasses.replace(sample, matrix=_sparse(sample.matrix, columns, order))
    else:
        for order in orders:
            matrix = np.array(sample.matrix)
            matrix[:, columns] = matrix[order[:, None], columns]
            yield dataclasses.replace(sample, matrix=matrix)


def _sparse(matrix: Any, columns: NDArray[Any], order: NDArray[Any]) -> Any:
    """Return a sparse matrix with one column's rows in this order."""
    from scipy import sparse

    j, by_column = int(columns[0]), matrix.tocsc()
    parts = [by_column[:, :j], by_column[:, [j]][order], by_column[:, j + 1 :]]
    return sparse.hstack(parts, format="csr", dtype=matrix.dtype)


def _metric(model: Any, sample: Any) -> tuple[str, Callable[[Any], float]]:
    """Return the metric's name and what computes it, against the sample's targets."""
    if model.target.task == "classification":
        numbers = metrics.class_numbers(sample.target, model.target.classes)
        return "accuracy", lambda table: float(
            (model.target.chosen(np.asarray(model.table_outputs(table))) == numbers).mean()
        )
    truth = sample.target.astype(np.float64)

    def r2(table: Any) -> float:
        predicted = np.asarray(model.table_outputs(table), np.float64).reshape(len(truth), -1)
        return metrics.r2_score(truth, predicted[:, 0])

    return "R2", r2

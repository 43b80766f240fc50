# SPDX-License-Identifier: BSD-3-Clause
"""The columns of a table, each in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.report.images import grid_of
from fastrelu.metrics import label_text

MOST_COLUMNS = 200
MOST_CLASSES = 1000
# Values of a matrix that are read at a time.
BLOCK = 1 << 20
TOP = 3


def summarize_columns(table: Any, rows: NDArray[np.intp] | None = None) -> list[dict[str, Any]]:
    """Return a summary of each column of a table, the target's last.

    Parameters
    ----------
    table : Table
        The data.
    rows : ndarray of int, optional
        The rows to count; by default all.

    Returns
    -------
    list of dict
        Each with name, role ("input", "target" or "weights"), kind ("number", "byte", "text" or
        "date"), rows, missing; numbers: mean, std, min, max; text: n_categories, top (the most
        frequent, with their rows); dates: min, max. A matrix of more than 200 columns is one entry
        with n_columns, and with means, (height, width), if its rows are images.

    Examples
    --------
    >>> from fastrelu import training
    >>> columns = training.summarize_columns(training.read(["iris"]))
    >>> columns[0]["kind"], round(columns[0]["mean"], 2), columns[-1]["role"]
    ('number', 5.84, 'target')
    """
    if table.matrix is None:
        result = [
            _column(name, values if rows is None else values[rows])
            for name, values in table.columns.items()
        ]
    else:
        result = _matrix(table, rows)
    if table.target is not None:
        values = table.target if rows is None else table.target[rows]
        result.append(_target(table.target_name or "target", values))
    if table.weights is not None:
        values = table.weights if rows is None else table.weights[rows]
        result.append(_column("weights", values) | {"role": "weights"})
    return result


def _column(name: str, values: NDArray[Any]) -> dict[str, Any]:
    entry = {"name": str(name), "role": "input", "rows": len(values)}
    if values.dtype.kind == "M":
        present = values[~np.isnat(values)]
        entry |= {"kind": "date", "missing": len(values) - len(present)}
        if len(present):
            entry |= {"min": str(present.min())[:19], "max": str(present.max())[:19]}
        return entry
    if values.dtype.kind not in "biuf":
        counts = Counter(values.tolist())
        missing = counts.pop("", 0) + counts.pop(None, 0)
        top = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:TOP]
        entry |= {"kind": "text", "missing": missing, "n_categories": len(counts)}
        return entry | {"top": [(str(value), count) for value, count in top]}
    numbers = values.astype(np.float64)
    present = numbers[~np.isnan(numbers)]
    entry |= {"kind": "number", "missing": len(numbers) - len(present)}
    if len(present):
        mean, std = _mean_and_std(present)
        entry |= {"mean": mean, "std": std}
        entry |= {"min": float(present.min()), "max": float(present.max())}
    return entry


def _target(name: str, values: NDArray[Any]) -> dict[str, Any]:
    """Return a column's summary, of few different numbers the most frequent too."""
    entry = _column(name, values) | {"role": "target"}
    if entry["kind"] == "number":
        present = values[~np.isnan(values)]
        distinct, counts = np.unique(present, return_counts=True)
        if len(distinct) <= MOST_CLASSES:
            order = np.argsort(-counts, kind="stable")[:TOP]
            top = [(label_text(float(distinct[k])), int(counts[k])) for k in order]
            entry |= {"n_categories": len(distinct), "top": top}
    return entry


def _mean_and_std(present: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation, also where squares would overflow."""
    largest = float(np.abs(present).max()) or 1.0
    scaled = present / largest
    return float(scaled.mean()) * largest, float(scaled.std()) * largest


def _matrix(table: Any, rows: NDArray[np.intp] | None) -> list[dict[str, Any]]:
    """Return the summaries of a matrix's columns, or one of all of them."""
    sums = (_sparse_sums if hasattr(table.matrix, "tocsr") else _dense_sums)(table.matrix, rows)
    n = table.matrix.shape[0] if rows is None else len(rows)
    width = int(table.matrix.shape[1])
    kind = "byte" if table.matrix.dtype == np.uint8 else "number"
    shared = {"role": "input", "kind": kind, "rows": n}
    grid = grid_of(table.matrix, table.matrix_names)
    if width > MOST_COLUMNS or grid is not None:
        entry = {"name": f"all {width:,} columns", **shared, "n_columns": width, **sums.overall()}
        if grid is not None:
            entry["means"] = sums.mean.reshape(grid).tolist()
        return [entry]
    names = table.matrix_names or [f"X[{j}]" for j in range(width)]
    return [{"name": str(name), **shared, **sums.column(j)} for j, name in enumerate(names)]


@dataclass
class _Sums:
    """What the columns of a matrix add up to, each array (width,)."""

    count: NDArray[np.int64]
    missing: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def column(self, j: int) -> dict[str, Any]:
        result: dict[str, Any] = {"missing": int(self.missing[j])}
        if self.count[j]:
            result |= {"mean": float(self.mean[j])}
            result |= {"std": float(np.sqrt(self.squares[j] / self.count[j]))}
            result |= {"min": float(self.low[j]), "max": float(self.high[j])}
        return result

    def overall(self) -> dict[str, Any]:
        result: dict[str, Any] = {"missing": int(self.missing.sum())}
        n = int(self.count.sum())
        if n:
            mean = float((self.mean * self.count).sum() / n)
            between = float((self.count * (self.mean - mean) ** 2).sum())
            result |= {"mean": mean, "std": float(np.sqrt((self.squares.sum() + between) / n))}
            result |= {"min": float(self.low.min()), "max": float(self.high.max())}
        return result


def _dense_sums(matrix: Any, rows: NDArray[np.intp] | None) -> _Sums:
    width = int(matrix.shape[1])
    n = matrix.shape[0] if rows is None else len(rows)
    total, squares, missing = np.zeros(width), np.zeros(width), np.zeros(width, np.int64)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for block in _blocks(matrix, rows):
        gap = np.isnan(block)
        missing += gap.sum(axis=0)
        total += np.where(gap, 0.0, block).sum(axis=0)
        low = np.minimum(low, np.where(gap, np.inf, block).min(axis=0))
        high = np.maximum(high, np.where(gap, -np.inf, block).max(axis=0))
    mean = total / np.maximum(n - missing, 1)
    for block in _blocks(matrix, rows):
        squares += np.where(np.isnan(block), 0.0, (block - mean) ** 2).sum(axis=0)
    return _Sums(n - missing, missing, mean, squares, low, high)


def _sparse_sums(matrix: Any, rows: NDArray[np.intp] | None) -> _Sums:
    """Return the sums of a sparse matrix from its stored entries; the others are zeros."""
    csr = matrix.tocsr() if rows is None else matrix.tocsr()[rows]
    n, width = csr.shape
    place, stored = csr.indices, csr.data.astype(np.float64)
    gap = np.isnan(stored)
    missing = np.bincount(place[gap], minlength=width)
    place, stored = place[~gap], stored[~gap]
    entries = np.bincount(place, minlength=width)
    count = n - missing
    mean = np.bincount(place, weights=stored, minlength=width) / np.maximum(count, 1)
    squares = np.zeros(width)
    squares += np.bincount(place, weights=(stored - mean[place]) ** 2, minlength=width)
    squares += (count - entries) * mean**2
    start = np.where(entries < count, 0.0, np.inf)
    low, high = start.copy(), -start
    np.minimum.at(low, place, stored)
    np.maximum.at(high, place, stored)
    return _Sums(count, missing, mean, squares, low, high)


def _blocks(matrix: Any, rows: NDArray[np.intp] | None) -> Iterator[NDArray[np.float64]]:
    """Yield a dense matrix's rows as float64, some at a time."""
    n = matrix.shape[0] if rows is None else len(rows)
    step = max(1, BLOCK // max(1, int(matrix.shape[1])))
    for start in range(0, n, step):
        stop = min(start + step, n)
        yield np.asarray(
            matrix[start:stop] if rows is None else matrix[rows[start:stop]], np.float64
        )

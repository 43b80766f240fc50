# SPDX-License-Identifier: BSD-3-Clause
"""Columns to numbers, with statistics of the training rows alone.

Numeric columns: a missing value becomes the training median and sets an indicator column of its
own; then (x - mean) / deviation. Text columns: one column for each category seen in training, a
missing value being a category; an unseen one is all zeros, and counted. Bytes (images) stay as
they are: the network scales them by 1/255.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.training import DataError

Array = NDArray[Any]


class Inputs:
    """Fitted on the training rows, applied to any."""

    def __init__(self, columns: dict[str, Array], rows: Array) -> None:
        self.notes: list[str] = []
        self.plain_bytes = set(columns) == {"X"} and columns["X"].dtype == np.uint8
        self.numeric: dict[str, tuple[Array, Array, Array, Array]] = {}
        self.categories: dict[str, list[str]] = {}
        for name, column in columns.items():
            part = column[rows]
            if column.dtype == object:
                self.categories[name] = sorted(set(part.tolist()))
                self._count_missing(name, (column == "").sum(), "a category of its own")
            elif not self.plain_bytes:
                self._fit_numeric(name, np.asarray(part, np.float64).reshape(len(part), -1))
                missing = np.isnan(column).sum() if column.dtype.kind == "f" else 0
                self._count_missing(name, missing, "the training median, and an indicator")

    def _count_missing(self, name: str, count: Any, becomes: str) -> None:
        if count:
            self.notes.append(f"{name}: {int(count)} missing values become {becomes}")

    def _fit_numeric(self, name: str, part: Array) -> None:
        if np.isinf(part).any():
            raise DataError(f"column {name!r}: expected finite numbers, found infinity")
        gaps = np.isnan(part)
        if gaps.all(axis=0).any():
            raise DataError(f"column {name!r}: expected numbers, all training rows are missing")
        median = np.nanmedian(part, axis=0)
        filled = np.where(gaps, median, part)
        deviation = filled.std(axis=0)
        has_gaps: Array = np.asarray(gaps.any(axis=0))
        spread = np.where(deviation > 0, deviation, 1.0)
        self.numeric[name] = (np.asarray(median), filled.mean(axis=0), spread, has_gaps)

    def apply(self, columns: dict[str, Array], rows: Array) -> Array:
        """Return the inputs (n, d) of these rows: float32, or uint8 for images."""
        if self.plain_bytes:
            return np.ascontiguousarray(columns["X"][rows])
        parts: list[Array] = []
        for name, (median, mean, deviation, has_gaps) in self.numeric.items():
            part = np.asarray(columns[name][rows], np.float64).reshape(len(rows), -1)
            gaps = np.isnan(part)
            parts.append((np.where(gaps, median, part) - mean) / deviation)
            parts.append(gaps[:, has_gaps].astype(np.float64))
        for name, known in self.categories.items():
            part = columns[name][rows]
            parts.append((part[:, None] == np.array(known, dtype=object)).astype(np.float64))
            unseen = int((parts[-1].sum(axis=1) == 0).sum())
            if unseen:
                self.notes.append(f"{name}: {unseen} values of unseen categories are all zeros")
        return np.ascontiguousarray(np.hstack(parts), dtype=np.float32)


class Target:
    """Labels to 0..K-1, or numbers to zero mean and unit deviation; and back."""

    def __init__(self, target: Array, rows: Array, task: str, name: str) -> None:
        self.task = resolve_task(target, task, name)
        if self.task == "classification":
            if target.ndim != 1:
                raise DataError(f"{name}: expected one label a row, got shape {target.shape}")
            self.classes = np.unique(target.astype(str) if target.dtype == object else target)
            if len(self.classes) < 2:
                raise DataError(f"{name}: expected at least two classes, found {self.classes}")
            self.outputs = len(self.classes)
        else:
            values = np.asarray(target[rows], np.float64).reshape(len(rows), -1)
            if not np.isfinite(values).all():
                raise DataError(f"{name}: expected finite numbers")
            self.mean, deviation = values.mean(axis=0), values.std(axis=0)
            self.deviation = np.where(deviation > 0, deviation, 1.0)
            self.outputs = values.shape[1]

    def apply(self, target: Array, rows: Array) -> Array:
        """Return what the network is trained on."""
        part = target[rows]
        if self.task == "classification":
            part = part.astype(str) if part.dtype == object else part
            return np.searchsorted(self.classes, part)
        values = np.asarray(part, np.float64).reshape(len(rows), -1)
        standard: Array = (values - self.mean) / self.deviation
        return standard

    def undo(self, outputs: Array) -> Array:
        """Return predictions in the target's own units."""
        values: Array = np.asarray(outputs, np.float64) * self.deviation + self.mean
        return values


def resolve_task(target: Array, task: str, name: str) -> str:
    """Return the task; "auto" takes text, truth values and a few whole numbers for labels."""
    text = target.dtype.kind in "OUSb"
    if task == "regression" and text:
        raise DataError(f"{name}: expected numbers for regression, found text")
    if task == "classification" and target.dtype.kind == "f" and len(np.unique(target)) > 1000:
        raise DataError(f"{name}: expected labels for classification, found measurements")
    if task != "auto":
        return task
    if text:
        return "classification"
    whole = target.ndim == 1 and target.dtype.kind in "iu"
    few = whole and len(np.unique(target)) <= max(2, min(100, int(np.sqrt(len(target)))))
    return "classification" if few else "regression"

# SPDX-License-Identifier: BSD-3-Clause
"""Turn a table into the arrays a network reads, with statistics of the training rows only.

Numeric columns: a missing value becomes the training median, and a column with missing values in
the training rows gets a further 0/1 input that says where; then mean 0 and standard deviation 1.
Text columns: one 0/1 input for each training category, missing being a category of its own; a
category that training has not seen is all zeros. Bytes (uint8) stay bytes, times 1/255.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.training import DataError
from fastrelu.training.data import Table

MAX_CATEGORIES = 255


@dataclass(frozen=True)
class NumericColumn:
    """What is done to one numeric column: ``(value or median, - mean) / std``."""

    name: str
    index: int
    median: float
    indicator: bool
    mean: float
    std: float


@dataclass(frozen=True)
class TextColumn:
    """The categories of one text column, in the order of their inputs."""

    name: str
    categories: list[str]


@dataclass
class Preprocessor:
    """The inputs that training rows have led to.

    Attributes
    ----------
    numeric : list of NumericColumn
        First the columns, then their indicators.
    text : list of TextColumn
        The one-hot inputs that follow.
    raw_bytes : bool
        Whether the rows are uint8 and read as they are.
    notes : list of str
        What the user should know.
    """

    numeric: list[NumericColumn]
    text: list[TextColumn]
    raw_bytes: bool
    notes: list[str]

    @property
    def scale(self) -> float:
        """The network's factor on every input."""
        return 1 / 255 if self.raw_bytes else 1.0

    def transform(
        self, table: Table, rows: NDArray[np.intp], dtype: str
    ) -> tuple[NDArray[Any], int]:
        """Return the inputs of these rows, and how many text values were of no known category."""
        if self.raw_bytes:
            return np.ascontiguousarray(table.numeric[rows]), 0
        indicators = [column for column in self.numeric if column.indicator]
        width = len(self.numeric) + len(indicators) + sum(len(t.categories) for t in self.text)
        X = np.zeros((len(rows), width), dtype)
        for j, column in enumerate(self.numeric):
            values = table.numeric[rows, column.index].astype(np.float64)
            values[np.isnan(values)] = column.median
            with np.errstate(over="ignore"):
                X[:, j] = (values - column.mean) / column.std
            if np.isinf(X[:, j]).any():
                raise DataError(
                    f"{table.source}: column {column.name!r}: expected numbers that {dtype} holds, "
                    f"got {np.abs(values).max():g}"
                )
        at = len(self.numeric)
        for column in indicators:
            X[:, at] = np.isnan(table.numeric[rows, column.index])
            at += 1
        unseen = 0
        for text in self.text:
            place = {category: at + k for k, category in enumerate(text.categories)}
            where = np.array([place.get(v, -1) for v in table.categorical[text.name][rows]])
            known = np.flatnonzero(where >= 0)
            X[known, where[known]] = 1
            unseen += len(rows) - len(known)
            at += len(text.categories)
        return X, unseen

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for preprocessing.json."""
        if self.raw_bytes:
            return {"bytes": True, "scale": "in the network: 1/255"}
        return {
            "numeric": [
                {
                    "column": c.name,
                    "missing_becomes": c.median,
                    "indicator": c.indicator,
                    "mean": c.mean,
                    "std": c.std,
                }
                for c in self.numeric
            ],
            "one_hot": [{"column": t.name, "categories": t.categories} for t in self.text],
        }


def fit(table: Table, rows: NDArray[np.intp], standardize: bool | None) -> Preprocessor:
    """Return the preprocessor that these training rows lead to.

    Parameters
    ----------
    table : Table
        The data.
    rows : ndarray of int
        The training rows.
    standardize : bool or None
        Whether numeric columns get mean 0 and standard deviation 1; None: unless they are bytes.

    Returns
    -------
    Preprocessor

    Raises
    ------
    DataError
        If no input is left.
    """
    is_bytes = table.numeric.dtype == np.uint8 and not table.categorical
    if is_bytes and not standardize:
        if not table.numeric.shape[1]:
            raise DataError(f"{table.source}: no inputs")
        return Preprocessor([], [], True, [])
    notes: list[str] = []
    numeric = []
    for index, name in enumerate(table.numeric_names):
        values = table.numeric[rows, index].astype(np.float64)
        present = values[~np.isnan(values)]
        if not len(present):
            notes.append(f"column {name!r} has no values in the training rows: left out")
            continue
        gaps = len(values) - len(present)
        if gaps:
            notes.append(
                f"column {name!r}: {gaps} of {len(values)} training values missing: "
                "median, and an input that says where"
            )
        numeric.append(_numeric_column(name, index, values, present, standardize is not False))
    text = [_text_column(name, v[rows], notes) for name, v in table.categorical.items()]
    if not numeric and not text:
        raise DataError(f"{table.source}: no inputs: every column but the target is empty")
    return Preprocessor(numeric, text, False, notes)


def _numeric_column(
    name: str,
    index: int,
    values: NDArray[np.float64],
    present: NDArray[np.float64],
    standardize: bool,
) -> NumericColumn:
    median = float(np.median(present))
    indicator = len(present) < len(values)
    mean, std = 0.0, 1.0
    if standardize:
        mean, std = mean_and_std(np.where(np.isnan(values), median, values))
    return NumericColumn(name, index, median, indicator, mean, std)


def mean_and_std(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation, the latter 1 for a constant; huge values are fine."""
    largest = float(np.abs(values).max()) or 1.0
    mean, std = float((values / largest).mean()), float((values / largest).std())
    return mean * largest, std * largest if std > 1e-12 else 1.0


def _text_column(name: str, values: NDArray[Any], notes: list[str]) -> TextColumn:
    counts = Counter(values)
    common = sorted(counts, key=lambda category: (-counts[category], category))
    if len(common) > MAX_CATEGORIES:
        notes.append(
            f"column {name!r}: {len(common)} categories; the {MAX_CATEGORIES} most frequent have "
            "an input, the others are all zeros"
        )
    if counts[""]:
        notes.append(
            f"column {name!r}: {counts['']} of {len(values)} training values missing: "
            "a category of its own"
        )
    return TextColumn(name, sorted(common[:MAX_CATEGORIES]))

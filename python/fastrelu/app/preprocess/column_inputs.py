# SPDX-License-Identifier: BSD-3-Clause
"""The inputs of a table whose columns have names and types of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app import described
from fastrelu.app.data.table import Table
from fastrelu.app.preprocess.categories import Categories, categories_from
from fastrelu.app.preprocess.columns import (
    Column,
    as_dates,
    as_numbers,
    as_texts,
    find_columns,
)
from fastrelu.app.preprocess.dates import PARTS, date_parts
from fastrelu.app.preprocess.inputs import Inputs, Rows, Seen, refuse_infinite
from fastrelu.app.preprocess.standardize import Scaling
from fastrelu.app.preprocess.treatment import Treatment, of_number

PIECE = 4096  # rows that are worked on at once: the parts of their dates fit in a cache
BLOCK_NUMBERS = 1 << 16  # of a block, to stay in the second-level cache
ALL = slice(None)


class ColumnInputs(Inputs):
    """Numbers and parts of dates, then their indicators, then the categories.

    Attributes
    ----------
    parts : list of (column, part)
        What the numbers are; part is "" for a numeric column, else a part of a date.
    scaling : Scaling
        What is done to them.
    texts : list of Categories
        The text columns.
    columns : dict of str to str
        The kind of every column that training had, those left out included.
    """

    def __init__(
        self,
        parts: list[tuple[str, str]],
        scaling: Scaling,
        texts: list[Categories],
        columns: dict[str, str],
        notes: list[str] | None = None,
    ) -> None:
        self.parts, self.scaling, self.texts = parts, scaling, texts
        self.columns = columns
        self.notes = notes or []
        # One indicator is enough for all parts of a date.
        first: dict[str, int] = {}
        for j in np.flatnonzero(scaling.gaps):
            first.setdefault(parts[j][0], int(j))
        self._indicators = np.array(sorted(first.values()), np.intp)

    @property
    def part_names(self) -> list[str]:
        """The names of the numbers."""
        return [f"{name}: {part}" if part else name for name, part in self.parts]

    @property
    def input_names(self) -> list[str]:
        """The name of each input."""
        names = self.part_names
        names += [f"{self.parts[j][0]} is missing" for j in self._indicators]
        return names + [name for text in self.texts for name in text.input_names]

    @property
    def n_inputs(self) -> int:
        """How many inputs the network has."""
        n = len(self.parts) + len(self._indicators)
        return n + sum(text.n_inputs for text in self.texts)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns that inputs are made of."""
        return list(dict.fromkeys([name for name, _ in self.parts] + [t.name for t in self.texts]))

    @property
    def file_order(self) -> list[str]:
        """The columns that training had as inputs, in the order of its file."""
        return list(self.columns)

    @property
    def kinds(self) -> dict[str, str]:
        """How a reader should read each column."""
        used = set(self.column_names)
        return {name: kind for name, kind in self.columns.items() if name in used}

    def transform(
        self,
        table: Table,
        rows: Rows = None,
        dtype: Any = "float32",
        seen: Seen | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the inputs of some rows: see `Inputs.transform`."""
        seen = Counter() if seen is None else seen
        n = table.n_rows if rows is None else len(rows)
        names = self.column_names
        found = dict(zip(names, find_columns(table, names, self.file_order), strict=True))
        for name, column in found.items():
            if column is None:
                seen["missing column", name] += n
        X = np.empty((n, self.n_inputs), dtype) if out is None else out
        numbers = read_columns(table, found, self.parts)
        words = [as_texts(table, text.name, found[text.name]) for text in self.texts]
        for low in range(0, n, PIECE):
            some = slice(low, min(low + PIECE, n))
            which = some if rows is None else rows[some]
            self._numbers(table, numbers, which, X[some], seen)
            self._categories(words, which, X[some], seen)
        return X

    def _numbers(
        self,
        table: Table,
        columns: Mapping[str, Column],
        which: NDArray[np.intp] | slice,
        X: NDArray[Any],
        seen: Seen,
    ) -> None:
        """Set the inputs of the numbers of some rows."""
        values = values_of(columns, self.parts, which)
        p = len(values)
        if not p:
            return
        if self.scaling.knots is None:
            to = np.full(p, -1)
            to[self._indicators] = p + np.arange(len(self._indicators))
            missing, finite = self.scaling.rows(values, None, to, X)
        else:
            missing, finite = self._scores(values, X)
        if not finite:

            def raw(j: int, row: int) -> Any:
                column = columns[self.parts[j][0]]
                return None if column is None else column[row]

            rows = np.arange(table.n_rows)[which]
            refuse_infinite(table, self.part_names, X[:, :p], 0, rows, raw)
        self._count_missing(values, missing, seen)

    def _scores(self, values: list[Column], X: NDArray[Any]) -> tuple[NDArray[np.int64], bool]:
        """Set the normal scores of some rows; return what is missing, and if all are finite."""
        p, k = len(values), len(self._indicators)
        missing, finite = np.zeros(p, np.int64), True
        size = max(64, BLOCK_NUMBERS // p)
        buffer = np.empty((p, size))
        for low in range(0, len(X), size):
            high = min(low + size, len(X))
            block = buffer[:, : high - low]
            fill_block(block, values, None, low, high)
            gaps = self.scaling.apply(block)
            with np.errstate(over="ignore"):
                X[low:high, :p] = block.T
            finite = finite and bool(np.isfinite(X[low:high, :p]).all())
            X[low:high, p : p + k] = 0 if gaps is None else gaps[self._indicators].T
            missing += 0 if gaps is None else gaps.sum(axis=1)
        return missing, finite

    def _categories(
        self,
        columns: list[Column],
        which: NDArray[np.intp] | slice,
        X: NDArray[Any],
        seen: Seen,
    ) -> None:
        """Set the inputs of the categories of some rows."""
        at = len(self.parts) + len(self._indicators)
        X[:, at:] = 0
        for text, column in zip(self.texts, columns, strict=True):
            if column is None:
                where = text.places(np.array([""], object), Counter()).repeat(len(X))
            else:
                where = text.places(column[which], seen)
            known = np.flatnonzero(where >= 0)
            X[known, at + where[known]] = 1
            at += text.n_inputs

    def _count_missing(self, values: list[Column], missing: NDArray[Any], seen: Seen) -> None:
        """Count what is missing where training lacked nothing, once for all parts of a date."""
        for j in np.flatnonzero(~self.scaling.gaps & (missing > 0)):
            name, part = self.parts[j]
            if values[j] is not None and part in ("", self._first_part(name)):
                seen["missing value", name] += int(missing[j])

    def _first_part(self, name: str) -> str:
        return next(part for column, part in self.parts if column == name)

    def treatments(self) -> list[Treatment]:
        """Return what is done to each column that training had."""
        texts = {text.name: text for text in self.texts}
        places: dict[str, list[int]] = {}
        for j, (name, _) in enumerate(self.parts):
            places.setdefault(name, []).append(j)
        return [
            texts[n].treatment if n in texts else self._treatment(n, kind, places.get(n, []))
            for n, kind in self.columns.items()
        ]

    def _treatment(self, name: str, kind: str, places: list[int]) -> Treatment:
        shown = "number" if kind == "numeric" else kind
        if not places:
            return Treatment(name, shown, "left out", 0)
        if kind != "date":
            return of_number(name, self.scaling, places[0])
        gaps = bool(self.scaling.gaps[places].any())
        names = [self.parts[j][1] for j in places]
        fill = 0.0 if gaps else None
        return Treatment(name, shown, "date", len(places) + gaps, fill=fill, names=names)

    def describe(self) -> dict[str, Any]:
        """Return all of it as plain values, for a model file."""
        return {
            "layout": "columns",
            "columns": self.columns,
            "numbers": [list(part) for part in self.parts],
            "scaling": self.scaling.describe(),
            "categories": [text.describe() for text in self.texts],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ColumnInputs:
        """Return the inputs that `describe` has described."""
        columns = described.mapping(plain["columns"], "columns", kind_from)
        parts = [
            (described.text(name, "numbers"), described.one_of(part, "numbers", ["", *PARTS]))
            for name, part in described.sequence(plain["numbers"], "numbers", described.anything)
        ]
        scaling = Scaling.from_description(plain["scaling"])
        texts = described.sequence(plain["categories"], "categories", categories_from)
        if len(scaling.mean) != len(parts):
            raise described.refused(len(scaling.mean), "scaling", f"{len(parts)} columns")
        kinds = [(name, "date" if part else "numeric") for name, part in parts]
        kinds += [(categories.name, "text") for categories in texts]
        for name, kind in kinds:
            described.one_of(columns.get(name), f"columns.{name}", [kind])
        used = [*parts, *((categories.name, "") for categories in texts)]
        if not used or len(set(used)) < len(used):
            raise described.refused(used, "numbers, categories", "each column once")
        return cls(parts, scaling, texts, columns)


def kind_from(plain: Any, what: str) -> str:
    """Return the kind of a column, out of a model file."""
    return described.one_of(plain, what, ["numeric", "text", "date"])


def read_columns(
    table: Table, found: Mapping[str, Column], parts: list[tuple[str, str]]
) -> dict[str, Column]:
    """Return the columns that these parts name, as numbers or dates; None for what is not there."""
    kinds = {name: as_dates if part else as_numbers for name, part in parts}
    return {name: read(table, name, found[name]) for name, read in kinds.items()}


def values_of(
    columns: Mapping[str, Column],
    parts: list[tuple[str, str]],
    which: NDArray[np.intp] | slice = ALL,
) -> list[Column]:
    """Return some rows' numbers of each part, None for a column that is not there."""
    dates: dict[str, dict[str, NDArray[np.float64]]] = {}
    values: list[Column] = []
    for name, part in parts:
        column = columns[name]
        if column is None:
            values.append(None)
        elif not part:
            values.append(column[which])
        else:
            if name not in dates:
                dates[name] = date_parts(column[which])
            values.append(dates[name][part])
    return values


def fill_block(
    block: NDArray[np.float64], values: list[Column], rows: Rows, low: int, high: int
) -> None:
    """Put rows low to high (of `rows`) into a block, (columns, rows)."""
    which = None if rows is None else rows[low:high]
    for row, column in zip(block, values, strict=True):
        if column is None:
            row[:] = np.nan
        elif which is None:
            row[:] = column[low:high]
        else:
            row[:] = column[which]

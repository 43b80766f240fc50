# SPDX-License-Identifier: BSD-3-Clause
"""The columns of text files, gathered block by block; all rows together say what each one is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import (
    Evidence,
    Hints,
    Meaning,
    Verdict,
    bridge,
    empty,
    settle,
    shown_decimal,
    shown_order,
    told,
    unfit,
)
from fastrelu.app.data.meaning.dates import ORDERS, of_digits
from fastrelu.app.data.meaning.numbers import Written
from fastrelu.app.data.meaning.vector_count import count, count_numbers
from fastrelu.app.data.meaning.vector_values import encoded, numbers_in, values_of
from fastrelu.app.errors import DataError

UNNAMED = ("column 1", "Unnamed: 0")
POINT = Written(".")
NAN = "(?i)^ *[+-]?nan *$"


class Places(Protocol):
    """Where rows lie, for messages."""

    def full(self, row: int) -> str:
        """Return the file and the line."""
        ...

    def near(self, row: int) -> str:
        """Return the line, with the file if there are several."""
        ...

    def cell(self, row: int, name: str) -> str:
        """Return what stands in a column."""
        ...


@dataclass
class Gathered:
    """One column.

    Attributes
    ----------
    name : str
    role : {"column", "target", "weights"}
    hints : Hints
        What is known about the column from outside its cells.
    kind : str or None
        The kind that it has to be of; see `ColumnChoice.kind`.
    known : Meaning or None
        What the column was in training.
    keep : bool
        Whether its texts are kept for `values`, not counted only.
    said : str
        Who says what it has to be, for messages: ", as in training".
    evidence : Evidence
        What the cells so far tell.
    parts : list of (first row, float64 array or pyarrow array of texts)
        The values or texts that are kept, in the order of the rows.
    plain : bool
        Whether every block so far was of plain numbers.
    nan_row : int or None
        The first row whose target is the text NaN.
    n_rows : int
        The number of rows so far.
    files : list of (present cells, numbers)
        Up to the end of each file.
    counter : bool
        Whether its numbers count the rows of each file, as an index that has no name.
    """

    name: str
    role: str
    hints: Hints
    kind: str | None = None
    known: Meaning | None = None
    keep: bool = True
    said: str = ""
    evidence: Evidence = field(init=False)
    parts: list[tuple[int, Any]] = field(default_factory=list)
    plain: bool = True
    nan_row: int | None = None
    n_rows: int = 0
    files: list[tuple[int, int]] = field(default_factory=list)
    counter: bool = False
    _file_row: int = 0

    def __post_init__(self) -> None:
        order = self.hints.order
        form = order if order is not None and order not in ORDERS else ""
        self.evidence = Evidence(self.hints.missing, form)
        if self.kind in ("text", "date") or of_digits(form):
            self.plain = False
        self.counter = self.name in UNNAMED

    @property
    def counted(self) -> bool:
        """Whether its cells have to be counted to know what it is."""
        return self.known is None and self.kind != "text"

    @property
    def decimals(self) -> bool:
        """Whether so far all are plain numbers, some of them with a point, which codes have not.

        No more than their number is to be learned from further ones, so they need no texts.
        """
        known = self.known is not None and (self.known.kind, self.known.decimal) == ("number", ".")
        counted = self.counted and POINT in self.evidence.first
        return self.plain and not self.evidence.form and (known or counted)

    def add(self, texts: Any) -> None:
        """Take the texts of the next rows, a pyarrow StringArray; a DoubleArray if `decimals`."""
        first = self.n_rows
        self.n_rows += len(texts)
        part: Any = None
        if bridge.is_numbers(texts):
            self._add_decimals(texts, first)
            return
        if self.plain:
            part = self._numbers(texts, first)
        if part is None:
            self.plain = False
            part = encoded(texts)
            if self.counted:
                count(self.evidence, part, first)
        if self.counter and len(texts):
            self.counter = isinstance(part, np.ndarray) and self._counts_on(part, first)
        if self.role == "target" and self.nan_row is None:
            self._look_for_nan(texts, part, first)
        if self.keep:
            self.parts.append((first, part))

    def _add_decimals(self, numbers: Any, first: int) -> None:
        part = bridge.values(numbers, np.float64, np.nan)
        there = bridge.valid(numbers) & np.isnan(part)  # NaN as a text
        gaps = int(np.isnan(part).sum())
        if self.counted:
            self.evidence.add_missing(gaps)
            if len(part) > gaps:
                self.evidence.add_numbers(POINT, len(part) - gaps, None)
        if self.counter and len(part):
            self.counter = self._counts_on(part, first)
        if self.role == "target" and self.nan_row is None and there.any():
            self.nan_row = first + int(np.argmax(there))
        if self.keep:
            self.parts.append((first, part))

    def _counts_on(self, numbers: NDArray[np.float64], first: int) -> bool:
        """Return whether numbers go on to count the rows of a file, from 0 or 1."""
        start = numbers[0] - (first - self._file_row)
        return bool(start in (0, 1) and (numbers == numbers[0] + np.arange(len(numbers))).all())

    def _numbers(self, texts: Any, first: int) -> NDArray[np.float64] | None:
        """Return the texts' numbers if all are plain and the column takes them."""
        if self.known is not None and (self.known.kind, self.known.decimal) != ("number", "."):
            return None
        numbers = numbers_in(texts, self.hints.missing)
        if numbers is None:
            return None
        if self.counted:
            count_numbers(self.evidence, texts, numbers, first)
        return bridge.values(numbers, np.float64, np.nan)

    def _look_for_nan(self, texts: Any, part: Any, first: int) -> None:
        import pyarrow.compute as pc

        if isinstance(part, np.ndarray) and not np.isnan(part).any():
            return
        where = bridge.first(pc.match_substring_regex(texts, NAN))
        if where is not None:
            self.nan_row = first + where

    def end_file(self) -> None:
        """Note what was counted up to the end of a file."""
        self._file_row = self.n_rows
        self.files.append((self.evidence.present, self.evidence.numbers.total()))

    def differs(self) -> tuple[int, int] | None:
        """Return the numbers of a file with numbers only and of one with none; None if not so."""
        before = [(0, 0), *self.files]
        counts = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(before)]
        numeric = [i for i, (n, numbers) in enumerate(counts) if n and numbers == n]
        others = [i for i, (n, numbers) in enumerate(counts) if n and not numbers]
        return (numeric[0], others[0]) if numeric and others else None

    def settle(self, strict: bool) -> Verdict:
        """Return what the column is, once all rows are counted."""
        return settle(self.evidence, self.hints, self.kind, self.known, self.role, strict)

    def fits(self, meaning: Meaning) -> bool:
        """Return whether what is kept of the column is enough for a meaning."""
        if meaning.kind in ("number", "flag") and meaning.decimal == ".":
            return True
        return not any(isinstance(part, np.ndarray) for _, part in self.parts)

    def known_as(self, meaning: Meaning, first_row: int) -> Gathered:
        """Return the column without rows, to keep those from `first_row` on as a meaning."""
        column = Gathered(self.name, self.role, self.hints, self.kind, meaning, said=self.said)
        column.n_rows, column.counter = first_row, False
        return column

    def again(self) -> Gathered:
        """Return the column without rows, to keep its texts and count no more."""
        return replace(
            self, kind="text", known=None, keep=True, parts=[], n_rows=0, files=[], _file_row=0
        )


def wide_hints(columns: Iterable[Gathered]) -> tuple[str | None, str | None]:
    """Return the decimal mark and the order of dates that some columns show and no other denies."""
    marks, orders = set(), set()
    for column in columns:
        if column.counted:
            marks.add(shown_decimal(column.evidence))
            orders.add(shown_order(column.evidence))
    marks.discard(None)
    orders.discard(None)
    mark = marks.pop() if len(marks) == 1 else None
    return mark, orders.pop() if len(orders) == 1 else None


def refusal(column: Gathered, verdict: Verdict, places: Places) -> DataError:
    """Return the error for a column that is nothing in particular."""
    problem = verdict.problem
    assert problem is not None
    text = told(problem, places.near, column.name)
    return DataError(f"{places.full(problem.row)}: {column.role} {column.name!r}: {text}")


def values(column: Gathered, meaning: Meaning, places: Places, strict: bool = True) -> NDArray[Any]:
    """Return a column's values; its texts are given up.

    Raises
    ------
    DataError
        If a cell does not fit the meaning; with `strict` also if one is infinite, or NaN in a
        target.
    """
    if meaning.kind == "number" and column.nan_row is not None:
        raise DataError(
            f"{places.full(column.nan_row)}: target {column.name!r}: expected a number, got 'nan'; "
            "correct it, or empty the cell to leave the row out"
        )
    found: list[NDArray[Any]] = []
    words: dict[str, str] = {}
    while column.parts:
        first, part = column.parts.pop(0)
        if not isinstance(part, np.ndarray):
            texts = part
            part, wrong = values_of(texts, meaning, column.hints.missing, words)
            if wrong is not None:
                what = f"{places.full(first + wrong)}: {column.role} {column.name!r}"
                text = texts[wrong].as_py().strip()
                raise unfit(what, text, meaning, column.said)
        if meaning.kind == "number":
            part = column.hints.missing.without(part)
        if strict:
            _refuse_infinite(column, first, part, places)
        found.append(part)
    if not found:
        return empty(meaning)
    return found[0] if len(found) == 1 else np.concatenate(found)


def _refuse_infinite(column: Gathered, first: int, part: NDArray[Any], places: Places) -> None:
    if part.dtype.kind != "f":
        return
    infinite = np.isinf(part)
    if infinite.any():
        row = first + int(np.argmax(infinite))
        cell = places.cell(row, column.name).strip()[:40]
        raise DataError(
            f"{places.full(row)}: {column.role} {column.name!r}: expected finite numbers, got "
            f"{cell!r}; correct the cell, or empty it"
        )

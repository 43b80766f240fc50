# SPDX-License-Identifier: BSD-3-Clause
"""What the texts of one column say about it, counted block by block in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastrelu.app.data.meaning.dates import (
    FIGURES,
    WrittenDate,
    by_format,
    like_days,
    seconds,
    written_date,
)
from fastrelu.app.data.meaning.numbers import INFINITE, Written, is_rounded, value, written
from fastrelu.app.data.meaning.words import DIGITS, SUMS, TRUTH, Missing

MOST_FORMS = 64  # ways of writing that are told apart in one column


class Example(NamedTuple):
    """A text and the first row that holds it."""

    row: int
    text: str


@dataclass
class Evidence:
    """Counts of what the cells of a column may be; each cell counts once.

    Attributes
    ----------
    missing : Missing
        Which texts stand for nothing.
    form : str
        The format, as strptime's, that the user has given for dates; "" none.
    n_rows, n_missing : int
        Cells in all, and those that are missing in every kind of column.
    absent : Counter of str
        Cells that are missing unless the column is one of categories: NA, None, -.
    numbers : Counter of Written
        Cells that are numbers, by the way they are written.
    dates : Counter of WrittenDate
        Cells that are dates.
    clocks : int
        Cells that are times of the day or durations.
    truths : Counter of str
        Cells that spell true or false, as they are spelled.
    bits : int
        Numbers that are 0 or 1.
    others : int
        All other cells.
    loose : Counter of str
        Of those, the ones that begin with a number, by what follows it.
    loose_words : set of str
        Some of these texts, 64 at most.
    figures : int
        Of the other cells, those with digits that may be numbers or dates in a spelling that is
        not known: 0x1F, 3/4, 2024-01, 1. Januar 2024.
    figure_words : set of str
        Some of these texts, 64 at most.
    sums : int
        Of the other cells, those that say that their row holds sums: Total, Summe.
    huge : Example or None
        A whole number that is no double.
    days : bool
        Whether all whole numbers so far may be days, as 20240131.
    first : dict
        An example, the first one, of each key of the counters, and of "other", "loose", "figures",
        "clock", "sum".
    """

    missing: Missing = field(default_factory=Missing)
    form: str = ""
    n_rows: int = 0
    n_missing: int = 0
    absent: Counter[str] = field(default_factory=Counter)
    numbers: Counter[Written] = field(default_factory=Counter)
    dates: Counter[WrittenDate] = field(default_factory=Counter)
    clocks: int = 0
    truths: Counter[str] = field(default_factory=Counter)
    bits: int = 0
    others: int = 0
    loose: Counter[str] = field(default_factory=Counter)
    loose_words: set[str] = field(default_factory=set)
    figures: int = 0
    figure_words: set[str] = field(default_factory=set)
    sums: int = 0
    huge: Example | None = None
    days: bool = True
    first: dict[object, Example] = field(default_factory=dict)

    @property
    def present(self) -> int:
        """Cells that are missing in no kind of column."""
        return self.n_rows - self.n_missing - self.absent.total()

    def add_missing(self, n: int) -> None:
        """Count cells that are missing in every kind of column."""
        self.n_rows += n
        self.n_missing += n

    def add_numbers(self, how: Written, n: int, example: Example | None, bits: int = 0) -> None:
        """Count numbers that are all written in one way, `bits` of them 0 or 1."""
        self.n_rows += n
        self.numbers[how] += n
        self.bits += bits
        if example is not None:
            self.first.setdefault(how, example)

    def add(
        self, words: Sequence[str], counts: Sequence[int], row_of: Callable[[int], int]
    ) -> None:
        """Count texts.

        Parameters
        ----------
        words : sequence of str
            Different texts.
        counts : sequence of int
            How many cells hold each.
        row_of : callable
            Gives the first row that holds the k-th of them.
        """
        for k, (word, n) in enumerate(zip(words, counts, strict=True)):
            text = word.strip()
            self.n_rows += n
            if self.missing.is_missing(text):
                self.n_missing += n
            elif self.missing.is_missing(text, numbers=True):
                self._count(self.absent, text, text, n, k, row_of)
            else:
                self._add_present(text, n, k, row_of)

    def _add_present(self, text: str, n: int, k: int, row_of: Callable[[int], int]) -> None:
        digits = any("0" <= c <= "9" for c in text)
        if self.form and by_format(text, self.form) is not None:
            self._count(self.dates, WrittenDate((self.form,)), text, n, k, row_of)
            return
        if not digits:
            if text.lower() in TRUTH:
                self._count(self.truths, text, text, n, k, row_of)
                return
            if text.lower().lstrip("+-") in INFINITE:
                self._count(self.numbers, Written(), text, n, k, row_of)
                return
        elif (how := written(text)) is not None and len(self.numbers) < MOST_FORMS:
            self._count(self.numbers, how, text, n, k, row_of)
            self._look_at_whole(text, k, row_of)
            self.bits += n * (text in DIGITS)
            return
        elif (date := written_date(text)) is not None:
            self._count(self.dates, date, text, n, k, row_of)
            return
        elif seconds(text) is not None:
            self.clocks += n
            self._example("clock", text, k, row_of)
            return
        if digits and not text[0].isalpha() and (how := written(text, loose=True)) is not None:
            self.loose[how.unit if len(self.loose) < MOST_FORMS else ""] += n
            if len(self.loose_words) < MOST_FORMS:
                self.loose_words.add(text)
            self._example("loose", text, k, row_of)
        other_digits = not text.isascii() and any(map(str.isdecimal, text))  # such as Arabic ones
        if (digits or other_digits) and FIGURES.fullmatch(text):
            self.figures += n
            if len(self.figure_words) < MOST_FORMS:
                self.figure_words.add(text)
            self._example("figures", text, k, row_of)
        if text.lower().rstrip(":") in SUMS:
            self.sums += n
            self._example("sum", text, k, row_of)
        self.others += n
        self._example("other", text, k, row_of)

    def _look_at_whole(self, text: str, k: int, row_of: Callable[[int], int]) -> None:
        self.days = self.days and len(text) == 8 and like_days(np.array([value(text) or 0.0]))
        if self.huge is None and len(text) > 15 and is_rounded(text):
            self.huge = Example(row_of(k), text)

    def _count(
        self, where: Counter[Any], key: object, text: str, n: int, k: int,
        row_of: Callable[[int], int],
    ) -> None:  # fmt: skip
        where[key] += n
        self._example(key, text, k, row_of)

    def _example(self, key: object, text: str, k: int, row_of: Callable[[int], int]) -> None:
        if key not in self.first:
            self.first[key] = Example(row_of(k), text)

# SPDX-License-Identifier: BSD-3-Clause
"""The split: which rows are trained on, which are watched, which are tested.

One rule for data in memory and for streams ("The split" in docs/arithmetic.md): the part of a row
follows from its number, its class and the counts of the classes, so no list of rows is kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.ranks import Block, Blocks, Integers, Keys, first_of_each, nth_smallest
from fastrelu.app.data.table import Table, is_missing
from fastrelu.app.errors import DataError
from fastrelu.random import Purpose, words

PARTS = ("train", "validation", "test")
NUMBER = {part: number for number, part in enumerate(PARTS)}
NONE = len(PARTS)  # the number of no part
WORDS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
Rows = NDArray[np.intp]
Numbers = NDArray[np.uint8]
BLOCK_ROWS = 1 << 16  # whose numbers are drawn at once


class Split(Protocol):
    """Says the part of each row."""

    def numbers(self, table: Table, first_row: int) -> Numbers:
        """Return each row's part by its number in `PARTS`, `NONE` for rows to leave out.

        Parameters
        ----------
        table : Table
            Rows one after another.
        first_row : int
            The number of the first through all files.
        """
        ...


def used_rows(table: Table) -> NDArray[np.bool_]:
    """Return which rows have a target, and a weight above 0 where there are weights."""
    used = ~table.missing_target()
    if table.weights is not None:
        used &= table.weights > 0
    return used


def rows_of(numbers: Numbers, part: str) -> Rows:
    """Return the rows of one part, ascending."""
    return np.flatnonzero(numbers == NUMBER[part])


def row_numbers(seed: int, first: int, count: int) -> Keys:
    """Return a random 64-bit number for each of the rows first .. first + count - 1.

    Row i has word i mod 4 of Philox's block i // 4 under the key (seed, MEMBERSHIP), wherever it
    starts and however many rows there are.
    """
    return words(seed, Purpose.MEMBERSHIP, first, count)


def shares(source: str, n: int, test: float, validation: float) -> tuple[int, int]:
    """Return how many of n rows are tested, and how many tested or watched.

    Raises
    ------
    DataError
        If fewer than two are left to train on.
    """
    n_test, n_validation = (
        max(2, round(share * n)) if share else 0 for share in (test, validation)
    )
    if n - n_test - n_validation < 2:
        raise DataError(f"{source}: {n} rows are too few to train, validate and test")
    return n_test, n_test + n_validation


class RankedSplit:
    """The first rows of an order are tested, those after them watched, the rest trained on.

    Parameters
    ----------
    keys : RandomKeys or TimeKeys
        Of which rows have small ones first.
    counts : ndarray of int64, (n_classes,)
        Rows of each class, which has its share of every stretch of the order; (1,) without.
    ends : tuple of int
        How many rows are tested; and how many are tested or watched.
    blocks : callable
        Yields all rows with their classes, keys and tie-breakers, as often as it is called.
    classes_of : callable, optional
        Gives the class numbers of a table's rows, anything from 0 on for rows to leave out.
    """

    def __init__(
        self,
        keys: RandomKeys | TimeKeys,
        counts: Integers,
        ends: tuple[int, int],
        blocks: Blocks,
        classes_of: Callable[[Table], Integers] | None = None,
    ) -> None:
        self.keys, self._classes_of = keys, classes_of
        self._last = _last_rows(counts, ends, blocks)

    def numbers(self, table: Table, first_row: int) -> Numbers:
        """Return each row's part: see `Split.numbers`."""
        keys, ties = self.keys.of(table, first_row)
        group = np.zeros(table.n_rows, np.int64)
        if self._classes_of is not None:
            group = self._classes_of(table)
        parts = np.full(table.n_rows, NUMBER["train"], np.uint8)
        for part, (some, last_key, last_tie) in zip(("validation", "test"), self._last[::-1],
                                                    strict=True):  # fmt: skip
            key, tie = last_key[group], last_tie[group]
            parts[some[group] & ((keys < key) | ((keys == key) & (ties <= tie)))] = NUMBER[part]
        parts[~used_rows(table)] = NONE
        return parts


#: For each class: whether it has rows among the first of an order; the last of them, key and tie.
Last = tuple[NDArray[np.bool_], Keys, Keys]


def _last_rows(counts: Integers, ends: Sequence[int], blocks: Blocks) -> list[Last]:
    """Return which rows of each class the first n of the order end with, for each n of `ends`."""
    wanted = [first_of_each(counts, n) for n in ends]
    classes = [np.concatenate([np.flatnonzero(sure > 0), np.flatnonzero(tied)])
               for sure, tied in wanted]  # fmt: skip
    ranks = [np.concatenate([sure[sure > 0] - 1, sure[tied]]) for sure, tied in wanted]
    found = nth_smallest(blocks, counts, np.concatenate(classes), np.concatenate(ranks))
    starts = np.cumsum([len(each) for each in classes])[:-1]
    keys, ties = (np.split(each, starts) for each in found)
    return [
        _last_of(n, sure, *of_end)
        for n, (sure, _), *of_end in zip(ends, wanted, classes, keys, ties, strict=True)
    ]


def _last_of(n: int, sure: Integers, classes: Integers, keys: Keys, ties: Keys) -> Last:
    """Return the last rows of one end: of the classes with sure rows, then of those tied."""
    some = sure > 0
    n_some = int(some.sum())
    last_key, last_tie = np.zeros((2, len(sure)), np.uint64)
    last_key[some], last_tie[some] = keys[:n_some], ties[:n_some]
    # Rows of several classes at one place: those of the smallest keys come first.
    order = np.lexsort((ties[n_some:], keys[n_some:]))[: n - int(sure.sum())] + n_some
    taken = classes[order]
    last_key[taken], last_tie[taken], some[taken] = keys[order], ties[order], True
    return some, last_key, last_tie


class RandomKeys:
    """Random numbers, one for each row: see `row_numbers`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, table: Table, first_row: int) -> tuple[Keys, Keys]:
        """Return the keys and tie-breakers of a table's rows."""
        return self.at(first_row, table.n_rows)

    def at(self, first_row: int, n: int) -> tuple[Keys, Keys]:
        """Return those of the rows from `first_row` on; equal numbers: the earlier row first."""
        return row_numbers(self.seed, first_row, n), np.arange(first_row, first_row + n, dtype="u8")

    def blocks(self, classes: NDArray[np.integer]) -> Blocks:
        """Return all rows by their classes, (n_rows,), whose largest value is that of no class."""
        none = np.iinfo(classes.dtype).max

        def every() -> Iterator[Block]:
            for first in range(0, len(classes), BLOCK_ROWS):
                some = classes[first : first + BLOCK_ROWS]
                keys, ties = self.at(first, len(some))
                used = np.flatnonzero(some != none)
                yield some[used], keys[used], ties[used]

        return every


class TimeKeys:
    """A column's times (or numbers), the latest first; equal times: the later row first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._dtype: np.dtype[Any] | None = None  # that all tables have in common

    def look(self, table: Table, used: NDArray[np.bool_]) -> int:
        """Look at a table of a first pass; return how many of the rows used have no time.

        Raises
        ------
        DataError
            If the column is text.
        """
        column = table.extra[self.name]
        if column.dtype == object:
            raise DataError(
                f"{table.source}: --split time:{self.name}: expected numbers or dates, got text "
                f"such as {column[0]!r}"
            )
        # As in memory: whole numbers keep all their digits unless others are among them.
        before = column.dtype if self._dtype is None else self._dtype
        self._dtype = np.result_type(before, column.dtype)
        return int((is_missing(column) & used).sum())

    def of(self, table: Table, first_row: int) -> tuple[Keys, Keys]:
        """Return the keys and tie-breakers of a table's rows, after `look` at all of them."""
        column = table.extra[self.name]
        column = column.astype(self._dtype or column.dtype, copy=False)
        if column.dtype.kind == "M":
            ascending = _signed(column.astype("datetime64[us]").view(np.int64))
        elif column.dtype.kind == "f":
            bits = (column.astype(np.float64) + 0.0).view(np.uint64)  # -0 is 0
            ascending = np.where(bits >> np.uint64(63), ~bits, bits | np.uint64(1 << 63))
        elif column.dtype.kind == "i":
            ascending = _signed(column.astype(np.int64))
        else:
            ascending = column.astype(np.uint64)
        return ~ascending, ~np.arange(first_row, first_row + table.n_rows, dtype=np.uint64)


def _signed(values: Integers) -> Keys:
    """Return whole numbers as keys in their order."""
    return values.view(np.uint64) ^ np.uint64(1 << 63)


class ColumnSplit:
    """A column says it, in words."""

    def __init__(self, name: str) -> None:
        self.name = name

    def numbers(self, table: Table, first_row: int) -> Numbers:
        """Return each row's part: see `Split.numbers`."""
        used = np.flatnonzero(used_rows(table))
        texts = [str(value).strip().lower() for value in table.extra[self.name][used]]
        found, place = np.unique(np.array(texts, object), return_inverse=True)
        for k, text in enumerate(found):
            if text not in WORDS:
                near = difflib.get_close_matches(text, WORDS, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                row = table.first_row + int(used[np.flatnonzero(place.reshape(-1) == k)[0]]) + 1
                raise DataError(
                    f"{table.source}: row {row}: --split column:{self.name}: expected train, "
                    f"validation or test, got {text!r}{hint}"
                )
        parts = np.full(table.n_rows, NONE, np.uint8)
        meant = np.array([NUMBER[WORDS[text]] for text in found], np.uint8)
        parts[used] = meant[place.reshape(-1)]
        return parts


class GivenSplit:
    """The parts of the rows of one table, as they are given.

    Parameters
    ----------
    numbers : ndarray of uint8, (n,)
        The part of each row.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    @classmethod
    def of(cls, rows: Mapping[str, Rows], n_rows: int) -> GivenSplit:
        """Return the split with these rows in each part, of a table of `n_rows`."""
        numbers = np.full(n_rows, NONE, np.uint8)
        for part, own in rows.items():
            numbers[own] = NUMBER[part]
        return cls(numbers)

    def numbers(self, table: Table, first_row: int) -> Numbers:
        """Return each row's part: see `Split.numbers`."""
        return self._numbers[first_row : first_row + table.n_rows]


class ThresholdSplit:
    """The rule of the streams of fastrelu 0.1, for a run that began with it to go on.

    A row whose number u, uniform in [0, 1), is below `test` is tested; below the sum of both
    shares, watched; else trained on. The shares are kept on average.
    """

    def __init__(self, seed: int, validation: float, test: float) -> None:
        self.seed, self.ends = seed, (test, test + validation)

    def numbers(self, table: Table, first_row: int) -> Numbers:
        """Return each row's part: see `Split.numbers`."""
        parts = self.drawn(first_row, table.n_rows)
        parts[~used_rows(table)] = NONE
        return parts

    def drawn(self, first_row: int, n: int) -> Numbers:
        """Return the parts that the row numbers alone decide."""
        # u = (word >> 11) * 2^-53 is below a share where word >> 11 is below share * 2^53.
        u = row_numbers(self.seed, first_row, n) >> np.uint64(11)
        ends = [np.uint64(np.ceil(end * 2.0**53)) for end in self.ends]
        parts = np.full(n, NUMBER["train"], np.uint8)
        parts[u < ends[1]] = NUMBER["validation"]
        parts[u < ends[0]] = NUMBER["test"]
        return parts

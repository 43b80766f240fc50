# SPDX-License-Identifier: BSD-3-Clause
"""What the texts of a column mean that come from something other than a text file.

A column of texts in a data frame, a Parquet file or a database is read as the same texts in a CSV
file are: as numbers, truth values or dates if all of them are, else as categories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.cells import MISSING, TRUTH, date, number
from fastrelu.app.errors import DataError

Place = Callable[[int], str]
SHOWN = 40


def spelled(text: str) -> str:
    """Return a text as a category: without spaces around it, "" if missing, True and False so."""
    text = text.strip()
    folded = text.lower()
    if folded in MISSING:
        return ""
    return text.capitalize() if folded in TRUTH else text


def other_spellings(names: Iterable[Any]) -> dict[Any, Any]:
    """Return by other spellings the names that are truth values, if all names are.

    The same truth is True, true, TRUE and 1 in the files of different tools, as a class and as a
    category.
    """
    truths: dict[Any, bool] = {0: False, 1: True, "0": False, "1": True}
    truths |= {w: word == "true" for word in TRUTH for w in (word, word.upper(), word.title())}
    present = [name for name in names if name != ""]
    if not present or not all(name in truths for name in present):
        return {}
    known = {truths[name]: name for name in reversed(present)}
    return {word: known[truth] for word, truth in truths.items() if truth in known}


@dataclass
class TextColumn:
    """One column of texts: what it is taken for, told from all of its different texts.

    Attributes
    ----------
    source, name : str
        For messages.
    kind : str or None
        "numeric", "text" or "date" if it has to be that; None: told from the content.
    role : {"column", "target", "weights"}
        A target keeps truth values as its classes and is never a date.
    """

    source: str
    name: str
    kind: str | None = None
    role: str = "column"
    _counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("numeric", "flag", "date", "text"), 0)
    )
    _first: tuple[str, str] | None = None  # of what is no number: its place and the text
    _known: dict[str, str] = field(default_factory=dict)

    def look(self, words: Sequence[str], counts: Iterable[int], place: Place) -> None:
        """Take some different texts, with how often each occurs.

        Parameters
        ----------
        words : sequence of str
        counts : iterable of int
        place : callable
            Says where the word of a number stands first, for messages.
        """
        for k, (word, count) in enumerate(zip(words, counts, strict=True)):
            word = word.strip()
            if word.lower() in MISSING:
                continue
            kind = self._known.get(word)
            if kind is None:
                kind = _kind_of(word)
                if len(self._known) < 1 << 16:  # a cache only
                    self._known[word] = kind
            self._counts[kind] += count
            if kind != "numeric" and self._first is None:
                self._first = place(k), word

    def decide(self) -> str:
        """Return "numeric", "text" or "date".

        Raises
        ------
        DataError
            If most texts are numbers and some are not.
        """
        if self.kind is not None:
            return self.kind
        counts, total = self._counts, sum(self._counts.values())
        if counts["numeric"] == total:
            return "numeric"
        if 2 * counts["numeric"] > total:
            assert self._first is not None
            place, word = self._first
            raise DataError(
                f"{self.source}: {place}: {self.role} {self.name!r}: expected a number, as in "
                f"{counts['numeric']} other rows, got {word[:SHOWN]!r} ("
                f"{total - counts['numeric']} such in all); correct or empty it, or read the "
                f"column as categories: --categorical {self.name!r}"
            )
        if self.role != "target":
            if counts["flag"] == total:
                return "numeric"
            if counts["date"] == total:
                return "date"
        return "text"

    def values(self, words: Sequence[str], place: Place, kind: str) -> NDArray[Any]:
        """Return what each of some texts means: a number, a date, or a text ("" if missing).

        Raises
        ------
        DataError
            If a text cannot be of the column's kind.
        """
        if kind == "text":
            return as_objects([spelled(word) for word in words])
        read = self._number if kind == "numeric" else self._date
        made = [read(word.strip(), k, place) for k, word in enumerate(words)]
        return np.array(made, np.float64 if kind == "numeric" else "datetime64[us]")

    def _number(self, word: str, k: int, place: Place) -> float:
        value = TRUTH.get(word.lower())
        if value is None:
            value = number(word)
        what = f"{self.source}: {place(k)}: {self.role} {self.name!r}"
        if value is None:
            as_in = ", as in training" if self.role == "column" else ""
            raise DataError(f"{what}: expected a number{as_in}, got {word[:SHOWN]!r}")
        if math.isinf(value):
            raise DataError(
                f"{what}: expected finite numbers, got {word[:SHOWN]!r}; correct it, or empty it"
            )
        if self.role == "target" and word.lower().lstrip("+-") == "nan":
            raise DataError(
                f"{what}: expected a number, got {word!r}; correct it, or empty it to leave the "
                "row out"
            )
        return value

    def _date(self, word: str, k: int, place: Place) -> np.datetime64:
        if word.lower() in MISSING:
            return np.datetime64("NaT", "us")
        moment = date(word)
        if moment is None:
            raise DataError(
                f"{self.source}: {place(k)}: column {self.name!r}: expected a date such as "
                f"2024-01-31, as in training, got {word[:SHOWN]!r}"
            )
        return np.datetime64(moment, "us")


def _kind_of(word: str) -> str:
    if number(word) is not None:
        return "numeric"
    if word.lower() in TRUTH:
        return "flag"
    return "date" if date(word) is not None else "text"


def look_at(
    column: TextColumn, words: Sequence[str], where: NDArray[np.integer[Any]], place: Place
) -> tuple[list[str], NDArray[np.intp], Place]:
    """Show a column its different texts in the order of their first rows.

    Parameters
    ----------
    column : TextColumn
    words : sequence of str
        The different texts.
    where : ndarray of int, (n,)
        The number of each row's word; -1 where there is none.
    place : callable
        Names a row by its number.

    Returns
    -------
    tuple
        The words that occur, their numbers, and what names the first row of each.
    """
    rows = np.flatnonzero(where >= 0)
    counts = np.bincount(where[rows], minlength=len(words))
    first = np.zeros(len(words), np.intp)
    first[where[rows[::-1]]] = rows[::-1]  # the first row of each word is written last
    used = np.flatnonzero(counts)
    used = used[np.argsort(first[used], kind="stable")]
    some = [words[k] for k in used.tolist()]

    def place_of(k: int) -> str:
        return place(int(first[used[k]]))

    column.look(some, counts[used].tolist(), place_of)
    return some, used, place_of


def read_texts(
    column: TextColumn, words: Sequence[str], where: NDArray[np.integer[Any]], place: Place
) -> NDArray[Any]:
    """Return a column of texts as numbers, dates, or texts ("" where missing).

    The parameters are those of `look_at`.

    Raises
    ------
    DataError
        If the texts are not of the column's kind, or most are numbers and some are not.
    """
    some, used, place_of = look_at(column, words, where, place)
    kind = column.decide()
    meant = column.values(some, place_of, kind)
    empty: Any = {"text": "", "date": np.datetime64("NaT", "us")}.get(kind, np.nan)
    table = np.full(len(words) + 1, empty, meant.dtype)  # the last: for rows without a word
    table[used] = meant
    return np.asarray(table[where])


def words_of(texts: Sequence[Any]) -> tuple[list[Any], NDArray[np.intp]]:
    """Return the different texts, in the order of their first rows, and the word of each row.

    None stands for no text; its rows have the number -1.
    """
    place: dict[Any, int] = {}
    where = np.fromiter((place.setdefault(t, len(place)) for t in texts), np.intp, len(texts))
    if None in place:
        gap = place.pop(None)
        where = np.where(where == gap, -1, where - (where > gap))
    return list(place), where


def as_objects(values: Sequence[Any]) -> NDArray[Any]:
    """Return values as an object array, (n,)."""
    result = np.empty(len(values), object)
    result[:] = values
    return result


def texts_of_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as the texts that name them as categories: 3.0 is "3"; "" where missing."""
    different, where = np.unique(values, return_inverse=True, equal_nan=True)
    return as_objects([_text_of(v) for v in different])[where.reshape(-1)]


def _text_of(value: Any) -> str:
    if value.dtype.kind != "f":
        return str(value)
    if np.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else str(value)


def texts_of_dates(values: NDArray[Any]) -> NDArray[Any]:
    """Return dates, datetime64[us], as texts: the day, and the time if there is one."""
    different, where = np.unique(values, return_inverse=True)
    texts = []
    for value in different:
        day, _, time = str(value).partition("T")
        time = time.rstrip("0").rstrip(".") if "." in time else time
        has_time = bool(set(time) - set("0:"))
        texts.append("" if np.isnat(value) else f"{day} {time}" if has_time else day)
    return as_objects(texts)[where.reshape(-1)]

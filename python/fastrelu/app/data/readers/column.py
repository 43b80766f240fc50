# SPDX-License-Identifier: BSD-3-Clause
"""What the readers of a typed column have in common, wherever the column comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import (
    Evidence,
    Hints,
    Meaning,
    Reading,
    named,
    read_texts,
    settle,
    told,
)
from fastrelu.app.data.meaning.dates import ORDERS, like_days, of_digits
from fastrelu.app.data.meaning.decide import LIKE_DAYS
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.moments import FARTHEST, MICROSECONDS
from fastrelu.app.data.readers.texts import (
    FALSE_TRUE,
    as_objects,
    texts_of_dates,
    texts_of_numbers,
)
from fastrelu.app.data.readers.values import Place, refuse_infinite
from fastrelu.app.errors import DataError

EXACT = 2**53  # integers up to this are doubles
INFINITE = (2**31 - 1, 2**63 - 1)  # how DuckDB and PostgreSQL store the dates infinity
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def evidence_for(hints: Hints) -> Evidence:
    """Return what counts the texts of a column."""
    form = hints.order if hints.order is not None and hints.order not in ORDERS else ""
    return Evidence(hints.missing, form)


@dataclass
class Found:
    """What the columns of one table were taken for, and what there is to say about them.

    Attributes
    ----------
    notes : list of str
        What the user should know.
    meanings : dict of str to Meaning
        The meaning of each column of texts.
    warnings : dict of str to tuple of str
        By column.
    """

    notes: list[str] = field(default_factory=list)
    meanings: dict[str, Meaning] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def reading(self, form: str, choice: ColumnChoice) -> Reading:
        """Return how a table of a format was read, to be kept beside a model."""
        return Reading({"format": form}, self.meanings, self.warnings, choice.hints("").missing)

    def all_notes(self) -> list[str]:
        """Return all there is to say."""
        said = [f"column {n!r}: {text}" for n, texts in self.warnings.items() for text in texts]
        return list(dict.fromkeys([*self.notes, *said]))


@dataclass
class ColumnReader:
    """How one column of numbers, text or dates is read.

    Attributes
    ----------
    source, name : str
        For messages.
    place : callable
        Names a row by its number.
    kind : str or None
        "numeric", "text" or "date" if it has to be that; None: told from type and content.
    role : {"column", "target", "weights"}
    hints : Hints
        What is known about its texts from outside it.
    known : Meaning or None
        What its texts were in training.
    found : Found
        Gets what it was taken for, and what the user should know.
    strict : bool
        Whether texts that do not mean what the others do are an error; else the column is read as
        categories, and it is said.
    """

    source: str
    name: str
    place: Place
    kind: str | None = None
    role: str = "column"
    hints: Hints = field(default_factory=Hints)
    known: Meaning | None = None
    found: Found = field(default_factory=Found)
    strict: bool = True

    @classmethod
    def of(
        cls, source: str, name: str, place: Place, choice: ColumnChoice, role: str, found: Found
    ) -> Self:
        """Return the reader of a column of which a choice says what it is."""
        kind = "numeric" if role == "weights" else choice.kind(name)
        return cls(
            source, name, place, kind, role, choice.hints(name), choice.known(name), found,
            not choice.lenient,
        )  # fmt: skip

    def read(self, values: Any) -> NDArray[Any]:
        """Return a column as numbers, text (object) or dates (datetime64[us])."""
        raise NotImplementedError

    def read_or_say(self, values: Any) -> NDArray[Any]:
        """Return a column as `read` does; if not `strict`, nothing for one of no use, and say so.

        Raises
        ------
        DataError
            If it is of no use, and `strict`.
        """
        try:
            return self.read(values)
        except DataError as error:
            if self.strict:
                raise
            said = str(error).removeprefix(f"{self.source}: ").replace(f"{self.what}: ", "")
            self.found.warnings[self.name] = (said.removeprefix(f"{self.what} "),)
            return self.nothing(len(values))

    @property
    def what(self) -> str:
        """The column, for messages."""
        return f"{self.role} {self.name!r}"

    @property
    def leave_out(self) -> str:
        """What to do about a column of no use, for messages."""
        if self.role == "column":
            return f"leave it out: --ignore {self.name!r}"
        return f"give another column to --{self.role}"

    @property
    def written_as_dates(self) -> bool:
        """Whether the user, or the training, says that whole numbers such as 20240131 are dates."""
        known = self.known.order if self.known is not None and self.known.kind == "date" else ""
        return of_digits(self.hints.order or known)

    def texts(self, cells: Any, kind: str | None = None) -> NDArray[Any]:
        """Return a column of texts as what they mean: numbers, dates, or categories.

        Parameters
        ----------
        cells : sequence of str or None, or pyarrow array of text (also dictionary), (n,)
        kind : str, optional
            What it has to be if nothing else says it.

        Raises
        ------
        DataError
            If some of the texts do not mean what the others do, or are infinite numbers.
        """
        column = read_texts(
            cells,
            source=self.source,
            name=self.name,
            place=self.place,
            hints=self.hints,
            kind=self.kind or kind,
            known=self.known,
            role=self.role,
            strict=self.strict,
        )
        self._keep(column.meaning, column.warnings)
        if self.strict:
            refuse_infinite(self.source, self.name, column.values, self.place)
        return column.values

    def decide(self, evidence: Evidence) -> Meaning:
        """Return what the texts of all rows, which have been counted, mean.

        Raises
        ------
        DataError
            If some of them do not mean what the others do.
        """
        verdict = settle(evidence, self.hints, self.kind, self.known, self.role, self.strict)
        problem, meaning = verdict.problem, verdict.meaning
        if problem is not None and self.strict:
            text = told(problem, self.place, self.name)
            raise DataError(f"{self.source}: {self.place(problem.row)}: {self.what}: {text}")
        self._keep(meaning, verdict.warnings)
        return meaning

    def _keep(self, meaning: Meaning, warnings: tuple[str, ...]) -> None:
        self.found.meanings[self.name] = meaning
        if warnings:
            self.found.warnings[self.name] = tuple(named(text, self.name) for text in warnings)

    def nothing(self, n: int) -> NDArray[Any]:
        """Return a column without values, (n,)."""
        if self.kind == "text":
            return as_objects([""] * n)
        if self.kind == "date":
            return np.full(n, np.datetime64("NaT", "us"))
        return np.full(n, np.nan)

    def truths(self, values: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return truth values, given as 0, 1 and 2 for missing."""
        if self.kind == "text" or self.role == "target":
            return np.asarray(as_objects(FALSE_TRUE)[values])
        if (values == 2).any():
            return np.asarray(np.array([0.0, 1.0, np.nan])[values])
        return values.astype(np.uint8)

    def numbers(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return numbers of any real dtype, of this machine's byte order.

        Raises
        ------
        DataError
            If one is infinite.
        """
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        values = self.hints.missing.without(values)
        if self.kind == "text":
            return texts_of_numbers(values)
        if self.written_as_dates:
            return self.texts(texts_of_numbers(values))
        if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
            far = values[(values > EXACT) | (values < -EXACT)] if len(values) else values
            if (far.astype(np.float64) != far).any() or (far % 2).any():
                self.say_inexact()
        if values.dtype == np.float16:
            values = values.astype(np.float32)
        if like_days(values) and self.kind is None:
            self.found.notes.append(f"{self.what}: {named(LIKE_DAYS, self.name)}")
        if self.strict:
            refuse_infinite(self.source, self.name, values, self.place)
        return values

    def dates(self, counts: NDArray[np.int64], unit: str, gaps: NDArray[np.bool_]) -> NDArray[Any]:
        """Return dates, given as counts of a unit (D, h, m, s, ms, us, ns) since 1970.

        Raises
        ------
        DataError
            If one is too far away for microseconds in 64 bits.
        """
        counts = np.where(gaps, 0, counts)
        # By whole numbers: versions of NumPy differ in what they do with dates that are too far.
        if unit == "ns":
            dates = (counts // 1000).view("datetime64[us]")
        else:
            most = FARTHEST // MICROSECONDS[unit]
            bad = np.flatnonzero((counts > most) | (counts < -most))
            if len(bad):
                self._refuse_far(int(counts[bad[0]]), unit, int(bad[0]))
            dates = (counts * MICROSECONDS[unit]).view("datetime64[us]")
        dates[gaps] = np.datetime64("NaT", "us")
        return texts_of_dates(dates) if self.kind == "text" else dates

    def _refuse_far(self, count: int, unit: str, row: int) -> None:
        infinite = ", as infinity is stored" if abs(count) in INFINITE else ""
        raise DataError(
            f"{self.source}: {self.place(row)}: {self.what}: expected a date within "
            f"290,000 years of 1970, got {count} {unit} from then{infinite}; correct it"
        )

    def say_inexact(self) -> None:
        """Note that integers have been rounded."""
        self.found.notes.append(
            f"{self.what}: whole numbers beyond 2**53 are rounded to the nearest double"
        )

    def decoded(self, word: bytes, row: int) -> str:
        """Return bytes as text; DataError, which names the row, if they are not UTF-8 text."""
        said = "hold control characters"
        try:
            if CONTROL.search(word) is None:
                return word.decode("utf-8")
        except UnicodeDecodeError:
            said = "are not UTF-8"
        raise DataError(
            f"{self.source}: {self.place(row)}: {self.what}: expected text, got the bytes "
            f"{word[:20]!r}, which {said}; {self.leave_out}"
        )

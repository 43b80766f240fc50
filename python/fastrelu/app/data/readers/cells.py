# SPDX-License-Identifier: BSD-3-Clause
"""A text file's column: what its cells are, numbers, text or dates, gathered chunk by chunk."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.errors import DataError

MISSING = frozenset(
    ("", "?", "na", "n/a", "#n/a", "nan", "-nan", "+nan", "null", "none", "nil")
)  # after strip() and lower()
TRUTH = {"true": 1.0, "false": 0.0}
DATE = re.compile(
    r"\d{4}([-/])\d{1,2}\1\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[-+]\d{2}:?\d{2}))?)?"
)
INFINITE = math.inf


def number(cell: str, decimal_comma: bool = False) -> float | None:
    """Return the number in a cell; NaN if it is missing, None if it is something else."""
    if cell.lower() in MISSING:
        return math.nan
    if "_" in cell:  # Python reads 1_000 as a number; files do not mean it
        return None
    if decimal_comma and "." not in cell and cell.count(",") == 1:
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        return None


def date(cell: str) -> datetime | None:
    """Return the moment in a cell such as 2024-01-31 or 2024-01-31T12:30:00Z; else None.

    A time with an offset is turned into UTC.
    """
    match = DATE.fullmatch(cell)
    if match is None:
        return None
    day, _, time = cell.replace("/", "-").replace("T", " ").partition(" ")
    year, month, day = (part.zfill(2) for part in day.split("-"))
    if time:
        hour, _, rest = time.replace(" ", "").partition(":")
        seconds, point, fraction = rest.partition(".")
        if point:  # microseconds are kept, further digits are not
            digits = re.match(r"\d+", fraction)
            assert digits is not None
            rest = f"{seconds}.{digits[0][:6].ljust(6, '0')}{fraction[digits.end() :]}"
        time = f" {hour.zfill(2)}:{rest}"
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}{time}")
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


class ConflictError(Exception):
    """A column taken for numbers turns out to hold text: it has to be read again."""


@dataclass
class CellColumn:
    """One column of a text file.

    Attributes
    ----------
    source, name : str
        For messages.
    kind : str or None
        "numeric", "text" or "date" if it has to be that; None: told from the content.
    as_text : bool
        Whether earlier reading has met text in it.
    role : {"column", "target", "weights"}
        A target may not be NaN, and keeps "true" and "false" as its classes.
    decimal_comma : bool
        Whether 1,5 is a number.
    """

    source: str
    name: str
    kind: str | None = None
    as_text: bool = False
    role: str = "column"
    decimal_comma: bool = False
    _numbers: list[NDArray[np.float64]] = field(default_factory=list)
    _texts: list[list[str]] = field(default_factory=list)
    _tidy: dict[str, str] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _first_text: tuple[int, str] | None = None

    def add(self, cells: Sequence[str], line: Callable[[int], int]) -> None:
        """Take a chunk of cells; `line` gives the line number of each.

        Raises
        ------
        DataError
            If a cell cannot be what it has to be.
        ConflictError
            If the column is no longer numeric and earlier chunks were.
        """
        if self.kind in ("text", "date") or self.as_text:
            self._add_texts(cells, line)
            return
        numbers = self._plain_numbers(cells)
        if numbers is None:
            numbers = self._mixed_numbers(cells, line)
        if numbers is None:
            if any(not np.isnan(earlier).all() for earlier in self._numbers):
                raise ConflictError
            self.as_text = True
            self._texts = [[""] * len(earlier) for earlier in self._numbers]
            self._add_texts(cells, line)
            return
        if not np.isfinite(numbers).all():
            self._refuse(cells, numbers, line)
        self._numbers.append(numbers)

    def _plain_numbers(self, cells: Sequence[str]) -> NDArray[np.float64] | None:
        try:
            numbers = np.array(list(map(float, cells)))
        except ValueError:
            return None
        return None if "_" in "".join(cells) else numbers

    def _mixed_numbers(
        self, cells: Sequence[str], line: Callable[[int], int]
    ) -> NDArray[np.float64] | None:
        numbers = np.empty(len(cells))
        for i, cell in enumerate(cells):
            value = number(cell.strip(), self.decimal_comma)
            if value is None and self.kind == "numeric":
                value = TRUTH.get(cell.strip().lower())
                if value is None:
                    as_in = ", as in training" if self.role == "column" else ""
                    raise DataError(
                        f"{self.source}: line {line(i)}: {self.role} {self.name!r}: expected a "
                        f"number{as_in}, got {cell.strip()[:40]!r}"
                    )
            if value is None:
                return None
            numbers[i] = value
        return numbers

    def _refuse(
        self, cells: Sequence[str], numbers: NDArray[np.float64], line: Callable[[int], int]
    ) -> None:
        for i in np.flatnonzero(~np.isfinite(numbers)).tolist():
            cell = cells[i].strip()
            what = f"{self.source}: line {line(i)}: {self.role} {self.name!r}"
            if math.isinf(numbers[i]):
                raise DataError(
                    f"{what}: expected finite numbers, got {cell[:40]!r}; correct the cell, or "
                    "empty it"
                )
            if self.role == "target" and cell.lower().lstrip("+-") == "nan":
                raise DataError(
                    f"{what}: expected a number, got {cell!r}; correct it, or empty the cell to "
                    "leave the row out"
                )

    def _add_texts(self, cells: Sequence[str], line: Callable[[int], int]) -> None:
        tidy = self._tidy
        counts = Counter(cells)
        for cell in counts.keys() - tidy.keys():
            text = cell.strip()
            tidy[cell] = "" if text.lower() in MISSING else text
        for cell, count in counts.items():
            if tidy[cell]:
                self._counts[tidy[cell]] += count
        if self._first_text is None and self.kind is None:
            for i, cell in enumerate(cells):
                if number(tidy[cell], self.decimal_comma) is None:
                    self._first_text = line(i), tidy[cell]
                    break
        self._texts.append([tidy[cell] for cell in cells])

    def finish(self) -> NDArray[Any]:
        """Return the whole column: float64, datetime64[us], or object array of str.

        Raises
        ------
        DataError
            If most of its cells are numbers and some are not.
        """
        if not (self.kind in ("text", "date") or self.as_text):
            return np.concatenate(self._numbers)
        texts = np.array([cell for chunk in self._texts for cell in chunk], dtype=object)
        if self.kind == "text":
            return texts
        if self.kind is None:
            self._refuse_mostly_numbers()
            if self.role != "target" and {cell.lower() for cell in self._counts} <= TRUTH.keys():
                values = {cell: TRUTH[cell.lower()] for cell in self._counts} | {"": math.nan}
                return np.array([values[cell] for cell in texts])
        moments = self._dates(texts)
        if moments is None:
            return texts
        return np.array([moments[cell] for cell in texts], dtype="datetime64[us]")

    def _refuse_mostly_numbers(self) -> None:
        numbers = sum(
            count
            for cell, count in self._counts.items()
            if number(cell, self.decimal_comma) is not None
        )
        if 2 * numbers > self._counts.total() and self._first_text is not None:
            place, cell = self._first_text
            others = self._counts.total() - numbers
            raise DataError(
                f"{self.source}: line {place}: {self.role} {self.name!r}: expected a number, as in "
                f"{numbers} other rows, got {cell[:40]!r} ({others} such in all); correct or empty "
                f"the cell, or read the column as categories: --categorical {self.name!r}"
            )

    def _dates(self, texts: NDArray[Any]) -> dict[str, Any] | None:
        if self.role == "target" and self.kind is None:
            return None
        moments: dict[str, Any] = {"": np.datetime64("NaT")}
        for cell in self._counts:
            moment = date(cell)
            if moment is None:
                if self.kind == "date":
                    row = int(np.flatnonzero(texts == cell)[0]) + 1
                    raise DataError(
                        f"{self.source}: row {row}: column {self.name!r}: expected a date such as "
                        f"2024-01-31, as in training, got {cell[:40]!r}"
                    )
                return None
            moments[cell] = np.datetime64(moment, "us")
        return moments if self._counts else None

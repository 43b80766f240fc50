# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of settings: each reads a flag's text and checks a TOML value, with one message."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastrelu.ranking import THRESHOLD_RULES

OF_YEARS = re.compile("%[YyGcx]")  # parts of a format that say a year
DIGITS_ALONE = re.compile("(?:%[YmdHMSyjf])+")  # a format of dates that look like numbers
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
SIZES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
LEAST_SIZE = SIZES["mib"]


class Kind:
    """The values that a setting may have: `expected` describes them, `check` returns one or raises.

    The error is a ValueError.
    """

    metavar = "TEXT"

    @property
    def expected(self) -> str:
        """What may stand here, for messages."""
        return "text"

    def from_text(self, text: str) -> Any:
        """Return the value that a flag's text means."""
        return self.check(text)

    def check(self, value: Any) -> Any:
        """Return the value of a TOML file in its final form."""
        if not isinstance(value, str) or not value:
            raise self.error(value)
        return value

    def error(self, value: Any) -> ValueError:
        """Return the error for a value that does not fit."""
        return ValueError(f"expected {self.expected}, got {value!r}")


@dataclass(frozen=True)
class Text(Kind):
    """Any text; `place` is "file" or "dir" where it is a path, which shells complete."""

    metavar: str = "TEXT"
    place: str = ""

    def check(self, value: Any) -> Any:
        """Return the value of a TOML file in its final form."""
        text = super().check(value)
        if self.place and "\0" in text:
            raise ValueError(f"expected a path, which has no NUL in it, got {value!r}")
        return text


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number in [low, high]."""

    low: int
    high: int = 2**48
    metavar: str = "N"

    @property
    def expected(self) -> str:
        """What may stand here."""
        if self.high < 2**48:
            return f"a whole number from {self.low} to {self.high}"
        return f"a whole number >= {self.low}"

    def from_text(self, text: str) -> int:
        """Return the number written."""
        if not re.fullmatch(r"[+-]?[0-9]{1,30}", text.strip()):
            raise self.error(text)
        return self.check(int(text))

    def check(self, value: Any) -> int:
        """Return the number, if it is one in the range."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(value)
        if not self.low <= value <= self.high:
            raise self.error(value)
        return value


@dataclass(frozen=True)
class Real(Kind):
    """A number between low and high; `open_low`, `open_high`: without the end itself."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    metavar: str = "X"

    @property
    def expected(self) -> str:
        """What may stand here."""
        text = f"a number {'above' if self.open_low else '>='} {self.low:g}"
        if self.high < math.inf:
            text += f" and {'below' if self.open_high else '<='} {self.high:g}"
        return text

    def from_text(self, text: str) -> float:
        """Return the number written."""
        try:
            return self.check(float(text))
        except ValueError:
            raise self.error(text) from None

    def check(self, value: Any) -> float:
        """Return the number, if it is one in the range."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(value)
        try:
            number = float(value)
        except OverflowError:  # a whole number that no float is near
            raise self.error(value) from None
        fits = self.low <= number <= self.high and math.isfinite(number)
        if (
            not fits
            or (self.open_low and number == self.low)
            or (self.open_high and number == self.high)
        ):
            raise self.error(value)
        return number


@dataclass(frozen=True)
class Threshold(Kind):
    """A probability, or the name of a rule by which one is chosen."""

    metavar: str = "auto|balanced|f1|NUMBER"

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "auto, balanced, f1 or a number from 0 to 1"

    def from_text(self, text: str) -> str | float:
        """Return the rule or the number written."""
        try:
            return self.check(float(text))
        except ValueError:
            return self.check(text)

    def check(self, value: Any) -> str | float:
        """Return the rule or the number."""
        if isinstance(value, str) and value in ("auto", *THRESHOLD_RULES):
            return value
        if isinstance(value, (str, bool)) or not isinstance(value, (int, float)):
            raise self.error(value)
        if not 0 <= value <= 1:
            raise self.error(value)
        return float(value)


@dataclass(frozen=True)
class Choice(Kind):
    """One of several names, some of which take a parameter after a colon, as ``quantile:0.9``.

    `names` maps each name to the pattern of its parameter, or to None if it takes none; a pattern
    that matches "" makes the parameter optional.
    """

    names: Mapping[str, str | None]
    show: str = ""

    @property
    def metavar(self) -> str:  # type: ignore[override]
        """The names."""
        return self.show or "|".join(self.names)

    @property
    def expected(self) -> str:
        """What may stand here."""
        return f"one of {(self.show or '|'.join(self.names)).replace('|', ', ')}"

    def check(self, value: Any) -> str:
        """Return the name and its parameter, if both are known."""
        if not isinstance(value, str):
            raise self.error(value)
        name, _, parameter = value.partition(":")
        if name not in self.names:
            raise self.error(value)
        pattern = self.names[name]
        if not re.fullmatch(pattern or "", parameter):
            raise self.error(value)
        return value


def one_of(*names: str) -> Choice:
    """Return the kind of one of these names."""
    return Choice(dict.fromkeys(names))


@dataclass(frozen=True)
class Names(Kind):
    """Names with commas between them, or a list of them.

    A name that has a comma in it stands in double quotes, as in a CSV file: ``'a,"Zeit, s"'``.
    """

    metavar: str = "COLS"

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "names with commas between them, those with a comma of their own in double quotes"

    def from_text(self, text: str) -> tuple[str, ...]:
        """Return the names written."""
        try:
            (names,) = csv.reader([text], skipinitialspace=True, strict=True)
        except (csv.Error, ValueError):
            raise self.error(text) from None
        if not names:
            raise self.error(text)
        return self.check([name.strip() for name in names])

    def check(self, value: Any) -> tuple[str, ...]:
        """Return the names as a tuple."""
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)):
            raise self.error(value)
        if not all(isinstance(name, str) and name for name in values):
            raise self.error(value)
        return tuple(values)


def shown_names(names: tuple[str, ...]) -> str:
    """Return names as `Names` reads them."""
    quoted = ['"' + n.replace('"', '""') + '"' if set(n) & set(',"') else n for n in names]
    return ",".join(quoted)


@dataclass(frozen=True)
class Directions(Names):
    """Columns, each with 1, -1 or 0: ``age=1,price=-1``."""

    metavar: str = "COL=1|-1,..."

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "columns, each with 1, -1 or 0, as in age=1,price=-1"

    def check(self, value: Any) -> tuple[str, ...]:
        """Return the columns with their directions as a tuple."""
        values = super().check(value)
        if not all(re.fullmatch(r".+=[+-]?[01]", each, re.DOTALL) for each in values):
            raise self.error(value)
        return tuple(each.replace("=+", "=") for each in values)


def directions(values: tuple[str, ...]) -> dict[str, int]:
    """Return what `Directions` holds: the direction of each column."""
    pairs = [each.rpartition("=") for each in values]
    return {name: int(direction) for name, _, direction in pairs}


@dataclass(frozen=True)
class Words(Kind):
    """Words with commas between them, or a list of them; one may be empty."""

    metavar: str = "WORDS"

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "words with commas between them"

    def from_text(self, text: str) -> tuple[str, ...]:
        """Return the words written."""
        return tuple(word.strip() for word in text.split(","))

    def check(self, value: Any) -> tuple[str, ...]:
        """Return the words as a tuple."""
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)):
            raise self.error(value)
        if not all(isinstance(word, str) for word in values):
            raise self.error(value)
        return tuple(values)


@dataclass(frozen=True)
class DateFormats(Kind):
    """Orders and formats of dates, each for all columns or for one."""

    metavar: str = "[COL=]FORMAT,..."

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "ymd, dmy, mdy or a format such as %d.%m.%Y, of one column as COL=FORMAT"

    def from_text(self, text: str) -> tuple[str, ...]:
        """Return the formats written; a comma may stand in a format, before its next part."""
        parts = re.split(r",(?=[^,%]*=|ymd$|dmy$|mdy$|%[a-zA-Z])", text)
        return self.check([part.strip() for part in parts])

    def check(self, value: Any) -> tuple[str, ...]:
        """Return the formats as a tuple."""
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)):
            raise self.error(value)
        for each in values:
            if not isinstance(each, str) or not re.fullmatch(
                r"(?:[^%=]+=)?(?:ymd|dmy|mdy|[^%]*%.*)", each, re.DOTALL
            ):
                raise self.error(value)
            form = each if "%" in each.partition("=")[0] else each.rpartition("=")[2]
            if not _is_format(form):
                raise ValueError(f"expected a format as strptime's, such as %d.%m.%Y, got {form!r}")
            if DIGITS_ALONE.fullmatch(each):
                raise ValueError(
                    f"a date as {each} looks like a number: name its column, as in COL={each}"
                )
        return tuple(values)


def with_year(text: str, form: str) -> tuple[str, str]:
    """Return a text and its format with the year 1900 before them where the format has none.

    This is the year that strptime takes then; CPython warns from 3.13 on that it will not.
    """
    if OF_YEARS.search(form.replace("%%", "")):
        return text, form
    return f"1900|{text}", f"%Y|{form}"


def _is_format(form: str) -> bool:
    """Return whether strptime takes a format; it says so only while it reads a text."""
    try:
        datetime.strptime(*with_year("", form))
    except re.error:  # a part twice
        return False
    except ValueError as error:
        return "does not match" in str(error)
    return True


@dataclass(frozen=True)
class Widths(Kind):
    """Widths of hidden layers; "none" or an empty list is a linear model."""

    metavar: str = "N,N,..."

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "whole numbers from 1 to 1000000 with commas between them, such as 256,128; or none"

    def from_text(self, text: str) -> tuple[int, ...]:
        """Return the widths written."""
        if text.strip().lower() in ("none", ""):
            return ()
        parts = [part.strip() for part in text.split(",")]
        if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
            raise self.error(text)
        return self.check([int(part) for part in parts])

    def check(self, value: Any) -> tuple[int, ...]:
        """Return the widths as a tuple."""
        if isinstance(value, str):
            return self.from_text(value)
        values = [value] if isinstance(value, int) else value
        if not isinstance(values, (list, tuple)):
            raise self.error(value)
        for width in values:
            if isinstance(width, bool) or not isinstance(width, int) or not 0 < width <= 10**6:
                raise self.error(value)
        return tuple(values)


@dataclass(frozen=True)
class Rates(Kind):
    """Numbers from 0 and below 1, one for all hidden layers or one for each."""

    metavar: str = "X|X,X,..."

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "numbers from 0 and below 1, as 0.2 or 0.3,0.1"

    def from_text(self, text: str) -> tuple[float, ...]:
        """Return the rates written."""
        try:
            return self.check([float(part) for part in text.split(",")])
        except ValueError:
            raise self.error(text) from None

    def check(self, value: Any) -> tuple[float, ...]:
        """Return the rates as a tuple."""
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        for rate in values:
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise self.error(value)
        if not values:
            raise self.error(value)
        return tuple(map(float, values))


@dataclass(frozen=True)
class Cadence(Kind):
    """How often: seconds, minutes, hours or epochs, as ``30s``, ``10m``, ``1h``, ``5e``."""

    metavar: str = "30s|10m|5e"

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "a time such as 30s, 10m, 1h, or epochs such as 5e"

    def check(self, value: Any) -> str:
        """Return the text, if it is a cadence."""
        if not isinstance(value, str):
            raise self.error(value)
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhe])", value.strip())
        if match is None or float(match[1]) == 0 or (match[2] == "e" and "." in match[1]):
            raise self.error(value)
        return value.strip()


def cadence(text: str) -> tuple[float, int]:
    """Return a cadence as (seconds, epochs), the other one 0."""
    number, unit = text[:-1], text[-1]
    return (0.0, int(number)) if unit == "e" else (float(number) * UNITS[unit], 0)


@dataclass(frozen=True)
class Size(Kind):
    """Memory, as ``256MB`` or ``1GiB``; 1MiB at least."""

    metavar: str = "256MB"

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "a size such as 256MB or 2GiB, 1MiB (1.048576MB) at least"

    def check(self, value: Any) -> str:
        """Return the text, if it is a size."""
        if not isinstance(value, str):
            raise self.error(value)
        match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) *([a-z]*)", value.strip().lower())
        if match is None or match[2] not in SIZES or size(value) < LEAST_SIZE:
            raise self.error(value)
        return value.strip()


def size(text: str) -> int:
    """Return a size in bytes."""
    number = re.match(r"[0-9.]+", text.strip())
    assert number is not None
    return int(float(number[0]) * SIZES[text.strip().lower()[number.end() :].strip()])


@dataclass(frozen=True)
class Switch(Kind):
    """Yes or no."""

    metavar: str = ""

    @property
    def expected(self) -> str:
        """What may stand here."""
        return "true or false"

    def check(self, value: Any) -> bool:
        """Return the switch."""
        if not isinstance(value, bool):
            raise self.error(value)
        return value

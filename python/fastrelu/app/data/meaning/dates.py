# SPDX-License-Identifier: BSD-3-Clause
"""Dates as people write them. Day and month of 05/03/24 are told from the whole column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.kinds import DIGITS_ALONE, with_year

ORDERS = {"ymd": "year-month-day", "dmy": "day-month-year", "mdy": "month-day-year"}
MONTHS = {
    name: k
    for k, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july",
         "aug august", "sep sept september", "oct october", "nov november", "dec december"),
        1,
    )
    for name in names.split()
}  # fmt: skip
# RFC 2822's zones, and those abbreviations that mean one thing everywhere; in hours.
ZONES = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7,
    "mdt": -6, "pst": -8, "pdt": -7, "wet": 0, "west": 1, "cet": 1, "cest": 2, "mez": 1,
    "mesz": 2, "eet": 2, "eest": 3, "msk": 3, "jst": 9, "kst": 9, "aest": 10, "aedt": 11,
    "nzst": 12, "nzdt": 13,
}  # fmt: skip
_NAMES = "|".join(sorted(MONTHS, key=len, reverse=True))
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +)?"
_OFFSET = r"[+\-\u2212]\d{1,2}(?::?\d{2}(?::?\d{2})?)?"
_TIME = (
    r"(?:(?P<gap>[T ]|, | +|:)(?P<hour>\d{1,2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})"
    r"(?:[.,](?P<fraction>\d{1,12}))?)?)?(?: ?(?P<noon>[ap]\.?m\.?))?"
    rf"(?: ?(?P<zone>{'|'.join(sorted(ZONES, key=len, reverse=True))})?(?P<offset> ?{_OFFSET})?"
    r"(?: ?\(?(?:UTC|GMT|Z)\)?)?(?:\[[A-Za-z_/+\-0-9]+\])?)?)?"
)
_IGNORE = re.IGNORECASE | re.ASCII
NUMERIC = re.compile(
    rf"{_WEEKDAY}(?P<a>\d{{1,4}})(?P<sep>[-/.]|\. )(?P<b>\d{{1,2}})(?P=sep)(?P<c>\d{{1,4}}){_TIME}",
    _IGNORE,
)
COMPACT = re.compile(rf"(?P<a>\d{{4}})(?P<sep>)(?P<b>\d\d)(?P<c>\d\d)(?=T){_TIME}", _IGNORE)
NAMED = re.compile(
    rf"{_WEEKDAY}(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/. ]{{1,2}}(?P<month>{_NAMES})\.?"
    rf"[-/., ]{{1,2}}(?P<year>\d{{4}}|\d{{2}})"
    rf"|(?P<month2>{_NAMES})\.? (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year2>\d{{4}})"
    rf"|(?P<year3>\d{{4}})[-/. ](?P<month3>{_NAMES})[-/. ](?P<day3>\d{{1,2}})){_TIME}",
    _IGNORE,
)
ASCTIME = re.compile(
    rf"{_WEEKDAY}(?P<month>{_NAMES}) +(?P<day>\d{{1,2}}) (?P<time>\d\d:\d\d:\d\d)"
    r"(?P<zone> [A-Z]{1,4})? (?P<year>\d{4})",
    _IGNORE,
)  # Wed Jan 31 12:30:00 UTC 2024, as C's asctime and Unix's date write it
FIGURES = re.compile(
    rf"(?:[^A-Za-z].*|.*\b(?:{_NAMES})\b.*|P(?:\d|T\d).*)", _IGNORE | re.DOTALL
)  # a text with digits that may be a number or a date in a spelling that is not known
CLOCK = re.compile(
    r"(?:(?P<days>-?\d{1,9}) days?,? \+?)?(?P<sign>-)?"
    r"(?P<hour>\d{1,4}):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:[.,](?P<fraction>\d{1,12}))?)?"
    r"(?: ?(?P<noon>[ap]\.?m\.?))?",
    _IGNORE,
)  # a time of the day, or a duration as Python, pandas and SQL write it: -1 days +23:59:00


@dataclass(frozen=True)
class WrittenDate:
    """How one date is written.

    Attributes
    ----------
    orders : tuple of str
        The orders of its three numbers that give a date: of "ymd", "dmy", "mdy".
    mark : str
        What stands between them; "" if the order is plain to see: a year of four digits in front,
        or a month with a name.
    zone : bool
        Whether it says its offset from UTC.
    """

    orders: tuple[str, ...]
    mark: str = ""
    zone: bool = False


def _numbers(match: re.Match[str], order: str) -> tuple[int, int, int] | None:
    """Return (year, month, day) under an order; None if it does not fit."""
    a, b, c = match["a"], match["b"], match["c"]
    year, month, day = {"ymd": (a, b, c), "dmy": (c, b, a), "mdy": (c, a, b)}[order]
    if len(year) not in (2, 4) or len(month) > 2 or len(day) > 2:
        return None
    if len(year) == 2 and "." in match["sep"] and order != "dmy":
        return None  # 10.20.30 is a version
    return _year(year), int(month), int(day)


def _year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) == 4 else year + (1900 if year >= 69 else 2000)  # as POSIX has it


def _match(text: str) -> re.Match[str] | None:
    if len(text) < 6 or len(text) > 80:
        return None
    asctime = ASCTIME.fullmatch(text) if text[0].isalpha() else None
    if asctime is not None:
        text = "{day} {month} {year} {time}{zone}".format(**asctime.groupdict(""))
    elif text[0] == "[" and text[-1] == "]":  # as web servers log
        text = text[1:-1]
    match = NUMERIC.fullmatch(text) or COMPACT.fullmatch(text) or NAMED.fullmatch(text)
    if match is not None and match["gap"] == ":" and "month" not in match.groupdict():
        return None  # 31/Jan/2024:12:30:00, as web servers log, and nothing else
    return match


def moment(text: str, order: str = "ymd") -> datetime | None:
    """Return the moment that a date stands for, in UTC if it says its offset; None if it is none.

    Parameters
    ----------
    text : str
        Without spaces around it.
    order : {"ymd", "dmy", "mdy"}
        Of three numbers; a year of four digits at the front is one under every order.
    """
    match = _match(text)
    return None if match is None else _moment(match, order)


def _moment(match: re.Match[str], order: str) -> datetime | None:
    groups = match.groupdict()
    if "a" in groups:
        numbers = _numbers(match, "ymd" if len(match["a"]) == 4 else order)
        if numbers is None:
            return None
        year, month, day = numbers
    else:
        year = _year(match["year"] or match["year2"] or match["year3"])
        month = MONTHS[(match["month"] or match["month2"] or match["month3"]).lower()]
        day = int(match["day"] or match["day2"] or match["day3"])
    try:
        found = datetime(year, month, day)
        return found if match["hour"] is None else _with_time(found, match)
    except (ValueError, OverflowError):
        return None


def _with_time(day: datetime, match: re.Match[str]) -> datetime:
    hour, second = _hour(match), int(match["second"] or 0)
    more = timedelta()
    if hour == 24 and not second and not int(match["minute"] or 0):
        hour, more = 0, timedelta(days=1)  # the end of the day
    if second == 60:
        second, more = 59, more + timedelta(seconds=1)  # a leap second
    if match["minute"] is None and match["sep" if "sep" in match.groupdict() else "gap"] == "":
        raise ValueError
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    minute = int(match["minute"] or 0)
    found = day.replace(hour=hour, minute=minute, second=second, microsecond=int(fraction)) + more
    zone, offset = match["zone"], (match["offset"] or "").strip().replace("\u2212", "-")
    if not zone and not offset:
        return found
    shift = timedelta(hours=ZONES[zone.lower()] if zone else 0)
    if offset:
        digits = offset[1:].replace(":", "")
        digits = digits.rjust(2, "0").ljust(6, "0") if len(digits) <= 2 else digits.ljust(6, "0")
        if len(digits) != 6:
            raise ValueError
        parts = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:]))
        shift += -parts if offset[0] == "-" else parts
    return found.replace(tzinfo=timezone(shift)).astimezone(UTC).replace(tzinfo=None)


def _hour(match: re.Match[str]) -> int:
    hour, noon = int(match["hour"]), match["noon"]
    if noon is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError
    return hour % 12 + (12 if noon.lower().startswith("p") else 0)


@lru_cache(65_536)
def written_date(text: str) -> WrittenDate | None:
    """Return how a date is written; None if the text is no date.

    Parameters
    ----------
    text : str
        Without spaces around it.
    """
    match = _match(text)
    if match is None:
        return None
    groups = match.groupdict()
    plain = "a" not in groups or len(match["a"]) == 4
    orders = tuple(order for order in ORDERS if _moment(match, order) is not None)
    if not orders:
        return None
    zone = match["zone"] is not None or match["offset"] is not None
    return WrittenDate(orders, "" if plain else match["sep"], zone)


def seconds(text: str) -> float | None:
    """Return the seconds in a time of the day or a duration, else None.

    Such as 12:30, 1:02:03.5, -0:30:00 and 2 days 03:00:00.
    """
    match = CLOCK.fullmatch(text)
    if match is None:
        return None
    try:
        hour = _hour(match)
    except ValueError:
        return None
    if match["second"] is None and hour > 23:
        return None
    total = 3600.0 * hour + 60.0 * int(match["minute"]) + float(match["second"] or 0)
    total += float("0." + (match["fraction"] or "0"))
    return 86400.0 * int(match["days"] or 0) + (-total if match["sign"] else total)


def like_days(numbers: NDArray[Any]) -> bool:
    """Return whether all numbers, some at least, are days of 1900 to 2099 written as 20240131."""
    numbers = numbers[~np.isnan(numbers)] if numbers.dtype.kind == "f" else numbers
    if not len(numbers) or numbers.min() < 19_000_101 or numbers.max() > 20_991_231:
        return False
    month, day = numbers // 100 % 100, numbers % 100
    whole = numbers.dtype.kind != "f" or (numbers == np.floor(numbers)).all()
    return bool(whole and ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def of_digits(form: str) -> bool:
    """Return whether a date of strptime's format is digits alone: such dates look like numbers."""
    return DIGITS_ALONE.fullmatch(form) is not None


def by_format(text: str, form: str) -> datetime | None:
    """Return the moment that strptime's format reads in a text; None if it does not fit."""
    try:
        found = datetime.strptime(*with_year(text, form))
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        return None

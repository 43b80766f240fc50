# SPDX-License-Identifier: BSD-3-Clause
"""A date as numbers, by arithmetic that is the same on every machine.

Where one would use the sine and cosine of the time of the year or day, there are two triangle
waves, a quarter apart: as continuous round the year's end, and exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PARTS = ("days", "year", "season", "season+", *WEEKDAYS, "hour", "hour+")
DAY = 86_400_000_000  # microseconds


def _wave(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a triangle wave of period 1: 1 at 0, -1 at 1/2."""
    return np.asarray(np.abs(4.0 * (phase - np.floor(phase)) - 2.0) - 1.0, np.float64)


def date_parts(moments: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return the parts of dates, NaN where there is none.

    Parameters
    ----------
    moments : ndarray of datetime64[us], (n,)
        The dates.

    Returns
    -------
    dict of str to ndarray, (n,)
        days since 1970-01-01, with the time as a fraction; year; season and season+, two triangle
        waves over the year; a 0/1 part for each weekday; hour and hour+, two waves over the day.
    """
    moments = moments.astype("datetime64[us]")
    nowhere = np.isnat(moments)
    moments = np.where(nowhere, np.datetime64(0, "us"), moments)
    microseconds = moments.astype(np.int64)
    day = microseconds // DAY
    in_day = (microseconds - day * DAY) / DAY
    first = int(day.min()) if len(day) else 0
    span = int(day.max()) - first + 1 if len(day) else 0
    if span <= len(day):  # each day of the calendar once, not each row's
        place = day - first
        calendar = {name: part[place] for name, part in _calendar(first + np.arange(span)).items()}
    else:
        calendar = _calendar(day)
    parts = {
        "days": day + in_day,
        **calendar,
        "hour": _wave(in_day),
        "hour+": _wave(in_day - 0.25),
    }
    if nowhere.any():
        for part in parts.values():
            part[nowhere] = np.nan
    return parts


def _calendar(day: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the parts of dates that follow from their days since 1970-01-01."""
    year = day.astype("datetime64[D]").astype("datetime64[Y]")
    start = year.astype("datetime64[D]").astype(np.int64)
    length = (year + np.timedelta64(1, "Y")).astype("datetime64[D]").astype(np.int64) - start
    in_year = (day - start) / length
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    return {
        "year": year.astype(np.int64) + 1970.0,
        "season": _wave(in_year),
        "season+": _wave(in_year - 0.25),
        **{name: (weekday == i).astype(np.float64) for i, name in enumerate(WEEKDAYS)},
    }

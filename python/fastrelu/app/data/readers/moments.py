# SPDX-License-Identifier: BSD-3-Clause
"""Dates and durations of any unit as whole microseconds and as seconds.

By whole numbers of Python, and by doubles: where a conversion goes beyond 64 bits, versions of
NumPy differ in whether they raise or return another date.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

MICROSECONDS = {
    "W": 604_800_000_000, "D": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000,
    "ms": 1_000, "us": 1,
}  # fmt: skip
A_MICROSECOND = {"ns": 10**3, "ps": 10**6, "fs": 10**9, "as": 10**12}
FARTHEST = 290_000 * 31_556_952 * 10**6  # microseconds from 1970 to a date
YEARS = 300_000  # more than 64 bits of microseconds hold
MOST = 2**63 - 1


def moment(value: Any) -> int:
    """Return a date as microseconds since 1970, in UTC; `MOST` of them if it is too far away.

    Raises
    ------
    ValueError
        If it is a number of no unit, which NumPy lets a file have.
    """
    if not isinstance(value, np.datetime64):
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return int(np.datetime64(value, "us").astype(np.int64))
    unit, of = np.datetime_data(value.dtype)
    count = int(value.astype(np.int64)) * of
    if unit in ("Y", "M"):
        far = abs(count) > YEARS * (1 if unit == "Y" else 12)
        count = MOST if far else int(value.astype("datetime64[D]").astype(np.int64))
        unit = "D"
    if unit not in A_MICROSECOND and unit not in MICROSECONDS:
        raise ValueError(f"expected dates of days, seconds or another unit, got unit {unit!r}")
    micro = count // A_MICROSECOND[unit] if unit in A_MICROSECOND else count * MICROSECONDS[unit]
    return max(-MOST, min(micro, MOST))


def moments(array: NDArray[Any]) -> NDArray[np.int64]:
    """Return dates, datetime64 of any unit, as `moment` does; 0 for NaT.

    Raises
    ------
    ValueError
        If they are numbers of no unit, and not all NaT.
    """
    if np.datetime_data(array.dtype) == ("us", 1):
        counts: NDArray[np.int64] = array.astype("datetime64[us]").view(np.int64)
        return np.where(np.isnat(array), 0, counts)
    return np.array([0 if np.isnat(value) else moment(value) for value in array.ravel()], np.int64)


def seconds(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return durations, timedelta64 of any unit but months and years, as seconds; NaN for NaT.

    Raises
    ------
    ValueError
        If the unit is no fixed number of seconds.
    """
    unit, of = np.datetime_data(array.dtype)
    counts = array.astype(np.int64).astype(np.float64) * of
    if unit in A_MICROSECOND:
        found = counts / (A_MICROSECOND[unit] * 1e6)
    elif unit in ("ms", "us"):
        found = counts / (1_000_000 // MICROSECONDS[unit])
    elif unit in MICROSECONDS:
        found = counts * (MICROSECONDS[unit] // 1_000_000)
    else:
        raise ValueError(f"expected durations of weeks, days, hours or parts of them, got {unit}")
    return np.where(np.isnat(array), np.nan, found)


def seconds_of(value: Any) -> float:
    """Return a duration, or a time of the day, as seconds."""
    if isinstance(value, time):
        value = datetime.combine(date(1970, 1, 1), value) - datetime(1970, 1, 1)
    return float(seconds(np.array([np.timedelta64(value)]))[0])

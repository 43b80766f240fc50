# SPDX-License-Identifier: BSD-3-Clause
"""Dates and durations of any unit: as NumPy counts them, or refused if 64 bits are not enough."""

import numpy as np
import pytest

from fastrelu import PiecewiseLinear
from fastrelu.app.data.readers import table_from
from fastrelu.app.data.readers.moments import MOST, moment, moments, seconds
from fastrelu.app.tabular.sample import typed
from fastrelu.exact.hinge_fit import as_numbers
from fastrelu.training import DataError

UNITS = ["W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"]


@pytest.mark.parametrize("unit", ["Y", "M", *UNITS])
def test_dates_of_a_unit_are_those_of_numpy(unit):
    counts = np.array([-9, -1, 0, 1, 1234], np.int64)
    dates = np.append(counts.view(f"datetime64[{unit}]"), np.datetime64("NaT", unit))
    expected = np.append(dates[:-1].astype("datetime64[us]").view(np.int64), 0)
    np.testing.assert_array_equal(moments(dates), expected)
    swapped = dates.astype(dates.dtype.newbyteorder(">"))
    np.testing.assert_array_equal(moments(swapped), expected)
    column = table_from({"when": dates}).columns["when"]
    np.testing.assert_array_equal(column, dates.astype("datetime64[us]"))


def test_a_unit_of_several():
    dates = np.array([0, 1, -3], "datetime64[5m]")
    np.testing.assert_array_equal(moments(dates), np.array([0, 300, -900]) * 10**6)
    column = table_from({"when": dates}).columns["when"]
    np.testing.assert_array_equal(column, dates.astype("datetime64[us]"))


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms"])
def test_dates_too_far_away_are_refused_in_every_container(unit):
    far = np.array([10**18], "int64").view(f"datetime64[{unit}]")
    assert moment(far[0]) == MOST
    for column in (far, [far[0]]):
        with pytest.raises(DataError, match=r"column 'when': .* 290,000 years"):
            table_from({"when": column})
    with pytest.raises(ValueError, match="grid: column 'when': expected dates"):
        typed("when", "date", far)
    with pytest.raises(ValueError, match="x: expected dates within 290,000 years"):
        PiecewiseLinear.fit(np.repeat(far, 3), [1.0, 2.0, 3.0], knots=[0.0])


def test_the_earliest_nanoseconds():
    dates = np.array([1 - 2**63, 998 - 2**63, 2**63 - 1], "int64").view("datetime64[ns]")
    expected = [-9223372036854776, -9223372036854775, 9223372036854775]
    assert table_from({"when": dates}).columns["when"].view(np.int64).tolist() == expected
    assert as_numbers(dates).tolist() == [count / 86_400_000_000 for count in expected]


def test_pandas_dates_with_a_zone_and_a_coarse_unit():
    pd = pytest.importorskip("pandas")
    when = pd.Series(np.array(["2024-01-31T12:30", "NaT"], "datetime64[s]")).dt.tz_localize("UTC")
    column = table_from(pd.DataFrame({"when": when.dt.tz_convert("Asia/Tokyo")})).columns["when"]
    np.testing.assert_array_equal(column, np.array(["2024-01-31T12:30", "NaT"], "datetime64[us]"))


@pytest.mark.parametrize("unit", UNITS)
def test_durations_of_a_unit_are_those_of_numpy(unit):
    counts = np.array([-9, 0, 1, 1234, 2**52 // 7 if unit in ("ms", "us", "ns") else 7], np.int64)
    durations = np.append(counts.view(f"timedelta64[{unit}]"), np.timedelta64("NaT", unit))
    if unit == "as":  # of which NumPy's 64 bits hold nine seconds, and no quotient
        expected = np.append(counts / 1e18, np.nan)
    else:
        expected = durations / np.timedelta64(1, "s")
    np.testing.assert_array_equal(seconds(durations), expected)


def test_long_durations_are_seconds():
    long = np.array([10**17], "timedelta64[D]")
    assert table_from({"t": long}).columns["t"].tolist() == [8.64e21]
    assert table_from({"t": [long[0]]}).columns["t"].tolist() == [8.64e21]


@pytest.mark.parametrize("unit", ["M", "Y"])
def test_months_and_years_are_no_durations(unit):
    for column in (np.array([1, 2], f"timedelta64[{unit}]"), [np.timedelta64(1, unit)]):
        with pytest.raises(DataError, match=f"column 't': expected durations.*, got {unit}"):
            table_from({"t": column})

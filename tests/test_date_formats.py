# SPDX-License-Identifier: BSD-3-Clause
"""What the user says about how dates are written holds, or is refused."""

import re

import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from data_files import write
from pyarrow import parquet

from fastrelu.app.data.meaning import ReadOptions
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.kinds import DateFormats
from fastrelu.training import DataError

N = 40


def stored(folder, columns, form):
    """Return columns as a file of a format, or as they are."""
    path = folder / f"t.{form}"
    if form == "csv":
        rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        return [write(path, "\n".join([",".join(columns), *rows]) + "\n")]
    if form == "parquet":
        parquet.write_table(pa.table(columns), path)
        return [str(path)]
    return columns


def read_columns(data, **options):
    return read(data, ColumnChoice(options=ReadOptions(**options)), need_target=False).columns


@pytest.mark.parametrize("form", ["csv", "parquet", "dict"])
def test_a_format_that_does_not_fit_is_never_passed_over(tmp_path, form):
    """Where the user says how a column's dates are written, another reading is not taken."""
    when = [f"{i % 12 + 1:02d}/{i % 12 + 1:02d}/24" for i in range(N)]
    columns = {"when": when, "price": [f"{i}.5" for i in range(N)], "y": list(range(N))}
    data = stored(tmp_path, columns, form)
    for said, words in {
        "when=%d/%m/%Y": "column 'when': got '01/01/24', which is no date of the format '%d/%m/%Y'",
        "when=ymd": None,
        "when=%d/%m/%y": None,
        "price=dmy": "column 'price': got '0.5', which is no date as day-month-year",
        "price=%d/%m": "column 'price': got '0.5', which is no date of the format '%d/%m'",
    }.items():
        if words is None:
            assert read_columns(data, date_format=(said,))["when"].dtype.kind == "M"
        else:
            with pytest.raises(DataError, match=re.escape(words)):
                read_columns(data, date_format=(said,))
    table = read(
        data,
        ColumnChoice(options=ReadOptions(date_format=("%d.%m.%Y",))),
        need_target=False,
    )
    assert "column 'when': no cell is a date of the format '%d.%m.%Y'" in " ".join(table.notes)


@pytest.mark.parametrize("form", ["%Q", "%", "%Y-%Y", "day=%d.%", "a%k=%Y"])
def test_what_is_no_format_of_dates_is_refused(form):
    with pytest.raises(ValueError, match="expected a format as strptime's"):
        DateFormats().from_text(form)
    for good in ("day=%d.%m.%Y", "%H:%M=%S", "%d. %b %Y, %H Uhr", "100%%,%Y=%j,dmy"):
        assert DateFormats().from_text(good)


def test_dates_in_a_target_are_said_to_be_classes(tmp_path):
    columns = {"x": list(range(N)), "y": [f"2024-01-{i % 4 + 1:02d}" for i in range(N)]}
    table = read(stored(tmp_path, columns, "csv"))
    assert "column 'y': dates are classes in a target: each of them is one" in table.notes

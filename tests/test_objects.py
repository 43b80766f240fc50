# SPDX-License-Identifier: BSD-3-Clause
"""What is in memory is read as the same rows in a file are, whatever holds it."""

import datetime
import decimal
import enum
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("scipy")
import pyarrow as pa
from data_files import write
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import ipc, parquet
from scipy import sparse

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.table import kind_of
from fastrelu.training import DataError

WHEN = datetime.datetime(2024, 1, 31, 12, 30, tzinfo=datetime.UTC)


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


def one(column, **choice):
    """The only column of a table in memory."""
    return table_from({"a": column}, ColumnChoice(**choice)).columns["a"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 2.5], [1, np.nan, 2.5]),
        ([True, None, False], [1, np.nan, 0]),
        ([True, 2], [1, 2]),
        ([None, float("nan")], [np.nan, np.nan]),
        (["1.5", "?", " 2 "], [1.5, np.nan, 2]),
        (["TRUE", "false", "", None], [1, 0, np.nan, np.nan]),
        ([decimal.Decimal("0.1"), Fraction(1, 4), np.float32(0.5)], [0.1, 0.25, 0.5]),
        ([datetime.timedelta(minutes=1), None, np.timedelta64(1, "s")], [60, np.nan, 1]),
        ([datetime.time(0, 1), datetime.time(1)], [60, 3600]),
        (np.array([1, 2], ">i2"), [1, 2]),
        (np.array([0.5, 1], np.float16), [0.5, 1]),
        (np.array([90, "NaT"], "timedelta64[s]"), [90, np.nan]),
        (np.array([1.5, 2], np.longdouble), [1.5, 2]),
        (range(3), [0, 1, 2]),
    ],
)
def test_numbers_of_python(values, expected):
    column = one(values)
    assert kind_of(column) == "numeric"
    np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["red", " red ", None, "null", "None"], ["red", "red", "", "", "None"]),
        ([b"red", "blue"], ["red", "blue"]),
        (["x", "y", 2.0, 2.5, True], ["x", "y", "2", "2.5", "True"]),
        ([Colour.RED, Colour.BLUE, None], ["red", "BLUE", ""]),
        (np.array(["a", "b"], "S"), ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_texts_of_python(values, expected):
    assert one(values).tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        [WHEN, None],
        [WHEN.replace(tzinfo=None), None],
        [WHEN.astimezone(datetime.timezone(datetime.timedelta(hours=-5))), float("nan")],
        np.array(["2024-01-31T12:30", "NaT"], "datetime64[m]"),
        np.array(["2024-01-31T12:30", "NaT"], "datetime64[ns]"),
        ["2024-01-31 12:30", ""],
        ["2024-01-31T12:30:00Z", None],
    ],
)
def test_dates_of_python(values):
    column = one(values)
    np.testing.assert_array_equal(
        column, np.array(["2024-01-31T12:30", "NaT"], "datetime64[us]"), strict=True
    )


def test_values_of_python_that_are_no_column():
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    for bad, says in (
        ({"a": masked}, "'a': a masked array.*filled"),
        (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), "a masked array"),
        ({"a": [1, 2], "b": [1]}, "one length, got 2 in 'a' and 1 in 'b'"),
        ({"a": [1], "b": 2}, "column 'b': expected a column of values"),
        ({"a": [{"x": 1}]}, "row 1: column 'a': expected numbers, text or dates, got dict"),
        ({"a": np.zeros(2, complex)}, "complex"),
        ({"a": np.zeros((2, 2))}, r"expected shape \(n,\), got \(2, 2\)"),
        ({"a": [1, 10**400]}, "too large"),
        ({"a": [1.0, np.inf]}, "row 2: column 'a': expected finite"),
        ({"a": np.array([10**15], "datetime64[s]")}, "row 1: column 'a': .* 290,000 years"),
        ({"a": [1], " a": [2]}, r"'a' twice \(columns 1 and 2\)"),
        ({}, "no columns"),
        (np.array([["x", 1]], object), "columns with names"),
        (np.zeros(3), r"got shape \(3,\); one row is a dict"),
        ([{"a": 1}, 2], "row 2: expected a dict"),
        ([[1, 2], [3]], "expected a data frame"),
        (iter([1]), "an iterator"),
        (["a" for _ in range(20)], "expected rows and columns"),
        ({"a": [str(i) for i in range(9)] + ["x"]}, "row 10: column 'a': .*9 other rows.*'x'"),
    ):
        with pytest.raises(DataError, match=says):
            table_from(bad)


def test_rows_and_arrays():
    row = {"a": 1, "b": "x", "c": None, "d": WHEN}
    for rows in (row, [row], (row,)):
        table = table_from(rows)
        assert table.n_rows == 1 and list(table.columns) == ["a", "b", "c", "d"]
        assert table.columns["b"].tolist() == ["x"] and np.isnan(table.columns["c"][0])
    table = table_from([{"a": 1}, {"b": "x"}])
    np.testing.assert_array_equal(table.columns["a"], [1, np.nan])
    assert table.columns["b"].tolist() == ["", "x"]
    records = np.array([(1, "x"), (2, "y")], [("a", "i4"), ("b", "U3")])
    assert table_from(records).columns["b"].tolist() == ["x", "y"]
    assert table_from(np.eye(2)).matrix.shape == (2, 2)
    assert table_from([[1, "2"], [3, None]]).matrix[0].tolist() == [1, 2]
    assert table_from(np.zeros((3, 2, 2), np.uint8)).matrix.shape == (3, 4)
    assert sparse.issparse(table_from(sparse.eye(2)).matrix)
    assert table_from(table) is table


def test_an_array_has_the_columns_of_the_training_file():
    kinds = {"size": "numeric", "code": "text"}
    choice = ColumnChoice(kinds=kinds, order=("code", "left out", "size"))
    for rows in (np.array([[1.0, 2, 3]]), [[1.0, 2, 3]], sparse.csr_array([[1.0, 2, 3]])):
        table = table_from(rows, choice)
        assert table.columns["code"].tolist() == ["1"] and table.columns["size"].tolist() == [3]
    mixed = table_from([["x", 2, "3.5"], ["y", None, "?"]], choice)
    np.testing.assert_array_equal(mixed.columns["size"], [3.5, np.nan])
    with pytest.raises(DataError, match=r"expected 3 columns, .*\(code, left out, size\), got 2"):
        table_from(np.zeros((1, 2)), choice)
    with pytest.raises(ValueError, match="expected 3 columns"):
        table_from(np.zeros((1, 4)), choice)


def test_roles_of_columns_in_memory():
    data = {"id": [7, 8], "w": [1, 0], "x": ["1", "2"], "part": ["train", "test"], "y": [1, None]}
    choice = ColumnChoice("y", ignore=("id",), weights="w", extra=("part",), categorical=("x",))
    table = table_from(data, choice, need_target=True)
    assert table.columns["x"].tolist() == ["1", "2"] and list(table.columns) == ["x"]
    assert table.weights.tolist() == [1, 0] and table.extra["part"].tolist() == ["train", "test"]
    np.testing.assert_array_equal(table.target, [1, np.nan])
    for bad, says in (
        (data | {"y": np.array([1.0, np.nan])}, "row 2: target 'y': expected a number, got NaN"),
        (data | {"w": [1, -1]}, "row 2: weights 'w'"),
        ({k: v[:0] for k, v in data.items()}, "expected rows of data"),
    ):
        with pytest.raises(DataError, match=says):
            table_from(bad, choice, need_target=True)
    assert table_from({"a": [], "b": []}).n_rows == 0
    flags = table_from({"x": [1, 2], "y": [True, False]}, need_target=True)
    assert flags.target.tolist() == ["True", "False"]


def same(a, b):
    assert list(a.columns) == list(b.columns) and a.n_rows == b.n_rows
    for name in a.columns:
        assert kind_of(a.columns[name]) == kind_of(b.columns[name]), name
        if a.columns[name].dtype == object:
            assert a.columns[name].tolist() == b.columns[name].tolist(), name
        else:
            np.testing.assert_array_equal(a.columns[name], b.columns[name], err_msg=name)


CELLS = {
    "number": st.one_of(st.none(), st.floats(-1e9, 1e9), st.integers(-(2**40), 2**40)),
    "truth": st.one_of(st.none(), st.booleans()),
    "word": st.one_of(st.none(), st.sampled_from(["red", "blue", "grün", "a b", "x,y"])),
    "date": st.one_of(st.none(), st.datetimes(datetime.datetime(1, 1, 1))),
}


@st.composite
def columns(draw):
    n = draw(st.sampled_from([1, 2, 7]))
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=4))
    return {
        f"{kind} {j}": draw(st.lists(CELLS[kind], min_size=n, max_size=n))
        for j, kind in enumerate(kinds)
    }


@settings(deadline=None, max_examples=40)
@given(columns())
def test_the_same_rows_in_every_container(tmp_path_factory, data):
    """A dict, frames of three libraries, Arrow, Parquet, an Arrow file and CSV say one thing."""
    pandas = pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("same")
    expected = table_from(data)
    arrow = pa.table(
        {n: pa.array([float(v) if type(v) is int else v for v in c]) for n, c in data.items()}
    )
    parquet.write_table(arrow, folder / "t.parquet")
    with ipc.new_stream(str(folder / "t.arrow"), arrow.schema) as out:
        out.write_table(arrow)
    frame = pandas.DataFrame({n: pandas.Series(c, dtype=object) for n, c in data.items()})
    same(table_from(arrow), expected)
    same(table_from(arrow.to_batches()[0]), expected)
    same(table_from(frame), expected)
    same(table_from(frame.convert_dtypes()), expected)
    same(table_from(frame.convert_dtypes(dtype_backend="pyarrow")), expected)
    same(table_from(arrow.to_pandas()), expected)
    rows = zip(*data.values(), strict=True)
    same(table_from([dict(zip(data, row, strict=True)) for row in rows]), expected)
    none = ColumnChoice()
    same(read([str(folder / "t.parquet")], none, need_target=False), expected)
    same(read([str(folder / "t.arrow")], none, need_target=False), expected)


def test_pandas_types():
    pandas = pytest.importorskip("pandas")
    index = pandas.Index(["r1", "r2"], name="patient")
    frame = pandas.DataFrame(
        {
            "int": pandas.array([1, None], "Int64"),
            "float": pandas.array([1.5, None], "Float64"),
            "flag": pandas.array([True, None], "boolean"),
            "text": pandas.array(["a", None], "string"),
            "str": pandas.array(["1", "2"], "str"),
            "category": pandas.Categorical(["x", None]),
            "codes": pandas.Categorical([3, 4]),
            "flags": pandas.Categorical([True, None]),
            "zone": pandas.to_datetime(["2024-01-31 12:30", None]).tz_localize("Europe/Berlin"),
            "month": pandas.PeriodIndex(["2024-01", None], freq="M"),
            "sparse": pandas.arrays.SparseArray([0.0, 1.0]),
            "took": pandas.to_timedelta(["1 min", None]),
            "arrow": pandas.Series([decimal.Decimal("0.1"), None],
                                   dtype=pandas.ArrowDtype(pa.decimal128(9, 2))),
        }
    ).set_index(index)  # fmt: skip
    table = table_from(frame)
    got = {name: c.tolist() for name, c in table.columns.items() if kind_of(c) != "date"}
    assert "patient" not in table.columns
    assert table_from(frame, ColumnChoice(features=("patient",))).columns["patient"][0] == "r1"
    for name, first in (("int", 1), ("float", 1.5), ("flag", 1), ("flags", 1), ("took", 60),
                        ("arrow", 0.1)):  # fmt: skip
        assert got[name][0] == first and np.isnan(got[name][1]), name
    assert got["text"] == ["a", ""] and got["category"] == ["x", ""] and got["str"] == [1, 2]
    assert got["codes"] == ["3", "4"] and got["sparse"] == [0, 1]
    assert any("'codes' is categorical" in note for note in table.notes)
    assert str(table.columns["zone"][0]) == "2024-01-31T11:30:00.000000"
    assert str(table.columns["month"][0])[:10] == "2024-01-01"
    assert np.isnat(table.columns["month"][1]) and np.isnat(table.columns["zone"][1])
    interval = pandas.DataFrame({"a": pandas.interval_range(0, 2)})
    with pytest.raises(DataError, match=r"column 'a': .*Interval"):
        table_from(interval)
    twice = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="'a' twice"):
        table_from(twice)
    row = frame[["int", "text"]].astype(object).iloc[0]
    assert table_from(row).columns["text"].tolist() == ["a"]
    with pytest.raises(DataError, match="a Series of unnamed values"):
        table_from(frame["int"].reset_index(drop=True))


def test_a_frame_without_names_goes_by_position():
    pandas = pytest.importorskip("pandas")
    choice = ColumnChoice(kinds={"b": "numeric"}, order=("a", "b"))
    assert table_from(pandas.DataFrame([[1, 2], [3, 4]]), choice).columns["b"].tolist() == [2, 4]
    with pytest.raises(DataError, match=r"expected 2 columns, .*\(a, b\), got 3"):
        table_from(pandas.DataFrame([[1, 2, 3]]), choice)


def test_polars_types():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "int": [1, None],
            "text": [" a ", None],
            "category": polars.Series(["u", "v"], dtype=polars.Categorical),
            "enum": polars.Series(["u", "v"], dtype=polars.Enum(["v", "u"])),
            "price": polars.Series(["0.1", "2.5"]).cast(polars.Decimal(10, 2)),
            "huge": polars.Series([2**100, 1], dtype=polars.Int128),
            "when": [datetime.datetime(2024, 1, 31), None],
            "flag": [True, False],
        }
    )
    for data in (frame, frame.lazy()):
        got = {n: c.tolist() for n, c in table_from(data).columns.items() if kind_of(c) != "date"}
        assert got["int"][0] == 1 and got["text"] == ["a", ""] and got["category"] == ["u", "v"]
        assert got["enum"] == ["u", "v"] and got["price"] == [0.1, 2.5] and got["flag"] == [1, 0]
        assert got["huge"] == [2.0**100, 1]
    with pytest.raises(DataError, match=r"'l' has the type (large_)?list"):
        table_from(polars.DataFrame({"l": [[1], [2]]}))


def test_duckdb_relations():
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql(
        "select 0.1::decimal(5, 2) price, 'a'::enum('b', 'a') letter, time '00:01:00' clock, "
        "timestamptz '2024-01-01 00:00:00+02' moment, uuid() id, null nothing"
    )
    table = table_from(relation)
    got = {n: c.tolist() for n, c in table.columns.items()}
    assert got["price"] == [0.1] and got["letter"] == ["a"] and got["clock"] == [60]
    assert str(table.columns["moment"][0])[:16] == "2023-12-31T22:00"
    assert len(got["id"][0]) == 36 and np.isnan(got["nothing"][0])


@pytest.mark.parametrize("scale", [0, 2, 22, 30, -3])
@pytest.mark.parametrize("kind", [pa.decimal128, pa.decimal256])
@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.none(), st.integers(-(10**36), 10**36)), min_size=1, max_size=8))
def test_decimals_are_the_nearest_doubles(kind, scale, whole):
    with decimal.localcontext(prec=60):
        if scale < 0:  # pyarrow scales the numbers up while it takes them in
            whole = [None if w is None else w // 1000 for w in whole]
        values = [None if w is None else decimal.Decimal(w).scaleb(-scale) for w in whole]
    column = table_from(pa.table({"a": pa.array(values, kind(38, scale)).slice(0)})).columns["a"]
    expected = [np.nan if v is None else float(v) for v in values]
    np.testing.assert_array_equal(column, expected)


def test_whole_numbers_that_are_no_doubles_are_said():
    big = 2**53 + 1
    for data in (
        {"a": [big, None]},
        pa.table({"a": pa.array([decimal.Decimal(big), None], pa.decimal128(20, 0))}),
    ):
        assert "beyond 2\\*\\*53".replace("\\", "") in table_from(data).notes[0]
    assert not table_from(pa.table({"a": pa.array([decimal.Decimal("0.1")])})).notes


@pytest.mark.parametrize("year", [1, 1677, 1969, 2024, 2262, 9999])
@pytest.mark.parametrize("unit", ["int96", "s", "ms", "us", "date32", "date64"])
def test_far_dates(tmp_path, unit, year):
    moments = [datetime.datetime(year, 12, 31), None]
    kind = {"date32": pa.date32(), "date64": pa.date64(), "int96": pa.timestamp("us")}
    column = pa.array(moments, kind.get(unit) or pa.timestamp(unit))
    path = tmp_path / "t.parquet"
    parquet.write_table(
        pa.table({"a": column, "y": [1, 2]}), path, use_deprecated_int96_timestamps=unit == "int96"
    )
    for table in (read([str(path)]), table_from(pa.table({"a": column}))):
        assert str(table.columns["a"][0])[:10] == f"{year:04}-12-31"
        assert np.isnat(table.columns["a"][1])


def test_dictionaries_with_indices_outside(tmp_path):
    """Damaged indices are an error; they do not read another word."""
    bad = pa.DictionaryArray.from_arrays(
        pa.array([0, -1], pa.int8()), pa.array(["a", "b"]), safe=False
    )
    for column in (bad, pa.chunked_array([bad, bad])):
        with pytest.raises(DataError, match="column 'a'"):
            table_from(pa.table({"a": column}))


def test_arrow_text_that_is_not_utf8():
    offsets, data = pa.py_buffer(np.array([0, 1], "i4").tobytes()), pa.py_buffer(b"\xff")
    bad = pa.StringArray.from_buffers(1, offsets, data)
    with pytest.raises(DataError, match="column 'a'"):
        table_from(pa.table({"a": bad}))


def test_extension_types(tmp_path):
    arrow = pa.table(
        {
            "id": pa.array([b"0" * 16, None], pa.uuid()),
            "flag": pa.array([1, None], pa.int8()).cast(pa.bool8()),
            "note": pa.array(["{}", None], pa.json_()),
        }
    )
    got = {n: c.tolist() for n, c in table_from(arrow).columns.items()}
    assert got["id"] == ["30303030-3030-3030-3030-303030303030", ""]
    assert got["flag"][0] == 1 and np.isnan(got["flag"][1]) and got["note"] == ["{}", ""]


def test_types_of_no_use_are_named():
    for column, says in (
        (pa.array([{"x": 1}]), "'a' has the type struct"),
        (pa.array([[1]]), "'a' has the type list"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "'a' has the type map"),
    ):
        with pytest.raises(DataError, match=says + ".*--ignore 'a'"):
            table_from(pa.table({"a": column}))
        with pytest.raises(DataError, match=says.replace("'a'", "'y'") + ".*--target"):
            table_from(pa.table({"x": [1], "y": column}), need_target=True)


def test_without_pyarrow(tmp_path):
    """A model and pandas alone are enough to predict from a frame."""
    pytest.importorskip("pandas")
    path = write(tmp_path / "t.csv", "")
    code = (
        "import sys; sys.modules['pyarrow'] = None; import pandas, numpy; "
        "from fastrelu.app.data.readers.objects import table_from; "
        "t = table_from(pandas.DataFrame({'a': pandas.array([1, None], 'Int64'), 'b': ['x', None], "
        "'c': pandas.Categorical(['u', 'v'])})); "
        "print({n: c.tolist() for n, c in t.columns.items()})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + path
    assert done.stdout == "{'a': [1.0, nan], 'b': ['x', ''], 'c': ['u', 'v']}\n"


def test_one_long_text_takes_no_room_in_the_other_rows():
    """NumPy would make 40 GB of it."""
    import tracemalloc

    words = ["red", "blue"] * 50_000
    words[7] = "x" * 100_000
    tracemalloc.start()
    table = table_from({"a": words, "y": [0, 1] * 50_000}, need_target=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table.columns["a"][7] == words[7] and most < 100e6

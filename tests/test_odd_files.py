# SPDX-License-Identifier: BSD-3-Clause
"""Files as tools leave them, in every format in which an oddity can occur: read right, or said."""

import datetime
import gzip
import json
import lzma
import pickle
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from command_tools import run
from data_files import write
from pyarrow import feather, parquet

from fastrelu.app.data.meaning import ReadOptions
from fastrelu.app.data.meaning.dates import moment, of_digits, seconds
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.training import DataError, load_model

N = 40
FORMATS = ("csv", "parquet", "arrow", "xlsx", "sqlite", "pandas", "polars", "dict")


def stored(folder, columns, form):
    """Return columns of Python's values as a file of a format, or as an object in memory."""
    path = folder / f"t.{form}"
    if form == "csv":
        lines = [",".join(columns)]
        lines += [",".join("" if v is None else str(v) for v in row)
                  for row in zip(*columns.values(), strict=True)]  # fmt: skip
        return write(path, "\n".join(lines) + "\n")
    if form == "parquet":
        parquet.write_table(pa.table(columns), path)
    elif form == "arrow":
        feather.write_feather(pa.table(columns), str(path), compression="uncompressed")
    elif form == "xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        pytest.importorskip("python_calamine")
        book = openpyxl.Workbook()
        for row in [tuple(columns), *zip(*columns.values(), strict=True)]:
            book.active.append(row)
        book.save(path)
    elif form == "sqlite":
        import sqlite3

        pytest.importorskip("duckdb")
        with closing(sqlite3.connect(path)) as base, base:
            base.execute(f"create table t ({', '.join(columns)})")
            places = ", ".join("?" * len(columns))
            base.executemany(
                f"insert into t values ({places})", zip(*columns.values(), strict=True)
            )
    elif form == "dict":
        return columns
    else:
        return pytest.importorskip(form).DataFrame(columns)
    return str(path)


def read_columns(data, **options):
    choice = ColumnChoice(options=ReadOptions(**options))
    data = [data] if isinstance(data, str) else data
    return read(data, choice, need_target=False).columns


def inspected(*arguments):
    result = run("inspect", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    return found, {column["name"]: column for column in found["columns"]}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", [int, float])
def test_a_number_that_stands_for_nothing_is_missing_in_every_format(tmp_path, form, kind):
    x = [kind(-999) if i % 9 == 0 else kind(i) for i in range(N)]
    data = stored(tmp_path, {"k": [f"w{i % 3}" for i in range(N)], "x": x}, form)
    values = read_columns(data, na=("-999",))["x"]
    assert np.isnan(values[::9]).all() and not np.isnan(values).sum() > 5
    assert values[1] == 1 and read_columns(data)["x"][0] == -999


def test_a_model_keeps_the_number_that_stands_for_nothing(tmp_path, rng):
    x = rng.normal(size=200).round(3)
    x[::7] = -999
    columns = {"x": x, "y": (x > 0).astype(int).astype(str)}
    columns["y"] = np.where(columns["y"] == "1", "up", "down")
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    flags = ["--na", "-999", "--epochs", 3, "--out", tmp_path / "run"]
    assert run("train", tmp_path / "t.parquet", *flags).exit_code == 0
    model = load_model(tmp_path / "run")
    gap = model.outputs({"x": [float("nan")]})
    assert np.array_equal(model.outputs({"x": [-999.0]}), gap)
    assert np.array_equal(model.outputs({"x": [-999]}), gap)


@pytest.mark.parametrize("form", FORMATS)
def test_whole_numbers_are_dates_if_the_user_says_so(tmp_path, form):
    x = [20240100 + i % 28 + 1 for i in range(N)]
    data = stored(tmp_path, {"x": x, "y": list(range(N))}, form)
    dates = read_columns(data, date_format=("x=%Y%m%d",))["x"]
    assert dates.dtype == "datetime64[us]" and dates[2] == np.datetime64("2024-01-03")
    assert read_columns(data)["x"].dtype.kind in "if"


def test_a_model_of_dates_in_whole_numbers_reads_them_again(tmp_path, rng):
    day = 20240100 + rng.integers(1, 29, 120)
    table = pa.table({"day": day, "y": (day % 7).astype(float)})
    parquet.write_table(table, tmp_path / "t.parquet")
    flags = ["--date-format", "day=%Y%m%d", "--task", "regression", "--epochs", 2]
    assert run("train", tmp_path / "t.parquet", *flags, "--out", tmp_path / "run").exit_code == 0
    model = load_model(tmp_path / "run")
    text = model.outputs({"day": ["20240103"]})
    assert np.array_equal(model.outputs({"day": [20240103]}), text)
    assert np.array_equal(model.outputs({"day": [datetime.date(2024, 1, 3)]}), text)


def test_a_format_of_digits_names_its_column():
    assert of_digits("%Y%m%d") and not of_digits("%d.%m.%Y") and not of_digits("")
    result = run("inspect", "t.csv", "--date-format", "%Y%m%d")
    assert result.exit_code == 2 and "name its column, as in COL=%Y%m%d" in result.stderr


@pytest.mark.parametrize("flag", ["--numeric", "--categorical", "--ignore", "--date-format"])
@pytest.mark.parametrize("command", ["inspect", "train"])
def test_a_column_that_a_flag_names_has_to_be_there(tmp_path, flag, command):
    path = write(tmp_path / "t.csv", "size,y\n" + "1,2\n" * 30)
    value = "sise=%d.%m.%Y" if flag == "--date-format" else "sise"
    result = run(command, path, flag, value)
    assert result.exit_code == 3
    assert f"{flag}: no column 'sise' (did you mean 'size'?)" in result.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0 days 01:30:00", 5400), ("2 days 00:00:01.5", 172_801.5), ("-1 days +23:00:00", -3600),
        ("1 day, 0:30:00", 88_200), ("-0:30:00", -1800), ("-00:05", -300), ("12:30 pm", 45_000),
        ("25:00", None), ("1 day", None), ("days 1:00", None),
    ],
)  # fmt: skip
def test_durations_as_tools_write_them(text, value):
    assert seconds(text) == value


def test_durations_are_one_thing_in_text_and_in_types(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": pandas.to_timedelta(np.arange(N) - 20.0, unit="h")})
    frame["y"] = np.arange(N)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    expected = (np.arange(N) - 20) * 3600.0
    for data in (str(tmp_path / "t.csv"), str(tmp_path / "t.parquet"), frame):
        assert np.array_equal(read_columns(data)["x"], expected)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2024-01-31 24:00", "2024-02-01"),
        ("2024-01-31T24:00:00Z", "2024-02-01"),
        ("2016-12-31T23:59:60", "2017-01-01"),
        ("Wed Jan  3 12:30:00 2024", "2024-01-03T12:30"),
        ("Wed Jan 03 12:30:00 UTC 2024", "2024-01-03T12:30"),
        ("[31/Jan/2024:12:30:00 +0100]", "2024-01-31T11:30"),
        ("2024-01-31 24:01", None),
        ("2024-01-31 23:59:61", None),
    ],
)
def test_dates_as_tools_write_them(text, when):
    assert moment(text) == (None if when is None else np.datetime64(when, "us").item())


@pytest.mark.parametrize("form", ["csv", "parquet", "dict"])
def test_one_bad_time_among_many_is_told(tmp_path, form):
    x = [f"{i % 24:02d}:{i:02d}" for i in range(N)]
    x[5] = "25:99"
    data = stored(tmp_path, {"x": x, "y": list(range(N))}, form)
    where = {"csv": "line 7", "parquet": "row 6", "dict": "row 6"}[form]
    with pytest.raises(DataError, match=f"{where}: column 'x': expected a time such as 12:30"):
        read_columns(data)


def test_na_beside_yes_and_no_is_said(tmp_path):
    path = write(tmp_path / "t.csv", "x,y\n" + "yes,1\nno,2\nNA,3\n" * 10)
    _, columns = inspected(path)
    assert columns["x"]["warnings"] == ["'NA' (10 rows) is a category; --na NA makes it missing"]
    path = write(tmp_path / "u.csv", "y,x\n" + "1,yes\n2,no\n3,NA\n" * 10)
    assert "'NA' (10 rows) is a class" in run("train", path, "--epochs", 1).output


@pytest.mark.parametrize("name", ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"])
def test_errors_of_workbooks_are_missing_in_text_as_in_workbooks(tmp_path, name):
    x = [name if i % 9 == 0 else f"{i}.5" for i in range(N)]
    values = read_columns(stored(tmp_path, {"x": x, "y": list(range(N))}, "csv"))["x"]
    assert np.isnan(values[::9]).all() and values[1] == 1.5


def whole_numbers_as_categories():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"x": pandas.Categorical([10, 20, 10, 30] * 10), "y": range(N)})


def test_whole_numbers_that_are_categories_stay_so_in_parquet(tmp_path):
    frame = whole_numbers_as_categories()
    frame.to_parquet(tmp_path / "pandas.parquet")
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 2] * 10), pa.array([10, 20, 30]))
    table = pa.table({"x": codes, "y": list(range(N))})
    parquet.write_table(table, tmp_path / "arrow.parquet")
    feather.write_feather(table, str(tmp_path / "t.arrow"))
    for data in (frame, table, *(str(tmp_path / n) for n in ("pandas.parquet", "arrow.parquet",
                                                              "t.arrow"))):  # fmt: skip
        assert read_columns(data)["x"].tolist() == ["10", "20", "10", "30"] * 10
        numbers = read_columns(data, numeric=("x",))["x"]
        assert numbers.tolist() == [10, 20, 10, 30] * 10
    _, columns = inspected(tmp_path / "pandas.parquet")
    assert columns["x"]["kind"] == "category" and "whole numbers" in columns["x"]["warnings"][0]


def test_categories_of_whole_numbers_streamed_are_those_read_at_once(tmp_path, rng):
    table = pa.table({
        "x": pa.array(rng.integers(0, 4, 90_000)).dictionary_encode(),
        "z": rng.normal(size=90_000), "y": rng.normal(size=90_000),
    })  # fmt: skip
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path, row_group_size=4000)
    made = []
    for memory in ("1GB", "4MB"):
        out = tmp_path / memory
        flags = ["--memory", memory, "--epochs", 1, "--out", out, "--task", "regression"]
        result = run("train", path, *flags)
        assert result.exit_code == 0, result.output
        made.append(load_model(out).inputs.columns)
    kinds = [[type(column).__name__ for column in columns] for columns in made]
    assert kinds[0] == kinds[1]


def test_inspect_goes_on_where_training_would_refuse(tmp_path):
    table = pa.table({
        "list": [[1]] * N, "far": [float("inf"), *range(N - 1)], "huge": [2**60 + 1] * N,
        "text": ["1.5"] * (N - 1) + ["abc"], "y": list(range(N)),
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "t.parquet")
    _, columns = inspected(tmp_path / "t.parquet")
    for name, words in {
        "list": "has the type list", "far": "1 infinite numbers, which training refuses",
        "huge": "whole numbers beyond 2**53 are rounded", "text": "mostly numbers: row 40",
    }.items():  # fmt: skip
        assert any(words in text for text in columns[name]["warnings"]), (name, columns[name])
    _, columns = inspected(tmp_path / "t.parquet", "--ignore", "list,far", "--categorical", "y")
    assert set(columns) == {"huge", "text", "y"} and columns["y"]["kind"] == "identifier"


def test_names_of_a_workbook_where_the_user_says(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")

    def book(rows):
        made = openpyxl.Workbook()
        for row in rows:
            made.active.append(row)
        made.save(tmp_path / "t.xlsx")
        return str(tmp_path / "t.xlsx")

    numbers = [[i, i / 2] for i in range(N)]
    path = book([["x", "y"], ["size", "price"], *numbers])
    assert list(read_columns(path, header_line=2)) == ["size", "price"]
    with pytest.raises(DataError, match="--header-line 99: no names"):
        read_columns(path, header_line=99)
    path = book(numbers)
    with pytest.raises(DataError, match=r"row 1: expected column names.*--no-header"):
        read_columns(path)
    columns = read_columns(path, no_header=True)
    assert list(columns) == ["column 1", "column 2"] and columns["column 2"][1] == 0.5


@pytest.mark.parametrize(
    ("form", "flag", "value", "words"),
    [
        ("parquet", "--separator", ";", "--separator goes with text files"),
        ("parquet", "--header-line", "2", "--header-line goes with text files and workbooks"),
        ("xlsx", "--quote", "none", "--quote goes with text files"),
        ("npy", "--na", "-999", "--na goes with tables; an array holds numbers"),
        ("npy", "--decimal", ",", "--decimal goes with tables"),
    ],
)
def test_flags_that_a_format_has_not_are_refused(tmp_path, form, flag, value, words):
    if form == "npy":
        np.save(tmp_path / "t.npy", np.ones((N, 3)))
        path = tmp_path / "t.npy"
    else:
        path = stored(tmp_path, {"x": list(range(N)), "y": list(range(N))}, form)
    result = run("inspect", path, flag, value)
    assert result.exit_code == 3 and words in result.stderr


BODY = "".join(f"{i},{i * 2},{'uv'[i % 2]}\n" for i in range(N))


@pytest.mark.parametrize(
    ("head", "line"), [("Sales of 2024,,\n", 2), ("Sales,,\n,,\n", 3), ("Sales;;\n", 2)]
)
def test_titles_filled_up_with_separators_are_no_names(tmp_path, head, line):
    separator = ";" if ";" in head else ","
    content = head + ("a,b,c\n" + BODY).replace(",", separator)
    found, columns = inspected(write(tmp_path / "t.csv", content))
    assert list(columns) == ["a", "b", "c"] and found["rows"] == N
    assert found["warnings"] == [
        f"the names stand in line {line}; what is above is left out (--header-line says another)"
    ]


@pytest.mark.parametrize("first", ["#DIV/0!", "#N/A", "#12", "#"])
def test_a_row_that_begins_with_a_hash_is_a_row(tmp_path, first):
    body = f"{first},5,v\n" + BODY + f"{first},7,v\n"
    found, columns = inspected(write(tmp_path / "t.csv", "a,b,c\n" + body))
    assert found["rows"] == N + 2 and columns["b"]["first"][0] == 5


def test_decimal_commas_of_one_column_are_no_fields(tmp_path):
    rows = "".join(f"{i},5\n" for i in range(N))
    assert read_columns(write(tmp_path / "t.csv", "x\n" + rows))["x"][3] == 3.5
    lines = "".join(f"{i},5;{i * i % 7}\n" for i in range(N))
    train = write(tmp_path / "train.csv", "x;y\n" + lines)
    flags = ["--task", "regression", "--epochs", 1, "--out", tmp_path / "run"]
    assert run("train", train, *flags).exit_code == 0
    result = run("predict", tmp_path / "run", tmp_path / "t.csv")
    assert len(set(result.stdout.split())) == N + 1


def test_lines_above_rows_without_names_are_said(tmp_path):
    path = write(tmp_path / "t.csv", "made by hand\n" + "1.5,2.5,7\n2.5,1.5,8\n" * 9)
    found, _ = inspected(path)
    assert "lines above the first row are left out, such as 'made by hand'" in found["warnings"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1, "b": "x"}\n' * 9, "JSON; DuckDB reads it"),
        ('[{"a": 1}, {"a": 2}]', "JSON; DuckDB reads it"),
        ("<!DOCTYPE html><html><body>a,b\n1,2\n", "a page of HTML or XML"),
        ("% about\n@RELATION r\n@ATTRIBUTE a NUMERIC\n@DATA\n1,2\n", "an ARFF file"),
        ("%PDF-1.4\n1,2\n", "a PDF document"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (
            gzip.compress(gzip.compress(b"a,b\n1,2\n", mtime=0), mtime=0),
            "packed twice; unpack it once",
        ),
        (lzma.compress(b"a,b\n1,2\n", lzma.FORMAT_ALONE), "packed in a way that is not read"),
        (b"t.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(600), "a tar archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file; pandas.read_hdf"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(90), "scipy.io.loadmat reads it"),
        (b"<stata_dta><header><release>118</release>\n", "a file of Stata"),
        (b"$FL2@(#) SPSS DATA FILE" + bytes(90), "a file of SPSS"),
        (b"PARE\x2f\x01\0\0" + bytes(90), "an encrypted Parquet file, which is not read"),
        (b"ORC\x00\x05" + bytes(90), "an ORC file; pyarrow.orc.read_table"),
        (pickle.dumps({"a": [1, 2]}), "a pickle, which need not be safe"),
    ],
)
def test_text_that_is_no_table_is_named(tmp_path, content, words):
    for command in ("inspect", "train"):
        result = run(command, write(tmp_path / "t.csv", content))
        assert result.exit_code == 3 and words in result.stderr


def test_a_model_finds_its_names_below_titles(tmp_path):
    content = "Sales;;\nZeit, s;;y\n" + "".join(f"{i},5;{i * 7 % 5};{i}\n" for i in range(N))
    path = write(tmp_path / "t.csv", content)
    flags = ["--task", "regression", "--epochs", 1, "--out", tmp_path / "run"]
    assert run("train", path, *flags).exit_code == 0
    result = run("predict", tmp_path / "run", path)
    assert result.exit_code == 0 and len(result.stdout.split()) == N + 1


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([str(10**17 + i) for i in range(N)], "such as '100000000000000001', are rounded"),
        ([f"2024{i % 12 + 1:02d}{i % 28 + 1:02d}" for i in range(N)], "look like days"),
        ([f"0x{i:02x}" for i in range(N)], "cells hold digits, such as '0x00'"),
        ([f"20{i:02d}-01" for i in range(N)], "cells hold digits, such as '2000-01'"),
        (
            [chr(0x660 + i % 10) + chr(0x660 + i // 10) for i in range(N)],
            "cells hold digits, such as '\u0660",
        ),
        ([chr(0xFF10 + i % 10) + chr(0xFF10 + i // 10) for i in range(N)], "such as '\uff10"),
        ([f"Jan 20{i:02d}" for i in range(N)], "cells hold digits, such as 'Jan 2000'"),
        ([f"{i % 28 + 1}. Januar 20{i:02d}" for i in range(N)], "such as '1. Januar 2000'"),
        (["-" if i % 3 == 0 else f"{i}.5" for i in range(N)], "'-' (14 rows) counts as missing"),
        ([f"{i}%" if i % 2 else f"{i}" for i in range(N)], "; 20 cells without it, too"),
        ([f"A{i:03d}" for i in range(N)], None),
        ([str(1980 + i) for i in range(N)], None),
        ([str(2**53 - i) for i in range(N)], None),
    ],
)
@pytest.mark.parametrize("rows", [1, 30])
def test_what_is_no_number_or_date_in_silence_is_said(tmp_path, cells, words, rows):
    lines = [f"{i * 7 % 11},{cell}" for i, cell in enumerate(cells * rows)]
    _, columns = inspected(write(tmp_path / "t.csv", "k,x\n" + "\n".join(lines) + "\n"))
    said = [w for w in columns["x"]["warnings"] if not w.startswith(("looks like", "counts"))]
    expected = words.replace("14", str(14 * rows)).replace("20 cells", f"{20 * rows} cells") if (
        words
    ) else None  # fmt: skip
    assert (expected in said[0] and len(said) == 1) if expected else not said, said


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("word", "at", "said"), [
    ("Total", N - 1, True), ("summe:", N - 1, True), ("Total", N - 2, False), ("w9", N - 1, False),
])  # fmt: skip
def test_a_row_of_sums_at_the_end_is_said(tmp_path, form, word, at, said):
    shop = [word if i == at else f"w{i % 3}" for i in range(N)]
    data = stored(tmp_path, {"shop": shop, "y": [float(i) for i in range(N)]}, form)
    table = read([data] if isinstance(data, str) else data, need_target=False)
    told = f"column 'shop': '{word}' stands in the last row alone" in " ".join(table.notes)
    assert told == said and table.n_rows == N


@pytest.mark.parametrize("row", ["1,2", "1,2,3,4", "from here on"])
@pytest.mark.parametrize("rows", [0, 30])
def test_a_row_of_another_width_below_the_names_is_told(tmp_path, row, rows):
    body = "".join(f"{i},{i * 2},{i % 3}\n" for i in range(rows))
    path = write(tmp_path / "t.csv", f"a,b,c\n{row}\n{body}")
    result = run("inspect", path)
    if rows or row == "1,2":
        assert result.exit_code == 3 and "line 2: expected 3 fields" in result.stderr
    else:  # another layout, and said
        assert result.exit_code == 3 or "left out" in result.stdout or "data" in result.stdout


def test_rows_above_the_names_that_are_asked_for_are_said(tmp_path):
    content = "x,y,\n1,2,3\nx,y,price\n" + "".join(f"{i},{i % 7},{i}\n" for i in range(N))
    path = write(tmp_path / "t.csv", content)
    result = run("train", path, "--target", "price", "--epochs", 1, "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert "the names stand in line 3; what is above is left out" in result.stdout
    assert run("evaluate", tmp_path / "run", path).exit_code == 0


def test_a_column_in_other_capitals_is_named_in_the_warning(tmp_path):
    rows = "".join(f"{i},{'uv'[i % 2]},{i}\n" for i in range(N))
    path = write(tmp_path / "t.csv", "size,colour,price\n" + rows)
    assert run("train", path, "--epochs", 1, "--out", tmp_path / "run").exit_code == 0
    result = run("predict", tmp_path / "run", write(tmp_path / "n.csv", "Size,colour\n1,u\n"))
    assert "column 'size': not there (did you mean 'Size'?)" in result.stderr


def test_a_constant_that_begins_with_gaps_is_shown(tmp_path):
    path = write(tmp_path / "t.csv", "x,k\n" + "1,\n" * 9 + "2,here\n")
    assert inspected(path)[1]["k"]["warnings"] == ["one value only: 'here'"]


def test_periods_are_moments_in_a_frame_and_refused_in_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": pandas.period_range("2024-01", periods=N, freq="M")})
    frame["y"] = np.arange(N)
    assert read_columns(frame)["x"][1] == np.datetime64("2024-02-01")
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'x' has pandas' periods"):
        read_columns(str(tmp_path / "t.parquet"))
    code = "import sys; from fastrelu.training import read; read([sys.argv[1]])"
    done = subprocess.run(  # without pandas, which tells Arrow of the type
        [sys.executable, "-c", code, tmp_path / "t.parquet"], capture_output=True, text=True
    )
    assert "column 'x' has pandas' periods" in done.stderr


def test_whole_numbers_that_are_dates_streamed_are_those_read_at_once(tmp_path, rng):
    day = 20240100 + rng.integers(1, 29, 90_000)
    table = pa.table({"day": day, "x": rng.normal(size=90_000), "y": rng.normal(size=90_000)})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=4000)
    kinds = []
    for memory in ("1GB", "4MB"):
        out = tmp_path / memory
        flags = ["--memory", memory, "--epochs", 1, "--out", out, "--task", "regression"]
        result = run("train", tmp_path / "t.parquet", *flags, "--date-format", "day=%Y%m%d")
        assert result.exit_code == 0, result.output
        model = load_model(out)
        kinds.append(model.inputs.kinds)
        text = model.outputs({"day": ["20240103"], "x": [1.0]})
        assert np.array_equal(model.outputs({"day": [20240103], "x": [1.0]}), text)
    assert kinds[0] == kinds[1] == {"day": "date", "x": "numeric"}

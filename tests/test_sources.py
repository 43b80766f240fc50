# SPDX-License-Identifier: BSD-3-Clause
"""Rows from databases, queries, workbooks and folders, as tools leave them."""

import datetime
import sqlite3
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from data_files import write
from pyarrow import parquet

from fastrelu import machine
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.database import _has_order
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.data.table import kind_of
from fastrelu.training import DataError


def parts(folder, rng):
    """A folder as Spark partitions it: four parts, one without rows, and markers."""
    for year in (2023, 2024):
        for month in ("01", "02"):
            at = folder / f"year={year}" / f"month={month}"
            at.mkdir(parents=True)
            n = 0 if (year, month) == (2024, "02") else 30
            table = pa.table({"x": rng.normal(size=n), "y": np.arange(n) + 100.0 * year})
            parquet.write_table(table, at / "part-0.snappy.parquet")
            (at / ".part-0.snappy.parquet.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "rest.parquet").write_bytes(b"PAR1")
    return folder


def test_a_folder_of_partitions(tmp_path, rng):
    folder = parts(tmp_path / "sales", rng)
    for paths in ([str(folder)], [str(folder / "**/*.parquet")], [folder]):
        table = read(paths)
        assert list(table.columns) == ["x", "year", "month"] and table.target_name == "y"
        assert table.n_rows == 90 and table.columns["year"].tolist() == [2023] * 60 + [2024] * 30
        assert table.columns["month"].tolist() == ["01"] * 30 + ["02"] * 30 + ["01"] * 30
        assert any("'month': numbers with leading zeros" in note for note in table.notes)
    only = read([str(folder)], ColumnChoice("y", features=("month",)))
    assert list(only.columns) == ["month"]
    assert list(read([str(folder)], ColumnChoice("y", ignore=("month",))).columns) == ["x", "year"]
    split = read([str(folder)], ColumnChoice("y", extra=("year",)))
    assert list(split.columns) == ["x", "month"] and split.extra["year"][0] == 2023
    with pytest.raises(DataError, match="--target year: expected a column of the files"):
        read([str(folder)], ColumnChoice("year"))
    with pytest.raises(DataError, match="--ignore: no column 'week'"):
        read([str(folder)], ColumnChoice("y", ignore=("week",)))
    # One part alone says nothing, unless a model asks for it.
    one = str(folder / "year=2024" / "month=01" / "part-0.snappy.parquet")
    assert list(read([one]).columns) == ["x"]
    kinds = {"x": "numeric", "month": "text", "year": "numeric"}
    new = read([one], ColumnChoice(kinds=kinds, keep=("year",)), need_target=False)
    assert new.columns["month"][0] == "01" and new.columns["year"][0] == 2024
    assert new.kept["year"].tolist() == ["2024"] * 30


def test_a_folder_of_partitions_streamed(tmp_path, rng):
    paths = sorted(str(p) for p in parts(tmp_path / "sales", rng).glob("year*/**/*.parquet"))
    whole = read(paths)
    stream = ParquetStream(paths, ColumnChoice(), 10**7)
    assert list(stream.names) == ["x", "year", "month"] and len(stream.chunks) == 3
    for again in (False, True):
        tables = [t for chunk in stream.chunks for t in stream.parts(chunk, again)]
        for name, column in whole.columns.items():
            got = np.concatenate([t.columns[name] for t in tables])
            assert got.tolist() == column.tolist() and kind_of(got) == kind_of(column)


def test_values_of_folders(tmp_path):
    for value in ("__HIVE_DEFAULT_PARTITION__", "a%20b"):
        (tmp_path / f"k={value}").mkdir()
        write(tmp_path / f"k={value}" / "p.csv", "x,y\n1,2\n3,4\n")
    table = read([str(tmp_path / "*" / "*.csv")])
    assert table.columns["k"].tolist() == ["", "", "a b", "a b"]
    (tmp_path / "k=1").mkdir()
    write(tmp_path / "k=1" / "p.csv", "k,x,y\n7,1,2\n8,3,5\n")
    assert read([str(tmp_path / "k=1/p.csv")]).columns["k"].tolist() == [7, 8]


def test_folders_that_are_no_table(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,2\n")
    write(tmp_path / "b.txt", "notes")
    with pytest.raises(DataError, match=r"different files \(.csv, .txt\); name .*/\*.csv'"):
        read([str(tmp_path)])
    (tmp_path / "b.txt").unlink()
    assert read([str(tmp_path)]).n_rows == 1
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(DataError, match="a Delta Lake table"):
        read([str(tmp_path)])


def test_text_columns_of_a_stream_are_decided_by_all_rows(tmp_path):
    """Numbers in the first row groups and words in the last: one column of categories."""
    words = ["1"] * 3000 + ["red", "blue"] * 3000
    table = pa.table({"k": words, "n": ["1,5"] * 9000, "y": np.arange(9000.0)})
    path = str(tmp_path / "t.parquet")
    parquet.write_table(table, path, row_group_size=1000)
    whole, stream = read([path]), ParquetStream([path], ColumnChoice(), 10**7)
    assert kind_of(whole.columns["k"]) == "text" and whole.columns["n"][0] == 1.5
    for again in (False, True):
        for chunk in stream.chunks:
            for part in stream.parts(chunk, again):
                assert part.columns["k"].dtype == object and part.columns["n"].dtype == np.float64
    assert stream.found.meanings["n"].decimal == ","
    words[5000] = "1"
    parquet.write_table(
        pa.table({"k": ["1"] * 8999 + ["x"], "y": np.arange(9000.0)}), path, row_group_size=1000
    )
    for reads in (lambda: read([path]), lambda: ParquetStream([path], ColumnChoice(), 10**7)):
        with pytest.raises(DataError, match="row 9000: column 'k': expected a number"):
            reads()


@pytest.fixture
def sqlite(tmp_path):
    path = tmp_path / "t.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t(id INTEGER, kind TEXT, flag BOOLEAN, day TEXT, y REAL)")
        rows = [(9 - i, "ab"[i % 2], i % 2, f"2024-01-0{i + 1}", i / 2) for i in range(9)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("CREATE VIEW v AS SELECT kind, y FROM t WHERE id > 3")
    return str(path)


def test_sqlite(sqlite, tmp_path):
    table = read([sqlite], ColumnChoice(table="t"))
    assert table.target.tolist() == [i / 2 for i in range(9)] and table.target_name == "y"
    assert table.columns["id"].tolist() == list(range(9, 0, -1))
    assert kind_of(table.columns["day"]) == "date" and table.columns["kind"][:2].tolist() == [
        "a",
        "b",
    ]
    ordered = read([sqlite], ColumnChoice(sql="SELECT id, y FROM t ORDER BY y DESC;"))
    assert ordered.columns["id"].tolist() == list(range(1, 10)) and len(ordered.notes) == 1
    sorted_ = read([sqlite], ColumnChoice(sql="SELECT kind, id, y FROM t -- all"))
    assert sorted_.columns["id"].tolist() == [1, 3, 5, 7, 9, 2, 4, 6, 8]
    assert "sorted by all columns" in sorted_.notes[0]
    assert read([sqlite], ColumnChoice(table="v")).n_rows == 6
    kept = read([sqlite], ColumnChoice(table="t", kinds={"kind": "text"}, keep=("id", "day")),
                need_target=False)  # fmt: skip
    assert kept.kept["id"].tolist() == list(range(9, 0, -1)) and kept.kept["day"][0] == "2024-01-01"
    for choice, says in (
        (ColumnChoice(), "holds 2 tables, t, v; --table says which one"),
        (ColumnChoice(table="u"), "--table: no table 'u'; the file has t, v"),
        (ColumnChoice(sql="SELECT absent FROM t"), "no such column: absent"),
        (ColumnChoice(sql="SELECT * FROM t WHERE id > 99"), "query: expected rows of data"),
        (ColumnChoice(sql="SELECT 1", table="t"), "--sql goes with one database file or none"),
    ):
        with pytest.raises(DataError, match=says):
            read([sqlite], choice)
    with closing(sqlite3.connect(sqlite)) as connection, connection:
        connection.execute("UPDATE t SET y = 'oops' WHERE id = 5")
        connection.execute("UPDATE t SET id = 'x' WHERE id = 7")
    with pytest.raises(DataError, match=r"t.sqlite: t: row 3: column 'id': expected a number"):
        read([sqlite], ColumnChoice(table="t"))
    damaged = write(tmp_path / "bad", b"SQLite format 3\0" + bytes(200))
    with pytest.raises(DataError, match="cannot be read by SQLite"):
        read([damaged])


def test_duckdb(tmp_path, rng):
    duckdb = pytest.importorskip("duckdb")
    path = str(tmp_path / "d.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT 1000 - range AS id, range % 3 AS k, "
            f"{2**100}::HUGEINT + range AS huge, range::DECIMAL(9, 2) / 10 AS y "
            "FROM range(1000)"
        )
    table = read([path])
    assert table.columns["id"].tolist() == list(range(1000, 0, -1))
    assert table.columns["huge"][0] == 2.0**100
    assert any("beyond 2**53" in note and "'huge'" in note for note in table.notes)
    np.testing.assert_array_equal(table.target, np.arange(1000) / 10)
    again = read([path], ColumnChoice(sql="SELECT k, avg(id) m, sum(y) y FROM t GROUP BY k"))
    assert again.columns["k"].tolist() == [0, 1, 2] and "sorted by all" in again.notes[0]
    x = rng.normal(size=50)
    parquet.write_table(pa.table({"x": x, "y": x}), tmp_path / "p.parquet")
    query = f"SELECT * FROM '{tmp_path}/*.parquet' WHERE x > 0"
    np.testing.assert_array_equal(read([], ColumnChoice(sql=query)).target, np.sort(x[x > 0]))
    query += " ORDER BY x DESC"
    np.testing.assert_array_equal(read([], ColumnChoice(sql=query)).target, -np.sort(-x[x > 0]))
    frame = {"x": [1, 2]}
    for query, says in (
        ("DROP TABLE t", "expected one SELECT, got 'DROP TABLE t'"),
        ("SELECT 1; SELECT 2", "expected one SELECT"),
        ("SELECT * FROM frame", "frame does not exist"),
        ("SELECT FROM", "--sql: "),
        (f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "expected one SELECT"),
    ):
        with pytest.raises(DataError, match=says):
            read([], ColumnChoice(sql=query))
    assert frame and not (tmp_path / "out.csv").exists()
    with pytest.raises(DataError, match="--sql goes with a DuckDB or SQLite file"):
        read([str(tmp_path / "p.parquet")], ColumnChoice(sql="SELECT 1"))
    with pytest.raises(DataError, match="--table goes with databases and workbooks"):
        read([str(tmp_path / "p.parquet")], ColumnChoice(table="t"))


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("select a from t order by a", True),
        ("select a from t ORDER\n BY a limit 3", True),
        ("select row_number() over (order by a) from t", False),
        ("select * from (select a from t order by a limit 3)", False),
        ("select 'order by' from t", False),
        ('select "order by" from t -- order by a', False),
        ("select a /* order by a */ from t", False),
        ("select $$ order by $$ from t", False),
        ("select list(a order by b) from t", False),
        ("with s as (select 1 a order by 1) select a from s order by a", True),
    ],
)
def test_whether_a_query_has_an_order(query, ordered):
    assert _has_order(query) == ordered


def test_workbooks(tmp_path):
    pytest.importorskip("python_calamine")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "sales"
    sheet.append(["Report of 2024"])
    sheet.append([])
    sheet.append(["id", " when ", "clock", "flag", "word", 2024, "y"])
    day = datetime.datetime(2024, 1, 31, 12)
    sheet.append([1, day, datetime.time(0, 1), True, "red", 0.5, 1])
    sheet.append([2, datetime.date(2024, 2, 1), None, False, "None", None, 2.5])
    book.create_sheet("nothing")
    path = str(tmp_path / "t.xlsx")
    book.save(path)
    table = read([path])
    assert list(table.columns) == ["id", "when", "clock", "flag", "word", "2024"]
    assert [kind_of(c) for c in table.columns.values()] == [
        "numeric", "date", "numeric", "numeric", "text", "numeric",
    ]  # fmt: skip
    assert table.columns["word"].tolist() == ["red", "None"] and table.target.tolist() == [1, 2.5]
    assert table.columns["clock"][0] == 60 and str(table.columns["when"][1])[:10] == "2024-02-01"
    assert "rows above the names are left out, such as 'Report of 2024'" in table.notes
    sheet.cell(6, 1, "oops")
    sheet.cell(6, 7, 3)
    sheet.cell(7, 1, 4)
    sheet.cell(7, 7, 3)
    book.save(path)
    with pytest.raises(DataError, match=r"t.xlsx: sheet 'sales': row 6: column 'id': .*'oops'"):
        read([path])
    sheet.cell(6, 1, 3)
    sheet.cell(6, 9, 3)
    book["nothing"].append(["a", "b"])
    book.save(path)
    with pytest.raises(DataError, match="2 sheets, sales, nothing; --table says which"):
        read([path])
    with pytest.raises(DataError, match=r"row 6: expected 7 cells, .* got more"):
        read([path], ColumnChoice(table="sales"))
    with pytest.raises(DataError, match="no sheet 'x'; the workbook has sales, nothing"):
        read([path], ColumnChoice(table="x"))
    empty = read([path], ColumnChoice(table="nothing"), need_target=False)
    assert empty.n_rows == 0 and list(empty.columns) == ["a", "b"]
    with pytest.raises(DataError, match="expected rows of data"):
        read([path], ColumnChoice(table="nothing"))


def test_damaged_workbooks(tmp_path, rng):
    """Bytes changed anywhere: a DataError or a table."""
    pytest.importorskip("python_calamine")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["a", "y"])
    for i in range(9):
        book.active.append([i, i / 2])
    book.save(tmp_path / "t.xlsx")
    content = (tmp_path / "t.xlsx").read_bytes()
    for _ in range(100):
        changed = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            changed[int(rng.integers(4, len(changed)))] = int(rng.integers(256))
        path = write(tmp_path / "bad.xlsx", bytes(changed))
        try:
            read([path])
        except DataError as error:
            assert str(error).isprintable()


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "npy", "npz"])
def test_no_rows(tmp_path, form, rng):
    """Without rows there is nothing to learn, and nothing to predict: no error."""
    table = pa.table({"x": pa.array([], pa.float64()), "k": pa.array([], pa.string()),
                      "y": pa.array([], pa.int64())})  # fmt: skip
    path = str(tmp_path / f"t.{form}")
    kinds = {"x": "numeric", "k": "text"}
    if form == "csv":
        write(tmp_path / "t.csv", "x,k,y\n")
    elif form == "parquet":
        parquet.write_table(table, path)
    elif form == "arrow":
        pa.feather = pytest.importorskip("pyarrow.feather")
        pa.feather.write_feather(table, path)
    else:
        kinds = {}
        if form == "npy":
            np.save(path, np.empty((0, 3)))
        else:
            np.savez(path, X=np.empty((0, 3)), y=np.empty(0))
    with pytest.raises(DataError, match="expected rows of data"):
        read([path])
    width = None if kinds else 3
    nothing = read([path], ColumnChoice(kinds=kinds, width=width), need_target=False)
    assert nothing.n_rows == 0 and (list(nothing.columns) == list(kinds))


def test_files_that_store_a_column_differently(tmp_path):
    """A part of nulls alone is filled; numbers beside words are refused; streamed as in memory."""
    columns = {
        "a": [pa.nulls(50), pa.array(["x", "z"] * 25)],
        "b": [pa.nulls(50), pa.array([datetime.datetime(2024, 1, 1)] * 50)],
        "c": [pa.array([1, 2] * 25), pa.array([1.5, None] * 25)],
        "y": [pa.array(range(50)), pa.array(range(50))],
    }
    paths = [str(tmp_path / f"{k}.parquet") for k in (0, 1)]
    for k, path in enumerate(paths):
        parquet.write_table(pa.table({n: c[k] for n, c in columns.items()}), path)
    whole, stream = read(paths), ParquetStream(paths, ColumnChoice(), 10**7)
    for again in (False, True):
        parts = [t for chunk in stream.chunks for t in stream.parts(chunk, again)]
        for name, column in whole.columns.items():
            got = np.concatenate([t.columns[name] for t in parts])
            assert kind_of(got) == kind_of(column)
            np.testing.assert_array_equal(got, column)
    numbers = {"a": [1] * 9, "b": pa.nulls(9), "c": [1] * 9, "y": [1] * 9}
    parquet.write_table(pa.table(numbers), paths[0])

    def streamed():
        stream = ParquetStream(paths, ColumnChoice(), 10**7)
        return [list(stream.parts(chunk)) for chunk in stream.chunks]

    for reads in (lambda: read(paths), streamed):
        with pytest.raises(DataError, match=r"1.parquet: column 'a' is text, but numeric in .*0"):
            reads()


def test_a_sqlite_view_is_sorted_and_a_table_in_its_own_order(tmp_path):
    path = str(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t(rowid INTEGER, a, y)")
        rows = [(5, "b", 0), (1, None, 1), (3, 2, 0), (2, b"c", 1), (4, 1.5, 0)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.execute("CREATE VIEW v AS SELECT a, rowid AS n, y FROM t")
    table = read([path], ColumnChoice(table="t"))
    assert table.columns["rowid"].tolist() == [5, 1, 3, 2, 4]
    assert read([path], ColumnChoice(table="v")).columns["n"].tolist() == [1, 4, 3, 5, 2]


def test_a_sqlite_view_that_never_ends_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE VIEW v AS WITH RECURSIVE n(a, y) AS (SELECT 1, 0 UNION ALL "
            "SELECT a + 1, a % 2 FROM n LIMIT 300000) SELECT * FROM n"
        )
    assert read([path]).n_rows == 300_000
    monkeypatch.setattr(machine, "memory", lambda: 1e6)
    with pytest.raises(DataError, match="v: the rows are read into memory"):
        read([path])


def test_a_sqlite_schema_whose_names_are_no_text_is_damaged(tmp_path):
    path = str(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t(a, y)")
        connection.execute("CREATE TABLE u(a, y)")
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("UPDATE sqlite_master SET name = CAST('t' AS BLOB) WHERE name = 't'")
    for table in (None, "t"):
        with pytest.raises(DataError, match=r"t.sqlite: "):
            read([path], ColumnChoice(table=table))

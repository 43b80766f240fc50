# SPDX-License-Identifier: BSD-3-Clause
"""Values that Arrow has no type for, or that are no text, date or number: kept, or refused."""

import datetime
import json
import sqlite3
import uuid
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from command_tools import run
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.objects import table_from
from fastrelu.training import DataError

BEYOND = "beyond 2**53"


@pytest.fixture(scope="module")
def duckdb():
    return pytest.importorskip("duckdb")


def column_of(relation):
    table = table_from(relation)
    return table.columns["h"], table.notes


@given(
    whole=st.lists(st.integers(-(2**127), 2**128 - 1), min_size=1, max_size=6),
    small=st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=6),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("kind", ["hugeint", "uhugeint", "bignum"])
def test_integers_of_any_size_are_the_nearest_doubles(duckdb, kind, whole, small):
    """A note says so where one of them is rounded, and only there."""
    low, high = {
        "hugeint": (-(2**127), 2**127),
        "uhugeint": (0, 2**128),
        "bignum": (-(2**127), 2**128),
    }[kind]
    for values in (whole, small):
        values = [value for value in values if low <= value < high] or [1]
        texts = ", ".join(f"'{value}'::{kind}" for value in values)
        column, notes = column_of(duckdb.sql(f"select unnest([{texts}]) h"))
        assert column.tolist() == [float(value) for value in values]
        rounded = any(int(float(value)) != value for value in values)
        assert any(BEYOND in note for note in notes) == rounded


def test_what_arrow_has_not_is_the_same_in_every_source_of_duckdb(duckdb, tmp_path):
    query = (
        "SELECT i id, sum(i) OVER () total, '0101'::bit bits, timetz '23:30:00-05' late, "
        "timetz '00:30:00+02' early, timetz '24:00:00+00' midnight, null::hugeint nothing, i y "
        "FROM range(20) t(i)"
    )
    path = str(tmp_path / "d.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute(f"CREATE TABLE t AS {query}")
    tables = [
        read([path], ColumnChoice(target="y")),
        read([], ColumnChoice(sql=query, target="y")),
        read([], ColumnChoice(sql=query + " ORDER BY id", target="y")),
        table_from(duckdb.sql(query), ColumnChoice(target="y")),
    ]
    for table in tables:
        got = {name: column.tolist()[0] for name, column in table.columns.items()}
        assert (got["total"], got["bits"]) == (190, "0101")
        hours = got["late"] / 3600, got["early"] / 3600, got["midnight"] / 3600
        assert hours == (4.5, 22.5, 0) and np.isnan(got["nothing"])
        assert not any(BEYOND in note for note in table.notes)
    duckdb.sql(f"COPY (SELECT late, early, id FROM ({query})) TO '{tmp_path}/t.parquet'")
    stored = read([str(tmp_path / "t.parquet")]).columns
    assert (stored["late"][0], stored["early"][0]) == (4.5 * 3600, 22.5 * 3600)


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
@pytest.mark.parametrize("order", ["", " ORDER BY 1"])
def test_names_of_a_query_are_its_own(duckdb, tmp_path, engine, order):
    paths = []
    if engine == "sqlite":
        paths = [str(tmp_path / "d.sqlite")]
        with closing(sqlite3.connect(paths[0])) as connection, connection:
            connection.execute("CREATE TABLE t (x)")
    with pytest.raises(DataError, match=r"got 'id' twice \(columns 1 and 3\)"):
        read(paths, ColumnChoice(sql=f"SELECT 1 id, 2 x, 3 id, 4 y{order}"))
    table = read(paths, ColumnChoice(sql=f'SELECT 1 a, 2 A, 3 "b:1", 4 y{order}'))
    assert [*table.columns, table.target_name] == ["a", "A", "b:1", "y"]
    assert [column.tolist() for column in table.columns.values()] == [[1], [2], [3]]


def test_tables_of_one_name_are_shown_with_their_schemas(duckdb, tmp_path):
    path = str(tmp_path / "d.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 x, 2 y; CREATE TABLE u AS SELECT 1 x, 3 y")
        connection.execute("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 x, 4 y")
    for table in (None, "t"):
        with pytest.raises(DataError, match=r"main\.t, u, s\.t"):
            read([path], ColumnChoice(table=table))
    assert read([path], ColumnChoice(table="s.t")).target.tolist() == [4]


def bad_columns():
    """Columns that no reader may take for something, with what is said of them."""
    interval = np.arange(20, dtype="<i4")[:, None] * [1, 0, 0]
    bits = [row.astype("<i4").tobytes() for row in interval]
    return {
        "interval": (pa.array(bits, pa.binary(12)), "which hold control characters"),
        "blob": (pa.array([b"\x00\x01w"] * 20), "which hold control characters"),
        "latin": (pa.array([b"\xfc"] * 20), "which are not UTF-8"),
        "infinity": (pa.array([2**63 - 1] * 20, pa.timestamp("us")), "as infinity is stored"),
        "earliest": (pa.array([1 - 2**63] * 20, pa.timestamp("us")), "as infinity is stored"),
        "day": (pa.array([2**31 - 1] * 20, pa.int32()).cast(pa.date32()), "as infinity is stored"),
        "year": (pa.array([9_200_000_000_000] * 20, pa.timestamp("s")), "within 290,000 years"),
        "nested": (pa.array([[1]] * 20), "has the type list"),
    }


def test_what_is_no_value_is_refused_by_name_and_shown_by_inspect(tmp_path):
    bad = bad_columns()
    for name, (column, says) in bad.items():
        with pytest.raises(DataError, match=f"column '{name}'.*{says}"):
            table_from(pa.table({name: column}))
    good = {"text": pa.array([b"a\tb\n"] * 20), "y": pa.array(range(20))}
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({name: column for name, (column, _) in bad.items()} | good), path)
    result = run("inspect", path, "--json")
    assert result.exit_code == 0, result.output
    found = {column["name"]: column for column in json.loads(result.output)["columns"]}
    for name, (_, says) in bad.items():
        assert len(found[name]["warnings"]) == 1 and says in found[name]["warnings"][0], name
    assert found["text"]["first"][0] == "a\tb" and found["y"]["distinct"] == 20


def test_inspect_of_a_stream_tells_once_what_cannot_be_read(tmp_path, monkeypatch):
    column, says = bad_columns()["blob"]
    many = pa.chunked_array([column] * 20)
    table = pa.table({"blob": many, "y": np.arange(400)})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=50)
    monkeypatch.setattr("fastrelu.app.data.stream.COPIES", 10**9)
    result = run("inspect", tmp_path / "t.parquet", "--json")
    assert result.exit_code == 0, result.output
    blob, y = json.loads(result.output)["columns"]
    assert len(blob["warnings"]) == 1 and says in blob["warnings"][0] and y["distinct"] == 400


def test_inspect_shows_the_whole_of_a_number(tmp_path):
    numbers = [-(2.0**1000) * (1 + k / 7) for k in range(20)]
    parquet.write_table(pa.table({"x": numbers, "y": range(20)}), tmp_path / "t.parquet")
    shown = run("inspect", tmp_path / "t.parquet").output
    assert all(str(number) in shown for number in numbers[:4])


def test_python_objects_beside_arrow():
    ids = [uuid.UUID(int=k) for k in range(3)]
    column = table_from({"id": [*ids, None]}).columns["id"]
    assert column.tolist() == [*map(str, ids), ""]
    with pytest.raises(DataError, match="row 2: column 'b': expected text, got the bytes"):
        table_from({"b": [b"a", b"\x00"]})
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.ones((2, 3)), columns=["a", None, "  "])
    assert list(table_from(frame).columns) == ["a", "column 2", "column 3"]
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"h": polars.Series([2**53 + 1, 1], dtype=polars.Int128)})
    column, notes = column_of(frame)
    assert column.tolist() == [2.0**53, 1] and BEYOND in notes[0]
    for one in (polars.Series("x", [1, 2]), pa.array([1, 2]), pa.chunked_array([[1, 2]])):
        with pytest.raises(DataError, match="expected a data frame, an Arrow table"):
            table_from(one)
    with pytest.raises(DataError, match=r"'day'.*as infinity is stored"):
        table_from({"day": np.array([2**63 - 1], "datetime64[us]")})
    last = datetime.datetime.max
    assert str(table_from({"day": [last]}).columns["day"][0])[:10] == "9999-12-31"

# SPDX-License-Identifier: BSD-3-Clause
"""Tables of DuckDB and SQLite files, and queries: their rows in an order that does not change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from fastrelu.app.data.readers.choice import ColumnChoice, tidy_names
from fastrelu.app.data.readers.files import Source, reading
from fastrelu.app.data.readers.objects import Columns, columns_table
from fastrelu.app.data.readers.queries import interruptible
from fastrelu.app.data.readers.unpacked import require_memory
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError, NoRowsError, needed

if TYPE_CHECKING:
    import sqlite3

SQLITE, DUCKDB, DUCKDB_AT = b"SQLite format 3\0", b"DUCK", 8
# What DuckDB gives Arrow in silence as something else, in SQL that keeps it: integers of any size
# and strings of bits as their digits, times with a zone as the seconds of the day in UTC.
AS_PLAIN = {
    "HUGEINT": "CAST({} AS VARCHAR)",
    "UHUGEINT": "CAST({} AS VARCHAR)",
    "BIGNUM": "CAST({} AS VARCHAR)",
    "BIT": "CAST({} AS VARCHAR)",
    "TIME WITH TIME ZONE": "(epoch({0}) - date_part('timezone', {0}) + 86400) % 86400",
}
SECOND = re.compile(r"(.+):[0-9]+")  # SQLite's name for another column of one name
ROWIDS = ("rowid", "oid", "_rowid_")  # what SQLite calls a row's place, where no column is so named
PIECE, MOST_AT_ONCE = 1 << 22, 1 << 14  # bytes and rows that are fetched at once
# What may hold words that are not the query's own: texts, names in quotes, comments.
QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.S
)
QUERY = "query"


def is_database(head: bytes) -> bool:
    """Return whether a file that begins so is a DuckDB or SQLite file."""
    return head.startswith(SQLITE) or head[DUCKDB_AT : DUCKDB_AT + 4] == DUCKDB


def read_database(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return a table of a database file: `choice.table`, or the only one there is.

    The rows are in the order in which the table holds them; those of a view are sorted.

    Raises
    ------
    DataError
        If it cannot be read, or has not the table.
    """
    path = _path(source)
    if source.head.startswith(SQLITE):
        with _sqlite(path) as connection:
            found = connection.execute(
                "SELECT name, name, type FROM sqlite_master WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
            ).fetchall()
            if not all(isinstance(name, str) for name, _, _ in found):
                raise DataError(f"{path}: its schema is damaged: the name of a table is no text")
            name, kind = _table_of(path, found, choice.table)
            query, is_view = f"SELECT * FROM {_quoted(name)}", kind == "view"
            if not is_view:
                query = _by_rowid(connection, query)
            where = f"{path}: {name}"
            return _sqlite_rows(connection, query, choice, need_target, where, is_view)
    with _duckdb(path) as connection:
        found = connection.execute(
            "SELECT table_name, table_schema || '.' || table_name, table_type "
            "FROM information_schema.tables ORDER BY 2"
        ).fetchall()
        full = {name: full for _, name, _ in found for full in [name]}
        name, kind = _table_of(path, found, choice.table)
        query = "SELECT * FROM " + ".".join(map(_quoted, full[name].split(".", 1)))
        query += " ORDER BY ALL" if kind == "VIEW" else " ORDER BY rowid"
        return _duckdb_rows(connection, query, choice, need_target, f"{path}: {name}")


def read_query(paths: Sequence[str], choice: ColumnChoice, need_target: bool) -> Table:
    """Return the rows of `choice.sql`, by DuckDB; or in the database file that is named.

    Rows without an order of the query's own are sorted by all columns, from left to right, so that
    they are the same ones in the same order each time.

    Raises
    ------
    DataError
        If it is no query, or fails.
    """
    assert choice.sql is not None
    query = choice.sql.strip().rstrip(";").strip()
    if len(paths) > 1 or choice.table is not None:
        what = "--table" if choice.table is not None else f"{len(paths)} files"
        raise DataError(f"--sql goes with one database file or none, got {what}")
    source = Source(paths[0]) if paths else None
    if source is not None and not is_database(source.head):
        raise DataError(
            f"{source.path}: --sql goes with a DuckDB or SQLite file; other files stand in the "
            "query itself: FROM 'data.parquet'"
        )
    path = None if source is None else _path(source)
    note = "" if _has_order(query) else (
        "the query's rows are sorted by all columns; ORDER BY in the query says another order"
    )  # fmt: skip
    if source is not None and source.head.startswith(SQLITE):
        with _sqlite(str(path)) as connection:
            if note:
                with closing(connection.execute(f"SELECT * FROM ({query}\n) LIMIT 0")) as cursor:
                    places = range(1, len(cursor.description) + 1)
                query = f"SELECT * FROM ({query}\n) ORDER BY {', '.join(map(str, places))}"
            table = _sqlite_rows(connection, query, choice, need_target, QUERY)
    else:
        with _duckdb(path) as connection:
            _require_query(connection, query)
            order = "ORDER BY ALL" if note else ""
            table = _duckdb_rows(connection, query, choice, need_target, QUERY, order)
    return replace(table, notes=[note, *table.notes]) if note else table


def _has_order(query: str) -> bool:
    """Return whether a query has an order of its own, outside of all parentheses."""
    plain = QUOTED.sub(" ", query)
    while (inner := re.sub(r"\([^()]*\)", " ", plain)) != plain:
        plain = inner
    return re.search(r"\border\s+by\b", plain, re.I) is not None


def _path(source: Source) -> str:
    if not source.mappable:
        raise DataError(f"{source.path}: a database is read from a file that is not compressed")
    return source.path


def _table_of(
    path: str, found: Sequence[tuple[str, str, str]], asked: str | None
) -> tuple[str, str]:
    """Return the full name of the table asked for, and what it is."""
    same = Counter(name for name, _, _ in found)
    names = ", ".join(name if same[name] == 1 else full for name, full, _ in found) or "none"
    matches = [row for row in found if asked in (None, row[0], row[1])]
    if len(matches) == 1:
        return matches[0][1], matches[0][2]
    if asked is None:
        what = "no tables" if not found else f"{len(found)} tables"
        raise DataError(f"{path}: holds {what}, {names}; --table says which one")
    what = "no table" if not matches else "several tables"
    raise DataError(f"{path}: --table: {what} {asked!r}; the file has {names}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# SQLite


@contextmanager
def _sqlite(path: str) -> Iterator[sqlite3.Connection]:
    import sqlite3

    try:
        uri = Path(path).absolute().as_uri() + "?mode=ro"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        with reading(path), closing(connection):
            yield connection
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read by SQLite ({_line(error)})") from None


def _by_rowid(connection: sqlite3.Connection, query: str) -> str:
    """Return a query of a table in the order of its rows."""
    import sqlite3

    with closing(connection.execute(f"{query} LIMIT 0")) as cursor:
        names = {str(column[0]).lower() for column in cursor.description}
    rowid = next((name for name in ROWIDS if name not in names), None)
    if rowid is None:
        return query
    try:
        connection.execute(f"{query} ORDER BY {rowid} LIMIT 0").close()
    except sqlite3.OperationalError:  # a table that is sorted by its own key
        return query
    return f"{query} ORDER BY {rowid}"


def _sqlite_rows(
    connection: sqlite3.Connection,
    query: str,
    choice: ColumnChoice,
    need_target: bool,
    source: str,
    is_view: bool = False,
) -> Table:
    described, rows = interruptible(connection, lambda: _all_rows(connection, query, source))
    names = _own_names(described)
    if is_view:  # here, as SQLite would fill the disk with what a view that never ends gives it
        rows.sort(key=_sorting)
    if not rows and need_target:
        raise NoRowsError(f"{source}: expected rows of data, got none")
    values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    columns = Columns(tidy_names(names), values, len(rows))
    return columns_table(columns, choice, need_target, source)


def _all_rows(
    connection: sqlite3.Connection, query: str, source: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return a query's names and rows; DataError as soon as they are more than the machine holds.

    A small file may say so: by a view that never ends, or by a default for each of its rows.
    """
    cursor = connection.execute(query)
    names = [str(column[0]) for column in cursor.description or ()]
    rows: list[tuple[Any, ...]] = []
    size, at_once = 0, 1
    while piece := cursor.fetchmany(at_once):
        taken = sum(map(getsizeof, chain.from_iterable(piece))) + sum(map(getsizeof, piece))
        size += taken
        require_memory(source, "the rows are", size)
        rows += piece
        at_once = min(2 * at_once, MOST_AT_ONCE) if taken < PIECE else max(at_once // 2, 1)
    return names, rows


def _sorting(row: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return what sorts rows as SQLite does: nulls, numbers, texts, bytes."""
    return [
        (0, 0) if value is None
        else (2, value) if isinstance(value, str)
        else (3, value) if isinstance(value, bytes)
        else (1, value)
        for value in row
    ]  # fmt: skip


def _own_names(names: Sequence[str]) -> list[str]:
    """Return a query's names where SQLite has called the second of "id" and "id" "id:1"."""
    known = {name.lower() for name in names}
    found = [(name, SECOND.fullmatch(name)) for name in names]
    return [match[1] if match and match[1].lower() in known else name for name, match in found]


# DuckDB


@contextmanager
def _duckdb(path: str | None) -> Iterator[Any]:
    missing = "queries and DuckDB files need DuckDB: pip install duckdb"
    with needed("DuckDB", DataError(missing)):
        import duckdb
    where = "--sql" if path is None else path
    try:
        with duckdb.connect(path or ":memory:", read_only=path is not None) as connection:
            # One thread adds up and joins in one order, so that a query has the same bits again.
            connection.execute("SET threads = 1")
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")  # it writes to standard output
            connection.execute("SET python_enable_replacements = false")
            yield connection
    except duckdb.Error as error:
        raise DataError(f"{where}: {_line(error)}") from None


def _require_query(connection: Any, query: str) -> None:
    import duckdb

    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise DataError(f"--sql: expected one SELECT, got {query[:60]!r}")


def _duckdb_rows(
    connection: Any,
    query: str,
    choice: ColumnChoice,
    need_target: bool,
    source: str,
    order: str = "",
) -> Table:
    from fastrelu.app.data.readers.arrow import arrow_errors, arrow_table, columns_of

    names = list(connection.sql(query).columns)
    # In a query inside of another one DuckDB makes different names of "id" and "ID".
    places = ", ".join(f"c{j}" for j in range(len(names)))
    relation = connection.sql(f"SELECT * FROM ({query}\n) AS q({places}) {order}")
    with arrow_errors(source):
        arrow = interruptible(connection, lambda: arrow_of(relation)).rename_columns(names)
        columns = columns_of(arrow.schema)
        roles = columns.roles(source, choice, need_target)
        if need_target and not arrow.num_rows:
            raise NoRowsError(f"{source}: expected rows of data, got none")
        return arrow_table(source, arrow, choice, roles)


def arrow_of(relation: Any) -> Any:
    """Return a DuckDB relation as a pyarrow Table, with nothing but types that Arrow has."""
    columns, plain = [], True
    for name, of in zip(relation.columns, relation.types, strict=True):
        column = _quoted(name)
        if str(of) in AS_PLAIN:
            column, plain = f"{AS_PLAIN[str(of)].format(column)} AS {column}", False
        columns.append(column)
    relation = relation if plain else relation.project(", ".join(columns))
    return relation.to_arrow_table()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

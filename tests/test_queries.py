# SPDX-License-Identifier: BSD-3-Clause
"""Databases that compute for ever before a first row, and what stops them."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.training import DataError

ENDLESS = (
    "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT count(*) AS a FROM n"
)
PRODUCTS = "SELECT sum(r.range * s.range) AS a FROM range(10000000000) r, range(1000000) s"
COMMAND = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sent = getattr(signal, sys.argv.pop(1))
def send():
    end = time.monotonic() + 20
    while all(thread.name != "fastrelu-query" for thread in threading.enumerate()):
        if time.monotonic() > end:
            os._exit(99)  # there is no such thread
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(os.getpid(), sent)
threading.Thread(target=send, daemon=True).start()
from fastrelu.app.cli import main
main()
"""


@pytest.fixture
def endless(tmp_path):
    """A SQLite file whose only view never gives a row."""
    path = str(tmp_path / "t.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE VIEW v AS {ENDLESS}")
        connection.execute("CREATE VIEW w AS SELECT 1 AS a, 2 AS y")
    return path


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("what", ["view", "query", "DuckDB"])
def test_a_signal_stops_a_query_that_never_gives_a_row(endless, what, name, status):
    given = {"view": [endless, "--table", "v"], "query": [endless, "--sql", ENDLESS]}
    if what == "DuckDB":
        pytest.importorskip("duckdb")
        pytest.importorskip("pyarrow")
    words = ["inspect", *given.get(what, ["--sql", PRODUCTS])]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, name, *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("interrupted") and done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_query_is_read_where_the_system_refuses_a_thread(endless, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert read([endless], ColumnChoice(table="w")).n_rows == 1


def test_what_is_wrong_with_a_query_is_told_from_its_thread(endless):
    with pytest.raises(DataError, match="no such function: absent"):
        read([endless], ColumnChoice(sql="SELECT absent(a) FROM w"))


def test_a_query_is_read_by_any_thread(endless):
    found = []
    choice = ColumnChoice(table="w")
    thread = threading.Thread(target=lambda: found.append(read([endless], choice).n_rows))
    thread.start()
    thread.join()
    assert found == [1]

# SPDX-License-Identifier: BSD-3-Clause
"""Queries that Ctrl-C stops, however long a database computes before its first row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from fastrelu.threads import started

Result = TypeVar("Result")
AGAIN = 0.05  # seconds until a query that has not stopped is asked to once more


def interruptible(connection: Any, query: Callable[[], Result]) -> Result:
    """Return what `query` does, and stop it if a signal's handler raises meanwhile.

    Handlers run in the main thread between two instructions of Python, of which there is none as
    long as the database computes: so it computes in another thread, and this one waits.

    Parameters
    ----------
    connection : sqlite3.Connection or duckdb.DuckDBPyConnection
        Has `interrupt()`, and may be used by another thread.
    query : callable
        Uses it, and no other thread does so.
    """
    if threading.current_thread() is not threading.main_thread():
        return query()
    results: list[Result] = []
    errors: list[BaseException] = []
    # Not `join`, which in CPython 3.11 takes a thread for ended once it has been interrupted.
    done = threading.Event()

    def work() -> None:
        try:
            results.append(query())
        except BaseException as error:  # whatever it is, it is raised where the query is asked
            errors.append(error)
        finally:
            done.set()

    if started(work, "fastrelu-query") is None:  # the system refuses a thread
        return query()
    try:
        done.wait()
    except BaseException:
        connection.interrupt()
        while not done.wait(AGAIN):  # a query that is between two steps has not noticed
            connection.interrupt()
        raise
    if errors:
        raise errors.pop()
    return results.pop()

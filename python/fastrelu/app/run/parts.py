# SPDX-License-Identifier: BSD-3-Clause
"""From settings to the split of data, in memory or streamed: one rule, one set of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.ranks import Block, Integers
from fastrelu.app.data.split import (
    ColumnSplit,
    RandomKeys,
    RankedSplit,
    Split,
    TimeKeys,
    shares,
    used_rows,
)
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import Target, TargetAccumulator
from fastrelu.app.settings import Settings

MIN_ROWS = 10
#: Passes over the tables of all rows, each with the number of its first row; targets, weights and
#: the columns that a split asks for are enough.
Tables = Callable[[], Iterator[tuple[int, Table]]]


def learn_task(name: str, tables: Tables, task: str) -> Target:
    """Return the target that all rows lead to: its task and its classes.

    Raises
    ------
    DataError
        If there are too few rows, or the target does not suit the task.
    """
    target, n = TargetAccumulator(task), 0
    for _, table in tables():
        if table.target is None:
            raise DataError(f"{name}: no target column; --target names it")
        used = np.flatnonzero(used_rows(table))
        n += len(used)
        target.first(table, used)
    if n < MIN_ROWS:
        raise DataError(f"{name}: expected at least {MIN_ROWS} rows with a target, got {n}")
    target.finish_first()
    return target.finish()


def split_of(settings: Settings, name: str, n_rows: int, tables: Tables, target: Target) -> Split:
    """Return the split that the settings ask for.

    Parameters
    ----------
    settings : Settings
        `split`, `validation`, `test` and `seed` count.
    name : str
        What the data are, for messages.
    n_rows : int
        Rows of all tables.
    tables : callable
        Gives the tables of all rows, in order.
    target : Target
        From `learn_task`: a random split takes its share of each class, and as long as half of the
        rows or more are trained on, each class is among them.

    Raises
    ------
    DataError
        If a column does not say what the split needs, or too few rows are left to train on.
    """
    kind, _, column = settings.split.partition(":")
    if kind == "column":
        return ColumnSplit(column)
    if kind == "time":
        return _by_time(settings, name, column, tables)
    classes = _classes_of(target) if target.task == "classification" else None
    codes = _codes(n_rows, tables, classes, target)
    counts = np.bincount(codes[codes != np.iinfo(codes.dtype).max], minlength=target.n_outputs)
    keys = RandomKeys(settings.seed)
    ends = shares(name, int(counts.sum()), settings.test, settings.validation)
    return RankedSplit(keys, counts, ends, keys.blocks(codes), classes)


def _classes_of(target: Target) -> Callable[[Table], Integers]:
    def classes_of(table: Table) -> Integers:
        assert table.target is not None
        used = used_rows(table)
        numbers = np.zeros(table.n_rows, np.int64)
        numbers[used] = target.encode(table.target[used])
        return numbers

    return classes_of


def _codes(
    n_rows: int, tables: Tables, classes_of: Callable[[Table], Integers] | None, target: Target
) -> NDArray[Any]:
    """Return each row's class, 0 without classes, the type's largest number for rows left out.

    A byte for each row, or two: all that a random split keeps of the rows.
    """
    dtype: Any = np.uint8 if target.n_outputs < 255 else np.uint16
    codes = np.full(n_rows, np.iinfo(dtype).max, dtype)
    for first, table in tables():
        used = used_rows(table)
        some = codes[first : first + table.n_rows]
        some[used] = 0 if classes_of is None else classes_of(table)[used]
    return codes


def _by_time(settings: Settings, name: str, column: str, tables: Tables) -> Split:
    keys = TimeKeys(column)
    n = gaps = 0
    for _, table in tables():
        used = used_rows(table)
        gaps += keys.look(table, used)
        n += int(used.sum())
    if gaps:
        raise DataError(
            f"{name}: --split time:{column}: {gaps} rows have no time; fill them or leave them out"
        )

    def blocks() -> Iterator[Block]:
        for first, table in tables():
            used = np.flatnonzero(used_rows(table))
            key, tie = keys.of(table, first)
            yield np.zeros(len(used), np.int64), key[used], tie[used]

    return RankedSplit(
        keys, np.array([n]), shares(name, n, settings.test, settings.validation), blocks
    )


def refuse_absent(name: str, target_name: str | None, target: Target) -> None:
    """Raise DataError if there is a class that no training row has."""
    for label, n in zip(target.classes, target.counts, strict=False):
        if not n:
            raise DataError(
                f"{name}: class {label!r} of target {target_name!r} is in no training row; give "
                "the split a larger training part or leave its rows out"
            )

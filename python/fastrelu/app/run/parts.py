# SPDX-License-Identifier: BSD-3-Clause
"""From settings to the split of data, in memory or streamed: one rule, one set of checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.ranks import Block, Blocks, Integers
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


def learn_task(name: str, tables: Tables, settings: Settings) -> tuple[Target, int]:
    """Return the target that all rows lead to, its task and its classes; and how many rows count.

    Raises
    ------
    DataError
        If there are too few rows, or the target does not suit the task.
    """
    target, n = TargetAccumulator(settings.task), 0
    weighted = False
    for _, table in tables():
        if table.target is None:
            raise DataError(f"{name}: no target column; --target names it")
        weighted |= table.weights is None or bool(table.weights.any())
        used = np.flatnonzero(used_rows(table))
        n += len(used)
        target.first(table, used)
    if not weighted:
        raise DataError(f"{name}: weights {settings.weights!r}: every weight is 0")
    if n < MIN_ROWS:
        raise DataError(f"{name}: expected at least {MIN_ROWS} rows with a target, got {n}")
    target.finish_first()
    return target.finish(), n


def split_of(
    settings: Settings,
    name: str,
    n_rows: int,
    tables: Tables,
    task: tuple[Target, int],
    most: float = math.inf,
) -> Split:
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
    task : (Target, int)
        From `learn_task`: a random split takes its share of each class, and as long as half of the
        rows or more are trained on, each class is among them.
    most : float
        Bytes that may be kept of all rows while the split is made; if they are too few, the tables
        are passed over again instead.

    Raises
    ------
    DataError
        If a column does not say what the split needs, or too few rows are left to train on.
    """
    kind, _, column = settings.split.partition(":")
    if kind == "column":
        return ColumnSplit(column)
    target, n = task
    ends = shares(name, n, settings.test, settings.validation)
    if kind == "time":
        times = _times(name, column, tables)
        return RankedSplit(times, np.array([n]), ends, _blocks(tables, times, None))
    classes_of, counts = None, np.array([n])
    if target.task == "classification":
        classes_of, counts = _classes_of(target), np.array(target.counts)
    keys = RandomKeys(settings.seed)
    blocks = _blocks(tables, keys, classes_of)
    dtype: Any = np.uint8 if len(counts) < 255 else np.uint16
    if n_rows * np.dtype(dtype).itemsize <= most:
        blocks = keys.blocks(_codes(n_rows, dtype, tables, classes_of))
    return RankedSplit(keys, counts, ends, blocks, classes_of)


ClassesOf = Callable[[Table], Integers]


def _classes_of(target: Target) -> ClassesOf:
    def classes_of(table: Table) -> Integers:
        assert table.target is not None
        used = used_rows(table)
        numbers = np.zeros(table.n_rows, np.int64)
        numbers[used] = target.encode(table.target[used])
        return numbers

    return classes_of


def _blocks(tables: Tables, keys: RandomKeys | TimeKeys, classes_of: ClassesOf | None) -> Blocks:
    """Return what yields the classes, keys and tie-breakers of all rows, table after table."""

    def every() -> Iterator[Block]:
        for first, table in tables():
            used = np.flatnonzero(used_rows(table))
            key, tie = keys.of(table, first)
            classes = np.zeros(table.n_rows, np.int64) if classes_of is None else classes_of(table)
            yield classes[used], key[used], tie[used]

    return every


def _codes(n_rows: int, dtype: Any, tables: Tables, classes_of: ClassesOf | None) -> NDArray[Any]:
    """Return each row's class, 0 without classes, the type's largest number for rows left out."""
    codes = np.full(n_rows, np.iinfo(dtype).max, dtype)
    for first, table in tables():
        used = used_rows(table)
        some = codes[first : first + table.n_rows]
        some[used] = 0 if classes_of is None else classes_of(table)[used]
    return codes


def _times(name: str, column: str, tables: Tables) -> TimeKeys:
    keys = TimeKeys(column)
    gaps = sum(keys.look(table, used_rows(table)) for _, table in tables())
    if gaps:
        raise DataError(
            f"{name}: --split time:{column}: {gaps} rows have no time; fill them or leave them out"
        )
    return keys


def refuse_absent(name: str, target_name: str | None, target: Target) -> None:
    """Raise DataError if there is a class that no training row has."""
    for label, n in zip(target.classes, target.counts, strict=False):
        if not n:
            raise DataError(
                f"{name}: class {label!r} of target {target_name!r} is in no training row; give "
                "the split a larger training part or leave its rows out"
            )

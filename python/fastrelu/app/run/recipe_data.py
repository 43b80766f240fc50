# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a run by the recipe of tables: what is trained on, what is tested, what is learned.

The recipe chooses by folds of its own, so that there are no validation rows: all that are not
tested are trained on, each by the members that do not leave it out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastrelu import elementary, losses
from fastrelu.app.data.split import NONE, NUMBER, ColumnSplit, rows_of
from fastrelu.app.data.stream.memory import TableSource
from fastrelu.app.data.stream.source import Source, every_target
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import PieceInputs, Target, fit_pieces, fit_target
from fastrelu.app.preprocess.target import require_domain
from fastrelu.app.run.choices import choose_loss
from fastrelu.app.run.parts import learn_task, refuse_absent, split_of
from fastrelu.app.run.prepare import Prepared, class_factors
from fastrelu.app.run.rows import SplitRows
from fastrelu.app.settings import Settings
from fastrelu.app.tabular.recipe import candidates, piece_options
from fastrelu.app.tabular.targets import scaled
from fastrelu.app.tabular.train import Problem
from fastrelu.app.usual import PRESETS

Rows = NDArray[np.intp]


def asks_for_one(data: Table | Source, settings: Settings) -> str | None:
    """Return what the data have that the recipe has no place for, and one network has; or None.

    Parameters
    ----------
    data : Table or Source
        Rows in memory, or a stream.
    settings : Settings
        The user's choices.
    """
    if not isinstance(data, Table):
        return f"the data are larger than --memory {settings.memory}"
    if hasattr(data.matrix, "tocsr"):
        return "the rows are sparse"
    if data.matrix is not None:
        from fastrelu.app.report.images import grid_of

        if data.matrix.dtype == np.uint8 or grid_of(data.matrix, data.matrix_names) is not None:
            return "the rows are images, or bytes"
    kind, _, column = settings.split.partition(":")
    if kind == "column" and (ColumnSplit(column).numbers(data, 0) == NUMBER["validation"]).any():
        return f"--split {settings.split} names validation rows"
    return None


def by_columns(table: Table) -> Table:
    """Return a table by columns, also where it is a matrix; the values are not copied."""
    if table.matrix is None:
        return table
    names = table.matrix_names or [f"X[{j}]" for j in range(table.matrix.shape[1])]
    columns = {str(name): table.matrix[:, j] for j, name in enumerate(names)}
    return replace(table, columns=columns, matrix=None, matrix_names=None)


def prepare_for_recipe(table: Table, settings: Settings) -> Prepared | None:
    """Split a table, and learn the target; None if no column tells its training rows apart.

    Parameters
    ----------
    table : Table
        All rows.
    settings : Settings
        The user's choices.

    Raises
    ------
    DataError
        If the rows are too few, a number is infinite, or the target does not fit the task.
    ConfigError
        If a setting does not fit the task.
    """
    source = TableSource(table)
    targets = partial(every_target, source)
    task = learn_task(source.source, targets, settings)
    split = split_of(replace(settings, validation=0.0), source.source, source.n_rows, targets, task)
    numbers = split.numbers(table, 0)
    train, used = rows_of(numbers, "train"), np.flatnonzero(numbers != NONE)
    if len(train) < 2:
        raise DataError(f"{source.source}: expected at least 2 rows to train on")
    loss = choose_loss(settings, task[0].task)
    require_domain(table, used, loss, "float32")
    target = fit_target(table, train, task[0].task)
    refuse_absent(source.source, source.target_name, target)
    target.encode(table.target[rows_of(numbers, "test")])  # type: ignore[index]
    columns = by_columns(table)
    _refuse_infinite(columns, used)
    if not _tells_apart(columns, train):
        return None
    chosen = replace(
        settings,
        preset=settings.preset or PRESETS[0],
        task=target.task,
        loss=settings.loss if settings.loss != "auto" else losses.names(target.task)[0],
    )
    counts = np.bincount(numbers, minlength=NONE + 1)
    own = SplitRows(
        source, split, counts[None, :NONE], PieceInputs([], [], {}), target, loss, "float32",
        table.weights is not None, class_factors(chosen, source, split, target),
    )  # fmt: skip
    notes, dropped = list(source.notes), int(counts[NONE])
    if dropped:
        notes.append(f"{dropped} of {source.n_rows} rows have no target or weight: left out")
    return Prepared(settings, chosen, own, {}, None, dropped, notes)


def _refuse_infinite(table: Table, used: Rows) -> None:
    for name, column in table.columns.items():
        if column.dtype.kind != "f":
            continue
        infinite = used[np.isinf(column[used])]
        if len(infinite):
            row = int(infinite[0])
            raise DataError(
                f"{table.source}: row {table.first_row + row + 1}: column {name!r}: expected a "
                f"finite number, got {column[row]}; correct it, empty it or --ignore the column"
            )


def _tells_apart(table: Table, rows: Rows) -> bool:
    """Whether some column leads to inputs, by the recipe's own rule; most often the first does."""
    options = piece_options(candidates(PRESETS[0], len(rows), 1)[0], len(rows))
    return any(
        fit_pieces(replace(table, columns={name: column}), rows, options).n_inputs
        for name, column in table.columns.items()
    )


def problem_of(prepared: Prepared) -> tuple[Table, Problem, Target]:
    """Return the training rows by columns, what is learned of them, and the outputs' meaning."""
    own, rows = prepared.split_rows, prepared.rows["train"]
    table, target = by_columns(prepared.table).take(rows), prepared.target
    assert table.target is not None
    y = target.encode(table.target, "float64")
    weight = own.loss_weights(y, table.weights)
    if target.task == "classification":
        counts = np.bincount(y, weights=weight)
        start = elementary.log(counts / counts.sum())
        return table, Problem(prepared.loss, y, weight, start), target
    values = np.asarray(table.target, np.float64)[:, None]
    problem, unit = scaled(values, prepared.loss, weight, None)
    mean = 0.0 if unit.log else float(unit.location[0])
    return table, problem, replace(target, mean=mean, std=float(unit.scale[0]))

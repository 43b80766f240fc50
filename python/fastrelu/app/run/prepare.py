# SPDX-License-Identifier: BSD-3-Clause
"""From a table to rows that a network can be trained on: task, split, preprocessing, weights."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastrelu import losses
from fastrelu.app.data.meaning import Reading, ReadOptions
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.sample import evenly
from fastrelu.app.data.split import PARTS, rows_of, used_rows
from fastrelu.app.data.table import Table
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.preprocess import (
    Examples,
    InputOptions,
    Inputs,
    Target,
    fit_inputs,
    fit_target,
)
from fastrelu.app.preprocess.inputs import Seen, warnings_of
from fastrelu.app.run.feeder import Feeder, MemoryFeeder
from fastrelu.app.run.parts import learn_task, refuse_absent, require_domain, split_of
from fastrelu.app.settings import Settings
from fastrelu.epoch import Sampling
from fastrelu.losses import Loss

LOSSES_OF = {
    "classification": ("cross_entropy",),
    "regression": ("squared_error", "huber", "absolute_error", "quantile", "poisson"),
}


@dataclass
class Prepared:
    """Data ready for training, in memory; only read, so that many trainings may share it.

    Attributes
    ----------
    given : Settings
        The user's choices.
    settings : Settings
        With every choice made; see `resolve`.
    target_name : str
    target : Target
    inputs : Inputs
    loss : Loss
    parts : dict of Examples
        "train", "validation", "test".
    rows : dict of ndarray
        The table's rows in each part.
    table : Table
        The rows as read.
    dropped : int
        Rows without a target.
    notes : list of str
        What the user should know.
    fingerprint : dict
        Of the data as read.
    """

    given: Settings
    settings: Settings
    target_name: str
    target: Target
    inputs: Inputs
    loss: Loss
    parts: dict[str, Examples]
    rows: dict[str, NDArray[np.intp]]
    table: Table
    dropped: int
    notes: list[str] = field(default_factory=list)
    fingerprint: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Where the rows come from."""
        return self.table.source

    @property
    def n_rows(self) -> int:
        """Rows read, those left out included."""
        return self.table.n_rows

    @property
    def reading(self) -> Reading | None:
        """How texts were taken."""
        return self.table.reading

    def with_settings(self, settings: Settings) -> Prepared:
        """Return the same rows for a training with other settings, every choice made.

        Split and preprocessing stay; the rows' weights in the loss follow the settings.
        """
        if settings.class_weight == self.settings.class_weight:
            return replace(self, settings=settings)
        return replace(self, settings=settings, parts=_weighted(self.parts, settings, self.target))

    def feeder(self) -> Feeder:
        """Return a way through the data for one training."""
        assert self.settings.batch_size is not None
        return MemoryFeeder(
            self.parts,
            self.target,
            self.loss,
            self.settings.batch_size,
            cast(Sampling, self.settings.sampling),
        )

    def counts(self) -> dict[str, int]:
        """Return the rows of each part, and those left out."""
        return {part: len(self.parts[part]) for part in PARTS} | {"dropped": self.dropped}

    def sample(self, part: str, most: int) -> Table:
        """Return raw rows of a part, `most` at most, evenly spread over it."""
        return self.table.take(evenly(self.rows[part], most))

    def training_rows(self) -> tuple[Table, NDArray[np.intp] | None]:
        """Return a table and its training rows: all that there are."""
        return self.table, self.rows["train"]


def column_choice(settings: Settings) -> ColumnChoice:
    """Return what the settings say about the columns."""
    kind, _, name = settings.split.partition(":")
    return ColumnChoice(
        target=settings.target,
        features=settings.features,
        ignore=settings.ignore,
        weights=settings.weights,
        categorical=settings.categorical,
        extra=() if kind == "random" else (name,),
        options=read_options(settings),
    )


def read_options(settings: Any) -> ReadOptions:
    """Return what settings, or the flags of a command, say about the reading of texts."""
    return ReadOptions(**{each.name: getattr(settings, each.name) for each in fields(ReadOptions)})


def input_options(settings: Settings) -> InputOptions:
    """Return what the settings say about the preprocessing."""
    kind, _, width = settings.categories.partition(":")
    return InputOptions(
        standardize=settings.scaling, categories=kind, hash_width=int(width) if width else 64
    )


def prepare(
    table: Table, settings: Settings, rows: dict[str, NDArray[np.intp]] | None = None
) -> Prepared:
    """Split a table and preprocess its parts.

    Parameters
    ----------
    table : Table
        The data; rows without a target are left out.
    settings : Settings
        The user's choices.
    rows : dict of ndarray, optional
        The rows of each part, instead of the settings' split.

    Returns
    -------
    Prepared

    Raises
    ------
    DataError
        If the rows are too few or the target does not fit the task.
    ConfigError
        If a setting does not fit the task.
    """

    def tables() -> Iterator[tuple[int, Table]]:
        yield 0, table

    target = learn_task(table.source, tables, settings.task)
    used = np.flatnonzero(used_rows(table))
    notes = list(table.notes)
    dropped = table.n_rows - len(used)
    if dropped:
        notes.append(f"{dropped} of {table.n_rows} rows have no target or weight: left out")
    given = rows is not None
    if rows is None:
        split = split_of(settings, table.source, table.n_rows, tables, target)
        numbers = split.numbers(table, 0)
        rows = {part: rows_of(numbers, part) for part in PARTS}
    if len(rows["train"]) < 2:
        raise DataError(f"{table.source}: expected at least 2 rows to train on")
    target = fit_target(table, rows["train"], target.task)
    if not given:
        refuse_absent(table.source, table.target_name, target)
    loss = choose_loss(settings, target)
    require_domain(loss, tables)
    if loss.name == "poisson":
        target = replace(target, mean=0.0, std=1.0)  # counts, not standardised
    inputs = fit_inputs(table, rows["train"], input_options(settings))
    notes += inputs.notes
    chosen = resolve(settings, target, len(rows["train"]))
    parts = _weighted(_parts(table, chosen, inputs, target, rows, notes), chosen, target)
    return Prepared(
        settings,
        chosen,
        table.target_name or "target",
        target,
        inputs,
        loss,
        parts,
        rows,
        table,
        dropped,
        notes,
        fingerprint(table),
    )


def choose_loss(settings: Settings, target: Target) -> Loss:
    """Return the loss that the settings name, or the task's own.

    Raises
    ------
    ConfigError
        If it does not fit the task.
    """
    name, _, parameter = settings.loss.partition(":")
    if name == "auto":
        name = LOSSES_OF[target.task][0]
    if name not in LOSSES_OF[target.task]:
        raise ConfigError(
            f"--loss {name} does not go with {target.task}; it is one of "
            f"{', '.join(LOSSES_OF[target.task])}"
        )
    if settings.class_weight != "none" and target.task == "regression":
        raise ConfigError("--class-weight goes with classification, and this is regression")
    try:
        if parameter and name == "huber":
            return losses.Huber(float(parameter))
        if parameter and name == "quantile":
            return losses.Quantile(float(parameter))
    except ValueError as error:
        raise ConfigError(f"--loss {settings.loss}: {error}") from None
    return losses.as_loss(name)


def resolve(settings: Settings, target: Target, n_train: int) -> Settings:
    """Return the settings with every choice that was left to the data made.

    A function of the user's settings and these two alone: where other settings are tried, as in a
    search, it is called again for each, so that each optimizer has its own defaults.

    Small minibatches for few rows; about a million rows seen, in 10 passes or more and 100 at most
    (60 in regression, which overfits sooner).
    """
    tiny = n_train < 1000 and target.task == "classification"
    batch = settings.batch_size or (16 if tiny else 32 if n_train < 5000 else 128)
    most = 100 if target.task == "classification" else 60
    epochs = settings.epochs or min(most, max(10, round(1_000_000 / n_train)))
    sgd = settings.optimizer == "sgd"
    momentum, decay = settings.momentum, settings.weight_decay
    return replace(
        settings,
        task=target.task,
        loss=settings.loss if settings.loss != "auto" else LOSSES_OF[target.task][0],
        batch_size=min(batch, n_train),
        epochs=epochs,
        schedule_epochs=settings.schedule_epochs or epochs,
        lr=settings.lr if settings.lr is not None else (1e-2 if sgd else 1e-3),
        momentum=momentum if momentum is not None else (0.9 if sgd else None),
        weight_decay=decay
        if decay is not None
        else (0.01 if settings.optimizer == "adamw" else 0.0),
    )


def _parts(
    table: Table,
    settings: Settings,
    inputs: Inputs,
    target: Target,
    rows: dict[str, NDArray[np.intp]],
    notes: list[str],
) -> dict[str, Examples]:
    assert table.target is not None
    parts = {}
    for part in PARTS:
        which = rows[part]
        seen: Seen = Counter()
        X = inputs.transform(table, which, settings.dtype, seen)
        values = table.target[which]
        y = target.encode(values, settings.dtype)
        classification = target.task == "classification"
        truth = np.asarray(y).reshape(-1) if classification else np.asarray(values, np.float64)
        weights = None if table.weights is None else table.weights[which]
        parts[part] = Examples(X, y, truth, weights, weights)
        notes += [f"{part}: {text}" for text in warnings_of(seen)]
    return parts


def _weighted(
    parts: dict[str, Examples], settings: Settings, target: Target
) -> dict[str, Examples]:
    """Return the parts with their rows' weights in the loss: of the rows, and of their classes."""
    if settings.class_weight == "none":
        return {name: replace(part, loss_weights=part.weights) for name, part in parts.items()}
    train = parts["train"]
    counts = np.bincount(train.truth, train.weights, minlength=len(target.classes))
    by_class = counts.sum() / (len(counts) * np.maximum(counts, 1e-300))
    weighted = {}
    for name, part in parts.items():
        by_row = by_class[part.truth]
        product = by_row if part.weights is None else by_row * part.weights
        weighted[name] = replace(part, loss_weights=product)
    return weighted


def fingerprint(table: Table) -> dict[str, Any]:
    """Return what tells these data from others: rows, columns, and a hash of all values."""
    total = hashlib.blake2b(digest_size=16)
    named: dict[str, Any] = {f"column {name}": values for name, values in table.columns.items()}
    named |= {f"extra {name}": values for name, values in table.extra.items()}
    named |= {"target": table.target, "weights": table.weights}
    matrix = table.matrix
    if hasattr(matrix, "indptr"):
        named |= {"indptr": matrix.indptr, "indices": matrix.indices, "values": matrix.data}
    else:
        named["matrix"] = matrix
    for name in sorted(named):
        values = named[name]
        if values is None:
            continue
        total.update(f"{name} {values.dtype} {values.shape}\n".encode())
        if values.dtype == object:
            total.update("\0".join(map(str, values)).encode("utf-8", "surrogatepass"))
        else:
            for first in range(0, len(values), 65_536):
                block = np.ascontiguousarray(values[first : first + 65_536])
                total.update(block.view(np.uint8).data if block.size else b"")
    columns = list(table.columns) or [f"{matrix.shape[1]} inputs" if matrix is not None else ""]
    return {
        "rows": table.n_rows,
        "columns": [*columns, f"target {table.target_name}"],
        "content": total.hexdigest(),
    }

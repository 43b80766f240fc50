# SPDX-License-Identifier: BSD-3-Clause
"""From a table to a trained network and what it is worth on rows it has not seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import SGD, Adam, History, Network, Trainer, schedules
from fastrelu.training import DataError, DivergedError
from fastrelu.training.preprocess import (
    InputOptions,
    Inputs,
    Target,
    fit_inputs,
    fit_target,
    warnings_of,
)
from fastrelu.training.table import Table

MIN_ROWS = 10
PREDICT_ROWS = 8192


@dataclass(frozen=True)
class Settings:
    """What the user may choose; None leaves the choice to the data.

    Attributes
    ----------
    task : {"auto", "classification", "regression"}
    hidden : tuple of int
    epochs, batch_size : int or None
    optimizer : {"adam", "sgd"}
    lr : float or None
        The first learning rate; it falls to 0 along half a cosine.
    seed : int
        Of the split, the initial weights and the row orders.
    dtype : {"float32", "float64"}
    test : float
        The test part's share of the rows.
    standardize : bool or None
        None: unless the inputs are bytes.
    """

    task: str = "auto"
    hidden: tuple[int, ...] = (128, 64)
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str = "adam"
    lr: float | None = None
    seed: int = 0
    dtype: str = "float32"
    test: float = 0.2
    standardize: bool | None = None


@dataclass
class Prepared:
    """All that training needs."""

    settings: Settings
    target_name: str
    target: Target
    truth: NDArray[Any]
    inputs: Inputs
    X: dict[str, NDArray[Any]]
    rows: dict[str, NDArray[np.intp]]
    dropped: int
    notes: list[str]

    @property
    def n_train(self) -> int:
        """Training rows."""
        return len(self.rows["train"])

    @property
    def batch_size(self) -> int:
        """Rows of a minibatch: as set, else by the number of rows."""
        n = self.n_train
        tiny = n < 1000 and self.target.task == "classification"
        return min(self.settings.batch_size or (16 if tiny else 32 if n < 5000 else 128), n)

    @property
    def epochs(self) -> int:
        """Passes over the training rows: as set, else about a million rows in 10 passes or more.

        At most 100 passes, and 60 in regression, which overfits sooner.
        """
        most = 100 if self.target.task == "classification" else 60
        return self.settings.epochs or min(most, max(10, round(1_000_000 / self.n_train)))

    @property
    def lr(self) -> float:
        """The first learning rate."""
        default = 1e-3 if self.settings.optimizer == "adam" else 1e-2
        return self.settings.lr if self.settings.lr is not None else default


def prepare(table: Table, settings: Settings) -> Prepared:
    """Split a table at random and preprocess both parts.

    Parameters
    ----------
    table : Table
        The data; rows without a target are left out.
    settings : Settings
        The user's choices.

    Returns
    -------
    Prepared

    Raises
    ------
    DataError
        If the rows are too few or the target does not fit the task.
    """
    assert table.target is not None and table.target_name is not None
    used = np.flatnonzero(~table.missing_target())
    dropped = len(table) - len(used)
    if len(used) < MIN_ROWS:
        raise DataError(
            f"{table.source}: expected at least {MIN_ROWS} rows with a target, got {len(used)}"
        )
    notes = list(table.notes)
    if dropped:
        notes.append(f"{dropped} of {len(table)} rows have no target: left out")
    order = np.random.default_rng(settings.seed).permutation(used)
    n_test = min(len(used) - 2, max(2, round(settings.test * len(used))))
    rows = {"train": order[n_test:], "test": order[:n_test]}
    target = fit_target(table, rows["train"], settings.task)
    scaling = {None: "auto", True: "standard", False: "none"}[settings.standardize]
    inputs = fit_inputs(table, rows["train"], InputOptions(standardize=scaling))
    notes += inputs.notes
    X = {}
    for part, which in rows.items():
        seen: Counter[tuple[str, str]] = Counter()
        X[part] = inputs.transform(table, which, settings.dtype, seen)
        notes += [f"{part}: {warning}" for warning in warnings_of(seen)]
    name = table.target_name
    return Prepared(settings, name, target, table.target, inputs, X, rows, dropped, notes)


def build(prepared: Prepared) -> Trainer:
    """Return a trainer with a fresh network for this data."""
    settings, target = prepared.settings, prepared.target
    net = Network(
        [prepared.X["train"].shape[1], *settings.hidden, target.n_outputs],
        dtype=settings.dtype,
        init="glorot_uniform",
        scale=prepared.inputs.scale,
        seed=settings.seed,
    )
    steps = prepared.epochs * math.ceil(prepared.n_train / prepared.batch_size)
    rate = schedules.cosine(prepared.lr, steps)
    return Trainer(
        net,
        loss="cross_entropy" if target.task == "classification" else "squared_error",
        optimizer=Adam(rate)
        if settings.optimizer == "adam"
        else SGD(rate, momentum=0.9, nesterov=True),
        batch_size=prepared.batch_size,
        seed=settings.seed,
    )


def train(
    trainer: Trainer, prepared: Prepared, report: Callable[[dict[str, Any]], None]
) -> History:
    """Fit the trainer's network.

    Parameters
    ----------
    trainer : Trainer
        From `build`.
    prepared : Prepared
        The data.
    report : callable
        Called with each epoch's record.

    Returns
    -------
    History

    Raises
    ------
    DivergedError
        As soon as an epoch's loss is not finite.
    """

    def watch(_: Trainer, record: dict[str, Any]) -> None:
        if not math.isfinite(record["loss"]):
            raise DivergedError(
                f"diverged: the loss of epoch {record['epoch']} is {record['loss']}; "
                f"a smaller --lr may help (it was {prepared.lr:g})"
            )
        report(record)

    y = prepared.target.encode(prepared.truth[prepared.rows["train"]], prepared.settings.dtype)
    return trainer.fit(
        prepared.X["train"], y, epochs=prepared.epochs, callbacks=[watch], progress=False
    )


def evaluate(net: Network, prepared: Prepared) -> dict[str, dict[str, float]]:
    """Return {"test": ..., "train": ...} with accuracy, or r2 and rmse in the target's unit."""
    result = {}
    for part in ("test", "train"):
        X, rows = prepared.X[part], prepared.rows[part]
        out = np.concatenate(
            [net.forward(X[i : i + PREDICT_ROWS]) for i in range(0, len(X), PREDICT_ROWS)]
        )
        if not np.isfinite(out).all():
            raise DivergedError("diverged: the trained network's outputs are not finite")
        result[part] = score(prepared.target, out, prepared.truth[rows])
    return result


def score(target: Target, out: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Return the metrics of a network's outputs for rows of these true targets."""
    if target.task == "classification":
        return {"accuracy": float((out.argmax(axis=1) == target.encode(truth)).mean())}
    error = target.scaled(truth) - out[:, 0].astype(np.float64)
    spread = (truth - truth.mean()) / target.std
    total, left = float(spread @ spread), float(error @ error)
    r2 = 1.0 - left / total if total > 0 else float(left == 0)
    return {"r2": r2, "rmse": math.sqrt(left / len(truth)) * target.std}

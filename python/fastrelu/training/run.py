# SPDX-License-Identifier: BSD-3-Clause
"""One training run: split, preprocess, train, test, save."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.network import Network
from fastrelu.optimizers import SGD, Adam
from fastrelu.schedules import cosine
from fastrelu.trainer import Trainer
from fastrelu.training import DataError
from fastrelu.training.data import Table
from fastrelu.training.preprocess import Inputs, Target

Array = NDArray[Any]


@dataclass
class Settings:
    """What the command's flags say."""

    task: str = "auto"
    hidden: list[int] = field(default_factory=lambda: [128, 64])
    optimizer: str = "adam"
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    dtype: str = "float32"
    test: float = 0.2


class DivergedError(Exception):
    """The loss is not a number any more."""


class Run:
    """A prepared run; `train` makes it, `save` keeps it.

    Attributes
    ----------
    notes : list of str
        What was done to the data.
    metrics : dict
        Accuracy, or R2 and RMSE in the target's units, for "train" and "test".
    """

    def __init__(self, table: Table, settings: Settings) -> None:
        self.settings = settings
        order = np.random.Generator(np.random.PCG64(settings.seed)).permutation(table.rows)
        n_test = round(table.rows * settings.test)
        if n_test < 1 or table.rows - n_test < 2:
            raise DataError(f"expected at least a few rows to train and test on, got {table.rows}")
        self.rows = {"train": np.sort(order[n_test:]), "test": np.sort(order[:n_test])}
        self.target = Target(table.target, self.rows["train"], settings.task, table.target_name)
        inputs = Inputs(table.columns, self.rows["train"])
        self.X = {part: inputs.apply(table.columns, rows) for part, rows in self.rows.items()}
        self.y = {part: self.target.apply(table.target, rows) for part, rows in self.rows.items()}
        self.truth = {part: table.target[rows] for part, rows in self.rows.items()}
        self.notes = [*table.notes, *inputs.notes]
        n_train = len(self.rows["train"])
        self.epochs = settings.epochs or 60
        self.batch_size = min(settings.batch_size or (32 if n_train < 2000 else 128), n_train)
        self.network = Network(
            [self.X["train"].shape[1], *settings.hidden, self.target.outputs],
            dtype=settings.dtype,
            seed=settings.seed,
            init="glorot_uniform",
            scale=1 / 255 if inputs.plain_bytes else 1.0,
        )
        self.metrics: dict[str, dict[str, float]] = {}

    def train(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Train, calling `report` with each epoch's record, then compute the metrics."""
        classify = self.target.task == "classification"
        sgd = self.settings.optimizer == "sgd"
        rate = self.settings.lr or (0.1 if sgd else 1e-3)
        # The rate falls to 0 along half a cosine: the last epochs average the noise away.
        steps = self.epochs * -(-len(self.rows["train"]) // self.batch_size)
        schedule = cosine(rate, steps)
        trainer = Trainer(
            self.network,
            loss="cross_entropy" if classify else "squared_error",
            optimizer=SGD(schedule, momentum=0.9) if sgd else Adam(schedule),
            batch_size=self.batch_size,
            seed=self.settings.seed,
        )

        def after_epoch(_: Trainer, record: dict[str, Any]) -> None:
            report(record)
            if not math.isfinite(record["loss"]):
                raise DivergedError(f"epoch {record['epoch']}: the loss is {record['loss']}")

        trainer.fit(self.X["train"], self.y["train"], self.epochs, callbacks=[after_epoch])
        self.metrics = {part: self._metrics(part) for part in ("train", "test")}

    def _metrics(self, part: str) -> dict[str, float]:
        outputs = self.network.forward(self.X[part])
        if not np.isfinite(outputs).all():
            raise DivergedError("the network's outputs are not finite")
        if self.target.task == "classification":
            return {"accuracy": float((outputs.argmax(axis=1) == self.y[part]).mean())}
        truth = np.asarray(self.truth[part], np.float64).reshape(outputs.shape)
        error = ((self.target.undo(outputs) - truth) ** 2).mean(axis=0)
        spread = truth.var(axis=0)
        score = 1.0 - error / np.where(spread > 0, spread, 1.0)
        return {"r2": float(score.mean()), "rmse": float(np.sqrt(error.mean()))}

    def save(self, folder: Path) -> None:
        """Write model.safetensors and metrics.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.network.save(folder / "model.safetensors")
        text = json.dumps(self.metrics, indent=2) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")

# SPDX-License-Identifier: BSD-3-Clause
"""What feeds a trainer its rows: one interface for data in memory and for streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrelu import DataSet, EpochRecord, Network, Trainer
from fastrelu.app.preprocess import Target
from fastrelu.app.run.metrics import Judge, Scores
from fastrelu.epoch import Sampling
from fastrelu.losses import Loss

BLOCK_ROWS = 16_384  # of a part that is judged at once


class Feeder(Protocol):
    """One training's way through its data; the data themselves may be shared by many."""

    n_train: int

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        ...

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> EpochRecord | None:
        """Go on with the open epoch or a new one; None if `stop` ended it between two steps."""
        ...

    def evaluate(self, network: Network, part: str) -> Scores:
        """Return the scores of "train", "validation" or "test"."""
        ...

    def state(self) -> dict[str, Any]:
        """Return where it stands, for a checkpoint (JSON)."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        ...

    def close(self) -> None:
        """Give back files and memory that training needs; judging is still possible."""
        ...


@dataclass(frozen=True)
class Part:
    """The rows of one part, ready for the network.

    Attributes
    ----------
    X : ndarray or CSR matrix, (n, n_inputs)
    y : ndarray, (n,) or (n, 1)
        Class numbers, or targets as the network learns them.
    truth : ndarray, (n,)
        Class numbers, or the target in its own unit.
    loss_weights, weights : ndarray, (n,), or None
        Weights of the rows in the loss (class weights and all), and in the metrics.
    """

    X: Any
    y: NDArray[Any]
    truth: NDArray[Any]
    loss_weights: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.y)


class MemoryFeeder:
    """Feeds rows that are in memory.

    Parameters
    ----------
    parts : dict of Part
        "train", and perhaps "validation" and "test"; only read, so that trainings in several
        threads may share them.
    target : Target
        What the network learns.
    loss : Loss
        With which.
    batch_size : int
        Rows of a step.
    sampling : {"shuffle", "subset", "with_replacement"}
        Where a step's rows come from, as for ``Trainer.fit``.
    """

    def __init__(
        self,
        parts: dict[str, Part],
        target: Target,
        loss: Loss,
        batch_size: int,
        sampling: Sampling = "shuffle",
    ) -> None:
        self.parts, self.target, self.loss = parts, target, loss
        self.n_train = len(parts["train"])
        self.batch_size, self.sampling = batch_size, sampling
        self._data: DataSet | None = None

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        return -(-self.n_train // min(self.batch_size, self.n_train))

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> EpochRecord | None:
        """Go on with the open epoch or a new one."""
        if self._data is None:
            part = self.parts["train"]
            self._data = trainer.prepare(part.X, part.y, part.loss_weights, check_finite=True)
        return trainer.run_epoch(self._data, stop=stop, sampling=self.sampling)

    def evaluate(self, network: Network, part: str) -> Scores:
        """Return the scores of a part."""
        rows = self.parts[part]
        judge = Judge(network, self.target, self.loss)
        for first in range(0, len(rows), BLOCK_ROWS):
            cut = slice(first, first + BLOCK_ROWS)
            judge.add(
                rows.X[cut],
                rows.y[cut],
                rows.truth[cut],
                None if rows.loss_weights is None else rows.loss_weights[cut],
                None if rows.weights is None else rows.weights[cut],
            )
        return judge.scores

    def state(self) -> dict[str, Any]:
        """Return {}: all that matters is the trainer's."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

# SPDX-License-Identifier: BSD-3-Clause
"""What feeds a trainer its rows: one interface for data in memory and for streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from fastrelu import DataSet, EpochRecord, Network, Trainer
from fastrelu.app.metrics import Scores, evaluate
from fastrelu.app.preprocess import Examples, Target
from fastrelu.app.run.rows import LaterExamples
from fastrelu.distributed import shares
from fastrelu.epoch import Sampling
from fastrelu.losses import Loss


class Feeder(Protocol):
    """One training's way through its data; the data themselves may be shared by many."""

    n_train: int
    #: Whether all processes that share a training call `evaluate`, or one of them does.
    collective: ClassVar[bool]

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        ...

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> EpochRecord | None:
        """Go on with the open epoch or a new one; None if `stop` ended it between two steps."""
        ...

    def evaluate(self, network: Network, part: str, target: Target | None = None) -> Scores:
        """Return the scores of "train", "validation" or "test", for this target or the own."""
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


class MemoryFeeder:
    """Feeds rows that are in memory.

    Parameters
    ----------
    parts : dict of Examples or LaterExamples
        "train", which are Examples, and perhaps "validation" and "test"; only read, so that
        trainings in several threads may share them.
    target : Target
        What the network learns.
    loss : Loss
        With which.
    batch_size : int
        Rows of a step.
    sampling : {"shuffle", "subset", "with_replacement"}
        Where a step's rows come from, as for ``Trainer.fit``.
    n_shards : int
        Into how many shards the rows are cut.
    """

    collective: ClassVar[bool] = False

    def __init__(
        self,
        parts: dict[str, Examples | LaterExamples],
        target: Target,
        loss: Loss,
        batch_size: int,
        sampling: Sampling = "shuffle",
        n_shards: int = 1,
    ) -> None:
        self.parts, self.target, self.loss = parts, target, loss
        self.n_train = len(parts["train"])
        self.batch_size, self.sampling, self.n_shards = batch_size, sampling, n_shards
        self._data: DataSet | None = None

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        if self.sampling != "shuffle":
            return -(-self.n_train // self.batch_size)
        return shares.steps_in_epoch(self.n_train, self.batch_size, self.n_shards)

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> EpochRecord | None:
        """Go on with the open epoch or a new one."""
        if self._data is None:
            part = self.parts["train"]
            assert isinstance(part, Examples)
            own = trainer.own_rows(self.n_train)
            mine = slice(own.start, own.stop)
            weights = None if part.loss_weights is None else part.loss_weights[mine]
            self._data = trainer.prepare(part.X[mine], part.y[mine], weights, check_finite=True)
        return trainer.run_epoch(self._data, stop=stop, sampling=self.sampling)

    def evaluate(self, network: Network, part: str, target: Target | None = None) -> Scores:
        """Return the scores of a part; see `Feeder.evaluate`."""
        return evaluate(network, self.parts[part].batches(), target or self.target, self.loss)

    def state(self) -> dict[str, Any]:
        """Return {}: all that matters is the trainer's."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Forget what training alone has used."""
        self._data = None

# SPDX-License-Identifier: BSD-3-Clause
"""Rows that processes share, made ready for one training: each has a run, none has all."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastrelu import DataSet, EpochRecord, Network, Trainer
from fastrelu.app.data.split import NONE, NUMBER, PARTS, Split, rows_of
from fastrelu.app.data.stream import stream_of
from fastrelu.app.data.stream.runs import SharedRuns, passed_along
from fastrelu.app.errors import DataError, TrainingError
from fastrelu.app.kinds import size
from fastrelu.app.metrics import Scores, evaluate
from fastrelu.app.preprocess import (
    Accumulator,
    Examples,
    Target,
    TargetAccumulator,
    joined,
)
from fastrelu.app.preprocess.inputs import Seen, warnings_of
from fastrelu.app.preprocess.target import require_domain
from fastrelu.app.run.choices import choose_loss
from fastrelu.app.run.feeder import Feeder
from fastrelu.app.run.parts import learn_task, split_of
from fastrelu.app.run.prepare import (
    Learned,
    Prepared,
    column_choice,
    input_options,
    made_ready,
)
from fastrelu.app.run.rows import LaterExamples, SplitRows
from fastrelu.app.settings import Settings
from fastrelu.distributed import Communicator, shares
from fastrelu.distributed.communicator import together
from fastrelu.losses import Loss

__all__ = ["SharedPrepared", "prepare_shared"]


def prepare_shared(comm: Communicator, settings: Settings) -> Prepared | None:
    """Read this process's run of the rows, and learn from all runs what is done to them.

    Parameters
    ----------
    comm : Communicator
        The processes.
    settings : Settings
        The user's choices.

    Returns
    -------
    Prepared or None
        None: the files are of a format that is read as a whole, by every process.

    Raises
    ------
    DataError
        If something cannot be read, or does not fit.
    """
    stream = stream_of(settings.data, column_choice(settings), size(settings.memory), comm)
    if stream is None:
        return None
    runs = SharedRuns(comm, stream)
    task = learn_task(runs.source, runs.every_target, settings)
    split = split_of(settings, runs.source, runs.n_rows, runs.every_target, task, math.inf)
    loss = choose_loss(settings, task[0].task)
    learned = _learn(runs, settings, split, task[0].task, loss)
    own, chosen, dropped, notes = made_ready(runs, settings, split, loss, learned)
    parts, seen = _examples(own, runs)
    notes += [f"{part}: {text}" for part, of in seen.items() for text in warnings_of(of)]
    return SharedPrepared(settings, chosen, own, None, None, dropped, notes, parts)


def _learn(runs: SharedRuns, settings: Settings, split: Split, task: str, loss: Loss) -> Learned:
    """Pass the sums of two passes along the processes, each of which adds its own rows."""
    table = runs.table
    numbers = split.numbers(table, runs.first_row)
    train = rows_of(numbers, "train")
    with together(runs.comm, (TrainingError,)):
        require_domain(table, np.flatnonzero(numbers != NONE), loss, settings.dtype)
    counts = np.zeros((len(runs.chunks), NONE + 1), np.int64)
    for c, chunk in enumerate(runs.chunks):
        if chunk.place == runs.comm.rank:
            at = chunk.first_row - runs.first_row
            counts[c] = np.bincount(numbers[at : at + chunk.n_rows], minlength=NONE + 1)
    counts = np.sum(runs.comm.gather(counts), axis=0)
    if counts[:, NUMBER["train"]].sum() < 2:
        raise DataError(f"{runs.source}: expected at least 2 rows to train on")
    last = runs.comm.rank == runs.comm.size - 1

    def first(state: tuple[Accumulator, TargetAccumulator]) -> None:
        for each in state:
            each.first(table, train)
            if last:
                each.finish_first()

    def second(state: tuple[Accumulator, TargetAccumulator]) -> None:
        for each in state:
            each.second(table, train)

    begun = Accumulator(input_options(settings)), TargetAccumulator(task)
    inputs, target = passed_along(runs.comm, passed_along(runs.comm, begun, first), second)
    return Learned(inputs.finish(), target.finish(), counts, table.weights is not None, False)


def _examples(
    own: SplitRows, runs: SharedRuns
) -> tuple[dict[str, Examples | LaterExamples], dict[str, Seen]]:
    """Return this process's rows of each part, and what in all of them training has not seen."""
    numbers = own.split.numbers(runs.table, runs.first_row)
    parts: dict[str, Examples | LaterExamples] = {}
    seen: dict[str, Seen] = {part: Counter() for part in PARTS}
    with together(runs.comm, (TrainingError,)):
        for part in PARTS:
            rows = rows_of(numbers, part)
            if part == "test":
                parts[part] = later = LaterExamples(own, runs.table, rows)
                later.check(seen[part])
            else:
                parts[part] = own.ready(runs.table, rows, seen[part])
    every = runs.comm.gather(seen)
    return parts, {part: sum((each[part] for each in every), Counter()) for part in PARTS}


@dataclass
class SharedPrepared(Prepared):
    """Rows ready for a training that processes share.

    Attributes
    ----------
    own : dict of Examples and LaterExamples
        This process's rows of each part.
    """

    own: dict[str, Examples | LaterExamples] | None = None

    @property
    def runs(self) -> SharedRuns:
        """Where the rows are."""
        assert isinstance(self.split_rows.source, SharedRuns)
        return self.split_rows.source

    def feeder(self) -> Feeder:
        """Return a way through the data for one training."""
        assert self.own is not None
        return SharedFeeder(self.split_rows, self.runs, self.own, self.settings)


class SharedFeeder:
    """Feeds a trainer with this process's rows, and judges a network by those of all.

    Parameters
    ----------
    rows : SplitRows
        What is done to the rows.
    runs : SharedRuns
        Where they are.
    own : dict of Examples and LaterExamples
        This process's.
    settings : Settings
        With every choice made.
    """

    collective: ClassVar[bool] = True  # `evaluate` is called by all processes

    def __init__(
        self,
        rows: SplitRows,
        runs: SharedRuns,
        own: dict[str, Examples | LaterExamples],
        settings: Settings,
    ) -> None:
        self.rows, self.runs, self.own, self.settings = rows, runs, own, settings
        self.n_train = rows.n_rows["train"]
        self._data: DataSet | None = None
        runs.answer("outputs", self._outputs)

    def steps_in_epoch(self) -> int:
        """Return the steps of one epoch."""
        batch_size = self.settings.batch_size
        assert batch_size is not None
        if self.settings.sampling != "shuffle":
            return -(-self.n_train // batch_size)
        return shares.steps_in_epoch(self.n_train, batch_size, self.settings.shards or 1)

    def run_epoch(self, trainer: Trainer, stop: Callable[[], bool]) -> EpochRecord | None:
        """Go on with the open epoch or a new one; rows go to the shards' processes before."""
        if self._data is None:
            part = self.own["train"]
            assert isinstance(part, Examples)
            self._data = trainer.prepare(part.X, part.y, part.loss_weights, check_finite=True)
        sampling: Any = self.settings.sampling
        return trainer.run_epoch(self._data, stop=stop, sampling=sampling)

    def evaluate(self, network: Network, part: str, target: Target | None = None) -> Scores:
        """Return the scores of a part on rank 0; the others compute their rows' outputs for it.

        On these, it returns scores of no rows.
        """
        target = target or self.rows.target
        if self.rows.n_rows[part] and self.runs.comm.rank != 0:
            self.runs.serve_one()
        if not self.rows.n_rows[part] or self.runs.comm.rank != 0:
            return evaluate(network, (), target, self.rows.loss)
        found = self.runs.ask("outputs", part, pickle.dumps(network))
        every = joined([Examples(*each) for each in found if each is not None])
        # A network that gives back its inputs: the same sums as of the one that has made them.
        same = Network([network.layer_sizes[-1]] * 2, dtype=network.dtype, seed=0)
        same.weights[0][...] = np.eye(network.layer_sizes[-1])
        return evaluate(same, every.batches(), target, self.rows.loss, check_finite=False)

    def _outputs(self, part: str, content: bytes) -> tuple[Any, ...] | None:
        """Return the outputs for this process's rows of a part, and what they are judged by."""
        network: Network = pickle.loads(content)
        found = [
            Examples(network(some.X), some.y, some.truth, some.loss_weights, some.weights)
            for some in self.own[part].batches()
        ]
        if not found:
            return None
        all_of = joined(found)
        return all_of.X, all_of.y, all_of.truth, all_of.loss_weights, all_of.weights

    def state(self) -> dict[str, Any]:
        """Return {}, as of rows in memory: all that matters is the trainer's."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Forget what training alone has used."""
        self._data = None

# SPDX-License-Identifier: BSD-3-Clause
"""Members that the workers of a Dask cluster train: who gets which, and what comes back."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrelu import set_thread_limit
from fastrelu._members import files
from fastrelu._members.member import Member, State
from fastrelu.distributed.dask import run_tasks
from fastrelu.optimizers import LearningRate

__all__ = ["Task", "run_on_workers"]

#: Parts of the members for each thread of the workers, at most: the last ones then end together.
PARTS_EACH = 3
#: Members in the lanes of a vector, at most: a part with one more takes as long as with twice.
SIDE_BY_SIDE = 16


class Task(NamedTuple):
    """What a worker does with its members: train them for so many epochs."""

    epochs: int
    patience: int | None


def run_on_workers(
    client: Any,
    members: Sequence[Member],
    rows: tuple[Any, Any, Any, Any],
    task: Task,
    ended: Callable[[], None],
) -> None:
    """Train members on a cluster; each is as if it had been trained here.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    members : sequence of Member
        Those to train, begun; they change as their results come.
    rows : tuple (X, y, sample_weight, validation_data)
        The data, sent once to each worker.
    task : Task
        What to do.
    ended : callable
        Called each time that members have ended.
    """
    threads = max(1, sum(client.nthreads().values()))
    seconds = measured(members, *rows[:2])
    count = PARTS_EACH * threads
    parts = dict(enumerate(cut(members, count, n_rows_of(rows[0]), task.epochs, seconds)))

    def take(number: int, content: files.Content) -> None:
        part = parts[number]
        for member, other in zip(part, back(content, rates_of(part)), strict=True):
            adopt(member, other)
        ended()

    tasks = {
        number: (files.content(part, unfinished=True), rates_of(part), task)
        for number, part in parts.items()
    }
    run_tasks(client, train, rows, tasks, take)


def rates_of(members: Sequence[Member]) -> dict[int, LearningRate]:
    """Return the learning rates that are functions, which a checkpoint may not hold."""
    rates = enumerate(member.trainer.optimizer.learning_rate for member in members)
    return {k: rate for k, rate in rates if callable(rate)}


def back(content: files.Content, rates: dict[int, LearningRate]) -> list[Member]:
    """Return members from where they were sent."""
    return files.members_of(*content, rates)[0]


def train(
    rows: Any, content: files.Content, rates: dict[int, LearningRate], task: Task
) -> files.Content:
    """Train members, on a worker, and return them."""
    from fastrelu.population import Population

    X, y, sample_weight, validation_data = rows
    population = Population.__new__(Population)
    population._take(*files.members_of(*content, rates))
    before = set_thread_limit(1)  # a worker has a thread for each of its tasks
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # told where the fit was asked for
            population.fit(
                X, y, task.epochs, sample_weight=sample_weight, patience=task.patience,
                validation_data=validation_data,
            )  # fmt: skip
    finally:
        set_thread_limit(before)
    return result(population.members)


def result(members: Sequence[Member]) -> files.Content:
    """Return what members have become, without the numbers of their rows, which nobody misses."""
    arrays, metadata = files.content(members, unfinished=True)
    given = ("rows", "validation_rows", "sample_weight")
    return {k: v for k, v in arrays.items() if k.partition(".")[2] not in given}, metadata


def adopt(member: Member, other: Member) -> None:
    """Take over what another member has become."""
    State.of(other.trainer).put_into(member.trainer)
    member.trainer._seconds = other.trainer._seconds
    member.course, member.diverged = other.course, other.diverged


def n_rows_of(X: Any) -> int:
    """Return the number of rows, of a sparse matrix too."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


Kind = tuple[Any, ...]
#: Rows on which a step of each kind of members is measured, and the most kinds of which it is.
PILOT_ROWS, MOST_KINDS = 256, 64


def kind_of(member: Member) -> Kind:
    """Return what members have in common that cost the same for each row."""
    trainer = member.trainer
    return (
        *member.network.layer_sizes, trainer.batch_size, type(trainer.optimizer).__name__,
        trainer.loss.name, any(trainer.dropout), str(member.network.dtype),
    )  # fmt: skip


def measured(members: Sequence[Member], X: Any, y: Any) -> dict[Kind, float]:
    """Return the seconds of a row in an epoch of each kind of members, tried on some rows here.

    Kinds that cannot be tried, or are too many, have none.
    """
    from fastrelu.trainer import Trainer

    found: dict[Kind, float] = {}
    examples = {kind_of(member): member for member in members}
    if not 1 < len(examples) <= MOST_KINDS:
        return found
    some = np.arange(min(PILOT_ROWS, n_rows_of(X)))
    rows = X if hasattr(X, "shape") else np.asarray(X)
    before = set_thread_limit(1)
    try:
        for kind, member in examples.items():
            own = member.trainer
            trainer = Trainer(
                member.network.copy(), loss=own.loss, optimizer=own.optimizer,
                batch_size=own.batch_size, n_shards=own.n_shards, dropout=own.dropout,
            )  # fmt: skip
            try:
                data = trainer.prepare(rows[some], np.asarray(y)[some])
                seconds = [trainer.run_epoch(data) for _ in range(3)]
            except (ArithmeticError, IndexError, TypeError, ValueError):  # not of these rows
                continue
            found[kind] = min(each.seconds for each in seconds if each is not None) / len(some)
    finally:
        set_thread_limit(before)
    return found


def cut(
    members: Sequence[Member],
    parts: int,
    n_rows: int,
    epochs: int,
    seconds: Mapping[Kind, float] | None = None,
) -> list[list[Member]]:
    """Return the members in parts of about the same cost, those of a shape side by side.

    Parameters
    ----------
    members : sequence of Member
        All of them.
    parts : int
        How many parts there are at most.
    n_rows, epochs : int
        Of the fit.
    seconds : mapping, optional
        From `measured`; kinds without are taken to cost as much as the others by parameter.
    """
    seconds = seconds or {}
    sizes = {kind_of(member): float(member.network.n_parameters) for member in members}
    rates = [each / sizes[kind] for kind, each in seconds.items() if kind in sizes]
    each = float(np.median(rates)) if rates else 1.0

    def cost(member: Member) -> float:
        rows = n_rows if member.rows is None else len(member.rows)
        kind = kind_of(member)
        return seconds.get(kind, each * sizes[kind]) * rows * (member.epochs or epochs) + 1e-12

    ordered = sorted(members, key=lambda each: (-cost(each), each.network.layer_sizes, each.index))
    costs = np.array([cost(member) for member in ordered])
    middles = np.cumsum(costs) - costs / 2
    which = np.minimum(middles / costs.sum() * parts, parts - 1).astype(int)
    ends = np.flatnonzero(np.diff(which)) + 1
    if len(members) >= 2 * SIDE_BY_SIDE * parts:  # else whole groups would be too coarse a cut
        ends = np.unique((ends + SIDE_BY_SIDE // 2) // SIDE_BY_SIDE * SIDE_BY_SIDE)
    bounds = [0, *(end for end in ends.tolist() if 0 < end < len(ordered)), len(ordered)]
    return [ordered[begin:end] for begin, end in itertools.pairwise(bounds)]

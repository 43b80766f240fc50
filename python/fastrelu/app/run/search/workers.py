# SPDX-License-Identifier: BSD-3-Clause
"""Candidates of a search that the workers of a Dask cluster train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from fastrelu import Trainer, set_thread_limit
from fastrelu.app.errors import ConfigError, DivergedError
from fastrelu.app.preprocess import Examples
from fastrelu.app.run.feeder import MemoryFeeder
from fastrelu.app.run.loop import Training
from fastrelu.app.run.prepare import Prepared
from fastrelu.app.run.progress import Nothing
from fastrelu.distributed.dask import connected, run_tasks
from fastrelu.epoch import Sampling


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """Yield a client of the cluster at an address.

    Raises
    ------
    ConfigError
        If there is none, or Dask is not installed.
    """
    try:
        client = connected(address)
    except (ImportError, OSError, ValueError) as error:
        raise ConfigError(f"--dask {address}: {error}") from None
    try:
        yield client
    finally:
        client.close()


def train_on_workers(
    client: Any,
    prepared: Prepared,
    trainings: Mapping[int, Training],
    ended: Callable[[int, bool], None],
    stop: Callable[[], bool],
) -> bool:
    """Train candidates on to their epochs; they change as their results come.

    Parameters
    ----------
    client : distributed.Client
        The cluster; the examples are sent once to each of its workers.
    prepared : Prepared
        The data, in memory.
    trainings : mapping of int to Training
        The candidates.
    ended : callable
        Called as ``ended(number, diverged)`` for each.
    stop : callable
        Whether to give up.

    Returns
    -------
    bool
        Whether all are trained.
    """
    assert prepared.parts is not None
    kept = {part: prepared.parts[part] for part in ("train", "validation")}
    data = kept, prepared.target, prepared.loss
    weights = {number: _loss_weights(prepared, training) for number, training in trainings.items()}
    tasks = {
        number: (*each.trainer.checkpoint_content(), each.settings, each.state, weights[number])
        for number, each in trainings.items()
    }

    def take(number: int, found: tuple[Any, ...]) -> None:
        arrays, metadata, state, diverged = found
        training = trainings[number]
        training.trainer = Trainer.from_checkpoint_content(arrays, metadata)
        training.state = state
        training.save()
        ended(number, diverged)

    return run_tasks(client, train, data, tasks, take, stop)


def _loss_weights(prepared: Prepared, training: Training) -> Any:
    """Return the weights of the training rows where a candidate has its own; else None."""
    if training.settings.class_weight == prepared.settings.class_weight:
        return None
    parts = prepared.with_settings(training.settings).parts
    assert parts is not None
    return cast(Examples, parts["train"]).loss_weights, cast(
        Examples, parts["validation"]
    ).loss_weights


def train(data: Any, arrays: Any, metadata: Any, settings: Any, state: Any, weights: Any) -> Any:
    """Train a candidate, on a worker: its checkpoint, its state, and whether it has diverged."""
    parts, target, loss = data
    if weights is not None:
        from dataclasses import replace

        pairs = zip(parts.items(), weights, strict=True)
        parts = {name: replace(part, loss_weights=own) for (name, part), own in pairs}
    trainer = Trainer.from_checkpoint_content(arrays, metadata)
    sampling = cast(Sampling, settings.sampling)
    feeder = MemoryFeeder(parts, target, loss, settings.batch_size, sampling, settings.shards or 1)
    training = Training(trainer, feeder, settings, state)
    before = set_thread_limit(1)  # a worker has a thread for each of its tasks
    diverged = False
    try:
        training.run(Nothing())
    except DivergedError:
        diverged = True
    finally:
        set_thread_limit(before)
    return (*trainer.checkpoint_content(), training.state, diverged)

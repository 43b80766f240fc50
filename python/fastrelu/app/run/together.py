# SPDX-License-Identifier: BSD-3-Clause
"""Several trainings at once, as threads over one copy of the data.

Each training is deterministic on its own, and nothing passes between them while they run: how they
are scheduled does not enter the results.

They are no `fastrelu.Population`: that puts few of them side by side (a fold has rows of its own,
and networks of the usual 128-64 units run one to a thread there, too), and between their epochs are
the judging, the checkpoints and the signals of the command; see docs/what-did-not-work.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from fastrelu import EpochRecord, get_num_threads, set_thread_limit
from fastrelu.app.run.progress import Nothing
from fastrelu.history import RECORD_KEYS
from fastrelu.threads import Threads

T = TypeVar("T")
Stop = Callable[[], bool]


def run_together(tasks: Sequence[Callable[[Stop], T]], asked: Stop) -> list[T | None]:
    """Run tasks in as many threads as the core may use, which they share out among them.

    Parameters
    ----------
    tasks : sequence of callables
        Each is given a function that says whether to stop, and asks it now and then.
    asked : callable
        Whether the user wants to stop.

    Returns
    -------
    list
        What each returned, in their order; None for those that had not begun when `asked`.

    Raises
    ------
    Exception
        The first failed task's, in their order; the others are stopped then.
    """
    if not tasks:
        return []
    failed = threading.Event()

    def stop() -> bool:
        return failed.is_set() or asked()

    def guarded(task: Callable[[Stop], T]) -> T | None:
        try:
            return None if stop() else task(stop)
        except BaseException:
            failed.set()
            raise

    threads = get_num_threads()
    workers = min(threads, len(tasks))
    each = threads // workers
    with Threads(workers, partial(set_thread_limit, each)) as pool:
        futures = [pool.submit(guarded, task) for task in tasks]
    return [future.result() for future in futures]


class Shared:
    """Shows several trainings as one: steps of all, and an epoch once all have finished it.

    Parameters
    ----------
    watcher : Nothing
        What shows them; called by one thread at a time.
    count : int
        How many trainings.
    """

    def __init__(self, watcher: Nothing, count: int) -> None:
        self.watcher = watcher
        self._lock = threading.Lock()
        self._steps = [0] * count
        self._records: list[list[EpochRecord]] = [[] for _ in range(count)]
        self._ended = [False] * count
        self._shown = 0

    def member(self, k: int, steps: int, records: Sequence[EpochRecord]) -> _Member:
        """Return what training `k` tells its course; steps and epochs that it has behind it."""
        self._steps[k], self._records[k] = steps, list(records)
        return _Member(self, k)

    def begin(self, epochs: int, steps: int, metric: str) -> None:
        """Start: epochs of each, steps of an epoch of all."""
        self._shown = min(map(len, self._records))
        self.watcher.former(mean_history(self._records, range(self._shown)))
        self.watcher.begin(epochs, steps, sum(self._steps), self._shown + 1, metric)

    def end(self, k: int) -> None:
        """Note that a training has ended: the others' epochs no longer wait for it."""
        with self._lock:
            self._ended[k] = True
            self._show()

    def tick(self, k: int, step: int) -> None:
        """Note a training's steps."""
        with self._lock:
            self._steps[k] = step
            self.watcher.tick(sum(self._steps))

    def epoch(self, k: int, record: EpochRecord) -> None:
        """Note a training's epoch."""
        with self._lock:
            self._records[k].append(record)
            self._show()

    def _show(self) -> None:
        waited = [len(r) for r, ended in zip(self._records, self._ended, strict=True) if not ended]
        ready = min(waited) if waited else max(map(len, self._records))
        # Only of the epochs that are new: this is asked after every epoch of every training.
        for record in mean_history(self._records, range(self._shown, ready)):
            self.watcher.epoch(record)
            self._shown += 1


class _Member:
    def __init__(self, shared: Shared, k: int) -> None:
        self.shared, self.k = shared, k

    def tick(self, step: int) -> None:
        """Note the steps taken."""
        self.shared.tick(self.k, step)

    def epoch(self, record: EpochRecord) -> None:
        """Note an epoch's record."""
        self.shared.epoch(self.k, record)


def mean_history(
    histories: Sequence[Sequence[EpochRecord]], epochs: range | None = None
) -> list[EpochRecord]:
    """Return the mean of each epoch over the trainings that have it; rows a second are added up.

    `epochs` are places in the histories; None for all.
    """
    result = []
    for epoch in range(max(map(len, histories), default=0)) if epochs is None else epochs:
        there = [history[epoch] for history in histories if len(history) > epoch]
        record: dict[str, Any] = {"epoch": epoch + 1}
        for name in RECORD_KEYS[1:]:
            values = [each[name] for each in there if each[name] is not None]
            total = sum(values) if values else None
            record[name] = total if name == "rows_per_second" or not values else (
                sum(values) / len(values)
            )  # fmt: skip
        result.append(EpochRecord(**record))
    return result

# SPDX-License-Identifier: BSD-3-Clause
"""Many fits at once on threads of this process, over one copy of the data.

scikit-learn runs its fits through joblib. This is a backend for it: threads, each of which gives
every fit one thread of the core, and whose fits end with their epoch when the search is stopped.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import joblib
from joblib.parallel import SequentialBackend, ThreadingBackend
from sklearn import config_context, get_config

from fastrelu import _core
from fastrelu.sklearn.threads import join_search, thread_limit
from fastrelu.sklearn.together import Together
from fastrelu.threads import started


class Failure:
    """What a task has raised, in place of its result."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Workers:
    """Threads that run tasks in turn, each task and what follows it on one thread.

    Parameters
    ----------
    most : int
        How many threads there may be; one is started where none is free.
    begin : callable
        What each thread calls first.
    refused : callable
        Called with the number of threads where the system refuses more.
    """

    def __init__(
        self, most: int, begin: Callable[[], None], refused: Callable[[int], None]
    ) -> None:
        self._most, self._begin, self._refused = most, begin, refused
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._free = threading.Semaphore(0)
        self._threads = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Let a thread run a task."""
        if not self._free.acquire(blocking=False) and self._threads < self._most:
            if not self._start():
                self._most = self._threads
                self._refused(self._threads)
        self._tasks.put(task)

    def start_first(self) -> bool:
        """Start a thread that is free; False if the system refuses it."""
        if not self._start():
            return False
        self._free.release()
        return True

    def _start(self) -> bool:
        if started(self._work) is None:
            return False
        self._threads += 1
        return True

    def close(self) -> None:
        """Forget the tasks that nobody has begun; the threads end after those they have."""
        with suppress(Empty):
            while True:
                self._tasks.get_nowait()
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        self._begin()
        while (task := self._tasks.get()) is not None:
            task()
            self._free.release()


class SearchThreads(ThreadingBackend):
    """joblib's threads, for fits that use the core.

    Parameters
    ----------
    stop : threading.Event
        What tells the fits to end; set when joblib aborts, which it does on Ctrl-C and when a task
        has failed.
    together : Together
        The fits, few of which are on their way at once.
    """

    def __init__(self, stop: threading.Event, together: Together, **options: Any) -> None:
        super().__init__(**options)
        self._stop, self._together = stop, together
        self._config = get_config()
        self._n_jobs = 0  # `configure` says it
        self._workers: Workers | None = None

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Take note of the number of threads; of one, the caller's own is that."""
        self.parallel, self._n_jobs = parallel, n_jobs
        if n_jobs > 1:
            workers = Workers(n_jobs, self._begin, self._together.begin_at_most)
            if workers.start_first():
                self._workers = workers
            else:  # the system refuses all: the caller's own
                self._n_jobs = 1
        return self._n_jobs

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return how many tasks joblib may have begun in a call after `configure`."""
        return min(n_jobs, self._n_jobs or n_jobs)

    def _begin(self) -> None:
        join_search(self._stop, self._together)
        _core.set_thread_limit(1)

    def submit(self, func: Any, callback: Any = None) -> None:
        """Let a thread run a batch of tasks, under the settings of scikit-learn's caller.

        Around each task scikit-learn sets the warning filters that the caller has. Threads have
        these filters in common, so that one would see what another is about to set, and put back
        what it saw. They are left alone here.
        """
        func.items = [(inspect.unwrap(task), args, more) for task, args, more in func.items]
        if self._workers is None:
            self._workers = Workers(self._n_jobs, self._begin, self._together.begin_at_most)
        self._workers.submit(partial(self._run, func, callback))

    def _run(self, func: Callable[[], Any], callback: Callable[..., Any]) -> None:
        result: Any
        try:
            with self._together.task(), config_context(**self._config):
                result = func()
        except BaseException as error:
            result = Failure(error)
        callback(result)

    def retrieve_result_callback(self, result: Any) -> Any:
        """Return what a task has returned, or raise what it has raised."""
        if isinstance(result, Failure):
            raise result.error
        return result

    def terminate(self) -> None:
        """Let the threads end."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Tell the fits to end, and forget those that have not begun."""
        self._stop.set()
        super().abort_everything(ensure_ready)

    def get_nested_backend(self) -> tuple[SequentialBackend, None]:
        """Return what runs the calls within a fit: its own thread."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None


@contextmanager
def search_threads(n_threads: int, most: int) -> Iterator[Together]:
    """Let joblib's calls of this thread run their tasks, `n_threads` at once.

    `most` may be begun and not ended: those that can be trained side by side wait for each other.

    The caller's own fits, such as a refit, use as many threads of the core, and Ctrl-C ends them as
    a part of the search: with KeyboardInterrupt, where a fit alone would end early with a warning.
    """
    stop = threading.Event()
    together = Together(n_threads, most, stop)
    # Within some checks of scikit-learn the fits change the warning filters for a moment, which all
    # threads have in common; whatever they leave behind is undone at the end.
    with warnings.catch_warnings(), thread_limit(n_threads):
        before = join_search(stop)
        try:
            with joblib.parallel_config(backend=SearchThreads(stop, together), n_jobs=most):
                yield together
        finally:
            stop.set()
            join_search(before)


@contextmanager
def search_workers(client: Any, *rows: Any) -> Iterator[Together]:
    """Let joblib's calls of this thread run their tasks on the workers of a Dask cluster.

    `rows` are sent once to each worker. The fits there do not wait for each other.
    """
    with joblib.parallel_config("dask", client=client, scatter=list(rows), n_jobs=-1):
        yield Together(1, 1, threading.Event())

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
from contextlib import contextmanager
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any

import joblib
from joblib.parallel import SequentialBackend, ThreadingBackend
from sklearn import config_context, get_config

from fastrelu import _core
from fastrelu.sklearn.threads import join_search, thread_limit


class SearchThreads(ThreadingBackend):
    """joblib's threads, for fits that use the core.

    Parameters
    ----------
    stop : threading.Event
        What tells the fits to end; set when joblib aborts, which it does on Ctrl-C and when a task
        has failed.
    """

    _pool: ThreadPool | None

    def __init__(self, stop: threading.Event, **options: Any) -> None:
        super().__init__(**options)
        self._stop = stop
        self._config = get_config()

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Take note of the number of threads; of one, the caller's own is that."""
        self.parallel, self._n_jobs = parallel, n_jobs
        return n_jobs

    def _get_pool(self) -> ThreadPool:
        if self._pool is None:
            self._pool = ThreadPool(self._n_jobs, self._begin)
        return self._pool

    def _begin(self) -> None:
        join_search(self._stop)
        _core.set_thread_limit(1)

    def submit(self, func: Any, callback: Callable[..., Any] | None = None) -> Any:
        """Let a thread run a batch of tasks, under the settings of scikit-learn's caller.

        Around each task scikit-learn sets the warning filters that the caller has. Threads have
        these filters in common, so that one would see what another is about to set, and put back
        what it saw. They are left alone here.
        """
        func.items = [(inspect.unwrap(task), args, more) for task, args, more in func.items]
        return super().submit(partial(self._run, func), callback)

    def _run(self, func: Callable[[], Any]) -> Any:
        with config_context(**self._config):
            return func()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Tell the fits to end, and forget those that have not begun."""
        self._stop.set()
        super().abort_everything(ensure_ready)

    def get_nested_backend(self) -> tuple[SequentialBackend, None]:
        """Return what runs the calls within a fit: its own thread."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None


@contextmanager
def search_threads(n_threads: int) -> Iterator[None]:
    """Let joblib's calls of this thread run their tasks on `n_threads` threads.

    The caller's own fits, such as a refit, use as many threads of the core, and Ctrl-C ends them as
    a part of the search: with KeyboardInterrupt, where a fit alone would end early with a warning.
    """
    stop = threading.Event()
    # Within some checks of scikit-learn the fits change the warning filters for a moment, which all
    # threads have in common; whatever they leave behind is undone at the end.
    with warnings.catch_warnings(), thread_limit(n_threads):
        before = join_search(stop)
        try:
            with joblib.parallel_config(backend=SearchThreads(stop), n_jobs=n_threads):
                yield
        finally:
            stop.set()
            join_search(before)

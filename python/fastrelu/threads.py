# SPDX-License-Identifier: BSD-3-Clause
"""Python's threads where the system may refuse some: the work is done by fewer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any

__all__ = ["Threads", "started"]

Task = tuple[Future[Any], Callable[[], Any]]


def started(run: Callable[[], None], name: str | None = None) -> threading.Thread | None:
    """Start a thread that does not keep the interpreter; None if the system refuses it.

    `name` is what debuggers show; by default Python's own.

    Examples
    --------
    >>> from fastrelu.threads import started
    >>> found = []
    >>> thread = started(lambda: found.append(1))
    >>> if thread is not None:
    ...     thread.join()
    >>> found
    [1]
    """
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError):  # CPython's words for any reason are "can't start"
        return None
    return thread


class Threads(Executor):
    """Threads that run calls in turn, as many as the system allows; the caller's where it is none.

    `concurrent.futures.ThreadPoolExecutor` raises there, and keeps the call that it has taken.

    Parameters
    ----------
    most : int
        How many threads there may be; one is started where none is free.
    begin : callable
        What each thread calls first; the caller's does not.

    Examples
    --------
    >>> import fastrelu
    >>> from functools import partial
    >>> from fastrelu.threads import Threads
    >>> with Threads(2, partial(fastrelu.set_thread_limit, 1)) as pool:
    ...     list(pool.map(abs, [-1, -2, -3]))
    [1, 2, 3]
    """

    def __init__(self, most: int, begin: Callable[[], object]) -> None:
        self._most, self._begin = most, begin
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._free = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Let a thread call a function."""
        future: Future[Any] = Future()
        task = future, lambda: fn(*args, **kwargs)
        if not self._free.acquire(blocking=False) and len(self._threads) < self._most:
            thread = started(self._work)
            if thread is None:
                self._most = len(self._threads)
            else:
                self._threads.append(thread)
        if self._threads:
            self._tasks.put(task)
        else:
            _run(task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end after the calls that they have, or those that have begun."""
        while cancel_futures:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            if task is not None:
                task[0].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads if wait else ():
            thread.join()
        self._threads, self._most = [], 0

    def _work(self) -> None:
        self._begin()
        while (task := self._tasks.get()) is not None:
            _run(task)
            del task  # nothing of it is held while the thread waits
            self._free.release()


def _run(task: Task) -> None:
    future, call = task
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)

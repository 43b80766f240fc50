# SPDX-License-Identifier: BSD-3-Clause
"""How many threads a fit takes while others run beside it in this process, and when it is to end.

A search runs many fits on threads of its own. Python handles Ctrl-C on the main thread alone, so
the fits ask once an epoch whether their search goes on.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from fastrelu import _core

if TYPE_CHECKING:
    from fastrelu.sklearn.together import Together

_lock = threading.Lock()
# How many fits run on each thread, by its number: one inside of another, from a callback, waits
# for it, so that they are one.
_running: Counter[int] = Counter()
# .stop: the event that ends the search this thread works for; .together: its fits
_of_thread = threading.local()


def _forget_other_threads() -> None:
    """Leave only the fits of this thread, the one that a forked process has."""
    global _lock
    _lock = threading.Lock()  # perhaps locked by a thread that is gone
    own = threading.get_ident()
    for thread in [thread for thread in _running if thread != own]:
        del _running[thread]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


class SearchStopped(BaseException):
    """Ends a fit of a search that goes no further; not an Exception, so no failed candidate."""


def join_search(
    stop: threading.Event | None, together: Together | None = None
) -> threading.Event | None:
    """Let the calling thread's fits belong to a search, until `stop` is set; None for none.

    With `together`, those that can be are trained side by side.

    Returns
    -------
    threading.Event or None
        What was there before.
    """
    before = search_of_thread()
    _of_thread.stop, _of_thread.together = stop, together
    return before


def together_of_thread() -> Together | None:
    """Return what the calling thread's fits are trained beside; None if they are alone."""
    together: Together | None = getattr(_of_thread, "together", None)
    return together


def search_of_thread() -> threading.Event | None:
    """Return what ends the search that the calling thread works for; None if it does for none."""
    stop: threading.Event | None = getattr(_of_thread, "stop", None)
    return stop


def raise_if_stopped() -> None:
    """Raise SearchStopped if the calling thread works for a search that has been stopped."""
    stop = search_of_thread()
    if stop is not None and stop.is_set():
        raise SearchStopped


class Share:
    """The threads of one running fit; results do not depend on them.

    Parameters
    ----------
    n_threads : int or None
        What the user asked for; None for an equal share with the fits that run.
    limit : int
        The calling thread's limit, which holds for both; 0 for none.
    """

    def __init__(self, n_threads: int | None, limit: int = 0) -> None:
        self.n_threads, self.limit = n_threads, limit

    def update(self) -> None:
        """Take an equal share with the fits that run now, or what the user asked for.

        Raises
        ------
        SearchStopped
            If the fit belongs to a search that has been stopped.
        """
        raise_if_stopped()
        _core.set_thread_limit(0)
        if self.n_threads is None:
            others = max(1, len(_running))
            share = max(1, _core.num_threads() // others) if others > 1 else 0
        else:
            share = self.n_threads
        _core.set_thread_limit(within(share, self.limit))


class SharedByAll(Share):
    """What fits have that are trained side by side: the threads of their search."""

    def __init__(self) -> None:
        super().__init__(None)

    def update(self) -> None:
        """Raise SearchStopped if the search has been stopped."""
        raise_if_stopped()


def within(share: int, limit: int) -> int:
    """Return the smaller of two numbers of threads, of which 0 means as many as there are."""
    return min(share, limit) if share and limit else share or limit


@contextmanager
def thread_share(n_threads: int | None, waits: bool = False) -> Iterator[Share]:
    """Hold a share of the threads; `n_threads` fixes it.

    A fit that `waits` is trained beside the others of its search, which share the threads.
    """
    if waits:
        yield SharedByAll()
        return
    together = together_of_thread()
    before = _core.set_thread_limit(0)
    thread = threading.get_ident()
    with _lock:
        _running[thread] += 1
    try:
        with together.apart() if together is not None else nullcontext():
            share = Share(n_threads, before)
            share.update()
            yield share
    finally:
        with _lock:
            _running[thread] -= 1
            if _running[thread] == 0:
                del _running[thread]
        _core.set_thread_limit(before)


@contextmanager
def thread_limit(n_threads: int | None) -> Iterator[None]:
    """Limit the calls of the core in this thread, if `n_threads` is not None."""
    if n_threads is None:
        yield
        return
    before = _core.set_thread_limit(0)
    try:
        _core.set_thread_limit(within(n_threads, before))
        yield
    finally:
        _core.set_thread_limit(before)

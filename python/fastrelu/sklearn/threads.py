# SPDX-License-Identifier: BSD-3-Clause
"""How many threads a fit takes while others run beside it in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastrelu import _core

_lock = threading.Lock()
_running = 0


class Share:
    """The threads of one running fit; results do not depend on them."""

    def __init__(self, n_threads: int | None) -> None:
        self.n_threads = n_threads

    def update(self) -> None:
        """Take an equal share with the fits that run now, or what the user asked for."""
        if self.n_threads is None:
            _core.set_thread_limit(0)
            others = max(1, _running)
            share = max(1, _core.num_threads() // others) if others > 1 else 0
            _core.set_thread_limit(share)
        else:
            _core.set_thread_limit(self.n_threads)


@contextmanager
def thread_share(n_threads: int | None) -> Iterator[Share]:
    """Hold a share of the threads; `n_threads` fixes it."""
    global _running
    before = _core.set_thread_limit(0)
    with _lock:
        _running += 1
    try:
        share = Share(n_threads)
        share.update()
        yield share
    finally:
        with _lock:
            _running -= 1
        _core.set_thread_limit(before)


@contextmanager
def thread_limit(n_threads: int | None) -> Iterator[None]:
    """Limit the calls of the core in this thread, if `n_threads` is not None."""
    if n_threads is None:
        yield
        return
    before = _core.set_thread_limit(n_threads)
    try:
        yield
    finally:
        _core.set_thread_limit(before)

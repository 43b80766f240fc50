# SPDX-License-Identifier: BSD-3-Clause
"""Fits of a search that wait for each other, and are then trained side by side in the core."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core

MOST_PARAMETERS = 8192  # more fill the processor's vectors alone
MOST_BYTES = 2**22  # of a fit's rows, which many hold at once while they wait
MOST_ROWS_BYTES = 2**28  # of those of all fits
MOST_BEGUN = 64
SECONDS_BETWEEN = 0.2  # two looks of one that waits at whether the search goes on


def most_begun(estimator: Any, X: Any, n_threads: int) -> int:
    """Return how many fits of an estimator may be begun and not ended, at least `n_threads`.

    More than those are worth it where they can be trained side by side; each has its fold of X.
    """
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    alone = getattr(last, "early_stopping", True) or last.solver == "lbfgs"
    if alone or last.verbose or last.callbacks or not isinstance(last.random_state, Integral):
        return n_threads
    bytes_of_each = 8 * math.prod(np.shape(X))
    most: int = min(MOST_BEGUN, MOST_ROWS_BYTES // max(1, bytes_of_each))
    return max(n_threads, most)


class Fit:
    """What the core needs to know of a fit, and what it says of its epochs.

    Attributes
    ----------
    X, y, sample_weight : ndarray or CSR
        The rows, as the core takes them.
    epochs_left : int
        How many epochs to run at most.
    learning_rate : float
        That of all its steps.
    numbers : ndarray, (epochs, 4)
        Of each epoch that was run: loss, learning rate, seconds, penalty.
    """

    def __init__(
        self,
        trainer: _core.Trainer,
        loss: dict[str, Any],
        epochs: _core.GivenEpochs,
        rows: tuple[Any, Any, Any],
        n_parameters: int,
    ) -> None:
        self.trainer, self.epochs, self.n_parameters = trainer, epochs, n_parameters
        self.loss = tuple(sorted(loss.items()))
        self.X, self.y, self.sample_weight = rows
        self.epochs_left, self.learning_rate = 0, 0.0
        self.numbers: NDArray[np.float64] = np.empty((0, 4))
        self.first_row = 0  # of its rows in the data they are now numbers of
        self.is_done = False
        self.wake = threading.Event()
        self.error: BaseException | None = None

    def for_core(self, data: _core.DataSet) -> dict[str, Any]:
        """Return a member of a population."""
        return {
            "trainer": self.trainer,
            "data": data,
            "rows": None,
            "rates": self.learning_rate,
            "epochs": self.epochs_left,
            "sampling": "shuffle",
            "given": self.epochs,
            "asks": False,
        }

    def kind(self) -> tuple[Any, ...]:
        """Return what fits that can share a data set have in common."""
        weighted = self.sample_weight is not None
        arrays = self.X.shape[1:], self.X.dtype, self.y.shape[1:], self.y.dtype
        return self.loss, weighted, *arrays


def run_alone(fit: Fit, data: _core.DataSet) -> None:
    """Run the epochs of one fit on the calling thread's share of the threads."""
    run_fits([fit], [data])


def run_fits(
    fits: list[Fit], data: list[_core.DataSet], is_stopped: Callable[[], bool] | None = None
) -> None:
    """Run the epochs of fits that do not depend on each other, until `is_stopped` says so."""
    numbers: list[NDArray[np.float64]] = []
    for fit in fits:
        fit.numbers = np.empty((0, 4))
    on_poll = None if is_stopped is None else lambda made, ended: is_stopped()
    members = [fit.for_core(of_fit) for fit, of_fit in zip(fits, data, strict=True)]
    try:
        _core.run_population(members, _ends_nothing, on_poll, numbers)
    finally:
        for fit, of_fit in zip(fits, numbers, strict=False):
            fit.numbers = of_fit


def _ends_nothing(member: int, loss: float, rate: float, seconds: float) -> bool:
    return False


class Together:
    """The fits of a search, which wait for each other where they can be trained side by side.

    A fit that comes to its epochs waits until all have, and the last one lets the core train them.
    What else such fits do, checks and scores, is Python's, which gains nothing from several at
    once: one does it at a time. Fits that cannot be side by side run `n_threads` at once.

    Parameters
    ----------
    n_threads : int
        How many fits run at once, and the threads of the core.
    most : int
        How many may be begun and not ended: at least `n_threads`.
    stop : threading.Event
        What ends the search.
    """

    def __init__(self, n_threads: int, most: int, stop: threading.Event) -> None:
        self.n_threads, self.most = n_threads, most
        self._stop = stop
        self._fits = threading.Semaphore(n_threads)
        self._python = threading.Lock() if most > n_threads else None
        self._lock = threading.Lock()  # of what follows
        self._waiting: list[Fit] = []
        self._to_come = 0  # tasks that have not ended

    def expect(self, tasks: int) -> None:
        """Expect so many tasks."""
        with self._lock:
            self._to_come = tasks

    def begin_at_most(self, most: int) -> None:
        """Have those that wait wait for fewer: the system has refused threads for the others."""
        with self._lock:
            self.most = min(self.most, max(1, most))
            if self._is_complete():
                self._waiting[0].wake.set()

    @contextmanager
    def task(self) -> Iterator[None]:
        """Have a task run, unless another one needs Python."""
        with self._python or nullcontext():
            try:
                yield
            finally:
                with self._lock:
                    self._to_come -= 1
                    if self._is_complete():
                        self._waiting[0].wake.set()  # it lets the core train them

    @contextmanager
    def _pause(self) -> Iterator[None]:
        """Let other tasks need Python meanwhile."""
        if self._python is not None:
            self._python.release()
        try:
            yield
        finally:
            if self._python is not None:
                self._python.acquire()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Have a fit run beside others, that cannot be trained side by side with them."""
        with self._pause(), self._fits:
            yield

    def takes(self, fit: Fit) -> bool:
        """Return whether a fit gains from waiting for others, and the others can share its data."""
        return (
            self._python is not None
            and type(fit.X) is np.ndarray
            and fit.X.nbytes <= MOST_BYTES
            and fit.n_parameters <= MOST_PARAMETERS
        )

    def run(self, fit: Fit) -> None:
        """Run the epochs of a fit beside those of others; its task gives up its place meanwhile."""
        fit.wake.clear()
        fit.is_done, fit.error = False, None
        with self._lock:
            self._waiting.append(fit)
        with self._pause():
            while not fit.is_done:
                fits = self._complete_fits()
                if fits:
                    self._run(fits)
                elif self._stop.is_set():
                    break
                else:
                    fit.wake.wait(SECONDS_BETWEEN)
        if fit.error is not None:
            raise fit.error

    def _complete_fits(self) -> list[Fit]:
        """Take those that wait, if nobody else will come; else none."""
        with self._lock:
            fits: list[Fit] = []
            if self._is_complete():
                fits, self._waiting = self._waiting, fits
            return fits

    def _is_complete(self) -> bool:
        """Whether nobody else will come as long as those wait."""
        return 0 < len(self._waiting) >= min(self.most, self._to_come)

    def _run(self, fits: list[Fit]) -> None:
        error: BaseException | None = None
        before = _core.set_thread_limit(self.n_threads)
        try:
            if not self._stop.is_set():
                run_fits(fits, _shared_data(fits), self._stop.is_set)
        except BaseException as raised:
            error = raised
        finally:
            _core.set_thread_limit(before)
        for fit in fits:
            fit.error, fit.is_done = error, True  # in this order, for the thread that waits
            fit.wake.set()


def _shared_data(fits: list[Fit]) -> list[_core.DataSet]:
    """Return the data sets of fits: those of a kind lie in one, equal rows once."""
    kinds: dict[Any, list[Fit]] = {}
    for fit in fits:
        kinds.setdefault(fit.kind(), []).append(fit)
    data: dict[int, _core.DataSet] = {}
    for of_kind in kinds.values():
        places: dict[Any, int] = {}
        parts: list[Fit] = []
        rows = 0
        for fit in of_kind:
            key = _content(fit)
            if key not in places:
                places[key] = rows
                parts.append(fit)
                rows += len(fit.X)
            fit.epochs.move(places[key] - fit.first_row)
            fit.first_row = places[key]
        weight = None
        if parts[0].sample_weight is not None:
            weight = np.concatenate([part.sample_weight for part in parts])
        X = np.ascontiguousarray(np.concatenate([part.X for part in parts]))
        y = np.concatenate([part.y for part in parts])
        shared = of_kind[0].trainer.data(X, y, weight, False)
        data |= {id(fit): shared for fit in of_kind}
    return [data[id(fit)] for fit in fits]


def _content(fit: Fit) -> tuple[Any, ...]:
    arrays = [fit.X, fit.y] + ([] if fit.sample_weight is None else [fit.sample_weight])
    return tuple(np.ascontiguousarray(a).tobytes() for a in arrays)

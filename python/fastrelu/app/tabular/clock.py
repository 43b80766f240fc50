# SPDX-License-Identifier: BSD-3-Clause
"""How members share the seconds that a fit may take."""

from __future__ import annotations

import math
import time

from fastrelu.history import EpochRecord
from fastrelu.population import Member

KEPT = 0.04  # of the seconds: for what comes after training


class Clock:
    """The time of one fit.

    Parameters
    ----------
    seconds : float or None
        What it may take; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.began = time.perf_counter()
        self.end = math.inf if seconds is None else self.began + seconds * (1 - KEPT)

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return math.isfinite(self.end)

    @property
    def spent(self) -> float:
        """The seconds since the fit began."""
        return time.perf_counter() - self.began

    @property
    def left(self) -> float:
        """The seconds left."""
        return self.end - time.perf_counter()


class Turns:
    """A callback of `Population.fit`: ends members so that all have had their turn in time.

    A member that has begun may take an equal share of what is left from its begin to the end, the
    turns of those that wait for a thread counted.
    """

    def __init__(self, clock: Clock, seconds: float, n_members: int, n_threads: int) -> None:
        self.end = min(clock.end, time.perf_counter() + seconds)
        self.waiting, self.n_threads = n_members, n_threads
        self.begins: dict[int, float] = {}

    def __call__(self, member: Member, record: EpochRecord) -> bool:
        """Say whether the member ends here."""
        now = time.perf_counter()
        if member.index not in self.begins:
            self.begins[member.index] = now - record.seconds
            self.waiting -= 1
        begin = self.begins[member.index]
        turns = 1 + math.ceil(self.waiting / self.n_threads)
        return now + record.seconds > begin + (self.end - begin) / turns

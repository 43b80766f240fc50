# SPDX-License-Identifier: BSD-3-Clause
"""How members share the seconds that a fit may take."""

from __future__ import annotations

import math
import time

from fastrelu.history import EpochRecord
from fastrelu.population import Member

KEPT = 0.04  # of the seconds: for what comes after training
FEWEST_EPOCHS = 4  # that a limit leaves each member, if need be of fewer rows
FEWEST_ROWS = 200


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

    def __init__(self, end: float, n_members: int, n_threads: int) -> None:
        self.end = end
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


def affordable(
    seconds: float, n_rows: int, n_members: int, n_threads: int, encoding: float, epoch: float
) -> tuple[int, int]:
    """Return how many rows and members a fit can have in some seconds.

    Parameters
    ----------
    seconds : float
        What is left.
    n_rows, n_members, n_threads : int
        What there would be.
    encoding, epoch : float
        The seconds of a row's encoding, and of its part in one epoch of one member.
    """

    def cost(members: int) -> float:
        turns = math.ceil(members / n_threads)
        return 1.2 * n_rows * (encoding + FEWEST_EPOCHS * turns * epoch)

    while n_members > 1 and cost(n_members) > seconds:
        n_members -= 1
    share = min(1.0, max(seconds, 0.0) / cost(n_members))
    return min(n_rows, max(FEWEST_ROWS, int(share * n_rows))), n_members

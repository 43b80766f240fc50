# SPDX-License-Identifier: BSD-3-Clause
"""Whether the machine is quiet: pools that spin on after a call, and programs of others."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

WINDOW = 0.01
LONGEST = 2.0


def spent_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of these processes, threads that have ended included, in ticks."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name, in parentheses, may hold blanks.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def running_seconds(pids: Iterable[int]) -> float:
    """Return what the living threads of these processes have run so far, to the nanosecond."""
    total = 0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total * 1e-9


def settle(pids: Iterable[int]) -> None:
    """Wait until none of these processes runs: OpenBLAS's pool spins 0.1 s after its last call."""
    pids = list(pids)
    if not os.path.exists("/proc/self/schedstat"):
        time.sleep(0.2)
        return
    ends = time.perf_counter() + LONGEST
    before = running_seconds(pids)
    while time.perf_counter() < ends:
        time.sleep(WINDOW)
        after = running_seconds(pids)
        if after - before < 0.02 * WINDOW:
            return
        before = after


def busy_seconds() -> float:
    """Return the processor time that the whole machine has spent so far, steal included."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


class Watch:
    """Measures how much processor time others took while this ran, in cores."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = [os.getpid(), *pids]
        self.began = time.perf_counter()
        self.busy = busy_seconds()
        self.own = spent_seconds(self.pids)

    def others(self) -> float:
        spent = time.perf_counter() - self.began
        others = busy_seconds() - self.busy - (spent_seconds(self.pids) - self.own)
        return max(0.0, others / spent)

# SPDX-License-Identifier: BSD-3-Clause
"""Measures contestants in turns: A before B, then B before A, medians over the rounds.

Each contestant lives in a process of its own, kept alive and driven over pipes, so that clock
drift and neighbours meet all of them alike while no thread pool spins beside another's run.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import HERE, Place
from benchmarks.implementations import UnavailableError
from benchmarks.quiet import Watch, settle

ROOT = Path(__file__).parent.parent
SLOW = 2.5  # times the fastest peer's time: nobody's comparison hangs on these
# Settings that make NumPy's OpenBLAS run other kernels than it would choose for this CPU.
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS")


def clean_environment(place: Place, **extra: str) -> dict[str, str]:
    """Return this process's environment without what would slow a contestant down."""
    env = {k: v for k, v in os.environ.items() if k not in BLAS_OVERRIDES}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FASTRELU_ISA", "FASTRELU_NUM_THREADS"):
        env.pop(name, None)
    given = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    paths = [*place.paths, str(ROOT), *(given if place.python == sys.executable else ())]
    return {**env, "PYTHONPATH": os.pathsep.join(paths), **place.env, **extra}


class Process:
    """A worker process and its pipe."""

    def __init__(self, implementation: str, place: Place, **env: str) -> None:
        missing = place.missing()
        if missing:
            raise UnavailableError(missing)
        self.child = subprocess.Popen(
            [place.python, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCHMARKS_VERBOSE") else subprocess.DEVNULL,
            text=True,
            env=clean_environment(place, **env),
            cwd=ROOT,
        )
        self.made = 0
        self.ask(do="start", implementation=implementation)

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.child.stdin is not None and self.child.stdout is not None
        try:
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the worker ended with code {self.child.wait()}")
        answer = json.loads(line)
        if "skip" in answer:
            raise UnavailableError(answer["skip"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        self.child.terminate()
        self.child.wait()


class Pool:
    """The worker processes of a run, one for each implementation, place and environment."""

    def __init__(self) -> None:
        self.processes: dict[tuple[Any, ...], Process] = {}

    def get(self, implementation: str, place: Place = HERE, **env: str) -> Process:
        key = (implementation, place, *sorted(env.items()))
        if key not in self.processes:
            self.processes[key] = Process(implementation, place, **env)
        return self.processes[key]

    def settle(self) -> None:
        """Wait until no worker runs any more."""
        settle(self.pids())

    def pids(self) -> list[int]:
        return [process.child.pid for process in self.processes.values()]

    def close(self) -> None:
        for process in self.processes.values():
            process.close()
        self.processes.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass
class Contestant:
    """What is to be measured, under a label: a task of an implementation, somewhere."""

    label: str
    implementation: str
    task: str
    spec: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    place: Place = HERE
    at_most: float = math.inf  # seconds a turn, where the general time would be too long
    neighbour: bool = False  # measured beside a process that keeps one core busy
    is_peer: bool = False


@dataclass
class Entry:
    """A contestant that is ready to run."""

    contestant: Contestant
    process: Process
    key: str
    steps: int
    count: int = 1
    us: float = math.inf  # a step, while its count was chosen
    answers: list[dict[str, Any]] = field(default_factory=list)

    def turn(self) -> dict[str, Any]:
        return self.process.ask(do="run", key=self.key, count=self.count)

    def calibrate(self, seconds: float) -> None:
        """Choose the count that fills `seconds`; the first runs also warm up."""
        seconds = min(seconds, self.contestant.at_most)
        self.turn()  # compiles, in some
        while True:
            spent = self.turn()["seconds"]
            if spent >= 0.3 * seconds:
                break
            self.count = math.ceil(self.count * min(20.0, 0.6 * seconds / max(spent, 1e-7)))
        self.us = 1e6 * spent / (self.count * self.steps)
        self.count = max(1, round(self.count * seconds / spent))

    def result(self) -> dict[str, Any]:
        per_step = [1e6 * a["seconds"] / (self.count * self.steps) for a in self.answers]
        found = {
            "us": statistics.median(per_step),
            "low": min(per_step),
            "high": max(per_step),
            "rounds": per_step,
        }
        found["cpus"] = sorted({a["cpu"] for a in self.answers if "cpu" in a})
        if "others" in self.answers[0]:  # cores that other programs took, at the worst
            found["others"] = round(max(a["others"] for a in self.answers), 3)
        if "epoch_seconds" in self.answers[0]:
            found["epoch_us"] = statistics.median(
                1e6 * a["epoch_seconds"] / (self.count * self.steps) for a in self.answers
            )
        if "rate" in self.answers[0]:
            rates = [a["rate"] for a in self.answers]
            found |= {"rate": statistics.median(rates), "rounds": rates}
            del found["us"], found["low"], found["high"]
        return found


class Neighbour:
    """A process that keeps one core busy while it is on."""

    def __enter__(self) -> Neighbour:
        self.child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        self.child.kill()
        self.child.wait()


def prepare(pool: Pool, contestant: Contestant) -> Entry:
    process = pool.get(contestant.implementation, contestant.place, **contestant.env)
    process.made += 1
    key = f"{contestant.label} {process.made}"
    answer = process.ask(do="make", key=key, task=contestant.task, spec=contestant.spec)
    return Entry(contestant, process, key, answer["steps"])


def quiet_turn(pool: Pool, entry: Entry) -> dict[str, Any]:
    """Take a turn; up to twice more where other programs took more than a tenth of a core."""
    answers = []
    for _ in range(3):
        watch = Watch(pool.pids())
        answer = entry.turn()
        answers.append({**answer, "others": watch.others()})
        if answers[-1]["others"] < 0.1:
            break
        pool.settle()
    return min(answers, key=lambda answer: answer["others"])


def race(
    pool: Pool, contestants: Sequence[Contestant], rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Measure all contestants in turns.

    A peer that is SLOW times slower than the fastest one takes part in the first rounds alone.

    Returns
    -------
    dict
        For each label {"us", "low", "high", "rounds", ...}, or {"skip": reason}.
    """
    results: dict[str, dict[str, Any]] = {}
    entries = []
    for contestant in contestants:
        try:
            entry = prepare(pool, contestant)
            entry.calibrate(seconds)
            entries.append(entry)
        except UnavailableError as reason:
            results[contestant.label] = {"skip": str(reason)}
        except RuntimeError as error:
            results[contestant.label] = {"skip": f"failed: {error}"}
        pool.settle()
    fastest = min((e.us for e in entries if e.contestant.is_peer), default=math.inf)
    for number in range(rounds):
        for entry in entries if number % 2 == 0 else reversed(entries):
            if number >= 2 and entry.contestant.is_peer and entry.us > SLOW * fastest:
                continue
            if entry.contestant.neighbour:
                with Neighbour():
                    entry.answers.append(entry.turn())
            else:
                entry.answers.append(quiet_turn(pool, entry))
            pool.settle()
    for entry in entries:
        label = entry.contestant.label
        try:
            results[label] = entry.result()
            entry.process.ask(do="drop", key=entry.key)
        except RuntimeError as error:
            results[label] = {"skip": f"failed: {error}"}
    return {c.label: results[c.label] for c in contestants}

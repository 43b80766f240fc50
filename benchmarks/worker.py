# SPDX-License-Identifier: BSD-3-Clause
"""One implementation in a process of its own, driven over pipes: `python -m benchmarks.worker`.

Requests and answers are JSON, one a line. A process each, because the thread pools of one library
spin for a while after its last call and would take the other's core.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
import traceback
from pathlib import Path

from benchmarks.implementations import UnavailableError, load


class Worker:
    """The tasks that this process holds, by key."""

    def __init__(self, implementation: str) -> None:
        self.module = load(implementation)
        self.tasks: dict[str, object] = {}

    def info(self) -> dict:
        return self.module.info()

    def make(self, key: str, task: str, spec: dict) -> dict:
        if task not in self.module.TASKS:
            raise UnavailableError(f"has no {task}")
        self.tasks[key] = self.module.TASKS[task](spec)
        return {"steps": getattr(self.tasks[key], "steps", 1)}

    def run(self, key: str, count: int) -> dict:
        task = self.tasks[key]
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        extra = task.run(count)
        seconds = time.perf_counter() - began
        cpu = last_cpu()
        gc.enable()
        return {"seconds": seconds, "cpu": cpu, **(extra or {})}

    def drop(self, key: str) -> dict:
        check = getattr(self.tasks[key], "check", None)
        if check is not None:
            check()
        del self.tasks[key]
        gc.collect()
        return {}


def last_cpu() -> int:
    """Return the number of the processor that this thread runs on; -1 where nobody says so."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[36])
    return -1


def main() -> None:
    if "BENCHMARKS_CPU" in os.environ:  # before a library counts the cores it may use
        os.sched_setaffinity(0, {int(os.environ["BENCHMARKS_CPU"])})
    # The pipe is ours alone: what a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        action = request.pop("do")
        try:
            if action == "start":
                worker = Worker(**request)
                answer = {}
            else:
                answer = getattr(worker, action)(**request)
        except UnavailableError as reason:
            answer = {"skip": str(reason)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

# SPDX-License-Identifier: BSD-3-Clause
"""Eight processes at once that train, each with as many threads as it takes, and each with one.

    python -m benchmarks.oversubscribed

What is printed is the CPU time of all eight, which waiting in vain makes longer, and the wall time,
which means something on an idle machine alone; in turns, and the ratios of the sums.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

WORK = """
import numpy as np, fastrelu
X = (np.arange(6400 * 784).reshape(6400, 784) % 97 / 64 - 0.75).astype("f4")
net = fastrelu.Network([784, 256, 128, 10])
trainer = fastrelu.Trainer(net, batch_size=128)
trainer.fit(X, X[:, :10], EPOCHS)
"""


def measured(threads: str | None, processes: int, epochs: int) -> tuple[float, float]:
    """CPU and wall seconds of all processes."""
    environment = {k: v for k, v in os.environ.items() if k != "FASTRELU_NUM_THREADS"}
    if threads is not None:
        environment["FASTRELU_NUM_THREADS"] = threads
    code = WORK.replace("EPOCHS", str(epochs))
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(processes)
    ]
    for one in started:
        if one.wait() != 0:
            raise SystemExit("a process has failed")
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begun
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    parser = argparse.ArgumentParser(description="Eight processes at once, with threads or one.")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    sums = {"default": [0.0, 0.0], "one": [0.0, 0.0]}
    for _ in range(given.turns):
        for name, threads in (("default", None), ("one", "1")):
            cpu, wall = measured(threads, given.processes, given.epochs)
            print(f"{name}: {cpu:.2f} s of CPU, {wall:.2f} s", flush=True)
            sums[name][0] += cpu
            sums[name][1] += wall
    cpu, wall = (a / b for a, b in zip(sums["default"], sums["one"], strict=True))
    print(f"default threads beside one: {cpu:.3f} times the CPU time, {wall:.3f} times the wall")


if __name__ == "__main__":
    main()

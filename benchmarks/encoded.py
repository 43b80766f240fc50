# SPDX-License-Identifier: BSD-3-Clause
"""Steps over encoded rows beside those over the raw numbers and over the same inputs as an array.

    python -m benchmarks.encoded [--features 30] [--pieces 48] [--batch 128] [--hidden 128 64]

The nets differ in their inputs alone: one for each number (raw), or `pieces` (encoded, array). Each
time is that of a step inside `Trainer.fit` over 8,192 rows, the least of several epochs; the CPU
time is that of all threads. Which of them runs is changed from epoch to epoch, so that a busy
machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import fastrelu
from benchmarks.report_tables import table as markdown

ROWS = 8192


def trainers(arguments: Any, optimizer: Any) -> dict[str, tuple[fastrelu.Trainer, Any]]:
    """Return a trainer and its rows for each kind of inputs."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(ROWS, arguments.features)).astype("float32")
    shares = np.linspace(0, 1, arguments.pieces + 1)
    encoded = fastrelu.EncodedRows.from_edges(numbers, list(np.quantile(numbers, shares, 0).T))
    y = np.sin(numbers[:, 0]) + numbers[:, 1]
    made = {}
    for name, X in (("raw", numbers), ("encoded", encoded), ("array", encoded.toarray())):
        net = fastrelu.Network([X.shape[1], *arguments.hidden, 1])
        trainer = fastrelu.Trainer(net, optimizer=optimizer, batch_size=arguments.batch)
        made[name] = trainer, trainer.prepare(X, y)
    return made


def microseconds(made: dict[str, tuple[fastrelu.Trainer, Any]], epochs: int) -> dict[str, Any]:
    """Return the time and the CPU time of a step of each, in microseconds."""
    best = {name: (np.inf, np.inf) for name in made}
    for _ in range(epochs):
        for name, (trainer, data) in made.items():
            steps = trainer.n_steps
            wall, cpu = time.perf_counter(), time.process_time()
            trainer.fit(data, epochs=1)
            took = time.perf_counter() - wall, time.process_time() - cpu
            steps = trainer.n_steps - steps
            best[name] = tuple(min(a, 1e6 * b / steps) for a, b in zip(best[name], took))  # noqa: B905
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--pieces", type=int, default=48)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--hidden", type=int, nargs="*", default=[128, 64])
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    rows = []
    for threads in (1, 2):
        fastrelu.set_num_threads(threads)
        for name, optimizer in (("SGD", fastrelu.SGD(1e-3)), ("Adam", fastrelu.Adam(1e-4))):
            best = microseconds(trainers(arguments, optimizer), arguments.epochs)
            raw = best["raw"][0]
            rows.append(
                [name, str(threads)]
                + [f"{wall:.1f}" for wall, _ in best.values()]
                + [f"{best[kind][0] / raw:.2f}" for kind in ("encoded", "array")]
            )
    names = ["optimizer", "threads", "raw", "encoded", "array", "encoded / raw", "array / raw"]
    print(markdown(names, rows))


if __name__ == "__main__":
    main()

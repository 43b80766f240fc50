# SPDX-License-Identifier: BSD-3-Clause
"""A population on two Dask workers of one thread each, beside one, and beside no cluster.

python -m benchmarks.dask_members            # needs the extra dask; --members 200 --epochs 30
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["FASTRELU_NUM_THREADS"] = "1"
    import distributed

    import fastrelu

    X = np.random.default_rng(0).normal(size=(arguments.rows, 8)).astype(np.float32)
    y = X[:, 0] * X[:, 1]

    def seconds(client) -> float:
        population = fastrelu.Population(
            [
                {"layer_sizes": [8, width, width, 1], "seed": seed, "optimizer": "adam"}
                for width in (8, 12, 16, 24)
                for seed in range(arguments.members // 4)
            ]
        )
        began = time.perf_counter()
        population.fit(X, y, epochs=arguments.epochs, client=client)
        return time.perf_counter() - began

    found: dict[str, list[float]] = {"alone": [], "one worker": [], "two workers": []}
    options = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    clusters = [distributed.LocalCluster(n_workers=n, **options) for n in (1, 2)]
    clients = [distributed.Client(cluster) for cluster in clusters]
    for client in clients:
        seconds(client)  # imports fastrelu there
    for _ in range(arguments.turns):
        for name, client in zip(found, (None, *clients), strict=True):
            found[name].append(seconds(client))
    best = {name: min(times) for name, times in found.items()}
    for name, each in best.items():
        print(f"{name}: {each:.2f} s, {best['one worker'] / each:.2f} times one worker's speed")
    for part in (*clients, *clusters):
        part.close()


if __name__ == "__main__":
    main()

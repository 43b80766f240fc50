# SPDX-License-Identifier: BSD-3-Clause
"""Bounds over many boxes or balls beside auto_LiRPA's CROWN, in one process on two threads.

    python benchmarks/bench_boxes.py [--boxes N] [--chunk ROWS]

Needs torch and auto_LiRPA. Prints seconds, CPU seconds and the median width of the bounds of both,
twice each in turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

import fastrelu

# Layer sizes, norm, radius.
CASES = [
    ([20, 64, 64, 3], np.inf, 0.05),
    ([20, 64, 64, 3], 2, 0.05),
    ([20, 64, 64, 3], np.inf, 0.2),
]


def networks(sizes: list[int]) -> tuple[fastrelu.Network, Any]:
    """Return the same random network here and in PyTorch."""
    net, layers = fastrelu.Network(sizes, seed=0), []
    rng = np.random.default_rng(0)
    for W, b in zip(net.weights, net.biases, strict=True):
        b[:] = rng.normal(size=b.shape) * 0.1
        layer = torch.nn.Linear(*W.shape)
        layer.weight.data = torch.tensor(W.T.copy())
        layer.bias.data = torch.tensor(b.copy())
        layers += [layer, torch.nn.ReLU()]
    return net, torch.nn.Sequential(*layers[:-1])


def timed(who: str, call: Callable[[], tuple[Any, Any]]) -> None:
    """Print what a call takes and how wide its bounds are."""
    start, cpu = time.perf_counter(), time.process_time()
    low, high = call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"  {who}: {seconds:.3g} s, CPU {cpu:.3g} s, median width {np.median(high - low):.6g}")


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--chunk", type=int, default=1000, help="of auto_LiRPA at once")
    args = parser.parse_args()
    torch.set_num_threads(2)
    for sizes, norm, radius in CASES:
        net, module = networks(sizes)
        X = np.random.default_rng(0).normal(size=(args.boxes, sizes[0])).astype("float32")
        bounded = BoundedModule(module, torch.empty(args.chunk, sizes[0]), device="cpu")

        def theirs(X: Any = X, bounded: Any = bounded, norm: Any = norm, r: float = radius) -> Any:
            parts = []
            for rows in np.array_split(X, max(1, len(X) // args.chunk)):
                region = BoundedTensor(torch.tensor(rows), PerturbationLpNorm(norm=norm, eps=r))
                low, high = bounded.compute_bounds(x=(region,), method="CROWN")
                parts.append((low.detach().numpy(), high.detach().numpy()))
            return tuple(np.concatenate(ends) for ends in zip(*parts, strict=True))

        def ours(X: Any = X, net: Any = net, norm: Any = norm, r: float = radius) -> Any:
            rows = X.astype("float64")
            if norm == 2:
                return net.output_bounds(ball=(rows, r))
            return net.output_bounds(rows - r, rows + r)

        print(sizes, "norm", norm, "radius", radius)
        for _ in range(2):
            timed("auto_LiRPA", theirs)
            timed("fastrelu", ours)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""Rows trained on in a second, from a Parquet file by blocks and from memory, side by side.

python -m benchmarks.make_big_parquet big.parquet --size 2GB
python -m benchmarks.streaming big.parquet

The file is read once before, so that it lies in the page cache. Both ways train the same network
on the same rows, an epoch in turn, the one first and then the other.
"""

from __future__ import annotations

import argparse
import statistics
import time

from fastrelu import Trainer
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.kinds import size
from fastrelu.app.preprocess import joined
from fastrelu.app.run.build import build
from fastrelu.app.run.feeder import Feeder, MemoryFeeder
from fastrelu.app.run.prepare import Prepared, prepare
from fastrelu.app.settings import merge


def trainer_of(data: Prepared, feeder: Feeder) -> Trainer:
    steps = feeder.steps_in_epoch()
    return build(data.settings, data.inputs, data.target, data.loss, steps)


def epoch(feeder: Feeder, trainer: Trainer) -> float:
    """Million rows a second."""
    began = time.perf_counter()
    assert feeder.run_epoch(trainer, lambda: False)
    return feeder.n_train / (time.perf_counter() - began) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--target", default="y")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--memory", default="256MB")
    parser.add_argument("--validation", type=float, default=0.1)
    parser.add_argument("--test", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=4)
    a = parser.parse_args()
    in_memory = None
    for batch in a.batch_sizes:
        settings = merge(
            {
                "hidden": (256, 128), "batch_size": batch, "epochs": 1, "memory": a.memory,
                "validation": a.validation, "test": a.test,
            }
        )  # fmt: skip
        stream = ParquetStream([a.path], ColumnChoice(target=a.target), size(a.memory))
        began = time.perf_counter()
        data = prepare(stream, settings)
        passes = time.perf_counter() - began
        streamed = data.feeder()
        in_memory = in_memory or joined(list(streamed.batches("train")))  # type: ignore[attr-defined]
        held = MemoryFeeder({"train": in_memory}, data.target, data.loss, batch)
        ways = {"memory": held, "stream": streamed}
        trainers = {name: trainer_of(data, feeder) for name, feeder in ways.items()}
        found: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(a.rounds):
            for name in sorted(ways, reverse=turn % 2 == 1):
                found[name].append(epoch(ways[name], trainers[name]))
        streamed.close()
        memory, streaming = (statistics.median(found[name]) for name in ("memory", "stream"))
        ratios = [s / m for s, m in zip(found["stream"], found["memory"], strict=True)]
        print(
            f"batch {batch}: memory {memory:.3f}, stream {streaming:.3f} million rows/s, ratio "
            f"{streaming / memory:.3f} (by turn {', '.join(f'{r:.2f}' for r in ratios)}); both "
            f"passes before {passes:.1f} s; blocks of {data.share.block_rows:,} rows"
        )


if __name__ == "__main__":
    main()

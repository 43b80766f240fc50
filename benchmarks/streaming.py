# SPDX-License-Identifier: BSD-3-Clause
"""Rows trained on in a second, from a file by blocks and from memory, side by side.

python -m benchmarks.make_big_parquet big.parquet --size 2GB
python -m benchmarks.streaming big.parquet

A Parquet, NPY or text file. It is read once before, so that it lies in the page cache. Both ways
train the same network on the same rows, an epoch in turn, the one first and then the other. The
first epoch of a stream decodes its rows and keeps them; the later ones read those. Where other
programs run, the ratio of the processor times says more than that of the times.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastrelu import Trainer
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.stream import open_stream
from fastrelu.app.kinds import size
from fastrelu.app.preprocess import joined
from fastrelu.app.run.build import build
from fastrelu.app.run.feeder import Feeder, MemoryFeeder
from fastrelu.app.run.prepare import Prepared, prepare
from fastrelu.app.settings import merge


def trainer_of(data: Prepared, feeder: Feeder) -> Trainer:
    steps = feeder.steps_in_epoch()
    return build(data.settings, data.inputs, data.target, data.loss, steps)


def epoch(feeder: Feeder, trainer: Trainer) -> tuple[float, float]:
    """Microseconds a row: of time, and of processor time."""
    began, used = time.perf_counter(), time.process_time()
    assert feeder.run_epoch(trainer, lambda: False)
    n = feeder.n_train / 1e6
    return (time.perf_counter() - began) / n, (time.process_time() - used) / n


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
        stream = open_stream([a.path], ColumnChoice(target=a.target), size(a.memory))
        assert stream is not None, "the file fits into --memory"
        began = time.perf_counter()
        data = prepare(stream, settings)
        passes = time.perf_counter() - began
        streamed = data.feeder()
        in_memory = in_memory or joined(list(streamed.batches("train")))  # type: ignore[attr-defined]
        held = MemoryFeeder({"train": in_memory}, data.target, data.loss, batch)
        ways = {"memory": held, "stream": streamed}
        trainers = {name: trainer_of(data, feeder) for name, feeder in ways.items()}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(a.rounds + 1):
            for name in sorted(ways, reverse=turn % 2 == 1):
                found[name].append(epoch(ways[name], trainers[name]))
        streamed.close()
        assert data.share is not None
        print(
            f"batch {batch}: {data.share.block_rows:,} rows a block, {passes:.1f} s for the passes "
            "before; of memory's speed, by time and by processor time:"
        )
        for what, epochs in (("first epoch", slice(0, 1)), ("later epochs", slice(1, None))):
            memory, stream_ = (np.median(found[name][epochs], axis=0) for name in ways)
            print(
                f"  {what}: {memory[0] / stream_[0]:.3f}, {memory[1] / stream_[1]:.3f} (memory "
                f"{memory[1]:.3f} us of processor time a row, stream {stream_[1]:.3f})"
            )


if __name__ == "__main__":
    main()

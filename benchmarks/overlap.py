# SPDX-License-Identifier: BSD-3-Clause
"""How much of an exchange of gradients is hidden behind the backward pass: a model, and a check.

    python -m benchmarks.overlap                                 # the model alone
    python -m benchmarks.overlap --measure --seconds wide=0.24   # and links emulated here

The model is that of `benchmarks.overlap_model`. The share that is hidden is what overlapping saves
of the time that the exchange of the whole gradient takes after the passes, at once.

`--measure` runs real steps of ranks that are threads, one thread of the core for each, joined by
links that sleep for as long as the model says, in place of what moves the bytes of a real network;
the sums take their time. What is hidden is then the part of the exchange that a step does not wait
for after its passes. It says the load of the machine, whose cores the ranks need.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from contextlib import contextmanager

import numpy as np

import fastrelu
from benchmarks.nets import GRID, net_of
from benchmarks.overlap_model import NETWORKS, SEGMENT_BYTES, exchange, hidden, step
from benchmarks.scale import seconds_of_step
from fastrelu.distributed import run_threads

NETS = ("mnist", "mid", "wide", "deep")
RANKS = (2, 4, 8)


class Linked:
    """A communicator of threads whose sums take as long as over a link, and the steps' times."""

    def __init__(self, comm, link: tuple[float, float]) -> None:
        self.rank, self.size, self.segment_bytes = comm.rank, comm.size, comm.segment_bytes
        self.begin_sum, self.abandon = comm.begin_sum, comm.abandon
        self.comm, self.link = comm, link
        self.at_once = comm._sum_now
        comm._sum_now = comm._behind._sum = self.sum_now
        self.ended = time.perf_counter()
        self.times: list[tuple[float, float]] = []  # of passes, and of waiting behind them

    def __getattr__(self, name: str):
        return getattr(self.comm, name)

    def sum_now(self, parts, counts, total, notes) -> None:
        began = time.perf_counter()
        self.at_once(parts, counts, total, notes)
        left = exchange(self.size, total.nbytes, *self.link) - (time.perf_counter() - began)
        time.sleep(max(left, 0.0))

    def sum_in_order(self, *arguments) -> None:
        began = time.perf_counter()
        self.comm.sum_in_order(*arguments)
        before, self.ended = self.ended, time.perf_counter()
        self.times.append((began - before, self.ended - began))


@contextmanager
def one_thread():
    """Let the core use one thread for each rank."""
    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(1)
    try:
        yield
    finally:
        fastrelu.set_num_threads(before)


def alone(name: str, epochs: int) -> float:
    """Return the seconds of a step of one process with one thread."""
    with one_thread():
        return seconds_of_step(name, None, epochs=epochs)


def measured(
    name: str, ranks: int, link: tuple[float, float], least: int | None, epochs: int
) -> np.ndarray:
    """Return the medians of the seconds of passes, and of what a step waits after them."""

    def work(comm) -> list[tuple[float, float]]:
        linked = Linked(comm, link)
        seconds_of_step(name, linked, epochs=epochs)
        return linked.times[1:]

    with one_thread():
        return np.median(np.concatenate(run_threads(ranks, work, least)), axis=0)


def model_table(seconds: dict[str, float]) -> list[str]:
    """Return the hidden shares of nets over networks, and the steps' times."""
    lines = [
        "| net, minibatch | network | ranks | exchange | hidden | a step, at once | overlapped |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for (name, one), (label, link), ranks in itertools.product(
        seconds.items(), NETWORKS.items(), RANKS
    ):
        widths = net_of({"net": name}).widths
        behind, overlapped = step(one, widths, ranks, link)
        cells = (
            f"{1e3 * (behind - one / ranks):.2f} ms",
            f"{100 * hidden(one, widths, ranks, link):.0f} %",
            f"{1e3 * behind:.2f} ms",
            f"{1e3 * overlapped:.2f} ms",
        )
        net = f"{name}, {GRID[name].batch}"
        lines.append(f"| {net} | {label} | {ranks} | {' | '.join(cells)} |")
    return lines


def check_table(arguments) -> list[str]:
    """Return what steps over emulated links took, beside the model of passes that take as long."""
    lines = [
        "| net | link | ranks | passes | exchange, at once | passes | left, overlapped | hidden | "
        "in the model |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ranks = arguments.ranks
    for name, rate in itertools.product(arguments.nets, arguments.rates):
        link = arguments.delay, rate / 8
        passes, whole = measured(name, ranks, link, None, arguments.epochs)
        beside, left = measured(name, ranks, link, SEGMENT_BYTES, arguments.epochs)
        model = hidden(ranks * beside, net_of({"net": name}).widths, ranks, link)
        cells = " | ".join(f"{1e3 * t:.0f} ms" for t in (passes, whole, beside, left))
        cells += "".join(f" | {100 * share:.0f} %" for share in (1 - left / whole, model))
        lines.append(f"| {name} | {rate / 1e9:g} Gb/s | {ranks} | {cells} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(GRID))
    parser.add_argument("--seconds", nargs="*", default=[], metavar="NET=SECONDS",
                        help="steps of one thread, not measured here")  # fmt: skip
    parser.add_argument("--measure", action="store_true", help="steps over emulated links, too")
    parser.add_argument("--ranks", type=int, default=2, help="of these steps")
    parser.add_argument("--epochs", type=int, default=3, help="of a measurement")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e9, 1e10],
                        help="of the emulated links, bits a second")  # fmt: skip
    parser.add_argument("--delay", type=float, default=20e-6, help="of a message, seconds")
    arguments = parser.parse_args()
    given = dict(each.split("=") for each in arguments.seconds)
    seconds = {
        name: float(given[name]) if name in given else alone(name, arguments.epochs)
        for name in arguments.nets
    }
    lines = [f"a step of one thread: {name} {1e3 * s:.2f} ms" for name, s in seconds.items()]
    lines += ["", *model_table(seconds)]
    if arguments.measure:
        lines += ["", *check_table(arguments)]
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        lines += ["", f"load of 1, 5 and 15 minutes on {os.cpu_count()} cores: {load}"]
    print("\n".join(lines))


if __name__ == "__main__":
    main()

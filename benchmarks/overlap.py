# SPDX-License-Identifier: BSD-3-Clause
"""How much of an exchange of gradients is hidden behind the backward pass: a model, and a check.

    python -m benchmarks.overlap                                 # the model alone
    python -m benchmarks.overlap --measure --seconds wide=0.24   # and links emulated here

The model is that of `benchmarks.overlap_model`. The share that is hidden is what overlapping saves
of the time that the exchange of the whole gradient takes after the passes, at once.

`--measure` runs real steps of ranks that are threads, one thread of the core for each, joined by
links that sleep for as long as the model says, in place of what moves the bytes of a real network;
the sums take their time. It says the load of the machine, whose cores the ranks need.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import time
from contextlib import contextmanager

import fastrelu
from benchmarks.nets import GRID, net_of
from benchmarks.overlap_model import NETWORKS, SEGMENT_BYTES, exchange, hidden, step
from benchmarks.scale import seconds_of_step
from fastrelu.distributed import run_threads

NETS = ("mnist", "mid", "wide", "deep")
RANKS = (2, 4, 8)


def linked(comm, link: tuple[float, float]):
    """Return a communicator of threads whose sums take as long as over such a link."""

    def sum_now(parts, counts, total, notes) -> None:
        began = time.perf_counter()
        at_once(parts, counts, total, notes)
        left = exchange(comm.size, total.nbytes, *link) - (time.perf_counter() - began)
        time.sleep(max(left, 0.0))

    at_once = comm._sum_now
    comm._sum_now = comm._behind._sum = sum_now
    return comm


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
) -> float:
    """Return the seconds of a step of ranks that are threads, joined by links that sleep."""

    def work(comm) -> float:
        return seconds_of_step(name, linked(comm, link), epochs=epochs)

    with one_thread():
        return max(run_threads(ranks, work, least))


def in_turn(name: str, ranks: int, link: tuple[float, float], arguments) -> tuple[float, ...]:
    """Return the seconds of steps over links of no time, over this one at once, and overlapped.

    Of several rounds, one after another as the load changes, each one's best.
    """
    free = (0.0, math.inf)
    kinds = (free, None), (link, None), (link, SEGMENT_BYTES)
    rounds = [
        [measured(name, ranks, each, least, arguments.epochs) for each, least in kinds]
        for _ in range(arguments.rounds)
    ]
    return tuple(min(times) for times in zip(*rounds, strict=True))


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
        "| net | link | ranks | without | at once | model | overlapped | model | hidden | model |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, rate in itertools.product(arguments.nets, arguments.rates):
        link = arguments.delay, rate / 8
        free, at_once, ahead = in_turn(name, arguments.ranks, link, arguments)
        one, widths = arguments.ranks * free, net_of({"net": name}).widths
        times = step(one, widths, arguments.ranks, link)
        cells = " | ".join(f"{1e3 * t:.0f} ms" for t in (free, at_once, times[0], ahead, times[1]))
        shares = (at_once - ahead) / (at_once - free), hidden(one, widths, arguments.ranks, link)
        cells += "".join(f" | {100 * share:.0f} %" for share in shares)
        lines.append(f"| {name} | {rate / 1e9:g} Gb/s | {arguments.ranks} | {cells} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(GRID))
    parser.add_argument("--seconds", nargs="*", default=[], metavar="NET=SECONDS",
                        help="steps of one thread, not measured here")  # fmt: skip
    parser.add_argument("--measure", action="store_true", help="steps over emulated links, too")
    parser.add_argument("--ranks", type=int, default=2, help="of these steps")
    parser.add_argument("--epochs", type=int, default=3, help="the best of which counts")
    parser.add_argument("--rounds", type=int, default=3, help="the best of which counts")
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

# SPDX-License-Identifier: BSD-3-Clause
"""How much of an exchange of gradients is hidden behind the backward pass: a model, and a check.

    python -m benchmarks.overlap                                 # the model alone
    python -m benchmarks.overlap --measure --seconds wide=0.24   # and links emulated here

The model is that of `benchmarks.overlap_model`. The share that is hidden is what overlapping saves
of the time that the exchange of the whole gradient takes after the passes, at once.

`--measure` runs real steps of ranks that are threads, one thread of the core for each, whose sums
are joined by links that sleep for as long as the model says: such an exchange costs no core its
time. It says the load of the machine, whose cores the ranks need.
"""

from __future__ import annotations

import argparse
import itertools
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
    name: str, ranks: int, link: tuple[float, float], epochs: int, least: int | None
) -> float:
    """Return the seconds of a step of ranks that are threads, joined by links that sleep."""

    def work(comm) -> float:
        return seconds_of_step(name, linked(comm, link), epochs=epochs)

    with one_thread():
        return max(run_threads(ranks, work, least))


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


def check_table(seconds: dict[str, float], ranks: int, epochs: int) -> list[str]:
    """Return what steps over emulated links took, beside the model."""
    lines = [
        "| net | network | ranks | at once | in the model | overlapped | in the model | hidden | "
        "in the model |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, one), (label, link) in itertools.product(seconds.items(), NETWORKS.items()):
        widths = net_of({"net": name}).widths
        behind, overlapped = step(one, widths, ranks, link)
        at_once = measured(name, ranks, link, epochs, None)
        ahead = measured(name, ranks, link, epochs, SEGMENT_BYTES)
        whole = behind - one / ranks
        times = (at_once, behind, ahead, overlapped)
        cells = " | ".join(f"{1e3 * t:.1f} ms" for t in times)
        shares = (at_once - ahead) / whole, (behind - overlapped) / whole
        cells += "".join(f" | {100 * share:.0f} %" for share in shares)
        lines.append(f"| {name} | {label} | {ranks} | {cells} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(GRID))
    parser.add_argument("--seconds", nargs="*", default=[], metavar="NET=SECONDS",
                        help="steps of one thread, not measured here")  # fmt: skip
    parser.add_argument("--measure", action="store_true", help="steps over emulated links, too")
    parser.add_argument("--ranks", type=int, default=2, help="of these steps")
    parser.add_argument("--epochs", type=int, default=3, help="the best of which counts")
    arguments = parser.parse_args()
    given = dict(each.split("=") for each in arguments.seconds)
    seconds = {
        name: float(given[name]) if name in given else alone(name, arguments.epochs)
        for name in arguments.nets
    }
    lines = [f"a step of one thread: {name} {1e3 * s:.2f} ms" for name, s in seconds.items()]
    lines += ["", *model_table(seconds)]
    if arguments.measure:
        lines += ["", *check_table(seconds, arguments.ranks, arguments.epochs)]
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        lines += ["", f"load of 1, 5 and 15 minutes on {os.cpu_count()} cores: {load}"]
    print("\n".join(lines))


if __name__ == "__main__":
    main()

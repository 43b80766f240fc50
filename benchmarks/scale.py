# SPDX-License-Identifier: BSD-3-Clause
"""How steps scale over processes: measured here, fitted, and predicted for up to 1,024 ranks.

    python -m benchmarks.scale --out scale        # needs mpi4py, mpiexec and matplotlib

measures, for each net, a step of one process with one and two threads and of two processes with one
thread each (and with twice the minibatch), and the exchange of sums of several sizes between two
processes; with ``--hosts 2 4``, as root, the same on hosts that links of a given rate and round
trip join (benchmarks.hosts). To the exchanges it
fits a latency and a bandwidth,

    t(P, n) = latency * ((P - 1) + log2 P) + 2 (P - 1) / P * n bytes / bandwidth

(an all-to-all, P - 1 messages, and an all-gather, log2 P rounds, that both move (P - 1) / P of the
gradient), and from it and the step of one process, whose work is shared evenly, predicts the time
of a step on P ranks of this machine's kind, joined by networks of given latency and bandwidth. The
crossover is the least P whose step is faster than one rank's. It writes scale.json, scale.md and
scale.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.hosts import joined
from benchmarks.nets import net_of
from benchmarks.overlap_model import NETWORKS, exchange, hidden

NETS = {"digits": 40, "mnist": 40, "wide": 4}  # and the steps of an epoch
LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)
RANKS = tuple(2**k for k in range(11))


def best(call, repeats: int, count: int) -> float:
    """Return the seconds of a call: of several runs of `count` calls the best mean."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(count):
            call()
        found.append((time.perf_counter() - began) / count)
    return min(found)


def seconds_of_step(name: str, comm, grown: bool = False, epochs: int = 3) -> float:
    """Return the seconds of a step inside `fit`, its exchange included.

    `grown`: the minibatch grows with the ranks, so that each has as many rows as one alone.
    """
    import fastrelu

    spec = net_of({"net": name})
    size = 1 if comm is None else comm.size
    network = fastrelu.Network(list(spec.widths), seed=0)
    batch = spec.batch * (size if grown else 1)
    trainer = fastrelu.Trainer(network, batch_size=batch, n_shards=size, comm=comm)
    rng = np.random.default_rng(0)
    steps = NETS.get(name, 20)
    n = steps * batch
    own = trainer.own_rows(n)
    X = rng.normal(size=(n, spec.widths[0])).astype(np.float32)[own.start : own.stop]
    y = rng.normal(size=(n, spec.widths[-1])).astype(np.float32)[own.start : own.stop]
    data = trainer.prepare(X, y)
    trainer.run_epoch(data)
    return min(trainer.run_epoch(data).seconds for _ in range(epochs)) / steps


def seconds_of_exchange(comm, length: int) -> float:
    """Return the seconds of one sum in order of a part of each rank."""
    part, total = np.ones((1, length), np.float32), np.empty(length, np.float32)
    notes, counts = np.zeros((comm.size, 2)), (1,) * comm.size

    def call() -> None:
        comm.sum_in_order(part, counts, total, notes)

    call()
    once = comm.broadcast(best(call, 1, 2))  # all make as many calls
    return best(call, 3, max(1, min(200, int(0.3 / once))))


def measured() -> dict:
    """Return what this process, or each of those of mpiexec, measures."""
    comm = None
    if "mpi4py" in sys.modules:
        from mpi4py import MPI

        from fastrelu.distributed import as_communicator

        comm = as_communicator(MPI.COMM_WORLD)
    found = {"steps": {name: seconds_of_step(name, comm) for name in NETS}}
    if comm is not None:
        found["grown"] = {name: seconds_of_step(name, comm, True) for name in NETS}
        found["exchanges"] = {n: seconds_of_exchange(comm, n) for n in LENGTHS}
        found["rank"] = comm.rank
    return found


def run(threads: int, ranks: int, mpiexec: list[str] | None = None) -> dict:
    """Return what `measured` says with so many ranks and threads for each, begun by `mpiexec`."""
    command = [sys.executable, "-m", "benchmarks.scale", "--measure"]
    if mpiexec is not None:
        command = [*mpiexec, sys.executable, "-m", "mpi4py", *command[1:]]
    elif ranks > 1:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        found = shutil.which("mpiexec", path=path)
        if found is None:
            sys.exit("mpiexec is not there: pip install mpi4py mpich")
        command = [found, "-n", str(ranks), sys.executable, "-m", "mpi4py", *command[1:]]
    environment = {**os.environ, "FASTRELU_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("{")]
    return json.loads(line)


def fitted(exchanges: dict[str, float], ranks: int = 2) -> tuple[float, float]:
    """Return the latency and the bandwidth that suit the exchanges, by relative least squares."""
    lengths = np.array([int(n) for n in exchanges], float)
    seconds = np.array(list(exchanges.values()))
    terms = np.stack(
        [
            np.full(len(lengths), (ranks - 1) + math.log2(ranks)),
            2 * (ranks - 1) / ranks * 4 * lengths,
        ],
        axis=1,
    )
    (latency, each), *_ = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(seconds)), None)
    return max(latency, 1e-9), 1 / max(each, 1e-13)


def predicted(one: float, n_bytes: float, batch: int, latency: float, bandwidth: float) -> dict:
    """Return the seconds of a step by rank, for as many ranks as a minibatch has rows."""
    ranks = [p for p in RANKS if p <= batch]
    return {p: one / p + exchange(p, n_bytes, latency, bandwidth) for p in ranks}


def hosts_report(results: dict) -> list[str]:
    """Return what hosts of their own have needed, beside the model of their links."""
    lines = [
        "", "| hosts, link | net | a step | in the model | minibatch grown | exchange of 4 MB |",
        "|---|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for label, found in results["hosts"].items():
        ranks, (delay, rate) = found["ranks"], found["link"]
        for name in NETS:
            spec = net_of({"net": name})
            n_bytes = 4 * parameters(spec.widths)
            model = results["one"]["steps"][name] / ranks + exchange(
                ranks, n_bytes, delay / 2, rate / 8
            )
            times = found["steps"][name], model, found["grown"][name]
            cells = " | ".join(f"{1e3 * t:.1f} ms" for t in times)
            big = 1e3 * found["exchanges"]["1000000"]
            lines.append(f"| {label} | {name} | {cells} | {big:.0f} ms |")
    return lines


def parameters(widths) -> int:
    """Return the number of a network's parameters."""
    return sum((a + 1) * b for a, b in itertools.pairwise(widths))


def report(results: dict) -> tuple[str, dict]:
    """Return the tables, and the predicted efficiencies by network and net."""
    latency, bandwidth = results["fit"]
    lines = [
        "| net | 1 process, 1 thread | 1 process, 2 threads | 2 processes | predicted | "
        "twice the minibatch, 2 processes | could hide at 10 Gb/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    curves: dict = {}
    for name in NETS:
        one, two, shared = (results[key]["steps"][name] for key in ("one", "threads", "ranks"))
        spec = net_of({"net": name})
        n_bytes = 4 * parameters(spec.widths)
        here = one / 2 + exchange(2, n_bytes, latency, bandwidth)
        grown = results["ranks"]["grown"][name]
        cells = " | ".join(f"{1e6 * t:.0f} us" for t in (one, two, shared, here, grown))
        share = hidden(one, spec.widths, 2, NETWORKS["10 Gb/s, 20 us"])
        lines.append(f"| {name} | {cells} | {100 * share:.0f} % |")
        links = {"this machine": (latency, bandwidth), **NETWORKS}
        for link, (wait, width) in links.items():
            for factor in (1, 16):
                batch = factor * spec.batch
                times = predicted(factor * one, n_bytes, batch, wait, width)
                curves[f"{name}, {batch} rows", link] = {
                    p: factor * one / (p * t) for p, t in times.items()
                }
    lines += ["", f"latency {1e6 * latency:.1f} us, bandwidth {bandwidth / 1e9:.2f} GB/s", ""]
    lines += ["| net, minibatch | network | pays from | fastest at | efficiency at 2, 8, 64, 512 |"]
    lines += ["|---|---|---:|---:|---|"]
    for (name, link), curve in curves.items():
        faster = [p for p, e in curve.items() if p > 1 and p * e > 1]
        top = max(curve, key=lambda p, curve=curve: p * curve[p])
        shares = ", ".join(f"{100 * curve[p]:.0f} %" for p in (2, 8, 64, 512) if p in curve)
        lines.append(f"| {name} | {link} | {min(faster, default='-')} | {top} | {shares} |")
    if results["hosts"]:
        lines += hosts_report(results)
    return "\n".join(lines) + "\n", curves


def draw(curves: dict, path: Path) -> None:
    """Draw the efficiencies, a picture for each network."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from fastrelu.plot.axes import COLOURS

    links = list(dict.fromkeys(link for _, link in curves))
    figure, axes = plt.subplots(
        1, len(links), figsize=(4 * len(links) + 2, 3.5), sharey=True, layout="constrained"
    )
    for ax, link in zip(axes, links, strict=True):
        ax.set_prop_cycle(color=COLOURS)
        for (name, of), curve in curves.items():
            if of == link:
                ax.plot(list(curve), list(curve.values()), marker=".", label=name)
        ax.set(xscale="log", title=link, xlabel="ranks", ylim=(0, 1.05))
    axes[0].set_ylabel("efficiency")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("scale"), help="folder for the results")
    parser.add_argument("--hosts", type=int, nargs="*", default=[], help="also on so many hosts "
                        "of benchmarks.hosts, as root: 2 4")  # fmt: skip
    parser.add_argument("--rate", type=float, default=1e9, help="of their links, bits a second")
    parser.add_argument("--delay", type=float, default=10e-3, help="seconds of a round trip")
    arguments = parser.parse_args()
    if arguments.measure:
        found = measured()
        if found.pop("rank", 0) == 0:
            print(json.dumps(found))
        return
    results: dict = {"one": run(1, 1), "threads": run(2, 1), "ranks": run(1, 2)}
    results["fit"] = fitted(results["ranks"]["exchanges"])
    results["hosts"] = {}
    for count in arguments.hosts:
        with joined(count, arguments.rate, arguments.delay) as mpiexec:
            label = f"{count}, {arguments.rate / 1e9:g} Gb/s, {1e3 * arguments.delay:g} ms"
            link = arguments.delay, arguments.rate
            results["hosts"][label] = {**run(1, count, mpiexec), "ranks": count, "link": link}
    text, curves = report(results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "scale.json").write_text(json.dumps(results, indent=1))
    (arguments.out / "scale.md").write_text(text)
    draw(curves, arguments.out / "scale.png")
    print(text)


if __name__ == "__main__":
    main()

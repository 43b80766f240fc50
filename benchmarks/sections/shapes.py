# SPDX-License-Identifier: BSD-3-Clause
"""How a step's time depends on the net's width and the minibatch's rows."""

from __future__ import annotations

from typing import Any

from benchmarks.nets import Net
from benchmarks.sections.common import Results, Run, line, ratio, show
from benchmarks.turns import Contestant

WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024,
           1536, 2048, 3072, 4096)  # fmt: skip
# An odd size and the round one beside it.
ODD_WIDTHS = ((63, 64), (65, 64), (7, 8), (1, 8), (1000, 1024))
ODD_BATCHES = ((7, 8), (31, 32), (33, 32), (63, 64), (65, 64), (127, 128), (129, 128), (1000, 1024))


def width_net(width: int) -> Net:
    return Net((width, width, width), 128)


def batch_net(batch: int) -> Net:
    return Net((256, 256, 256, 10), batch)


def spell(net: Net) -> dict[str, Any]:
    return {"widths": net.widths, "batch": net.batch}


def width(run: Run) -> dict[str, Any]:
    """Measure the step of w-w-w nets, 128 rows, against w."""
    sizes = WIDTHS[::4] if run.options.quick else WIDTHS
    return sweep(run, {w: width_net(w) for w in sizes})


def batch(run: Run) -> dict[str, Any]:
    """Measure the step of 256-256-256-10 against the rows of a minibatch."""
    sizes = BATCHES[::6] if run.options.quick else BATCHES
    return sweep(run, {b: batch_net(b) for b in sizes})


def sweep(run: Run, nets: dict[int, Net]) -> dict[str, Any]:
    found = {}
    rounds, run.options.rounds = run.options.rounds, min(run.options.rounds, 3)
    for size, net in nets.items():
        spec = spell(net)
        contestants = [Contestant("fastrelu", "core", "fit", {**spec, "hot": True})]
        if "NumPy" in run.options.peers:
            contestants.append(Contestant("NumPy", "numpy_user", "step", spec))
        if "jax scan 64" in run.options.peers and net.step_flops < 4e9 and size & (size - 1) == 0:
            contestants.append(Contestant("jax scan 64", "jax_scan", "step", spec))
        found[str(size)] = run.race(contestants, net)
        print(line(str(size), found[str(size)]), flush=True)
    run.options.rounds = rounds
    return found


def odd(run: Run) -> dict[str, Any]:
    """Measure odd widths (four layers of 128 rows) and odd batches beside round ones."""
    found: dict[str, Any] = {}
    for kind, pairs, make in (
        ("width", ODD_WIDTHS, lambda w: Net((w,) * 4, 128)),
        ("batch", ODD_BATCHES, batch_net),
    ):
        sizes = sorted({size for pair in pairs for size in pair})
        contestants = [
            Contestant(str(size), "core", "fit", {**spell(make(size)), "hot": True})
            for size in sizes
        ]
        results = found[kind] = run.race(contestants)
        for size, neighbour in pairs:
            below = rate_below(results, make, size, neighbour)
            time = ratio(results[str(size)].get("us"), results[str(neighbour)].get("us"))
            print(
                f"{kind} {size} against {neighbour}: time x{show(time)}, "
                f"multiply-adds a second {show(below, '{:.1%}')} below",
                flush=True,
            )
    return found


def rate_below(results: Results, make: Any, size: int, neighbour: int) -> float | None:
    """Return by how much the odd size's multiply-adds a second fall short of the round one's."""
    if "us" not in results[str(size)] or "us" not in results[str(neighbour)]:
        return None
    rates = [make(s).step_flops / results[str(s)]["us"] for s in (size, neighbour)]
    return 1 - rates[0] / rates[1]

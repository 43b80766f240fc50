# SPDX-License-Identifier: BSD-3-Clause
"""Populations beside one network after the other, and beside peers, in turns.

    python -m benchmarks.bench_population [--rounds N] [--seconds S] [--only NAME ...]
                                          [--out FOLDER]

Prints microseconds of a member's step, and writes populations.json, populations.md and
populations.png to the folder. Each contestant lives in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import fastrelu
from benchmarks.build import build_roofs, compiler
from benchmarks.machine import cpu_model, versions
from benchmarks.populations import CASES
from benchmarks.sections.common import roof
from benchmarks.turns import Contestant, Pool, race

CORES = len(os.sched_getaffinity(0))
MOST_STEPS = 400  # of the peers that take one shape: a run is then long enough


def contestants(name: str) -> list[Contestant]:
    """Return what is held side by side for a case."""
    members = min(4, len(CASES[name].widths))

    def ours(label: str, threads: str = "", **spec: Any) -> Contestant:
        env = {"FASTRELU_NUM_THREADS": threads} if threads else {}
        return Contestant(label, "core_population", "population", {"case": name, **spec}, env)

    def peer(label: str, implementation: str, **spec: Any) -> Contestant:
        return Contestant(label, implementation, "population", {"case": name, **spec})

    isa = str(fastrelu.get_isa())
    return [
        ours("population", together=True),
        ours("population, same order", together=True, same_order=True),
        ours("population, one thread", "1", together=True),
        ours("one after the other", together=False),
        peer("scikit-learn, joblib", "sklearn_population", members=members),
        peer("torch, bmm", "torch_population", most_steps=MOST_STEPS),
        peer("torch, bmm, one thread", "torch_population", most_steps=MOST_STEPS, threads=1),
        peer("jax, vmap", "jax_population", most_steps=MOST_STEPS),
        *(roof(isa, "tile float32", n, label=f"roof {n}") for n in sorted({1, CORES})),
    ]


def table(results: dict[str, Any]) -> str:
    """Return the microseconds of a member's step, and how many times longer than ours."""
    labels = list(dict.fromkeys(label for found in results.values() for label in found))
    labels = [label for label in labels if not label.startswith("roof ")]
    lines = ["| members | " + " | ".join(labels) + " |", "|---" + "|---:" * len(labels) + "|"]
    for name, found in results.items():
        ours = found["population"]["us"]
        cells = []
        for label in labels:
            us = found[label].get("us")
            if us is None:
                cells.append("-")
            elif label == "population":
                cells.append(f"**{us:.3g}**")
            else:
                cells.append(f"{us:.3g} (x{us / ours:.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def roofs(results: dict[str, Any]) -> dict[int, float]:
    """Return the GFLOP/s of the tile on one core and on all, in the mean over the cases."""
    rates = {
        n: [found[f"roof {n}"].get("rate", 0.0) for found in results.values()]
        for n in sorted({1, CORES})
    }
    return {n: statistics.mean(of_n) / 1e9 for n, of_n in rates.items() if all(of_n)}


def picture(results: dict[str, Any], path: Path) -> None:
    """Draw the speed of one network and of many under the roofs of one core and of all."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    names = list(results)
    for shift, label, colour in (
        (-0.2, "one after the other", "#999999"),
        (0.2, "population", "#1f77b4"),
    ):
        rates = [CASES[n].flops / results[n][label]["us"] / 1e3 for n in names]
        places = [i + shift for i in range(len(names))]
        bars = axes.bar(places, rates, 0.38, label=label, color=colour)
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    for cores, rate in roofs(results).items():
        axes.axhline(rate, linestyle="--" if cores == 1 else "-", color="black", linewidth=1)
        text = f"tile roof of {cores} core{'s' * (cores > 1)}"
        axes.annotate(text, (-0.4, rate), va="bottom", fontsize=8)
    axes.set_ylim(0, 1.3 * max([axes.get_ylim()[1], *roofs(results).values()]))
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right", fontsize=8)
    axes.set_ylabel("GFLOP/s of training")
    axes.set_title("The same networks, one after the other and as a population")
    axes.legend(loc="upper right", ncols=2, fontsize=8)
    figure.savefig(path, dpi=130)


def text(results: dict[str, Any]) -> str:
    """Return the table, with what it was measured on."""
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    limits = ", ".join(f"{rate:.0f} on {n}" for n, rate in roofs(results).items())
    return (
        "Microseconds of a member's step, and over the population's; medians of turns.\n\n"
        f"- {cpu_model()}, {CORES} cores, {fastrelu.get_isa()}; tile roof in GFLOP/s: {limits}\n"
        f"- {found}\n\n{table(results)}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    compiled = compiler()
    if compiled is not None:
        print(*build_roofs(compiled), sep="\n", end="", file=sys.stderr)
    results = {}
    for name in chosen.only:
        with Pool() as pool:
            results[name] = race(pool, contestants(name), chosen.rounds, chosen.seconds)
        print(table({name: results[name]}), flush=True)
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "populations.json").write_text(json.dumps(results, indent=1))
        (chosen.out / "populations.md").write_text(text(results))
        picture(results, chosen.out / "populations.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-3-Clause
"""One run: its options, its worker processes, and the contestants that many sections share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import environments
from benchmarks.environments import HERE, Place
from benchmarks.nets import GRID, Net
from benchmarks.turns import Contestant, Pool, race

Results = dict[str, dict[str, Any]]
ONE_THREAD = {"FASTRELU_NUM_THREADS": "1"}
UNROLLED_4, UNROLLED_8 = {"scan": 512, "unroll": 4}, {"scan": 512, "unroll": 8}
OLD_JAX = environments.old_jax()
# Peers of a training step: label -> (implementation, more of the specification, place).
PEERS: dict[str, tuple[str, dict[str, Any], Place]] = {
    "NumPy": ("numpy_user", {}, HERE),
    "NumPy, MKL": ("numpy_user", {}, environments.mkl()),
    "Cython": ("cython_user", {}, HERE),
    "torch eager": ("torch_eager", {}, HERE),
    "torch.compile": ("torch_compile", {}, HERE),
    "torch.compile, tuned": ("torch_compile", {"mode": "max-autotune"}, HERE),
    "jax jit": ("jax_jit", {}, HERE),
    "jax scan 64": ("jax_scan", {}, HERE),
    "jax scan, unroll 8": ("jax_scan", UNROLLED_8, HERE),
    "jax 0.4.31, unroll 4": ("jax_scan", UNROLLED_4, OLD_JAX),
    "jax 0.4.31, unroll 8": ("jax_scan", UNROLLED_8, OLD_JAX),
    "sklearn, a call a step": ("sklearn_peer", {}, HERE),
    "sklearn, a call for 64": ("sklearn_peer", {"many": True}, HERE),
}
# Those of one library stand in one column of a table, by the fastest of them.
FAMILIES = {
    "NumPy": ("NumPy", "NumPy, MKL"),
    "torch": ("torch eager", "torch.compile", "torch.compile, tuned"),
    "jax": tuple(label for label in PEERS if label.startswith("jax")),
    "scikit-learn": ("sklearn, a call a step", "sklearn, a call for 64"),
}


@dataclass
class Options:
    """What the command line chose."""

    nets: list[str] = field(default_factory=lambda: list(GRID))
    rounds: int = 7
    seconds: float = 0.25
    quick: bool = False
    peers: list[str] = field(default_factory=lambda: list(PEERS))
    also: list[str] = field(default_factory=list)  # names of other builds of fastrelu


class Run:
    """Options, worker processes, and what was measured so far."""

    def __init__(
        self, options: Options, pool: Pool, builds: Mapping[str, Place] | None = None
    ) -> None:
        self.options = options
        self.builds = dict(builds or {})
        self.pool = pool
        self.core = pool.get("core").ask(do="info")
        self.isa: str = self.core["isa"]
        self.cores = len(os.sched_getaffinity(0))

    def race(self, contestants: Sequence[Contestant], net: Net | None = None) -> Results:
        """Measure these in turns; a net with steps of a tenth of a second gets few rounds.

        What fastrelu does here, every other build of it does right after.
        """
        contestants = [each for c in contestants for each in self.by_every_build(c)]
        rounds = self.options.rounds
        if net is not None and net.step_flops > 4e9:
            rounds = min(rounds, 3)
        return race(self.pool, contestants, rounds, self.options.seconds)

    def by_every_build(self, contestant: Contestant) -> list[Contestant]:
        others = self.builds.items() if contestant.implementation == "core" else ()
        return [
            contestant,
            *(
                replace(contestant, label=also_label(contestant.label, name), place=place)
                for name, place in others
            ),
        ]

    def nets(self, among: Sequence[str] = tuple(GRID)) -> dict[str, Net]:
        return {name: GRID[name] for name in self.options.nets if name in among}

    def fit_rows(self, net: Net) -> int:
        """50,000 rows, but in a quick run no more than 16 steps' worth of large nets."""
        return 16 * net.batch if self.options.quick and net.step_flops > 2e8 else 50_000

    def peers(
        self, spec: dict[str, Any], among: Sequence[str] = tuple(PEERS), **env: str
    ) -> list[Contestant]:
        return [
            peer(label, PEERS[label][0], "step", {**spec, **PEERS[label][1]}, PEERS[label][2], env)
            for label in self.options.peers
            if label in among
        ]


def peer(
    label: str,
    implementation: str,
    task: str,
    spec: dict[str, Any],
    place: Place = HERE,
    env: dict[str, str] | None = None,
) -> Contestant:
    return Contestant(label, implementation, task, spec, dict(env or {}), place, is_peer=True)


def also_label(label: str, build: str) -> str:
    """Return the label of what another build of fastrelu does."""
    return f"{label} [{build}]"


def is_also(label: str) -> bool:
    return label.endswith("]")


def of_build(label: str) -> str:
    """Return the label without the name of another build, if it has one."""
    return label.partition(" [")[0] if is_also(label) else label


def roof(isa: str, probe: str, threads: int, n_bytes: int = 0, label: str = "") -> Contestant:
    """Return the probe as a contestant; short, as it shares the rounds with what it limits."""
    spec = {"isa": isa, "probe": probe, "threads": threads, "bytes": n_bytes}
    return Contestant(label or f"roof {threads}", "roof", "roof", spec, at_most=0.06)


def microseconds(results: Results, label: str) -> float | None:
    """Return a contestant's time a step, None where it did not run."""
    return results.get(label, {}).get("us")


def fastest_peer(results: Results, among: Sequence[str]) -> tuple[str, float] | None:
    times = [(label, results[label]["us"]) for label in among if microseconds(results, label)]
    return min(times, key=lambda pair: pair[1]) if times else None


def roof_share(net: Net, result: dict[str, Any], roof_result: dict[str, Any]) -> float | None:
    """Return the median over the rounds of the net's rate as a share of the probe's."""
    if "us" not in result or "rate" not in roof_result:
        return None
    pairs = zip(result["rounds"], roof_result["rounds"], strict=True)
    shares = sorted(net.step_flops / (us * 1e-6) / rate for us, rate in pairs)
    return shares[len(shares) // 2]


def ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def line(title: str, results: Results) -> str:
    """Return all times of a race on one line for the terminal."""
    parts = [f"{label} {show(r['us'])}" for label, r in results.items() if "us" in r]
    return "\n    ".join([f"{title:16} {', '.join(parts)}", *remarks(results)])


def remarks(results: Results) -> list[str]:
    """Return one line for each reason to skip, and one for the turns that were disturbed."""
    reasons: dict[str, list[str]] = {}
    for label, result in results.items():
        if "skip" in result:
            reasons.setdefault(result["skip"], []).append(label)
    found = [f"skipped: {'; '.join(labels)}: {reason}" for reason, labels in reasons.items()]
    disturbed = [label for label, r in results.items() if r.get("others", 0) > 0.1]
    if disturbed:
        found.append(f"other programs ran during: {', '.join(disturbed)}")
    return found


def show(value: float | None, form: str = "{:.3g}") -> str:
    """Format a number for the terminal and the report; a dash where there is none."""
    if value is None:
        return "-"
    if form == "{:.3g}" and abs(value) >= 1000:
        form = "{:.0f}"
    return form.format(value)

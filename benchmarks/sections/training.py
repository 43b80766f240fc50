# SPDX-License-Identifier: BSD-3-Clause
"""Training: `fit` and `step` on the ten nets beside every peer, and the same in float64."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.nets import Net
from benchmarks.sections.common import (
    FAMILIES,
    ONE_THREAD,
    PEERS,
    Results,
    Run,
    fastest_peer,
    line,
    microseconds,
    of_build,
    ratio,
    remarks,
    roof,
    roof_share,
    show,
)
from benchmarks.turns import Contestant


def fit(run: Run) -> dict[str, Any]:
    """Measure fit (shuffled rows of 50,000), step and the peers' steps on one minibatch."""
    found = {}
    for name, net in run.nets().items():
        spec = {"net": name}
        rows = {**spec, "rows": run.fit_rows(net)}
        contestants = [
            Contestant("fit", "core", "fit", rows),
            Contestant("fit hot", "core", "fit", {**spec, "hot": True}),
            Contestant("step", "core", "step", spec),
            Contestant("step view", "core", "step", {**spec, "view": True}),
            Contestant("fit 1", "core", "fit", rows, ONE_THREAD),
            roof(run.isa, "tile float32", 1),
            roof(run.isa, "tile float32", run.cores),
            *run.peers(spec),
        ]
        found[name] = run.race(contestants, net)
        print(fit_line(run, name, net, found[name]), flush=True)
    return found


ONE_CORE = ("seed", "policy", "tiny", "sciml", "digits", "tabular")


def one_core(run: Run) -> dict[str, Any]:
    """Measure fit and the scans of jax with all of it pinned to one core, the last there is."""
    found = {}
    pinned = {"BENCHMARKS_CPU": str(max(os.sched_getaffinity(0)))}
    scans = [label for label in PEERS if label.startswith("jax") and label != "jax jit"]
    for name, net in run.nets(ONE_CORE).items():
        spec = {"net": name}
        contestants = [
            Contestant("fit", "core", "fit", spec, pinned),
            Contestant("fit hot", "core", "fit", {**spec, "hot": True}, pinned),
            *run.peers(spec, scans, **pinned),
        ]
        results = found[name] = run.race(contestants, net)
        best, ours = fastest_peer(results, scans), microseconds(results, "fit")
        times = show(ratio(best[1] if best else None, ours))
        print(line(name, results), f"x{times}", flush=True)
    return found


def fit_line(run: Run, name: str, net: Net, results: Results) -> str:
    ours = microseconds(results, "fit")
    best = fastest_peer(results, run.options.peers)
    share = roof_share(net, results["fit"], results[f"roof {run.cores}"])
    share_1 = roof_share(net, results["fit 1"], results["roof 1"])
    parts = [f"{name:8} fit {show(ours)} us"]
    if ours and best:
        parts.append(f"x{show(best[1] / ours)} on {best[0]} ({show(best[1])})")
    parts += [
        f"{show(share, '{:.1%}')} of the roof, one thread {show(share_1, '{:.1%}')}",
        *(
            f"{label} {show(microseconds(results, label))}"
            for label in results
            if label != "fit" and not label.startswith("roof")
        ),
    ]
    return "\n    ".join([", ".join(parts), *remarks(results)])


def float64(run: Run) -> dict[str, Any]:
    """Measure fit in float64 beside NumPy, with OpenBLAS and with MKL."""
    found = {}
    for name, net in run.nets(("digits", "tabular", "mnist", "mid", "wide", "deep")).items():
        spec = {"net": name, "dtype": "float64"}
        contestants = [
            Contestant("fit", "core", "fit", {**spec, "rows": run.fit_rows(net)}),
            *run.peers(spec, FAMILIES["NumPy"]),
            roof(run.isa, "tile float64", run.cores),
        ]
        results = found[name] = run.race(contestants, net)
        best = fastest_peer(results, FAMILIES["NumPy"])
        times = ratio(best[1] if best else None, microseconds(results, "fit"))
        share = roof_share(net, results["fit"], results[f"roof {run.cores}"])
        print(
            line(name, results), f"x{show(times)}, {show(share, '{:.1%}')} of the roof", flush=True
        )
    return found


def isa(run: Run) -> dict[str, Any]:
    """Measure fit on every instruction set that runs here, beside that set's own roof."""
    found: dict[str, Any] = {}
    for name, net in run.nets(("mnist", "mid", "deep")).items():
        contestants = []
        for isa_name in run.core["available_isas"]:
            spec = {"net": name, "rows": run.fit_rows(net)}
            # Without fma in hardware the core emulates it, a hundred times slower.
            at_most = 0.1 if isa_name == "baseline" else 1e9
            if isa_name == "baseline":
                spec["rows"] = net.batch
            env = {"FASTRELU_ISA": isa_name}
            contestants += [
                Contestant(isa_name, "core", "fit", spec, env, at_most=at_most),
                roof(isa_name, "tile float32", run.cores, label=f"roof {isa_name}"),
            ]
        results = found[name] = run.race(contestants, net)
        shares = {
            label: roof_share(net, result, results[f"roof {of_build(label)}"])
            for label, result in results.items()
            if not label.startswith("roof")
        }
        text = ", ".join(f"{label} {show(share, '{:.1%}')}" for label, share in shares.items())
        print(line(name, results), "; of the own roof:", text, flush=True)
    return found


def neighbour(run: Run) -> dict[str, Any]:
    """Measure the library's default beside a busy process, and one thread alone."""
    found = {}
    for name, net in run.nets(("policy", "digits", "tabular", "mnist", "mid", "deep")).items():
        rows = {"net": name, "rows": run.fit_rows(net)}
        contestants = [
            Contestant("one thread alone", "core", "fit", rows, ONE_THREAD),
            Contestant("default alone", "core", "fit", rows),
            Contestant("default beside a busy loop", "core", "fit", rows, neighbour=True),
            Contestant("one thread beside it", "core", "fit", rows, ONE_THREAD, neighbour=True),
        ]
        results = found[name] = run.race(contestants, net)
        slower = ratio(
            results["default beside a busy loop"].get("us"), results["one thread alone"].get("us")
        )
        print(line(name, results), f"; beside it x{show(slower)} of one thread alone", flush=True)
    return found

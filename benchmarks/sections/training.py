# SPDX-License-Identifier: BSD-3-Clause
"""Training: `fit` and `step` on the ten nets beside every peer, and the same in float64."""

from __future__ import annotations

from typing import Any

from benchmarks.nets import Net
from benchmarks.sections.common import (
    ONE_THREAD,
    Results,
    Run,
    fastest_peer,
    microseconds,
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
        *(f"{label} {show(microseconds(results, label))}" for label in results if label != "fit"),
    ]
    skipped = [f"{label}: {r['skip']}" for label, r in results.items() if "skip" in r]
    disturbed = [label for label, r in results.items() if r.get("others", 0) > 0.1]
    if disturbed:
        skipped.append(f"other programs ran during: {', '.join(disturbed)}")
    return "\n    ".join([", ".join(parts), *skipped])


def float64(run: Run) -> dict[str, Any]:
    """Measure fit in float64 beside NumPy."""
    found = {}
    for name, net in run.nets(("digits", "tabular", "mnist", "mid", "wide", "deep")).items():
        spec = {"net": name, "dtype": "float64"}
        contestants = [
            Contestant("fit", "core", "fit", {**spec, "rows": run.fit_rows(net)}),
            Contestant("NumPy", "numpy_user", "step", spec),
            roof(run.isa, "tile float64", run.cores),
        ]
        results = found[name] = run.race(contestants, net)
        ours, numpy = microseconds(results, "fit"), microseconds(results, "NumPy")
        share = roof_share(net, results["fit"], results[f"roof {run.cores}"])
        ratio = numpy / ours if ours and numpy else None
        print(
            f"{name:8} float64 fit {show(ours)} us, x{show(ratio)} on NumPy, "
            f"{show(share, '{:.1%}')} of the roof",
            flush=True,
        )
    return found

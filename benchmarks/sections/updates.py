# SPDX-License-Identifier: BSD-3-Clause
"""What the update rules cost over plain SGD, in time and in bytes moved."""

from __future__ import annotations

from typing import Any

from benchmarks.nets import GRID, Net
from benchmarks.sections.common import Results, Run, line, roof, show
from benchmarks.turns import Contestant

RULES = ("sgd", "weight_decay", "momentum", "nesterov", "adam")
# Arrays of the parameters' size that a rule reads and writes beyond what plain SGD does.
MORE_ARRAYS = {"momentum": 2, "nesterov": 2, "adam": 4}
ONE_ROW_WIDE = Net(GRID["wide"].widths, 1)  # nearly nothing but streams of parameters


def update(run: Run) -> dict[str, Any]:
    """Measure each rule on mnist, fresh and with decayed state, and on wide with one row."""
    found: dict[str, Any] = {}
    mnist = {"net": "mnist", "rows": run.fit_rows(GRID["mnist"])}
    cases = {"mnist": mnist}
    if not run.options.quick:
        cases["mnist decayed"] = {**mnist, "decayed": True}
    for name, spec in cases.items():
        contestants = [
            Contestant(rule, "core", "fit", {**spec, "optimizer": rule}) for rule in RULES
        ]
        found[name] = run.race(contestants)
        print(line(name, found[name]), over_sgd(found[name]), flush=True)
    spec = {"widths": ONE_ROW_WIDE.widths, "batch": 1}
    contestants = [
        *(Contestant(rule, "core", "step", {**spec, "optimizer": rule}) for rule in RULES),
        roof(run.isa, "copy", run.cores, 2**28, label="copy"),
    ]
    results = found["wide b1"] = run.race(contestants)
    rates = ", ".join(
        f"{rule} {show(gigabytes(ONE_ROW_WIDE, results, rule))}" for rule in MORE_ARRAYS
    )
    copy = results["copy"].get("rate", 0) / 1e9
    print(line("wide b1", results), f"; state at GB/s: {rates}; copy {show(copy)}", flush=True)
    return found


def over_sgd(results: Results) -> str:
    plain = results["sgd"].get("us")
    parts = [
        f"{rule} {100 * (results[rule]['us'] / plain - 1):+.1f} %"
        for rule in RULES[1:]
        if plain and "us" in results[rule]
    ]
    return "; over sgd: " + ", ".join(parts)


def gigabytes(net: Net, results: Results, rule: str, itemsize: int = 4) -> float | None:
    """Return the rate at which a rule's own state moves: more bytes over more time than SGD."""
    if "us" not in results.get(rule, {}) or "us" not in results["sgd"]:
        return None
    more = results[rule]["us"] - results["sgd"]["us"]
    n_bytes = MORE_ARRAYS[rule] * itemsize * net.n_parameters
    return n_bytes / (more * 1e-6) / 1e9 if more > 0 else None

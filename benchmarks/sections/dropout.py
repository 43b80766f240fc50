# SPDX-License-Identifier: BSD-3-Clause
"""What dropout costs: a step with masks over the same step without them."""

from __future__ import annotations

from typing import Any

from benchmarks.nets import Net
from benchmarks.sections.common import ONE_THREAD, Results, Run, line, microseconds, ratio, show
from benchmarks.turns import Contestant

NET = Net((64, 128, 128, 10), 256)
ACTIVATIONS = ("relu", "tanh", "silu")
RATES = (0.0, 0.1, 0.5)


def dropout(run: Run) -> dict[str, Any]:
    """Measure 128-128 hidden units with 256 rows, for rates of both hidden layers."""
    found: dict[str, Any] = {}
    for activation in ACTIVATIONS[:1] if run.options.quick else ACTIVATIONS:
        for dtype in ("float32", "float64"):
            spec = {"widths": NET.widths, "batch": NET.batch, "dtype": dtype,
                    "activation": activation, "hot": True}  # fmt: skip
            contestants = [
                Contestant(f"rate {rate:g}", "core", "fit", {**spec, "dropout": rate}, ONE_THREAD)
                for rate in RATES
            ]
            name = f"{activation} {dtype}"
            found[name] = run.race(contestants, NET)
            print(line(name, found[name]), over_none(found[name]), flush=True)
    return found


def over_none(results: Results) -> str:
    """Return the times with masks as multiples of that without."""
    plain = microseconds(results, "rate 0")
    ratios = (ratio(microseconds(results, f"rate {rate:g}"), plain) for rate in RATES[1:])
    return "; over none: " + ", ".join("x" + show(each) for each in ratios)

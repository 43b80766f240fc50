# SPDX-License-Identifier: BSD-3-Clause
"""The report's pictures: the roofline and the two scaling plots."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.nets import GRID
from benchmarks.sections.common import PEERS, fastest_peer, microseconds

# Okabe and Ito's colours, told apart with any colour vision; shapes say the same once more.
STYLES = {
    "fastrelu": ("#0072B2", "o", "-"),
    "fastest peer": ("#D55E00", "s", "-"),
    "jax scan 64": ("#D55E00", "s", "--"),
    "NumPy": ("#009E73", "^", ":"),
}
GREY = "#666666"


def new_axes(title: str, x: str, y: str):
    figure, axes = pyplot.subplots(figsize=(8, 5.2), layout="constrained")
    axes.set(title=title, xlabel=x, ylabel=y, xscale="log", yscale="log")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure, path: Path) -> None:
    figure.savefig(path, dpi=140, metadata={"Software": None})
    pyplot.close(figure)


def roofline(found: dict[str, Any], machine: dict[str, Any], path: Path) -> None:
    """Draw each net's rate over its arithmetic intensity, under the measured roofs."""
    figure, axes = new_axes(
        f"Training step under the roofs, float32, {machine['cores']} threads",
        "arithmetic intensity: operations per byte of parameters and minibatch moved",
        "GFLOP/s",
    )
    limits, threads = machine["limits"], machine["cores"]
    peak = limits[f"tile float32 x{threads}"]
    nets = {name: GRID[name] for name in found}
    intensity = {name: net.step_flops / net.step_bytes() for name, net in nets.items()}
    low, high = min(intensity.values()) / 2, max(intensity.values()) * 2
    above = math.inf
    for level in ("L2", "L3", "memory"):
        bandwidth = limits[f"copy {level} x{threads}"]
        ridge = peak / bandwidth
        axes.plot([low, ridge], [low * bandwidth, peak], color=GREY, linewidth=1)
        # Below a line that has another one close above it.
        place, side = (1.13, "baseline") if above / bandwidth > 1.8 else (1 / 1.13, "top")
        x, y = low * 1.15, low * 1.15 * bandwidth * place
        text = f"copy in {level}: {bandwidth:.0f} GB/s"
        # The direction of the line at the text's own place: both axes are logarithmic.
        axes.text(x, y, text, color=GREY, fontsize=8, rotation=math.degrees(math.atan(y / x)),
                  verticalalignment=side, rotation_mode="anchor",
                  transform_rotates_text=True)  # fmt: skip
        above = bandwidth
    axes.axhline(peak, color=GREY, linewidth=1)
    text = f"tile fed from L1: {peak:.0f} GFLOP/s"
    axes.text(low * 1.15, peak * 1.12, text, color=GREY, fontsize=8)
    for label in ("fastrelu", "fastest peer", "NumPy"):
        color, marker, _ = STYLES[label]
        points = []
        for name, results in found.items():
            us = rate_source(results, label)
            if us:
                points.append((intensity[name], nets[name].step_flops / us / 1e3))
        if points:
            # Open shapes, as those of large nets lie on each other.
            axes.scatter(*zip(*points, strict=True), edgecolors=color, facecolors="none",
                         marker=marker, s=34, linewidths=1.5, label=label, zorder=3)  # fmt: skip
    for name, row in rows_of_names(intensity, math.log10(high / low)).items():
        axes.axvline(intensity[name], color="#eeeeee", linewidth=0.8, zorder=0)
        axes.text(intensity[name], peak * 2 * 1.8**row, name, fontsize=8, ha="center")
    axes.set_xlim(low, high)
    axes.set_ylim(top=peak * 12)
    axes.legend(frameon=False, loc="lower right")
    save(figure, path)


def rows_of_names(places: dict[str, float], decades: float) -> dict[str, int]:
    """Return a row for each name, the lowest in which it stands clear of the names before it."""
    rows: dict[str, int] = {}
    ends: list[float] = []  # of each row, on the logarithmic axis
    for name in sorted(places, key=lambda each: places[each]):
        middle = math.log10(places[name])
        half = decades * (len(name) + 2) * 0.0055  # a character's half, of the axis
        row = next((r for r, end in enumerate(ends) if end <= middle - half), len(ends))
        ends[row : row + 1] = [middle + half]
        rows[name] = row
    return rows


def rate_source(results: dict[str, Any], label: str) -> float | None:
    if label == "fastest peer":
        best = fastest_peer(results, [peer for peer in PEERS if peer != "NumPy"])
        return best[1] if best else None
    return microseconds(results, "fit" if label == "fastrelu" else label)


def scaling(found: dict[str, Any], title: str, x: str, path: Path) -> None:
    """Draw time a step against a size."""
    figure, axes = new_axes(title, x, "time per step, microseconds")
    for label in ("fastrelu", "jax scan 64", "NumPy"):
        points = [
            (int(size), r[label]["us"]) for size, r in found.items() if "us" in r.get(label, {})
        ]
        if points:
            color, marker, line = STYLES[label]
            axes.plot(*zip(*points, strict=True), color=color, marker=marker, linestyle=line,
                      markersize=4, label=label)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False)
    save(figure, path)

# SPDX-License-Identifier: BSD-3-Clause
"""A campaign against the certificates of docs/bounds.md, with networks that break such.

    python -m benchmarks.certificates [--seconds SECONDS] [--seed SEED] [--only NAMES ...]

Each certificate is given random networks for so many seconds: unused units near 1e-25, scales from
1e-12 to 1e12, kinks at 1e-12 and 1e14 side by side, units that cancel exactly, planes that coincide
or nearly do, boxes of 1e-12 to 1e15. What it says is compared with rational arithmetic or with
computed outputs. Prints a line for each: networks, questions, faults. Ends with status 1 if there
was a fault; the seed and the number of a network say how to make it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import fastrelu
from fastrelu.exact.shape import exact_output

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from adversarial_networks import KINDS, box, network
from rational_regions import largest_slope, rational_regions

Rng = np.random.Generator
# What a check answers: the questions that it asked, and the faults that it found.
Answer = tuple[int, list[str]]


def some(rng: Rng, d_in: int | None = None) -> tuple[Any, Any]:
    """Return a network of a random kind, and a box."""
    kind = KINDS[rng.integers(len(KINDS))]
    d_in = d_in or int(rng.integers(1, 5))
    inner = rng.integers(1, 8, size=rng.integers(1, 4)).tolist()
    net = network(kind, rng, [d_in, *inner, int(rng.integers(1, 3))])
    return net, np.array(box(net, rng))


def points(net: Any, region: Any, rng: Rng, n: int = 200) -> Any:
    """Return points of a box, many of them on its faces or where the outputs are steep."""
    low, high = region[:, 0], region[:, 1]
    X = low + (high - low) * rng.uniform(0, 1, (n, len(low)))
    corner = np.where(rng.random(X.shape) < 0.5, low, high)
    X = np.where(rng.random(X.shape) < rng.choice([0, 0.5, 1], (n, 1)), corner, X)
    return np.clip(X, low, high)


def exceeds(out: Any, low: Any, high: Any, name: str) -> list[str]:
    """Name outputs outside of their bounds."""
    return [f"{name}: {out} outside"] if ((out < low) | (out > high)).any() else []


def output_bounds(rng: Rng) -> Answer:
    """Computed outputs in a box."""
    net, region = some(rng)
    X = points(net, region, rng)
    try:
        low, high = net.output_bounds(region[:, 0], region[:, 1])
    except ValueError:  # may overflow the dtype
        return 0, []
    return len(X), exceeds(net(X), low, high, "outputs")


def exact_bounds(rng: Rng) -> Answer:
    """Outputs of real numbers in a box."""
    net, region = some(rng)
    try:
        low, high = net.output_bounds(region[:, 0], region[:, 1], rounding=False)
    except ValueError:
        return 0, []
    faults = []
    for x in points(net, region, rng, 8).tolist():
        y = exact_output(net, [Fraction(v) for v in x], 0)
        faults += [] if Fraction(low[0]) <= y <= Fraction(high[0]) else [f"exact output at {x}"]
    return 8, faults


def ball_bounds(rng: Rng) -> Answer:
    """Computed outputs in a ball, of points that are in it in rational arithmetic."""
    net, region = some(rng)
    center, radius = region.mean(axis=1), float(np.diff(region).max() / 2)
    try:
        low, high = net.output_bounds(ball=(center, radius))
    except ValueError:
        return 0, []
    way = rng.normal(size=(60, len(center)))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    X = center + radius * way * (1 - rng.choice([0, 1e-15, 0.1], (60, 1)))
    square = Fraction(radius) ** 2
    inside = [
        sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x, center.tolist(), strict=True))
        <= square
        for x in X.tolist()
    ]
    return sum(inside), exceeds(net(X[inside]), low, high, "ball")


def margins(rng: Rng) -> Answer:
    """The exact sum of computed outputs."""
    net, region = some(rng)
    weight = rng.normal(size=net.layer_sizes[-1])
    try:
        low, high = net.output_bounds(region[:, 0], region[:, 1], sums=weight)
    except ValueError:
        return 0, []
    faults = []
    for y in net(points(net, region, rng, 60)).tolist():
        terms = (Fraction(v) * Fraction(w) for v, w in zip(y, weight.tolist(), strict=True))
        total = sum(terms, Fraction(0))
        faults += [] if Fraction(low) <= total <= Fraction(high) else [f"sum of {y}"]
    return 60, faults


def optimum(rng: Rng) -> Answer:
    """`maximize`: value and bound beside computed outputs, in a box or a ball."""
    net, region = some(rng)
    X = points(net, region, rng)
    try:
        best = net.maximize(region, time_limit=0.05)
        low = net.minimize(region, time_limit=0.05)
    except ValueError:
        return 0, []
    out, faults = net(X)[:, 0], []
    if best.value != net(best.x)[0] or low.value != net(low.x)[0]:
        faults.append("a value that is not the network's")
    return len(X) + 2, faults + exceeds(out, low.bound, best.bound, "optimum")


def slopes(rng: Rng) -> Answer:
    """`derivative_bounds` and `lipschitz` beside all regions in rational arithmetic."""
    net, region = some(rng, int(rng.integers(1, 3)))
    faults, true = [], rational_regions(net, region)
    try:
        low, high = net.derivative_bounds(region)
        known = net.lipschitz(region)
    except ValueError:
        return 0, []
    for r in true:
        for o, row in enumerate(r.A):
            for i, slope in enumerate(row):
                if not Fraction(low[o, i]) <= slope <= Fraction(high[o, i]):
                    faults.append(f"slope {float(slope)} outside")
    largest = largest_slope(net, 2, region)
    if not known[0] * (1 - 1e-12) <= largest <= known[1] * (1 + 1e-12):
        faults.append(f"Lipschitz constant {largest} outside {known}")
    return len(true) + 1, faults


def everywhere(rng: Rng) -> Answer:
    """`lipschitz` without a box."""
    net, _ = some(rng, int(rng.integers(1, 3)))
    try:
        known = net.lipschitz()
    except ValueError:
        return 0, []
    largest = largest_slope(net)
    good = known[0] * (1 - 1e-12) <= largest <= known[1] * (1 + 1e-12)
    return 1, [] if good else [f"Lipschitz constant {largest} outside {known}"]


def shapes(rng: Rng) -> Answer:
    """`verify_shape` beside all regions in rational arithmetic."""
    net, region = some(rng, int(rng.integers(1, 3)))
    if rng.random() < 0.5:
        for W in net.weights[1:]:
            np.abs(W, out=W)
    true, faults = rational_regions(net, region), []
    for shape, sign in (("increasing", 1), ("decreasing", -1), ("convex", 1), ("concave", -1)):
        result = net.verify_shape(region, shape, time_limit=0.05)
        if shape in ("increasing", "decreasing"):
            truth = all(sign * s >= 0 for r in true for s in r.A[0])
        else:
            truth = all(
                sign * other.at(0, x) <= sign * r.at(0, x)
                for r in true for x in r.corners for other in true
            )  # fmt: skip
        if result.status == ("fails" if truth else "holds"):
            faults.append(f"{shape} {result.status}")
    return 4, faults


def regions(rng: Rng) -> Answer:
    """`regions` in three inputs: the exact patterns of random points, and neighbours."""
    net, _ = some(rng, 3)
    region = np.tile([-1.0, 1.5], (3, 1)) / net.scale
    try:
        found = net.regions(region)
    except ValueError:
        return 0, []
    known, faults = {p.tobytes() for p in found.pattern}, []
    X = points(net, region, rng, 20)
    X = X[((X > region[:, 0]) & (X < region[:, 1])).all(axis=1)]
    for x in X.tolist():
        if np.array(_pattern(net, x)).tobytes() not in known:
            faults.append(f"a pattern that is missing, at {x}")
    for r, behind in enumerate(found.neighbours):
        if not all(r in found.neighbours[s] for s in behind if s >= 0):
            faults.append("a neighbour that has none")
    return len(X) + 1, faults


def _pattern(net: Any, x: list[float]) -> list[bool]:
    h = [Fraction(v) * Fraction(float(net.dtype.type(net.scale))) for v in x]
    pattern: list[bool] = []
    for k, name in enumerate(net.activations):
        W = net.weights[k].tolist()
        b = net.biases[k].tolist() if net.bias else [0.0] * len(W[0])
        z = [
            sum((v * Fraction(W[i][o]) for i, v in enumerate(h)), Fraction(b[o]))
            for o in range(len(b))
        ]
        pattern += [v > 0 for v in z]
        slope = Fraction(0 if name == "relu" else float(net.dtype.type(0.01)))
        h = [v if v > 0 else slope * v for v in z]
    return pattern


CHECKS: dict[str, Callable[[Rng], Answer]] = {
    "output_bounds": output_bounds,
    "output_bounds, rounding=False": exact_bounds,
    "output_bounds, ball": ball_bounds,
    "output_bounds, sums": margins,
    "maximize, minimize": optimum,
    "derivative_bounds, lipschitz in a box": slopes,
    "lipschitz everywhere": everywhere,
    "verify_shape": shapes,
    "regions": regions,
}


def main() -> int:
    """Run the campaign; return how many certificates had faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each certificate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    wrong = 0
    fastrelu.set_num_threads(1)
    for name, check in CHECKS.items():
        if args.only and not any(word in name for word in args.only):
            continue
        end, number, asked, faults = time.monotonic() + args.seconds, 0, 0, 0
        with np.errstate(all="ignore"):
            while time.monotonic() < end:
                more, found = check(np.random.default_rng([args.seed, number]))
                for fault in found[:1]:
                    print(f"    seed {args.seed}, network {number}: {fault}", flush=True)
                number, asked, faults = number + 1, asked + more, faults + bool(found)
        print(f"| {name} | {number:,} | {asked:,} | {faults} |", flush=True)
        wrong += faults > 0
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))

# SPDX-License-Identifier: BSD-3-Clause
"""Fits with free knots beside pwlf's, on the data of pwlf's own examples, in one process.

    python benchmarks/bench_hinge_fit.py [--repeats N] [--full] [--json FILE]

Prints one line an example and method of pwlf: its sum of squares and ours, medians of the times of
both, taken in turn, in both orders, with one BLAS thread. pwlf's `fit` is differential evolution,
its `fitfast` a few starts of a local search; both are seeded by the turn, and its sum of squares
is the best of all turns. A fit that takes more than a few seconds gets one turn.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
import pwlf
from threadpoolctl import threadpool_limits

from fastrelu import PiecewiseLinear

# The 59 points of pwlf's documentation (C. Jekel and G. Venter, MIT licence).
PAGE_X = np.array([
    0, 0.00882678, 0.03256151, 0.05661068, 0.07955498, 0.10093633, 0.12035152, 0.13744201,
    0.15185825, 0.16443357, 0, -2.126e-05, 0.00703872, 0.01854945, 0.03009267, 0.0417617,
    0.05372796, 0.0654941, 0.07680921, 0.08765963, 0.09805258, 0.10796181, 0.11730521,
    0.12606393, 0.13418036, 0.14172501, 0.14862971, 0.15537477, 0, 0.01656102, 0.03910161,
    0.06186794, 0.08309974, 0.10213289, 0.11901126, 0.13462008, 0.14942937, 0.16353996, 0,
    0.01019803, 0.03286428, 0.05594619, 0.07813884, 0.09844584, 0.11627021, 0.13127904,
    0.14543709, 0.15962754, 0, 0.01634043, 0.0400086, 0.06343902, 0.08510859, 0.10478786,
    0.12212035, 0.13693166, 0.15095876, 0.16529964, 0.17994272,
])  # fmt: skip
PAGE_Y = np.array([
    0, 0.009698017, 0.029435034, 0.043905275, 0.054534395, 0.067410494, 0.083483179, 0.102580042,
    0.122767939, 0.142172312, 0, 8.586e-06, 0.008315434, 0.02341841, 0.033970915, 0.040358199,
    0.04535456, 0.050234526, 0.055525336, 0.061475077, 0.068212512, 0.075589251, 0.083835681,
    0.092641307, 0.10203979, 0.111688258, 0.121390666, 0.131196948, 0, 0.015670651, 0.035462878,
    0.046373904, 0.056144259, 0.067854255, 0.081638831, 0.097775611, 0.116531753, 0.137038283, 0,
    0.011695105, 0.031208985, 0.044177655, 0.054287759, 0.066332135, 0.080765592, 0.097036328,
    0.115706975, 0.136687642, 0, 0.015014464, 0.034451997, 0.045590776, 0.05595567, 0.068845094,
    0.084137406, 0.101254006, 0.120605073, 0.141881288, 0.162618058,
])  # fmt: skip


def sine(seed: int, noise: float = 0.05):
    """Return the 100 points of sineWave.py."""
    x = np.linspace(0, 10, 100)
    return x, np.sin(x * np.pi / 2) + np.random.RandomState(seed).normal(0, noise, 100)


def hundred_sines():
    """Return the 10,000 points of weighted_least_squares_ex.py."""
    rng, x = np.random.RandomState(123), np.linspace(0, 10, 100)
    noise = np.linspace(0.001, 0.05, 100)
    y = np.concatenate([np.sin(x * np.pi / 2) + rng.normal(0, noise) for _ in range(100)])
    return np.tile(x, 100), y


def two_lines():
    """Return the 15 points of stack_overflow_example.py."""
    y = [5, 7, 9, 11, 13, 15, 28.92, 42.81, 56.7, 70.59, 84.47, 98.36, 112.25, 126.14, 140.03]
    return np.arange(1.0, 16.0), np.array(y)


# (name, points, pieces, pwlf's methods)
EXAMPLES = [
    ("documentation", (PAGE_X, PAGE_Y), 2, ("fit", "fitfast")),
    ("documentation", (PAGE_X, PAGE_Y), 3, ("fit", "fitfast")),
    ("documentation", (PAGE_X, PAGE_Y), 4, ("fit", "fitfast")),
    ("documentation", (PAGE_X, PAGE_Y), 5, ("fit", "fitfast")),
    ("documentation", (PAGE_X, PAGE_Y), 7, ("fit", "fitfast")),
    ("two lines", two_lines(), 2, ("fit", "fitfast")),
    ("sine", sine(0), 6, ("fit", "fitfast")),
    ("sine", sine(1), 8, ("fit", "fitfast")),
    ("sine", sine(1), 16, ("fit", "fitfast")),
    ("sine, noise 0.5", sine(1213, 0.5), 16, ("fit", "fitfast")),
    ("100 sines", hundred_sines(), 6, ("fit", "fitfast")),
]


def ours(x, y, pieces: int) -> tuple[float, float]:
    """Return the sum of squares and the seconds."""
    began = time.perf_counter()
    f = PiecewiseLinear.fit(x, y, n_hinges=pieces - 1)
    spent = time.perf_counter() - began
    return float(((f(x) - y) ** 2).sum()), spent


def theirs(x, y, pieces: int, method: str, seed: int) -> tuple[float, float]:
    """Return the sum of squares and the seconds."""
    began = time.perf_counter()
    model = pwlf.PiecewiseLinFit(x, y, seed=seed)
    getattr(model, method)(pieces)
    spent = time.perf_counter() - began
    return float(((model.predict(x) - y) ** 2).sum()), spent


def compare(x, y, pieces: int, method: str, repeats: int) -> dict[str, float]:
    """Return the least sums of squares and the median times of both."""
    ours(x, y, pieces)
    left, spent = {"ours": [], "pwlf": []}, {"ours": [], "pwlf": []}
    for turn in range(repeats):
        for who in ("ours", "pwlf") if turn % 2 == 0 else ("pwlf", "ours"):
            rss, seconds = (
                ours(x, y, pieces) if who == "ours" else theirs(x, y, pieces, method, turn)
            )
            left[who].append(rss)
            spent[who].append(seconds)
        if spent["pwlf"][0] > 4:
            break
    return {
        "rss": min(left["ours"]), "pwlf_rss": min(left["pwlf"]),
        "ms": 1e3 * median(spent["ours"]), "pwlf_ms": 1e3 * median(spent["pwlf"]),
        "turns": len(spent["pwlf"]),
    }  # fmt: skip


def main() -> None:
    """Run the examples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--full", action="store_true",
                        help="pwlf's fit of 16 pieces as well: minutes")  # fmt: skip
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    records = []
    print("| example | points | pieces | pwlf | RSS, pwlf | RSS | pwlf, ms | ms | ratio |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|")
    with threadpool_limits(1):
        for name, (x, y), pieces, methods in EXAMPLES:
            for method in methods:
                if method == "fit" and pieces > 8 and not args.full:
                    continue
                r = compare(x, y, pieces, method, args.repeats)
                records.append({"example": name, "pieces": pieces, "method": method, **r})
                print(f"| {name} | {len(x)} | {pieces} | {method} | {r['pwlf_rss']:.6g} "
                      f"| {r['rss']:.6g} | {r['pwlf_ms']:.3g} | {r['ms']:.3g} "
                      f"| x{r['pwlf_ms'] / r['ms']:.3g} |", flush=True)  # fmt: skip
    worse = [r for r in records if r["rss"] > r["pwlf_rss"] * (1 + 1e-9) + 1e-20]
    print(f"pwlf's sum of squares is the smaller one in {len(worse)} of {len(records)}")
    if args.json:
        Path(args.json).write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""A gradient by backpropagation beside differentiating the loss one parameter at a time.

    python benchmarks/bench_backprop.py [--quick] [--plot FILE] [--json FILE]

One parameter at a time is forward mode: a pass that carries, beside each value, its derivative by
that parameter, from the reference's rules (z = h W + b, relu, squared error). Backpropagation is
once the same rules in NumPy, once the core. Both gradients are compared on the way. Medians of
turns in both orders, float64, one thread. Of large nets a sample of the parameters is
differentiated by, and its time scaled up; the table marks those with ~.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

import fastrelu

ROWS, INPUTS = 256, 8
WIDTHS = {f"width {w}": [INPUTS, w, w, 1] for w in (8, 16, 32, 64, 128)}
DEPTHS = {f"depth {d}": [INPUTS, *[32] * d, 1] for d in (1, 2, 4, 8, 16)}
METHODS = ("one at a time", "backpropagation, NumPy", "backpropagation, core")


def tangent(net, X, y, layer: int, place: tuple[int, ...]) -> float:
    """Return the loss's derivative by one entry of W (place (i, o)) or b (place (o,)) of a layer.

    For each layer the values h and, beside them, their derivatives dh: 0 up to the layer.
    """
    h, dh = X, None
    last = len(net.weights) - 1
    for k, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        z = h @ W + b
        dz = None if dh is None else dh @ W
        if k == layer:
            dz = np.zeros_like(z)
            dz[:, place[-1]] = h[:, place[0]] if len(place) == 2 else 1.0
        active = z > 0
        h = z if k == last else np.where(active, z, 0.0)
        dh = dz if k == last or dz is None else np.where(active, dz, 0.0)
    return float(((h - y) * dh).sum() / h.size)


def one_at_a_time(net, X, y, chosen) -> np.ndarray:
    """Return the derivatives by the chosen parameters, one pass each."""
    return np.array([tangent(net, X, y, *parameter) for parameter in chosen])


def backpropagation(net, X, y) -> np.ndarray:
    """Return the gradient by one pass forward and one back, which uses each layer's dz again."""
    h = [X]
    last = len(net.weights) - 1
    for k, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        z = h[-1] @ W + b
        h.append(z if k == last else np.where(z > 0, z, 0.0))
    dz, parts = (h[-1] - y) / h[-1].size, []
    for k in range(last, -1, -1):
        parts += [dz.sum(axis=0), (h[k].T @ dz).ravel()]
        if k > 0:
            dz = np.where(h[k] > 0, dz @ net.weights[k].T, 0.0)
    return np.concatenate(parts[::-1])


def parameters(net):
    """Return (layer, place) of each parameter, in the order of `net.parameters`."""
    return [
        (k, place)
        for k, (W, b) in enumerate(zip(net.weights, net.biases, strict=True))
        for array in (W, b)
        for place in np.ndindex(array.shape)
    ]


def measure(sizes, sample: int, turns: int) -> dict:
    """Return the seconds per gradient of each method, after a check that all agree."""
    rng = np.random.default_rng(0)
    net = fastrelu.Network(sizes, seed=0, dtype="float64")
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) / 4
    X, y = rng.normal(size=(ROWS, sizes[0])), rng.normal(size=(ROWS, 1))
    everything = parameters(net)
    some = np.linspace(0, len(everything) - 1, min(sample, len(everything))).astype(int)
    chosen = [everything[i] for i in some]
    runs = {
        METHODS[0]: lambda: one_at_a_time(net, X, y, chosen),
        METHODS[1]: lambda: backpropagation(net, X, y),
        METHODS[2]: lambda: net.loss_and_gradient(X, y)[1].flat,
    }
    one, whole, core = (run() for run in runs.values())
    size = np.abs(core).max()
    if not (np.abs(whole - core).max() < 1e-12 * size and
            np.abs(one - core[some]).max() < 1e-12 * size):  # fmt: skip
        raise SystemExit(f"{sizes}: the gradients differ")
    seconds = {name: [] for name in runs}
    for turn in range(turns):
        for name in METHODS if turn % 2 == 0 else METHODS[::-1]:
            calls = 1 if name == METHODS[0] else 20
            began = time.perf_counter()
            for _ in range(calls):
                runs[name]()
            seconds[name].append((time.perf_counter() - began) / calls)
    found = {name: median(times) for name, times in seconds.items()}
    found[METHODS[0]] *= len(everything) / len(chosen)
    return {"parameters": len(everything), "sampled": len(chosen) < len(everything), **found}


def exponent(records, method: str) -> float:
    """Return a of time = c P^a, fitted to the larger nets: in small ones calls cost the most."""
    P, t = np.array([(r["parameters"], r[method]) for r in records][-3:]).T
    return float(np.polyfit(np.log(P), np.log(t), 1)[0])


def plot(found, path: str) -> None:
    """Draw time against the number of parameters, and the fitted lines."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    looks = zip(METHODS, ("#D55E00", "#009E73", "#0072B2"), "s^o", strict=True)
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
    for method, colour, marker in looks:
        for ax, (title, records) in zip(axes, found.items(), strict=True):
            P = np.array([r["parameters"] for r in records])
            t = np.array([r[method] for r in records])
            a = exponent(records, method)
            ax.loglog(P, t, marker, color=colour, label=f"{method}: $P^{{{a:.2f}}}$")
            c = np.exp(np.mean(np.log(t[-3:]) - a * np.log(P[-3:])))
            ax.loglog(P, c * P**a, "-", color=colour, lw=1, alpha=0.7)
            ax.set(title=title, xlabel="parameters P")
            ax.grid(True, which="major", alpha=0.25)
    for ax in axes:
        ax.legend(frameon=False, fontsize=8, loc="upper left")
        ax.set_ylim(top=ax.get_ylim()[1] * 30)
    axes[0].set_ylabel("seconds per gradient")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure both families of nets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes and parameters")
    parser.add_argument("--plot", help="file for a picture")
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args()
    fastrelu.set_num_threads(1)
    found = {}
    print(f"| net, {ROWS} rows | P | {' | '.join(f'{m}, ms' for m in METHODS)} | saved |")
    print("|---|---:|---:|---:|---:|---:|")
    with threadpool_limits(1):
        for title, nets in (("width, 2 hidden layers", WIDTHS), ("depth, width 32", DEPTHS)):
            found[title] = []
            for name, sizes in list(nets.items())[: 3 if args.quick else None]:
                r = measure(sizes, 100 if args.quick else 1200, 1 if args.quick else 3)
                found[title].append({"net": name, **r})
                times = [f"{'~' if r['sampled'] and m == METHODS[0] else ''}{1e3 * r[m]:.3g}"
                         for m in METHODS]  # fmt: skip
                saved = r[METHODS[0]] / r[METHODS[1]]
                print(f"| {name} | {r['parameters']} | {' | '.join(times)} | x{saved:.0f} |",
                      flush=True)  # fmt: skip
            fitted = ", ".join(f"{m} P^{exponent(found[title], m):.2f}" for m in METHODS)
            print(f"| {title}: {fitted} | | | | | |")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    if args.plot:
        plot(found, args.plot)


if __name__ == "__main__":
    main()

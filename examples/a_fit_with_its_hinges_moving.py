# SPDX-License-Identifier: BSD-3-Clause
"""
A fit, and where its hinges go
==============================

A small network learns a curve: where its hinges are, from the first step to the last.

    python examples/a_fit_with_its_hinges_moving.py [--quick] [--out FILE]

The network of one input is a piecewise-linear function at every moment: `net.along` gives it with
all its knots, and a hidden unit w x + b has its own at -b / w. The least-squares fit with as many
hinges as the network ends with in the window is drawn last, for comparison.
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("agg")
import numpy as np
from matplotlib import pyplot

import fastrelu
from fastrelu import PiecewiseLinear, plot

LOW, HIGH = -1.0, 1.0


def network_as_function(net: fastrelu.Network) -> PiecewiseLinear:
    """Return the network on the window, a function of x (`along` gives one of t from 0 to 1)."""
    path = net.along([LOW], [HIGH]).simplify()
    width = HIGH - LOW
    return PiecewiseLinear(LOW + width * path.knots, path.values[:, 0],
                           path.left_slope[0] / width, path.right_slope[0] / width)  # fmt: skip


def main() -> None:
    """Train, keep snapshots, draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps")
    parser.add_argument("--out", default="a_fit_with_its_hinges_moving.png")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(LOW, HIGH, 300))
    y = np.sin(6 * x) * np.exp(-(x**2)) + 0.05 * rng.normal(size=len(x))
    net = fastrelu.Network([1, 12, 1], seed=3, dtype="float64")
    net.biases[0][:] = rng.uniform(LOW, HIGH, 12) * np.abs(net.weights[0][0])
    trainer = fastrelu.Trainer(net, loss="squared_error", optimizer=fastrelu.Adam(0.01),
                               batch_size=30, seed=0)  # fmt: skip

    snapshots = (0, 10, 50, 200, 1000) if not args.quick else (0, 1, 2, 5, 10)
    figure, axes = pyplot.subplots(3, 2, figsize=(9, 9), layout="constrained", sharex=True,
                                   sharey=True)  # fmt: skip
    epochs, where = [], [-net.biases[0] / net.weights[0][0]]
    for ax, stop in zip(axes.flat, snapshots, strict=False):
        while len(epochs) < stop:
            trainer.fit(x[:, None], y, epochs=1, progress=False)
            epochs.append(len(epochs) + 1)
            where.append(-net.biases[0] / net.weights[0][0])
        f = network_as_function(net)
        inner = f.knots[(f.knots > LOW) & (f.knots < HIGH)]
        rss = ((f(x) - y) ** 2).sum()
        plot.hinge_fit(f, x, y, ax, label="network")
        ax.set_title(f"epoch {stop}: {len(inner)} hinges, sum of squares {rss:.3g}", fontsize=10)
        print(f"epoch {stop}: sum of squares {rss:.4f}, hinges {np.round(inner, 2).tolist()}")
    best = PiecewiseLinear.fit(x, y, n_hinges=max(1, len(inner)))
    rss = ((best(x) - y) ** 2).sum()
    plot.hinge_fit(best, x, y, axes.flat[5])
    axes.flat[5].set_title(f"least squares: {len(best.knots)} hinges, {rss:.3g}", fontsize=10)
    print(f"least squares with as many hinges: {rss:.4f}")
    moved = np.abs(where[-1] - where[0])
    print(f"hinges have moved by {moved.min():.2g} to {moved.max():.2g}")
    axes[0, 0].set_ylim(-1.4, 2.0)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()

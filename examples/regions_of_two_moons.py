# SPDX-License-Identifier: BSD-3-Clause
"""
The linear regions of a classifier
==================================

The linear regions of a classifier of two moons, and its decision boundary.

Trains a 2-32-32-1 network on two half circles with noise, then draws the regions on each of which
it is affine: once with the output's values, once with the length of its gradient. Both are exact:
nothing is sampled, each polygon and each piece of the boundary is solved for. Needs the extra
`plot`.
"""

import argparse

import numpy as np
from matplotlib import pyplot

import fastrelu

WINDOW = (-1.75, 2.75, -1.25, 1.75)


def two_moons(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return X (n, 2) and the labels 0 and 1 of two half circles that reach into one another."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, size=n)
    angle = rng.uniform(0, np.pi, size=n)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    X = np.where(label[:, None] == 0, upper, lower)
    return X + noise * rng.normal(size=X.shape), label


def main() -> None:
    """Train, count, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller network, fewer epochs")
    parser.add_argument("--out", metavar="FILE", default="regions_of_two_moons.png")
    arguments = parser.parse_args()

    X, label = two_moons(1000, noise=0.15, seed=0)
    width, epochs = (8, 5) if arguments.quick else (32, 200)
    net = fastrelu.Network([2, width, width, 1], seed=0)
    trainer = fastrelu.Trainer(
        net, loss="binary_cross_entropy", optimizer=fastrelu.Adam(3e-3), batch_size=32, seed=0
    )
    trainer.fit(X, label, epochs=epochs)
    accuracy = ((net(X)[:, 0] > 0) == label).mean()
    regions = net.linear_regions(WINDOW)
    bounds = [WINDOW[:2], WINDOW[2:]]
    lower, upper = net.lipschitz(bounds)
    print(f"accuracy {accuracy:.3f}, {len(regions)} linear regions in the window")
    print(f"Lipschitz constant in the window {lower:.6g} to {upper:.6g}")

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for ax, color in zip(axes, ("value", "slope"), strict=True):
        fastrelu.plot.regions(net, WINDOW, ax, color=color)
    for k, (marker, colour) in enumerate((("o", "#0072B2"), ("^", "#E69F00"))):
        points = X[label == k][:150]
        axes[0].scatter(*points.T, s=18, marker=marker, color=colour, edgecolors="black", lw=0.4)
    figure.savefig(arguments.out, dpi=100)


if __name__ == "__main__":
    main()

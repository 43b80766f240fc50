# SPDX-License-Identifier: BSD-3-Clause
"""
A function of one variable and its network
==========================================

The lecture's function of one variable, built by hand and as a network, and its misprint.

    python examples/one_dimensional_function_and_its_net.py [--quick] [--out FILE]

It is 0 up to 2, climbs to 1 at 3, is level to 5, falls to 0 at 6 and climbs with slope 2 from
there. docs/piecewise.md tells the story.
"""

from __future__ import annotations

import argparse

import matplotlib

matplotlib.use("agg")
import numpy as np
from matplotlib import pyplot

import fastrelu
from fastrelu import PiecewiseLinear

WINDOW = (0.0, 8.0)


def right(knot: float, slope: float = 1.0) -> PiecewiseLinear:
    """Return slope * max(0, x - knot)."""
    return PiecewiseLinear([knot], [0], right_slope=slope)


def left(knot: float) -> PiecewiseLinear:
    """Return max(0, knot - x)."""
    return PiecewiseLinear([knot], [0], left_slope=-1)


def main() -> None:
    """Build the function in every way, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check fewer points")
    parser.add_argument("--out", default="one_dimensional_function_and_its_net.png")
    args = parser.parse_args()

    f = PiecewiseLinear([2, 3, 5, 6], [0, 1, 1, 0], left_slope=0, right_slope=2)
    from_the_level_piece = 1 - left(3) + left(2) - right(5) + 3 * right(6)
    tail = left(6) - left(5) + right(6, slope=2)
    by_the_lecture = -1 + right(2) - right(3) + tail
    as_printed = -1 + right(2) - right(2) + tail  # max(0, x - 2) twice
    net = f.to_network()

    x = np.linspace(*WINDOW, 201 if args.quick else 20_001)
    off = np.abs(net(x[:, None])[:, 0] - f(x)).max()
    print(f"network {net.layer_sizes}: off by {off:.1e} at most")
    for name, g in (
        ("from the level piece", from_the_level_piece),
        ("the lecture's", by_the_lecture),
        ("as printed", as_printed),
    ):
        print(f"{name}: {'equal' if g == f else f'off by {np.abs(g(x) - f(x)).max():g}'}")
    for weight, bias, out in zip(
        net.weights[0][0], net.biases[0], net.weights[1][:, 0], strict=True
    ):
        print(f"hinge {out:+g} max(0, {weight:g} x {bias:+g})")

    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(6.4, 6.4), layout="constrained",
                                            sharex=True)  # fmt: skip
    fastrelu.plot.piecewise(f, top, window=WINDOW, label="the function")
    top.plot(x, net(x[:, None])[:, 0], ":", color="black", label="its network")
    top.legend(frameon=False)
    fastrelu.plot.piecewise(by_the_lecture, bottom, window=WINDOW, label="with max(0, x - 3)")
    fastrelu.plot.piecewise(as_printed.simplify(), bottom, window=WINDOW,
                            label="as printed: max(0, x - 2) twice")  # fmt: skip
    top.set_xlabel("")
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()

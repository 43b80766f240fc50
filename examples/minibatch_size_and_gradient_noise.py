# SPDX-License-Identifier: BSD-3-Clause
"""
The noise of a minibatch's gradient
===================================

How a minibatch's size tames the noise of its gradient, and what that does for SGD.

Left: the variance of the gradient, measured and as the theory has it. Right: SGD with minibatches
of several sizes, with the same steps. Needs the extras `plot` and `train`.
"""

import argparse

from matplotlib import pyplot
from sklearn.datasets import load_diabetes

import fastrelu
from fastrelu import convergence


def main() -> None:
    """Draw gradients, run SGD, draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer draws, fewer and shorter runs")
    parser.add_argument("--out", metavar="FILE", default="minibatch_size_and_gradient_noise.png")
    arguments = parser.parse_args()
    X, y = load_diabetes(return_X_y=True)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for sampling in ("subset", "with_replacement"):
        draws = 100 if arguments.quick else 2000
        noise = convergence.gradient_noise(X, y, alpha=1.0, sampling=sampling, draws=draws)
        fastrelu.plot.gradient_noise(noise, left)
    left.set_title("one gradient's noise at the minimum")
    size = {"n_steps": 300, "replicates": 20} if arguments.quick else {"n_steps": 3000}
    for m in (4, 16, 64):
        study = convergence.study(X, y, alpha=1.0, batch_size=m, **size)
        print(f"{study}\n")
        fastrelu.plot.convergence(study, right, label=f"minibatches of {m}")
    right.set_ylim(bottom=right.get_ylim()[0] / 30)  # room for the legend, below the curves
    right.legend(frameon=False, loc="lower left")
    right.set_title(r"SGD with steps $1 / (2 \ell k)$")
    figure.savefig(arguments.out, dpi=120)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: BSD-3-Clause
"""
SGD beside the bound of its proof
=================================

SGD's distance from the minimum beside the bound of its convergence proof, on two problems.

200 runs of 10,000 steps each, from the same start; only the rows drawn differ. Needs the extras
`plot` and `train`.
"""

import argparse

from matplotlib import pyplot
from sklearn.datasets import load_breast_cancer, load_diabetes

import fastrelu
from fastrelu import convergence


def main() -> None:
    """Run SGD, report, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--out", metavar="FILE", default="sgd_against_its_bound.png")
    arguments = parser.parse_args()
    size = {"n_steps": 300, "replicates": 20} if arguments.quick else {}
    diabetes, tumours = load_diabetes(), load_breast_cancer()
    problems = {
        "diabetes, ridge regression": convergence.study(
            standardised(diabetes.data), standardised(diabetes.target), alpha=1.0, batch_size=4,
            **size,
        ),
        "breast cancer, logistic regression with a penalty": convergence.study(
            standardised(tumours.data)[:, :10], tumours.target, loss="binary_cross_entropy",
            alpha=0.1, batch_size=4, **size,
        ),
    }  # fmt: skip
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for ax, (name, study) in zip(axes, problems.items(), strict=True):
        print(f"{name}\n{study}\n")
        fastrelu.plot.convergence(study, ax)
        ax.set_title(name)
    figure.savefig(arguments.out, dpi=100)


def standardised(values):
    """Return the columns with mean 0 and variance 1."""
    return (values - values.mean(axis=0)) / values.std(axis=0)


if __name__ == "__main__":
    main()

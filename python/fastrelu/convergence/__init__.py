# SPDX-License-Identifier: BSD-3-Clause
"""SGD's convergence laid beside its proof: constants, the bound, runs, gradient noise.

The objective is everywhere

    f(w) = mean loss of the rows + alpha / 2 * |w|^2

for a linear model: a network without hidden layers, or the last layer on frozen hidden ones. All
of its parameters are in w, the bias too: it is the weight of a column of ones, and the penalty
covers it, since without that the cross entropies are not strongly convex in it. docs/convergence.md
has the mathematics.
"""

from fastrelu.convergence._bound import bound
from fastrelu.convergence._check import check
from fastrelu.convergence._constants import Constants, estimate_constants
from fastrelu.convergence._noise import GradientNoise, gradient_noise
from fastrelu.convergence._study import Study, study

__all__ = [
    "Constants",
    "GradientNoise",
    "Study",
    "bound",
    "check",
    "estimate_constants",
    "gradient_noise",
    "study",
]

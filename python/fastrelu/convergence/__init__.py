# SPDX-License-Identifier: BSD-3-Clause
"""SGD's convergence beside its proof: the constants, the bound, runs, and gradient noise.

The objective is always

    f(w) = mean loss of the rows + alpha / 2 * |w|^2

for a linear model: a network without hidden layers, or the last layer of a network whose hidden
layers stay as they are. w holds all parameters. The bias is the weight of a column of ones, and the
penalty covers it too: without a penalty on the bias the cross entropies are not strongly convex.
docs/convergence.md has the mathematics.
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

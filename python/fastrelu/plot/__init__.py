# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of fits and functions (extra `plot`: Matplotlib, imported when first used).

Each function draws into the axes given as ``ax``, or into those of a new figure, and returns the
axes.
"""

from fastrelu.plot._convergence import convergence, gradient_noise
from fastrelu.plot._history import history
from fastrelu.plot._piecewise import hinge_choice, hinge_fit, piecewise
from fastrelu.plot._regions import regions, surface
from fastrelu.plot.evaluation import (
    calibration,
    confusion_matrix,
    importance,
    predictions,
    residuals,
)

__all__ = [
    "calibration",
    "confusion_matrix",
    "convergence",
    "gradient_noise",
    "hinge_choice",
    "hinge_fit",
    "history",
    "importance",
    "piecewise",
    "predictions",
    "regions",
    "residuals",
    "surface",
]

# SPDX-License-Identifier: BSD-3-Clause
"""The solver of a stochastic fit, at the place that pickles of version 0.1.0 name."""

from fastrelu.sklearn.optimizer import Optimizer

__all__ = ["Optimizer"]

# SPDX-License-Identifier: BSD-3-Clause
"""The former place of `fastrelu.exact.piecewise`: pickles of version 0.1.0 name it."""

from fastrelu.exact.maximum import maximum, minimum
from fastrelu.exact.piecewise import PiecewiseLinear

__all__ = ["PiecewiseLinear", "maximum", "minimum"]

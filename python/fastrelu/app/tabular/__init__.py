# SPDX-License-Identifier: BSD-3-Clause
"""Models of tables that need no settings: their estimators, and the recipe behind them."""

from fastrelu.app.tabular.classifier import TabularClassifier
from fastrelu.app.tabular.regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]

# SPDX-License-Identifier: BSD-3-Clause
"""Models of tables that need no settings (extra `sklearn`): the face of the command's recipe."""

from fastrelu.app.tabular import TabularClassifier, TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]

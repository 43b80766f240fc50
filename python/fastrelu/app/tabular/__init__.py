# SPDX-License-Identifier: BSD-3-Clause
"""Models of tables that need no settings: their estimators, and the recipe behind them.

The recipe needs no scikit-learn, which takes longer to be imported than a small table to be
learned: the estimators are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrelu.app.tabular.classifier import TabularClassifier
    from fastrelu.app.tabular.regressor import TabularRegressor

__all__ = ["TabularClassifier", "TabularRegressor"]

_MODULES = {"TabularClassifier": "classifier", "TabularRegressor": "regressor"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

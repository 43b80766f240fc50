# SPDX-License-Identifier: BSD-3-Clause
"""The contestants, each at its defaults, behind the least preparation that it needs.

Those of packages that fastrelu's environment need not have are in `peers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.tables.peers import PEERS


def plain(X: pd.DataFrame) -> pd.DataFrame:
    """Dates as days, flags as numbers: what scikit-learn's models take."""
    X = X.copy()
    for name in X.columns:
        if X[name].dtype.kind == "M":
            X[name] = (X[name] - pd.Timestamp("1970-01-01")).dt.days.astype(float)
        elif X[name].dtype.kind == "b":
            X[name] = X[name].astype(float)
    return X


def is_number(X: pd.DataFrame) -> list[str]:
    return [name for name in X.columns if pd.api.types.is_numeric_dtype(X[name])]


def is_text(X: pd.DataFrame) -> list[str]:
    return [name for name in X.columns if not pd.api.types.is_numeric_dtype(X[name])]


def coded(model: Any) -> Any:
    """Categories as numbers of their own, for trees; boosting is told which they are."""
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=float("nan"),
        encoded_missing_value=float("nan"),
    )  # fmt: skip
    return make_pipeline(make_column_transformer((codes, is_text), remainder="passthrough"), model)


def scaled(model: Any) -> Any:
    """Standardised numbers and one-hot categories, the mean where a value is missing."""
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return make_pipeline(
        make_column_transformer(
            (numbers, is_number), (OneHotEncoder(handle_unknown="ignore"), is_text)
        ),
        model,
    )


def tabular(task: str, preset: str, seed: int) -> Any:
    import fastrelu  # the peers' environment need not have it

    of = fastrelu.TabularRegressor if task == "regression" else fastrelu.TabularClassifier
    return of(preset, random_state=seed)


def boosting(task: str, seed: int) -> Any:
    regression = task == "regression"
    of = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return coded(of(random_state=seed))


def forest(task: str, seed: int) -> Any:
    of = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return coded(of(random_state=seed))


def network(task: str, seed: int) -> Any:
    import fastrelu

    of = fastrelu.MLPRegressor if task == "regression" else fastrelu.MLPClassifier
    model = scaled(of(early_stopping=True, random_state=seed))
    if task == "regression":  # its rates are made for targets of about 1
        return TransformedTargetRegressor(model, transformer=StandardScaler())
    return model


def sklearn_network(task: str, seed: int) -> Any:
    of = MLPRegressor if task == "regression" else MLPClassifier
    model = scaled(of(random_state=seed))
    if task == "regression":
        return TransformedTargetRegressor(model, transformer=StandardScaler())
    return model


def linear(task: str, seed: int) -> Any:
    return scaled(RidgeCV() if task == "regression" else LogisticRegression(max_iter=1000))


def nothing(task: str, seed: int) -> Any:
    return DummyRegressor() if task == "regression" else DummyClassifier()


MODELS: dict[str, Callable[[str, int], Any]] = {
    "tabular": lambda task, seed: tabular(task, "default", seed),
    "tabular fast": lambda task, seed: tabular(task, "fast", seed),
    "tabular best": lambda task, seed: tabular(task, "best", seed),
    "boosted trees": boosting,
    "random forest": forest,
    "MLP": network,
    "scikit-learn's MLP": sklearn_network,
    "linear": linear,
    "shares or mean": nothing,
}


def made(model: str, task: str, seed: int) -> Any:
    """Return a contestant that has seen nothing yet."""
    return (PEERS.get(model) or MODELS[model])(task, seed)

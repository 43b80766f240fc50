# SPDX-License-Identifier: BSD-3-Clause
"""Contestants of packages that fastrelu's own environment need not have, one thread each.

They take a frame whose text columns are of pandas' `category` type, with all categories of the
table (`categorical`), at their defaults.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

TRIALS = 50  # of the search for boosted trees' settings


def categorical(X: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with text as categories, and names that every library takes."""
    X = X.copy()
    for name in X.columns:
        if not pd.api.types.is_numeric_dtype(X[name]):
            X[name] = X[name].astype("string").astype("category")
    X.columns = [re.sub(r"\W", "_", str(name)) for name in X.columns]
    return X


def _text(X: pd.DataFrame) -> list[str]:
    return [name for name in X.columns if isinstance(X[name].dtype, pd.CategoricalDtype)]


def _without_gaps(X: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts are texts, `missing` where there is none."""
    X = X.copy()
    for name in _text(X):
        X[name] = X[name].astype(object).where(X[name].notna(), "missing").astype(str)
    return X


class _Shared:
    """What the contestants share: labels as they came."""

    library = ""

    def __init__(self, task: str, seed: int) -> None:
        self.task, self.seed = task, seed

    def _labels(self, y: Any) -> Any:
        if self.task == "regression":
            return y
        self.classes_, codes = np.unique(y, return_inverse=True)
        return codes

    def predict(self, X: pd.DataFrame) -> Any:
        return np.asarray(self.model.predict(self.prepared(X))).reshape(-1)

    def predict_proba(self, X: pd.DataFrame) -> Any:
        return np.asarray(self.model.predict_proba(self.prepared(X)))

    def prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        return X


class LightGBM(_Shared):
    library = "lightgbm"

    def _made(self, **settings: Any) -> Any:
        import lightgbm

        of = lightgbm.LGBMRegressor if self.task == "regression" else lightgbm.LGBMClassifier
        return of(random_state=self.seed, n_jobs=1, verbosity=-1, **settings)

    def fit(self, X: pd.DataFrame, y: Any) -> LightGBM:
        self.model = self._made().fit(X, self._labels(y))
        return self


class TunedLightGBM(LightGBM):
    """The best of 50 random settings on a fifth of the rows, which ends each, then all rows."""

    def fit(self, X: pd.DataFrame, y: Any) -> TunedLightGBM:
        import lightgbm
        from sklearn.model_selection import train_test_split

        y = self._labels(y)
        parts = train_test_split(
            X, y, test_size=0.2, random_state=self.seed,
            stratify=None if self.task == "regression" else y,
        )  # fmt: skip
        random = np.random.default_rng(self.seed)
        found: list[tuple[float, int, dict[str, Any]]] = []
        for _ in range(TRIALS):
            settings = _drawn(random)
            model = self._made(n_estimators=2000, **settings)
            model.fit(
                parts[0], parts[2], eval_set=[(parts[1], parts[3])],
                callbacks=[lightgbm.early_stopping(50, verbose=False)],
            )  # fmt: skip
            loss = next(iter(model.best_score_["valid_0"].values()))
            found.append((loss, len(found), {**settings, "n_estimators": model.best_iteration_}))
        self.model = self._made(**min(found)[2]).fit(X, y)
        return self


def _drawn(random: np.random.Generator) -> dict[str, Any]:
    def between(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    return {
        "learning_rate": between(0.01, 0.3),
        "num_leaves": round(between(4, 256)),
        "min_child_samples": round(between(2, 100)),
        "colsample_bytree": float(random.uniform(0.4, 1.0)),
        "subsample": float(random.uniform(0.5, 1.0)),
        "subsample_freq": 1,
        "reg_lambda": between(1e-3, 100),
        "reg_alpha": between(1e-3, 10),
    }


class CatBoost(_Shared):
    library = "catboost"

    def prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        return _without_gaps(X)

    def fit(self, X: pd.DataFrame, y: Any) -> CatBoost:
        import catboost

        regression = self.task == "regression"
        of = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
        self.model = of(
            random_seed=self.seed, thread_count=1, verbose=False, allow_writing_files=False,
            cat_features=_text(X),
        )  # fmt: skip
        self.model.fit(self.prepared(X), self._labels(y))
        return self


class Pytabkit(_Shared):
    """A network of `pytabkit`; missing numbers are the mean, missing texts one of their own."""

    library = "pytabkit"

    def __init__(self, task: str, seed: int, kind: str) -> None:
        super().__init__(task, seed)
        self.kind = kind

    def prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        X = _without_gaps(X)
        for name, mean in self.means.items():
            X[name] = X[name].astype(np.float64).fillna(mean)
        return X

    def fit(self, X: pd.DataFrame, y: Any) -> Pytabkit:
        import pytabkit

        numbers = [name for name in X.columns if name not in _text(X)]
        self.means = X[numbers].astype(np.float64).mean().fillna(0.0)
        ending = "Regressor" if self.task == "regression" else "Classifier"
        of = getattr(pytabkit, f"{self.kind}_{ending}")
        self.model = of(device="cpu", random_state=self.seed, n_threads=1, verbosity=0)
        self.model.fit(self.prepared(X), self._labels(y), cat_col_names=_text(X))
        return self


PEERS = {
    "LightGBM": LightGBM,
    "LightGBM tuned": TunedLightGBM,
    "CatBoost": CatBoost,
    "RealMLP small": lambda task, seed: Pytabkit(task, seed, "RealMLP_TD_S"),
    "RealMLP": lambda task, seed: Pytabkit(task, seed, "RealMLP_TD"),
    "TabM": lambda task, seed: Pytabkit(task, seed, "TabM_D"),
}

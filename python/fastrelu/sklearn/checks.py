# SPDX-License-Identifier: BSD-3-Clause
"""What is refused before a search starts: each error names the argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import _check_sample_weight, _num_samples

from fastrelu.sklearn.base import BaseMLP


@contextmanager
def named(argument: str) -> Iterator[None]:
    """Put the name of an argument before the message of an error."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument}: {error}") from error


def networks_of(estimator: Any) -> dict[str, BaseMLP]:
    """Return the estimators of this package in one, by what begins the names of their parameters.

    That is "" for the estimator itself, and "step__" for a step of a pipeline.
    """
    if isinstance(estimator, BaseMLP):
        return {"": estimator}
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return {}
    parts = estimator.get_params().items()
    return {f"{name}__": part for name, part in parts if isinstance(part, BaseMLP)}


def epochs_name(estimator: Any) -> str:
    """Return the name of the parameter ``max_iter`` of the one network in an estimator."""
    prefix, *more = networks_of(estimator)
    if more:
        raise ValueError(
            "halving: expected one estimator of this package in estimator, whose max_iter it sets, "
            f"got {1 + len(more)}"
        )
    return f"{prefix}max_iter"


def check_scores(search: Any) -> None:
    """Check what the candidates are judged by, and what the search does with an error."""
    if not networks_of(search.estimator):
        what = search.estimator if isinstance(search.estimator, type) else type(search.estimator)
        raise TypeError(
            "estimator: expected a fastrelu.MLPClassifier or MLPRegressor, or a pipeline with one, "
            f"got {what.__name__}"
        )
    several = isinstance(search.scoring, (list, tuple, set, dict))
    if several and search.halving:
        raise ValueError(
            f"scoring: expected one score with halving=True, got {type(search.scoring).__name__}"
        )
    with named("scoring, refit" if several else "scoring"):
        search._get_scorers()


def check_candidates(search: Any, candidates: Sequence[Mapping[str, Any]]) -> None:
    """Check that the estimator has the parameters that the candidates set."""
    argument = "param_grid" if search.param_grid is not None else "param_distributions"
    if not candidates:
        raise ValueError(f"{argument}: expected at least one candidate, got none")
    for candidate in candidates:
        with named(argument):
            clone(search.estimator).set_params(**clone(candidate, safe=False))
    if not search.halving:
        return
    name = epochs_name(search.estimator)
    if any(name in candidate for candidate in candidates):
        raise ValueError(f"{argument}: expected no {name} with halving=True, which sets it, got it")
    most = search.estimator.get_params()[name]
    if not isinstance(most, Integral) or most < 1:
        raise ValueError(f"estimator: expected {name} >= 1 with halving=True, got {most!r}")


def check_rows(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any]) -> None:
    """Check the rows and what comes with them as the fits will, but all at once."""
    if y is None:
        raise ValueError("y: expected the targets of the rows, got None")
    if X is None:
        raise ValueError("X: expected rows, got None")
    with named("X"):
        rows = _num_samples(X)
    with named("y"):
        targets = _num_samples(y)
    if targets != rows:
        raise ValueError(f"y: expected a target for each of the {rows} rows of X, got {targets}")
    if isinstance(estimator, BaseMLP):  # a pipeline may fill in what is missing
        clone(estimator)._validate_input(X, y, incremental=False, reset=True)
    for name, value in fit_params.items():
        if name.endswith("sample_weight") and value is not None:
            given = np.size(value)
            if given != rows:
                raise ValueError(
                    f"{name}: expected a weight for each of the {rows} rows of X, got {given}"
                )
            with named(name):
                _check_sample_weight(value, X)

# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of searches have in common: rows, estimators, and when two searches are equal."""

import numpy as np
from sklearn.model_selection import GridSearchCV

from fastrelu import MLPClassifier, MLPRegressor, PopulationSearchCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)]
VALUES = np.abs(X[:, 0]) - X[:, 1]
WEIGHT = RNG.uniform(0.1, 2.0, 90)
CLASSIFIER = MLPClassifier((6,), learning_rate_init=0.02, max_iter=8, random_state=0)
REGRESSOR = MLPRegressor(
    hidden_layer_sizes=(6,), learning_rate_init=0.02, max_iter=8, random_state=1
)
GRID = {"hidden_layer_sizes": [(3,), (5, 4)], "alpha": [1e-4, 1.0]}


def arrays_of(estimator):
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    return [*last.coefs_, *last.intercepts_]


def assert_equal(ours, theirs):
    """The same candidates, scores and best estimator: everything but the times."""
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for key, expected in theirs.cv_results_.items():
        got = ours.cv_results_[key]
        if "_time" in key:
            assert got.shape == expected.shape and (got >= 0).all()
        elif key.startswith("param_"):
            assert got.dtype == expected.dtype and str(got) == str(expected)
        elif key == "params":
            assert str(got) == str(expected)
        else:
            np.testing.assert_array_equal(got, expected, strict=True)
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_
    assert hasattr(ours, "best_score_") == hasattr(theirs, "best_score_")
    if hasattr(theirs, "best_index_"):
        assert ours.best_index_ == theirs.best_index_
        assert str(ours.best_params_) == str(theirs.best_params_)
    if hasattr(theirs, "best_score_"):
        assert ours.best_score_ == theirs.best_score_
    assert hasattr(ours, "best_estimator_") == hasattr(theirs, "best_estimator_")
    if hasattr(theirs, "best_estimator_"):
        for a, b in zip(
            arrays_of(ours.best_estimator_), arrays_of(theirs.best_estimator_), strict=True
        ):
            np.testing.assert_array_equal(a, b, strict=True)
        assert ours.refit_time_ > 0


def both(estimator, grid, X=X, y=LABELS, *, n_threads=3, fit=None, **options):
    ours = PopulationSearchCV(estimator, grid, n_threads=n_threads, **options)
    theirs = GridSearchCV(estimator, grid, **options)
    return ours.fit(X, y, **(fit or {})), theirs.fit(X, y, **(fit or {}))

# SPDX-License-Identifier: BSD-3-Clause
"""TabularRegressor: intervals around its predictions."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import datasets
from sklearn.exceptions import NotFittedError

import fastrelu
from fastrelu import conformal


def fast(**parameters):
    return fastrelu.TabularRegressor("fast", **{"random_state": 0, **parameters})


def waves(rng, n):
    """Targets whose noise has long tails and grows with a column."""
    X = rng.normal(size=(n, 4))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + np.exp(X[:, 2] / 2) * rng.standard_t(4, size=n)


TABLES = {
    "friedman": (lambda: datasets.make_friedman1(6000, noise=1.0, random_state=0), 300),
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True), 300),
    "waves": (lambda: waves(np.random.default_rng(0), 6000), 300),
}


@pytest.mark.parametrize("name", TABLES)
def test_intervals_hold_the_target_as_often_as_they_say(name):
    load, n = TABLES[name]
    X, y = load()
    held = []
    for seed in range(12):
        rows = np.random.default_rng(seed).permutation(len(X))
        train, test = rows[:n], rows[n : n + 1000]
        model = fast(random_state=seed).fit(X[train], y[train])
        low, high = model.predict_interval(X[test], 0.9).T
        held.append(np.mean((low <= y[test]) & (y[test] <= high)))
    assert abs(np.mean(held) - 0.9) < 0.03  # 12 splits: four standard errors are about 0.02


@pytest.mark.parametrize(("n", "rank"), [(9, 9), (19, 18)])
def test_the_rank_for_few_rows(n, rank):
    rng = np.random.default_rng(n)
    X, y = rng.normal(size=(n, 1)), rng.normal(size=n)
    model = fastrelu.TabularRegressor(n_members=5, random_state=0).fit(X, y)
    margins = np.diff(model.predict_interval(X, 0.9)).ravel() / 2
    np.testing.assert_allclose(margins, margins[0])
    # Nothing is learned of noise: all members predict the mean, or nearly.
    assert model.shrinkage_ == 0.0
    residuals = np.sort(np.abs(y - y.mean()))
    np.testing.assert_allclose(margins[0], residuals[rank - 1])
    assert conformal.rank(n, 0.9) == rank
    assert np.isinf(model.predict_interval(X, 0.96)).all()
    few = fastrelu.TabularRegressor(n_members=5, random_state=0).fit(X[:8], y[:8])
    assert np.isinf(few.predict_interval(X, 0.9)).all()


@pytest.mark.parametrize("n", [9, 19])
def test_coverage_with_few_rows(n):
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(n + 500, 2)), rng.normal(size=n + 500)
        model = fast(n_members=5, random_state=seed).fit(X[:n], y[:n])
        low, high = model.predict_interval(X[n:], 0.9).T
        held.append(np.mean((low <= y[n:]) & (y[n:] <= high)))
    assert 0.85 < np.mean(held) < 0.95


def test_intervals_of_several_targets_and_their_units():
    X, y = datasets.make_regression(200, 4, n_targets=2, noise=20.0, random_state=0)
    model = fast().fit(X, y * [1.0, 1000.0] + [0.0, 1e6])
    ends = model.predict_interval(X, 0.8)
    assert ends.shape == (200, 2, 2)
    np.testing.assert_allclose(ends.mean(axis=2), model.predict(X), rtol=1e-12)
    width = np.diff(ends, axis=2)[:, :, 0]
    np.testing.assert_allclose(width, width[:1].repeat(200, axis=0))
    assert width[0, 1] > 300 * width[0, 0]
    assert model.predict_interval(X[:0]).shape == (0, 2, 2)
    narrow = model.predict_interval(X, 0.5)
    assert (narrow[..., 0] >= ends[..., 0]).all()
    assert (narrow[..., 1] <= ends[..., 1]).all()
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_interval(X, 0.8) == ends).all()


@pytest.mark.parametrize("coverage", [0.0, 1.0, "all", None])
def test_coverage_is_checked(coverage):
    X = np.arange(20.0)[:, None]
    model = fast().fit(X, X[:, 0])
    with pytest.raises((ValueError, TypeError), match="coverage"):
        model.predict_interval(X, coverage)
    with pytest.raises((ValueError, TypeError), match="coverage"):
        model.predict_interval(X[:0], coverage)
    with pytest.raises(NotFittedError):
        fast().predict_interval(X)

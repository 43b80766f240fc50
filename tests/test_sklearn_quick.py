# SPDX-License-Identifier: BSD-3-Clause
"""Predictions of plain rows, which are checked once, beside those that scikit-learn checks."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from fastrelu import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def wide_indices(X):
    X.indices, X.indptr = X.indices.astype("int64"), X.indptr.astype("int64")
    return X


ROWS = {
    "array": lambda X: X,
    "columns first": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: X[:, ::-1][:, ::-1],
    "float32": lambda X: X.astype("float32"),
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "whole numbers": lambda X: np.round(X).astype(int),
    "list": lambda X: X.tolist(),
    "csr_matrix": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "csr of float32": lambda X: sp.csr_array(X.astype("float32")),
    "csr of wide indices": lambda X: wide_indices(sp.csr_matrix(X)),
    "csc": sp.csc_array,
    "matrix in a class of its own": lambda X: X.view(type("Rows", (np.ndarray,), {})),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [1, 7])
def test_plain_rows_are_predicted_as_all_others(rows, dtype, n, wine, diabetes):
    """What is checked once has the results of what scikit-learn checks."""
    for E, (X, y) in ((MLPClassifier, wine), (MLPRegressor, diabetes)):
        estimator = E(hidden_layer_sizes=(8,), max_iter=3, random_state=0, dtype=dtype).fit(X, y)
        some = ROWS[rows](X[:n])
        unusual = E.from_sklearn(estimator.to_sklearn()).set_params(n_threads=1)
        for method in ("predict", "predict_proba") if E is MLPClassifier else ("predict",):
            got, expected = (getattr(each, method)(some) for each in (estimator, unusual))
            assert got.dtype == expected.dtype and got.shape == expected.shape
            assert np.array_equal(got, expected)


def test_rows_that_are_not_plain_are_refused_as_ever(wine):
    X, y = wine
    clf = MLPClassifier((8,), max_iter=3, random_state=0)
    with pytest.raises(NotFittedError):
        clf.predict(X[:1])
    clf.fit(X, y)
    theirs = clf.to_sklearn()
    bad = X[:1].copy()
    bad[0, 3] = np.nan
    huge = np.full_like(X[:1], np.inf)
    for rows in (bad, huge, X[:1, :-1], X[0], X[:0], X[:1, :0]):
        for method in ("predict", "predict_proba"):
            with pytest.raises(ValueError) as expected:
                getattr(theirs, method)(rows)
            with pytest.raises(ValueError) as error:
                getattr(clf, method)(rows)
            assert str(error.value) == str(expected.value)


def test_sparse_rows_that_are_not_plain_are_refused_as_ever(wine):
    X, y = wine
    clf = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y)
    theirs = clf.to_sklearn()
    rows = sp.csr_matrix(X[:2])
    bad = rows.copy()
    bad.data[3] = np.inf
    for each in (bad, rows[:, :-1], rows[:0]):
        with pytest.raises(ValueError) as expected:
            theirs.predict(each)
        with pytest.raises(ValueError) as error:
            clf.predict(each)
        assert str(error.value) == str(expected.value)
    beyond = rows.copy()  # what no row has, but what is stored all the same
    beyond.data = np.append(beyond.data, np.nan)
    beyond.indices = np.append(beyond.indices, np.int32(0))
    with pytest.raises(ValueError, match="NaN"):
        clf.predict(beyond)
    outside = rows.copy()
    outside.indices[-1] = X.shape[1]
    with pytest.raises(ValueError, match="ind"):
        clf.predict(outside)


@pytest.mark.parametrize("rows", [np.asarray, sp.csr_matrix])
def test_many_rows_are_predicted_as_a_few(rows, wine):
    """In chunks where the outputs are many, in one call where they are read in place."""
    X, y = wine
    clf = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y)
    some = rows(X[:50])
    many = rows(np.tile(X[:50], (8000, 1)))  # 1.2 million outputs
    assert np.array_equal(clf.predict(many), np.tile(clf.predict(some), 8000))
    assert np.array_equal(clf.predict_proba(many), np.tile(clf.predict_proba(some), (8000, 1)))


def test_predictions_follow_what_the_user_changes(wine):
    """A quick prediction looks at the lists of arrays, at the activation and at the names."""
    X, y = wine
    clf = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, y)
    one = X[:1]
    before = clf.predict_proba(one)
    clf.coefs_[0] = clf.coefs_[0] * 2
    assert not np.array_equal(clf.predict_proba(one), before)
    clf.coefs_[0] *= 0.5
    assert np.array_equal(clf.predict_proba(one), before)
    clf.intercepts_ = [2 * b for b in clf.intercepts_]
    assert not np.array_equal(clf.predict_proba(one), before)
    clf.intercepts_ = [b / 2 for b in clf.intercepts_]
    assert np.array_equal(clf.predict_proba(one), before)
    clf.activation = "tanh"
    assert not np.array_equal(clf.predict_proba(one), before)
    clf.activation = "relu"
    assert np.array_equal(clf.predict_proba(one), before)
    clf.feature_names_in_ = np.array([f"column {k}" for k in range(X.shape[1])], dtype=object)
    with pytest.warns(UserWarning, match="feature names"):
        clf.predict(one)

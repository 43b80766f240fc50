# SPDX-License-Identifier: BSD-3-Clause
"""The estimators fit as scikit-learn's do: same numbers, same random stream, same checks."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.neural_network as sk
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import check_estimator

import fastrelu

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PAIRS = {
    "classifier": (fastrelu.MLPClassifier, sk.MLPClassifier),
    "regressor": (fastrelu.MLPRegressor, sk.MLPRegressor),
}
SOLVERS = {
    "plain sgd": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.01},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.005},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.005},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 2,
        "learning_rate_init": 0.01, "max_iter": 40,
    },
    "adam": {"learning_rate_init": 0.01},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.01},
    "lbfgs": {"solver": "lbfgs", "max_iter": 10},
}  # fmt: skip
FIELDS = ("coefs_", "intercepts_", "loss_curve_", "validation_scores_", "loss_", "best_loss_")


def data(kind):
    if kind == "classifier":
        X, y = datasets.load_wine(return_X_y=True)
        return scale(X), y
    X, y = datasets.load_diabetes(return_X_y=True)
    return scale(X), scale(y)


def gap(a, b):
    if isinstance(b, list):
        return max((gap(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    if b is None or isinstance(b, str):
        return 0.0 if type(a) is type(b) else np.inf
    return float(np.max(np.abs(np.asarray(a) - b)) / max(1.0, np.max(np.abs(b))))


def assert_alike(ours, theirs, X):
    for field in FIELDS:
        a, b = (getattr(e, field, "absent") for e in (ours, theirs))
        assert gap(a, b) <= 1e-8, field
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    a, b = ours.predict(X), theirs.predict(X)
    assert a.dtype == b.dtype and a.shape == b.shape
    assert np.array_equal(a, b) if a.dtype.kind != "f" else gap(a, b) <= 1e-8


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", PAIRS)
def test_fit(kind, solver, weighted):
    X, y = data(kind)
    weight = np.random.default_rng(0).random(len(y)) if weighted else None
    settings = {"max_iter": 15, "random_state": 3, "batch_size": 50, **SOLVERS[solver]}
    ours, theirs = (E(hidden_layer_sizes=(12, 7), **settings).fit(X, y, weight)
                    for E in PAIRS[kind])  # fmt: skip
    assert_alike(ours, theirs, X)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh"])
@pytest.mark.parametrize("kind", PAIRS)
def test_activations(kind, activation):
    X, y = data(kind)
    ours, theirs = (E(activation=activation, max_iter=10, random_state=0).fit(X, y)
                    for E in PAIRS[kind])  # fmt: skip
    assert_alike(ours, theirs, X)


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("solver", ["adam", "early stopping", "lbfgs"])
def test_sparse(format, solver):
    X, y = datasets.load_digits(return_X_y=True)
    X = sp.csr_matrix(X / 16).asformat(format)
    settings = {"max_iter": 5, "random_state": 0, **SOLVERS[solver]}
    ours, theirs = (E(hidden_layer_sizes=(9,), **settings).fit(X, y) for E in PAIRS["classifier"])
    assert_alike(ours, theirs, X)


def test_multilabel_and_several_outputs():
    X, y = datasets.make_multilabel_classification(80, random_state=0)
    ours, theirs = (E(max_iter=8, random_state=0).fit(X, y) for E in PAIRS["classifier"])
    assert_alike(ours, theirs, X)
    assert gap(ours.predict_proba(X), theirs.predict_proba(X)) < 1e-8
    X, y = data("regressor")
    Y = np.c_[y, X[:, :2]]
    ours, theirs = (E(max_iter=8, random_state=0).fit(X, Y) for E in PAIRS["regressor"])
    assert_alike(ours, theirs, X)


def test_poisson():
    X, _ = data("regressor")
    y = np.random.default_rng(0).poisson(3.0, len(X)).astype(float)
    ours, theirs = (
        E(loss="poisson", max_iter=10, random_state=0).fit(X, y) for E in PAIRS["regressor"]
    )
    assert_alike(ours, theirs, X)


@pytest.mark.parametrize("kind", PAIRS)
def test_partial_fit_warm_start_and_pickles(kind):
    X, y = data(kind)
    ours, theirs = (E(max_iter=4, random_state=0, warm_start=True) for E in PAIRS[kind])
    for e in (ours, theirs):
        e.fit(X, y).fit(X, y)
    ours = pickle.loads(pickle.dumps(ours))
    for e in (ours, theirs):
        for _ in range(3):
            e.partial_fit(X[::2], y[::2])
    assert_alike(ours, theirs, X)


@pytest.mark.parametrize("state", [None, 5, "own"])
def test_random_stream(state):
    """The streams are left where scikit-learn leaves them."""
    X, y = data("classifier")
    ends = []
    for E in PAIRS["classifier"]:
        np.random.seed(4)
        rs = np.random.RandomState(9) if state == "own" else state
        e = E(max_iter=3, random_state=rs, early_stopping=True).fit(X, y)
        own = rs.get_state()[1].tolist() if state == "own" else None
        ends.append((np.random.get_state()[1].tolist(), own, e.coefs_[0]))
    assert ends[0][:2] == ends[1][:2]
    assert gap(ends[0][2], ends[1][2]) < 1e-8


def test_saturated_probabilities_give_scikit_learns_loss():
    """Far on the wrong side the log loss takes p off 0 and 1: the loss stays finite."""
    rng = np.random.default_rng(0)
    X = 200.0 * rng.normal(size=(60, 5))
    for y in (rng.integers(0, 2, 60), rng.integers(0, 3, 60)):
        ours, theirs = (
            E(solver="sgd", learning_rate_init=1e-6, max_iter=3, random_state=0).fit(X, y)
            for E in PAIRS["classifier"]
        )
        assert theirs.loss_ > 5
        assert gap(ours.loss_curve_, theirs.loss_curve_) < 1e-8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_dtype_is_preserved(dtype, solver):
    X, y = data("regressor")
    e = fastrelu.MLPRegressor(solver=solver, max_iter=3).fit(X.astype(dtype), y)
    assert {a.dtype for a in e.coefs_ + e.intercepts_} == {np.dtype(dtype)}
    assert e.predict(X.astype(dtype)).dtype == dtype


@pytest.mark.parametrize("E", [fastrelu.MLPClassifier, fastrelu.MLPRegressor])
def test_check_estimator(E):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(E(), on_fail=None, on_skip=None)
    assert {r["check_name"]: r["status"] for r in results if r["status"] == "failed"} == {}


def test_pipeline_grid_search_and_clone():
    X, y = data("classifier")
    found = []
    for E in PAIRS["classifier"]:
        pipe = make_pipeline(StandardScaler(), E(max_iter=20, random_state=0))
        name = E.__name__.lower()
        search = GridSearchCV(pipe, {f"{name}__alpha": [1e-4, 1.0]}, cv=3).fit(X, y)
        found.append((search.best_params_, search.cv_results_["mean_test_score"].tolist()))
    assert found[0] == found[1]
    e = fastrelu.MLPClassifier(alpha=0.5, dropout=0.2)
    assert clone(e).get_params() == e.get_params()


def test_bad_input_has_scikit_learns_messages():
    X, y = data("classifier")
    with pytest.raises(ValueError, match="validation set is too small"):
        fastrelu.MLPClassifier(early_stopping=True).fit(X[:3], y[:3])
    with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0"):
        fastrelu.MLPClassifier(hidden_layer_sizes=(4, 0)).fit(X, y)
    with pytest.raises(AttributeError):
        fastrelu.MLPClassifier(solver="lbfgs").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="The 'solver' parameter"):
        fastrelu.MLPClassifier(solver="rmsprop").fit(X, y)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        fastrelu.MLPClassifier(max_iter=1).fit(X, y)


@pytest.mark.parametrize("batch_size", [1, 3, 8, 9])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_small_minibatches(kind, batch_size):
    """Below a handful of rows other kernels run; several outputs, whose loss scikit-learn sums."""
    X, y = data(kind)
    X, y = X[:50], y[:50]
    if kind == "regressor":
        y = np.stack([y, -y, y**2], axis=1)
    settings = {
        "solver": "sgd", "batch_size": batch_size, "max_iter": 4, "random_state": 1,
        "hidden_layer_sizes": (9, 5), "learning_rate_init": 1e-3,
    }  # fmt: skip
    ours, theirs = (cls(**settings).fit(X, y) for cls in PAIRS[kind])
    assert_alike(ours, theirs, X)

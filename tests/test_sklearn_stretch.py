# SPDX-License-Identifier: BSD-3-Clause
"""Epochs in one call of the core give what epochs one by one give, plain input what any gives."""

import os
import signal
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import validate_parameter_constraints

from fastrelu import MLPClassifier, MLPRegressor, _core
from fastrelu.sklearn import labels, stretch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3))
VALUES = np.abs(X[:, 0]) - X[:, 1]
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)
WEIGHT = RNG.uniform(0.1, 2, 70)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**32 - 1), st.booleans())
def test_rows_are_shuffled_as_numpy_shuffles_them(count, seed, moved):
    ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
    order = np.arange(count)
    epochs = _core.GivenEpochs(order, ours._bit_generator, 1, 0.0, 1.0)
    if moved:
        epochs.move(5)
        order = order + 5
    for _ in range(3):
        permutation = np.arange(count)
        theirs.shuffle(permutation)
        order = order[permutation]
        np.testing.assert_array_equal(epochs.shuffled(), order)
    assert ours.randint(2**31) == theirs.randint(2**31)


def nothing(estimator, record):
    """A callback: with one, epochs are run one by one."""


def state_of(est):
    optimizer = est._optimizer
    return {
        **{f"parameters {i}": a for i, a in enumerate([*est.coefs_, *est.intercepts_])},
        **{f"state {i}": a for i, a in enumerate(optimizer.arrays)},
        "curve": np.array(est.loss_curve_),
        "numbers": np.array(
            [est.n_iter_, est.t_, est.loss_, est.best_loss_, est._no_improvement_count]
        ),
        "rate": np.array(optimizer.learning_rate),
        "random": np.array(est._random_state.randint(2**31)),
    }


def assert_same(ours, theirs):
    found, expected = state_of(ours), state_of(theirs)
    for name in expected:
        if name != "random" or ours.random_state is not None:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


OPTIONS = {
    "adam": {},
    "sgd": {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.03, "max_iter": 200},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "in order": {"shuffle": False, "random_state": None, "coefs_init": "given"},
    "it stops": {"tol": 0.01, "n_iter_no_change": 2, "max_iter": 300},
    "it never stops": {"n_iter_no_change": np.inf, "max_iter": 60},
    "small batches": {"batch_size": 3, "alpha": 0.5},
    "no penalty": {"alpha": 0.0},
    "dropout": {"dropout": 0.3},
    "wide": {"hidden_layer_sizes": (200, 150)},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", ["classes", "values"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_stretch_of_epochs_is_epochs_one_by_one(options, kind, weighted):
    options = dict(options)
    y = LABELS if kind == "classes" else VALUES
    cls = MLPClassifier if kind == "classes" else MLPRegressor
    base = {"learning_rate_init": 0.02, "max_iter": 30, "random_state": 1, "batch_size": 20}
    if options.get("coefs_init"):
        outputs = 3 if kind == "classes" else 1
        options |= {
            "coefs_init": [RNG.normal(size=(3, 7)), RNG.normal(size=(7, outputs))],
            "intercepts_init": [np.zeros(7), np.zeros(outputs)],
        }
    est = cls(**{"hidden_layer_sizes": (7,), **base, **options})
    weight = WEIGHT if weighted else None
    one_by_one = clone(est).set_params(callbacks=[nothing]).fit(X, y, sample_weight=weight)
    assert_same(est.fit(X, y, sample_weight=weight), one_by_one)


def test_sparse_rows_and_the_next_fit_of_a_warm_start():
    rows = sparse.random_array((60, 5), density=0.4, rng=np.random.default_rng(0)).tocsr()
    y = np.arange(60) % 2
    one_by_one, together = (
        MLPClassifier((4,), random_state=0, max_iter=7, warm_start=True, callbacks=callbacks)
        for callbacks in ([nothing], None)
    )
    assert_same(together.fit(rows, y).fit(rows, y), one_by_one.fit(rows, y).fit(rows, y))


def test_stretches_are_cut_by_the_clock_without_a_trace(monkeypatch):
    whole = MLPRegressor(hidden_layer_sizes=(5,), random_state=0, max_iter=40).fit(X, VALUES)
    monkeypatch.setattr(stretch, "SECONDS", 0.0)
    calls = []
    original = stretch.run_alone
    monkeypatch.setattr(stretch, "run_alone", lambda *a: (calls.append(1), original(*a)))
    cut = MLPRegressor(hidden_layer_sizes=(5,), random_state=0, max_iter=40).fit(X, VALUES)
    assert len(calls) == 40
    assert_same(cut, whole)


def test_numbers_that_are_not_finite_end_the_fit():
    est = MLPRegressor(
        hidden_layer_sizes=(5,), solver="sgd", learning_rate_init=1e6, random_state=0, max_iter=50
    )
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*Step"):
        est.fit(X, VALUES * 1e6)
    assert np.isfinite(est.network_.parameters).all()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to itself")
def test_ctrl_c_within_a_stretch_leaves_the_epochs_it_has_made():
    rows = np.random.default_rng(0).normal(size=(2000, 20))
    est = MLPRegressor(
        hidden_layer_sizes=(50,), random_state=0, max_iter=10**6, tol=0, n_iter_no_change=10**6
    )
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.warns(UserWarning, match="interrupted by user"):
        est.fit(rows, rows[:, 0])
    assert est.n_iter_ == len(est.loss_curve_) > 1 and est.t_ == 2000 * est.n_iter_


def test_a_fit_leaves_the_clock_to_others():
    """Threads that fit beside each other give the bits that they give alone."""
    alone = MLPClassifier((6,), random_state=3, max_iter=50).fit(X, LABELS)
    found = []

    def work():
        found.append(clone(alone).fit(X, LABELS))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    expected = state_of(alone)
    for one in map(state_of, found):
        for name in expected:
            np.testing.assert_array_equal(one[name], expected[name], err_msg=name)


PLAIN = st.one_of(
    st_numpy.arrays(np.int64, st.integers(1, 12), elements=st.integers(-3, 3)),
    st_numpy.arrays(np.uint8, st.integers(1, 12), elements=st.integers(0, 2)),
    st_numpy.arrays(bool, st.integers(1, 12)),
    st_numpy.arrays("U2", st.integers(1, 12), elements=st.sampled_from(["a", "b", "ab", ""])),
)


@settings(max_examples=150, deadline=None)
@given(PLAIN, st.randoms())
def test_plain_labels_are_read_as_scikit_learn_reads_them(y, random):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LabelBinarizer().fit(y)
        ours = labels.fitted_binarizer(y)
        assert vars(ours).keys() == vars(theirs).keys()
        assert ours.y_type_ == theirs.y_type_ and ours.sparse_input_ == theirs.sparse_input_
        np.testing.assert_array_equal(ours.classes_, theirs.classes_, strict=True)
        columns = theirs.transform(y).astype(bool)
        np.testing.assert_array_equal(labels.label_columns(ours, y), columns, strict=True)
        p = np.array([[random.choice([0.2, 0.5, 0.7, np.nan])] for _ in y])
        if columns.shape[1] == 1:
            np.testing.assert_array_equal(
                labels.labels_of(ours, p), theirs.inverse_transform(p.ravel()), strict=True
            )


@pytest.mark.parametrize("y", [LABELS, LABELS % 2, np.array(["a", "b", "c"])[LABELS]])
def test_the_score_is_the_accuracy(y):
    est = MLPClassifier((4,), random_state=0, max_iter=20).fit(X, y)
    other = np.array(y)
    other[::3] = y[0]
    for truth in (other, other.tolist(), other[:2], np.r_[other, other][:70]):
        rows = X[: len(truth)]
        assert est.score(rows, truth) == accuracy_score(truth, est.predict(rows))
        weight = WEIGHT[: len(truth)]
        expected = accuracy_score(truth, est.predict(rows), sample_weight=weight)
        assert est.score(rows, truth, weight) == expected
    with pytest.raises(ValueError):
        est.score(X, y[:-1])


def test_plain_input_is_refused_as_any_is():
    est = MLPRegressor(hidden_layer_sizes=(4,), random_state=0, max_iter=2).fit(X, VALUES)
    bad = X.copy()
    bad[3, 1] = np.nan
    for rows, text in ((bad, "NaN"), (X[:, :2], "2 features"), (X[:0], "0 sample"), (X[0], "1D")):
        with pytest.raises(ValueError, match=text):
            est.predict(rows)
        with pytest.raises(ValueError):
            clone(est).fit(rows, VALUES[: len(rows)]) if text != "2 features" else est.score(
                rows, VALUES
            )
    for y in (VALUES[:-1], np.where(VALUES > 1, np.inf, VALUES)):
        with pytest.raises(ValueError):
            clone(est).fit(X, y)
    est = MLPRegressor(hidden_layer_sizes=(4,), random_state=0, alpha=-1.0)
    with pytest.raises(ValueError, match="'alpha' parameter of MLPRegressor must be"):
        est.fit(X, VALUES)


def test_names_of_columns_are_known_and_forgotten():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    est = MLPRegressor(hidden_layer_sizes=(4,), random_state=0, max_iter=2).fit(frame, VALUES)
    with pytest.warns(UserWarning, match="valid feature names"):
        est.predict(X)
    est.fit(X, VALUES)
    assert not hasattr(est, "feature_names_in_") and est.n_features_in_ == 3


def test_the_defaults_are_valid_and_the_names_those_of_the_signature():
    for cls in (MLPClassifier, MLPRegressor):

        class Subclass(cls):
            def __init__(self, alpha=0.5, *, activation="relu"):
                super().__init__(alpha=alpha, activation=activation)

        assert cls._get_param_names() == sorted(cls().get_params())
        assert Subclass._get_param_names() == ["activation", "alpha"]
        validate_parameter_constraints(
            cls._parameter_constraints, cls().get_params(), caller_name="defaults"
        )

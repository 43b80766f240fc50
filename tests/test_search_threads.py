# SPDX-License-Identifier: BSD-3-Clause
"""How a search runs its fits, how it ends them, and what it refuses or survives."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
import sklearn
from search_tools import CLASSIFIER, GRID, LABELS, VALUES, WEIGHT, X, assert_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import fastrelu
from fastrelu import MLPClassifier, MLPRegressor, PopulationSearchCV
from fastrelu.sklearn import threads

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_fits_run_on_other_threads_with_one_thread_of_the_core_each():
    seen = set()

    def look(estimator, record):
        seen.add((threading.current_thread().name, fastrelu.get_num_threads()))

    estimator = clone(CLASSIFIER).set_params(callbacks=[look])
    before = fastrelu.get_num_threads(), list(warnings.filters), set(threading.enumerate())
    PopulationSearchCV(estimator, GRID, cv=3, n_threads=2, refit=False).fit(X, LABELS)
    assert {limit for _, limit in seen} == {1}
    assert len({name for name, _ in seen} - {"MainThread"}) == 2
    assert before[:2] == (fastrelu.get_num_threads(), list(warnings.filters))
    wait_for(lambda: set(threading.enumerate()) <= before[2])


def test_an_estimator_heeds_the_limit_of_its_thread():
    seen = []
    estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, callbacks=[
        lambda estimator, record: seen.append(fastrelu.get_num_threads()) and None
    ])  # fmt: skip
    before = fastrelu.set_thread_limit(1)
    try:
        estimator.fit(X, VALUES)
        clone(estimator).set_params(n_threads=3).fit(X, VALUES)
        assert fastrelu.get_num_threads() == 1
    finally:
        fastrelu.set_thread_limit(before)
    estimator.set_params(n_threads=3).fit(X, VALUES)
    assert seen == [1, 1, 1, 1, 3, 3]


def test_warning_filters_and_settings_are_the_callers_in_every_thread():
    seen = set()

    def look(estimator, record):
        seen.add((sklearn.get_config()["enable_cython_pairwise_dist"], tuple(warnings.filters)))

    estimator = clone(CLASSIFIER).set_params(callbacks=[look])
    with sklearn.config_context(enable_cython_pairwise_dist=False), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "one of our own")
        filters = tuple(warnings.filters)
        PopulationSearchCV(estimator, GRID, cv=8, n_threads=4, refit=False).fit(X, LABELS)
    # For a moment scikit-learn puts one of them, or one of its own, first for all threads.
    assert {setting for setting, _ in seen} == {False}
    assert all(set(filters) <= set(there) for _, there in seen)


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_an_error_that_is_raised_ends_the_fits_beside_it():
    epochs = []

    def fail_or_count(estimator, record):
        if estimator.alpha == 2.0:
            raise RuntimeError("this one fails")
        epochs.append(record.epoch)

    estimator = MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=10**6, tol=0.0, n_iter_no_change=10**6,
        callbacks=[fail_or_count],
    )  # fmt: skip
    search = PopulationSearchCV(
        estimator, {"alpha": [1.0, 2.0]}, cv=[(np.arange(60), np.arange(60, 90))],
        error_score="raise", n_threads=2,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="this one fails"):
        search.fit(X, VALUES)
    wait_for(lambda: not threads._running)
    assert max(epochs, default=0) < 10**6
    assert not hasattr(search, "cv_results_")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("where", ["candidates", "refit", "one thread"])
def test_ctrl_c_ends_the_search(solver, where):
    grid = {"alpha": [0.1, 0.2]} if where == "candidates" else {"alpha": [0.1]}
    script = f"""
        import signal, threading, time, warnings
        import numpy as np
        import fastrelu
        from fastrelu.sklearn import threads
        signal.signal(signal.SIGINT, signal.default_int_handler)
        rng = np.random.default_rng(0)
        X = rng.normal(size=(2000, 8))
        y = np.sin(9 * X.sum(axis=1)) + rng.normal(size=2000)
        weight = np.ones(2000)
        where, told = {where!r}, ["begun"]
        rows = np.arange(1000)
        cv = [(rows[:2] if where == "refit" else rows, rows[:10]), (rows[:2], rows[:10])]
        def begin(estimator, record):
            if where != "refit" or threading.current_thread() is threading.main_thread():
                if told:
                    print(told.pop(), flush=True)
        mlp = fastrelu.MLPRegressor(
            hidden_layer_sizes=(64, 64), solver={solver!r}, max_iter=10**7, max_fun=10**9, tol=0.0,
            n_iter_no_change=10**7, alpha=0.0, callbacks=[begin],
        )
        if where == "refit":  # the candidate is quick: it sees two rows, and is told to stop
            mlp.callbacks.append(
                lambda e, r: threading.current_thread() is not threading.main_thread()
            )
        search = fastrelu.PopulationSearchCV(
            mlp, {grid!r}, cv=cv, n_threads=1 if where == "one thread" else 2,
            scoring="neg_max_error",
        )
        warnings.simplefilter("error")
        try:
            search.fit(X, y)
        except KeyboardInterrupt:
            ended = time.time()
            print("interrupted", ended, hasattr(search, "cv_results_"), flush=True)
        end = time.monotonic() + 5
        while threads._running and time.monotonic() < end:
            time.sleep(0.005)
        print("running", len(threads._running), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()  # which closes its pipes, too
    lines = output.splitlines()
    assert lines[0].startswith("interrupted") and lines[0].endswith("False"), output + errors
    assert lines[1] == "running 0" and errors == "" and process.returncode == 0


# What is refused, and what fails


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"estimator": SVC()}, TypeError, "^estimator: expected .*MLPClassifier.*, got SVC"),
        ({"estimator": MLPClassifier}, TypeError, "^estimator: expected .* got MLPClassifier"),
        ({"param_grid": None}, ValueError, "^param_grid, param_distributions: .* got neither"),
        ({"param_distributions": GRID}, ValueError, "^param_grid, param_distrib.* got both"),
        ({"param_grid": {"alfa": [1]}}, ValueError, "^param_grid: Invalid parameter 'alfa'"),
        ({"param_grid": {"alpha": []}}, ValueError, "^param_grid: .*alpha"),
        ({"param_grid": {"alpha": 0.5}}, TypeError, "^param_grid: .*alpha"),
        ({"param_grid": []}, ValueError, "^param_grid: expected at least one candidate, got none"),
        ({"param_grid": 3}, ValueError, "'param_grid' parameter"),
        ({"param_grid": None, "param_distributions": {"alpha": 1}}, TypeError,
         "^param_distributions: .*alpha"),
        ({"n_iter": 0}, ValueError, "'n_iter' parameter"),
        ({"halving": "yes"}, ValueError, "'halving' parameter"),
        ({"factor": 1}, ValueError, "'factor' parameter"),
        ({"scoring": "no such"}, ValueError, "'scoring' parameter"),
        ({"scoring": ["accuracy", "f1"]}, ValueError, "^scoring, refit: "),
        ({"scoring": ["accuracy"], "halving": True}, ValueError, "^scoring: expected one score"),
        ({"refit": 1.5}, ValueError, "'refit' parameter"),
        ({"cv": 1.5}, ValueError, "'cv' parameter"),
        ({"cv": 100}, ValueError, "n_splits=100"),
        ({"random_state": "x"}, ValueError, "'random_state' parameter"),
        ({"error_score": "ignore"}, ValueError, "'error_score' parameter"),
        ({"n_threads": 0}, ValueError, "'n_threads' parameter"),
        ({"n_threads": 2.0}, ValueError, "'n_threads' parameter"),
        ({"halving": True, "param_grid": {"max_iter": [3, 4]}}, ValueError,
         "^param_grid: expected no max_iter with halving=True"),
        ({"halving": True, "estimator": MLPClassifier(max_iter=0)}, ValueError,
         "^estimator: expected max_iter >= 1"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_by_name_before_anything_starts(options, error, text):
    given = {"estimator": clone(CLASSIFIER), "param_grid": GRID} | options
    begun = []
    if isinstance(given["estimator"], MLPClassifier):
        given["estimator"].callbacks = [lambda *_: begun.append(1)]
    search = PopulationSearchCV(**given)
    with pytest.raises(error, match=text):
        search.fit(X, LABELS)
    assert not begun and not hasattr(search, "cv_results_")


def with_nan(array):
    array = array.copy()
    array.flat[3] = np.nan
    return array


@pytest.mark.parametrize(
    ("X", "y", "weight", "text"),
    [
        (X, None, None, "^y: "),
        (None, LABELS, None, "^X: "),
        (X, LABELS[:-1], None, "^y: expected a target for each of the 90 rows of X, got 89"),
        (with_nan(X), LABELS, None, "X contains NaN"),
        (X[:0], LABELS[:0], None, "0 sample"),
        (X[0], LABELS[:4], None, "Expected 2D array"),
        (X, LABELS, WEIGHT[:-1], "^sample_weight: expected a weight for each .* got 89"),
        (X, LABELS, with_nan(WEIGHT), "sample_weight"),
        (X, LABELS, 3.0, "^sample_weight: "),
    ],
)
def test_bad_rows_are_refused_by_name_before_anything_starts(X, y, weight, text):
    begun = []
    estimator = clone(CLASSIFIER).set_params(callbacks=[lambda *_: begun.append(1)])
    fit = {} if weight is None else {"sample_weight": weight}
    with pytest.raises((TypeError, ValueError), match=text):
        PopulationSearchCV(estimator, GRID).fit(X, y, **fit)
    assert not begun


def test_a_candidate_that_fails_has_the_error_score():
    grid = {"alpha": [-1.0, 0.1], "solver": ["adam", "lbfgs"]}
    results = []
    for kind, options in ((PopulationSearchCV, {"n_threads": 2}), (GridSearchCV, {})):
        for score in (np.nan, -7.0):
            search = kind(CLASSIFIER, grid, cv=3, error_score=score, **options)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                search.fit(X, LABELS)
            kinds = {w.category for w in caught} - {ConvergenceWarning}
            assert FitFailedWarning in kinds
            results.append((search, kinds))
    for (ours, our_kinds), (theirs, their_kinds) in zip(results[:2], results[2:], strict=True):
        assert_equal(ours, theirs)
        assert our_kinds == their_kinds
    with pytest.raises(ValueError, match="'alpha' parameter"):
        PopulationSearchCV(CLASSIFIER, grid, cv=3, error_score="raise").fit(X, LABELS)
    with pytest.raises(ValueError, match="All the 6 fits failed"):
        PopulationSearchCV(CLASSIFIER, {"alpha": [-1.0, -2.0]}, cv=3).fit(X, LABELS)

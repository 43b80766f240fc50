# SPDX-License-Identifier: BSD-3-Clause
"""Fits of a search that are trained side by side, and how they wait for each other."""

import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from scipy import sparse
from search_tools import CLASSIFIER, GRID, LABELS, REGRESSOR, VALUES, WEIGHT, X, assert_equal, both
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastrelu import PopulationSearchCV, _core
from fastrelu.sklearn import stretch, together

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning"),
]


@pytest.fixture
def runs(monkeypatch):
    """The numbers of fits that the core has been given at once."""
    counts = []
    original = _core.run_population

    def run(members, *more):
        counts.append(len(members))
        return original(members, *more)

    monkeypatch.setattr(_core, "run_population", run)
    return counts


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_all_fits_of_a_small_search_are_side_by_side(runs, n_threads):
    search = PopulationSearchCV(CLASSIFIER, GRID, cv=3, n_threads=n_threads, refit=False)
    search.fit(X, LABELS)
    assert runs == [4 * 3]


def test_more_fits_than_may_be_begun_come_in_turns(runs, monkeypatch):
    monkeypatch.setattr(together, "MOST_BEGUN", 5)
    monkeypatch.setattr(stretch, "SECONDS", 1e9)  # each of the grid search's fits is one run
    ours, theirs = both(CLASSIFIER, GRID, cv=3, n_threads=2, refit=False)
    assert_equal(ours, theirs)
    of_search = runs[: len(runs) - 12]  # the others are grid search's
    assert sum(of_search) == 12 and max(of_search) == 5


@pytest.mark.parametrize(
    "grid",
    [
        {"solver": ["sgd"], "learning_rate": ["adaptive"], "tol": [0.05], "max_iter": [80]},
        {"batch_size": [1, 7, 60], "solver": ["adam", "sgd"]},
        {"solver": ["adam", "lbfgs"], "early_stopping": [False, True]},
        {"dropout": [0.0, 0.1], "hidden_layer_sizes": [(3,), (4, 3), ()]},
        {"hidden_layer_sizes": [(2,), (2000, 8)]},
        {"n_iter_no_change": [1, np.inf], "tol": [0.0, 0.1]},
        {"max_iter": [1, 3, 60]},
        {"activation": ["relu", "logistic"], "shuffle": [True, False]},
        {"random_state": [0, None]},
    ],
)
@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=["classes", "values"])
def test_mixtures_give_what_grid_search_gives(grid, estimator):
    y = LABELS if estimator is CLASSIFIER else VALUES
    if None in grid.get("random_state", []):  # drawn in no order that threads keep
        grid = {"random_state": [0, 7]}
    fit = {"sample_weight": WEIGHT} if "max_iter" in grid else None
    assert_equal(*both(clone(estimator), grid, y=y, cv=3, n_threads=2, fit=fit))


def test_rows_of_other_kinds_run_beside_them():
    rows = sparse.csr_array(np.where(X > 0, X, 0))
    assert_equal(*both(CLASSIFIER, GRID, X=rows, cv=3, n_threads=2))
    assert_equal(*both(CLASSIFIER, GRID, X=X.astype(np.float32), cv=3, n_threads=2))
    two = np.stack([VALUES, -VALUES], axis=1)
    assert_equal(*both(REGRESSOR, GRID, y=two, cv=3, n_threads=2))
    pipeline = make_pipeline(StandardScaler(), CLASSIFIER)
    grid = {f"mlpclassifier__{name}": values for name, values in GRID.items()}
    assert_equal(*both(pipeline, grid, cv=3, n_threads=2))


def test_a_fit_that_fails_is_not_waited_for(runs):
    grid = {"alpha": [0.1, -1.0, 0.2], "hidden_layer_sizes": [(3,), (4,)]}
    with pytest.warns(FitFailedWarning, match="6 fits failed"):
        search = PopulationSearchCV(CLASSIFIER, grid, cv=3, n_threads=2).fit(X, LABELS)
    assert np.isnan(search.cv_results_["mean_test_score"]).sum() == 2
    assert runs[0] == 12
    with pytest.raises(ValueError, match="alpha"):
        PopulationSearchCV(CLASSIFIER, grid, cv=3, n_threads=2, error_score="raise").fit(X, LABELS)


def test_a_fit_that_diverges_fails_alone():
    grid = {"learning_rate_init": [0.01, 1e30], "solver": ["sgd"]}
    with pytest.warns(FitFailedWarning, match="3 fits failed"):
        ours = PopulationSearchCV(REGRESSOR, grid, cv=3, n_threads=2).fit(X, VALUES)
    alone = PopulationSearchCV(
        REGRESSOR, {**grid, "learning_rate_init": [0.01]}, cv=3, n_threads=2
    ).fit(X, VALUES)
    scores = ours.cv_results_["mean_test_score"]
    assert np.isnan(scores[1]) and scores[0] == alone.cv_results_["mean_test_score"][0]


def test_no_thread_is_left():
    before = set(threading.enumerate())
    PopulationSearchCV(CLASSIFIER, GRID, cv=3, n_threads=2).fit(X, LABELS)
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_ctrl_c_ends_fits_that_are_side_by_side():
    script = """
        import signal, time
        import numpy as np
        import fastrelu
        from fastrelu import _core
        signal.signal(signal.SIGINT, signal.default_int_handler)
        X = np.random.default_rng(0).normal(size=(200, 4))
        mlp = fastrelu.MLPRegressor(
            hidden_layer_sizes=(8,), max_iter=10**7, tol=0.0, n_iter_no_change=10**7,
            random_state=0,
        )
        original = _core.run_population
        def run(*given):
            print("begun", flush=True)
            return original(*given)
        _core.run_population = run
        try:
            fastrelu.PopulationSearchCV(mlp, {"alpha": [0.1, 0.2]}, n_threads=2).fit(X, X[:, 0])
        except KeyboardInterrupt:
            print("interrupted", time.time(), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert output.startswith("interrupted") and errors == "" and process.returncode == 0

# SPDX-License-Identifier: BSD-3-Clause
"""PopulationSearchCV gives what scikit-learn's searches give over the same estimators."""

import pickle

import numpy as np
import pytest
from scipy import sparse, stats
from search_tools import (
    CLASSIFIER,
    GRID,
    LABELS,
    REGRESSOR,
    VALUES,
    WEIGHT,
    X,
    assert_equal,
    both,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss, make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastrelu
from fastrelu import PopulationSearchCV
from fastrelu.sklearn.halving import best, rungs

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The scoring:UserWarning"),
]

GRIDS = {
    "numbers and tuples": GRID,
    "two grids": [{"alpha": [0.1, 0.2, 0.3]}, {"hidden_layer_sizes": [4], "solver": ["sgd"]}],
    "solvers": {"solver": ["adam", "sgd", "lbfgs"], "activation": ["relu", "tanh"]},
    "the random state": {"random_state": [0, np.random.RandomState(3), 5]},
    "early stopping": {"early_stopping": [True], "dropout": [0.0, 0.2], "max_iter": [5, 30]},
    "one candidate": {},
}


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=["classes", "values"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_a_grid_gives_what_grid_search_gives(estimator, grid, n_threads):
    y = LABELS if estimator is CLASSIFIER else VALUES
    assert_equal(*both(estimator, grid, y=y, cv=3, n_threads=n_threads, return_train_score=True))


def error_of(estimator, X, y):
    return -float(np.mean(estimator.predict(X) != y))


def several_scores(estimator, X, y):
    return {"right": estimator.score(X, y), "wrong": 1 - estimator.score(X, y)}


@pytest.mark.parametrize(
    "options",
    [
        {"scoring": "f1_macro"},
        {"scoring": "neg_log_loss", "refit": False},
        {"scoring": make_scorer(log_loss, response_method="predict_proba",
                                greater_is_better=False, labels=["a", "b", "c"])},
        {"scoring": error_of},
        {"scoring": ["accuracy", "f1_micro"], "refit": "f1_micro"},
        {"scoring": several_scores, "refit": "wrong"},
        {"refit": lambda results: len(results["params"]) - 1},
    ],
    ids=["name", "no refit", "scorer", "callable", "list", "dict", "refit callable"],
)  # fmt: skip
def test_scores_are_those_of_grid_search(options):
    ours, theirs = both(CLASSIFIER, GRID, cv=3, **options)
    assert_equal(ours, theirs)
    assert set(vars(ours)) - set(vars(theirs)) == {
        "param_distributions", "n_iter", "halving", "factor", "random_state", "n_threads",
        "client",
    }  # fmt: skip
    if options.get("refit") is not False:
        assert ours.score(X, LABELS) == theirs.score(X, LABELS)


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_absolute_error", "neg_max_error",
                                     make_scorer(mean_absolute_error)])  # fmt: skip
def test_scores_of_regressors_are_those_of_grid_search(scoring):
    assert_equal(*both(REGRESSOR, GRID, y=VALUES, cv=3, scoring=scoring))
    two = np.column_stack([VALUES, X[:, 2]])
    if scoring != "neg_max_error":  # for one output
        assert_equal(*both(REGRESSOR, GRID, y=two, cv=3, scoring=scoring))


@pytest.mark.parametrize(
    "cv",
    [None, 4, KFold(3, shuffle=True, random_state=0), StratifiedKFold(3),
     ShuffleSplit(2, test_size=0.3, random_state=5), list(KFold(3).split(X)),
     [(np.arange(60), np.arange(60, 90))]],
    ids=lambda cv: type(cv).__name__,
)  # fmt: skip
def test_folds_are_those_of_grid_search(cv):
    assert_equal(*both(CLASSIFIER, GRID, cv=cv))


def test_what_fit_is_given_goes_where_it_goes_in_grid_search():
    groups = np.arange(90) % 7
    assert_equal(*both(CLASSIFIER, GRID, cv=GroupKFold(3), fit={"groups": groups}))
    weighted = both(CLASSIFIER, GRID, cv=3, fit={"sample_weight": WEIGHT})
    assert_equal(*weighted)
    plain = PopulationSearchCV(CLASSIFIER, GRID, cv=3).fit(X, LABELS)
    assert not np.array_equal(
        plain.cv_results_["mean_test_score"], weighted[0].cv_results_["mean_test_score"]
    )
    assert_equal(*both(REGRESSOR, GRID, y=VALUES, cv=3, fit={"sample_weight": WEIGHT}))
    more = {"validation_data": (X[:20], LABELS[:20])}
    assert_equal(*both(CLASSIFIER, GRID, cv=3, fit=more))


def test_rows_of_every_kind_give_what_grid_search_gives():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    ours, theirs = both(CLASSIFIER, GRID, X=frame, y=pandas.Series(LABELS), cv=3)
    assert_equal(ours, theirs)
    assert ours.feature_names_in_.tolist() == list("abcd")
    rows = sparse.random(90, 12, 0.3, "csr", random_state=0)
    assert_equal(*both(CLASSIFIER, GRID, X=rows, cv=3))
    assert_equal(*both(CLASSIFIER, GRID, X=X.astype("float32"), cv=3))
    assert_equal(*both(CLASSIFIER, GRID, X=X.tolist(), y=LABELS.tolist(), cv=3))


def test_a_pipeline_is_searched():
    pipeline = make_pipeline(StandardScaler(), CLASSIFIER)
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "standardscaler__with_mean": [True, False]}
    fit = {"mlpclassifier__sample_weight": WEIGHT}
    assert_equal(*both(pipeline, grid, cv=3, fit=fit))
    halving = PopulationSearchCV(pipeline, grid, cv=3, halving=True, factor=2).fit(X, LABELS)
    assert halving.best_params_["mlpclassifier__max_iter"] == 8


@pytest.mark.parametrize("seed", [0, 7, np.random.RandomState(3)], ids=str)
def test_drawn_candidates_are_those_of_randomized_search(seed):
    space = {"alpha": stats.loguniform(1e-5, 1.0), "hidden_layer_sizes": [(3,), (4,), (5, 2)]}
    options = {"n_iter": 5, "cv": ShuffleSplit(3, random_state=1)}
    ours = PopulationSearchCV(
        CLASSIFIER, param_distributions=space, random_state=clone_of(seed), **options
    )
    theirs = RandomizedSearchCV(CLASSIFIER, space, random_state=clone_of(seed), **options)
    assert_equal(ours.fit(X, LABELS), theirs.fit(X, LABELS))


def clone_of(seed):
    return clone(seed, safe=False)


def test_one_generator_for_candidates_and_folds_is_used_in_scikit_learns_order():
    made = []
    for kind in (PopulationSearchCV, RandomizedSearchCV):
        state = np.random.RandomState(5)
        space = {"alpha": stats.uniform(0, 1)}
        search = kind(
            REGRESSOR, param_distributions=space, n_iter=3, random_state=state,
            cv=ShuffleSplit(2, random_state=state),
        )  # fmt: skip
        made.append(search.fit(X, VALUES))
    assert_equal(*made)


# Halving


@pytest.mark.parametrize("factor", [2, 3, 2.5])
@pytest.mark.parametrize("max_iter", [1, 5, 20])
def test_halving_gives_what_halving_grid_search_gives(factor, max_iter):
    estimator = clone(CLASSIFIER).set_params(max_iter=max_iter)
    grid = {"hidden_layer_sizes": [(2,), (3,), (4,), (5,)], "alpha": [1e-4, 1.0]}
    ours = PopulationSearchCV(estimator, grid, halving=True, factor=factor, cv=3, n_threads=2)
    theirs = HalvingGridSearchCV(
        estimator, grid, resource="max_iter", max_resources=max_iter, factor=factor, cv=3,
        return_train_score=False,
    )  # fmt: skip
    assert_equal(ours.fit(X, LABELS), theirs.fit(X, LABELS))
    for name in ("n_resources_", "n_candidates_", "n_iterations_", "n_required_iterations_",
                 "n_possible_iterations_", "n_remaining_candidates_", "min_resources_",
                 "max_resources_"):  # fmt: skip
        assert getattr(ours, name) == getattr(theirs, name), name


def test_halving_has_one_set_of_folds_and_ends_with_the_best_of_the_last_rung():
    seen = []

    class Recording(ShuffleSplit):
        def split(self, X, y=None, groups=None):
            folds = list(super().split(X, y, groups))
            seen.append(folds)
            return iter(folds)

    search = PopulationSearchCV(
        REGRESSOR, {"alpha": [0.1, 0.2, 0.3, 0.4, 0.5]}, halving=True, factor=2,
        cv=Recording(2, random_state=np.random.RandomState(0)),
    ).fit(X, VALUES)  # fmt: skip
    assert len(seen) == 1
    last = search.cv_results_["iter"] == search.n_iterations_ - 1
    assert search.best_score_ == search.cv_results_["mean_test_score"][last].max()
    assert last[search.best_index_]
    assert search.best_estimator_.max_iter == search.n_resources_[-1] <= REGRESSOR.max_iter


def test_rungs_and_the_best_candidates():
    for count in range(1, 40):
        for most in (1, 2, 7, 200):
            for factor in (1.5, 2, 3):
                plan = rungs(count, most, factor)
                assert plan.n_candidates[0] == count
                assert 1 <= plan.n_resources[0] and plan.n_resources[-1] <= most
                assert plan.n_resources == sorted(plan.n_resources)
    candidates = [{"k": k} for k in range(4)]
    assert best(candidates, np.array([0.1, np.nan, 0.3, 0.2]), 2) == [{"k": 3}, {"k": 2}]
    assert best(candidates, np.full(4, np.nan), 1) in [[candidate] for candidate in candidates]


# An estimator among others


def test_a_fitted_search_predicts_and_is_copied():
    search = PopulationSearchCV(CLASSIFIER, GRID, cv=3, n_threads=2).fit(X, LABELS)
    assert search.classes_.tolist() == ["a", "b", "c"] and search.n_features_in_ == 4
    assert search.refit_time_ > 0 and callable(search.scorer_) and search.multimetric_ is False
    for method in ("predict", "predict_proba", "predict_log_proba"):
        expected = getattr(search.best_estimator_, method)(X)
        assert np.array_equal(getattr(search, method)(X), expected)
    again = pickle.loads(pickle.dumps(search))
    assert_equal(again, search)
    assert np.array_equal(again.predict_proba(X), search.predict_proba(X))
    other = clone(search)
    assert str(other.get_params()) == str(search.get_params())
    assert not hasattr(other, "cv_results_")
    assert_equal(other.fit(X, LABELS), search)
    with pytest.raises(NotFittedError):
        clone(search).predict(X)
    regression = PopulationSearchCV(REGRESSOR, GRID, cv=3, refit=False).fit(X, VALUES)
    assert not hasattr(regression, "predict") and not hasattr(regression, "predict_proba")


def test_parameters_are_scikit_learns_and_the_estimator_stays_unfitted():
    search = PopulationSearchCV(clone(CLASSIFIER), GRID)
    assert {"estimator", "param_grid", "estimator__alpha", "n_threads"} <= set(search.get_params())
    search.set_params(estimator__alpha=0.5, cv=3, n_threads=2).fit(X, LABELS)
    assert search.estimator.alpha == 0.5 and not hasattr(search.estimator, "coefs_")
    assert "PopulationSearchCV(" in repr(search)
    assert search._repr_html_()


def test_the_class_is_where_the_estimators_are():
    assert fastrelu.PopulationSearchCV is fastrelu.mlp.PopulationSearchCV
    assert PopulationSearchCV.__module__ == "fastrelu.mlp"
    assert "PopulationSearchCV" in dir(fastrelu) and "PopulationSearchCV" not in fastrelu.__all__

# SPDX-License-Identifier: BSD-3-Clause
"""PopulationSearchCV: scikit-learn's searches, whose fits share this process and its data."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils._param_validation import HasMethods, Interval

from fastrelu._config import get_num_threads
from fastrelu.sklearn import halving as successive
from fastrelu.sklearn.checks import (
    check_candidates,
    check_rows,
    check_scores,
    epochs_name,
    named,
)
from fastrelu.sklearn.pool import search_threads, search_workers
from fastrelu.sklearn.together import Together, most_begun

Candidate = dict[str, Any]


class PopulationSearchCV(BaseSearchCV):
    """Search for the best parameters of an estimator, its fits side by side on threads.

    Parameters, attributes and results are those of scikit-learn's ``GridSearchCV``, and with
    ``param_distributions`` those of ``RandomizedSearchCV``: for the same candidates and folds all
    scores, and the parameters of the refitted networks, are equal to the bit. The fits run on
    threads of this process, one thread of the core to each, over one copy of the data: nothing is
    sent to other processes. Ctrl-C ends the search with ``KeyboardInterrupt``.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, or a pipeline with one
        The estimator whose parameters are searched. It is not fitted itself.
    param_grid : dict or list of dict
        Values to try for each parameter, by its name: all combinations are candidates.
    param_distributions : dict or list of dict
        Instead of `param_grid`: values, or distributions with a method ``rvs``, from which `n_iter`
        candidates are drawn.
    n_iter : int
        The number of candidates that are drawn.
    halving : bool
        Whether to search by successive halving [1]_: all candidates are trained for few epochs, and
        the best ``1 / factor`` of them for `factor` times as many, until the estimator's
        ``max_iter`` is reached. A candidate's ``max_iter`` is then no parameter to search.
    factor : float
        By what halving divides the candidates, and multiplies the epochs, > 1.
    scoring : str, callable, list, tuple, dict or None
        What the candidates are judged by, as in scikit-learn; None for the estimator's ``score``.
    refit : bool, str or callable
        Whether to fit the best candidate to all rows at the end. With several scores, the name of
        the one that says which is the best; a callable picks it from ``cv_results_``.
    cv : int, splitter, iterable or None
        The folds, as in scikit-learn; None for five.
    random_state : int, RandomState or None
        What draws candidates from `param_distributions`.
    error_score : "raise" or float
        The score of a fit that fails, with a ``FitFailedWarning``; "raise" raises its error.
    return_train_score : bool
        Whether ``cv_results_`` has scores on the training rows, too.
    n_threads : int or None
        The number of fits at once; None for `fastrelu.get_num_threads()`. Results do not depend
        on it.
    verbose : int
        How much to print, as in scikit-learn.
    client : distributed.Client or None
        A Dask cluster whose workers do the fits, each as a task of its own; the data are sent once
        to each worker. Results are the same to the bit.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray or list
        A row for each candidate, under scikit-learn's keys; with halving one for each candidate of
        each rung, and the keys ``iter`` and ``n_resources``.
    best_params_, best_score_, best_index_
        The best candidate, its mean score and its place in ``cv_results_``; with halving the best
        of the last rung.
    best_estimator_ : estimator
        The best candidate, fitted to all rows, with `refit`.
    refit_time_ : float
        The seconds that took.
    n_splits_ : int
        The number of folds.
    scorer_ : callable or dict
        What has scored.
    multimetric_ : bool
        Whether there are several scores.
    classes_, n_features_in_, feature_names_in_
        Those of ``best_estimator_``.
    n_resources_, n_candidates_ : list of int
        With halving: the epochs and the number of candidates of each rung.
    n_iterations_, n_required_iterations_, n_possible_iterations_ : int
        With halving: the number of rungs; of those until fewer than `factor` candidates are left;
        of those that ``max_iter`` allows.
    n_remaining_candidates_ : int
        With halving: how many candidates one more rung would have.
    min_resources_, max_resources_ : int
        With halving: the epochs of the first rung, and the most.

    References
    ----------
    .. [1] K. Jamieson, A. Talwalkar. Non-stochastic best arm identification and hyperparameter
       optimization. AISTATS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> X = np.random.default_rng(0).normal(size=(120, 3))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    >>> mlp = fastrelu.MLPClassifier(solver="lbfgs", max_iter=30, max_fun=10**6, random_state=0)
    >>> grid = {"hidden_layer_sizes": [(1,), (16,)], "alpha": [1e-4, 1e-1]}
    >>> search = fastrelu.PopulationSearchCV(mlp, grid, cv=3)
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # 30 iterations are few
    ...     search = search.fit(X, y)
    >>> search.best_params_["hidden_layer_sizes"], len(search.cv_results_["params"])
    ((16,), 4)
    >>> search.predict([[1.0, 1.0, 0.0]]).tolist()
    ['same']
    """

    _together: Together  # of the search that runs
    cv: Any  # the folds themselves while a fit runs

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSearchCV._parameter_constraints,
        "param_grid": [dict, list, tuple, None],
        "param_distributions": [dict, list, tuple, None],
        "n_iter": [Interval(Integral, 1, None, closed="left")],
        "halving": ["boolean"],
        "factor": [Interval(Real, 1, None, closed="neither")],
        "random_state": ["random_state"],
        "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
        "client": [HasMethods(["submit", "scatter"]), None],
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any = None,
        *,
        param_distributions: Any = None,
        n_iter: int = 10,
        halving: bool = False,
        factor: float = 3,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        n_threads: int | None = None,
        verbose: int = 0,
        client: Any = None,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.halving = halving
        self.factor = factor
        self.random_state = random_state
        self.n_threads = n_threads
        self.client = client

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> PopulationSearchCV:
        """Fit all candidates on all folds, and the best one on all rows.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows.
        y : array_like, (n,) or (n, d_out)
            Targets.
        **fit_params
            Passed on to the estimator's ``fit``, such as ``sample_weight``, (n,): what has an
            element for each row is split as they are. ``groups`` goes to the splitter.

        Returns
        -------
        PopulationSearchCV
            The fitted search.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; nothing has been trained then. Also if all fits
            fail.
        KeyboardInterrupt
            On Ctrl-C, at once; threads that are within an epoch end after it.

        Warns
        -----
        FitFailedWarning
            If fits have failed: `error_score` is their score.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(90, 2))
        >>> mlp = fastrelu.MLPRegressor(learning_rate_init=0.05, max_iter=100, random_state=0)
        >>> space = {"alpha": [1e-4, 1e-2, 1.0]}
        >>> search = fastrelu.PopulationSearchCV(
        ...     mlp, param_distributions=space, n_iter=2, random_state=0, cv=3
        ... )
        >>> search = search.fit(X, np.abs(X[:, 0]), sample_weight=np.ones(90))
        >>> search.cv_results_["mean_test_score"].shape, bool(search.best_score_ > 0.5)
        ((2,), True)
        """
        self._validate_params()
        check_scores(self)
        with named("cv"):
            cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        candidates = self._drawn_candidates()
        check_candidates(self, candidates)
        check_rows(self.estimator, X, y, fit_params)
        self._candidates = candidates
        threads = int(get_num_threads() if self.n_threads is None else self.n_threads)
        given = self.cv
        try:
            self.cv, self._n_splits = self._folds(cv, X, y, fit_params)
            with self._fits_by(threads, X, y) as self._together:
                super().fit(X, y, **fit_params)
        finally:
            self.cv = given
            for name in ("_together", "_n_splits", "_candidates"):
                self.__dict__.pop(name, None)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled, as workers get it: all but the cluster and the fits under way."""
        state: dict[str, Any] = super().__getstate__()
        return {k: v for k, v in state.items() if k != "_together"} | {"client": None}

    def _fits_by(self, threads: int, X: Any, y: Any) -> AbstractContextManager[Together]:
        """Return what has the fits run: threads of this process, or the workers of a cluster."""
        if self.client is not None:
            return search_workers(self.client, X, y)
        return search_threads(threads, most_begun(self.estimator, X, threads))

    def _drawn_candidates(self) -> list[Candidate]:
        """Return the candidates, in scikit-learn's order."""
        if (self.param_grid is None) == (self.param_distributions is None):
            got = "neither" if self.param_grid is None else "both"
            raise ValueError(f"param_grid, param_distributions: expected one of the two, got {got}")
        if self.param_grid is not None:
            with named("param_grid"):
                return list(ParameterGrid(self.param_grid))
        with named("param_distributions"):
            drawn = ParameterSampler(
                self.param_distributions, self.n_iter, random_state=self.random_state
            )
            return list(drawn)

    def _folds(self, cv: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> tuple[Any, int]:
        """Return the folds and their number: all rungs have the same, also if they are drawn."""
        for_split = self._get_routed_params_for_fit(fit_params).splitter.split
        if self.halving:
            cv = check_cv(list(cv.split(X, y, **for_split)))
        return cv, int(cv.get_n_splits(X, y, **for_split))

    def _run_search(self, evaluate_candidates: Callable[..., Any]) -> None:
        candidates = self._candidates

        def evaluate(candidates: list[Candidate], **options: Any) -> Any:
            self._together.expect(len(candidates) * self._n_splits)
            return evaluate_candidates(candidates, **options)

        if not self.halving:
            evaluate(candidates)
            return
        name = epochs_name(self.estimator)
        most = self.estimator.get_params()[name]
        plan = successive.rungs(len(candidates), most, self.factor)
        self.n_required_iterations_, self.n_possible_iterations_ = plan.n_required, plan.n_possible
        self.n_iterations_ = len(plan.n_candidates)
        self.n_candidates_, self.n_resources_ = plan.n_candidates, plan.n_resources
        self.min_resources_, self.max_resources_ = plan.n_resources[0], most
        for rung, (count, epochs) in enumerate(
            zip(plan.n_candidates, plan.n_resources, strict=True)
        ):
            candidates = [{**candidate, name: epochs} for candidate in candidates]
            if self.verbose:
                print(f"Rung {rung}: {count} candidates, {epochs} epochs")
            more = {"iter": [rung] * count, "n_resources": [epochs] * count}
            results = evaluate(candidates, more_results=more)
            scores = results["mean_test_score"][results["iter"] == rung]
            candidates = successive.best(candidates, scores, math.ceil(count / self.factor))
        self.n_remaining_candidates_ = len(candidates)

    def _select_best_index(self, refit: Any, refit_metric: str, results: Any) -> Any:
        if not self.halving or callable(refit):
            return BaseSearchCV._select_best_index(refit, refit_metric, results)
        last = np.flatnonzero(results["iter"] == results["iter"].max())
        scores = results["mean_test_score"][last]
        return last[0 if np.isnan(scores).all() else np.nanargmax(scores)]

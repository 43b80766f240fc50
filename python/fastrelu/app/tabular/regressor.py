# SPDX-License-Identifier: BSD-3-Clause
"""The regressor of tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array, column_or_1d

from fastrelu.app.tabular.base import BaseTabular
from fastrelu.app.tabular.held import Held
from fastrelu.app.tabular.rows import plain_targets
from fastrelu.app.tabular.train import Problem
from fastrelu.conformal import SplitIntervals, rank
from fastrelu.ensemble import Ensemble

Array = NDArray[Any]


class TabularRegressor(RegressorMixin, BaseTabular):
    """A regressor of tables: numbers, booleans, text, categories, dates and missing values.

    It is made as `TabularClassifier` is, with the squared error of the standardised target as its
    loss, and predicts the mean of its members.

    Parameters
    ----------
    preset, n_members, time_limit, random_state, n_threads, verbose
        As for `TabularClassifier`.

    Attributes
    ----------
    n_outputs_ : int
        The columns of y.
    n_features_in_, feature_names_in_, networks_, n_members_, n_epochs_, inputs_, candidate_
        As for `TabularClassifier`.
    shrinkage_ : float
        The factor, 0 to 1, of what the networks say beyond the mean of y.

    See Also
    --------
    fastrelu.MLPRegressor : scikit-learn's estimator, for rows of numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> import fastrelu
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.3)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TabularRegressor:
        """Train on the rows of a table.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            The rows, as for `TabularClassifier.fit`.
        y : array_like, (n,) or (n, K)
            The targets, finite numbers.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0.

        Returns
        -------
        TabularRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as described.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularRegressor("fast", random_state=0)
        >>> model.fit([[0.0], [1.0]] * 20, [5.0, 7.0] * 20).predict([[1.0]]).round(0)
        array([7.])
        """
        self._fit(X, y, sample_weight)
        return self

    def _checked_targets(self, y: Any) -> Array:
        y = check_array(plain_targets(y), ensure_2d=False, dtype="numeric", input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return np.asarray(y, np.float64)

    def _problem(self, y: Array, weight: Array | None) -> Problem:
        self._one_column = y.ndim == 1
        targets = y.reshape(len(y), -1)
        self.n_outputs_ = targets.shape[1]
        self._mean = np.average(targets, axis=0, weights=weight)
        beyond = targets - self._mean
        largest = np.abs(beyond).max(axis=0)  # whose squares might overflow, or vanish
        largest[largest == 0] = 1.0
        squares = np.average((beyond / largest) ** 2, axis=0, weights=weight)
        deviation = largest * np.sqrt(squares)
        self._deviation = np.where(deviation > 0, deviation, 1.0)
        scaled = beyond / self._deviation
        return Problem("squared_error", scaled, weight, np.zeros(self.n_outputs_))

    def _calibrate(self, held: Held, problem: Problem) -> None:
        self._intervals = SplitIntervals(held.predicted, problem.y[held.rows])

    def _mean_of(self, X: Array) -> NDArray[np.float64]:
        return self._in_unit(Ensemble(self.networks_, self._loss).predict(X), False)

    def _in_unit(self, outputs: Array, differences: bool) -> NDArray[np.float64]:
        return np.asarray(outputs * self._deviation + (0.0 if differences else self._mean))

    def _straight(self) -> bool:
        return True

    def _one_output(self) -> bool:
        return bool(self._one_column)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the predicted value of each row.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.

        Returns
        -------
        ndarray of float64, (n,) or (n, K)
            In the unit of y.

        Raises
        ------
        ValueError, TypeError
            If a column is not there, or the rows cannot be read.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularRegressor("fast", random_state=0)
        >>> model.fit([[0.0], [1.0]] * 20, [5.0, 7.0] * 20).predict([[0.0]]).round(0)
        array([5.])
        """
        found = self._in_unit(self._mean_prediction(X), False)
        return np.asarray(found[:, 0] if self._one_column else found)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> NDArray[np.float64]:
        """Return intervals that hold the targets, about as often as `coverage` says.

        Each is the prediction, less and plus one margin for all rows: the absolute residual of
        rank ceil((n + 1) * coverage), in ascending order from 1, among those of the n rows that
        some member left out, each predicted by the members that left it out (cross-conformal
        prediction; see `fastrelu.conformal` for the rank). If that rank is more than n, the
        intervals are infinite: 0.9 needs 9 rows. Rows count once, whatever their weights.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.
        coverage : float
            The probability that a row's target is in its interval, in (0, 1).

        Returns
        -------
        ndarray of float64, (n, 2), or (n, K, 2) for several targets
            Lower and upper ends, in the unit of y; of each target on its own.

        Raises
        ------
        ValueError, TypeError
            If `coverage` is not in (0, 1), a column is not there, or the rows cannot be read.

        References
        ----------
        Vovk (2015), Cross-conformal predictors.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(600, 1))
        >>> y = X[:, 0] + rng.normal(size=600)
        >>> model = fastrelu.TabularRegressor("fast", random_state=0).fit(X[:300], y[:300])
        >>> low, high = model.predict_interval(X[300:], coverage=0.8).T
        >>> bool(0.75 < np.mean((low <= y[300:]) & (y[300:] <= high)) < 0.85)
        True
        """
        predicted = self._mean_prediction(X)
        if not len(predicted):
            rank(1, coverage)  # is checked as for more rows
            return np.empty((0, 2) if self._one_column else (0, self.n_outputs_, 2))
        ends = self._intervals.intervals(predicted, coverage).reshape(*predicted.shape, 2)
        ends = ends * self._deviation[:, None] + self._mean[:, None]
        return np.asarray(ends[:, 0] if self._one_column else ends)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


# Its public place, for pickles and documentation.
TabularRegressor.__module__ = "fastrelu.tabular"

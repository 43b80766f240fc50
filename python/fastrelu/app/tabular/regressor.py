# SPDX-License-Identifier: BSD-3-Clause
"""The regressor of tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from fastrelu import elementary
from fastrelu.app.tabular.base import CONSTRAINTS, BaseTabular
from fastrelu.app.tabular.held import Held
from fastrelu.app.tabular.rows import exposure_of, plain_targets
from fastrelu.app.tabular.targets import Unit, chosen_loss, scaled, variance_power
from fastrelu.app.tabular.train import Problem
from fastrelu.app.usual import VALUE_LOSSES
from fastrelu.conformal import SplitIntervals, rank
from fastrelu.ensemble import Ensemble
from fastrelu.losses import Loss

Array = NDArray[Any]


class TabularRegressor(RegressorMixin, BaseTabular):
    """A regressor of tables: numbers, booleans, text, categories, dates and missing values.

    It is made as `TabularClassifier` is, by default with the squared error of the standardised
    target as its loss, and predicts the mean of its members.

    Parameters
    ----------
    preset, n_members, time_limit, random_state, n_threads, verbose
        As for `TabularClassifier`.
    loss : str or loss object
        What is minimized: squared_error for the mean; absolute_error for the median, quantile
        (`fastrelu.losses.Quantile`) for another quantile; expectile (`fastrelu.losses.Expectile`)
        for an expectile; poisson for counts, gamma for amounts > 0, tweedie
        (`fastrelu.losses.Tweedie`) for amounts that are often 0: these three have a log link, that
        is, effects multiply and predictions are > 0.
    monotone : dict, optional
        For names, or places, of columns of numbers: 1 if predictions must not fall where the number
        rises, all else equal, -1 if they must not rise, 0 for no matter. It holds by the signs of
        the networks' weights, to the bit where the link is the identity, for all values and not
        only those of the rows, for any loss; with a log link up to a rounding of float32. Missing
        values have no order.
    client, comm
        As for `TabularClassifier`.

    Attributes
    ----------
    n_outputs_ : int
        The columns of y.
    n_features_in_, feature_names_in_, networks_, n_members_, n_epochs_, inputs_, candidate_
        As for `TabularClassifier`.
    shrinkage_ : float
        The factor, 0 to 1, of what the networks say beyond the constant that is best.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "loss": [StrOptions(set(VALUE_LOSSES)), Loss],
    }
    _unit: Unit

    def __init__(
        self,
        preset: str = "default",
        n_members: int | None = None,
        time_limit: float | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        loss: Any = "squared_error",
        monotone: Any = None,
        client: Any = None,
        comm: Any = None,
    ) -> None:
        super().__init__(
            preset, n_members, time_limit, random_state, n_threads, verbose, monotone, client, comm
        )
        self.loss = loss

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None, offset: Any = None
    ) -> TabularRegressor:
        """Train on the rows of a table.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            The rows, as for `TabularClassifier.fit`.
        y : array_like, (n,) or (n, K)
            The targets, finite numbers; >= 0 for poisson and tweedie, > 0 for gamma.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0.
        exposure : array_like, (n,), optional
            For losses with a log link: what each row's mean is multiplied by, > 0, such as the time
            for which a row was observed. It is learned as y / exposure with weights times
            exposure^(2 - p), p = 1 for poisson, 2 for gamma, the power for tweedie: the same loss.
        offset : array_like, (n,), optional
            The logarithm of an exposure, instead of it.

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
        X, y, sample_weight, exposure, offset = self._given(
            X, y=y, sample_weight=sample_weight, exposure=exposure, offset=offset
        )
        times = exposure_of(exposure, offset)
        if times is not None and chosen_loss(self.loss).info.link != "log":
            raise ValueError(
                "exposure: expected None for the loss "
                f"{chosen_loss(self.loss).name}, whose link is not the logarithm"
            )
        self._exposed = times is not None
        self._fit(X, y, sample_weight, times)
        return self

    def _checked_targets(self, y: Any) -> Array:
        y = check_array(plain_targets(y), ensure_2d=False, dtype="numeric", input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return np.asarray(y, np.float64)

    def _problem(self, y: Array, weight: Array | None, exposure: Array | None) -> Problem:
        self._one_column = y.ndim == 1
        targets = y.reshape(len(y), -1)
        self.n_outputs_ = targets.shape[1]
        problem: Problem
        problem, self._unit = scaled(targets, chosen_loss(self.loss), weight, exposure)
        return problem

    def _calibrate(self, held: Held, problem: Problem) -> None:
        times = 1.0 if problem.exposure is None else problem.exposure[held.rows, None]
        centre, y = times * held.predicted, times * problem.y[held.rows]
        self._intervals = SplitIntervals(centre, y, self._spread(centre))

    def _spread(self, centre: Array) -> Array | None:
        """Return what residuals are measured by: with a log link the deviation goes with the mean.

        None measures all alike.
        """
        return elementary.power(centre, variance_power(self._loss) / 2) if self._unit.log else None

    def _mean_of(self, X: Array) -> NDArray[np.float64]:
        return self._unit.predictions(Ensemble(self.networks_, self._loss).predict(X))

    def _in_unit(self, outputs: Array, differences: bool) -> NDArray[np.float64]:
        return self._unit.outputs(outputs, differences)

    def _straight(self) -> bool:
        return not self._unit.log

    def _one_output(self) -> bool:
        return bool(self._one_column)

    def _times(self, exposure: Any, offset: Any) -> Array | None:
        """Return what the rows' means are multiplied by, (n,); an error if the fit says else."""
        check_is_fitted(self)
        times = exposure_of(exposure, offset)
        if times is None and self._exposed:
            raise ValueError(
                "exposure: this model was fitted with an exposure, so predictions need exposure= "
                "or offset=, one for each row (ones for rates)"
            )
        if times is not None and not self._exposed:
            raise ValueError(
                "exposure: expected None, since this model was fitted without: its predictions "
                "are of whole rows"
            )
        return times

    def _means(self, X: Any, times: Array | None) -> NDArray[np.float64]:
        """Return the mean predictions, in the network's unit, times exposures."""
        predicted = self._mean_prediction(X)
        if times is None:
            return predicted
        if len(times) != len(predicted):
            raise ValueError(f"exposure: expected shape ({len(predicted)},), got {times.shape}")
        return np.asarray(predicted * times[:, None])

    def predict(self, X: Any, exposure: Any = None, offset: Any = None) -> NDArray[np.float64]:
        """Return the predicted value of each row.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.
        exposure, offset : array_like, (n,)
            As for `fit`, one of them: needed if the model was fitted with one, else None. An
            exposure of 1 gives rates.

        Returns
        -------
        ndarray of float64, (n,) or (n, K)
            In the unit of y.

        Raises
        ------
        ValueError, TypeError
            If a column is not there, the rows cannot be read, or the exposure is missing or wrong.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularRegressor("fast", random_state=0)
        >>> model.fit([[0.0], [1.0]] * 20, [5.0, 7.0] * 20).predict([[0.0]]).round(0)
        array([5.])
        """
        means = self._means(X, self._times(exposure, offset))
        found = self._unit.predictions(means)
        return np.asarray(found[:, 0] if self._one_column else found)

    def predict_interval(
        self, X: Any, coverage: float = 0.9, exposure: Any = None, offset: Any = None
    ) -> NDArray[np.float64]:
        """Return intervals that hold the targets, about as often as `coverage` says.

        Each is the prediction, less and plus one margin for all rows: the absolute residual of
        rank ceil((n + 1) * coverage), in ascending order from 1, among those of the n rows that
        some member left out, each predicted by the members that left it out (cross-conformal
        prediction; see `fastrelu.conformal` for the rank). If that rank is more than n, the
        intervals are infinite: 0.9 needs 9 rows. Rows count once, whatever their weights.
        With a log link, residuals and margins are measured by mean^(p / 2), as which deviations
        grow (p = 1 for poisson, 2 for gamma, the power for tweedie), and no end is below 0.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.
        exposure, offset : array_like, (n,)
            As for `fit`, one of them: needed if the model was fitted with one, else None. An
            exposure of 1 gives rates.
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
        centre = self._means(X, self._times(exposure, offset))
        if not len(centre):
            rank(1, coverage)  # is checked as for more rows
            return np.empty((0, 2) if self._one_column else (0, self.n_outputs_, 2))
        ends = self._intervals.intervals(centre, coverage, self._spread(centre))
        ends = ends.reshape(*centre.shape, 2).transpose(2, 0, 1)
        if self._unit.log:
            ends = np.maximum(ends, 0.0)
        ends = self._unit.predictions(ends).transpose(1, 2, 0)
        return np.asarray(ends[:, 0] if self._one_column else ends)

    def score(
        self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None, offset: Any = None
    ) -> float:
        """Return R2, the share of the variance of y that predictions explain, whatever the loss.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.
        y : array_like, (n,) or (n, K)
            Their targets.
        sample_weight : array_like, (n,), optional
            Their weights.
        exposure, offset : array_like, (n,)
            As for `predict`.

        Returns
        -------
        float
            At most 1; the mean over several targets.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularRegressor("fast", random_state=0)
        >>> model = model.fit([[0.0], [1.0]] * 20, [5.0, 7.0] * 20)
        >>> bool(model.score([[0.0], [1.0]], [5.0, 7.0]) > 0.9)
        True
        """
        predicted = self.predict(X, exposure, offset)
        return float(r2_score(plain_targets(y), predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


# Its public place, for pickles and documentation.
TabularRegressor.__module__ = "fastrelu.tabular"

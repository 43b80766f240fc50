# SPDX-License-Identifier: BSD-3-Clause
"""Conformal prediction: intervals and sets that hold with a given probability, for any model.

They hold if the new rows and those of the calibration are exchangeable, that is, come in an order
that says nothing. With n calibration rows the margin is the score of rank

    k = ceil((n + 1) * coverage)

among their n scores in ascending order, counted from 1, which gives at least this coverage and at
most 1 / (n + 1) more where no scores are equal; it is infinite where k > n. Other packages differ
by one rank.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import real_number, reals
from fastrelu._calibration import as_columns, as_weights, joined_ends, one_column, outer_columns

__all__ = [
    "ClassSets", "CrossIntervals", "QuantileIntervals", "SplitIntervals", "WeightedIntervals",
    "rank",
]  # fmt: skip

Array = NDArray[np.float64]

#: Numbers that CrossIntervals holds at once: 8 MiB in each of a few arrays.
BLOCK_NUMBERS = 1 << 20


def rank(n: int, coverage: float) -> int:
    """Return which of n scores, in ascending order from 1, is the margin.

    Parameters
    ----------
    n : int
        The number of calibration rows.
    coverage : float
        The probability, in (0, 1), as it is written: 0.9 is nine tenths.

    Returns
    -------
    int
        ceil((n + 1) * coverage); more than n where n rows are too few.

    Raises
    ------
    TypeError, ValueError
        If `coverage` is not in (0, 1).

    Examples
    --------
    >>> from fastrelu import conformal
    >>> [conformal.rank(n, 0.9) for n in (8, 9, 18, 19, 99)]
    [9, 9, 18, 18, 90]
    """
    coverage = real_number("coverage", coverage, 0.0, 1.0, above=True, below=True)
    return math.ceil((n + 1) * Fraction(repr(coverage)))


class SplitIntervals:
    """Intervals around predictions, from the residuals of rows that trained no model.

    Parameters
    ----------
    predicted : array_like, (n, d_out) or (n,)
        Predictions for the calibration rows.
    y : array_like, (n, d_out) or (n,)
        Their targets.
    scale : array_like, (n, d_out) or (n,), optional
        Sizes by which the residuals are divided, such as an ensemble's spread: intervals are then
        wide where it is large. Sizes below a thousandth of their median count as that.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, or a number is not finite.

    References
    ----------
    Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-free predictive inference
    for regression (sections 2.2 and 5.2).

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import conformal
    >>> y = np.arange(19.0)
    >>> split = conformal.SplitIntervals(np.zeros(19), y)
    >>> split.intervals([5.0], 0.9).tolist()
    [[-12.0, 22.0]]
    """

    def __init__(self, predicted: ArrayLike, y: ArrayLike, scale: ArrayLike | None = None) -> None:
        centre = as_columns("predicted", predicted)
        target = as_columns("y", y, centre.shape)
        scores = np.abs(target - centre)
        self._least: Array | None = None
        if scale is not None:
            size = as_columns("scale", scale, centre.shape)
            self._least = 1e-3 * np.median(size, axis=0)
            # Where all are alike, even 0, they say nothing.
            self._least = np.where(self._least > 0, self._least, 1.0)
            scores = scores / np.maximum(size, self._least)
        self._scores = np.sort(scores, axis=0)

    def intervals(
        self, predicted: ArrayLike, coverage: float = 0.9, scale: ArrayLike | None = None
    ) -> Array:
        """Return the intervals around predictions.

        Parameters
        ----------
        predicted : array_like, (m, d_out) or (m,)
            Predictions.
        coverage : float
            The probability that each interval holds its target, in (0, 1).
        scale : array_like, (m, d_out) or (m,)
            Their sizes, if the calibration had some.

        Returns
        -------
        ndarray of float64, (m, 2) for one output, else (m, d_out, 2)
            Lower and upper ends.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import conformal
        >>> split = conformal.SplitIntervals(np.zeros(9), np.arange(9.0))
        >>> split.intervals([1.0], 0.9).tolist()
        [[-7.0, 9.0]]
        """
        k = rank(len(self._scores), coverage)
        centre = as_columns("predicted", predicted)
        if centre.shape[1] != self._scores.shape[1]:
            raise ValueError(
                f"predicted: expected {self._scores.shape[1]} outputs, got {centre.shape[1]}"
            )
        if (scale is None) != (self._least is None):
            needed = "one for each prediction" if self._least is not None else "None"
            raise ValueError(f"scale: expected {needed}, as in the calibration")
        margin = self._scores[k - 1] if k <= len(self._scores) else np.full(centre.shape[1], np.inf)
        if scale is None or self._least is None:
            margins = np.broadcast_to(margin, centre.shape)
        else:
            margins = margin * np.maximum(as_columns("scale", scale, centre.shape), self._least)
        return joined_ends(centre - margins, centre + margins)


class WeightedIntervals:
    """Intervals as `SplitIntervals`' where new rows have other inputs than the calibration's.

    Where the inputs of new rows come from another distribution, but targets hang on inputs as
    before (covariate shift), rows count by weights: how many times as likely their inputs are
    among the new rows. With weights w_i of the calibration rows and w of the new row the margin is
    the least absolute residual r for which the w_i of residuals up to r add up to at least
    coverage * (w + sum of w_i); it is infinite where all of them do not. For equal weights
    that is the residual of `rank`. The coverage is an average over calibrations, as without.

    Parameters
    ----------
    predicted, y : array_like, (n,)
        Predictions for the calibration rows, and their targets.
    weights : array_like, (n,)
        Weights >= 0, up to a common factor.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, a number is not finite, or a weight is below 0.

    References
    ----------
    Tibshirani, Barber, Candes and Ramdas (2019), Conformal prediction under covariate shift.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import conformal
    >>> shifted = conformal.WeightedIntervals(np.zeros(19), np.arange(19.0), np.ones(19))
    >>> shifted.intervals([5.0, 5.0], [1.0, 0.0], 0.9).tolist()
    [[-12.0, 22.0], [-12.0, 22.0]]
    """

    def __init__(self, predicted: ArrayLike, y: ArrayLike, weights: ArrayLike) -> None:
        centre = one_column("predicted", predicted)
        scores = np.abs(one_column("y", y, (len(centre), 1)) - centre)
        w = as_weights(weights, len(centre))
        if not w.any():
            raise ValueError("weights: expected one above 0, got zeros alone")
        self._unit = float(w.max())  # they count up to a factor
        order = np.argsort(scores, kind="stable")
        self._scores, self._sums = scores[order], np.cumsum(w[order] / self._unit)

    def intervals(self, predicted: ArrayLike, weights: ArrayLike, coverage: float = 0.9) -> Array:
        """Return the intervals around predictions, (m, 2).

        Parameters
        ----------
        predicted, weights : array_like, (m,)
            Predictions of new rows, and their weights, by the calibration's measure.
        coverage : float
            The probability that an interval holds its target, in (0, 1).

        Returns
        -------
        ndarray of float64, (m, 2)
            Lower and upper ends.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> from fastrelu import conformal
        >>> shifted = conformal.WeightedIntervals([0.0, 0.0], [1.0, 2.0], [9.0, 1.0])
        >>> shifted.intervals([5.0, 5.0], [0.0, 9.0], 0.9).tolist()
        [[4.0, 6.0], [-inf, inf]]
        """
        rank(len(self._scores), coverage)  # is checked as elsewhere
        centre = one_column("predicted", predicted)
        with np.errstate(over="ignore"):  # an infinite weight beside the others: no finite margin
            new = as_weights(weights, len(centre)) / self._unit
        # Up to roundings of the sums, which would else decide where weights are equal.
        place = np.searchsorted(self._sums, coverage * (self._sums[-1] + new) * (1 - 1e-12))
        margins = np.append(self._scores, np.inf)[place]
        return np.stack([centre - margins, centre + margins], axis=1)


class QuantileIntervals:
    """Intervals between predicted quantiles, widened or narrowed by calibration rows.

    A row's score is how far its target lies outside the predicted interval, below 0 inside:
    max(low - y, y - high). All ends move by the score of `rank`, so that intervals are as wide as
    the quantiles say, and hold as often as they should (conformalised quantile regression).

    Parameters
    ----------
    predicted : array_like, (n, 2) or more columns
        Quantiles predicted for the calibration rows; the first and the last column are the ends.
    y : array_like, (n,) or (n, 1)
        Their targets.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit, or a number is not finite.

    References
    ----------
    Romano, Patterson and Candes (2019), Conformalized quantile regression.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import conformal
    >>> y = np.arange(19.0)
    >>> split = conformal.QuantileIntervals(np.tile([4.0, 14.0], (19, 1)), y)
    >>> split.intervals([[5.0, 6.0]], 0.9).tolist()
    [[1.0, 10.0]]
    """

    def __init__(self, predicted: ArrayLike, y: ArrayLike) -> None:
        low, high = outer_columns("predicted", predicted)
        target = as_columns("y", y, (len(low), 1))[:, 0]
        self._scores = np.sort(np.maximum(low - target, target - high))

    def intervals(self, predicted: ArrayLike, coverage: float = 0.9) -> Array:
        """Return the intervals of new rows.

        Parameters
        ----------
        predicted : array_like, (m, 2) or more columns
            Quantiles predicted for them, of the levels of the calibration.
        coverage : float
            The probability that each interval holds its target, in (0, 1).

        Returns
        -------
        ndarray of float64, (m, 2)
            Lower and upper ends. Where a narrowed interval would be empty, both are its middle.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import conformal
        >>> split = conformal.QuantileIntervals(np.zeros((9, 2)), np.arange(9.0))
        >>> split.intervals([[1.0, 2.0]], 0.9).tolist()
        [[-7.0, 10.0]]
        """
        k = rank(len(self._scores), coverage)
        low, high = outer_columns("predicted", predicted)
        if k > len(self._scores):
            return np.tile([-np.inf, np.inf], (len(low), 1))
        margin, middle = self._scores[k - 1], 0.5 * low + 0.5 * high
        ends = np.stack([low - margin, high + margin], axis=1)
        empty = ends[:, 0] > ends[:, 1]
        ends[empty] = middle[empty, None]
        return ends


class CrossIntervals:
    """Intervals from models of which each left out a part of the rows (CV+).

    All rows train a model, and all calibrate: each row's residual is that of the model that has not
    seen it. The coverage is at least ``1 - 2 * (1 - coverage)`` for any model, and near `coverage`
    for models that hardly change with one row.

    Parameters
    ----------
    predicted : array_like, (n,)
        For each row the prediction of the model that left it out.
    y : array_like, (n,)
        The targets.
    left_out_by : array_like of int, (n,)
        Which model that is, from 0 on.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, or a number is not finite.

    References
    ----------
    Barber, Candes, Ramdas and Tibshirani (2021), Predictive inference with the jackknife+
    (section 3).

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import conformal
    >>> y, fold = np.arange(20.0), np.arange(20) % 2
    >>> cross = conformal.CrossIntervals(y + 1, y, fold)
    >>> cross.intervals([[3.0], [5.0]], 0.9).tolist()
    [[2.0, 6.0]]
    """

    def __init__(self, predicted: ArrayLike, y: ArrayLike, left_out_by: ArrayLike) -> None:
        centre = as_columns("predicted", predicted)
        self._residuals = np.abs(as_columns("y", y, centre.shape) - centre)[:, 0]
        if centre.shape[1] != 1:
            raise ValueError(f"predicted: expected one output, got {centre.shape[1]}")
        folds = np.asarray(left_out_by)
        if folds.dtype.kind not in "iu" or folds.shape != self._residuals.shape or folds.min() < 0:
            raise ValueError(
                f"left_out_by: expected {len(centre)} numbers of models from 0 on, got "
                f"{folds.dtype} of shape {folds.shape}"
            )
        self._models = folds

    def intervals(self, predicted: ArrayLike, coverage: float = 0.9) -> Array:
        """Return the intervals for new rows.

        Parameters
        ----------
        predicted : array_like, (models, m)
            The predictions of each model for the new rows.
        coverage : float
            The probability, in (0, 1).

        Returns
        -------
        ndarray of float64, (m, 2)
            Lower and upper ends: of rank n + 1 - k among predictions less residuals, and of rank k
            among predictions plus residuals, k = `rank` (n, coverage); infinite where k > n.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import conformal
        >>> cross = conformal.CrossIntervals(np.ones(9), np.zeros(9), np.zeros(9, int))
        >>> cross.intervals([[5.0]], 0.9).tolist()
        [[4.0, 6.0]]
        """
        n = len(self._residuals)
        k = rank(n, coverage)
        each = reals("predicted", predicted)
        if each.ndim != 2 or len(each) <= self._models.max():
            raise ValueError(
                f"predicted: expected shape ({self._models.max() + 1}, m), got {each.shape}"
            )
        m = each.shape[1]
        ends = np.tile([-np.inf, np.inf], (m, 1))
        if k > n:
            return ends
        # n numbers for each new row, of a few rows at a time.
        block, residuals = max(1, BLOCK_NUMBERS // n), self._residuals[:, None]
        for begin in range(0, m, block):
            rows = slice(begin, begin + block)
            centre = each[self._models, rows]
            ends[rows, 0] = np.partition(centre - residuals, n - k, axis=0)[n - k]
            ends[rows, 1] = np.partition(centre + residuals, k - 1, axis=0)[k - 1]
        return ends


class ClassSets:
    """Sets of classes that hold the right one, from the probabilities of calibration rows.

    A class is in the set if 1 less its probability is at most the margin: the smallest sets on
    average that have the coverage.

    Parameters
    ----------
    probabilities : array_like, (n, classes)
        Those predicted for the calibration rows.
    labels : array_like of int, (n,)
        Their classes, 0 to classes - 1.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit, or a label is none of them.

    References
    ----------
    Sadinle, Lei and Wasserman (2019), Least ambiguous set-valued classifiers with bounded error
    levels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import conformal
    >>> p = np.linspace(0.5, 1.0, 19)
    >>> sets = conformal.ClassSets(np.stack([p, 1 - p], axis=1), np.zeros(19, int))
    >>> sets.sets([[0.9, 0.1], [0.5, 0.5]], 0.9).tolist()
    [[True, False], [False, False]]
    """

    def __init__(self, probabilities: ArrayLike, labels: ArrayLike) -> None:
        p = as_columns("probabilities", probabilities)
        classes = np.asarray(labels)
        if classes.dtype.kind not in "iu" or classes.shape != (len(p),):
            raise ValueError(
                f"labels: expected {len(p)} whole numbers, got {classes.dtype} of shape "
                f"{classes.shape}"
            )
        if classes.min() < 0 or classes.max() >= p.shape[1]:
            raise ValueError(
                f"labels: expected 0..{p.shape[1] - 1}, got {classes.min()}..{classes.max()}"
            )
        self._classes = p.shape[1]
        self._scores = np.sort(1.0 - p[np.arange(len(p)), classes])

    def sets(self, probabilities: ArrayLike, coverage: float = 0.9) -> NDArray[np.bool_]:
        """Return the sets of new rows.

        Parameters
        ----------
        probabilities : array_like, (m, classes)
            Those predicted for them.
        coverage : float
            The probability that a set holds the right class, in (0, 1).

        Returns
        -------
        ndarray of bool, (m, classes)
            Whether each class is in the set.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import conformal
        >>> sets = conformal.ClassSets(np.full((9, 2), 0.5), np.zeros(9, int))
        >>> sets.sets([[0.8, 0.2]], 0.9).tolist()
        [[True, False]]
        """
        k = rank(len(self._scores), coverage)
        p = as_columns("probabilities", probabilities)
        if p.shape[1] != self._classes:
            raise ValueError(f"probabilities: expected {self._classes} classes, got {p.shape[1]}")
        margin = self._scores[k - 1] if k <= len(self._scores) else np.inf
        return np.asarray(1.0 - p <= margin)

# SPDX-License-Identifier: BSD-3-Clause
"""How well scores put the rows of one class before the others, and from which score to say so.

For a rare class the accuracy says little: what counts is which of its rows come first. Rows of
equal scores count together, so that no order of theirs matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import reals

__all__ = [
    "THRESHOLD_RULES",
    "Ranking",
    "balanced_accuracy",
    "best_threshold",
    "brier_score",
    "one_vs_rest",
    "rank_rows",
    "threshold_of_two",
]

Floats = NDArray[np.float64]

#: What `best_threshold` can look for.
THRESHOLD_RULES = ("balanced", "f1")


@dataclass(frozen=True)
class Ranking:
    """What is found at or above each score, from the highest score down.

    Attributes
    ----------
    score : ndarray of float64, (m,)
        The different scores, descending.
    hits, alarms : ndarray of float64, (m,)
        The weight of the rows of the class, and of the others, whose score is at least that.

    Examples
    --------
    >>> from fastrelu import ranking
    >>> ranked = ranking.rank_rows([True, False, True], [0.9, 0.4, 0.4])
    >>> ranked.score.tolist(), ranked.hits.tolist(), ranked.alarms.tolist()
    ([0.9, 0.4], [1.0, 2.0], [0.0, 1.0])
    >>> ranked.recall.tolist(), ranked.false_alarm_rate.tolist(), ranked.precision.round(2).tolist()
    ([0.5, 1.0], [0.0, 1.0], [1.0, 0.67])
    """

    score: Floats
    hits: Floats
    alarms: Floats

    @property
    def recall(self) -> Floats:
        """The share of the class that is found, (m,); NaN if no row is of it."""
        return _shares(self.hits)

    @property
    def false_alarm_rate(self) -> Floats:
        """The share of the other rows that are found with it, (m,); NaN if there are none."""
        return _shares(self.alarms)

    @property
    def precision(self) -> Floats:
        """The share of what is found that is of the class, (m,)."""
        return np.asarray(self.hits / (self.hits + self.alarms))

    def roc_auc(self) -> float:
        """Return the area under the ROC curve: recall over the false alarm rate.

        It is the probability that a row of the class has a higher score than another row, a tie
        counting half.

        Returns
        -------
        float
            0.5 for scores that say nothing, 1 for a perfect order; NaN unless there are rows of
            the class and others.

        References
        ----------
        Fawcett (2006), An introduction to ROC analysis.

        Examples
        --------
        >>> from fastrelu import ranking
        >>> ranking.rank_rows([True, False, True], [0.9, 0.4, 0.4]).roc_auc()
        0.75
        """
        if not len(self.score) or not (self.hits[-1] > 0 and self.alarms[-1] > 0):
            return math.nan
        hits = np.r_[0.0, self.hits]
        area = (np.diff(self.alarms, prepend=0.0) * (hits[1:] + hits[:-1])).sum() / 2
        return float(area / (self.hits[-1] * self.alarms[-1]))

    def average_precision(self) -> float:
        """Return the area under the precision-recall curve, in steps: the mean precision.

        Returns
        -------
        float
            The class's share of the rows for scores that say nothing, 1 for a perfect order; NaN
            if no row is of the class.

        References
        ----------
        Davis and Goadrich (2006), The relationship between precision-recall and ROC curves.

        Examples
        --------
        >>> from fastrelu import ranking
        >>> round(ranking.rank_rows([True, False, True], [0.9, 0.4, 0.4]).average_precision(), 4)
        0.8333
        """
        if not len(self.score) or not self.hits[-1] > 0:
            return math.nan
        return float((np.diff(self.recall, prepend=0.0) * self.precision).sum())


def _row(name: str, given: ArrayLike) -> Floats:
    """Return finite numbers, (n,)."""
    values = reals(name, given)
    if values.ndim != 1:
        raise ValueError(f"{name}: expected shape (n,), got {values.shape}")
    return values


def _flags(positive: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Return which rows are of a class, given as booleans or as 0 and 1."""
    flags = np.asarray(positive)
    if flags.shape != (n,):
        raise ValueError(f"positive: expected shape ({n},), as the scores, got {flags.shape}")
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise ValueError("positive: expected booleans, or 0 and 1")
    return flags.astype(bool)


def _weights(weight: ArrayLike | None, n: int) -> Floats:
    if weight is None:
        return np.ones(n)
    w = reals("weight", weight)
    if w.shape != (n,) or (w < 0).any():
        raise ValueError(f"weight: expected numbers >= 0 of shape ({n},), got shape {w.shape}")
    return w


def _numbers(name: str, given: ArrayLike, n_classes: int, n: int | None = None) -> NDArray[np.intp]:
    """Return class numbers, (n,)."""
    numbers = np.asarray(given)
    if numbers.ndim != 1 or n not in (None, len(numbers)):
        expected = "(n,)" if n is None else f"({n},)"
        raise ValueError(f"{name}: expected shape {expected}, got {numbers.shape}")
    whole = numbers.dtype.kind in "biu" or (
        numbers.dtype.kind == "f" and (numbers == np.floor(numbers)).all()
    )
    if not whole or ((numbers < 0) | (numbers >= n_classes)).any():
        raise ValueError(f"{name}: expected class numbers, 0 to {n_classes - 1}")
    return numbers.astype(np.intp)


def _probabilities(given: ArrayLike) -> Floats:
    p = reals("probabilities", given)
    if p.ndim != 2 or not p.shape[1]:
        raise ValueError(f"probabilities: expected shape (n, n_classes), got {p.shape}")
    return p


def _shares(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums / sums[-1:])


def rank_rows(positive: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> Ranking:
    """Return what is found of a class at or above each score.

    Parameters
    ----------
    positive : array_like of bool, (n,)
        Whether each row is of the class.
    scores : array_like, (n,)
        The rows' scores, such as the probabilities of the class.
    weight : array_like, (n,), optional
        Weights >= 0 of the rows.

    Returns
    -------
    Ranking
        The numbers at each different score.

    Examples
    --------
    >>> from fastrelu import ranking
    >>> ranking.rank_rows([True, False], [0.2, 0.7]).score.tolist()
    [0.7, 0.2]
    """
    values = _row("scores", scores)
    own, w = _flags(positive, len(values)), _weights(weight, len(values))
    if weight is not None:  # a row of no weight is none
        used = w > 0
        values, own, w = values[used], own[used], w[used]
    order = np.argsort(-values, kind="stable")
    values = values[order]
    last = np.flatnonzero(np.diff(values, append=np.nan) != 0)  # of the rows of each score
    hits, alarms = (
        np.cumsum(np.where(which, w[order], 0.0)) for which in (own[order], ~own[order])
    )
    return Ranking(values[last], hits[last], alarms[last])


def one_vs_rest(
    labels: NDArray[Any], probabilities: NDArray[Any], weight: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return each class's area under the ROC curve and average precision, against all others.

    Parameters
    ----------
    labels : ndarray of int, (n,)
        The class numbers of the rows.
    probabilities : ndarray, (n, n_classes)
        Those predicted.
    weight : ndarray of float64, (n,), optional
        Weights >= 0 of the rows.

    Returns
    -------
    roc_auc, average_precision : ndarray of float64, (n_classes,)
        NaN for a class that no row is of; the first also for one that all are of.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import ranking
    >>> p = np.array([[0.8, 0.2, 0.0], [0.3, 0.7, 0.0]])
    >>> ranking.one_vs_rest(np.array([0, 1]), p)
    (array([ 1.,  1., nan]), array([ 1.,  1., nan]))
    """
    p = _probabilities(probabilities)
    numbers = _numbers("labels", labels, p.shape[1], len(p))
    each = [rank_rows(numbers == k, p[:, k], weight) for k in range(p.shape[1])]
    areas = np.array([ranked.roc_auc() for ranked in each])
    return areas, np.array([ranked.average_precision() for ranked in each])


def balanced_accuracy(
    labels: NDArray[Any], predicted: NDArray[Any], n_classes: int, weight: Floats | None = None
) -> float:
    """Return the mean recall over the classes that there are rows of.

    Parameters
    ----------
    labels, predicted : ndarray of int, (n,)
        The class numbers of the rows, and those predicted.
    n_classes : int
        The number of classes.
    weight : ndarray of float64, (n,), optional
        Weights >= 0 of the rows.

    Returns
    -------
    float
        NaN if there are no rows.

    References
    ----------
    Brodersen, Ong, Stephan and Buhmann (2010), The balanced accuracy and its posterior
    distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import ranking
    >>> ranking.balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2).__round__(4)
    0.8333
    """
    numbers = _numbers("labels", labels, n_classes)
    said = _numbers("predicted", predicted, n_classes, len(numbers))
    w = _weights(weight, len(numbers))
    support = np.bincount(numbers, w, minlength=n_classes)
    hits = np.bincount(numbers, w * (numbers == said), minlength=n_classes)
    there = support > 0
    return float((hits[there] / support[there]).mean()) if there.any() else math.nan


def brier_score(
    labels: NDArray[Any], probabilities: NDArray[Any], weight: Floats | None = None
) -> float:
    """Return the Brier score: how far probabilities are from what came, squared.

    Parameters
    ----------
    labels : ndarray of int, (n,)
        The class numbers of the rows.
    probabilities : ndarray, (n, n_classes)
        Those predicted.
    weight : ndarray of float64, (n,), optional
        Weights >= 0 of the rows.

    Returns
    -------
    float
        The rows' mean of the squares added up over the classes; of two classes, of the one square
        that both have. 0 is perfect; NaN if there are no rows.

    References
    ----------
    Brier (1950), Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import ranking
    >>> ranking.brier_score(np.array([0, 1]), np.array([[0.5, 0.5], [0.0, 1.0]]))
    0.125
    """
    p = _probabilities(probabilities)
    numbers, w = _numbers("labels", labels, p.shape[1], len(p)), _weights(weight, len(p))
    if not w.sum() > 0:
        return math.nan
    squares = ((p - np.eye(p.shape[1])[numbers]) ** 2).sum(axis=1)
    return float(np.average(squares, weights=w)) / (2.0 if p.shape[1] == 2 else 1.0)


def best_threshold(
    positive: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None, rule: str = "balanced"
) -> float:
    """Return the score from which on rows are best said to be of the class.

    Parameters
    ----------
    positive : array_like of bool, (n,)
        Whether each row is of the class.
    scores : array_like, (n,)
        The rows' probabilities of the class, 0 to 1.
    weight : array_like, (n,), optional
        Weights >= 0 of the rows.
    rule : {"balanced", "f1"}
        What is best: the mean of the recalls of the class and of the others, or the class's F1.

    Returns
    -------
    float
        The middle between two neighbouring scores; among equally good ones, the one nearest to
        0.5. NaN unless there are rows of the class and others.

    Examples
    --------
    >>> from fastrelu import ranking
    >>> ranking.best_threshold([True, True, False, False], [0.4, 0.3, 0.2, 0.1])
    0.25
    """
    if rule not in THRESHOLD_RULES:
        raise ValueError(f"rule: expected one of {', '.join(THRESHOLD_RULES)}, got {rule!r}")
    ranked = rank_rows(positive, scores, weight)
    if not len(ranked.score) or not (ranked.hits[-1] > 0 and ranked.alarms[-1] > 0):
        return math.nan
    if rule == "balanced":
        worth = ranked.recall - ranked.false_alarm_rate
    else:
        worth = 2 * ranked.hits / (ranked.hits[-1] + ranked.hits + ranked.alarms)
    below = np.r_[ranked.score[1:], min(0.0, ranked.score[-1])]
    places = (ranked.score + below) / 2
    places = np.where(places > below, places, ranked.score)  # of neighbouring doubles
    # Sums in another order differ by roundings, which decide nothing.
    equal = np.flatnonzero(worth >= worth.max() - 1e-12)
    return float(places[equal[np.argmin(np.abs(places[equal] - 0.5))]])


def threshold_of_two(
    labels: NDArray[Any],
    second: ArrayLike,
    weight: Floats | None = None,
    rule: str = "balanced",
) -> float:
    """Return the probability from which on rows are best said to be of the second of two classes.

    Parameters
    ----------
    labels : ndarray of int, (n,)
        The class numbers of the rows, 0 or 1.
    second : array_like, (n,)
        The rows' probabilities of class 1.
    weight : ndarray of float64, (n,), optional
        Weights >= 0 of the rows.
    rule : {"balanced", "f1"}
        What is best: the mean of both recalls, or the F1 of the class that fewer rows are of.

    Returns
    -------
    float
        As `best_threshold`; NaN unless there are rows of both classes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import ranking
    >>> labels = np.array([1, 1, 1, 0])
    >>> ranking.threshold_of_two(labels, [0.9, 0.8, 0.7, 0.6], rule="f1").__round__(2)
    0.65
    """
    p = _row("second", second)
    own, w = _numbers("labels", labels, 2, len(p)) == 1, _weights(weight, len(p))
    if rule == "f1" and w[own].sum() > w[~own].sum():
        return 1.0 - best_threshold(~own, 1.0 - p, weight, rule)
    return best_threshold(own, p, weight, rule)

# SPDX-License-Identifier: BSD-3-Clause
"""How good predictions are, in numbers: shared by the pictures and the training report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ClassScores",
    "Reliability",
    "class_numbers",
    "class_scores",
    "confusion_counts",
    "label_text",
    "r2_score",
    "reliability",
    "top_confusions",
    "weighted_expectile",
    "weighted_quantile",
    "wilson_interval",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def label_text(label: Any) -> str:
    """Return a label as text, 3 and 3.0 being the same.

    Parameters
    ----------
    label : object
        A label.

    Returns
    -------
    str
        Its text.

    Examples
    --------
    >>> from fastrelu import metrics
    >>> metrics.label_text(3.0), metrics.label_text("red")
    ('3', 'red')
    """
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def class_numbers(labels: NDArray[Any], classes: Sequence[Any]) -> Integers:
    """Return the position of each label in `classes`.

    Parameters
    ----------
    labels : ndarray, (n,)
        Labels.
    classes : sequence
        The classes; labels are compared with them as texts, see `label_text`.

    Returns
    -------
    ndarray of int64, (n,)
        Positions from 0; -1 for a label that is no class.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.class_numbers(np.array(["b", "a", "z"]), ["a", "b"])
    array([ 1,  0, -1])
    """
    place = {label_text(label): k for k, label in enumerate(classes)}
    return np.array([place.get(label_text(v), -1) for v in labels.tolist()], np.int64)


def confusion_counts(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> Integers:
    """Return the confusion matrix: how many rows of class i were predicted to be of class j.

    Parameters
    ----------
    truth, predicted : ndarray of int, (n,)
        The class numbers of the rows, 0 to n_classes - 1, and those predicted.
    n_classes : int
        The number of classes.

    Returns
    -------
    ndarray of int64, (n_classes, n_classes)
        Numbers of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    cell = truth.astype(np.int64) * n_classes + predicted.astype(np.int64)
    counts = np.bincount(cell, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScores:
    """Numbers for each class.

    Attributes
    ----------
    precision : ndarray of float64, (n_classes,)
        The share of the rows predicted to be of the class that are of it.
    recall : ndarray of float64, (n_classes,)
        The share of the rows of the class that were predicted to be of it.
    f1 : ndarray of float64, (n_classes,)
        The harmonic mean of both. All three are NaN where they are 0 divided by 0.
    support, predicted : ndarray of int64, (n_classes,)
        The numbers of rows that are of the class, and that were predicted to be.

    References
    ----------
    van Rijsbergen (1979), Information retrieval, chapter 7.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> scores = metrics.class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    >>> scores.precision, scores.recall
    (array([1. , 0.5]), array([0.5, 1. ]))
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Integers
    predicted: Integers

    def macro(self) -> tuple[float, float, float]:
        """Return the means over the classes that occur; what is not defined counts as 0.

        Returns
        -------
        tuple of float
            The mean precision, recall and F1; NaN if there is no row.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import metrics
        >>> scores = metrics.class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        >>> [round(mean, 4) for mean in scores.macro()]
        [0.75, 0.75, 0.6667]
        """
        used = (self.support + self.predicted) > 0
        means = [
            float(np.nan_to_num(values[used]).mean()) if used.any() else math.nan
            for values in (self.precision, self.recall, self.f1)
        ]
        return means[0], means[1], means[2]


def class_scores(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> ClassScores:
    """Return precision, recall and F1 of each class.

    Parameters
    ----------
    truth, predicted : ndarray of int, (n,)
        The class numbers of the rows, 0 to n_classes - 1, and those predicted.
    n_classes : int
        The number of classes.

    Returns
    -------
    ClassScores
        The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).support
    array([2, 1])
    """
    hits = np.bincount(truth[truth == predicted], minlength=n_classes).astype(np.float64)
    support = np.bincount(truth, minlength=n_classes).astype(np.int64)
    guesses = np.bincount(predicted, minlength=n_classes).astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ClassScores(
            precision=hits / guesses,
            recall=hits / support,
            f1=2 * hits / (support + guesses),
            support=support,
            predicted=guesses,
        )


def top_confusions(
    truth: NDArray[Any], predicted: NDArray[Any], n_classes: int, most: int
) -> list[tuple[int, int, int]]:
    """Return the most frequent mistakes.

    Parameters
    ----------
    truth, predicted : ndarray of int, (n,)
        The class numbers of the rows, 0 to n_classes - 1, and those predicted.
    n_classes : int
        The number of classes.
    most : int
        The largest number of mistakes to return.

    Returns
    -------
    list of tuple of int
        (true class, predicted class, number of rows), the most frequent first.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.top_confusions(np.array([0, 0, 1]), np.array([1, 1, 0]), n_classes=2, most=1)
    [(0, 1, 2)]
    """
    wrong = truth != predicted
    cells = truth[wrong].astype(np.int64) * n_classes + predicted[wrong]
    distinct, counts = np.unique(cells, return_counts=True)
    # Stable, so that equal counts keep the classes' order.
    order = np.argsort(-counts, kind="stable")[:most]
    return [
        (int(distinct[k]) // n_classes, int(distinct[k]) % n_classes, int(counts[k])) for k in order
    ]


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed frequencies, in bins of equal width over [0, 1].

    Attributes
    ----------
    count : ndarray of int64, (n_bins,)
        The number of rows in each bin.
    confidence, accuracy : ndarray of float64, (n_bins,)
        The means over the bin's rows; NaN in an empty bin.
    error : float
        The expected calibration error: the rows' mean of abs(accuracy - confidence) of their bin.

    References
    ----------
    DeGroot and Fienberg (1983), The comparison and evaluation of forecasters. Naeini, Cooper and
    Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning (the error).

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> sure = np.array([0.9, 0.9, 0.9, 0.9])
    >>> bins = metrics.reliability(np.array([1, 1, 1, 0]), sure, n_bins=2)
    >>> bins.count, bins.accuracy[1], round(bins.error, 4)
    (array([0, 4]), np.float64(0.75), 0.15)
    """

    count: Integers
    confidence: Floats
    accuracy: Floats
    error: float


def reliability(correct: NDArray[Any], confidence: NDArray[Any], n_bins: int) -> Reliability:
    """Return how often predictions made with a confidence were right, in bins of the confidence.

    Parameters
    ----------
    correct : ndarray of bool or number, (n,)
        Whether each prediction was right.
    confidence : ndarray, (n,)
        The probability, 0 to 1, that it was given.
    n_bins : int
        The number of bins.

    Returns
    -------
    Reliability
        The numbers of the bins, and the expected calibration error.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.reliability(np.array([True, False]), np.array([0.5, 0.5]), n_bins=4).error
    0.0
    """
    sure = np.clip(np.asarray(confidence, np.float64), 0.0, 1.0)
    place = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(place, minlength=n_bins).astype(np.int64)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=sure, minlength=n_bins) / count
        right = np.bincount(place, weights=correct, minlength=n_bins) / count
    gaps = np.where(count > 0, np.abs(right - mean), 0.0)
    return Reliability(count, mean, right, float((gaps * count).sum() / max(1, count.sum())))


def wilson_interval(hits: NDArray[Any], n: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return Wilson's 95 % confidence intervals of probabilities, from observed frequencies.

    Parameters
    ----------
    hits, n : ndarray
        The numbers of successes and of trials, of one shape.

    Returns
    -------
    lower, upper : ndarray of float64
        The ends of the intervals, in [0, 1]; NaN where n is 0.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> lower, upper = metrics.wilson_interval(np.array([8]), np.array([10]))
    >>> lower.round(3), upper.round(3)
    (array([0.49]), array([0.943]))
    """
    z = 1.959963984540054
    total = np.asarray(n, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.asarray(hits, np.float64) / total
        middle = (share + z * z / (2 * total)) / (1 + z * z / total)
        inner = share * (1 - share) / total + z * z / (4 * total * total)
        half = z / (1 + z * z / total) * np.sqrt(inner)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def r2_score(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the coefficient of determination, R2.

    Parameters
    ----------
    truth, predicted : ndarray, (n,)
        The true values and those predicted.

    Returns
    -------
    float
        1 minus the sum of squared errors over that of a constant, the mean. Where all true values
        are equal: 1 if the predictions are exact, else 0.

    References
    ----------
    Draper and Smith (1998), Applied regression analysis, chapter 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.r2_score(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]))
    0.5
    """
    y = np.asarray(truth, np.float64)
    left = float(((y - predicted) ** 2).sum())
    total = float(((y - y.mean()) ** 2).sum())
    return 1.0 - left / total if total > 0 else float(left == 0)


def weighted_quantile(values: Floats, weight: Floats, level: float) -> float:
    """Return the least value at or below which there is a share `level` of the weight.

    Parameters
    ----------
    values, weight : ndarray of float64, (n,)
        The values, and their weights >= 0 with a positive sum.
    level : float
        The share, between 0 and 1.

    Returns
    -------
    float
        One of the values.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> metrics.weighted_quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weight[order])
    place = int(np.searchsorted(sums, level * sums[-1]))
    return float(values[order[min(place, len(order) - 1)]])


def weighted_expectile(values: Floats, weight: Floats, tau: float) -> float:
    """Return the number that minimizes the expectile loss of values.

    It is the mean of the values, those above it with weights times `tau`, the others with weights
    times 1 - `tau`. That is repeated from the mean on until the values above it stay the same:
    Newton's method for a piecewise linear equation, which ends after some steps.

    Parameters
    ----------
    values, weight : ndarray of float64, (n,)
        The values, and their weights >= 0 with a positive sum.
    tau : float
        The weight of values above it, above 0 and below 1; 0.5 is the mean.

    Returns
    -------
    float
        The expectile.

    References
    ----------
    Newey and Powell (1987), Asymmetric least squares estimation and testing.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import metrics
    >>> round(metrics.weighted_expectile(np.array([0.0, 1.0, 5.0]), np.ones(3), 0.8), 6)
    3.5
    """
    found = float(np.average(values, weights=weight))
    above = np.zeros(len(values), bool)
    for _ in range(100):  # some five; rounding may let it swing around a value
        before, above = above, values > found
        if (above == before).all():
            break
        found = float(np.average(values, weights=weight * np.where(above, tau, 1.0 - tau)))
    return found

# SPDX-License-Identifier: BSD-3-Clause
"""What predictions are worth, in numbers: shared by the pictures and the training report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def label_text(label: Any) -> str:
    """Return a label as text, 3 and 3.0 being the same."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def class_numbers(labels: NDArray[Any], classes: Sequence[Any]) -> Integers:
    """Return the place of each label in `classes`; -1 if it is not there."""
    place = {label_text(label): k for k, label in enumerate(classes)}
    return np.array([place.get(label_text(v), -1) for v in labels.tolist()], np.int64)


def confusion_counts(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> Integers:
    """Return how many rows of class i were predicted as class j, (n_classes, n_classes)."""
    cell = truth.astype(np.int64) * n_classes + predicted.astype(np.int64)
    counts = np.bincount(cell, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


@dataclass(frozen=True)
class ClassScores:
    """One number a class; NaN where it is not defined (0 divided by 0).

    Attributes
    ----------
    precision, recall, f1 : ndarray of float64, (n_classes,)
    support, predicted : ndarray of int64, (n_classes,)
        Rows that are of the class, and that were predicted to be.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Integers
    predicted: Integers

    def macro(self) -> tuple[float, float, float]:
        """Return the means over the classes that occur, what is not defined counting as 0."""
        used = (self.support + self.predicted) > 0
        means = [
            float(np.nan_to_num(values[used]).mean()) if used.any() else math.nan
            for values in (self.precision, self.recall, self.f1)
        ]
        return means[0], means[1], means[2]


def class_scores(truth: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> ClassScores:
    """Return precision, recall and F1 of each class, from the rows' class numbers."""
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
    """Return (true class, predicted class, rows) of the most frequent mistakes, largest first."""
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
    confidence, accuracy : ndarray of float64, (n_bins,)
        Means over the bin's rows; NaN in an empty bin.
    error : float
        The expected calibration error: the rows' mean of |accuracy - confidence| of their bin.
    """

    count: Integers
    confidence: Floats
    accuracy: Floats
    error: float


def reliability(correct: NDArray[Any], confidence: NDArray[Any], n_bins: int) -> Reliability:
    """Return how often predictions made with a confidence were right."""
    sure = np.clip(np.asarray(confidence, np.float64), 0.0, 1.0)
    place = np.minimum((sure * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(place, minlength=n_bins).astype(np.int64)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=sure, minlength=n_bins) / count
        right = np.bincount(place, weights=correct, minlength=n_bins) / count
    gaps = np.where(count > 0, np.abs(right - mean), 0.0)
    return Reliability(count, mean, right, float((gaps * count).sum() / max(1, count.sum())))


def wilson_interval(hits: NDArray[Any], n: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return Wilson's 95 % interval of the shares hits / n; NaN where n is 0."""
    z = 1.959963984540054
    total = np.asarray(n, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.asarray(hits, np.float64) / total
        middle = (share + z * z / (2 * total)) / (1 + z * z / total)
        inner = share * (1 - share) / total + z * z / (4 * total * total)
        half = z / (1 + z * z / total) * np.sqrt(inner)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def r2_score(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the coefficient of determination; of a constant truth, 1 if met exactly, else 0."""
    y = np.asarray(truth, np.float64)
    left = float(((y - predicted) ** 2).sum())
    total = float(((y - y.mean()) ** 2).sum())
    return 1.0 - left / total if total > 0 else float(left == 0)

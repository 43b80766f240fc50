# SPDX-License-Identifier: BSD-3-Clause
"""Rows held out of a fit, and what is watched on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastrelu import _core
from fastrelu.sklearn.losses import loss_divisor
from fastrelu.sklearn.outputs import outputs

Array = NDArray[Any]


class Validation:
    """A validation set.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Being fitted.
    X : ndarray or CSR
        Rows.
    y : ndarray
        Targets as the core takes them.
    labels : ndarray
        Targets as the user gave them (regressors: `y`).
    sample_weight : ndarray or None
        Weights of the rows.
    """

    def __init__(
        self, estimator: Any, X: Any, y: Array, labels: Array, sample_weight: Array | None
    ) -> None:
        self.estimator, self.X, self.y = estimator, X, y
        self.labels, self.sample_weight = labels, sample_weight
        monitor = estimator.monitor
        self._scorer: Callable[..., float] | None = None
        if monitor not in (None, "loss"):
            self._scorer = check_scoring(estimator, scoring=monitor)

    def loss(self, trainer: _core.Trainer) -> float:
        """Return the loss without the penalty."""
        total = trainer.data_loss(self.X, self.y, self.sample_weight, False)
        return total / loss_divisor(self.estimator)

    def score(self, loss: float | None) -> float:
        """Return what early stopping watches: the greater, the better."""
        est = self.estimator
        if est.monitor == "loss" and loss is not None:
            return -loss
        if self._scorer is not None:
            weight = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
            est._checked_input = True
            try:
                return float(self._scorer(est, self.X, self.labels, **weight))
            finally:
                del est._checked_input
        predicted = outputs(est._live_network(), self.X, est._link())
        return float(est._score_outputs(self, predicted))


def require_known_classes(binarizer: Any, y: Array) -> None:
    """Refuse validation labels that are not among the classes of the fit.

    Parameters
    ----------
    binarizer : LabelBinarizer
        Fitted to the labels of the fit.
    y : ndarray, (n,) or (n, n_outputs)
        The labels of ``validation_data``.

    Raises
    ------
    ValueError
        If a label is of no class, or an indicator matrix has another number of columns.
    """
    classes = binarizer.classes_
    if y.ndim == 2 or binarizer.y_type_.startswith("multilabel"):
        if y.ndim != 2 or y.shape[1] != len(classes):
            raise ValueError(
                f"y: expected labels of the shape ({len(y)}, {len(classes)}), a "
                f"column for each class, got {y.shape}"
            )
        return
    strange = sorted(set(np.asarray(y).tolist()) - set(classes.tolist()), key=str)
    if strange:
        known = ", ".join(map(repr, classes.tolist()[:10])) + (", ..." if len(classes) > 10 else "")
        raise ValueError(f"the class {strange[0]!r} is not among those of y, {known}")


def accuracy(hits: Array, sample_weight: Array | None) -> float:
    """Return the weighted share of True."""
    return float(np.average(hits, weights=sample_weight))


def r2(y: Array, predicted: Array, sample_weight: Array | None) -> float:
    """Return R2, the mean over the outputs; of a constant output 1 if it is met, else 0."""
    w = np.ones((len(y), 1)) if sample_weight is None else sample_weight[:, np.newaxis]
    with np.errstate(all="ignore"):
        error = (w * (y - predicted) ** 2).sum(axis=0, dtype=np.float64)
        mean = np.average(y, axis=0, weights=sample_weight)
        total = (w * (y - mean) ** 2).sum(axis=0, dtype=np.float64)
        each = np.where(total != 0, 1.0 - error / total, np.where(error != 0, 0.0, 1.0))
    return float(each.mean())


def split_rows(estimator: Any, n: int, stratify: Array | None) -> tuple[Array, Array]:
    """Return the rows to train on and the rows held out, drawn as scikit-learn draws them."""
    train, held = train_test_split(
        np.arange(n),
        random_state=estimator._random_state,
        test_size=estimator.validation_fraction,
        stratify=stratify,
    )
    if len(held) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    return train, held

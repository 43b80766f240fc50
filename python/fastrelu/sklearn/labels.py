# SPDX-License-Identifier: BSD-3-Clause
"""Labels of one column, looked at once: scikit-learn's own checks take longer than a short fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer

from fastrelu.sklearn.plain import are_plain_labels

Array = NDArray[Any]


def fitted_binarizer(y: Array) -> LabelBinarizer:
    """Return ``LabelBinarizer().fit(y)``."""
    binarizer = LabelBinarizer()
    if not are_plain_labels(y) or y.dtype.kind == "U":
        return binarizer.fit(y)
    classes = np.unique(y)
    if len(classes) > 2 and 2 * len(classes) > len(y):
        return binarizer.fit(y)  # which warns where it has doubts
    binarizer.y_type_ = "binary" if len(classes) <= 2 else "multiclass"
    binarizer.sparse_input_ = False
    binarizer.classes_ = classes
    return binarizer


def is_binary(binarizer: LabelBinarizer) -> bool:
    """Return whether the labels are one of two."""
    return bool(binarizer.y_type_ == "binary" and len(binarizer.classes_) == 2)


def label_columns(binarizer: LabelBinarizer, y: Array) -> Array:
    """Return ``binarizer.transform(y)`` as booleans."""
    if (
        are_plain_labels(y)
        and is_binary(binarizer)
        and binarizer.classes_.dtype.kind == y.dtype.kind
    ):
        second: Array = y == binarizer.classes_[1]
        return second[:, np.newaxis]
    columns: Array = binarizer.transform(y).astype(bool)
    return columns


def labels_of(binarizer: LabelBinarizer, p: Array) -> Array:
    """Return ``binarizer.inverse_transform`` of probabilities, (n, outputs)."""
    if p.shape[1] != 1:
        found: Array = binarizer.inverse_transform(p)
    elif is_binary(binarizer):
        found = binarizer.classes_.take(p[:, 0] > 0.5)
    else:
        found = binarizer.inverse_transform(p.ravel())
    return found


class ScoreMixin(ClassifierMixin):
    """scikit-learn's ``ClassifierMixin``, whose score checks plain labels no second time."""

    classes_: Any

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predicted labels.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Their labels.
        sample_weight : array_like, (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        float
            The share of the rows whose label (of an indicator matrix: all labels) is predicted.

        Raises
        ------
        ValueError
            If X or y does not fit, or the estimator is not fitted.

        Examples
        --------
        >>> from fastrelu import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]], ["low", "low", "high", "high"]
        >>> clf = MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> clf.score(X, ["low", "low", "high", "low"])
        0.75
        """
        predicted = self.predict(X)
        plain = sample_weight is None and are_plain_labels(y) and are_plain_labels(predicted)
        if plain and len(y) == len(predicted) and y.dtype.kind == predicted.dtype.kind:
            if 2 * len(self.classes_) <= len(y):  # else scikit-learn may have doubts
                return float(np.average(y == predicted))
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

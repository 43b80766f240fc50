# SPDX-License-Identifier: BSD-3-Clause
"""The classifier of tables."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from fastrelu import elementary
from fastrelu.app.tabular.base import CONSTRAINTS, BaseTabular
from fastrelu.app.tabular.held import Held
from fastrelu.app.tabular.rows import plain_targets
from fastrelu.app.tabular.train import Problem
from fastrelu.conformal import ClassSets, rank
from fastrelu.ensemble import Ensemble
from fastrelu.losses import CrossEntropy
from fastrelu.ranking import THRESHOLD_RULES, threshold_of_two

Array = NDArray[Any]


class TabularClassifier(ClassifierMixin, BaseTabular):
    """A classifier of tables: numbers, booleans, text, categories, dates and missing values.

    Every number becomes its robustly scaled value and its place between quantiles of its column
    (a piecewise linear encoding), every category an input of its own. Several networks, each with
    a fold of the rows left out on which it stops early, are trained as one `fastrelu.Population`;
    their probabilities are averaged.

    Parameters
    ----------
    preset : {"fast", "default", "best"}
        How much is tried: 3, 5 or 20 members, with more patience each; on tables of up to 4,000
        rows "default" and "best" choose the number of pieces, the weight decay and whether inputs
        have learned factors on the rows left out.
    n_members : int, optional
        How many networks predict together, instead of the preset's number.
    time_limit : float, optional
        The seconds that a fit may take. It ends members early, tries less, and at worst trains on
        a part of the rows. Results then depend on the machine's speed.
    random_state : int, RandomState instance or None
        Of the folds, the initial weights and the order of the rows. An int gives the same bits on
        any number of threads.
    n_threads : int, optional
        The threads of a fit and of predictions; all by default. Results do not depend on it.
    verbose : int
        1 tells on standard output what is tried and what came of it; 2 also shows the progress of
        the members on standard error.
    class_weight : dict, "balanced" or None
        A factor >= 0 on the weight of each class's rows, in training, in early stopping and in the
        shares that a model begins from: the probabilities are those of classes in such shares.
        Classes that a dict does not name have 1; "balanced" makes all classes as heavy together.
    threshold : float, "balanced", "f1" or None
        Of two classes: the probability, 0 to 1, from which on `predict` says the second of
        ``classes_``; "balanced" and "f1" choose the one whose balanced accuracy, or F1 of the
        rarer class, is best on the rows that members left out. None says the more probable class.
    monotone : dict, optional
        For names, or places, of columns of numbers: 1 if the probability of the second class must
        not fall where the number rises, all else equal, -1 if it must not rise, 0 for no matter.
        It holds by the signs of the networks' weights, for all values and not only those of the
        rows; probabilities are then monotone up to a rounding of float32. Missing values have no
        order. For two classes alone.
    client : distributed.Client, optional
        A Dask cluster whose workers train the members; the encoded rows are sent once to each. The
        model has the same bits. Not with `time_limit` or `monotone`.
    comm : mpi4py.MPI.Comm or fastrelu.distributed.Communicator, optional
        Ranks that make the fit together. Each gives `fit` rows of its own, as many as it has, or
        None for X and y if it has none; the model is that of one process with the rows of all, in
        the order of ranks, to the bit, and every rank has it in the end. Each rank keeps its own
        rows, and all have y and the weights. The ranks share the members: more than there are
        members make only the reading and encoding quicker. `random_state` is rank 0's. Not with
        `time_limit` or `client`.

    Attributes
    ----------
    classes_ : ndarray, (n_classes,)
        The classes, sorted.
    n_features_in_ : int
        The columns of X.
    feature_names_in_ : ndarray of str
        Their names, if X was a frame.
    networks_ : list of Network
        The members.
    n_members_ : int
        How many there are.
    n_epochs_ : list of int
        The epoch whose weights each member has: the best on its fold.
    inputs_ : PieceInputs
        What turns columns into the networks' inputs; ``inputs_.input_names`` says which.
    candidate_ : str
        What was chosen; ``candidates_`` has the loss of each candidate on the rows left out.
    threshold_ : float or None
        The probability from which on the second class is predicted; None without a threshold.
    shrinkage_ : float
        The factor, 0 to 1, of what the networks say beyond the shares of the classes, or beyond
        the mean: what the rows left out bear out. 0 predicts the shares for every row.

    See Also
    --------
    fastrelu.MLPClassifier : scikit-learn's estimator, for rows of numbers.

    Notes
    -----
    Columns of a frame are matched by name; their order is free, and further ones are not looked
    at. A category that training has not seen, or on few rows only, is all zeros. A number outside
    the training range is read as the end of that range; a prediction warns of one that lies beyond
    it by more than thrice its width. A missing number is zeros and an input
    that says so; where training lacked nothing, it is read as the median.

    References
    ----------
    Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep
    learning.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastrelu
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = fastrelu.TabularClassifier("fast", random_state=0).fit(X[::2], y[::2])
    >>> bool(model.score(X[1::2], y[1::2]) > 0.9)
    True
    >>> model.predict_proba(X[:2]).shape
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "threshold": [Interval(Real, 0, 1, closed="both"), StrOptions(set(THRESHOLD_RULES)), None],
    }
    classes_: Array

    def __init__(
        self,
        preset: str = "default",
        n_members: int | None = None,
        time_limit: float | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        class_weight: Any = None,
        monotone: Any = None,
        threshold: Any = None,
        client: Any = None,
        comm: Any = None,
    ) -> None:
        super().__init__(
            preset, n_members, time_limit, random_state, n_threads, verbose, monotone, client, comm
        )
        self.class_weight = class_weight
        self.threshold = threshold

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> TabularClassifier:
        """Train on the rows of a table.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            The rows. Missing values are None, NaN, NaT or a missing-value word; infinities are
            refused.
        y : array_like, (n,)
            The classes: numbers, booleans or text; at least two different ones.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0.

        Returns
        -------
        TabularClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as described.

        Examples
        --------
        >>> import pandas as pd
        >>> import fastrelu
        >>> colours = ["red", "blue"] * 18
        >>> frame = pd.DataFrame({"size": [1.0, 2.0, None, 4.0] * 9, "colour": colours})
        >>> model = fastrelu.TabularClassifier("fast", random_state=0)
        >>> model.fit(frame, ["a", "b"] * 18).predict(frame[:2])
        array(['a', 'b'], dtype='<U1')
        """
        self._fit(*self._given(X, y=y, sample_weight=sample_weight))
        return self

    def _checked_targets(self, y: Any) -> Array:
        column = np.asarray(column_or_1d(plain_targets(y), warn=True))
        if column.dtype == object:
            gaps = [i for i, label in enumerate(column) if label is None or label != label]
            if gaps:
                raise ValueError(f"y: row {gaps[0] + 1}: expected a class, got {column[gaps[0]]}")
        check_classification_targets(column)
        return column

    def _row_weights(self, y: Array, weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return weight
        if isinstance(self.class_weight, dict):
            _check_factors(self.class_weight)
        factors: Array = compute_sample_weight(self.class_weight, y)
        return factors if weight is None else factors * weight

    def _problem(self, y: Array, weight: Array | None, exposure: Array | None) -> Problem:
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y: expected at least two classes, got one class, {self.classes_[0]!r}"
            )
        if isinstance(self.threshold, bool):
            raise ValueError(f"threshold: expected a number, a rule or None, got {self.threshold}")
        if self.threshold is not None and len(self.classes_) != 2:
            raise ValueError(f"threshold: expected None, or two classes, got {len(self.classes_)}")
        counts = np.bincount(labels, weights=weight)
        start = elementary.log(counts / counts.sum())
        return Problem(CrossEntropy(), labels.astype(np.int64), weight, start)

    def _calibrate(self, held: Held, problem: Problem) -> None:
        self._sets = ClassSets(held.predicted, problem.y[held.rows])
        self.threshold_: float | None = None
        if isinstance(self.threshold, str):
            weight = None if problem.weight is None else problem.weight[held.rows]
            p = _adding_up(held.predicted)[:, 1]
            found = threshold_of_two(problem.y[held.rows], p, weight, self.threshold)
            self.threshold_ = None if math.isnan(found) else found  # all left out of one class
        elif self.threshold is not None:
            self.threshold_ = float(self.threshold)

    def _mean_of(self, X: Array) -> NDArray[np.float64]:
        return _adding_up(Ensemble(self.networks_, self._loss).predict(X))

    def _in_unit(self, outputs: Array, differences: bool) -> NDArray[np.float64]:
        return outputs

    def _straight(self) -> bool:
        return False

    def _one_output(self) -> bool:
        return False

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.

        Returns
        -------
        ndarray of float64, (n, n_classes)
            In the order of ``classes_``; each row adds up to 1.

        Raises
        ------
        ValueError, TypeError
            If a column is not there, or the rows cannot be read.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularClassifier("fast", random_state=0)
        >>> model = model.fit([[0.0], [1.0]] * 20, [0, 1] * 20)
        >>> bool(model.predict_proba([[1.0]])[0, 1] > 0.8)
        True
        """
        return _adding_up(self._mean_prediction(X))

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.

        Returns
        -------
        ndarray of float64, (n, n_classes)
            In the order of ``classes_``.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularClassifier("fast", random_state=0)
        >>> model = model.fit([[0.0], [1.0]] * 20, [0, 1] * 20)
        >>> model.predict_log_proba([[1.0]]).shape
        (1, 2)
        """
        return elementary.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row, or by ``threshold_`` where there is one.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.

        Returns
        -------
        ndarray, (n,)
            Of the type of ``classes_``.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularClassifier("fast", random_state=0)
        >>> model.fit([[0.0], [1.0]] * 20, ["no", "yes"] * 20).predict([[1.0]])
        array(['yes'], dtype='<U3')
        """
        p = self.predict_proba(X)
        by = self.threshold_
        best = p.argmax(axis=1) if by is None else (p[:, 1] >= by).astype(np.intp)
        return np.asarray(self.classes_[best])

    def predict_set(self, X: Any, coverage: float = 0.9) -> NDArray[np.bool_]:
        """Return the classes among which the right one is, about as often as `coverage` says.

        A class is in a row's set if 1 less its probability is at most the margin: the value of
        rank ceil((n + 1) * coverage), in ascending order from 1, among those of the right classes
        of the n rows that some member left out, each as the members predict that left it out
        (cross-conformal prediction; see `fastrelu.conformal`). If that rank is more than n, all
        classes are in all sets. Rows count once, whatever their weights.

        Parameters
        ----------
        X : DataFrame, Arrow table, or array_like of shape (n, p)
            Rows, as for `fit`.
        coverage : float
            The probability that a row's class is in its set, in (0, 1).

        Returns
        -------
        ndarray of bool, (n, n_classes)
            Whether each of ``classes_`` is in the row's set, which may be empty, or hold all.

        Raises
        ------
        ValueError, TypeError
            If `coverage` is not in (0, 1), a column is not there, or the rows cannot be read.

        References
        ----------
        Sadinle, Lei and Wasserman (2019), Least ambiguous set-valued classifiers with bounded
        error levels. Vovk (2015), Cross-conformal predictors.

        Examples
        --------
        >>> import fastrelu
        >>> model = fastrelu.TabularClassifier("fast", random_state=0)
        >>> model = model.fit([[0.0], [1.0]] * 20, ["no", "yes"] * 19 + ["yes", "no"])
        >>> model.predict_set([[1.0], [0.0]], coverage=0.8).tolist()
        [[False, True], [True, False]]
        """
        probabilities = self.predict_proba(X)
        if not len(probabilities):
            rank(1, coverage)  # is checked as for more rows
            return np.empty(probabilities.shape, bool)
        return self._sets.sets(probabilities, coverage)


def _adding_up(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


def _check_factors(weights: dict[Any, Any]) -> None:
    """Refuse factors of classes that are no finite numbers >= 0."""
    for label, factor in weights.items():
        if not isinstance(factor, Real) or not 0 <= float(factor) < np.inf:
            raise ValueError(
                f"class_weight: class {label!r}: expected a finite number >= 0, got {factor!r}"
            )


# Its public place, for pickles and documentation.
TabularClassifier.__module__ = "fastrelu.tabular"

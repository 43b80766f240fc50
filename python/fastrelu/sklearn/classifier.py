# SPDX-License-Identifier: BSD-3-Clause
"""MLPClassifier: scikit-learn's, computed by the core."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)

from fastrelu import elementary
from fastrelu._catalogue import with_names
from fastrelu.sklearn.base import BaseMLP
from fastrelu.sklearn.labels import ScoreMixin, fitted_binarizer, label_columns, labels_of
from fastrelu.sklearn.outputs import as_csr, link_outputs, row_chunks
from fastrelu.sklearn.plain import are_plain_labels, checked_data
from fastrelu.sklearn.progress import with_callbacks
from fastrelu.sklearn.quick import quick_outputs
from fastrelu.sklearn.stochastic import Targets
from fastrelu.sklearn.threads import thread_limit
from fastrelu.sklearn.validation import Validation, accuracy

Array = NDArray[Any]


@with_names
class MLPClassifier(ScoreMixin, BaseMLP):
    """Multi-layer perceptron classifier: scikit-learn's, trained by fastrelu's core.

    Parameters, defaults, attributes, methods and random stream are those of
    ``sklearn.neural_network.MLPClassifier``; those after ``max_fun`` are fastrelu's own.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of the hidden layers.
    activation : {activations} or list of them
        Of the hidden layers: one for all, or one each.
    solver : {"adam", "sgd", "lbfgs"}
        Minibatch Adam; minibatch SGD with momentum; SciPy's L-BFGS over all rows.
    alpha : float
        Strength of the L2 penalty: alpha / 2 times the squared norm of the weights, divided by the
        number of the minibatch's rows (or the sum of their weights).
    batch_size : int or "auto"
        Number of rows of a minibatch; "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"} or callable
        How the learning rate of sgd changes. "constant" keeps ``learning_rate_init``. "invscaling"
        divides it by ``(rows seen + 1) ** power_t`` from the second epoch on. "adaptive" divides it
        by 5 whenever training would otherwise stop for lack of improvement. A callable, for sgd and
        adam, gives the rate of step k = 1, 2, ... (see `fastrelu.schedules`).
    learning_rate_init : float
        The (first) learning rate.
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        The most epochs, or iterations of lbfgs.
    shuffle : bool
        Whether each epoch draws a new order of the rows.
    random_state : int, RandomState or None
        Source of the initial weights, the row order and the validation split; the random stream is
        scikit-learn's.
    tol : float
        The least improvement of loss or score that counts.
    verbose : bool or int
        Whether to report progress: True shows a progress bar in a terminal, and scikit-learn's
        lines on standard output elsewhere.
    warm_start : bool
        Whether `fit` continues from the parameters of the last fit.
    momentum : float
        Momentum of sgd, in [0, 1].
    nesterovs_momentum : bool
        Whether sgd uses Nesterov's form of momentum.
    early_stopping : bool
        Whether to hold rows out, stop when their score no longer improves, and restore the
        parameters of the best epoch.
    validation_fraction : float
        Share of the rows that early stopping holds out, unless `fit` is given ``validation_data``.
    beta_1, beta_2 : float
        Decay rates of adam's first and second moment, in [0, 1).
    epsilon : float
        Added to the root of adam's second moment, > 0.
    n_iter_no_change : int or inf
        Number of epochs without improvement that sgd and adam allow.
    max_fun : int
        The most evaluations of the loss by lbfgs.
    class_weight : dict, "balanced" or None
        A factor on the weight of each class's rows; "balanced" makes it inversely proportional to
        the size of the class.
    monitor : str, callable or None
        What early stopping watches. None is accuracy; "loss" is the validation loss without the
        penalty, whose negative is kept in `validation_scores_`; else it is a scikit-learn scorer.
    dropout : float or sequence of float
        Rate at which hidden units are dropped in training: one for all hidden layers, or one for
        each.
    callbacks : list of callables, optional
        Each called ``callback(estimator, record)`` after an epoch (with lbfgs an iteration), with
        a `fastrelu.EpochRecord`; one that returns something true ends the fit. scikit-learn's own
        callbacks are set by `set_callbacks`, where the installed release has it.
    dtype : {"float32", "float64"}, optional
        The dtype to compute in; by default that of X.
    coefs_init, intercepts_init : list of array_like, optional
        Initial weights and biases, one array for each layer; None in the list keeps the random
        one.
    n_threads : int, optional
        Number of threads of this estimator; by default its share of `fastrelu.get_num_threads()`
        among the fits that run at once. Results do not depend on it.

    Attributes
    ----------
    coefs_ : list of ndarray, (fan_in, fan_out)
        The weights of each layer: views of `network_`.
    intercepts_ : list of ndarray, (fan_out,)
        The biases of each layer: views of `network_`.
    network_ : fastrelu.Network
        The fitted network. It takes over arrays that are put into `coefs_` or `intercepts_`.
    loss_ : float
        The loss of the last epoch (or iteration of lbfgs), including the penalty.
    best_loss_ : float or None
        The least of `loss_curve_`; None with early stopping.
    loss_curve_ : list of float
        The loss of each epoch, including the penalty.
    validation_scores_ : list of float or None
        The score after each epoch; None without validation rows.
    validation_loss_curve_ : list of float
        The validation loss after each epoch, with ``validation_data`` or `monitor`.
    best_validation_score_ : float or None
        The best of `validation_scores_`; None without early stopping.
    n_iter_ : int
        The number of epochs, or of iterations of lbfgs.
    t_ : int
        The number of rows trained on, over all epochs.
    n_layers_, n_outputs_ : int
        The number of layers, counting the inputs, and of outputs.
    out_activation_ : str
        "softmax" for several classes, else "logistic".
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray
        The names of the columns of X, if X had names that are all text.
    classes_ : ndarray
        The classes, sorted.

    Notes
    -----
    In a few places scikit-learn's numbers are not those of the mathematics. The estimators follow
    scikit-learn; docs/sklearn.md lists these places.

    Examples
    --------
    >>> from fastrelu import MLPClassifier
    >>> X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> y = ["no", "yes", "yes", "no"]
    >>> clf = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, y)
    >>> clf.predict(X).tolist(), clf.score(X, y)
    (['no', 'yes', 'yes', 'no'], 1.0)
    >>> clf.predict_proba([[0.0, 1.0]]).round(2)
    array([[0., 1.]])
    """

    loss = "log_loss"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        monitor: Any = None,
        dropout: Any = 0.0,
        callbacks: Any = None,
        dtype: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.class_weight = class_weight
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.monitor = monitor
        self.dropout = dropout
        self.callbacks = callbacks
        self.dtype = dtype
        self.coefs_init = coefs_init
        self.intercepts_init = intercepts_init
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> MLPClassifier:
        """Fit the network to rows and their labels.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Labels, or an indicator matrix if a row may have several labels.
        sample_weight : array_like, (n_samples,), optional
            Weights of the rows.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Rows to evaluate after each epoch; early stopping watches them instead of a split.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter does not fit.

        Examples
        --------
        >>> from fastrelu import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]], ["low", "low", "high", "high"]
        >>> MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X, y).classes_.tolist()
        ['high', 'low']
        """
        self._fit_with_callbacks(X, y, sample_weight, validation_data)
        return self

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Train for one more epoch, over these rows.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Their labels.
        sample_weight : array_like, (n_samples,), optional
            Weights of the rows.
        classes : array_like, (n_classes,), optional
            All labels that any call will bring; needed in the first.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter does not fit, or the first call has no `classes`.

        Examples
        --------
        >>> from fastrelu import MLPClassifier
        >>> clf = MLPClassifier((4,), random_state=0)
        >>> clf = clf.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
        >>> clf.partial_fit([[2.0]], [1]).t_
        3
        """
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer.fit(y if multilabel else classes)
        self._fit(X, y, sample_weight=sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs)
            Labels, or the indicator matrix.

        Raises
        ------
        ValueError
            If X does not fit, or the estimator is not fitted.

        Examples
        --------
        >>> from fastrelu import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]], ["low", "low", "high", "high"]
        >>> clf = MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> clf.predict([[0.05], [0.95]]).tolist()
        ['low', 'high']
        """
        quick = quick_outputs(self, X, whole=False)
        if quick is not None:
            return self._labels(quick)
        X = self._checked(X)
        net = self._live_network()
        with thread_limit(self.n_threads):
            parts = [
                self._labels(link_outputs(net, rows, self._link()))
                for rows in row_chunks(net, as_csr(X), whole=False)
            ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each label.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray, (n_samples, n_classes)
            The probability of each class, in the order of `classes_`; for an indicator matrix, the
            probability of a 1 in each column.

        Raises
        ------
        ValueError
            If X does not fit, or the estimator is not fitted.

        Examples
        --------
        >>> from fastrelu import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]], ["low", "low", "high", "high"]
        >>> clf = MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> clf.predict_proba([[0.95]]).round(2)
        array([[1., 0.]])
        """
        p = self._outputs(X)
        if self.n_outputs_ != 1:
            return p
        both = np.empty((len(p), 2), p.dtype)
        both[:, 1] = p[:, 0]
        np.subtract(1, both[:, 1], out=both[:, 0])
        return both

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray, (n_samples, n_classes)
            The logarithms, -inf for a probability of 0.

        Raises
        ------
        ValueError
            If X does not fit, or the estimator is not fitted.

        Examples
        --------
        >>> from fastrelu import MLPClassifier
        >>> X, y = [[0.0], [0.1], [0.9], [1.0]], ["low", "low", "high", "high"]
        >>> clf = MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> clf.predict_log_proba([[0.95]]).shape
        (1, 2)
        """
        return elementary.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _labels(self, p: Array) -> Array:
        if self.out_activation_ == "softmax":
            labels: Array = self.classes_.take(p.argmax(axis=1), mode="clip")
            return labels
        return labels_of(self._label_binarizer, p)

    def _score_outputs(self, held: Validation, p: Array) -> float:
        if self.out_activation_ == "softmax":
            return accuracy(p.argmax(axis=1) == held.y, held.sample_weight)
        return accuracy(((p > 0.5) == (held.y > 0.5)).all(axis=1), held.sample_weight)

    def _targets(self, y: Array, dtype: Any) -> Targets:
        """Return the labels as 0..K-1, or as columns of 0 and 1."""
        if self._label_binarizer.y_type_ == "multiclass" and y.ndim == 1:
            return Targets(np.searchsorted(self.classes_, y), y, None)
        columns = label_columns(self._label_binarizer, y)
        if self._label_binarizer.y_type_ == "multiclass":
            return Targets(columns.argmax(axis=1), y, None)
        return Targets(columns.astype(dtype), y, columns if columns.shape[1] == 1 else None)

    def _count_outputs(self, targets: Targets) -> int:
        return len(self.classes_) if targets.core.ndim == 1 else int(targets.core.shape[1])

    def _initialize(self, X: Any, layer_units: list[int], dtype: Any) -> None:
        multiclass = self._label_binarizer.y_type_ == "multiclass"
        self.out_activation_ = "softmax" if multiclass else "logistic"
        super()._initialize(X, layer_units, dtype)

    def _row_weights(self, y: Array, sample_weight: Array | None, incremental: bool) -> Any:
        if self.class_weight is None:
            return sample_weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight: 'balanced' needs all rows at once; give partial_fit the weights "
                "that compute_class_weight finds"
            )
        weight: Array = compute_sample_weight(self.class_weight, y)
        return weight if sample_weight is None else weight * sample_weight

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = checked_data(self, X, y, are_plain_labels(y), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = fitted_binarizer(y)
            self.classes_ = self._label_binarizer.classes_
            return X, y
        present = unique_labels(y)
        if self.warm_start:
            if set(present) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same "
                    "classes as in the previous call to fit. Previously "
                    f"got {self.classes_}, `y` has {present}"
                )
        elif len(np.setdiff1d(present, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {present}."
            )
        return X, y

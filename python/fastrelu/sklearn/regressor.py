# SPDX-License-Identifier: BSD-3-Clause
"""MLPRegressor: scikit-learn's, computed by the core."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions

from fastrelu.sklearn import losses
from fastrelu.sklearn.base import BaseMLP
from fastrelu.sklearn.plain import are_plain_values, checked_data
from fastrelu.sklearn.progress import with_callbacks
from fastrelu.sklearn.stochastic import Targets
from fastrelu.sklearn.validation import Validation, r2

Array = NDArray[Any]


@losses.with_loss_parameters
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor: scikit-learn's, trained by fastrelu's core.

    Parameters, defaults, attributes, methods and random stream are those of
    ``sklearn.neural_network.MLPRegressor``; those after ``max_fun`` are fastrelu's own.

    Parameters
    ----------
    loss : {losses}
        See `fastrelu.losses`, where each is a class; its parameter is one of the estimator.
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
    {loss_parameters} : float
        The parameters of the losses, which `fastrelu.losses` describes.
    monitor : str, callable or None
        What early stopping watches. None is R2; "loss" is the validation loss without the penalty,
        whose negative is kept in `validation_scores_`; else it is a scikit-learn scorer.
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
        "exp" for losses with a log link, else "identity".
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray
        The names of the columns of X, if X had names that are all text.

    Notes
    -----
    In a few places scikit-learn's numbers are not those of the mathematics. The estimators follow
    scikit-learn; docs/sklearn.md lists these places.

    Examples
    --------
    >>> from fastrelu import MLPRegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [1.0, 0.0, 1.0, 2.0]
    >>> reg = MLPRegressor(
    ...     hidden_layer_sizes=(8,), solver="lbfgs", alpha=0.0, max_iter=1000, random_state=0
    ... )
    >>> reg.fit(X, y).predict(X).round(2) + 0.0
    array([1., 0., 1., 2.])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(losses.REGRESSION))],
    }

    def __init__(
        self,
        loss: str = "squared_error",
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
        monitor: Any = None,
        dropout: Any = 0.0,
        callbacks: Any = None,
        dtype: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        n_threads: int | None = None,
        **loss_parameters: float,
    ) -> None:
        self.loss = loss
        for name, value in losses.every_parameter(loss_parameters).items():
            setattr(self, name, value)
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
    ) -> MLPRegressor:
        """Fit the network to rows and their targets.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array_like, (n_samples,), optional
            Weights of the rows.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Rows to evaluate after each epoch; early stopping watches them instead of a split.

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter does not fit.

        Examples
        --------
        >>> from fastrelu import MLPRegressor
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
        >>> reg = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0)
        >>> round(reg.fit(X, y).score(X, y), 2)
        1.0
        """
        self._fit_with_callbacks(X, y, sample_weight, validation_data)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one more epoch, over these rows.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array_like, (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter does not fit.

        Examples
        --------
        >>> from fastrelu import MLPRegressor
        >>> reg = MLPRegressor(hidden_layer_sizes=(4,), random_state=0)
        >>> reg.partial_fit([[0.0], [1.0]], [0.0, 1.0]).partial_fit([[2.0]], [2.0]).t_
        3
        """
        self._fit(X, y, sample_weight=sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """Return the predicted targets.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs)
            The predictions, of the dtype of X.

        Raises
        ------
        ValueError
            If X does not fit, or the estimator is not fitted.

        Examples
        --------
        >>> from fastrelu import MLPRegressor
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
        >>> reg = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0)
        >>> reg.fit(X, y).predict([[1.5]]).round(1)
        array([1.5])
        """
        predicted = self._outputs(X)
        return predicted.ravel() if predicted.shape[1] == 1 else predicted

    def _score_outputs(self, held: Validation, predicted: Array) -> float:
        if not np.isfinite(predicted).all():
            return float("nan")
        return r2(held.y, predicted, held.sample_weight)

    def _targets(self, y: Array, dtype: Any) -> Targets:
        if y.dtype.kind not in "fiub":
            raise TypeError(f"y: expected numbers, got dtype {y.dtype}")
        values = y.reshape(-1, 1) if y.ndim == 1 else y
        return Targets(values.astype(dtype, copy=False), y, None)

    def _initialize(self, X: Any, layer_units: list[int], dtype: Any) -> None:
        self.out_activation_ = losses.out_activation(losses.loss_of(self))
        super()._initialize(X, layer_units, dtype)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = checked_data(self, X, y, are_plain_values(y), y_numeric=True, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

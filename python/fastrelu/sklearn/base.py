# SPDX-License-Identifier: BSD-3-Clause
"""What the classifier and the regressor share: one fit from its checks to its result."""

from __future__ import annotations

import copy
import inspect
import warnings
from itertools import chain, pairwise
from operator import is_
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastrelu._arguments import dropout_rates
from fastrelu._version import __version__
from fastrelu.history import checked_callbacks
from fastrelu.network import Network
from fastrelu.sklearn import losses, parameters
from fastrelu.sklearn.held import copied_state, held
from fastrelu.sklearn.lbfgs import fit_lbfgs
from fastrelu.sklearn.outputs import as_csr, outputs
from fastrelu.sklearn.plain import checked_data, checked_rows
from fastrelu.sklearn.progress import CallbackSupportMixin
from fastrelu.sklearn.quick import quick_outputs
from fastrelu.sklearn.stochastic import Targets, fit_stochastic
from fastrelu.sklearn.threads import thread_limit
from fastrelu.sklearn.validation import Validation, require_known_classes

Array = NDArray[Any]


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """Not to be used itself; see `MLPClassifier` and `MLPRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = parameters.CONSTRAINTS

    _initial: ClassVar[dict[str, Any]]
    _views: tuple[list[Array], list[Array]]
    _net_activation: Any

    # The parameters

    @classmethod
    def _initial_parameters(cls) -> dict[str, Any]:
        """Return the parameters and their defaults, by name; looked up once for a class."""
        if "_initial" not in cls.__dict__:
            given = inspect.signature(cls.__init__).parameters
            cls._initial = {name: given[name].default for name in super()._get_param_names()}
        return cls._initial

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return [*cls._initial_parameters()]

    def _validate_params(self) -> None:
        """Check the parameters as scikit-learn does; the defaults need no check."""
        initial = self._initial_parameters()
        given = self.get_params(deep=False).items()
        changed = {name: value for name, value in given if value is not initial[name]}
        validate_parameter_constraints(
            self._parameter_constraints, changed, caller_name=type(self).__name__
        )

    # What the two classes add

    def _targets(self, y: Array, dtype: Any) -> Targets:
        raise NotImplementedError

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        raise NotImplementedError

    def _row_weights(self, y: Array, sample_weight: Array | None, incremental: bool) -> Any:
        return sample_weight

    # The network

    def _link(self) -> str:
        return losses.link_of(self)

    def _dropout_rates(self) -> list[float]:
        """Return a rate for each hidden layer; [] if nothing is dropped."""
        rates = dropout_rates(self.dropout, len(self.coefs_) - 1)
        return rates if any(rates) else []

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, (fan_in, fan_out): views of those of `network_`.

        Examples
        --------
        >>> import fastrelu
        >>> mlp = fastrelu.MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
        >>> mlp = mlp.partial_fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
        >>> [weights.shape for weights in mlp.coefs_]
        [(2, 5), (5, 1)]
        """
        return self._live_list("coefs_", 0)

    @coefs_.setter
    def coefs_(self, arrays: list[Array]) -> None:
        self.__dict__["coefs_"] = arrays

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer, (fan_out,): views of those of `network_`.

        Examples
        --------
        >>> import fastrelu
        >>> mlp = fastrelu.MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
        >>> mlp = mlp.partial_fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
        >>> [biases.shape for biases in mlp.intercepts_]
        [(5,), (1,)]
        """
        return self._live_list("intercepts_", 1)

    @intercepts_.setter
    def intercepts_(self, arrays: list[Array]) -> None:
        self.__dict__["intercepts_"] = arrays

    def _live_list(self, name: str, which: int) -> list[Array]:
        """Return the list; arrays of the right shape that the user has put there are taken over."""
        arrays: list[Array] | None = self.__dict__.get(name)
        if arrays is None:
            raise AttributeError(f"{name}: this {type(self).__name__} is not fitted yet")
        live = self._views[which] if self.__dict__.get("_net") is not None else ()
        if len(live) == len(arrays) and not all(map(is_, arrays, live)):
            if [np.shape(a) for a in arrays] == [a.shape for a in live]:
                for own, view in zip(arrays, live, strict=True):
                    if own is not view:
                        view[...] = own
                arrays[:] = live
        return arrays

    def _live_network(self) -> Network:
        """Return the network whose parameters `coefs_` and `intercepts_` are views of.

        Lists that do not fit the one there is make another.
        """
        net: Network | None = self.__dict__.get("_net")
        coefs, intercepts = self.coefs_, self.intercepts_
        if net is not None and self.activation == self._net_activation:
            weights, biases = self._views
            same = len(coefs) == len(weights) and len(intercepts) == len(biases)
            if same and all(map(is_, coefs, weights)) and all(map(is_, intercepts, biases)):
                return net
        sizes = [coefs[0].shape[0], *(c.shape[1] for c in coefs)]
        hidden = parameters.hidden_activations(self.activation, len(coefs) - 1)
        dtype = np.dtype(np.float32 if coefs[0].dtype == np.float32 else np.float64)
        if net is None or (net.layer_sizes, net.activations, net.dtype) != (sizes, hidden, dtype):
            net = Network._zeros(sizes, dtype, hidden)
        views = list(net.weights), list(net.biases)
        for own, live in zip(chain(coefs, intercepts), chain(*views), strict=True):
            if own is not live:
                live[...] = own
        self.coefs_, self.intercepts_ = [*views[0]], [*views[1]]
        self._net, self._views, self._net_activation = net, views, copy.copy(self.activation)
        return net

    @property
    def network_(self) -> Network:
        """The fitted `fastrelu.Network`; it shares its memory with `coefs_` and `intercepts_`.

        Examples
        --------
        >>> import fastrelu
        >>> mlp = fastrelu.MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
        >>> mlp = mlp.partial_fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
        >>> mlp.network_.layer_sizes
        [2, 5, 1]
        """
        if "coefs_" not in self.__dict__:
            raise AttributeError(f"network_: this {type(self).__name__} is not fitted yet")
        return self._live_network()

    def _initialize(self, X: Any, layer_units: list[int], dtype: Any) -> None:
        """Draw the initial parameters as scikit-learn does, and begin the record of a fit."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        hidden = parameters.hidden_activations(self.activation, len(layer_units) - 2)
        coefs, intercepts = [], []
        for (fan_in, fan_out), name in zip(
            pairwise(layer_units), [*hidden, (hidden or ["identity"])[-1]], strict=True
        ):
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
            draw = self._random_state.uniform
            coefs.append(draw(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
            intercepts.append(draw(-bound, bound, fan_out).astype(dtype, copy=False))
        self.coefs_ = parameters.initial_arrays("coefs_init", self.coefs_init, coefs)
        self.intercepts_ = parameters.initial_arrays(
            "intercepts_init", self.intercepts_init, intercepts
        )
        self.__dict__.pop("_net", None)
        net = self._live_network()
        if self.solver in parameters.STOCHASTIC:
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self._begin_record(net)

    def _begin_record(self, net: Network) -> None:
        if self.early_stopping:
            self.validation_scores_: list[float] | None = []
            self.best_validation_score_: float | None = -np.inf
            self.best_loss_: float | None = None
            self._best_parameters = net.parameters.copy()
        else:
            self.best_loss_ = np.inf
            self.validation_scores_ = None
            self.best_validation_score_ = None

    # Fitting

    def _fit_with_callbacks(self, X: Any, y: Any, sample_weight: Any, validation_data: Any) -> None:
        """Fit, with scikit-learn's callbacks around it where some are set."""
        context: Any = None
        if getattr(self, "_skl_callbacks", None):
            context = self._init_callback_context(
                max_subtasks=None if self.solver == "lbfgs" else self.max_iter
            )
            context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        self._fit(X, y, sample_weight=sample_weight, validation_data=validation_data)
        if context is not None:
            context.call_on_fit_task_end(
                estimator=self, X=X, y=y, reconstruction_attributes=self._fitted_copy
            )

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation_data: Any = None,
    ) -> BaseMLP:
        checked_callbacks(self.callbacks or ())
        hidden = parameters.hidden_sizes(self.hidden_layer_sizes)
        parameters.hidden_activations(self.activation, len(hidden))
        dropout_rates(self.dropout, len(hidden))
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        dtype = np.dtype(X.dtype if self.dtype is None else self.dtype)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype: expected float32, float64 or None, got {self.dtype!r}")
        targets = self._targets(y, dtype)
        self.n_outputs_ = self._count_outputs(targets)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._initialize(X, [X.shape[1], *hidden, self.n_outputs_], dtype)
        X = as_csr(X)
        row_weight = self._row_weights(y, sample_weight, incremental)
        validation = self._given_validation(validation_data, dtype, first)
        with np.errstate(all="ignore"):
            if self.solver == "lbfgs":
                with held(self._live_network()):
                    fit_lbfgs(self, X, targets, row_weight)
            else:
                fit_stochastic(self, X, targets, row_weight, sample_weight, validation, incremental)
        if not np.isfinite(self._live_network().parameters).all():
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may"
                " contain large values and need to be preprocessed."
            )
        return self

    def _count_outputs(self, targets: Targets) -> int:
        return 1 if targets.core.ndim == 1 else int(targets.core.shape[1])

    def _given_validation(self, data: Any, dtype: Any, first: bool) -> Validation | None:
        """Return the user's validation set; keep its record in `validation_loss_curve_`."""
        self._validation_given = data is not None
        watches = data is not None or (self.early_stopping and self.monitor is not None)
        if self.monitor is not None and not (watches or self.early_stopping):
            raise ValueError(
                "monitor: expected early_stopping=True or validation_data with it, got neither"
            )
        if self.solver in parameters.STOCHASTIC:
            if watches and (first or not hasattr(self, "validation_loss_curve_")):
                self.validation_loss_curve_: list[float] = []
            elif not watches:
                self.__dict__.pop("validation_loss_curve_", None)
            if data is not None and self.validation_scores_ is None:
                self.validation_scores_ = []
        if data is None:
            return None
        if self.solver not in parameters.STOCHASTIC:
            raise ValueError(
                "validation_data: expected the solver sgd or adam with it, got solver="
                f"{self.solver!r}"
            )
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                "validation_data: expected (X, y) or (X, y, sample_weight), got "
                f"{type(data).__name__}"
            )
        try:
            return self._checked_validation(*data, dtype=dtype)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from error

    def _checked_validation(self, X: Any, y: Any, weight: Any = None, *, dtype: Any) -> Validation:
        X, y = self._check_more(X, y)
        if weight is not None:
            weight = _check_sample_weight(weight, X)
        if is_classifier(self):
            require_known_classes(self._label_binarizer, y)
        targets = self._targets(y, dtype)
        if self._count_outputs(targets) != self.n_outputs_:
            raise ValueError(
                f"y: expected {self.n_outputs_} values in each row, as in the fit's y, got the "
                f"shape {np.shape(y)}"
            )
        return Validation(self, as_csr(X), targets.core, targets.labels, weight)

    def _check_more(self, X: Any, y: Any) -> tuple[Any, Array]:
        """Check further rows after those of the fit."""
        X, y = checked_data(self, X, y, False, y_numeric=not is_classifier(self), reset=False)
        return X, y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y

    def _check_solver(self) -> bool:
        if self.solver not in parameters.STOCHASTIC:
            raise AttributeError(
                "partial_fit is only available for stochastic"
                f" optimizers. {self.solver} is not stochastic."
            )
        return True

    # Predicting

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        if "_checked_input" in self.__dict__:
            return X
        return checked_rows(self, X)

    def _outputs(self, X: Any) -> Array:
        """Return the outputs of rows that are checked here, (n, n_outputs)."""
        quick = quick_outputs(self, X, whole=True)
        if quick is not None:
            return quick
        X = self._checked(X)
        with thread_limit(self.n_threads):
            return outputs(self._live_network(), X, self._link())

    def _fitted_copy(self) -> dict[str, Any]:
        """Return what a copy of the estimator needs to predict as it would now."""
        return {
            "coefs_": [c.copy() for c in self.coefs_],
            "intercepts_": [c.copy() for c in self.intercepts_],
            "_net": None,
        }

    # Copies, files, and scikit-learn's own class

    def __getstate__(self) -> dict[str, Any]:
        state = copied_state(self.__dict__.get("_net"), super().__getstate__())
        state["_fastrelu_version"] = __version__
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        written = state.pop("_fastrelu_version", __version__)
        if _version(written) > _version(__version__):
            warnings.warn(
                f"This {type(self).__name__} was pickled by fastrelu {written}, a later version "
                f"than the one that loads it, {__version__}: it may fail or predict something "
                "else. Load it with that version or a later one.",
                UserWarning,
                stacklevel=2,
            )
        super().__setstate__(state)
        if "coefs_" in self.__dict__:
            self._live_network()

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        """Return an estimator of this class that is a copy of scikit-learn's, fitted if that is.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            The estimator to copy, of the same kind as this class. Its parameters, fitted attributes
            and optimizer are copied.

        Returns
        -------
        MLPClassifier or MLPRegressor
            It predicts, and continues with `partial_fit`, as the original would.

        Raises
        ------
        TypeError
            If `estimator` is of another kind.

        Examples
        --------
        >>> import sklearn.neural_network
        >>> import fastrelu
        >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
        >>> theirs = sklearn.neural_network.MLPRegressor(solver="lbfgs", random_state=0).fit(X, y)
        >>> ours = fastrelu.MLPRegressor.from_sklearn(theirs)
        >>> bool(abs(ours.predict(X) - theirs.predict(X)).max() < 1e-12)
        True
        """
        from fastrelu.sklearn.convert import from_sklearn

        return from_sklearn(cls, estimator)

    def to_sklearn(self) -> Any:
        """Return scikit-learn's estimator with copies of this one's parameters and fit.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            It predicts, and continues with `partial_fit`, as this one would.

        Raises
        ------
        ValueError
            If this one has a setting that scikit-learn's cannot have: the activation, the loss or a
            callable learning rate.

        Examples
        --------
        >>> from fastrelu import MLPRegressor
        >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
        >>> ours = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> theirs = ours.to_sklearn()
        >>> type(theirs).__module__.split(".")[0]
        'sklearn'
        """
        from fastrelu.sklearn.convert import to_sklearn

        return to_sklearn(self)

    def to_onnx(self, path: Any) -> None:
        """Write the fitted estimator as an ONNX file.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it is not fitted yet.
        ImportError
            If onnx is not there.
        TypeError, ValueError
            If the classes are of a dtype that ONNX has no labels of, or the network is too large;
            nothing is written then.
        OSError
            If the file cannot be written.

        Notes
        -----
        The input X is (n, d), of the dtype in which the estimator was fitted. A classifier has the
        outputs ``label``, (n,), of int64, text, bool or float as the classes are, and
        ``probabilities``, (n, n_classes); for several labels both are (n, n_labels). A regressor
        has ``predictions``, as `predict` returns them.

        Examples
        --------
        >>> import fastrelu
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
        >>> mlp = fastrelu.MLPClassifier(solver="lbfgs", random_state=0).fit(X, y)
        >>> mlp.to_onnx("mlp.onnx")
        """
        from fastrelu.exchange.onnx_write import write_estimator

        check_is_fitted(self)
        write_estimator(self, path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version."""
    numbers = []
    for part in str(text).split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)

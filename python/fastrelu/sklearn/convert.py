# SPDX-License-Identifier: BSD-3-Clause
"""Estimators to and from scikit-learn's own classes."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import numpy as np
import sklearn.neural_network as sk
from numpy.typing import NDArray

from fastrelu.sklearn.optimizer import Optimizer

Array = NDArray[Any]

_SHARED_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
_NOT_COPIED = (
    "_optimizer", "_best_coefs", "_best_intercepts", "_best_parameters", "_net", "_net_activation",
    "_views", "_validation_given", "validation_loss_curve_",
)  # fmt: skip


def from_sklearn(cls: Any, estimator: Any) -> Any:
    """Return a `cls` with the parameters and the fit of scikit-learn's estimator."""
    kind = getattr(sk, cls.__name__)
    if not isinstance(estimator, kind):
        raise TypeError(
            f"estimator: expected a sklearn.neural_network.{kind.__name__}, got "
            f"{type(estimator).__name__}"
        )
    made = cls(**estimator.get_params(deep=False))
    _copy_fit(estimator, made)
    if hasattr(estimator, "_best_coefs"):
        made._best_parameters = in_order(estimator._best_coefs, estimator._best_intercepts)
    if hasattr(estimator, "_optimizer"):
        made._optimizer = _our_optimizer(made, estimator._optimizer)
    return made


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator with the parameters and the fit of ours."""
    kind = getattr(sk, type(estimator).__name__)
    known = kind().get_params()
    settings = {k: v for k, v in estimator.get_params(deep=False).items() if k in known}
    activation = settings["activation"]
    if not isinstance(activation, str) and len(set(activation)) == 1:
        activation = settings["activation"] = activation[0]
    if activation not in _SHARED_ACTIVATIONS:
        raise ValueError(f"activation: expected one that scikit-learn has, got {activation!r}")
    shared = ("squared_error", "poisson") if "loss" in known else ("squared_error", "log_loss")
    if estimator.loss not in shared:
        raise ValueError(f"loss: expected one that scikit-learn has, got {estimator.loss!r}")
    if callable(settings["learning_rate"]):
        raise ValueError(
            "learning_rate: expected a name, as scikit-learn takes no callable, got "
            f"{settings['learning_rate']!r}"
        )
    made = kind(**settings)
    _copy_fit(estimator, made)
    if hasattr(estimator, "_best_parameters"):
        made._best_coefs, made._best_intercepts = _split(made, estimator._best_parameters)
    if hasattr(estimator, "_optimizer"):
        made._optimizer = _their_optimizer(made, estimator._optimizer)
    return made


def _copy_fit(source: Any, target: Any) -> None:
    """Copy the fitted attributes; arrays of parameters are plain copies."""
    settings = source.get_params(deep=False)
    for name, value in vars(source).items():
        if name in settings or name in _NOT_COPIED or name == "_random_state":
            continue
        if name in ("coefs_", "intercepts_"):
            setattr(target, name, [np.array(a) for a in value])
        else:
            setattr(target, name, copy.deepcopy(value))


def in_order(coefs: list[Array], intercepts: list[Array]) -> Array:
    """Return weights and biases as one vector in the order of `Network.parameters`."""
    pairs = zip(coefs, intercepts, strict=True)
    return np.concatenate([a.ravel() for pair in pairs for a in pair])


def _split(estimator: Any, flat: Array) -> tuple[list[Array], list[Array]]:
    """Return the weights and biases of `in_order`'s vector."""
    coefs, intercepts, at = [], [], 0
    for shape in (c.shape for c in estimator.coefs_):
        size = shape[0] * shape[1]
        coefs.append(flat[at : at + size].reshape(shape).copy())
        intercepts.append(flat[at + size : at + size + shape[1]].copy())
        at += size + shape[1]
    return coefs, intercepts


def _our_optimizer(estimator: Any, theirs: Any) -> Optimizer:
    ours = Optimizer(estimator, 0)
    ours.learning_rate_init = theirs.learning_rate_init
    ours.learning_rate = float(theirs.learning_rate)
    n = len(estimator.coefs_)
    if ours.kind == "adam":
        both = [in_order(a[:n], a[n:]) for a in (theirs.ms, theirs.vs)]
        ours.restore(theirs.t, both)
    elif theirs.momentum > 0:
        ours.restore(0, [in_order(theirs.velocities[:n], theirs.velocities[n:])])
    return ours


def _their_optimizer(estimator: Any, ours: Optimizer) -> Any:
    from sklearn.neural_network import _stochastic_optimizers as optimizers

    parameters = estimator.coefs_ + estimator.intercepts_
    arrays = [[*chain(*_split(estimator, flat))] for flat in ours.arrays]
    options = ours.options
    theirs: Any
    if ours.kind == "adam":
        theirs = optimizers.AdamOptimizer(
            parameters, ours.learning_rate_init, options["beta_1"], options["beta_2"],
            options["epsilon"],
        )  # fmt: skip
        if arrays:
            theirs.t = int((ours.state or {"step": 0})["step"])
            theirs.ms, theirs.vs = arrays
    else:
        theirs = optimizers.SGDOptimizer(
            parameters, ours.learning_rate_init, ours.schedule, options["momentum"],
            options["nesterov"], ours.power_t,
        )  # fmt: skip
        if arrays:
            theirs.velocities = arrays[0]
    theirs.learning_rate = ours.learning_rate
    return theirs

# SPDX-License-Identifier: BSD-3-Clause
"""Which of the core's losses an estimator trains with, and what scikit-learn calls its outputs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from fastrelu._catalogue import LOSSES, Class, LossInfo, names_text, with_names
from fastrelu.losses import names

REGRESSION = names("regression")
#: The parameters of those losses, by name: an estimator has each as a parameter of its own.
PARAMETERS = {
    parameter.name: parameter
    for parameter in (LOSSES[name].parameter for name in REGRESSION)
    if parameter is not None
}


def out_activation(info: LossInfo) -> str:
    """Return scikit-learn's name for a loss's inverse link."""
    return "exp" if info.link == "log" else info.link


#: A loss of the core with each inverse link, by scikit-learn's name for that.
WITH_LINK = {out_activation(info): name for name, info in reversed(LOSSES.items())}


def link_of(estimator: Any) -> str:
    """Return a loss of the core whose inverse link gives the fitted estimator's outputs."""
    return WITH_LINK[estimator.out_activation_]


def loss_of(estimator: Any) -> LossInfo:
    """Return the core's loss that a fitted (or being fitted) estimator trains with.

    A classifier's follows from its outputs: softmax of several classes, else logistic.
    """
    name = estimator.loss if estimator.loss in LOSSES else link_of(estimator)
    return LOSSES[name]


def core_loss(estimator: Any) -> dict[str, Any]:
    """Return the core's options for an estimator's loss.

    scikit-learn's squared error has the gradient of the sum over the outputs (``summed``), and
    its log loss takes probabilities off 0 and 1 (``clipped``).
    """
    info = loss_of(estimator)
    if info.metric == "accuracy":
        return {"loss": info.name, "clipped": True}
    parameter = 0.0 if info.parameter is None else float(getattr(estimator, info.parameter.name))
    return {"loss": info.name, "summed": info.averaged, "loss_parameter": parameter}


def loss_divisor(estimator: Any) -> float:
    """Return what the core's loss is divided by to be the one reported."""
    return float(estimator.n_outputs_) if loss_of(estimator).averaged else 1.0


def every_parameter(given: Mapping[str, float]) -> dict[str, float]:
    """Return the value of every loss's parameter, its initial one where none is given."""
    for name in given:
        if name not in PARAMETERS:
            raise TypeError(f"MLPRegressor.__init__() got an unexpected keyword argument {name!r}")
    return {name: given.get(name, each.initial) for name, each in PARAMETERS.items()}


def with_loss_parameters(cls: Class) -> Class:
    """Return the estimator class with every loss's parameter as one of its own.

    scikit-learn reads an estimator's parameters off its constructor's signature, so that names
    each, although the constructor takes them by ``**loss_parameters``.
    """
    init: Any = cls.__init__  # type: ignore[misc]
    signature = inspect.signature(init)
    *own, _ = signature.parameters.values()
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=each.initial,
                          annotation="float")
        for name, each in PARAMETERS.items()
    ]  # fmt: skip
    init.__signature__ = signature.replace(parameters=[*own, *more])
    constraints: Any = cls
    for name, each in PARAMETERS.items():
        high = each.high if np.isfinite(each.high) else None
        constraints._parameter_constraints[name] = [
            Interval(Real, each.low, high, closed="neither")
        ]
    cls.__doc__ = (
        (cls.__doc__ or "")
        .replace("{losses}", names_text(REGRESSION))
        .replace("{loss_parameters}", ", ".join(PARAMETERS))
    )
    return with_names(cls)

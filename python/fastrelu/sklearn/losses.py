# SPDX-License-Identifier: BSD-3-Clause
"""Which of the core's losses an estimator trains with, and what scikit-learn calls its outputs."""

from __future__ import annotations

from typing import Any

#: Losses over the outputs that scikit-learn reports as a mean and differentiates as a sum.
AVERAGED = ("squared_error", "huber", "absolute_error", "quantile")


def core_loss(estimator: Any) -> dict[str, Any]:
    """Return the core's options for a fitted (or being fitted) estimator's loss.

    scikit-learn's squared error has the gradient of the sum over the outputs (``summed``), and
    its log loss takes probabilities off 0 and 1 (``clipped``).
    """
    if estimator.out_activation_ == "softmax":
        return {"loss": "cross_entropy", "clipped": True}
    if estimator.out_activation_ == "logistic":
        return {"loss": "binary_cross_entropy", "clipped": True}
    if estimator.out_activation_ == "exp":
        return {"loss": "poisson"}
    parameter = {"huber": "delta", "quantile": "quantile"}.get(estimator.loss)
    return {
        "loss": estimator.loss,
        "summed": True,
        "loss_parameter": float(getattr(estimator, parameter)) if parameter else 0.0,
    }


def loss_divisor(estimator: Any) -> float:
    """Return what the core's loss is divided by to be the one reported."""
    return float(estimator.n_outputs_) if core_loss(estimator)["loss"] in AVERAGED else 1.0


def link_of(estimator: Any) -> str:
    """Return the core's loss whose link gives the estimator's outputs."""
    links = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy", "exp": "poisson"}
    return links.get(estimator.out_activation_, "squared_error")

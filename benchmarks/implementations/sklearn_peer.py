# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's MLPRegressor: partial_fit and predict."""

from __future__ import annotations

import warnings

import sklearn
from sklearn.neural_network import MLPRegressor

from benchmarks.data import make_data, make_rows, make_sparse, make_targets
from benchmarks.implementations import Loop, UnavailableError
from benchmarks.implementations.numpy_user import info as numpy_info
from benchmarks.nets import FIT_ROWS, LEARNING_RATE, net_of

OPTIMIZERS = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    "momentum": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
    "adam": {"solver": "adam"},
}


def make_regressor(spec: dict, rows: int):
    net = net_of(spec)
    regressor = MLPRegressor(
        hidden_layer_sizes=net.widths[1:-1],
        batch_size=net.batch,
        learning_rate_init=LEARNING_RATE,
        alpha=0.0,
        random_state=0,
        **OPTIMIZERS[spec.get("optimizer", "sgd")],
    )
    if spec.get("sparse"):
        X, y = make_sparse(net, rows, spec["sparse"]), make_targets(net, rows)
    else:
        X, y = make_data(net, rows)
    return regressor, X, y.ravel() if net.widths[-1] == 1 else y


def partial_fit(spec: dict):
    """One call a minibatch, or one call for up to 64 of them, whichever the spec says."""
    warnings.simplefilter("ignore")
    net = net_of(spec)
    if spec.get("optimizer", "sgd") not in OPTIMIZERS:
        raise UnavailableError(f"no counterpart to {spec['optimizer']}")
    batches = max(1, min(64, FIT_ROWS // net.batch)) if spec.get("many") else 1
    regressor, X, y = make_regressor(spec, batches * net.batch)
    return Loop(
        lambda: regressor.partial_fit(X, y),
        weights=lambda: regressor.coefs_,
        steps=batches,
    )


def forward(spec: dict):
    net = net_of(spec)
    rows = spec.get("rows", net.batch)
    regressor, X, y = make_regressor(spec, net.batch)
    regressor.partial_fit(X, y)
    if spec.get("sparse"):
        X = make_sparse(net, rows, spec["sparse"])
    else:
        X = make_rows(net, rows, spec.get("layout", "contiguous"))
    if spec.get("one_row"):
        X = X[:1]
    return Loop(lambda: regressor.predict(X))


def info() -> dict:
    return {"scikit-learn": sklearn.__version__, **numpy_info()}


TASKS = {"step": partial_fit, "forward": forward}

# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators' parameters may be."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastrelu.network import ACTIVATIONS

STOCHASTIC = ("sgd", "adam")

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
    "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    # Not scikit-learn's:
    "monitor": [str, callable, None],
    "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
    "callbacks": [list, tuple, None],
    "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
    "coefs_init": [list, tuple, None],
    "intercepts_init": [list, tuple, None],
    "n_threads": [Interval(Integral, 1, 1024, closed="both"), None],
}


def hidden_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the hidden layers' widths as a list."""
    sizes = hidden_layer_sizes if hasattr(hidden_layer_sizes, "__iter__") else [hidden_layer_sizes]
    sizes = list(sizes)
    if np.any(np.array(sizes) <= 0):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def hidden_activations(activation: str | Sequence[str], layers: int) -> list[str]:
    """Return one activation for each hidden layer."""
    if isinstance(activation, str):
        return [activation] * layers
    names = list(activation)
    if len(names) != layers or not set(names) <= set(ACTIVATIONS):
        raise ValueError(
            f"activation: expected a name, or a list of one for each hidden layer ({layers} in "
            f"all), of {', '.join(ACTIVATIONS)}, got {activation!r}"
        )
    return names


def initial_arrays(name: str, given: Any, arrays: list[Any]) -> list[Any]:
    """Return the user's initial `arrays` where given (None in the list: the one drawn)."""
    if given is None:
        return arrays
    if len(given) != len(arrays):
        raise ValueError(
            f"{name}: expected {len(arrays)} arrays, one for each layer, got {len(given)}"
        )
    out = []
    for k, (own, drawn) in enumerate(zip(given, arrays, strict=True)):
        value = drawn if own is None else np.array(own, dtype=drawn.dtype)
        if value.shape != drawn.shape or not np.isfinite(value).all():
            raise ValueError(
                f"{name}[{k}]: expected finite numbers of shape {drawn.shape}, got shape "
                f"{value.shape}"
            )
        out.append(value)
    return out

# SPDX-License-Identifier: BSD-3-Clause
"""A network as a function of CasADi, for optimisation and control.

Where an activation has a kink or a formula of two halves, `if_else` chooses: CasADi's fmax has
slope 1/2 at 0, and makes 0 of NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrelu.exchange.extras import need

if TYPE_CHECKING:
    from fastrelu.network import Network

__all__ = ["to_casadi"]


def to_casadi(net: Network, name: str = "net", symbols: str = "SX") -> Any:
    """Return a network as a CasADi function; ``net.to_casadi(name, symbols)`` calls this.

    Parameters
    ----------
    net : Network
        The network.
    name : str
        The function's name.
    symbols : {"SX", "MX"}
        What the expression is made of.

    Returns
    -------
    casadi.Function
        Of x (d_in) to y (d_out).

    Raises
    ------
    ImportError, ValueError
        If CasADi is not there, or an argument is not as described.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu.exchange import casadi_function
    >>> casadi_function.to_casadi(fastrelu.Network([2, 3, 1]))
    Function(net:(x[2])->(y) SXFunction)
    """
    casadi = need("casadi", "casadi")
    if symbols not in ("SX", "MX"):
        raise ValueError(f"symbols: expected SX or MX, got {symbols!r}")
    if not isinstance(name, str) or not casadi.Function.check_name(name):
        raise ValueError(f"name: expected a name that CasADi takes, got {name!r}")
    with net._reading():
        weights = [w.astype(np.float64) for w in net.weights]
        biases = [b.astype(np.float64) for b in net.biases]
    x = getattr(casadi, symbols).sym("x", net.layer_sizes[0])
    h = x if net.scale == 1 else x * net.scale
    for k, w in enumerate(weights):
        h = casadi.mtimes(casadi.DM(w.T), h)
        if net.bias:
            h = h + casadi.DM(biases[k])
        if k + 1 < len(weights):
            h = _ACTIVATIONS[net.activations[k]](casadi, h)
    return casadi.Function(name, [x], [h], ["x"], ["y"])


def _not_above(casadi: Any, z: Any) -> Any:
    """Return z up to 0, and 0 above; its slope at 0 is that of z."""
    return casadi.if_else(z <= 0, z, 0)


def _leaky_relu(casadi: Any, z: Any) -> Any:
    return casadi.if_else(z <= 0, 0.01 * z, z)


def _logistic(casadi: Any, z: Any) -> Any:
    e = casadi.exp(casadi.if_else(z < 0, z, -z))
    return casadi.if_else(z < 0, e, 1) / (1 + e)


def _elu(casadi: Any, z: Any) -> Any:
    return casadi.if_else(z <= 0, casadi.expm1(_not_above(casadi, z)), z)


#: z = 0 takes the half whose slope fastrelu has there; NaN takes the other, and stays NaN.
_ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda casadi, z: casadi.if_else(z <= 0, 0, z),
    "identity": lambda casadi, z: z,
    "leaky_relu": _leaky_relu,
    "logistic": _logistic,
    "tanh": lambda casadi, z: casadi.tanh(z),
    "elu": _elu,
    "silu": lambda casadi, z: z * _logistic(casadi, z),
}

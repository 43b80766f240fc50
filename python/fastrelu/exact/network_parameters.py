# SPDX-License-Identifier: BSD-3-Clause
"""What the exact mathematics reads off a network, and the checks that every entry makes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu._arguments import reals
from fastrelu._catalogue import ACTIVATIONS

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]


def check_activations(net: Network) -> None:
    """Raise ValueError unless the network is piecewise linear."""
    for name in net.activations:
        if not ACTIVATIONS[name].piecewise_linear:
            known = [each.name for each in ACTIVATIONS.values() if each.piecewise_linear]
            raise ValueError(
                f"expected a network that is piecewise linear ({', '.join(known)}), "
                f"got activation {name!r}"
            )


def check_parameters(net: Network) -> None:
    """Raise ValueError unless every parameter is finite."""
    if not np.isfinite(net.parameters).all():
        raise ValueError("network: expected finite parameters, got NaN or infinity")


def negative_slope(net: Network, activation: str) -> float:
    """Return an activation's slope below 0, as the network's dtype has it."""
    return float(net.dtype.type(ACTIVATIONS[activation].slope))


def input_scale(net: Network) -> float:
    """Return the factor on every input, as the network's dtype has it."""
    return float(net.dtype.type(net.scale))


def parameters(net: Network) -> tuple[list[Array], list[Array]]:
    """Return weights and biases in float64; biases of 0 where there are none."""
    weights = [W.astype(np.float64) for W in net.weights]
    if net.bias:
        return weights, [b.astype(np.float64) for b in net.biases]
    return weights, [np.zeros(W.shape[1]) for W in weights]


def layer_network(net: Network, k: int) -> Network:
    """Return layer k alone, without its activation."""
    from fastrelu.network import Network

    layer = Network(
        net.layer_sizes[k : k + 2],
        bias=net.bias,
        dtype=net.dtype,
        scale=net.scale if k == 0 else 1.0,
        check_finite=False,
        seed=0,
    )
    layer.weights[0][...] = net.weights[k]
    if net.bias:
        layer.biases[0][:] = net.biases[k]
    return layer


def rows_of(name: str, X: ArrayLike, d_in: int) -> Array:
    """Return one row (d_in,) or rows (n, d_in) as finite float64; `name` is the argument's."""
    rows = reals(name, X)
    if rows.ndim not in (1, 2) or rows.shape[-1] != d_in:
        raise ValueError(f"{name}: expected shape (n, {d_in}) or ({d_in},), got {rows.shape}")
    return rows

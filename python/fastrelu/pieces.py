# SPDX-License-Identifier: BSD-3-Clause
"""A network taken apart into its linear pieces: around a point, along a segment.

In float64 from the network's parameters: the maps around points in NumPy, segments in the core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu.piecewise import PiecewiseLinear, _reals

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
__all__ = ["LocalAffine", "along", "local_affine"]


@dataclass(frozen=True)
class LocalAffine:
    """The affine maps that a network is around given points; unpacks as ``A, c``.

    Attributes
    ----------
    A : ndarray, (n, d_out, d_in) or (d_out, d_in)
        float64.
    c : ndarray, (n, d_out) or (d_out,)
        float64; ``net(x') = A x' + c`` up to rounding as long as the pattern stays.
    pattern : ndarray of bool, (n, n_hidden) or (n_hidden,)
        Which hidden units with a kink are active (pre-activation above 0), layer after layer;
        units without one count as active.
    """

    A: Array
    c: Array
    pattern: NDArray[np.bool_]

    def __iter__(self) -> Iterator[Array]:
        return iter((self.A, self.c))


def local_affine(net: Network, X: ArrayLike) -> LocalAffine:
    """Return the affine map around each row; see `Network.local_affine`."""
    _check_activations(net)
    rows = _rows("X", X, net.layer_sizes[0])
    one_row, rows = rows.ndim == 1, np.atleast_2d(rows)
    n, d_in = rows.shape
    A = np.broadcast_to(np.eye(d_in) * _scale(net), (n, d_in, d_in))
    c = np.zeros((n, d_in))
    patterns: list[NDArray[np.bool_]] = [np.zeros((n, 0), dtype=bool)]
    activations = [*net.activations, "identity"]
    # The network's own arithmetic decides who is active, so that the pattern is that of the
    # numbers that it computes.
    h: Any = rows
    for k, (W, b, activation) in enumerate(zip(*_parameters(net), activations, strict=True)):
        A = np.matmul(W.T, A)
        c = c @ W + b
        if k == len(activations) - 1:
            break
        z = _layer(net, k)(h)
        active = np.asarray((z > 0) | (activation == "identity"))
        factor = np.where(active, 1.0, _negative_slope(net, activation))
        A, c = A * factor[:, :, None], c * factor
        h = np.where(active, z, z * net.dtype.type(_negative_slope(net, activation)))
        patterns.append(active)
    pattern = np.concatenate(patterns, axis=1)
    if one_row:
        return LocalAffine(A[0], c[0], pattern[0])
    return LocalAffine(A, c, pattern)


def along(net: Network, x0: ArrayLike, x1: ArrayLike) -> PiecewiseLinear:
    """Return the restriction to a segment; see `Network.along`."""
    _check_activations(net)
    d_in = net.layer_sizes[0]
    ends = []
    for name, point in (("x0", x0), ("x1", x1)):
        ends.append(_rows(name, point, d_in))
        if ends[-1].ndim != 1:
            raise ValueError(f"{name}: expected shape ({d_in},), got {ends[-1].shape}")
    t, values = _core.along(net, *ends)
    first, last = values[1] - values[0], values[-1] - values[-2]
    return PiecewiseLinear(t, values, first / (t[1] - t[0]), last / (t[-1] - t[-2]))


def _check_activations(net: Network) -> None:
    for name in net.activations:
        if name not in ("relu", "leaky_relu", "identity"):
            raise ValueError(
                "expected a network that is piecewise linear (relu, leaky_relu, identity), "
                f"got activation {name!r}"
            )


def _check_parameters(net: Network) -> None:
    if not np.isfinite(net.parameters).all():
        raise ValueError("network: expected finite parameters, got NaN or infinity")


def _negative_slope(net: Network, activation: str) -> float:
    return {"relu": 0.0, "leaky_relu": float(net.dtype.type(0.01)), "identity": 1.0}[activation]


def _scale(net: Network) -> float:
    return float(net.dtype.type(net.scale))


def _parameters(net: Network) -> tuple[list[Array], list[Array]]:
    weights = [W.astype(np.float64) for W in net.weights]
    if net.bias:
        return weights, [b.astype(np.float64) for b in net.biases]
    return weights, [np.zeros(W.shape[1]) for W in weights]


def _layer(net: Network, k: int) -> Network:
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


def _rows(name: str, X: ArrayLike, d_in: int) -> Array:
    rows = _reals(name, X)
    if rows.ndim not in (1, 2) or rows.shape[-1] != d_in:
        raise ValueError(f"{name}: expected shape (n, {d_in}) or ({d_in},), got {rows.shape}")
    return rows

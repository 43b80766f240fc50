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
from fastrelu.exact.jacobians import EPS, Layers, evaluate
from fastrelu.exact.network_parameters import (
    check_activations,
    check_parameters,
    input_scale,
    layer_network,
    negative_slope,
    parameters,
    rows_of,
)
from fastrelu.exact.piecewise import PiecewiseLinear

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
#: Numbers of the maps of a block of rows: 16 MB.
BLOCK = 2 << 20
__all__ = ["LocalAffine", "along", "local_affine", "whole_line"]


@dataclass(frozen=True)
class LocalAffine:
    """The affine maps that equal a network around given points; unpacks as ``A, c``.

    Attributes
    ----------
    A : ndarray, (n, d_out, d_in), or (d_out, d_in) for one point
        float64, see `c`.
    c : ndarray, (n, d_out), or (d_out,) for one point
        float64; ``net(x') = A x' + c`` up to rounding as long as the pattern is the same at x'.
    pattern : ndarray of bool, (n, n_hidden), or (n_hidden,) for one point
        Which hidden units are active (pre-activation above 0), layer after layer. Units of identity
        layers, which have no kink, count as active.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1, 1], dtype="float64")
    >>> net.weights[0][...], net.weights[1][...] = 2, 3  # 3 max(0, 2 x)
    >>> local = net.local_affine([[5.0], [-5.0]])
    >>> local.A.ravel(), local.pattern.ravel()
    (array([6., 0.]), array([ True, False]))
    """

    A: Array
    c: Array
    pattern: NDArray[np.bool_]

    def __iter__(self) -> Iterator[Array]:
        return iter((self.A, self.c))


def local_affine(net: Network, X: ArrayLike) -> LocalAffine:
    """Return the affine map around each row; see `Network.local_affine`."""
    check_activations(net)
    rows = rows_of("X", X, net.layer_sizes[0])
    one_row, rows = rows.ndim == 1, np.atleast_2d(rows)
    # A block's maps up to a hidden layer take so many numbers a row, far more than those up to the
    # outputs; and between two blocks Python handles signals.
    largest = max(net.layer_sizes) * net.layer_sizes[0]
    blocks = range(0, max(1, len(rows)), max(1, BLOCK // largest))
    layers = [layer_network(net, k) for k in range(len(net.activations))]
    found = [_maps_of(net, layers, rows[at : at + blocks.step]) for at in blocks]
    A, c, pattern = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if one_row:
        return LocalAffine(A[0], c[0], pattern[0])
    return LocalAffine(A, c, pattern)


def _maps_of(
    net: Network, layers: list[Network], rows: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return `A`, `c` and the patterns of a block of rows; `layers` are the hidden ones, alone."""
    n, d_in = rows.shape
    A = np.broadcast_to(np.eye(d_in) * input_scale(net), (n, d_in, d_in))
    c = np.zeros((n, d_in))
    patterns: list[NDArray[np.bool_]] = [np.zeros((n, 0), dtype=bool)]
    activations = [*net.activations, "identity"]
    # The network's own arithmetic decides who is active, so that the pattern is that of the
    # numbers that it computes.
    h: Any = rows
    for k, (W, b, activation) in enumerate(zip(*parameters(net), activations, strict=True)):
        A = np.matmul(W.T, A)
        c = c @ W + b
        if k == len(activations) - 1:
            break
        z = layers[k].forward(h, check_finite=False)
        active = np.asarray((z > 0) | (activation == "identity"))
        slope = negative_slope(net, activation)
        factor = np.where(active, 1.0, slope)
        A, c = A * factor[:, :, None], c * factor
        # As the network has it: a ReLU makes 0 of -infinity, too, where 0 times it would be NaN.
        below = z * net.dtype.type(slope) if slope else np.zeros_like(z)
        h = np.where(active | np.isnan(z), z, below)
        patterns.append(active)
    return A, c, np.concatenate(patterns, axis=1)


def along(net: Network, x0: ArrayLike, x1: ArrayLike) -> PiecewiseLinear:
    """Return the restriction to a segment; see `Network.along`."""
    check_activations(net)
    d_in = net.layer_sizes[0]
    ends = []
    for name, point in (("x0", x0), ("x1", x1)):
        ends.append(rows_of(name, point, d_in))
        if ends[-1].ndim != 1:
            raise ValueError(f"{name}: expected shape ({d_in},), got {ends[-1].shape}")
    t, values = _core.along(net, *ends)
    first, last = values[1] - values[0], values[-1] - values[-2]
    return PiecewiseLinear(t, values, first / (t[1] - t[0]), last / (t[-1] - t[-2]))


def whole_line(net: Network) -> PiecewiseLinear:
    """Return a one-input network as a function; see `Network.to_piecewise_linear`."""
    check_activations(net)
    check_parameters(net)
    if net.layer_sizes[0] != 1:
        raise ValueError(f"network: expected one input, got {net.layer_sizes[0]}")
    layers = Layers(net)
    knots = np.zeros(1)
    # Of each layer's inputs, the slopes before the first knot and after the last.
    outer = np.array([[1.0], [1.0]])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for k, slope in enumerate(layers.slopes):
            outer = outer @ layers.weights[k].T
            z, doubt = _at(layers, knots, k)
            if slope != 1:
                knots = np.union1d(knots, _crossings(knots, z, doubt, outer))
                z, doubt = _at(layers, knots, k)
            sign = np.where(np.abs(z) <= doubt, 0.0, np.sign(z))[[0, -1]]
            away = np.array([[-1.0], [1.0]]) * np.sign(outer)
            # Beyond the last knot a unit that is 0 there goes where its slope leads.
            active = np.where(sign == 0, away, sign) > 0
            outer = np.where(active, outer, slope * outer)
        outer = outer @ layers.weights[-1].T
        values = _at(layers, knots, len(layers.slopes))[0]
    if not (np.isfinite(values).all() and np.isfinite(outer).all() and np.isfinite(knots).all()):
        raise ValueError("network: its numbers overflow float64 on the line")
    return PiecewiseLinear(knots, values, outer[0], outer[1])


def _at(layers: Layers, x: Array, k: int) -> tuple[Array, Array]:
    """Return layer k's pre-activations at each x, and bounds on what roundings make of them."""
    found = evaluate(layers, x[:, None], 2 * EPS * np.abs(x[:, None]))
    return found.z[k], found.error[k]


def _crossings(x: Array, z: Array, doubt: Array, outer: Array) -> Array:
    """Return where units cross 0 between knots and outside of them."""
    sign = np.where(np.abs(z) <= doubt, 0.0, np.sign(z))
    i, o = np.nonzero(sign[1:] * sign[:-1] < 0)
    a, b = z[i, o], z[i + 1, o]
    share = a / (a - b)
    # From the nearer end: there the rounding of the share counts least.
    width = x[i + 1] - x[i]
    between = np.where(share <= 0.5, x[i] + share * width, x[i + 1] - b / (b - a) * width)
    found = [between]
    for end, way in ((0, -1.0), (-1, 1.0)):
        step = -z[end] / outer[end]
        meets = (sign[end] != 0) & (outer[end] != 0) & (way * step > 0)
        found.append(x[end] + step[meets])
    new = np.concatenate(found)
    return np.asarray(new[np.isfinite(new)])

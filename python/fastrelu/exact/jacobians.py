# SPDX-License-Identifier: BSD-3-Clause
"""Jacobians that are certain: of points whose region is beyond doubt in spite of rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastrelu.exact.network_parameters import input_scale, negative_slope, parameters

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


def roundings(n: int) -> float:
    """Return a relative bound on the error of a sum of n products, whatever its order."""
    return (n + 8) * EPS


class Layers:
    """A network's layers in float64: ``z = W h + b``, W (fan_out, fan_in).

    The scale is in the first W; its rounding is one of those that `roundings` counts.
    """

    def __init__(self, net: Network) -> None:
        weights, self.biases = parameters(net)
        self.weights = [W.T for W in weights]
        # Of scaled inputs, without a rounding.
        self.first_weights = self.weights[0]
        self.weights[0] = self.weights[0] * input_scale(net)
        # The slope below 0 of each hidden layer.
        self.slopes = [negative_slope(net, name) for name in net.activations]

    @property
    def jacobian_error(self) -> Array:
        """A bound on the error of every entry of a Jacobian made by `jacobians`."""
        product = np.abs(self.weights[0])
        for W in self.weights[1:]:
            product = np.abs(W) @ product
        return np.asarray(sum(roundings(W.shape[1]) for W in self.weights) * product)


@dataclass(frozen=True)
class Points:
    """What the layers make of some points, (n, d_in).

    Attributes
    ----------
    pattern : list of ndarray of bool, (n, width)
        The active units of each hidden layer.
    certain : ndarray of bool, (n,)
        Whether no rounding can have decided a pattern: the point is inside its region.
    z, error : list of ndarray, (n, width)
        The pre-activations of every layer, and bounds on their errors.
    """

    pattern: list[NDArray[np.bool_]]
    certain: NDArray[np.bool_]
    z: list[Array]
    error: list[Array]


def evaluate(layers: Layers, X: Array, error: Array | None = None) -> Points:
    """Return the patterns of the rows of X, with a running bound on the rounding errors.

    `error`, like X: bounds on what the rows themselves are off.
    """
    h, e = X, np.zeros_like(X) if error is None else error
    pattern, all_z, all_e = [], [], []
    certain = np.ones(len(X), dtype=bool)
    for k, (W, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        g = roundings(W.shape[1])
        z = h @ W.T + b
        e = (e @ np.abs(W.T) + g * (np.abs(h) @ np.abs(W.T) + np.abs(b))) * (1 + g)
        all_z.append(z)
        all_e.append(e)
        if k == len(layers.slopes):
            break
        slope = layers.slopes[k]
        active = (z > 0) | (slope == 1)
        if slope != 1:
            # An error of 0 is that of a sum of zeros alone, which stays 0 all around.
            certain &= ((np.abs(z) > e) | (e == 0)).all(axis=1)
        pattern.append(active)
        sure = np.abs(z) > e
        h = np.where(active, z, slope * z)
        # Across a kink the activation takes differences no further apart.
        e = np.where(active | ~sure, e, slope * e) + EPS * np.abs(h)
    return Points(pattern, certain, all_z, all_e)


def jacobians(layers: Layers, pattern: list[NDArray[np.bool_]], n: int) -> Array:
    """Return the Jacobians under patterns, (n, d_out, d_in), from the outputs back."""
    G = np.broadcast_to(layers.weights[-1], (n, *layers.weights[-1].shape))
    for k in reversed(range(len(pattern))):
        factor = np.where(pattern[k], 1.0, layers.slopes[k])
        G = (G * factor[:, None, :]) @ layers.weights[k]
    return np.asarray(G)


def operator_norms(J: Array, norm: float) -> Array:
    """Return the norms of a stack of matrices, (n,)."""
    if norm == 1:
        return np.asarray(np.abs(J).sum(axis=1).max(axis=1))
    if norm == np.inf:
        return np.asarray(np.abs(J).sum(axis=2).max(axis=1))
    if 1 in J.shape[1:]:
        return np.asarray(np.sqrt((J * J).sum(axis=(1, 2))))
    return np.asarray(np.linalg.norm(J, 2, axis=(1, 2)))


def norm_above(C: Array, R: Array, norm: float) -> float:
    """Return a bound on the norm of every matrix between C - R and C + R."""
    # LAPACK's singular values are off by a small multiple of the largest one's rounding.
    g = 1 + 4 * roundings(sum(C.shape))
    whole = float(operator_norms((np.abs(C) + R)[None], norm)[0]) * g
    if norm != 2:
        return whole
    apart = operator_norms(C[None], 2)[0] + operator_norms(R[None], 2)[0]
    return min(whole, float(apart) * g)


def norm_below(J: Array, error: Array, norm: float) -> float:
    """Return a bound below the norm of every matrix between J - error and J + error."""
    n = sum(J.shape)
    value = float(operator_norms(J[None], norm)[0]) * (1 - 4 * roundings(n))
    return max(0.0, value - norm_above(np.zeros_like(J), error, norm))

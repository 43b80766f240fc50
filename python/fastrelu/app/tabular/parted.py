# SPDX-License-Identifier: BSD-3-Clause
"""A network in two: the sums that its first layer's units take, and what comes of them.

A column leads to many inputs, but enters by these few sums alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.network import Network

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Parted:
    """A member, and encoded rows.

    The products of the first layer are the core's, so that they have the same bits on every
    machine.

    Attributes
    ----------
    first : ndarray of float64, (n, units)
        The sums of the first layer's units; the outputs, if there is no hidden layer.
    """

    def __init__(self, network: Network, X: Array) -> None:
        self.weights = network.weights[0]
        self.first = self.part(X, np.arange(X.shape[1])) + network.biases[0]
        sizes = network.layer_sizes[1:]
        self.head = Network(sizes) if len(sizes) > 1 else None
        if self.head is not None:
            for k, (W, b) in enumerate(zip(self.head.weights, self.head.biases, strict=True)):
                W[...], b[...] = network.weights[k + 1], network.biases[k + 1]

    def part(self, X: Array, place: Array) -> Floats:
        """Return what some inputs add to the sums, (n, units)."""
        layer = Network([len(place), self.weights.shape[1]])
        layer.weights[0][...], layer.biases[0][...] = self.weights[place], 0.0
        return np.asarray(layer(np.ascontiguousarray(X[:, place])), np.float64)

    def rest(self, sums: Floats) -> Array:
        """Return the outputs, (n, K), for sums of the first layer."""
        if self.head is None:
            return sums
        return self.head(np.maximum(sums, 0.0).astype(np.float32))

    def slopes(self, rows: slice) -> tuple[Floats, Floats]:
        """Return the affine map around some rows: outputs for one more of each sum, and outputs.

        Returns
        -------
        slopes : ndarray of float64, (n, K, units)
            The derivatives of the outputs by the sums.
        outputs : ndarray of float64, (n, K)
            The outputs there.
        """
        sums = self.first[rows]
        if self.head is None:
            units = sums.shape[1]
            return np.broadcast_to(np.eye(units), (len(sums), units, units)), sums
        active = np.maximum(sums, 0.0)
        A, c = self.head.local_affine(active)
        return A * (sums > 0)[:, None, :], np.einsum("nku,nu->nk", A, active) + c

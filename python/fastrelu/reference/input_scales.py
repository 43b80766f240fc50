# SPDX-License-Identifier: BSD-3-Clause
"""Learned factors of the inputs: the first layer's weights are W[j, o] = s[j] * V[j, o]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Network
from .optimizers import Optimizer, State, learning_rate_at

Array = NDArray[Any]
LANES = 16


def dot(a: Array, b: Array) -> Array:
    """Return for each row the sum of the rounded products, in lanes that are added in halves."""
    products = a * b
    padded = np.zeros((len(a), -(-a.shape[1] // LANES) * LANES), a.dtype)
    padded[:, : a.shape[1]] = products
    sums = np.zeros((len(a), LANES), a.dtype)
    for block in padded.reshape(len(a), -1, LANES).transpose(1, 0, 2):
        sums = sums + block
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return np.asarray(sums[:, 0])


class InputScales:
    """The factors s and the weights V of a network's first layer, and what is kept of s.

    Parameters
    ----------
    network : Network
        The network; it holds the products.
    rate : float
        How many times the learning rate that of the factors is.
    """

    def __init__(self, network: Network, rate: float) -> None:
        self.rate = rate
        self.s = np.ones(network.layer_sizes[0], network.dtype)
        self.V = network.weights[0].copy()
        self.state = State([self.s])

    @np.errstate(all="ignore")
    def apply(
        self, net: Network, gradients: Sequence[Array], optimizer: Optimizer, state: State, k: int
    ) -> None:
        """Make step k in place: the factors, the weights and the products change.

        Parameters
        ----------
        net : Network
            The network.
        gradients : sequence of ndarray
            The gradient with respect to each of its arrays, clipped.
        optimizer : optimizer object
            Its rule and rate.
        state : State
            What is kept of the network's arrays; of the first, it is of V.
        k : int
            The number of the step, from 1.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> net = reference.Network([1, 1])
        >>> net.set_parameters([1, 0])
        >>> trainer = reference.Trainer(
        ...     net, optimizer=reference.SGD(0.25), input_scale_rate=2.0
        ... )
        >>> trainer.step([[1.0]], [2.0])  # s and V, both 1, go to 1.5 and 1.25
        0.5
        >>> net.weights[0].tolist()
        [[1.875]]
        """
        written = net.weights[0]
        if (self.s == 0).any() or not np.array_equal(self.s[:, None] * self.V, written):
            self.s[:], self.V[:] = 1, written
        g = gradients[0]
        of_factors = dot(g, self.V)
        g = g * self.s[:, None]
        optimizer.apply([self.V, *net.arrays[1:]], [g, *gradients[1:]], state, k)
        rate = learning_rate_at(optimizer.learning_rate, k) * self.rate
        replace(optimizer, learning_rate=rate).apply([self.s], [of_factors], self.state, k)  # type: ignore[type-var]
        written[:] = self.V * self.s[:, None]

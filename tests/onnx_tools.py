# SPDX-License-Identifier: BSD-3-Clause
"""Networks for files, and how far another program's roundings may take their outputs."""

import numpy as np

import fastrelu
from fastrelu.reference.layers import activate


def random_net(sizes, activation, dtype, bias=True, scale=1.0, seed=0):
    net = fastrelu.Network(sizes, activation=activation, dtype=dtype, bias=bias, scale=scale,
                           seed=seed)  # fmt: skip
    net.parameters[:] += 0.1 * np.random.default_rng(seed).normal(size=net.n_parameters)
    return net


def most_rounding(net, X):
    """A bound on what roundings change of each output, whatever the order of the sums.

    It is relative to the sum of a unit's terms without their signs: where these nearly cancel, the
    roundings are as large as ever, and the output is not, so that no share of it can bound them.
    """
    u = np.finfo(net.dtype).eps / 2
    h = X.astype("float64") * net.scale
    error = u * np.abs(h)
    biases = net.biases or [np.zeros(1)] * len(net.weights)
    for W, b, name in zip(net.weights, biases, [*net.activations, None], strict=True):
        W, b = W.astype("float64"), b.astype("float64")
        terms = (np.abs(h) + error) @ np.abs(W) + np.abs(b)
        error = error @ np.abs(W) + (len(W) + 1) * u * terms
        h = h @ W + b
        if name is not None:
            h = activate(name, h)
            # No slope is above 1.1 (silu's). Functions are good to some 10 units in the last place
            # here, elu's exp(z) - 1 to some of 1's (docs/exchange.md has what was measured).
            size = 1.0 if name == "elu" else np.abs(h)
            plain = name in ("relu", "leaky_relu", "identity")
            error = 1.1 * error + (1 if plain else 16) * u * size
    return error

# SPDX-License-Identifier: BSD-3-Clause
"""Quantile networks as plain networks: what `fastrelu.losses.Quantiles` makes of the outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastrelu.network import Network

__all__ = ["as_network"]


def as_network(net: Network) -> Network:
    """Return a network whose outputs are the quantiles of a network trained with `Quantiles`.

    The link is piecewise linear, so that it is one more layer of ReLU units and a linear one:
    abs(z) is relu(z) + relu(-z). All that is exact of networks (pieces, regions, bounds, programs)
    then says it of the quantiles.

    Parameters
    ----------
    net : Network
        A network with an output for each level.

    Returns
    -------
    Network
        A new one, of the same dtype: two units for each output of `net`, then its quantiles. Its
        outputs are those of ``net.predict_proba(X, "quantiles")`` up to the rounding of sums of
        2 K numbers in another order: 2 K epsilon times the sum of the outputs' magnitudes. They are
        in order up to that rounding only.

    Raises
    ------
    TypeError
        If `net` is no Network.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import quantiles
    >>> net = fastrelu.Network([1, 3])
    >>> net.weights[0][:], net.biases[0][:] = 0, [-2, 5, 1]
    >>> plain = quantiles.as_network(net)
    >>> plain.layer_sizes, plain([[0.0]])
    ([1, 6, 3], array([[3., 5., 6.]], dtype=float32))
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network, got {net!r}")
    net = net.copy()  # of one moment, whatever another thread does to it
    K = net.layer_sizes[-1]
    plain = Network(
        [*net.layer_sizes[:-1], 2 * K, K],
        bias=net.bias,
        dtype=net.dtype,
        activation=[*net.activations, "relu"],
        scale=net.scale,
        check_finite=net.check_finite,
    )
    last = len(net.weights) - 1
    for k in range(last + 1):
        both = [(plain.weights[k], net.weights[k])]
        both += [(plain.biases[k], net.biases[k])] if net.bias else []
        for to, of in both:
            to[...] = of if k < last else np.concatenate([of, -of], axis=-1)
    plain.weights[-1][...] = _ordered(K)
    if net.bias:
        plain.biases[-1][...] = 0
    return plain


def _ordered(K: int) -> NDArray[np.float64]:
    """Return what relu(z) and relu(-z), (2 K,), add to each quantile, (2 K, K)."""
    middle = (K - 1) // 2
    sums = np.zeros((2, K, K))
    sums[:, middle] = [[1.0], [-1.0]]
    for k in range(K):
        if k > middle:
            sums[:, k, k:] = 1.0
        elif k < middle:
            sums[:, k, : k + 1] = -1.0
    return sums.reshape(2 * K, K)

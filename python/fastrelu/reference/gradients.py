# SPDX-License-Identifier: BSD-3-Clause
"""The gradient of a loss, and the activations that it is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import layers

Array = NDArray[Any]


@dataclass(frozen=True)
class Cache:
    """The activations that `forward_cached` keeps for `backward`.

    Attributes
    ----------
    h : list
        The activations of each layer, h[0] = x, ..., h[-1] = outputs.
    z : list of ndarray
        The pre-activations of each layer.
    one_row : bool
        Whether X was one row.
    dropout : Dropout
        The masks that were applied.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([2, 3, 1])
    >>> out, cache = net.forward_cached([[1.0, 2.0]])
    >>> [h.shape for h in cache.h]
    [(1, 2), (1, 3), (1, 1)]
    """

    h: list[Any]
    z: list[Array]
    one_row: bool
    dropout: layers.Dropout = layers.NO_DROPOUT


@dataclass(frozen=True)
class Gradients:
    """The gradient of a loss with respect to a network's parameters.

    Attributes
    ----------
    weights, biases : sequence of ndarray
        The gradient with respect to each layer's weights and biases; biases is () without biases.
    inputs : ndarray or None
        The gradient with respect to X, if it was asked for.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([2, 1])
    >>> net.set_parameters([1, 2, 0])
    >>> loss, gradients = net.loss_and_gradient([[1, 1]], [1])
    >>> gradients.flat
    array([2., 2., 2.], dtype=float32)
    >>> [g.shape for g in gradients.arrays]
    [(2, 1), (1,)]
    """

    weights: Sequence[Array]
    biases: Sequence[Array]
    inputs: Array | None = None

    @property
    def arrays(self) -> list[Array]:
        """The gradients as a list: W0, b0, W1, b1, ..."""
        return in_order(self.weights, self.biases)

    @property
    def flat(self) -> Array:
        """The whole gradient as one vector, in the order of `arrays`."""
        return np.concatenate([a.ravel() for a in self.arrays])


def in_order(weights: Sequence[Array], biases: Sequence[Array]) -> list[Array]:
    """Return W0, b0, W1, b1, ..., or W0, W1, ... without biases."""
    if not biases:
        return list(weights)
    return [a for pair in zip(weights, biases, strict=True) for a in pair]

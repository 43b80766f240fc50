# SPDX-License-Identifier: BSD-3-Clause
"""A chain of affine maps and activations, as other programs have them, made into a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.network import Network

Array = NDArray[Any]
__all__: list[str] = []

#: What an operator of a file does to the chain of those before it.
Step = Callable[["Chain"], None]
#: In place of the number of rows, which is not known.
ROWS = -2


@dataclass
class Chain:
    """Layers in the order in which they are applied; each method adds one to the end.

    Attributes
    ----------
    source : str
        The argument that the chain is read from, for messages.
    scale : float
        The factor on the inputs.
    most : int, optional
        How many parameters identity weights may have, where a file says how many they are.
    sizes : list of int or None, optional
        The sizes of the tensor that the chain has made, as far as they are known: those of a layer
        are rows along the last one. None where not even their number is known.
    one_row : str
        The node that made one row of all, whose number is not known; "" where weights of their own
        width follow, so that there can have been one alone.
    """

    source: str
    scale: float = 1.0
    most: int | None = None
    sizes: list[int | None] | None = None
    one_row: str = ""
    _weights: list[Array] = field(default_factory=list)
    _biases: list[Array | None] = field(default_factory=list)
    _activations: list[str | None] = field(default_factory=list)

    def width(self) -> int | None:
        """Return how many outputs the last layer has; None where there is none yet."""
        return self._weights[-1].shape[1] if self._weights else None

    def add_affine(self, where: str, W: Array, b: Array | None) -> None:
        """Add ``x W + b``: W (fan_in, fan_out), b (fan_out,) or None. `where` is for messages."""
        if W.ndim != 2 or 0 in W.shape:
            raise ValueError(f"{where}: expected weights in two dimensions, got shape {W.shape}")
        if W.dtype.kind != "f" or (b is not None and b.dtype.kind != "f"):
            raise ValueError(f"{where}: expected floating-point parameters, got {W.dtype}")
        if b is not None and b.shape != (W.shape[1],):
            raise ValueError(
                f"{where}: expected biases of shape ({W.shape[1]},), got {tuple(b.shape)}"
            )
        if self._weights and W.shape[0] != self.width():
            raise ValueError(
                f"{where}: expected weights of {self.width()} inputs, as the layer before has so "
                f"many outputs, got shape {W.shape} (inputs, outputs)"
            )
        self._append(W, b)
        self.one_row = ""
        if self.sizes is not None:
            self.sizes = [*self.sizes[:-1], W.shape[1]]

    def _append(self, W: Array, b: Array | None) -> None:
        self._weights.append(W)
        self._biases.append(b)
        self._activations.append(None)

    def require_shape(self, where: str, constant: Array) -> None:
        """Raise ValueError for a constant that repeats what it is combined with, or adds to it."""
        sizes = [self.width()] if self.sizes is None else self.sizes
        pairs = zip(constant.shape[::-1], sizes[::-1], strict=False)
        longer = self.sizes is not None and constant.ndim > len(sizes)
        if longer or any(n != 1 and size not in (None, ROWS, n) for n, size in pairs):
            raise ValueError(
                f"{where}: a constant of shape {constant.shape} gives the tensor another shape"
            )

    def add_bias(self, where: str, b: Array) -> None:
        """Add ``x + b`` to a layer that has no biases yet and no activation; + 0 anywhere."""
        if not self._weights or self._activations[-1] is not None or self._biases[-1] is not None:
            if not b.any() and b.size == (b.shape[-1] if b.ndim else 1):
                self.require_shape(where, b)
                return  # Keras writes a rescaling as a product and a sum, also of 0
            raise ValueError(
                f"{where}: adds a constant, but not to a product with weights; a network of "
                "fastrelu has no layer for that"
            )
        n = self._weights[-1].shape[1]
        if b.size not in (1, n) or (b.ndim and b.shape[-1] != b.size):  # a column is added to rows
            raise ValueError(f"{where}: expected biases of shape ({n},), got {tuple(b.shape)}")
        self.require_shape(where, b)
        self._biases[-1] = np.broadcast_to(b.ravel(), (n,))

    def add_activation(self, where: str, name: str, width: int | None = None) -> None:
        """Add an activation; `width` is that of the inputs, where no layer comes before."""
        if not self._weights or self._activations[-1] is not None:
            n = self.width() or width
            if n is None:
                raise ValueError(f"{where}: an activation of inputs whose number is not known")
            self._add_identity(where, n)
        self._activations[-1] = name

    def _add_identity(self, where: str, n: int) -> None:
        if self.most is not None and n * n > self.most:
            raise ValueError(
                f"{where}: an activation of {n} numbers without weights beside it: it would take "
                f"identity weights of {n} x {n}, and at most {self.most} are made here"
            )
        self._append(np.eye(n, dtype=self.dtype()), None)

    def dtype(self) -> Any:
        """Return float64 if any parameter is a double, or has more digits, else float32."""
        arrays = [*self._weights, *(b for b in self._biases if b is not None)]
        return np.float64 if any(a.dtype.itemsize >= 8 for a in arrays) else np.float32

    def network(self) -> Network:
        """Return the network. After an activation of the last layer, identity is one more."""
        if not self._weights:
            raise ValueError(f"{self.source}: there is no layer with weights in it")
        if self.one_row:
            raise ValueError(f"{self.one_row}: makes one row of all rows, and no weights follow")
        if self._activations[-1] is not None:
            n = self._weights[-1].shape[1]
            self._add_identity(self.source, n)
        sizes = [self._weights[0].shape[0], *(w.shape[1] for w in self._weights)]
        bias = any(b is not None for b in self._biases)
        net = Network(
            sizes,
            bias=bias,
            dtype=self.dtype(),
            activation=[a or "identity" for a in self._activations[:-1]],
            scale=self.scale,
        )
        for view, w in zip(net.weights, self._weights, strict=True):
            view[...] = w
        for view, b in zip(net.biases, self._biases, strict=bias):
            view[...] = 0 if b is None else b
        return net

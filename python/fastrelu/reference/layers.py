# SPDX-License-Identifier: BSD-3-Clause
"""ReLU and the linear layer: forward, and the three backward passes of the chain rule.

Every sum is a *chain*: it takes its terms one by one, in ascending order, each by one `fma`.
The loops below are those chains; rows and units run side by side in NumPy arrays.

Letters: x (n, fan_in) inputs, W (fan_in, fan_out), b (fan_out,), z = x W + b pre-activations
(n, fan_out), h = relu(z) activations; dz means the derivative of the loss by z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import encoded, sparse
from .elementary import exp, expm1_of_negative, tanh
from .encoded import EncodedRows
from .fma import fma
from .random import dropout_keeps, dropout_threshold
from .sparse import SparseRows

Array = NDArray[Any]
Inputs = Array | SparseRows | EncodedRows


def relu(z: Array) -> Array:
    """Return max(0, z) element by element. NaN stays NaN and -0 stays -0.

    Parameters
    ----------
    z : ndarray
        float32 or float64, in any shape.

    Returns
    -------
    ndarray
        Of z's dtype and shape.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> reference.relu(np.array([-1.0, 0.5, 2.0]))
    array([0. , 0.5, 2. ])
    """
    return np.where(0 > z, np.zeros_like(z), z)


def relu_backward(dh: Array, h: Array) -> Array:
    """Return dh where the activation h is positive, else 0 (so 0 at the kink).

    Parameters
    ----------
    dh, h : ndarray
        The gradient with respect to the activations, and the activations; of one shape and dtype.

    Returns
    -------
    ndarray
        The gradient with respect to the pre-activations.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> reference.relu_backward(np.array([5.0, 6.0]), np.array([0.0, 0.5]))
    array([0., 6.])
    """
    return np.where(h > 0, dh, np.zeros_like(dh))


ACTIVATIONS = ("relu", "identity", "leaky_relu", "logistic", "tanh", "elu", "silu")
LEAKY_SLOPE = 0.01


def logistic(z: Array) -> Array:
    """Return ``1 / (1 + exp(-z))``, written so that no exp overflows."""
    one = z.dtype.type(1)
    e = exp(-np.abs(z))
    return np.asarray(np.where(0 > z, e, one) / (one + e))


@np.errstate(all="ignore")
def silu(z: Array) -> tuple[Array, Array]:
    """Return ``z p`` and its derivative ``p + z p q``: p is logistic(z) and q logistic(-z)."""
    one = z.dtype.type(1)
    e = exp(-np.abs(z))
    larger = one / (one + e)
    smaller = e * larger
    p, q = np.where(0 > z, smaller, larger), np.where(0 > z, larger, smaller)
    a = z * p
    return a, fma(a, q, p)


@np.errstate(all="ignore")
def activate(name: str, z: Array) -> Array:
    """Return the activation h of the pre-activations z."""
    if name == "relu":
        return relu(z)
    if name == "leaky_relu":
        return np.where(0 > z, z.dtype.type(LEAKY_SLOPE) * z, z)
    if name == "logistic":
        return logistic(z)
    if name == "silu":
        return silu(z)[0]
    if name == "elu":
        return np.where(0 > z, expm1_of_negative(z), z)
    return tanh(z) if name == "tanh" else z


@np.errstate(all="ignore")
def activation_backward(name: str, dh: Array, h: Array, z: Array) -> Array:
    """Return dz from dh: the derivative is taken from the activation h where it follows from it."""
    one = h.dtype.type(1)
    if name == "relu":
        return relu_backward(dh, h)
    if name == "leaky_relu":
        return np.where(h > 0, dh, h.dtype.type(LEAKY_SLOPE) * dh)
    if name == "logistic":
        return np.asarray((dh * h) * (one - h))
    if name == "tanh":
        return np.asarray(dh * fma(-h, h, one))
    if name == "silu":
        return np.asarray(dh * silu(z)[1])
    if name == "elu":
        return np.where(h > 0, dh, dh * (h + one))
    return dh


class Dropout:
    """What the masks of one step do to the hidden layers: a unit is dropped, or scaled up.

    Parameters
    ----------
    rates : list of float
        The probability that a unit is dropped, for each hidden layer; or [] for no dropout.
    seed, step : int
        The masks are drawn from these.
    first_row : int
        The number in the minibatch of the first row of the arrays that are masked.
    """

    def __init__(
        self, rates: list[float], seed: int = 0, step: int = 0, first_row: int = 0
    ) -> None:
        self.rates, self.seed, self.step, self.first_row = rates, seed, step, first_row

    def rows_from(self, first_row: int) -> Dropout:
        """Return the masks of the minibatch's rows from `first_row` on, such as a shard's."""
        return Dropout(self.rates, self.seed, self.step, first_row)

    def rate(self, layer: int) -> float:
        """Return the rate of a hidden layer."""
        return self.rates[layer] if self.rates else 0.0

    def dropped(self, layer: int) -> int:
        """Return the probability that a unit of a hidden layer is dropped, times 65536."""
        return dropout_threshold(self.rate(layer))

    @np.errstate(all="ignore")
    def apply(self, layer: int, a: Array) -> Array:
        """Return a (n, units), dropped or scaled; the gradient is treated as the activation is."""
        dropped = self.dropped(layer)
        if dropped == 0:
            return a
        rows, units = a.shape
        keeps = dropout_keeps(
            self.seed, self.step, layer, self.first_row, rows, units, self.rate(layer)
        )
        return np.where(keeps, a * a.dtype.type(65536 / (65536 - dropped)), np.zeros_like(a))

    @np.errstate(all="ignore")
    def undo(self, layer: int, h: Array) -> Array:
        """Return the activations that were kept as they were before they were scaled."""
        dropped = self.dropped(layer)
        return h * h.dtype.type((65536 - dropped) / 65536) if dropped else h


NO_DROPOUT = Dropout([])


def linear(x: Inputs, W: Array, b: Array | None = None) -> Array:
    """Return z = x W + b: for each row and unit a chain over the inputs i, from the bias."""
    if isinstance(x, SparseRows):
        return sparse.linear(x, W, b)
    if isinstance(x, EncodedRows):
        return encoded.linear(x, W, b)
    z = np.zeros((len(x), W.shape[1]), dtype=W.dtype)
    if b is not None:
        z[:] = b
    for i in range(W.shape[0]):
        z = fma(x[:, i, np.newaxis], W[i], z)
    return z


def linear_relu(x: Inputs, W: Array, b: Array | None = None) -> Array:
    """Return relu(x W + b).

    Parameters
    ----------
    x : ndarray, (n, fan_in), SparseRows or EncodedRows
        Rows.
    W : ndarray, (fan_in, fan_out)
        Weights.
    b : ndarray, (fan_out,), optional
        Biases.

    Returns
    -------
    ndarray, (n, fan_out)
        The activations.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrelu import reference
    >>> W = np.array([[1.0, -1.0], [1.0, -1.0]])
    >>> reference.linear_relu(np.array([[1.0, 2.0]]), W, np.array([0.5, 0.5]))
    array([[3.5, 0. ]])
    """
    return relu(linear(x, W, b))


def linear_backward_inputs(dz: Array, W: Array) -> Array:
    """Return dx = dz W^T: for each row and input a chain over the units o."""
    dx = np.zeros((len(dz), W.shape[0]), dtype=W.dtype)
    for o in range(W.shape[1]):
        dx = fma(dz[:, o, np.newaxis], W[:, o], dx)
    return dx


def linear_backward_weights(x: Inputs, dz: Array) -> Array:
    """Return dW = x^T dz: for each weight a chain over the rows n."""
    if isinstance(x, SparseRows):
        return sparse.linear_backward_weights(x, dz)
    if isinstance(x, EncodedRows):
        return encoded.linear_backward_weights(x, dz)
    dW = np.zeros((x.shape[1], dz.shape[1]), dtype=x.dtype)
    for n in range(len(x)):
        dW = fma(x[n, :, np.newaxis], dz[n], dW)
    return dW


@np.errstate(all="ignore")
def linear_backward_biases(dz: Array) -> Array:
    """Return db, the sum of dz over the rows n, one after the other."""
    db = np.zeros(dz.shape[1], dtype=dz.dtype)
    for n in range(len(dz)):
        db = db + dz[n]
    return db


def forward(
    x: Inputs,
    weights: list[Array],
    biases: list[Array],
    activations: list[str],
    dropout: Dropout = NO_DROPOUT,
) -> tuple[list[Any], list[Array]]:
    """Return the activations of all layers, from the inputs x on, and their pre-activations.

    Step 1 of backpropagation: every unit gets its value, and it is kept.
    """
    h: list[Any] = [x]
    z: list[Array] = []
    for k, W in enumerate(weights):
        z.append(linear(h[-1], W, biases[k] if biases else None))
        a = activate(activations[k], z[k])
        h.append(dropout.apply(k, a) if k + 1 < len(weights) else a)
    return h, z


def backward(
    h: list[Array],
    z: list[Array],
    d_out: Array,
    weights: list[Array],
    activations: list[str],
    dropout: Dropout = NO_DROPOUT,
) -> list[Array]:
    """Return dz of every layer, first to last, from the derivative by the outputs.

    Steps 2 to 4: what is known at one layer is kept and reused for the one before it.
    """
    dz = [d_out]
    for k in range(len(weights) - 1, 0, -1):
        dh = dropout.apply(k - 1, linear_backward_inputs(dz[0], weights[k]))
        a = dropout.undo(k - 1, h[k])
        dz.insert(0, activation_backward(activations[k - 1], dh, a, z[k - 1]))
    return dz

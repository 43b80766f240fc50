# SPDX-License-Identifier: BSD-3-Clause
"""The network: its parameters, its outputs, and the gradient of a loss by backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import layers
from .encoded import EncodedRows
from .gradients import Cache, Gradients, in_order
from .loss import as_loss
from .losses import link
from .minibatch import (
    as_targets,
    chain,
    check_outputs,
    loss_and_d_out,
    reported_loss,
    row_factors,
    total_loss,
)
from .random import Rows, init_weights
from .sparse import SparseRows, as_rows

Array = NDArray[Any]


class Network:
    """A fully connected network: hidden layers with an activation, then a linear output layer.

    Parameters
    ----------
    layer_sizes : sequence of int
        The widths of the inputs, of the hidden layers and of the outputs.
    bias : bool
        Whether the layers have biases.
    dtype : {"float32", "float64"}
        The dtype of parameters and arithmetic.
    activation : one of `layers.ACTIVATIONS`, or a sequence of them
        The activation of the hidden layers: one name for all of them, or one for each.
    init : {"he_uniform", "glorot_uniform"}
        The distribution of the initial weights; biases start at 0.
    scale : float
        A factor on every input.
    seed : int
        Seed of the initial weights.

    Attributes
    ----------
    weights : list of ndarray, (fan_in, fan_out)
        The weights of each layer.
    biases : list of ndarray, (fan_out,)
        The biases of each layer; () without biases.

    Examples
    --------
    >>> import fastrelu
    >>> theirs = fastrelu.reference.Network([2, 3, 1], seed=7)
    >>> ours = fastrelu.Network([2, 3, 1], seed=7)
    >>> bool((ours([1.0, 2.0]) == theirs([1.0, 2.0])).all())  # to the last bit
    True
    >>> theirs.n_parameters, theirs.parameters.shape, [a.shape for a in theirs.arrays]
    (13, (13,), [(2, 3), (3,), (3, 1), (1,)])
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        bias: bool = True,
        dtype: DTypeLike = "float32",
        activation: str | Sequence[str] = "relu",
        init: str = "he_uniform",
        scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.layer_sizes = tuple(layer_sizes)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.bias, self.scale = bias, scale
        n_hidden = len(self.layer_sizes) - 2
        hidden = [activation] * n_hidden if isinstance(activation, str) else list(activation)
        if len(hidden) != n_hidden or not set(hidden) <= set(layers.ACTIVATIONS):
            raise ValueError(f"activation: expected {n_hidden} activations, got {hidden}")
        self.activations = tuple(hidden)
        fans = list(zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True))
        self.weights = [init_weights(seed, k, *fan, init, self.dtype) for k, fan in enumerate(fans)]
        self.biases: Sequence[Array] = (
            [np.zeros(fan_out, self.dtype) for _, fan_out in fans] if bias else ()
        )

    # Parameters

    @property
    def arrays(self) -> list[Array]:
        """The parameters themselves as a list: W0, b0, W1, b1, ..."""
        return in_order(self.weights, self.biases)

    @property
    def parameters(self) -> Array:
        """A copy of all parameters as one vector, in the order of `arrays`."""
        return np.concatenate([a.ravel() for a in self.arrays])

    @property
    def n_parameters(self) -> int:
        """The number of parameters."""
        return sum(a.size for a in self.arrays)

    def set_parameters(self, flat: ArrayLike) -> None:
        """Set all parameters from one vector in the order of `arrays`.

        Parameters
        ----------
        flat : array_like, (n_parameters,)
            The parameters.

        Raises
        ------
        ValueError
            If it has another shape.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> net([1.0, 1.0])
        array([3.], dtype=float32)
        """
        values = np.asarray(flat, dtype=self.dtype)
        if values.shape != (self.n_parameters,):
            raise ValueError(f"flat: expected shape ({self.n_parameters},), got {values.shape}")
        at = 0
        for a in self.arrays:
            a[:] = values[at : at + a.size].reshape(a.shape)
            at += a.size

    # Forward and backward

    def inputs_of(self, X: Any) -> Any:
        """Return X as the first layer takes it: in the network's dtype, times `scale`.

        Parameters
        ----------
        X : ndarray, SparseRows or EncodedRows, (n, d_in)
            Rows. Encoded ones are for a network whose scale is 1.

        Returns
        -------
        ndarray, SparseRows or EncodedRows, (n, d_in)
            The inputs.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Network([2, 1], scale=0.5).inputs_of(np.array([[1, 3]]))
        array([[0.5, 1.5]], dtype=float32)
        """
        if isinstance(X, SparseRows):
            return X.times(self.scale, self.dtype)
        if isinstance(X, EncodedRows):
            return X.in_dtype(self.dtype)
        x = X.astype(self.dtype)
        if self.scale != 1:
            with np.errstate(all="ignore"):
                x = x * self.dtype.type(self.scale)
        return x

    def forward_cached(
        self, X: Any, dropout: layers.Dropout = layers.NO_DROPOUT
    ) -> tuple[Array, Cache]:
        """Return the outputs, and the cache of activations that `backward` takes.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.
        dropout : Dropout
            The masks to apply; none by default.

        Returns
        -------
        out : ndarray, (n, d_out) or (d_out,)
            The outputs.
        cache : Cache
            For `backward`.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> out, cache = net.forward_cached([[1, 1]])
        >>> out
        array([[3.]], dtype=float32)
        """
        X = as_rows(X)
        x = self.inputs_of(X if X.ndim == 2 else np.atleast_2d(X))
        activations = [*self.activations, "identity"]
        h, z = layers.forward(x, self.weights, list(self.biases), activations, dropout)
        return (h[-1][0] if X.ndim == 1 else h[-1]), Cache(h, z, X.ndim == 1, dropout)

    def forward(self, X: ArrayLike) -> Array:
        """Return the outputs.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.

        Returns
        -------
        ndarray, (n, d_out) or (d_out,)
            The outputs.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> net.forward([[1, 1], [0, 3]])
        array([[3.],
               [6.]], dtype=float32)
        """
        return self.forward_cached(X)[0]

    def __call__(self, X: ArrayLike) -> Array:
        """Return the outputs, as `forward` does."""
        return self.forward(X)

    def backward(self, cache: Cache, d_out: ArrayLike, inputs: bool = False) -> Gradients:
        """Return the gradient of a loss, given its gradient with respect to the outputs.

        Parameters
        ----------
        cache : Cache
            From `forward_cached`.
        d_out : array_like, (n, d_out) or (d_out,)
            The gradient with respect to the outputs.
        inputs : bool
            Whether to compute the gradient with respect to X too.

        Returns
        -------
        Gradients
            The sums over the rows.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> out, cache = net.forward_cached([[3, 4], [5, 6]])
        >>> net.backward(cache, [[1], [1]]).flat
        array([ 8., 10.,  2.], dtype=float32)
        """
        d_out = np.atleast_2d(np.asarray(d_out, dtype=self.dtype))
        dz = layers.backward(
            cache.h, cache.z, d_out, self.weights, list(self.activations), cache.dropout
        )
        dW = [layers.linear_backward_weights(h, d) for h, d in zip(cache.h, dz, strict=False)]
        db = [layers.linear_backward_biases(d) for d in dz] if self.bias else ()
        return Gradients(dW, db, self._to_inputs(cache, dz[0]) if inputs else None)

    def _to_inputs(self, cache: Cache, dz: Array) -> Array:
        dX = layers.linear_backward_inputs(dz, self.weights[0])
        if self.scale != 1:
            with np.errstate(all="ignore"):
                dX = dX * self.dtype.type(self.scale)
        return dX[0] if cache.one_row else dX

    def jacobian(self, X: ArrayLike) -> Array:
        """Return the derivatives of the outputs with respect to the inputs, for each row.

        Parameters
        ----------
        X : array_like, (n, d_in) or (d_in,)
            Rows, or one row.

        Returns
        -------
        ndarray, (n, d_out, d_in) or (d_out, d_in)
            The derivatives.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> net.jacobian([5, 6])
        array([[1., 2.]], dtype=float32)
        """
        out, cache = self.forward_cached(X)
        rows = []
        for o in range(out.shape[-1]):
            unit = np.zeros_like(out)
            unit[..., o] = 1
            rows.append(self.backward(cache, unit, inputs=True).inputs)
        return np.stack([row for row in rows if row is not None], axis=-2)

    # Losses

    def loss_and_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: Any = "squared_error",
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, Gradients]:
        """Return the mean loss over all rows, and its gradient.

        Parameters
        ----------
        X : array_like, (n, d_in)
            Rows.
        y : array_like
            Targets, (n, d_out) ((n,) also for one output), or integer labels, (n,).
        loss : str or loss object
            The loss; `reference.losses` has them.
        sample_weight : array_like, (n,), optional
            Weights of the rows.

        Returns
        -------
        loss : float
            The mean over the rows, weighted by `sample_weight`.
        gradients : Gradients
            The gradient of that mean.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> loss, gradients = net.loss_and_gradient([[1, 1]], [1])  # 0.5 * (3 - 1)**2
        >>> loss
        2.0
        """
        rows = np.arange(len(as_rows(X)))
        total, weight_sum, gradients = minibatch_gradient(self, X, y, loss, sample_weight, [rows])
        return reported_loss(total, weight_sum), gradients

    def per_sample_gradients(
        self, X: ArrayLike, y: ArrayLike, loss: Any = "squared_error"
    ) -> Array:
        """Return the gradient of each row's own loss, that of a minibatch with this row alone.

        Parameters
        ----------
        X, y, loss
            As for `loss_and_gradient`.

        Returns
        -------
        ndarray, (n, n_parameters)
            The gradients, each in the order of `parameters`.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> net.per_sample_gradients([[1, 1], [1, 0]], [1, 1])
        array([[2., 2., 2.],
               [0., 0., 0.]], dtype=float32)
        """
        rows = np.arange(len(as_rows(X)))[:, np.newaxis]
        return np.stack([minibatch_gradient(self, X, y, loss, None, [r])[2].flat for r in rows])

    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: Any = "squared_error",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the mean loss over all rows; the arguments are those of `loss_and_gradient`.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 1])
        >>> net.set_parameters([1, 2, 0])
        >>> net.loss([[1, 1], [1, 0]], [1, 1])
        1.0
        """
        z, kind = self.forward(X), as_loss(loss)
        weights = as_weights(sample_weight, len(z))
        targets = as_targets(y, kind, self.layer_sizes[-1], self.dtype)
        row_losses, _ = loss_and_d_out(z, targets, np.zeros(len(z), self.dtype), kind)
        return reported_loss(total_loss(row_losses, weights), chain(weights))

    def predict_proba(self, X: ArrayLike, loss: Any) -> Array:
        """Return the predictions that the outputs stand for, by the inverse link of a loss.

        Parameters
        ----------
        X : array_like, (n, d_in) or (d_in,)
            Rows, or one row.
        loss : str or loss object
            The loss.

        Returns
        -------
        ndarray, (n, d_out) or (d_out,)
            The predictions.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([2, 2])
        >>> net.set_parameters([0, 0, 0, 0, 0, 0])
        >>> net.predict_proba([1, 1], "cross_entropy")
        array([0.5, 0.5], dtype=float32)
        """
        z, kind = self.forward(X), as_loss(loss)
        check_outputs(kind, self.layer_sizes[-1])
        return link(np.atleast_2d(z), kind).reshape(z.shape)


def as_weights(sample_weight: ArrayLike | None, n: int) -> Array:
    """Return the rows' weights in float64; each is 1 if none are given."""
    return np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)


def minibatch_gradient(
    net: Network,
    X: Any,
    y: ArrayLike,
    loss: Any,
    sample_weight: ArrayLike | None,
    shards: Sequence[Rows],
    dropout: layers.Dropout = layers.NO_DROPOUT,
) -> tuple[float, float, Gradients]:
    """Return a minibatch's weighted sum of losses, its sum of weights, and the mean's gradient.

    `shards` are the rows of the minibatch, shard by shard. The weights are summed over all of them;
    the gradient's chains run inside each shard that has rows, then the shards' gradients are added.
    """
    X, kind = as_rows(X), as_loss(loss)
    rows = np.concatenate(shards)
    if len(rows) == 0:
        raise ValueError("X: expected at least one row, got none")
    outputs = net.layer_sizes[-1]
    targets = as_targets(y, kind, outputs, net.dtype)
    weights = as_weights(sample_weight, len(X))
    total, sums = 0.0, None
    at = 0
    factors = row_factors(weights[rows], outputs, kind, net.dtype)
    for shard in shards:
        if len(shard) == 0:
            continue
        z, cache = net.forward_cached(X[shard], dropout.rows_from(at))
        factor = factors[at : at + len(shard)]
        row_losses, d_out = loss_and_d_out(z, targets[shard], factor, kind)
        gradients = net.backward(cache, d_out)
        total += total_loss(row_losses, weights[shard])
        sums = gradients if sums is None else add(sums, gradients)
        at += len(shard)
    assert sums is not None
    return total, chain(weights[rows]), sums


@np.errstate(all="ignore")
def add(g: Gradients, other: Gradients) -> Gradients:
    """Return the sum of two gradients."""
    return Gradients(
        [a + b for a, b in zip(g.weights, other.weights, strict=True)],
        [a + b for a, b in zip(g.biases, other.biases, strict=True)],
    )

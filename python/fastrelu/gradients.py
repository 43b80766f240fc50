# SPDX-License-Identifier: BSD-3-Clause
"""The gradient of a loss, and the methods of Network that compute it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike, NDArray

from fastrelu import _core
from fastrelu._arguments import MatrixLike
from fastrelu._core import Cache
from fastrelu.losses import Loss

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[Any]
__all__ = ["Gradients"]


@dataclass(frozen=True)
class Gradients:
    """The gradient of a loss with respect to a network's parameters.

    Attributes
    ----------
    flat : ndarray, (n_parameters,)
        The whole gradient in the network's dtype, in the order of ``Network.parameters``.
    weights : tuple of ndarray, (fan_in, fan_out)
        The gradient with respect to each layer's weights: views into `flat`.
    biases : tuple of ndarray, (fan_out,)
        The gradient with respect to each layer's biases: views into `flat`; () without biases.
    inputs : ndarray or None
        The gradient with respect to X, of X's shape, if it was asked for.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 1])
    >>> net.parameters[:] = [1, 2, 0]
    >>> loss, gradients = net.loss_and_gradient([[1, 1]], [1])
    >>> gradients.flat
    array([2., 2., 2.], dtype=float32)
    >>> gradients.weights[0].shape, gradients.biases[0].shape
    ((2, 1), (1,))
    """

    flat: Array
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    inputs: Array | None = None

    @classmethod
    def of(cls, net: _core.Network, flat: Array, inputs: Array | None = None) -> Gradients:
        """Return a gradient, given as one vector, with its views for each layer of a network.

        Parameters
        ----------
        net : Network
            The network.
        flat : ndarray, (n_parameters,)
            The gradient, in the order of ``net.parameters``; it is not copied.
        inputs : ndarray, optional
            The gradient with respect to X.

        Returns
        -------
        Gradients
            Its `weights` and `biases` are views into `flat`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> fastrelu.Gradients.of(net, np.array([3.0, 4.0, 5.0])).biases
        (array([5.]),)
        """
        weights, biases, at = [], [], 0
        for fan_in, fan_out in pairwise(net.layer_sizes):
            weights.append(flat[at : at + fan_in * fan_out].reshape(fan_in, fan_out))
            at += fan_in * fan_out
            if net.bias:
                biases.append(flat[at : at + fan_out])
                at += fan_out
        return cls(flat, tuple(weights), tuple(biases), inputs)


class GradientMethods:
    """The methods of Network that return losses and gradients."""

    def forward_cached(
        self, X: MatrixLike, *, check_finite: bool | None = None
    ) -> tuple[Array, Cache]:
        """Return the outputs, and the cache of activations that `backward` takes.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.
        check_finite : bool, optional
            Whether infinities and NaN in X are refused; by default the network's own setting.

        Returns
        -------
        out : ndarray, (n, d_out) or (d_out,)
            The outputs.
        cache : Cache
            An opaque object for `backward`; each call makes its own.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> net.parameters[:] = [1, 2, 0]
        >>> out, cache = net.forward_cached([[1, 1]])
        >>> net.backward(cache, [[1]]).flat
        array([1., 1., 1.], dtype=float32)
        """
        net = cast("Network", self)
        return net._forward_cached(X, net._finite(check_finite))

    def backward(self, cache: Cache, d_out: ArrayLike, inputs: bool = False) -> Gradients:
        """Return the gradient of a loss, given its gradient with respect to the outputs.

        Parameters
        ----------
        cache : Cache
            From this network's `forward_cached`; nothing is computed a second time.
        d_out : array_like, (n, d_out) or (d_out,)
            The gradient with respect to the outputs.
        inputs : bool
            Whether to compute the gradient with respect to X too. It is dense, also for sparse X.

        Returns
        -------
        Gradients
            The sums over the rows.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or a step, fit or load has changed the parameters since
            `forward_cached`.
        RuntimeError
            If a step or fit is running on the network in another thread.

        References
        ----------
        Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors;
        docs/backpropagation.md.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> net.parameters[:] = [1, 2, 0]
        >>> out, cache = net.forward_cached([[3, 4], [5, 6]])
        >>> gradients = net.backward(cache, [[1], [1]], inputs=True)
        >>> gradients.weights[0].ravel(), gradients.inputs[0]
        (array([ 8., 10.], dtype=float32), array([1., 2.], dtype=float32))
        """
        net = cast("Network", self)
        if not isinstance(cache, Cache):
            raise TypeError(
                f"cache: expected what forward_cached returned, got {type(cache).__name__}"
            )
        flat, dx = net._backward(cache, d_out, True, bool(inputs))
        return Gradients.of(net, flat, dx)

    def loss_and_gradient(
        self,
        X: MatrixLike,
        y: ArrayLike,
        loss: str | Loss = "squared_error",
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool | None = None,
    ) -> tuple[float, Gradients]:
        """Return a loss over all rows, and its gradient.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            Rows, n >= 1.
        y : array_like
            Targets, (n, d_out) ((n,) also for one output), or integer labels, (n,), for
            cross_entropy.
        loss : str or loss object
            The loss; `fastrelu.losses` lists them.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0 with a positive sum.
        check_finite : bool, optional
            Whether infinities and NaN in the arguments are refused; by default the network's own
            setting.

        Returns
        -------
        loss : float
            The mean over the rows, weighted by `sample_weight`.
        gradients : Gradients
            The gradient of that mean.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> net.parameters[:] = [1, 2, 0]
        >>> loss, gradients = net.loss_and_gradient([[1, 1]], [1])  # 0.5 * (3 - 1)**2
        >>> loss, gradients.flat
        (2.0, array([2., 2., 2.], dtype=float32))
        """
        net = cast("Network", self)
        core = net._core_trainer(loss)
        value, flat = core.loss_and_gradient(X, y, sample_weight, net._finite(check_finite))
        return value, Gradients.of(net, flat)

    def loss(
        self,
        X: MatrixLike,
        y: ArrayLike,
        loss: str | Loss = "squared_error",
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool | None = None,
    ) -> float:
        """Return a loss over all rows, in bounded memory.

        Parameters
        ----------
        X, y, loss, sample_weight, check_finite
            As for `loss_and_gradient`.

        Returns
        -------
        float
            The mean over the rows, weighted by `sample_weight`.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> net.parameters[:] = [1, 2, 0]
        >>> net.loss([[1, 1], [1, 0]], [1, 1])
        1.0
        """
        net = cast("Network", self)
        core = net._core_trainer(loss)
        return core.data_loss(X, y, sample_weight, net._finite(check_finite))

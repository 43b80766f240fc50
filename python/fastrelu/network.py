# SPDX-License-Identifier: BSD-3-Clause
"""The network: dense layers with ReLU between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core, losses
from fastrelu._arguments import MatrixLike, real_number, seed_number, whole_number
from fastrelu._core import Cache
from fastrelu.exact.methods import PieceMethods
from fastrelu.losses import Loss, as_loss
from fastrelu.optimizers import SGD, core_options

Array = NDArray[Any]
__all__ = ["Cache", "Gradients", "Network"]
ACTIVATIONS = ("relu", "identity", "leaky_relu", "logistic", "tanh")


@dataclass(frozen=True)
class Gradients:
    """The gradient of a loss with respect to a network's parameters.

    Attributes
    ----------
    flat : ndarray, (n_parameters,)
        All of it, in the order of ``Network.parameters``.
    weights : tuple of ndarray, (fan_in, fan_out)
        Views into `flat`, one a layer.
    biases : tuple of ndarray, (fan_out,)
        Views into `flat`, one a layer; () without biases.
    inputs : ndarray or None
        The gradient with respect to X, of X's shape, if it was asked for.
    """

    flat: Array
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    inputs: Array | None = None


@_core.fast_call
class Network(PieceMethods, _core.Network):
    """A fully connected network: hidden layers with an activation, a linear output layer.

    Parameters
    ----------
    layer_sizes : sequence of int
        Widths: inputs, hidden layers (any number, also none), outputs; each >= 1.
    bias : bool
        Whether the layers have biases.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    activation : {"relu", "identity", "leaky_relu", "logistic", "tanh"} or a sequence of them
        Of the hidden layers: one for all, or one each. leaky_relu has the slope 0.01 below 0.
    init : {"he_uniform", "glorot_uniform"}
        Distribution of the initial weights: U(+-sqrt(6 / fan_in)) or U(+-sqrt(6 / (fan_in +
        fan_out))); biases start at 0.
    scale : float
        Factor on every input, for example 1/255 for images kept as bytes.
    seed : int or None
        Of the initial weights, 0..2**64 - 1; None draws one.
    check_finite : bool
        Whether X, y and sample_weight with infinities or NaN are refused by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Many threads may read one network at once. While a step or fit runs on it, its use by another
    thread raises ``RuntimeError``.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        bias: bool = True,
        dtype: Any = "float32",
        activation: str | Sequence[str] = "relu",
        init: Literal["he_uniform", "glorot_uniform"] = "he_uniform",
        scale: float = 1.0,
        seed: int | None = 0,
        check_finite: bool = True,
    ) -> None:
        super().__init__()
        if isinstance(layer_sizes, (str, bytes)) or not hasattr(layer_sizes, "__iter__"):
            raise TypeError(f"layer_sizes: expected a sequence of widths, got {layer_sizes!r}")
        sizes = [
            whole_number(f"layer_sizes[{i}]", n, 1, 2**31 - 1) for i, n in enumerate(layer_sizes)
        ]
        if len(sizes) < 2:
            raise ValueError(f"layer_sizes: expected inputs and outputs at least, got {sizes}")
        if sum(a * b for a, b in pairwise(sizes)) > 2**40:
            raise ValueError(f"layer_sizes: expected at most 2**40 weights, got {sizes}")
        if init not in ("he_uniform", "glorot_uniform"):
            raise ValueError(f"init: expected he_uniform or glorot_uniform, got {init!r}")
        self._make(
            sizes,
            bool(bias),
            dtype_name(dtype),
            _activations(activation, len(sizes) - 2),
            real_number("scale", scale),
        )
        self.check_finite = bool(check_finite)
        self._initialize(init, seed_number(seed))

    @_core.fast_forward
    def forward(
        self, X: MatrixLike, out: Array | None = None, *, check_finite: bool | None = None
    ) -> Array:
        """Return the outputs; calling the network does the same.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row. A C-contiguous array of the network's dtype or uint8 is read in place.
        out : ndarray, (n, d_out) or (d_out,), optional
            Where to put them: the network's dtype, rows contiguous, no overlap with X.
        check_finite : bool, optional
            Whether non-finite X is refused; the network's own setting by default.

        Returns
        -------
        ndarray, (n, d_out) or (d_out,)
            `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        RuntimeError
            If a step or fit is running on the network in another thread.
        """
        return self._forward(X, out, self._finite(check_finite))

    __call__ = forward

    @classmethod
    def _zeros(cls, layer_sizes: list[int], dtype: Any, activations: list[str]) -> Network:
        """Return a network whose parameters, all 0, the caller fills; nothing is checked."""
        net = cls.__new__(cls)
        _core.Network.__init__(net)
        net._make(layer_sizes, True, dtype_name(dtype), activations, 1.0)
        net.check_finite = True
        return net

    def forward_cached(
        self, X: MatrixLike, *, check_finite: bool | None = None
    ) -> tuple[Array, Cache]:
        """Return the outputs and the cache of activations that `backward` takes.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.
        check_finite : bool, optional
            Whether non-finite X is refused; the network's own setting by default.

        Returns
        -------
        out : ndarray, (n, d_out) or (d_out,)
            The outputs.
        cache : Cache
            Opaque; one for each call.
        """
        return self._forward_cached(X, self._finite(check_finite))

    def backward(self, cache: Cache, d_out: ArrayLike, inputs: bool = False) -> Gradients:
        """Return the gradients of a loss from its gradient with respect to the outputs.

        Parameters
        ----------
        cache : Cache
            From this network's `forward_cached`; nothing is computed a second time.
        d_out : array_like, (n, d_out) or (d_out,)
            Gradient with respect to the outputs.
        inputs : bool
            Whether the gradient with respect to X is wanted too; it is dense, also of sparse X.

        Returns
        -------
        Gradients
            Sums over the rows.

        Raises
        ------
        TypeError
            If `cache` is none.
        ValueError
            If a step, fit or load has changed the parameters since, or shapes do not fit.
        """
        if not isinstance(cache, Cache):
            raise TypeError(
                f"cache: expected what forward_cached returned, got {type(cache).__name__}"
            )
        flat, dx = self._backward(cache, d_out, True, bool(inputs))
        return self._gradients(flat, dx)

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
            Targets (n, d_out) ((n,) also for one output), or integer labels (n,).
        loss : str or loss object
            See `fastrelu.losses`.
        sample_weight : array_like, (n,), optional
            Weights of the rows, with a positive sum.
        check_finite : bool, optional
            Whether non-finite arguments are refused; the network's own setting by default.

        Returns
        -------
        loss : float
            The (weighted) mean over the rows.
        gradients : Gradients
            Of that mean.
        """
        core = self._core_trainer(loss)
        value, flat = core.loss_and_gradient(X, y, sample_weight, self._finite(check_finite))
        return value, self._gradients(flat, None)

    def loss(
        self,
        X: MatrixLike,
        y: ArrayLike,
        loss: str | Loss = "squared_error",
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool | None = None,
    ) -> float:
        """Return a loss over all rows, in bounded memory; arguments as `loss_and_gradient`."""
        core = self._core_trainer(loss)
        return core.data_loss(X, y, sample_weight, self._finite(check_finite))

    def predict_proba(
        self, X: MatrixLike, loss: str | Loss, *, check_finite: bool | None = None
    ) -> Array:
        """Return the outputs through the link of `loss`.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.
        loss : str or loss object
            cross_entropy gives class probabilities, binary_cross_entropy probabilities, poisson
            means, squared_error the outputs themselves.
        check_finite : bool, optional
            Whether non-finite X is refused; the network's own setting by default.

        Returns
        -------
        ndarray, (n, d_out) or (d_out,)
        """
        return self._predict_proba(X, as_loss(loss).name, self._finite(check_finite))

    def jacobian(self, X: MatrixLike, *, check_finite: bool | None = None) -> Array:
        """Return d out / d X for each row.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in) or (d_in,)
            Rows, or one row.
        check_finite : bool, optional
            Whether non-finite X is refused; the network's own setting by default.

        Returns
        -------
        ndarray, (n, d_out, d_in) or (d_out, d_in)
        """
        out, cache = self.forward_cached(X, check_finite=check_finite)
        rows = []
        for o in range(out.shape[-1]):
            unit = np.zeros_like(out)
            unit[..., o] = 1
            rows.append(self._backward(cache, unit, False, True)[1])
        return np.stack(rows, axis=-2)

    def copy(self) -> Network:
        """Return a network of the same shape with a copy of the parameters."""
        other = Network(
            self.layer_sizes,
            bias=self.bias,
            dtype=self.dtype,
            activation=self.activations,
            scale=self.scale,
            check_finite=self.check_finite,
        )
        other._load_parameters(self.parameters)
        return other

    def save(self, path: Any) -> None:
        """Write the network to a safetensors file.

        Parameters
        ----------
        path : path-like
            Replaced only once the new file is whole.
        """
        from fastrelu.model_file import save_network

        save_network(self, path)

    def __copy__(self) -> Network:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        settings = {
            "layer_sizes": self.layer_sizes,
            "bias": self.bias,
            "dtype": self.dtype.name,
            "activation": self.activations,
            "scale": self.scale,
            "check_finite": self.check_finite,
        }
        return _restore, (settings, self.parameters.copy())

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in self.layer_sizes)
        return f"<fastrelu.Network {sizes} {self.dtype.name}, {self.n_parameters} parameters>"

    def _finite(self, check_finite: bool | None) -> bool:
        return self.check_finite if check_finite is None else bool(check_finite)

    def _gradients(self, flat: Array, inputs: Array | None) -> Gradients:
        weights, biases, at = [], [], 0
        sizes = self.layer_sizes
        for fan_in, fan_out in pairwise(sizes):
            weights.append(flat[at : at + fan_in * fan_out].reshape(fan_in, fan_out))
            at += fan_in * fan_out
            if self.bias:
                biases.append(flat[at : at + fan_out])
                at += fan_out
        return Gradients(flat, tuple(weights), tuple(biases), inputs)

    def _core_trainer(self, loss: str | Loss) -> _core.Trainer:
        chosen = as_loss(loss)
        return _core.Trainer(
            self,
            {
                **losses.core_options(chosen, self.layer_sizes[-1]),
                **core_options(SGD()),
                "batch_size": 1,
                "n_shards": 1,
                "seed": 0,
                "clip_norm": 0.0,
            },
        )


def _restore(settings: dict[str, Any], parameters: Array) -> Network:
    net = Network(**settings)
    net._load_parameters(parameters)
    return net


def dtype_name(dtype: Any) -> str:
    try:
        name: str = np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in ("float32", "float64"):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return name


def _activations(activation: str | Sequence[str], hidden: int) -> list[str]:
    names = [activation] * hidden if isinstance(activation, str) else list(activation)
    for name in [activation] if isinstance(activation, str) else names:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation: expected {', '.join(ACTIVATIONS)}, got {name!r}")
    if len(names) != hidden:
        raise ValueError(f"activation: expected {hidden} names, one a hidden layer, got {names}")
    return names

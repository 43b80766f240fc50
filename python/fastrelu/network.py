# SPDX-License-Identifier: BSD-3-Clause
"""The network: dense layers with ReLU between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue, _core, losses
from fastrelu._arguments import MatrixLike, real_number, seed_number, whole_number
from fastrelu._core import Cache
from fastrelu.exact.methods import PieceMethods
from fastrelu.exact.optimum_methods import OptimumMethods
from fastrelu.exchange.methods import ExchangeMethods
from fastrelu.gradients import GradientMethods, Gradients
from fastrelu.losses import Loss, as_loss
from fastrelu.optimizers import SGD, core_options
from fastrelu.row_derivatives import RowDerivativeMethods

Array = NDArray[Any]
__all__ = ["Cache", "Gradients", "Network"]
ACTIVATIONS = tuple(_catalogue.ACTIVATIONS)
# pybind11 makes a second object where two threads call __init__ of one at the same time.
_constructing = threading.Lock()


@_core.fast_call
@_catalogue.with_names
class Network(
    PieceMethods,
    OptimumMethods,
    ExchangeMethods,
    GradientMethods,
    RowDerivativeMethods,
    _core.Network,
):
    """A fully connected network: hidden layers with an activation, then a linear output layer.

    Parameters
    ----------
    layer_sizes : sequence of int
        The widths of the inputs, of the hidden layers (any number, also none) and of the outputs;
        each >= 1.
    bias : bool
        Whether the layers have biases.
    dtype : {"float32", "float64"}
        The dtype of parameters and arithmetic.
    activation : {activations} or a sequence of them
        The activation of the hidden layers: one name for all of them, or one for each.
    init : {"he_uniform", "glorot_uniform"}
        The distribution of the initial weights: uniform between plus and minus
        ``sqrt(6 / fan_in)``, or ``sqrt(6 / (fan_in + fan_out))``. Biases start at 0.
    scale : float
        A factor on every input, for example 1/255 for images kept as bytes.
    seed : int or None
        Seed of the initial weights, 0 to 2**64 - 1; None picks a random one.
    check_finite : bool
        Whether infinities and NaN in X, y and sample_weight are refused by default.

    Attributes
    ----------
    layer_sizes : list of int
        The widths, inputs first.
    dtype : numpy.dtype
        The dtype of parameters and outputs.
    n_parameters : int
        The number of parameters.
    parameters : ndarray, (n_parameters,)
        All parameters in the order W0, b0, W1, b1, ...: a live view, which can be written to.
    weights : tuple of ndarray, (fan_in, fan_out)
        The weights of each layer, as live views.
    biases : tuple of ndarray, (fan_out,)
        The biases of each layer, as live views; () without biases.
    activations : list of str
        The activation of each hidden layer.
    bias, scale, check_finite
        The arguments; `scale` as rounded to the dtype.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    RuntimeError
        If ``__init__`` is called on a network that has been made already; it stays as it is.

    Notes
    -----
    Many threads may read one network at once. While a step or fit runs on it, its use by another
    thread raises ``RuntimeError``. What is written to the live views is not seen by that: no other
    thread may use the network meanwhile.

    References
    ----------
    He, Zhang, Ren and Sun (2015), Delving deep into rectifiers (he_uniform). Glorot and Bengio
    (2010), Understanding the difficulty of training deep feedforward neural networks
    (glorot_uniform).

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 3, 1], seed=0)
    >>> net
    <fastrelu.Network 2-3-1 float32, 13 parameters>
    >>> net.layer_sizes, net.activations, net.dtype, net.n_parameters
    ([2, 3, 1], ['relu'], dtype('float32'), 13)
    >>> net.bias, net.scale, net.check_finite
    (True, 1.0, True)
    >>> [w.shape for w in net.weights], [b.shape for b in net.biases]
    ([(2, 3), (3, 1)], [(3,), (1,)])
    >>> net.parameters[:] = 1  # writes into the network
    >>> net([[1.0, 2.0], [-1.0, -2.0]])
    array([[13.],
           [ 1.]], dtype=float32)
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
        with _constructing:
            super().__init__()
        if isinstance(layer_sizes, (str, bytes)) or not hasattr(layer_sizes, "__iter__"):
            raise TypeError(f"layer_sizes: expected a sequence of widths, got {layer_sizes!r}")
        sizes = [
            whole_number(f"layer_sizes[{i}]", n, 1, 2**31 - 1) for i, n in enumerate(layer_sizes)
        ]
        if len(sizes) < 2:
            raise ValueError(
                f"layer_sizes: expected at least two widths, inputs and outputs, got {sizes}"
            )
        if sum(a * b for a, b in pairwise(sizes)) > 2**40:
            raise ValueError(f"layer_sizes: expected at most 2**40 weights, got {sizes}")
        if init not in ("he_uniform", "glorot_uniform"):
            raise ValueError(f"init: expected he_uniform or glorot_uniform, got {init!r}")
        self._make(
            sizes,
            bool(bias),
            dtype_name(dtype),
            _catalogue.hidden_activations(activation, len(sizes) - 2),
            real_number("scale", scale),
        )
        self.check_finite = bool(check_finite)
        self._initialize(init, seed_number(seed))

    @_core.fast_forward
    def forward(
        self, X: MatrixLike, out: Array | None = None, *, check_finite: bool | None = None
    ) -> Array:
        """Return the outputs for rows of inputs; calling the network does the same.

        Parameters
        ----------
        X : array_like, sparse matrix or EncodedRows, (n, d_in); or (d_in,)
            Rows, or one row. A C-contiguous array of the network's dtype or of uint8 is read in
            place.
        out : ndarray, (n, d_out) or (d_out,), optional
            The array to write the outputs to: of the network's dtype, with contiguous rows, and
            without overlap with X.
        check_finite : bool, optional
            Whether infinities and NaN in X are refused; by default the network's own setting.

        Returns
        -------
        ndarray, (n, d_out) or (d_out,)
            `out`, or a new array, of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.PiecewiseLinear([0, 1], [0, 2]).to_network()  # a ramp from 0 to 2
        >>> net.forward([[0.25], [0.5]])
        array([[0.5],
               [1. ]])
        >>> net([0.5])
        array([1.])
        """
        return self._forward(X, out, self._finite(check_finite))

    __call__ = forward

    @classmethod
    def _zeros(
        cls,
        layer_sizes: list[int],
        dtype: Any,
        activations: list[str],
        bias: bool = True,
        scale: float = 1.0,
    ) -> Network:
        """Return a network whose parameters, all 0, the caller fills; nothing is checked."""
        net = cls.__new__(cls)
        _core.Network.__init__(net)
        net._make(layer_sizes, bias, dtype_name(dtype), activations, scale)
        net.check_finite = True
        return net

    def predict_proba(
        self, X: MatrixLike, loss: str | Loss, *, check_finite: bool | None = None
    ) -> Array:
        """Return the predictions that the outputs stand for: the inverse link of `loss` of them.

        Parameters
        ----------
        X : array_like, sparse matrix or EncodedRows, (n, d_in); or (d_in,)
            Rows, or one row.
        loss : str or loss object
            By its link: softmax gives the probabilities of the classes, logistic that of each
            output, log means, identity the outputs themselves.
        check_finite : bool, optional
            Whether infinities and NaN in X are refused; by default the network's own setting.

        Returns
        -------
        ndarray, (n, d_out) or (d_out,)
            Of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 3])
        >>> net.parameters[:] = 0
        >>> net.predict_proba([1, 2], "cross_entropy").round(3)
        array([0.333, 0.333, 0.333], dtype=float32)
        """
        return self._predict_proba(X, as_loss(loss).name, self._finite(check_finite))

    def copy(self) -> Network:
        """Return a new network with the same settings and a copy of the parameters.

        Returns
        -------
        Network
            It shares no memory with this one.

        Raises
        ------
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import fastrelu
        >>> net = fastrelu.Network([2, 1])
        >>> other = net.copy()
        >>> other.parameters[:] = 0
        >>> bool((net.parameters == other.parameters).all())
        False
        """
        other = Network._zeros(
            self.layer_sizes, self.dtype, self.activations, self.bias, self.scale
        )
        other.check_finite = self.check_finite
        with self._reading():
            other._load_parameters(self.parameters)
        return other

    def save(self, path: Any) -> None:
        """Write the network to a safetensors file, which `fastrelu.load` reads.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.
        RuntimeError
            If a step or fit is running on the network in another thread.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "net.safetensors")
        ...     fastrelu.Network([2, 1]).save(path)
        ...     fastrelu.load(path)
        <fastrelu.Network 2-1 float32, 3 parameters>
        """
        from fastrelu.model_file import save_network

        save_network(self, path)

    def __copy__(self) -> Network:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        return self.copy()

    # pickle asks for __reduce__, whose form all kept files have; skops for the state alone.

    def __reduce__(self) -> tuple[Any, ...]:
        settings = self.__getstate__()
        parameters = settings.pop("parameters")
        return _restore, (settings, parameters)

    def __getstate__(self) -> dict[str, Any]:
        with self._reading():
            return {
                "layer_sizes": self.layer_sizes,
                "bias": self.bias,
                "dtype": self.dtype.name,
                "activation": self.activations,
                "scale": self.scale,
                "check_finite": self.check_finite,
                "parameters": self.parameters.copy(),
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        settings = dict(state)
        parameters = settings.pop("parameters")
        Network.__init__(self, **settings)
        self._load_parameters(parameters)

    def __repr__(self) -> str:
        sizes = "-".join(str(n) for n in self.layer_sizes)
        return f"<fastrelu.Network {sizes} {self.dtype.name}, {self.n_parameters} parameters>"

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Keep others from changing the parameters; RuntimeError if one is doing so."""
        self._begin_read()
        try:
            yield
        finally:
            self._end_read()

    def _finite(self, check_finite: bool | None) -> bool:
        return self.check_finite if check_finite is None else bool(check_finite)

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

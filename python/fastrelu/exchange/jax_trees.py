# SPDX-License-Identifier: BSD-3-Clause
"""Networks from pytrees of arrays as JAX's libraries keep them, and as functions of JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu._catalogue import hidden_activations
from fastrelu.exchange.chain import Chain
from fastrelu.exchange.extras import need
from fastrelu.exchange.layer_names import in_order, require_texts_differ

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[Any]
__all__ = ["from_jax", "to_jax"]

#: What a layer's weights and biases are called, in each library.
_NAMES = (("kernel", "bias"), ("w", "b"), ("W", "b"))


def from_jax(
    params: Any, activation: str | Sequence[str] = "relu", *, layers: Sequence[str] | None = None
) -> Network:
    """Return the network whose parameters are a pytree of arrays.

    Parameters
    ----------
    params : mapping or sequence
        Flax's layout, ``{"params": {"Dense_0": {"kernel": (fan_in, fan_out), "bias": (fan_out,)},
        ...}}``, with or without the outer level, or the state of its ``nnx.Sequential``; Haiku's,
        ``{"mlp/~/linear_0": {"w": ..., "b": ...}, ...}``; or, as examples of Optax and of JAX have
        it, a list of layers in order, each a pair ``(W, b)`` or a mapping ``{"w": W, "b": b}``;
        empty tuples, as stax has them for activations, are passed over. Biases may be left out.
        Arrays are JAX's or NumPy's.
    activation : str or sequence of str
        The activation of the hidden layers, which a pytree says nothing of.
    layers : sequence of str, optional
        The names of the layers in order, for a mapping; by default they are ordered by the numbers
        in their names, as JAX does not keep the order of a mapping.

    Returns
    -------
    Network
        A copy: of dtype float64 if a parameter is a double, else float32.

    Raises
    ------
    TypeError, ValueError
        If `params` is not as described; the message names the layer and the shape.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> first = {"kernel": np.ones((2, 3)), "bias": np.zeros(3)}
    >>> params = {"params": {"Dense_0": first, "Dense_1": {"kernel": np.ones((3, 1))}}}
    >>> fastrelu.from_jax(params, "tanh")
    <fastrelu.Network 2-3-1 float64, 13 parameters>
    """
    found = [(where, *_layer(where, part)) for where, part in _parts(params, layers)]
    kinds = hidden_activations(activation, max(len(found) - 1, 0))
    chain = Chain("params")
    for k, (where, W, b) in enumerate(found):
        chain.add_affine(where, W, b)
        if k < len(kinds):
            chain.add_activation(where, kinds[k])
    return chain.network()


def _parts(params: Any, layers: Sequence[str] | None) -> list[tuple[str, Any]]:
    """Return each layer, and how messages name it, in order."""
    if isinstance(params, (list, tuple)):
        if layers is not None:
            raise TypeError("layers: a list has its order; names are not for it")
        given = [(f"params[{k}]", part) for k, part in enumerate(params)]
        return [each for each in given if not (isinstance(each[1], tuple) and each[1] == ())]
    if not isinstance(params, Mapping):
        raise TypeError(
            f"params: expected a mapping or a list of layers, got {type(params).__name__}"
        )
    where = "params"
    for outer in ("params", "layers"):  # of Flax's modules, and of its nnx.Sequential
        if set(params) == {outer} and _has_layers(params[outer]):
            params, where = params[outer], f"{where}[{outer!r}]"
    named = {str(name): part for name, part in params.items()}  # nnx numbers them
    require_texts_differ(where, params)
    return [(f"{where}[{name!r}]", named[name]) for name in in_order(list(named), layers)]


def _has_layers(part: Any) -> bool:
    """Whether a mapping holds layers, rather than being one."""
    return isinstance(part, Mapping) and not any(weight in part for weight, _ in _NAMES)


def _layer(where: str, part: Any) -> tuple[Array, Array | None]:
    if isinstance(part, (list, tuple)) and len(part) in (1, 2):
        W, b = part if len(part) == 2 else (part[0], None)
    elif isinstance(part, Mapping):
        for weight, bias in _NAMES:
            if weight in part and set(part) <= {weight, bias}:
                W, b = part[weight], part.get(bias)
                break
        else:
            raise ValueError(
                f"{where}: expected a layer of kernel and bias, or of w and b, got {sorted(part)}"
            )
    else:
        raise TypeError(f"{where}: expected a pair or a mapping, got {type(part).__name__}")
    return _array(where, W), None if b is None else _array(where, b)


def _array(where: str, value: Any) -> Array:
    if hasattr(value, "get_value"):  # nnx keeps arrays in variables, by an attribute until 0.12
        value = value.get_value()
    value = getattr(value, "value", value)
    made = np.asarray(value)
    if made.dtype.name in ("float16", "bfloat16"):
        return made.astype(np.float32)
    if made.dtype.kind not in "fiub":
        raise TypeError(f"{where}: expected arrays of numbers, got {type(value).__name__}")
    return made


def to_jax(net: Network) -> Callable[[Any], Any]:
    """Return a network as a function of JAX; ``net.to_jax()`` calls this.

    Parameters
    ----------
    net : Network
        The network.

    Returns
    -------
    callable
        From an array (..., d_in) to one (..., d_out).

    Raises
    ------
    ImportError, ValueError
        If JAX is not there, or its doubles are switched off and the network's dtype is float64.

    Examples
    --------
    >>> import jax
    >>> import fastrelu
    >>> from fastrelu.exchange import jax_trees
    >>> jax_trees.to_jax(fastrelu.Network([2, 1]))(jax.numpy.ones((3, 2))).shape
    (3, 1)
    """
    jax = need("jax", "jax")
    if net.dtype == np.float64 and not jax.config.jax_enable_x64:
        raise ValueError(
            "the network is of float64, which JAX computes with only after "
            'jax.config.update("jax_enable_x64", True)'
        )
    n_in, n_out = net.layer_sizes[0], net.layer_sizes[-1]

    def outputs(x: Any) -> Any:
        rows = np.ascontiguousarray(x).reshape(-1, n_in)
        return net.forward(rows, check_finite=False).reshape(*x.shape[:-1], n_out)

    def function(x: Any) -> Any:
        try:
            x = jax.numpy.asarray(x)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"x: expected an array of numbers, got {type(x).__name__} ({error})"
            ) from error
        if jax.numpy.iscomplexobj(x):
            raise TypeError(f"x: expected real numbers, got {x.dtype}")
        x = x.astype(net.dtype)
        if x.ndim == 0 or x.shape[-1] != n_in:
            raise ValueError(f"x: expected shape (..., {n_in}), got {x.shape}")
        shape = jax.ShapeDtypeStruct((*x.shape[:-1], n_out), net.dtype)
        return jax.pure_callback(outputs, shape, x, vmap_method="broadcast_all")

    return function

# SPDX-License-Identifier: BSD-3-Clause
"""Networks from and to PyTorch: modules, state dicts, safetensors files of state dicts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu._catalogue import hidden_activations
from fastrelu.exchange.chain import Chain
from fastrelu.exchange.extras import need
from fastrelu.exchange.layer_names import in_order, require_texts_differ
from fastrelu.network import Network

Array = NDArray[Any]
__all__ = ["from_torch", "to_torch"]


def from_torch(
    source: Any,
    activation: str | Sequence[str] | None = None,
    *,
    layers: Sequence[str] | None = None,
) -> Network:
    """Return the network of a module of PyTorch, of a state dict or of a file of one.

    Parameters
    ----------
    source : torch.nn.Sequential, mapping or path-like
        A module: Linear layers with ReLU, LeakyReLU(0.01), ELU(1), Sigmoid, Tanh or SiLU between,
        Identity, Flatten and Dropout (which is left out) anywhere, Sequential ones inside, none
        with forward hooks or a `forward` of its own; or a `fastrelu.torch.FusedMLP`. A state
        dict: tensors or arrays under names such as ``"0.weight"`` (fan_out, fan_in) and
        ``"0.bias"``. A path: a safetensors file of such a dict.
    activation : str or sequence of str, optional
        The activation of the hidden layers, which a state dict says nothing of; by default relu.
        Not for a module.
    layers : sequence of str, optional
        The names of the layers in order, such as ``["fc1", "fc2", "out"]``, for a state dict. By
        default the order of a mapping; of a file, whose order is not kept, that of the numbers in
        the names.

    Returns
    -------
    Network
        A copy: of dtype float64 if a parameter is a double, else float32. An activation after the
        last layer is followed by a layer of identity weights.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If `source` is not as described; the message names the module or tensor and its shape.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> state = {"0.weight": np.ones((3, 2)), "0.bias": np.zeros(3), "2.weight": np.ones((1, 3))}
    >>> fastrelu.from_torch(state, "tanh")
    <fastrelu.Network 2-3-1 float64, 13 parameters>
    """
    if isinstance(source, Mapping):
        return _from_state(source, activation, layers, True)
    if hasattr(source, "state_dict") and hasattr(source, "named_modules"):
        if activation is not None or layers is not None:
            raise TypeError("activation, layers: a module says these itself; they are not for it")
        return _from_module(source)
    try:
        path = os.fspath(source)
    except TypeError:
        raise TypeError(
            "source: expected a torch.nn.Sequential, a state dict or a path, got "
            f"{type(source).__name__}"
        ) from None
    return _from_state(_read(path), activation, layers, False)


def _read(path: Any) -> dict[str, Array]:
    from safetensors import SafetensorError, deserialize

    if not os.path.isfile(path):
        raise FileNotFoundError(f"source: no such file: {path!r}")
    try:
        read: Callable[[bytes], Any] = deserialize
        with open(path, "rb") as file:
            tensors = read(file.read())
    except SafetensorError as error:
        raise ValueError(
            f"source: {path!r} is not a safetensors file ({error}); for a file of torch.save, give "
            "what torch.load(path, weights_only=True) returns"
        ) from error
    # In the order of their names, since safetensors returns them in any.
    found = sorted(tensors, key=lambda each: each[0])
    return {name: _stored(f"source[{name!r}]", tensor) for name, tensor in found}


def _stored(where: str, tensor: Mapping[str, Any]) -> Array:
    """Return a tensor of a safetensors file; bfloat16, which NumPy has not, as float32."""
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    kind, shape = tensor["dtype"], tensor["shape"]
    if kind not in kinds:
        raise ValueError(f"{where}: expected one of {', '.join(kinds)}, got {kind} of {shape}")
    made = np.frombuffer(tensor["data"], kinds[kind]).reshape(shape)
    if kind == "BF16":  # the upper half of a float32
        made = (made.astype("<u4") << 16).view("<f4")
    return made.astype(made.dtype.newbyteorder("="))


def _from_state(state: Mapping[Any, Any], activation: Any, layers: Any, ordered: bool) -> Network:
    arrays = {str(name): _array(f"source[{name!r}]", t) for name, t in state.items()}
    require_texts_differ("source", state)
    given = [name.removesuffix("weight") for name in arrays if name.endswith("weight")]
    known = {p + kind for p in given for kind in ("weight", "bias")}
    if others := [name for name in arrays if name not in known]:
        shape = tuple(arrays[others[0]].shape)
        raise ValueError(
            f"source: {others[0]!r} of shape {shape} is neither the weight nor the bias of a layer"
        )
    if layers is not None or not ordered:
        names = in_order([p.removesuffix(".") for p in given], layers)
        given = [f"{name}." if name else "" for name in names]
    chain = Chain("source")
    hidden = max(len(given) - 1, 0)
    kinds = hidden_activations("relu" if activation is None else activation, hidden)
    for k, p in enumerate(given):
        where = f"source[{p + 'weight'!r}]"
        W = arrays[p + "weight"]
        chain.add_affine(where, W.T if W.ndim == 2 else W, arrays.get(p + "bias"))
        if k < hidden:
            chain.add_activation(where, kinds[k])
    return chain.network()


def _array(where: str, tensor: Any) -> Array:
    """Return a tensor or an array as float32 or float64; fewer digits become float32."""
    if hasattr(tensor, "detach"):
        dense = str(tensor.layout) == "torch.strided" and not tensor.is_nested
        if not dense or str(tensor.device) == "meta":
            raise ValueError(
                f"{where}: expected a dense tensor with values, got one of {tensor.layout} on "
                f"{tensor.device}"
            )
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point() and tensor.itemsize < 4:
            tensor = tensor.float()
        return np.asarray(tensor.resolve_conj().resolve_neg().numpy())
    made = np.asarray(tensor)
    if made.dtype.kind not in "fiub" and made.dtype.name != "bfloat16":
        raise TypeError(f"{where}: expected a tensor or an array, got {type(tensor).__name__}")
    small = made.dtype.name in ("float16", "bfloat16")
    return made.astype(np.float32) if small else made


#: torch's class, our name, and the attributes that it must have.
_MODULES: dict[str, tuple[str, dict[str, float]]] = {
    "ReLU": ("relu", {}),
    "LeakyReLU": ("leaky_relu", {"negative_slope": 0.01}),
    "ELU": ("elu", {"alpha": 1.0}),
    "Sigmoid": ("logistic", {}),
    "Tanh": ("tanh", {}),
    "SiLU": ("silu", {}),
}
#: Other layers that a network has, or that change nothing.
_PLAIN = ("Linear", "Identity", "Flatten", "Dropout")


def _from_module(module: Any) -> Network:
    need("torch", "torch")
    from fastrelu.torch import FusedMLP, Scale

    if type(module).__module__.startswith("torch._dynamo"):  # made by torch.compile
        _refuse_hooks("source", module)
        module = module._orig_mod
    if _computes_as(module, FusedMLP):
        _refuse_hooks(_said("", module), module)
        net: Network = module.network
        return net.copy()
    chain = Chain("source")
    parts = list(_flat("", module))
    width = next((p.in_features for _, p in parts if _torchs(p) == "Linear"), None)
    for name, part in parts:
        where = _said(name, part)
        kind = _torchs(part)
        if _computes_as(part, Scale):
            _refuse_hooks(where, part)
            if chain.width() is not None or chain.scale != 1:
                raise ValueError(f"{where}: expected one factor on the inputs, before all layers")
            chain.scale = part.factor
            continue
        if kind is None:
            raise ValueError(
                f"{where}: expected a torch.nn.Sequential of torch's own layers; another module "
                "can come by torch.onnx.export and fastrelu.from_onnx"
            )
        if kind in (*_MODULES, *_PLAIN):
            _refuse_hooks(where, part)
        if kind == "Linear":
            W, b = _array(where, part.weight), part.bias
            chain.add_affine(where, W.T, None if b is None else _array(where, b))
        elif kind in _MODULES:
            ours, attributes = _MODULES[kind]
            for key, value in attributes.items():
                if getattr(part, key) != value:
                    raise ValueError(
                        f"{where}: {key} is {getattr(part, key)}, but fastrelu's {ours} has {value}"
                    )
            chain.add_activation(where, ours, width)
        elif kind == "Flatten" and (part.start_dim, part.end_dim) != (1, -1):
            raise ValueError(f"{where}: expected dimensions 1 to -1 to be flattened")
        elif kind not in _PLAIN:
            raise ValueError(f"{where}: a network of fastrelu has no such layer")
    return chain.network()


def _flat(name: str, module: Any) -> Iterable[tuple[str, Any]]:
    """Yield the parts of a module in order, those of a Sequential in its place.

    A part that is there twice is yielded twice, which `named_children` does not.
    """
    if _torchs(module) == "Sequential":
        _refuse_hooks(_said(name, module), module)
        for key, part in module._modules.items():
            yield from _flat(f"{name}.{key}" if name else key, part)
    else:
        yield name, module


def _torchs(part: Any) -> str | None:
    """Return the class of torch's own that says what a module computes; None for another.

    Classes that derive from it are what torch makes of a layer whose weights are parametrized.
    """
    for kind in type(part).__mro__:
        if kind.__module__.startswith("torch.nn.modules.") and kind.__name__ != "Module":
            return kind.__name__ if _computes_as(part, kind) else None
    return None


def _computes_as(part: Any, kind: type) -> bool:
    """Whether a module has what a class computes by: neither its class nor itself has another."""
    names = ("forward", "__call__", "_call_impl", "_wrapped_call_impl", "__iter__")
    return isinstance(part, kind) and not any(
        name in vars(part) or getattr(type(part), name, None) is not getattr(kind, name, None)
        for name in names
    )


def _refuse_hooks(where: str, part: Any) -> None:
    """Raise ValueError for a module that calls functions besides its own `forward`."""
    from torch.nn.modules import module as torchs

    if part._forward_hooks or part._forward_pre_hooks:
        raise ValueError(
            f"{where}: has a forward hook, which may change what it computes; remove it (with "
            "remove_weight_norm or remove_spectral_norm if these made it)"
        )
    if torchs._global_forward_hooks or torchs._global_forward_pre_hooks:
        raise ValueError(
            f"{where}: there is a forward hook of all modules, which may change what it computes"
        )


def _said(name: str, part: Any) -> str:
    """Return how messages name a part of a module."""
    return f"source: module {name or 'itself'!r} ({type(part).__name__})"


def to_torch(net: Network) -> Any:
    """Return a network as a ``torch.nn.Sequential``; ``net.to_torch()`` calls this.

    Parameters
    ----------
    net : Network
        The network.

    Returns
    -------
    torch.nn.Sequential
        Linear layers and activations, with copies of the parameters.

    Raises
    ------
    ImportError
        If torch is not there.

    Examples
    --------
    >>> import torch
    >>> import fastrelu
    >>> from fastrelu.exchange import torch_modules
    >>> len(torch_modules.to_torch(fastrelu.Network([2, 3, 1])))
    3
    """
    torch = need("torch", "torch")
    classes = {ours: name for name, (ours, _) in _MODULES.items()} | {"identity": "Identity"}
    with net._reading():
        weights = [w.T.copy() for w in net.weights]
        biases = [b.copy() for b in net.biases]
    parts: list[Any] = []
    if net.scale != 1:
        from fastrelu.torch import Scale

        parts.append(Scale(net.scale))
    for k, w in enumerate(weights):
        linear = torch.nn.utils.skip_init(
            torch.nn.Linear,
            *w.shape[::-1],
            bias=net.bias,
            dtype=torch.float32 if net.dtype == np.float32 else torch.float64,
        )
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w))
            if net.bias:
                linear.bias.copy_(torch.from_numpy(biases[k]))
        parts.append(linear)
        if k + 1 < len(weights):
            parts.append(getattr(torch.nn, classes[net.activations[k]])())
    return torch.nn.Sequential(*parts)

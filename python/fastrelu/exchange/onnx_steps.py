# SPDX-License-Identifier: BSD-3-Clause
"""How each operator of ONNX is read: which tensor it takes, and what it adds to the chain.

A function takes the graph and a node, checks the node's attributes and constants, and returns the
tensor that the node is applied to, and what the node does; None for one that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.exchange.chain import ROWS, Chain, Step
from fastrelu.exchange.onnx_shapes import flatten, reshape

Array = NDArray[Any]
__all__: list[str] = []

FLOAT32_MAX = float(np.finfo(np.float32).max)


def _gemm(graph: Any, node: Any) -> tuple[str, Step]:
    weights = graph.constant(node.input(1))
    if weights is None or graph.constant(node.input(0)) is not None:
        raise ValueError(f"{node.where}: expected weights as its second input, a constant")
    if node.number("transA", 0):
        raise ValueError(f"{node.where}: transA is 1, but rows are the first dimension here")
    W = _matrix(graph, node, weights)
    W = W.T if node.number("transB", 0) else W
    W = _times(W, node.number("alpha", 1.0))
    b = None
    if node.input(2):
        given = graph.constant(node.input(2))
        if given is None:
            raise ValueError(f"{node.where}: expected biases as its third input, a constant")
        if given.ndim > 2 or (given.ndim == 2 and given.shape[0] != 1):
            raise ValueError(f"{node.where}: expected biases of a row, got shape {given.shape}")
        if given.size not in (1, W.shape[1]):
            raise ValueError(
                f"{node.where}: expected biases of shape ({W.shape[1]},), got {given.shape}"
            )
        _require_floats(node, given)
        given = np.broadcast_to(given.ravel(), (W.shape[1],))
        b = _times(given, node.number("beta", 1.0))

    def step(chain: Chain) -> None:
        chain.sizes = chain.sizes or [ROWS, None]  # no other tensors are multiplied by Gemm
        chain.add_affine(node.where, W, b)

    return node.input(0), step


def _matrix(graph: Any, node: Any, weights: Array) -> Array:
    if weights.ndim != 2:
        raise ValueError(f"{node.where}: expected weights of two dimensions, got {weights.shape}")
    _require_floats(node, weights)
    graph.take(node, weights.size)
    return weights


def _require_floats(node: Any, parameters: Array) -> None:
    """Raise ValueError for parameters of another kind, before they are multiplied by a factor."""
    if parameters.dtype.kind != "f":
        got = parameters.dtype
        raise ValueError(f"{node.where}: expected floating-point parameters, got {got}")


def _times(a: Array, factor: float) -> Array:
    return a if factor == 1 else (a * a.dtype.type(factor)).astype(a.dtype)


def _mat_mul(graph: Any, node: Any) -> tuple[str, Step]:
    weights = graph.constant(node.input(1))
    if weights is None or graph.constant(node.input(0)) is not None:
        raise ValueError(f"{node.where}: expected weights as its second input, a constant")
    W = _matrix(graph, node, weights)
    return node.input(0), lambda chain: chain.add_affine(node.where, W, None)


def _both_orders(node: Any) -> list[list[str]]:
    if len(node.inputs) != 2:
        raise ValueError(f"{node.where}: expected two inputs, got {node.inputs}")
    return [node.inputs, node.inputs[::-1]]


def _constant_and_data(graph: Any, node: Any) -> tuple[Array, str]:
    """Return the constant and the tensor of an operator of two inputs in either order."""
    # Up to opset 6, `axis` says to which dimension the constant's first one belongs.
    axis = node.number("axis", -1)
    if axis != -1 and (axis != 1 or len(graph.shape) != 2):
        raise ValueError(f"{node.where}: axis is {axis}, but the last dimension is a row's here")
    for constant, data in _both_orders(node):
        value = graph.constant(constant)
        if value is not None and graph.constant(data) is None:
            return value, data
    raise ValueError(f"{node.where}: expected a constant and a tensor, got {node.inputs}")


def _add(graph: Any, node: Any) -> tuple[str, Step]:
    for above, below in _both_orders(node):
        made = graph.made_by(above)
        if made is not None and made.operator == "Relu" and _is_elu(graph, below, made.input(0)):
            return made.input(0), _activation(graph, node, "elu")
    b, x = _constant_and_data(graph, node)
    return x, lambda chain: chain.add_bias(node.where, b)


def _is_elu(graph: Any, tensor: str, z: str) -> bool:
    """Whether a tensor is exp(m) - 1, m = min(z, 0), as `onnx_graph` writes it in double."""

    def of(tensor: str, operator: str, constant: float | None = None) -> list[str]:
        """Return the inputs of the operator that makes a tensor, but for such a constant."""
        made = graph.made_by(tensor)
        if made is None or made.operator != operator:
            return []
        values = [graph.constant(name) for name in made.inputs]
        rest = [name for name, v in zip(made.inputs, values, strict=True) if v is None]
        if any(v is not None and v.ndim > 1 for v in values):
            return []  # it may add dimensions
        others = [v.ravel().tolist() for v in values if v is not None]
        return rest if others == ([] if constant is None else [[constant]]) else []

    for tanh, more in (p for p in [of(tensor, "Mul")] if len(p) == 2):
        halved = [m for t in of(tanh, "Tanh") for m in of(t, "Mul", 0.5)]
        exponent = [m for t in of(more, "Add", 1.0) for m in of(t, "Exp")]
        return bool(halved) and halved == exponent and of(halved[0], "Min", 0.0) == [z]
    return False


def _mul(graph: Any, node: Any) -> tuple[str, Step]:
    for gate, x in _both_orders(node):
        made = graph.made_by(gate)
        if made is not None and made.operator == "Sigmoid" and made.inputs == [x]:
            return x, _activation(graph, node, "silu")
    factor, x = _constant_and_data(graph, node)

    def step(chain: Chain) -> None:
        if factor.size != 1 or chain.width() is not None or chain.scale != 1:
            raise ValueError(
                f"{node.where}: expected one factor on the inputs, before all layers, got a "
                f"constant of shape {factor.shape}"
            )
        chain.require_shape(node.where, factor)
        chain.scale = float(factor.ravel()[0])

    return x, step


def _activation(graph: Any, node: Any, name: str, constant: Array | None = None) -> Step:
    """Return the step of an activation, which is written by such a constant."""

    def step(chain: Chain) -> None:
        if constant is not None:
            chain.require_shape(node.where, constant)
        chain.add_activation(node.where, name, graph.width())

    return step


def _plain(name: str, **attributes: float) -> Callable[[Any, Any], tuple[str, Step]]:
    """Return the reader of an activation whose attributes have to be these."""

    def read(graph: Any, node: Any) -> tuple[str, Step]:
        for key, value in attributes.items():
            got = node.number(key, value)
            if np.float32(got) != np.float32(value):
                raise ValueError(
                    f"{node.where}: {key} is {float(np.float32(got)):.7g}, but fastrelu's {name} "
                    f"has {value}"
                )
        return node.input(0), _activation(graph, node, name)

    return read


def _max(graph: Any, node: Any) -> tuple[str, Step]:
    for below, x in _both_orders(node):
        made = graph.made_by(below)
        if made is not None and made.operator == "Mul" and x in made.inputs:
            slope, _ = _constant_and_data(graph, made)
            if slope.size == 1 and slope.ravel()[0] == slope.dtype.type(0.01):
                return x, _activation(graph, node, "leaky_relu", slope)
            raise ValueError(f"{node.where}: expected a slope of 0.01 below 0, got {_shown(slope)}")
    least, x = _constant_and_data(graph, node)
    if not least.size or least.any() or least.ndim > 2:
        raise ValueError(f"{node.where}: expected the constant 0, got {_shown(least)}")
    if graph.shape[:1] == [1] and least.ndim == 2 and len(least) != 1:
        raise ValueError(f"{node.where}: makes several rows of one, got {_shown(least)}")
    return x, _activation(graph, node, "relu", least)


def _clip(graph: Any, node: Any) -> tuple[str, Step]:
    limits = []
    for k, key in ((1, "min"), (2, "max")):
        name = node.input(k)
        value = node.number(key, 0) if key in node.attributes else None
        if name:
            value = graph.constant(name)
            if value is None or value.size != 1:
                got = "none" if value is None else f"one of shape {value.shape}"
                raise ValueError(f"{node.where}: expected a constant as its {key}, got {got}")
            value = float(value.ravel()[0])
        limits.append(value)
    low, high = limits
    if low != 0 or (high is not None and not high >= FLOAT32_MAX):  # nor NaN
        raise ValueError(f"{node.where}: expected a minimum of 0 and no maximum, got {limits}")
    return node.input(0), _activation(graph, node, "relu")


def _shown(value: Array) -> str:
    return str(value.ravel()[0]) if value.size == 1 else f"one of shape {value.shape}"


def _cast(graph: Any, node: Any) -> tuple[str, None]:
    kinds = {1: "float32", 11: "float64", 10: "float16", 16: "bfloat16"}  # TensorProto's numbers
    to = node.number("to", 0)
    if to not in (1, 11):
        raise ValueError(
            f"{node.where}: expected a cast to float32 or float64, got {kinds.get(to, to)}"
        )
    return node.input(0), None


def _dropout(graph: Any, node: Any) -> tuple[str, None]:
    training = graph.constant(node.input(2)) if node.input(2) else np.asarray(False)
    ratio = graph.constant(node.input(1)) if node.input(1) else np.asarray(0.5)
    if graph.opset < 7 and not node.number("is_test", 0):
        raise ValueError(f"{node.where}: is active, as is_test is 0")
    if training is None or (training.any() and (ratio is None or ratio.any())):
        raise ValueError(
            f"{node.where}: is active: the module was exported in training mode; export it after "
            "module.eval()"
        )
    return node.input(0), None


def _identity(graph: Any, node: Any) -> tuple[str, None]:
    return node.input(0), None


STEPS: dict[str, Callable[[Any, Any], tuple[str, Step | None]]] = {
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "Add": _add,
    "Mul": _mul,
    "Relu": _plain("relu"),
    "Max": _max,
    "Clip": _clip,
    "LeakyRelu": _plain("leaky_relu", alpha=0.01),
    "Elu": _plain("elu", alpha=1.0),
    "Sigmoid": _plain("logistic"),
    "Tanh": _plain("tanh"),
    "Swish": _plain("silu", alpha=1.0),
    "Identity": _identity,
    "Flatten": flatten,
    "Reshape": reshape,
    "Cast": _cast,
    "Dropout": _dropout,
}

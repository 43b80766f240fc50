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

from fastrelu.exchange.chain import Chain

Array = NDArray[Any]
Step = Callable[[Chain], None]
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
    return node.input(0), lambda chain: chain.add_affine(node.where, W, b)


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
        chain.scale = float(factor.ravel()[0])

    return x, step


def _activation(graph: Any, node: Any, name: str) -> Step:
    return lambda chain: chain.add_activation(node.where, name, graph.width())


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
                return x, _activation(graph, node, "leaky_relu")
            raise ValueError(f"{node.where}: expected a slope of 0.01 below 0, got {_shown(slope)}")
    least, x = _constant_and_data(graph, node)
    if not least.size or least.any() or least.ndim > 2:
        raise ValueError(f"{node.where}: expected the constant 0, got {_shown(least)}")
    return x, _activation(graph, node, "relu")


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


def _flatten(graph: Any, node: Any) -> tuple[str, None]:
    axis = node.number("axis", 1)
    if axis != 1:
        raise ValueError(f"{node.where}: axis is {axis}, but rows are the first dimension here")
    return node.input(0), None


#: In place of the number of rows, which is not known.
_ROWS = -2
#: How many sizes a shape has at most, and how many nodes make it one after another.
_MOST_SIZES = 16


def _sizes(graph: Any, reshape: Any, tensor: str, depth: int = 0) -> list[int] | None:
    """Return the sizes that a shape names; None if they are not constants and the rows' number.

    torch writes ``x.view(x.size(0), -1)`` as the shape of x, its first size, that and a -1.
    """
    value = graph.constant(tensor)
    if value is not None:
        if value.dtype.kind not in "iu":
            raise ValueError(
                f"{reshape.where}: expected whole numbers as its shape, got {value.dtype}"
            )
        return value.ravel().tolist() if 0 < value.size <= _MOST_SIZES else None
    made = graph.made_by(tensor)
    if made is None or depth == _MOST_SIZES:
        return None
    if made.operator == "Concat":
        joined: list[int] = []
        for name in made.inputs:
            part = _sizes(graph, reshape, name, depth + 1)
            if part is None or len(joined) + len(part) > _MOST_SIZES:
                return None  # at once: each of these may be such nodes again, without end
            joined += part
        return joined or None
    if made.operator in ("Unsqueeze", "Squeeze", "Cast", "Reshape"):
        return _sizes(graph, reshape, made.input(0), depth + 1)
    whole, first = made, made.number("end", -1) == 1
    if made.operator == "Gather":
        whole, index = graph.made_by(made.input(0)), graph.constant(made.input(1))
        first = index is not None and index.tolist() in (0, [0])
    if whole is None or whole.operator != "Shape" or whole.number("start", 0) or not first:
        return None
    ours = graph.input, _before_numbers(graph, reshape.input(0))
    return [_ROWS] if _before_numbers(graph, whole.input(0)) in ours else None


def _before_numbers(graph: Any, tensor: str) -> str:
    """Return the tensor that one is made of by casts and by sums and products with one number.

    It has the same shape. Keras over torch has a cast before each layer.
    """
    while (made := graph.made_by(tensor)) is not None:
        constants = [graph.constant(name) for name in made.inputs]
        rest = [name for name, v in zip(made.inputs, constants, strict=True) if v is None]
        numbers = all(v is None or (v.size == 1 and v.ndim < 2) for v in constants)
        if made.operator not in ("Cast", "Identity", "Mul", "Add") or not numbers or len(rest) != 1:
            break
        tensor = rest[0]
    return tensor


def _reshape(graph: Any, node: Any) -> tuple[str, Step]:
    given = node.numbers("shape")
    shape = _sizes(graph, node, node.input(1)) if graph.opset >= 5 else list(given or [])
    if shape is None:
        raise ValueError(
            f"{node.where}: expected a constant as its shape, or the number of rows and constants"
        )
    keeps = not node.number("allowzero", 0)
    rows = (-1, 1, _ROWS, *((0,) if keeps else ()), graph.shape[0] if graph.shape else _ROWS)
    if len(shape) != 2 or shape[0] not in rows or shape[1] < -1 or shape[0] == shape[1] == -1:
        zero = "" if keeps else " (allowzero is 1)"
        shown = ", ".join("n" if n == _ROWS else str(n) for n in shape)
        raise ValueError(f"{node.where}: expected rows of all inputs, got shape [{shown}]{zero}")

    def step(chain: Chain) -> None:
        before = chain.width() or graph.width()
        several = chain.width() is None and len(graph.shape) != 2  # of which a 0 keeps one
        if shape[1] == 0 and (several or not keeps):
            raise ValueError(f"{node.where}: expected rows of all inputs, got shape {shape}")
        if shape[1] > 0 and before is not None and shape[1] != before:
            raise ValueError(f"{node.where}: expected rows of {before} numbers, got shape {shape}")

    return node.input(0), step


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
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Cast": _cast,
    "Dropout": _dropout,
}

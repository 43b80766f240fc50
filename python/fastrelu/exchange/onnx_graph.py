# SPDX-License-Identifier: BSD-3-Clause
"""What a network is in ONNX's operators: nodes and constants, before any file.

`onnx_write` makes a file of them, `skl2onnx` a part of a pipeline's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastrelu.network import Network

Array = NDArray[Any]
__all__: list[str] = []


@dataclass
class Node:
    """An operator with its inputs, its one output and its attributes."""

    operator: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """Nodes in the order of the computation, and constants by their names.

    Attributes
    ----------
    dtype : numpy.dtype
        That of the floating-point numbers.
    prefix : str
        What the names of constants and of results in between begin with.
    """

    dtype: np.dtype[Any]
    prefix: str = ""
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def constant(self, name: str, value: Any) -> str:
        """Keep a constant, given as an array or as a number of the graph's dtype."""
        full = self.prefix + name
        made = value if isinstance(value, np.ndarray) else self.dtype.type(value)
        self.constants[full] = np.ascontiguousarray(made).reshape(np.shape(made))
        return full

    def add(
        self, operator: str, *inputs: str, output: str | None = None, name: str, **attributes: Any
    ) -> str:
        """Add a node and return the name of its output: `output`, or one of its own."""
        result = output or self.prefix + name
        self.nodes.append(Node(operator, list(inputs), result, attributes))
        return result


def add_network(graph: Graph, net: Network, x: str, output: str | None = None) -> str:
    """Add the layers of a network on the tensor `x`, and return the name of its outputs.

    The parameters are rounded to the graph's dtype. `output` is the name that the outputs get.
    """
    T = graph.dtype
    with net._reading():
        weights = [w.astype(T) for w in net.weights]
        biases = [b.astype(T) for b in net.biases] or [np.zeros(w.shape[1], T) for w in weights]
    if net.scale != 1:
        x = graph.add("Mul", x, graph.constant("scale", net.scale), name="scaled")
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        last = k + 1 == len(weights)
        inputs = [x, graph.constant(f"weight_{k}", np.ascontiguousarray(w.T))]
        if net.bias:
            inputs.append(graph.constant(f"bias_{k}", b))
        attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        name = f"layer_{k}"
        x = graph.add("Gemm", *inputs, output=output if last else None, name=name, **attributes)
        if not last:
            x = _ACTIVATIONS[net.activations[k]](graph, x, f"{net.activations[k]}_{k}")
    return x


def add_link(graph: Graph, z: str, link: str, output: str | None = None) -> str:
    """Add the inverse link of a loss: softmax, logistic, log or identity."""
    if link == "identity":
        return z if output is None else graph.add("Identity", z, output=output, name="outputs")
    if link == "softmax":
        return graph.add("Softmax", z, output=output, name="softmax", axis=1)
    operator = {"logistic": "Sigmoid", "logit": "Sigmoid", "log": "Exp"}[link]
    return graph.add(operator, z, output=output, name="inverse_link")


def _single(operator: str, **attributes: Any) -> Callable[[Graph, str, str], str]:
    return lambda graph, z, name: graph.add(operator, z, name=name, **attributes)


def _leaky_relu(graph: Graph, z: str, name: str) -> str:
    if graph.dtype == np.float32:
        return graph.add("LeakyRelu", z, name=name, alpha=0.01)
    # An attribute is a float32; runtimes have Max in double, too.
    below = graph.add("Mul", z, graph.constant(f"{name}_slope", 0.01), name=f"{name}_below")
    return graph.add("Max", z, below, name=name)


def _elu(graph: Graph, z: str, name: str) -> str:
    if graph.dtype == np.float32:
        return graph.add("Elu", z, name=name, alpha=1.0)
    # Runtimes have no Elu in double: exp(m) - 1 = tanh(m / 2) (exp(m) + 1), without cancellation.
    zero, half = graph.constant(f"{name}_zero", 0.0), graph.constant(f"{name}_half", 0.5)
    m = graph.add("Min", z, zero, name=f"{name}_negative")
    tanh = graph.add("Tanh", graph.add("Mul", m, half, name=f"{name}_halved"), name=f"{name}_tanh")
    plus = graph.constant(f"{name}_one", 1.0)
    e = graph.add("Add", graph.add("Exp", m, name=f"{name}_exp"), plus, name=f"{name}_more")
    below = graph.add("Mul", tanh, e, name=f"{name}_below")
    return graph.add("Add", graph.add("Relu", z, name=f"{name}_above"), below, name=name)


def _silu(graph: Graph, z: str, name: str) -> str:
    return graph.add("Mul", z, graph.add("Sigmoid", z, name=f"{name}_gate"), name=name)


_ACTIVATIONS: dict[str, Callable[[Graph, str, str], str]] = {
    "relu": _single("Relu"),
    "identity": lambda graph, z, name: z,
    "leaky_relu": _leaky_relu,
    "logistic": _single("Sigmoid"),
    "tanh": _single("Tanh"),
    "elu": _elu,
    "silu": _silu,
}


def add_labels(graph: Graph, p: str, classes: Array, kind: str, output: str) -> tuple[str, str]:
    """Add the predicted labels of a classifier; return their name and that of the probabilities.

    `p` are its outputs after the link. `kind` is "multiclass" (a column for each class), "binary"
    (one column, that of the second class) or "multilabel" (each column a label of its own).
    """
    if kind == "multiclass":
        best = graph.add("ArgMax", p, name="best", axis=1, keepdims=0)
    else:
        above = graph.add("Greater", p, graph.constant("half", 0.5), name="above_half")
        if kind == "multilabel":
            return graph.add("Cast", above, output=output, name="label", to=_INT64), p
        column = graph.add("Cast", above, name="second", to=_INT64)
        axes = graph.constant("column_axis", np.array([1], np.int64))
        best = graph.add("Squeeze", column, axes, name="best")
        rest = graph.add("Sub", graph.constant("one", 1.0), p, name="first")
        p = graph.add("Concat", rest, p, name="both", axis=1)
    labels = graph.constant("classes", classes)
    return graph.add("Gather", labels, best, output=output, name="label", axis=0), p


def add_label_from(graph: Graph, p: str, classes: Array, threshold: float, output: str) -> str:
    """Add the label of one of two classes: the second from a probability on; return its name.

    `p` are the probabilities of both, float64, (n, 2).
    """
    place = graph.constant("second_place", np.asarray(1, np.int64))
    second = graph.add("Gather", p, place, name="of_second", axis=1)
    at = graph.constant("threshold", np.asarray(threshold, np.float64))
    below = graph.add("Less", second, at, name="below_threshold")
    best = graph.add("Cast", graph.add("Not", below, name="above"), name="chosen", to=_INT64)
    labels = graph.constant("classes", classes)
    return graph.add("Gather", labels, best, output=output, name="label", axis=0)


_INT64 = 7  # TensorProto.INT64

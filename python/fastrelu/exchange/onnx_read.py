# SPDX-License-Identifier: BSD-3-Clause
"""ONNX files of networks: chains of the operators that exporters write for them.

The graph is walked from its output back to its input, so that what the output does not need is
not looked at; then the steps found are put together in the order in which they are applied.
Weights are known by where they are used, never by their names.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.exchange import onnx_steps
from fastrelu.exchange.chain import ROWS, Chain
from fastrelu.exchange.extras import need
from fastrelu.network import Network

Array = NDArray[Any]
__all__ = ["from_onnx"]

#: How many nodes the functions of a file may become: a few bytes can mean any number of them.
MOST_NODES = 20_000
#: How many nodes may make a constant, each counted as often as it is asked for.
MOST_FOLDED = 100
#: How many parameters a network may have beside one for each byte of its file: nodes share
#: weights, and an activation before the first or after the last layer brings identity weights.
MOST_MORE = 2**24
#: Bytes of memory that an attribute takes at least.
LEAST_ATTRIBUTE = 256


def from_onnx(path: Any, output: str | None = None) -> Network:
    """Return the network that an ONNX file holds.

    Parameters
    ----------
    path : path-like or onnx.ModelProto
        The file, or what ``onnx.load`` made of it.
    output : str, optional
        The tensor that the network's outputs are, for files that go on after it (a softmax, labels)
        or have several outputs. By default the graph's one output.

    Returns
    -------
    Network
        Of dtype float64 if a parameter is a double, else float32. An activation after the last
        layer is followed by a layer of identity weights, as a network's last layer is linear.

    Raises
    ------
    FileNotFoundError, TypeError
        If there is no such file, or `path` is neither of the two.
    ValueError
        If a node is not one of a network's. The message names the node, its operator, and what of
        it does not fit.
    ImportError
        If onnx is not there.

    Notes
    -----
    Read are chains of Gemm, MatMul and Add, in either order, Relu (also as Max or Clip at 0),
    LeakyRelu (alpha 0.01), Elu (alpha 1), Sigmoid, Tanh and Sigmoid times its input (silu), with
    Identity, Flatten, Reshape, Cast between floating-point types, and Dropout that is not active.
    Weights may be initialisers or constants, behind Identity, Cast, Transpose or Reshape. The
    network may have 16 million parameters more than its file has bytes, which is refused beyond
    that: nodes may share weights, and the layers of identity weights are not in the file.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 3, 1])
    >>> net.to_onnx("net.onnx")
    >>> bool((fastrelu.from_onnx("net.onnx").parameters == net.parameters).all())
    True
    """
    model = _loaded(path)
    graph = _Graph(model)
    tensor = graph.chosen(output)
    steps: list[Callable[[Chain], None]] = []
    while tensor != graph.input:
        node = graph.producer(tensor)
        read = onnx_steps.STEPS.get(node.operator) if not node.domain else None
        if read is None:
            raise ValueError(f"{node.where}: this operator is none that a network here has")
        tensor, step = read(graph, node)
        if step is not None:
            steps.append(step)
    chain = Chain("path", most=graph.most, sizes=graph.sizes())
    for step in reversed(steps):
        step(chain)
    return chain.network()


def _loaded(path: Any) -> Any:
    onnx = need("onnx", "onnx")
    inliner = need("onnx.inliner", "onnx")
    if isinstance(path, onnx.ModelProto):
        model = path
    else:
        try:
            name = os.fspath(path)
        except TypeError:
            raise TypeError(
                f"path: expected a path or an onnx.ModelProto, got {type(path).__name__}"
            ) from None
        if not os.path.isfile(name):
            raise FileNotFoundError(f"path: no such file: {name!r}")
        try:
            model = onnx.load(name)
        except MemoryError:
            raise
        except Exception as error:  # what protobuf raises differs by its version
            raise ValueError(f"path: {name!r} is not an ONNX file ({error})") from error
    if not model.HasField("graph") or not model.graph.output:
        raise ValueError("path: this is not an ONNX file with a graph and its outputs")
    _require_text(model)
    if not model.functions:
        return model
    _refuse_endless_functions(model)
    try:
        return inliner.inline_local_functions(_with_defaults(model))
    except MemoryError:
        raise
    except Exception as error:  # ValidationError, RuntimeError, ...
        raise ValueError(f"path: the file's own functions do not fit ({error})") from error


def _refuse_endless_functions(model: Any) -> None:
    """Raise ValueError for functions that become very many nodes, as they call others twice."""
    functions = {_key(function, function.name): function for function in model.functions}
    called = {key: _called(function.node, functions) for key, function in functions.items()}
    become: dict[Any, int] = {}  # how many nodes a call of each function becomes
    todo = [(key, False) for key in functions]
    while todo:
        key, known = todo.pop()
        if known:
            inner = sum(become[each] for each in called[key])
            become[key] = min(len(functions[key].node) + inner, MOST_NODES + 1)
        elif key not in become:
            become[key] = 0  # until it is known; the one that calls itself is refused by onnx
            todo += [(key, True), *((each, False) for each in set(called[key]))]
    total = sum(become[key] for key in _called(model.graph.node, functions))
    if total > MOST_NODES:
        raise ValueError(
            f"path: the file's own functions become more than {MOST_NODES} nodes, as they call "
            "one another; a chain of layers has fewer"
        )


def _with_defaults(model: Any) -> Any:
    """Return a model whose calls of its own functions say the attributes that they leave out.

    onnx's inliner does not look at the functions' defaults: what they are for gets those of its
    operator, LeakyRelu an alpha of 0.01.
    """
    if not any(function.attribute_proto for function in model.functions):
        return model
    made = type(model)()
    made.CopyFrom(model)
    defaults = {_key(f, f.name): list(f.attribute_proto) for f in made.functions}
    groups = [made.graph.node, *(function.node for function in made.functions)]
    left = MOST_MORE + model.ByteSize()
    for _, default in _left_out(groups, defaults):
        left -= max(default.ByteSize(), LEAST_ATTRIBUTE)
        if left < 0:
            raise ValueError(
                "path: the defaults of the file's own functions take too much memory in all their "
                "calls"
            )
    for node, default in _left_out(groups, defaults):
        node.attribute.add().CopyFrom(default)
    return made


def _left_out(groups: Iterable[Any], defaults: dict[Any, list[Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield the nodes that call functions, with each default that they leave out.

    Nodes in graphs of attributes are among them.

    Raises
    ------
    ValueError
        If a call passes on an attribute that its own function may not have been given.
    """
    for node in itertools.chain.from_iterable(groups):
        graphs = [graph for each in node.attribute for graph in (each.g, *each.graphs)]
        yield from _left_out((graph.node for graph in graphs), defaults)
        given = {attribute.name: attribute for attribute in node.attribute}
        for default in defaults.get(_key(node, node.op_type), ()):
            if default.name not in given:
                yield node, default
            elif given[default.name].ref_attr_name:
                raise ValueError(
                    f"path: node {node.name!r} ({node.domain}.{node.op_type}): passes on an "
                    f"attribute in place of {default.name!r}, which has a default"
                )


def _key(message: Any, name: str) -> tuple[str, str, str]:
    return message.domain, name, getattr(message, "overload", "")


def _called(nodes: Any, functions: dict[Any, Any]) -> list[Any]:
    """Return the functions that nodes and the graphs in their attributes call."""
    found: list[Any] = []
    for node in nodes:
        key = _key(node, node.op_type)
        found += [key] if key in functions else []
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                found += _called(graph.node, functions)
    return found


def _require_text(model: Any) -> None:
    """Raise ValueError for a name that is not UTF-8, which protobuf gives as it is, as bytes."""
    graph = model.graph
    named = [*graph.input, *graph.output, *graph.initializer, *graph.node, *model.functions]
    found = [o.domain for o in model.opset_import] + [each.name for each in named]
    for node in [*graph.node, *(n for function in model.functions for n in function.node)]:
        found += [node.op_type, node.domain, *node.input, *node.output]
        found += [attribute.name for attribute in node.attribute]
    for name in found:
        if not isinstance(name, str):
            raise ValueError(f"path: this is not an ONNX file: the name {name!r} is not UTF-8")


@dataclass
class _Node:
    """A node: its inputs ("" where one is left out), its attributes, and how messages name it."""

    operator: str
    domain: str
    inputs: list[str]
    attributes: dict[str, Any]
    where: str

    def input(self, k: int) -> str:
        return self.inputs[k] if k < len(self.inputs) else ""

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number, or what stands for one that is left out.

        Raises
        ------
        ValueError
            If it is something else, as it may be in a damaged file.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, (int, float)):
            raise ValueError(f"{self.where}: {name}: expected a number, got {type(value).__name__}")
        return value

    def numbers(self, name: str) -> list[Any] | None:
        """Return an attribute of several numbers; None if it is left out.

        Raises
        ------
        ValueError
            If it is something else.
        """
        value = self.attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(n, (int, float)) for n in value):
            got = type(value).__name__
            raise ValueError(f"{self.where}: {name}: expected several numbers, got {got}")
        return value


class _Graph:
    """The graph: who makes a tensor, and which tensors are constants."""

    def __init__(self, model: Any) -> None:
        self._onnx, self._numpy = need("onnx", "onnx"), need("onnx.numpy_helper", "onnx")
        graph = model.graph
        self.opset = max(
            (o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1
        )
        self._initializers = {i.name: i for i in graph.initializer}
        inputs = [i for i in graph.input if i.name not in self._initializers]
        if len(inputs) != 1:
            raise ValueError(f"path: expected a graph of one input, got {[i.name for i in inputs]}")
        self.input: str = inputs[0].name
        dims = inputs[0].type.tensor_type.shape.dim
        self.shape = [d.dim_value if d.dim_value > 0 else None for d in dims]
        self.outputs: list[str] = [o.name for o in graph.output]
        self.most = MOST_MORE + model.ByteSize()
        self._left = self.most
        self._made: dict[str, _Node] = {}
        # What a node makes beside its first output, as Dropout its mask: no layer's outputs.
        self._beside: dict[str, _Node] = {}
        # How many nodes make each constant. What is none is told from that, without a walk.
        self._folds: dict[str, int] = dict.fromkeys(self._initializers, 0)
        known = {self.input, "", *self._initializers}
        for k, node in enumerate(graph.node):
            made = self._node(node, k)
            # In this order, and each tensor made once: no walk along the nodes goes in a circle.
            for name in node.input:
                if name not in known:
                    raise ValueError(f"{made.where}: no node before it makes its input {name!r}")
            for name in filter(None, node.output):
                if name in known:
                    raise ValueError(f"{made.where}: makes {name!r}, which is there already")
                known.add(name)
                if name != node.output[0]:
                    self._beside[name] = made
                    continue
                self._made[name] = made
                folds = self._count_folds(made)
                if folds is not None:
                    self._folds[name] = folds

    def _count_folds(self, node: _Node) -> int | None:
        """Return how many nodes are worked out for what a node makes; None for no constant."""
        if node.domain:
            return None
        if node.operator == "Constant":
            return 1
        if node.operator not in ("Identity", "Transpose", "Cast", "Reshape"):
            return None
        needed = [node.input(k) for k in range(2 if node.operator == "Reshape" else 1)]
        if not all(name in self._folds for name in needed):
            return None
        return 1 + sum(self._folds[name] for name in needed)

    def take(self, node: _Node, n: int) -> None:
        """Count a layer's parameters, which are in memory from now on.

        Raises
        ------
        ValueError
            If they are too many: nodes share weights, so a small file may stand for any number.
        """
        self._left -= n
        if self._left < 0:
            raise ValueError(
                f"{node.where}: up to this node, the layers have more than {self.most} parameters, "
                "as nodes share weights"
            )

    def _node(self, node: Any, k: int) -> _Node:
        attributes = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        domain = "" if node.domain in ("", "ai.onnx") else node.domain
        name = repr(node.name) if node.name else f"{k}, which makes {', '.join(node.output)!r},"
        operator = f"{domain}.{node.op_type}" if domain else node.op_type
        where = f"path: node {name} ({operator})"
        return _Node(node.op_type, domain, list(node.input), attributes, where)

    def chosen(self, output: str | None) -> str:
        if output is None:
            if len(self.outputs) != 1:
                raise ValueError(f"output: expected one of the graph's outputs {self.outputs}")
            return self.outputs[0]
        if not isinstance(output, str):
            raise TypeError(f"output: expected a str, got {type(output).__name__}")
        if output not in self._made and output not in self._beside:
            raise ValueError(f"output: no node of the graph makes a tensor {output!r}")
        return output

    def producer(self, tensor: str) -> _Node:
        if tensor in self._beside:
            raise ValueError(
                f"{self._beside[tensor].where}: its output {tensor!r} is not its first one, and "
                "no other is a layer's"
            )
        if tensor not in self._made:
            raise ValueError(f"path: the graph has no node that makes the tensor {tensor!r}")
        return self._made[tensor]

    def made_by(self, tensor: str) -> _Node | None:
        """Return ONNX's own operator that makes a tensor; None for the graph's input and others.

        An operator of another domain may have the name of one of ONNX's, and do something else.
        """
        made = self._made.get(tensor)
        return None if made is None or made.domain else made

    def width(self) -> int | None:
        """Return the number of inputs in a row, where the file says it."""
        dims: list[Any] = self.shape[1:]
        return None if None in dims or not dims else math.prod(dims)

    def sizes(self) -> list[int | None] | None:
        """Return the sizes of the input: ROWS, and those behind; None where nothing is said."""
        dims: list[int | None] = list(self.shape)
        return [ROWS, *dims[1:]] if len(dims) > 1 else dims or None

    def constant(self, tensor: str) -> Array | None:
        """Return the value of a tensor that does not depend on the input; else None."""
        if tensor not in self._folds:
            return None
        if tensor in self._initializers:
            return self._array(self._initializers[tensor])
        node = self._made[tensor]
        if self._folds[tensor] > MOST_FOLDED:
            raise ValueError(f"{node.where}: a constant that more than {MOST_FOLDED} nodes make")
        if node.operator == "Constant":
            return self._constant_node(node)
        value = self.constant(node.input(0))
        assert value is not None  # else it were none of _folds
        try:
            return self._folded(node, value)
        except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                f"{node.where}: a constant that is not as it should be ({error})"
            ) from error

    def _folded(self, node: _Node, value: Array) -> Array:
        """Return what an operator makes of a constant."""
        if node.operator == "Identity":
            return value
        if node.operator == "Transpose":
            return np.transpose(value, node.numbers("perm"))
        if node.operator == "Cast":
            dtype = self._onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
            if dtype.kind in "OSUc":
                raise ValueError(f"expected a cast to real numbers, got {dtype}")
            return value.astype(dtype)
        shape = self.constant(node.input(1))
        if shape is None or shape.dtype.kind not in "iu":
            got = "none" if shape is None else shape.dtype
            raise ValueError(f"expected whole numbers as its shape, got {got}")
        sizes = shape.ravel().tolist()
        if not node.number("allowzero", 0):
            sizes = [n if n else value.shape[k] for k, n in enumerate(sizes)]
        return value.reshape(sizes)

    def _constant_node(self, node: _Node) -> Array:
        for name, value in node.attributes.items():
            if name == "value" and isinstance(value, self._onnx.TensorProto):
                return self._array(value)
            if name in ("value_float", "value_int"):
                dtype = np.float32 if name == "value_float" else np.int64
                return np.asarray(node.number(name, 0), dtype)
            if name in ("value_floats", "value_ints"):
                numbers = node.numbers(name) or []
                return np.asarray(numbers, np.float32 if name == "value_floats" else np.int64)
        raise ValueError(f"{node.where}: expected a tensor or numbers as its value")

    def _array(self, tensor: Any) -> Array:
        try:
            value = np.asarray(self._numpy.to_array(tensor))
        except Exception as error:  # what onnx raises differs by what is wrong
            raise ValueError(f"path: tensor {tensor.name!r} is damaged ({error!r})") from error
        if value.dtype.kind in "OSUc":
            raise ValueError(
                f"path: tensor {tensor.name!r}: expected real numbers, got {_kind(value.dtype)}"
            )
        # Half and bfloat16 are floats of fewer digits.
        return value if value.dtype.kind in "fiub" and value.itemsize > 2 else _wider(value)


def _wider(value: Array) -> Array:
    if value.dtype.kind == "f" or value.dtype.name == "bfloat16":
        return value.astype(np.float32)
    return value


def _kind(dtype: Any) -> str:
    return "texts" if dtype.kind in "OSU" else str(dtype)

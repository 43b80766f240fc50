# SPDX-License-Identifier: BSD-3-Clause
"""Networks and estimators as ONNX files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue, whole_files
from fastrelu.exchange.extras import need
from fastrelu.exchange.onnx_graph import Graph, add_labels, add_link, add_network

if TYPE_CHECKING:
    from fastrelu.network import Network

#: Name, dtype and shape after the rows.
Tensors = dict[str, tuple[Any, list[int]]]
__all__ = ["write_estimator", "write_network"]

#: Of the files written. Every runtime since 2022 reads it; no operator here has changed since.
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
#: A file in one piece, as protocol buffers allow it, has at most so many bytes.
LARGEST = 2**31 - 2**20


def write_network(net: Network, path: Any) -> None:
    """Write a network as an ONNX file; ``net.to_onnx(path)`` calls this.

    Parameters
    ----------
    net : Network
        The network.
    path : path-like
        The file.

    Raises
    ------
    ImportError, ValueError, OSError
        If onnx is not there, the network is too large, or the file cannot be written.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu.exchange import onnx_write
    >>> onnx_write.write_network(fastrelu.Network([2, 1]), "net.onnx")
    """
    graph = Graph(net.dtype)
    refuse_large(net, net.dtype)
    add_network(graph, net, "X", "Y")
    n_in, n_out = net.layer_sizes[0], net.layer_sizes[-1]
    write_graph(path, graph, {"X": (net.dtype, [n_in])}, {"Y": (net.dtype, [n_out])})


def write_estimator(estimator: Any, path: Any) -> None:
    """Write a fitted estimator as an ONNX file; ``MLPClassifier.to_onnx(path)`` calls this.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        It has been fitted.
    path : path-like
        The file.

    Raises
    ------
    ImportError, TypeError, ValueError, OSError
        If onnx is not there, the labels have no type in ONNX, the network is too large, or the
        file cannot be written.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu.exchange import onnx_write
    >>> mlp = fastrelu.MLPRegressor(max_iter=500).fit([[0.0], [1.0], [2.0]], [1, 2, 3])
    >>> onnx_write.write_estimator(mlp, "mlp.onnx")
    """
    net = estimator.network_
    graph = Graph(net.dtype)
    refuse_large(net, net.dtype)
    label, scores = add_estimator(graph, estimator, "X", ("label", "probabilities"))
    n_out = net.layer_sizes[-1]
    if label is None:
        outputs = {scores: (net.dtype, [n_out] if n_out > 1 else [])}
    else:
        kind = classifier_kind(estimator)
        classes = onnx_classes(estimator)
        wide = [n_out] if kind == "multilabel" else []
        labels = np.dtype(np.int64) if wide else classes.dtype
        outputs = {label: (labels, wide)}
        outputs[scores] = (net.dtype, [n_out if kind != "binary" else 2])
    write_graph(path, graph, {"X": (net.dtype, [net.layer_sizes[0]])}, outputs)


def add_estimator(
    graph: Graph, estimator: Any, x: str, names: tuple[str, str], columns: bool = False
) -> tuple[str | None, str]:
    """Add a fitted estimator on the tensor `x`; return the names of labels and scores.

    Labels are None for a regressor, whose predictions get the second name, as "predictions" where
    that is "probabilities". `columns` keeps the predictions of one target as a column.
    """
    link = _catalogue.LOSSES[estimator._link()].link
    z = add_network(graph, estimator.network_, x)
    if not hasattr(estimator, "classes_"):
        name = "predictions" if names[1] == "probabilities" else names[1]
        if columns or estimator.network_.layer_sizes[-1] > 1:
            return None, add_link(graph, z, link, name)
        axes = graph.constant("column_axis", np.array([1], np.int64))
        p = add_link(graph, z, link)
        return None, graph.add("Squeeze", p, axes, output=name, name="column")
    kind, classes = classifier_kind(estimator), onnx_classes(estimator)
    p = add_link(graph, z, link)
    label, p = add_labels(graph, p, classes, kind, names[0])
    return label, graph.add("Identity", p, output=names[1], name="probabilities")


def classifier_kind(estimator: Any) -> str:
    """Return "multiclass", "binary" or "multilabel"."""
    if estimator.network_.layer_sizes[-1] == 1:
        return "binary"
    softmax = _catalogue.LOSSES[estimator._link()].link == "softmax"
    return "multiclass" if softmax else "multilabel"


def onnx_classes(estimator: Any) -> NDArray[Any]:
    """Return the labels of a classifier as `label_array` does."""
    classes = np.asarray(estimator.classes_)
    if len(classes) == 1:  # the network has a column for a second one all the same
        classes = np.repeat(classes, 2)
    return label_array(classes)


def label_array(classes: NDArray[Any]) -> NDArray[Any]:
    """Return labels in a dtype that ONNX has: int64, a float, bool or, as objects, str."""
    if classes.dtype.kind == "U" or (
        classes.dtype == object and all(isinstance(c, str) for c in classes)
    ):
        return classes.astype(object)
    if classes.dtype.kind in "iu" and (classes.dtype != np.uint64 or classes.max() < 2**63):
        return classes.astype(np.int64)
    if classes.dtype.kind == "b" or classes.dtype in (np.float32, np.float64):
        return classes
    raise TypeError(
        f"ONNX has no labels of dtype {classes.dtype}: the classes are {classes.tolist()[:5]}"
    )


def refuse_large(net: Network, dtype: np.dtype[Any]) -> None:
    size = net.n_parameters * dtype.itemsize
    if size > LARGEST:
        raise ValueError(
            f"the network has {size} bytes of parameters; an ONNX file in one piece holds at most "
            f"{LARGEST}"
        )


def write_graph(path: Any, graph: Graph, inputs: Tensors, outputs: Tensors) -> None:
    """Write a graph as an ONNX file that onnx's checker accepts.

    Parameters
    ----------
    path : path-like
        The file.
    graph : Graph
        The graph.
    inputs, outputs : dict of str to (dtype, list of int)
        What each is, and its shape after the rows.

    Raises
    ------
    ImportError, OSError
        If onnx is not there, or the file cannot be written.
    MemoryError
        If there is not enough for the file.
    """
    onnx = need("onnx", "onnx")
    helper = need("onnx.helper", "onnx")
    numpy_helper = need("onnx.numpy_helper", "onnx")
    from fastrelu._version import __version__

    def tensors(described: Tensors) -> list[Any]:
        kind = helper.np_dtype_to_tensor_dtype
        return [
            helper.make_tensor_value_info(name, kind(np.dtype(dtype)), ["n", *shape])
            for name, (dtype, shape) in described.items()
        ]

    nodes = [
        helper.make_node(n.operator, n.inputs, [n.output], name=f"{n.operator}_{k}", **n.attributes)
        for k, n in enumerate(graph.nodes)
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    with _encoding():
        made = helper.make_graph(nodes, "fastrelu", tensors(inputs), tensors(outputs), constants)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(n.attributes.get("domain") for n in graph.nodes):
            opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
        model = helper.make_model(
            made,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="fastrelu",
            producer_version=__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString(deterministic=True)
    whole_files.write_bytes(path, content)


@contextmanager
def _encoding() -> Iterator[None]:
    """Turn protobuf's error into MemoryError: messages that are too large are refused before."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "EncodeError":  # its module differs by protobuf's version
            raise
        raise MemoryError(f"path: there is not enough memory for the ONNX file ({error})") from None

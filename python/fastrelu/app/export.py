# SPDX-License-Identifier: BSD-3-Clause
"""A trained model as an ONNX file, from raw columns to labels or values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import Network
from fastrelu.app.errors import ConfigError
from fastrelu.app.preprocess.categories import OneHot
from fastrelu.app.preprocess.column_inputs import ColumnInputs
from fastrelu.app.preprocess.matrix_inputs import ByteInputs, MatrixInputs
from fastrelu.app.preprocess.piece_inputs import FARTHEST, PieceInputs, PieceNumber
from fastrelu.exchange.onnx_graph import (
    Graph,
    add_label_from,
    add_labels,
    add_link,
    add_network,
)
from fastrelu.exchange.onnx_write import Tensors, label_array, refuse_large, write_graph

if TYPE_CHECKING:
    from fastrelu.app.model import Model
    from fastrelu.app.preprocess.standardize import Scaling

FLOATS = {"float32": 1, "float64": 11}  # TensorProto's numbers
PREFIX = "fastrelu/"  # of names inside, which columns then have not
# Centres and means are added by Sum of two: onnxruntime 1.32 leaves out an Add or Sub of one double
# below 1e-46, which is no 0 where all numbers are as small.


def write_onnx(model: Model, path: Any) -> None:
    """Write a model as an ONNX file.

    Parameters
    ----------
    model : Model
        The model.
    path : path-like
        The file.

    Raises
    ------
    ConfigError
        If something of it is not to be had in ONNX; nothing is written then.
    """
    networks = networks_of(model)
    graph = Graph(networks[0].dtype, PREFIX)
    inputs, x = _add_inputs(graph, model)
    each = []
    for k, net in enumerate(networks):
        graph.prefix = f"{PREFIX}member_{k}/" if len(networks) > 1 else PREFIX
        each.append(add_network(graph, net, x))
    graph.prefix = PREFIX
    outputs = _add_outputs(graph, model, each)
    for name in inputs:
        if name in outputs or name.startswith(PREFIX):
            what = "an output" if name in outputs else "what is inside"
            raise ConfigError(
                f"a column is named {name!r}, as {what} of the ONNX file is; rename it and train "
                "again"
            )
    write_graph(path, graph, inputs, outputs)


def network_of(model: Model) -> Network:
    """Return the network of a model that has one; ConfigError for an ensemble."""
    if not isinstance(model.network, Network):
        raise ConfigError(
            "the model is an ensemble, and a C file has one network: --onnx writes all of it, and "
            "fastrelu train --preset single trains one network"
        )
    return networks_of(model)[0]


def networks_of(model: Model) -> list[Network]:
    """Return the networks of a model; ConfigError if they are too large."""
    net = model.network
    networks = [net] if isinstance(net, Network) else net.networks
    for each in networks:
        try:
            refuse_large(each, each.dtype)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    return networks


def _add_inputs(graph: Graph, model: Model) -> tuple[Tensors, str]:
    """Add what makes the network's inputs of raw ones; return those, and the result's name."""
    inputs = model.inputs
    if isinstance(inputs, ByteInputs):
        cast = graph.add("Cast", "X", name="numbers", to=FLOATS[graph.dtype.name])
        return {"X": (np.uint8, [inputs.n_inputs])}, cast
    if isinstance(inputs, MatrixInputs):
        parts = _add_numbers(graph, "X", inputs.scaling, np.flatnonzero(inputs.scaling.gaps))
        return {"X": (np.float64, [len(inputs.column_names)])}, _joined(graph, parts)
    if isinstance(inputs, ColumnInputs):
        return _add_columns(graph, inputs)
    if isinstance(inputs, PieceInputs):
        return _add_pieces(graph, inputs)
    raise ConfigError("the model has sparse columns, which an ONNX export does not write")


def _add_pieces(graph: Graph, inputs: PieceInputs) -> tuple[Tensors, str]:
    tensors: Tensors = {}
    parts: list[str] = []
    dates = [number.name for number in inputs.numbers if number.part]
    if dates:
        raise ConfigError(
            f"column {dates[0]!r} is a date, which an ONNX export does not write; --ignore it, or "
            "put its parts into columns of numbers, and train again"
        )
    for k, number in enumerate(inputs.numbers):
        tensors[number.name] = (np.float64, [1])
        parts += _add_number(graph, number, k)
    for k, text in enumerate(inputs.texts):
        tensors[text.name] = (np.dtype(object), [1])
        parts.append(_add_categories(graph, text.name, text.categories, k))
    return tensors, _joined(graph, parts)


def _add_number(graph: Graph, number: PieceNumber, k: int) -> list[str]:
    """Add what `PieceNumber.write` makes of a column of doubles, (n, 1), or NaN of an infinity."""

    def doubles(name: str, value: Any) -> str:
        return graph.constant(f"{name}_{k}", np.asarray(value, np.float64))

    def add(operator: str, *names: str, name: str, **more: Any) -> str:
        return graph.add(operator, *names, name=f"{name}_{k}", **more)

    edges, to = number.edges, FLOATS[graph.dtype.name]
    missing = add("IsNaN", number.name, name="missing")
    centre = doubles("centre", number.centre)
    x = add("Where", missing, centre, number.name, name="filled")
    x = add("Clip", x, doubles("least", edges[0]), doubles("most", edges[-1]), name="in_range")
    scaled = add("Sum", x, doubles("minus_centre", -number.centre), name="centred")
    scaled = add("Div", scaled, doubles("width", number.width), name="scaled")
    ends = doubles("nearest", -FARTHEST), doubles("farthest", FARTHEST)
    made = add("Clip", scaled, *ends, name="number")
    if number.n_pieces:
        share = add("Sub", x, doubles("edges", edges[:-1]), name="beyond")
        share = add("Div", share, doubles("widths", np.diff(edges)), name="share")
        pieces = add("Clip", share, doubles("zero", 0.0), doubles("one", 1.0), name="pieces")
        made = add("Concat", made, pieces, name="joined", axis=1)
    if number.gap:
        made = add("Where", missing, doubles("nothing", 0.0), made, name="there")
    infinite = add("IsInf", number.name, name="infinite")  # of the column: made is in range
    made = add("Where", infinite, doubles("refused", np.nan), made, name="finite")
    flags = [add("Cast", missing, name="is_missing", to=to)] if number.indicator else []
    return [add("Cast", made, name="inputs", to=to), *flags]


def _add_columns(graph: Graph, inputs: ColumnInputs) -> tuple[Tensors, str]:
    tensors: Tensors = {}
    parts: list[str] = []
    if inputs.parts:
        dates = [name for name, part in inputs.parts if part]
        if dates:
            raise ConfigError(f"column {dates[0]!r} is a date, which an ONNX export does not write")
        names = [name for name, _ in inputs.parts]
        tensors |= {name: (np.float64, [1]) for name in names}
        x = _joined(graph, names, "columns")
        parts += _add_numbers(graph, x, inputs.scaling, np.flatnonzero(inputs.scaling.gaps))
    for k, text in enumerate(inputs.texts):
        if not isinstance(text, OneHot):
            raise ConfigError(
                f"column {text.name!r} is hashed (--categories hash), which an ONNX export does "
                "not write"
            )
        tensors[text.name] = (np.dtype(object), [1])
        parts.append(_add_categories(graph, text.name, text.categories, k))
    return tensors, _joined(graph, parts)


def _joined(graph: Graph, parts: Sequence[str], name: str = "inputs") -> str:
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, name=name, axis=1)


def _add_numbers(graph: Graph, x: str, scaling: Scaling, indicators: NDArray[np.intp]) -> list[str]:
    """Add what a scaling does to doubles (n, p): the numbers, then what says they were missing.

    A number that is too large for the network's dtype, which `predict` refuses, becomes NaN.
    """
    if scaling.knots is not None:
        raise ConfigError("the model has normal scores (--scaling quantile), which an ONNX export "
                          "does not write")  # fmt: skip
    to = FLOATS[graph.dtype.name]

    def doubles(name: str, values: NDArray[np.float64]) -> str:
        return graph.constant(name, np.asarray(values, np.float64))

    missing = graph.add("IsNaN", x, name="missing")
    # Where a column is constant the quotient is 0.
    divisor = np.where(scaling.std > 0, scaling.std, np.inf)
    filled = graph.add("Where", missing, doubles("fill", scaling.fill), x, name="filled")
    centred = graph.add("Sum", filled, doubles("minus_mean", -scaling.mean), name="centred")
    scaled = graph.add("Div", centred, doubles("std", divisor), name="scaled_doubles")
    numbers = graph.add("Cast", scaled, name="scaled_numbers", to=to)
    infinite, nan = graph.add("IsInf", numbers, name="infinite"), graph.constant("refused", np.nan)
    parts = [graph.add("Where", infinite, nan, numbers, name="finite")]
    if len(indicators):
        flags = graph.add("Cast", missing, name="flags", to=to)
        which = graph.constant("indicators", indicators.astype(np.int64))
        parts.append(graph.add("Gather", flags, which, name="is_missing", axis=1))
    return parts


def _add_categories(graph: Graph, x: str, categories: list[str], k: int) -> str:
    """Add the inputs of a text column (n, 1): a 1 for its category, or zeros alone."""
    n = len(categories)
    place = graph.add(
        "LabelEncoder", x, name=f"category_{k}", domain="ai.onnx.ml", keys_strings=categories,
        values_int64s=list(range(n)), default_int64=-1,
    )  # fmt: skip
    each = graph.constant(f"categories_{k}", np.arange(n, dtype=np.int64)[np.newaxis])
    same = graph.add("Equal", place, each, name=f"is_category_{k}")
    return graph.add("Cast", same, name=f"one_hot_{k}", to=FLOATS[graph.dtype.name])


def _add_outputs(graph: Graph, model: Model, each: Sequence[str]) -> Tensors:
    """Add what the networks' outputs stand for, in the mean; return the outputs of the file."""
    link = model.loss.info.link
    if model.task == "classification":
        if link != "softmax":
            raise ConfigError(f"the model's classes have the link {link}, not softmax")
        classes = label_array(model.target.labels)
        at = model.target.threshold
        if at is None:
            p = _mean(graph, each, link, graph.dtype.name)
            label, p = add_labels(graph, p, classes, "multiclass", "label")
        else:
            exact = "float64" if len(each) > 1 else graph.dtype.name  # as predict_proba has them
            shares = _mean(graph, each, link, exact)
            double = _cast(graph, shares, "float64", "double_shares")
            label = add_label_from(graph, double, classes, at, "label")
            p = _cast(graph, shares, graph.dtype.name, "shares")
        graph.add("Identity", p, output="probabilities", name="probabilities")
        wide = [len(model.classes)]
        return {label: (classes.dtype, []), "probabilities": (graph.dtype, wide)}
    value = _mean(graph, each, link, "float64")
    factors = {key: np.asarray(v, np.float64) for key, v in
               (("target_std", model.target.std), ("target_mean", model.target.mean))}  # fmt: skip
    names = {key: graph.constant(key, value) for key, value in factors.items()}
    value = graph.add("Mul", value, names["target_std"], name="unscaled")
    value = graph.add("Sum", value, names["target_mean"], name="values")
    axes = graph.constant("column_axis", np.array([1], np.int64))
    return {graph.add("Squeeze", value, axes, output="prediction", name="column"): (np.float64, [])}


def _mean(graph: Graph, each: Sequence[str], link: str, dtype: str) -> str:
    """Add the mean of the networks' predictions: of what comes of their outputs by the link."""
    if len(each) == 1:
        z = each[0] if dtype == graph.dtype.name else _cast(graph, each[0], dtype, "double")
        return add_link(graph, z, link)
    found = []
    for k, z in enumerate(each):
        graph.prefix = f"{PREFIX}member_{k}/"
        found.append(add_link(graph, _cast(graph, z, "float64", "double"), link))
    graph.prefix = PREFIX
    total = found[0]
    for k, one in enumerate(found[1:], 1):  # onnxruntime has no Mean of doubles
        total = graph.add("Add", total, one, name=f"sum_{k}")
    count = graph.constant("members", np.asarray(len(found), np.float64))
    mean = graph.add("Div", total, count, name="members_mean")
    return mean if dtype == "float64" else _cast(graph, mean, dtype, "members_mean_cast")


def _cast(graph: Graph, z: str, dtype: str, name: str) -> str:
    return graph.add("Cast", z, name=name, to=FLOATS[dtype])

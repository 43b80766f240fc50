# SPDX-License-Identifier: BSD-3-Clause
"""onnxruntime on the CPU: the same net as an ONNX graph of Gemm and Relu nodes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.data import make_parameters, make_rows
from benchmarks.implementations import Loop
from benchmarks.nets import net_of


def make_model(net, from_bytes: bool):
    nodes, constants = [], []
    name = "X"
    if from_bytes:
        constants.append(numpy_helper.from_array(np.float32(1 / 255), "scale"))
        nodes.append(helper.make_node("Cast", ["X"], ["cast"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", ["cast", "scale"], ["scaled"]))
        name = "scaled"
    weights, biases = make_parameters(net)
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        constants += [numpy_helper.from_array(W, f"W{k}"), numpy_helper.from_array(b, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [name, f"W{k}", f"b{k}"], [f"z{k}"]))
        name = f"z{k}"
        if k + 1 < len(weights):
            nodes.append(helper.make_node("Relu", [name], [f"a{k}"]))
            name = f"a{k}"
    kind = TensorProto.UINT8 if from_bytes else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("X", kind, ["n", net.widths[0]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", net.widths[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model.SerializeToString()


def forward(spec: dict):
    """One `session.run` on a row or on all rows, or one for each `chunk` of them."""
    net = net_of(spec)
    layout = spec.get("layout", "contiguous")
    rows = 1 if spec.get("one_row") else spec.get("rows", net.batch)
    X = make_rows(net, rows, layout)
    session = onnxruntime.InferenceSession(
        make_model(net, layout == "uint8"), providers=["CPUExecutionProvider"]
    )
    chunk = spec.get("chunk", rows)

    def call():
        for first in range(0, rows, chunk):
            session.run(None, {"X": np.ascontiguousarray(X[first : first + chunk])})

    if rows == chunk and layout != "strided":
        return Loop(lambda: session.run(None, {"X": X}))
    return Loop(call)


def info() -> dict:
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}


TASKS = {"forward": forward}

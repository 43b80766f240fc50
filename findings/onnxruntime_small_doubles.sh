#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# onnxruntime leaves out an addition of a small float64 constant, as if it were 0.
#
# Expected: -(-x + c) and -(-x - c) are x - c and x + c, for x of the size of c; optimizing a graph changes no result.
# Seen (onnxruntime 1.32.0, onnx 1.23.2, CPU): by default both are x where c, one double, is below 1e-46, that is
#   where it is 0 in float32. Without optimizations, and with Sum in place of Add, they are right.
# What it means: columns whose numbers are all so small (likelihoods, say) are centred wrongly by an Add or Sub;
#   fastrelu's export writes Sum (docs/exchange.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

C = 1e-60


def found(operator, optimized):
    kind = TensorProto.DOUBLE
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node(operator, ["a", "c"], ["b"]),
             helper.make_node("Neg", ["b"], ["y"])]
    graph = helper.make_graph(
        nodes, "three", [helper.make_tensor_value_info("x", kind, [1])],
        [helper.make_tensor_value_info("y", kind, [1])],
        [numpy_helper.from_array(np.array(C), "c")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return float(session.run(None, {"x": np.array([3 * C])})[0][0])


each = [(operator, on) for operator in ("Add", "Sub", "Sum") for on in (True, False)]
seen = {(operator, on): round(found(operator, on) / C) for operator, on in each}
print("expected: Add 2, Sub 4, Sum 2, optimized or not")
print("seen:", {f"{o}{', optimized' if on else ''}": value for (o, on), value in seen.items()})
assert seen["Add", True] == seen["Sub", True] == 3
assert seen["Add", False] == seen["Sum", False] == seen["Sum", True] == 2 and seen["Sub", False] == 4
PYTHON

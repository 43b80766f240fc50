#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# onnxruntime runs the mean of several tensors in float32 alone, their sum in float64 too.
#
# Expected: ONNX defines Mean and Sum for the same types, double among them; a model of either, of two double
#   inputs, that onnx.checker accepts with its full check runs.
# Seen (onnxruntime 1.32.0, onnx 1.23.2, CPU): a session of Mean of doubles is refused with NOT_IMPLEMENTED,
#   "could not find an implementation"; Mean of floats runs, and so do Sum, Add, Max and Min of doubles.
# What it means: an ensemble whose members are averaged in float64 has to be written as sums and one Div;
#   fastrelu's export does that (docs/exchange.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def runs(operator, kind):
    names = ["a", "b"]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"])], "two",
        [helper.make_tensor_value_info(name, kind, [2]) for name in names],
        [helper.make_tensor_value_info("y", kind, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        assert "NOT_IMPLEMENTED" in str(error), error
        return False
    dtype = np.float64 if kind == TensorProto.DOUBLE else np.float32
    session.run(None, {name: np.array([1, 3], dtype) for name in names})
    return True


print("onnxruntime", onnxruntime.__version__, "- expected: all of them run")
for operator in ("Mean", "Sum", "Add", "Max", "Min"):
    found = runs(operator, TensorProto.FLOAT), runs(operator, TensorProto.DOUBLE)
    print(f"{operator}: float {found[0]}, double {found[1]}")
    wanted = (True, operator != "Mean")
    assert found == wanted, f"changed: {operator} runs otherwise now"
PYTHON
echo "as described"

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# onnxruntime's float32 Elu loses nearly all digits of inputs a little below 0.
#
# Expected: Elu(x) = exp(x) - 1 for x < 0, to a few roundings of float32 (6e-8 relative).
# Seen (onnxruntime 1.32.0, onnx 1.23.2): Elu(-1e-5) is off by more than one part in a thousand; -1e-8 becomes 0.
# Why: exp(x) is rounded to float32 before 1 is taken from it, which leaves multiples of 6e-8.
# What it means: a network of ELUs that net.to_onnx hands over computes other values there; docs/exchange.md has it in
#   its table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

print("onnxruntime", onnxruntime.__version__)
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Elu", ["x"], ["y"])], "elu", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString())
x = np.array([-1e-1, -1e-3, -1e-5, -1e-8], np.float32)
(got,) = session.run(None, {"x": x})
expected = np.expm1(x.astype(np.float64))
error = np.abs(got / expected - 1)
for row in zip(x, got, expected, error):
    print("x %g  Elu %.9g  exp(x) - 1 %.9g  relative error %.2g" % row)
assert error[0] < 1e-6 and error[2] > 1e-4 and got[3] == 0, "changed: digits are kept near 0"
PYTHON
echo "as described"

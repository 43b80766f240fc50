#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# onnx's inliner leaves out the default values of a function's attributes.
#
# Expected: a model-local function with `attribute_proto` alpha = 0.5, called without alpha, inlined by
#   onnx.inliner.inline_local_functions, is the same function as before: LeakyRelu with alpha 0.5.
# Seen (onnx 1.23.2): the inlined LeakyRelu has no alpha, so that it gets the operator's own 0.01.
#   onnxruntime 1.32.0 runs the model before with 0.5, and the one after with 0.01. Nothing is reported,
#   and onnx.checker accepts both with its full check.
# What it means: whoever inlines functions says the defaults at the calls first; fastrelu.from_onnx does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, inliner

leaky = helper.make_node("LeakyRelu", ["p"], ["q"])
leaky.attribute.append(
    onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
)
opset = helper.make_opsetid("", 17)
function = helper.make_function(
    "own", "Leaky", ["p"], ["q"], [leaky], [opset],
    attribute_protos=[helper.make_attribute("slope", 0.5)],
)


def outputs(model):
    onnx.checker.check_model(model, full_check=True)
    x = np.array([-1], np.float32)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return round(float(session.run(None, {"x": x})[0][0]), 6)


def model(**given):
    graph = helper.make_graph(
        [helper.make_node("Leaky", ["x"], ["y"], domain="own", **given)], "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    opsets = [opset, helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9)


for given, wanted in (({"slope": 0.25}, -0.25), ({}, -0.01)):
    before, after = outputs(model(**given)), outputs(inliner.inline_local_functions(model(**given)))
    print("onnx", onnx.__version__, given, "- before:", before, "inlined:", after)
    assert before == -given.get("slope", 0.5), "changed: the model itself runs otherwise"
    assert after == wanted, "changed: the inliner makes another model"
PYTHON
echo "as described"

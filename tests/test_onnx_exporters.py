# SPDX-License-Identifier: BSD-3-Clause
"""Files that the exporters of PyTorch, Keras, TensorFlow and skl2onnx wrote, kept in tests/data."""

from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

import fastrelu

onnx = pytest.importorskip("onnx")
FOLDER = Path(__file__).parent / "data" / "onnx"
ANSWERS = {
    key: array
    for name in ("torch", "keras", "sklearn")
    for key, array in np.load(FOLDER / f"{name}.npz").items()
}

# What a file has to be stopped at, as its outputs are others than the network's.
STOPS = {"keras_softmax": "Softmax", "sklearn_classifier": "Softmax"} | {
    f"sklearn_{name}_2": "Reshape" for name in ("relu", "tanh", "logistic", "identity")
}
REFUSED = {
    "keras_shifted": r"\(Add\): adds a constant, but not to a product with weights",
    "torch_old_active_dropout_17": r"\(Dropout\): is active: the module was exported in training",
}
NAMES = sorted(path.stem for path in FOLDER.glob("*.onnx"))


def operators(name):
    return [node.op_type for node in onnx.load(FOLDER / f"{name}.onnx").graph.node]


def stop(name):
    """Return the tensor that goes into the operator that ends the network."""
    nodes = onnx.load(FOLDER / f"{name}.onnx").graph.node
    return next(node.input[0] for node in nodes if node.op_type == STOPS[name])


def read(name):
    output = stop(name) if name in STOPS else None
    return fastrelu.from_onnx(FOLDER / f"{name}.onnx", output=output)


def logits_or_values(name, net, x):
    out = net(x.reshape(len(x), -1).astype(net.dtype))
    if STOPS.get(name) != "Softmax":
        return out
    shares = np.exp(out - out.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in REFUSED])
def test_a_file_gives_what_its_program_answered(name):
    net, x, y = read(name), ANSWERS[f"{name}.x"], ANSWERS[f"{name}.y"]
    tolerance = 1e-5 if net.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(logits_or_values(name, net, x), y, rtol=tolerance, atol=tolerance)
    assert net.dtype == (np.float64 if "_double_" in name else np.float32)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_holds_no_network_is_refused_by_node(name):
    with pytest.raises(ValueError, match=f"path: node .* {REFUSED[name]}"):
        fastrelu.from_onnx(FOLDER / f"{name}.onnx")


@pytest.mark.parametrize("name", STOPS)
def test_outputs_that_are_not_the_networks_are_refused_by_name(name):
    message = "Reshape|Softmax|expected one of the graph's outputs"
    with pytest.raises(ValueError, match=message):
        fastrelu.from_onnx(FOLDER / f"{name}.onnx")


def test_the_files_have_the_forms_that_exporters_differ_in():
    """What is kept here is kept for these forms: a file made anew must not lose them."""
    assert operators("torch_old_relu_9") == ["Gemm", "Relu", "Gemm"]
    assert "MatMul" in operators("keras_relu") and "Add" in operators("keras_relu")
    assert operators("torch_old_clamp_17")[-2] == "Clip" and "Max" in operators(
        "torch_new_maximum_20"
    )
    assert "Flatten" in operators("torch_old_flatten_17")
    assert "Reshape" in operators("torch_old_reshape_17") and "Reshape" in operators(
        "keras_flatten"
    )
    (clip,) = (
        n for n in onnx.load(FOLDER / "torch_old_clamp_17.onnx").graph.node if n.op_type == "Clip"
    )
    assert len(clip.input) < 3 or clip.input[2] == ""
    assert "Dropout" not in operators("torch_new_active_dropout_20")
    opsets = {onnx.load(FOLDER / f"{n}.onnx").opset_import[0].version for n in NAMES}
    assert min(opsets) == 9 and max(opsets) >= 25


def test_tied_layers_are_the_same_whatever_their_names():
    """The older exporter names tied weights after the first use, the newer one after the last."""
    for name in ("torch_old_tied_17", "torch_new_tied_20"):
        net = read(name)
        assert same_bits(net.weights[1], net.weights[2])
        assert same_bits(net.biases[1], net.biases[2])
    old, new = (read(name) for name in ("torch_old_tied_17", "torch_new_tied_20"))
    assert same_bits(old.parameters, new.parameters)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in REFUSED and n not in STOPS])
def test_what_is_read_and_written_again_is_the_same(name, tmp_path):
    net = read(name)
    net.to_onnx(tmp_path / "again.onnx")
    again = fastrelu.from_onnx(tmp_path / "again.onnx")
    assert same_bits(again.parameters, net.parameters) and again.activations == net.activations


def test_a_rescaling_without_a_shift_is_the_scale():
    net = read("keras_rescaling")
    assert net.scale == np.float32(1 / 255) and net.layer_sizes == [4, 5, 2]

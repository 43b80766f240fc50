# SPDX-License-Identifier: BSD-3-Clause
"""Programs that read our ONNX files: OpenVINO, onnx2torch, OMLT, CasADi; each where it is there."""

import warnings

import numpy as np
import pytest
from catalogue_tools import ACTIVATION_NAMES
from onnx_tools import most_rounding, random_net

onnx = pytest.importorskip("onnx")


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a network and gives the path."""

    def write(net):
        net.to_onnx(tmp_path / "net.onnx")
        return str(tmp_path / "net.onnx")

    return write


def rows(net, n=40):
    return np.random.default_rng(3).normal(size=(n, net.layer_sizes[0])).astype(net.dtype)


def answer_of_openvino(path, X, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    return compiled({"X": X})[0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_openvino_that_is_told_f32(name, bias, written):
    net = random_net([4, 30, 20, 3], name, "float32", bias, scale=0.25)
    X = rows(net)
    found = answer_of_openvino(written(net), X, INFERENCE_PRECISION_HINT="f32")
    assert found.dtype == np.float32
    assert (np.abs(found - net(X)) <= 2 * most_rounding(net, X)).all()


def test_openvino_takes_a_double_model_in_single(written):
    """What docs/exchange.md says: if this fails, it has learned doubles, and the page is old."""
    net = random_net([4, 30, 20, 3], "relu", "float64")
    X = rows(net)
    found = answer_of_openvino(written(net), X, INFERENCE_PRECISION_HINT="f32")
    off = np.abs(found - net(X))
    assert (off > 2 * most_rounding(net, X)).any()
    assert (off <= 2 * most_rounding(net, X) * 2.0**29).all()  # as many bits as float32 has fewer


def test_openvino_by_itself_where_it_has_bfloat16(written):
    openvino = pytest.importorskip("openvino")
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in able:
        pytest.skip("this processor has no bfloat16")
    net = random_net([16, 64, 64, 2], "relu", "float32")
    X = rows(net)
    off = np.abs(answer_of_openvino(written(net), X) - net(X)).max() / np.abs(net(X)).max()
    assert 1e-4 < off < 0.05


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "logistic", "tanh", "identity"])
def test_onnx2torch(name, written):
    torch = pytest.importorskip("torch")
    try:
        import onnx2torch
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another build
        pytest.skip(f"needs onnx2torch: {error}")
    net = random_net([4, 30, 20, 3], name, "float32")
    X = rows(net)
    with torch.no_grad():
        found = onnx2torch.convert(written(net))(torch.from_numpy(X)).numpy()
    assert (np.abs(found - net(X)) <= 2 * most_rounding(net, X)).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["relu", "logistic", "tanh"])
def test_omlt(name, written):
    reader = pytest.importorskip("omlt.io.onnx")
    net = random_net([4, 9, 7, 3], name, "float32")
    layers = list(reader.load_onnx_neural_network(onnx.load(written(net))).layers)
    assert [layer.output_size for layer in layers] == [[4], [9], [7], [3]]
    X = rows(net)
    for x, ours, most in zip(X, net(X), most_rounding(net, X), strict=True):
        h = x.astype(float)
        for layer in layers:
            h = layer.eval_single_layer(h)
        assert (np.abs(h - ours) <= 2 * most).all()


@pytest.mark.parametrize("name", ["relu", "logistic", "tanh"])
def test_casadis_own_reader(name, written):
    casadi = pytest.importorskip("casadi")
    if not hasattr(casadi, "GraphBuilder"):
        pytest.skip("needs CasADi 3.8, which reads ONNX")
    net = random_net([4, 9, 7, 3], name, "float32")
    builder = casadi.GraphBuilder(written(net), {})
    builder.bind_dim("n", 40)
    X = rows(net)
    found = np.asarray(builder.create("net", {"symbolic": True})(X))
    assert (np.abs(found - net(X)) <= 2 * most_rounding(net, X)).all()

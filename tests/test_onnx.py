# SPDX-License-Identifier: BSD-3-Clause
"""Networks and estimators as ONNX files, beside onnxruntime; and ONNX files of others."""

from contextlib import suppress

import numpy as np
import pytest
from catalogue_tools import ACTIVATION_NAMES
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_tools import most_rounding, random_net

import fastrelu

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
RNG = np.random.default_rng(1)
W0, B0 = RNG.normal(size=(4, 5)).astype("f"), RNG.normal(size=5).astype("f")
W1, B1 = RNG.normal(size=(5, 2)).astype("f"), RNG.normal(size=2).astype("f")


def session(model):
    data = model if isinstance(model, str) else model.SerializeToString()
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"])


def check_beside_runtime(net, path, seed=0):
    net.to_onnx(path)
    onnx.checker.check_model(str(path), full_check=True)
    X = np.random.default_rng(seed).normal(size=(40, net.layer_sizes[0])).astype(net.dtype)
    (found,) = session(str(path)).run(["Y"], {"X": X})
    ours = net(X)
    assert found.dtype == ours.dtype
    assert (np.abs(found - ours) <= 2 * most_rounding(net, X)).all()  # each program's own
    again = fastrelu.from_onnx(path)
    assert again.activations == net.activations and again.layer_sizes == net.layer_sizes
    assert same_bits(again.parameters, net.parameters)
    assert again.scale == net.scale and again.bias == net.bias


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_every_activation_beside_the_runtime_and_back(name, dtype, tmp_path):
    check_beside_runtime(random_net([4, 30, 20, 3], name, dtype), tmp_path / "net.onnx")


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    data=st.data(),
    dtype=st.sampled_from(["float32", "float64"]),
    bias=st.booleans(),
    scale=st.sampled_from([1.0, 1 / 255]),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_networks(sizes, data, dtype, bias, scale, seed, tmp_path_factory):
    n = len(sizes) - 2
    kinds = data.draw(st.lists(st.sampled_from(ACTIVATION_NAMES), min_size=n, max_size=n))
    net = random_net(sizes, kinds, dtype, bias, scale, seed)
    check_beside_runtime(net, tmp_path_factory.mktemp("net") / "net.onnx", seed)


def test_the_files_of_a_network_are_plain_and_equal(tmp_path):
    net = random_net([4, 5, 2], "relu", "float32")
    for name in ("a", "b"):
        net.to_onnx(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    graph = onnx.load(tmp_path / "a").graph
    assert [n.op_type for n in graph.node] == ["Gemm", "Relu", "Gemm"]
    for node in graph.node:
        assert node.name
    attributes = {a.name for a in graph.node[0].attribute}
    assert attributes == {"alpha", "beta", "transA", "transB"}
    assert len(graph.initializer) == 4


# Estimators


def classifier(y, **settings):
    X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    return fastrelu.MLPClassifier((8,), max_iter=5, random_state=0, **settings), X, y


def regressor(**settings):
    return fastrelu.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0, **settings)


LABELS = {
    "three texts": np.array(["a", "b", "größer"])[np.arange(60) % 3],
    "two texts": np.array(["no", "yes"], dtype=object)[np.arange(60) % 2],
    "numbers": np.array([7, -3, 100])[np.arange(60) % 3],
    "bool": np.arange(60) % 2 == 0,
    "floats": np.array([0.5, 1.5])[np.arange(60) % 2] * 2,
    "several": np.stack([np.arange(60) % 2, np.arange(60) % 3 == 0], axis=1).astype(int),
}


@pytest.mark.filterwarnings("ignore:.*reached.*")
@pytest.mark.parametrize("kind", LABELS)
def test_a_classifier_gives_labels_and_probabilities(kind, dtype, tmp_path):
    mlp, X, y = classifier(LABELS[kind])
    X = X.astype(dtype)
    mlp.fit(X, y).to_onnx(tmp_path / "mlp.onnx")
    onnx.checker.check_model(str(tmp_path / "mlp.onnx"), full_check=True)
    label, p = session(str(tmp_path / "mlp.onnx")).run(None, {"X": X})
    ours = mlp.predict_proba(X)
    assert p.shape == ours.shape and p.dtype == dtype
    np.testing.assert_allclose(p, ours, rtol=1e-5, atol=1e-6)
    sure = np.abs(ours - 0.5).min(axis=1) > 1e-4
    assert sure.sum() > 30
    assert label.shape == mlp.predict(X).shape
    assert (label[sure] == mlp.predict(X)[sure]).all()


@pytest.mark.filterwarnings("ignore:.*reached.*")
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_regressor_gives_what_predict_returns(loss, n_targets, dtype, tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 4)).astype(dtype)
    y = np.abs(X[:, :n_targets])
    mlp = regressor(loss=loss)
    mlp.fit(X, y if n_targets > 1 else y[:, 0]).to_onnx(tmp_path / "mlp.onnx")
    onnx.checker.check_model(str(tmp_path / "mlp.onnx"), full_check=True)
    (found,) = session(str(tmp_path / "mlp.onnx")).run(["predictions"], {"X": X})
    assert found.shape == mlp.predict(X).shape
    np.testing.assert_allclose(found, mlp.predict(X), rtol=1e-5, atol=1e-6)


def test_an_estimator_that_is_not_fitted_writes_nothing(tmp_path):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        fastrelu.MLPRegressor().to_onnx(tmp_path / "mlp.onnx")
    assert not list(tmp_path.iterdir())


# Files of others


def model_of(nodes, constants, shape=("n", 4), opset=17, out="y", functions=(), domains=()):
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info(out, 1, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


def op(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), [output], name=f"the_{output}", **attributes)


PLAIN = {"w": W0, "b": B0, "v": W1, "c": B1, "zero": np.float32(0), "t": W0.T.copy(),
         "row": B0[None], "zeros": np.zeros((3, 5), "f"), "keep": np.array([0, -1])}  # fmt: skip
LAST = [op("MatMul", "h v", "m1"), op("Add", "m1 c", "y")]
FIRST = [op("MatMul", "x w", "m"), op("Add", "m b", "z")]
CONSTANT = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(W0))
RELU = op("Relu", "z", "h")
SAME = {
    "Gemm": [op("Gemm", "x w b", "z"), RELU, *LAST],
    "Gemm with transB": [op("Gemm", "x t b", "z", transB=1, transA=0), RELU, *LAST],
    "MatMul and Add": [*FIRST, RELU, *LAST],
    "Add in the other order": [FIRST[0], op("Add", "b m", "z"), RELU, *LAST],
    "Max": [*FIRST, op("Max", "z zero", "h"), *LAST],
    "Max in the other order": [*FIRST, op("Max", "zero z", "h"), *LAST],
    "Clip": [*FIRST, helper.make_node("Clip", ["z", "zero", ""], ["h"]), *LAST],
    "Clip without the last": [*FIRST, op("Clip", "z zero", "h"), *LAST],
    "Flatten": [op("Flatten", "x", "f"), op("Gemm", "f w b", "z"), RELU, *LAST],
    "Identity": [op("Identity", "x", "f"), op("Identity", "w", "g"), op("Gemm", "f g b", "z"),
                 RELU, *LAST],
    "Constant": [CONSTANT, op("Gemm", "x k b", "z"), RELU, *LAST],
    "Transpose": [op("Transpose", "t", "k", perm=[1, 0]), op("Gemm", "x k b", "z"), RELU, *LAST],
    "Cast": [op("Cast", "x", "f", to=1), op("Gemm", "f w b", "z"), RELU, *LAST],
    "Dropout": [*FIRST, op("Relu", "z", "r"), op("Dropout", "r", "h"), *LAST],
    "a branch not needed": [*FIRST, RELU, op("Softmax", "h", "s"), *LAST],
    "rows of biases": [FIRST[0], op("Add", "m row", "z"), RELU, *LAST],
    "Max of zeros": [*FIRST, op("Max", "z zeros", "h"), *LAST],
    "weights of a shape with 0": [op("Reshape", "w keep", "k"), op("Gemm", "x k b", "z"), RELU,
                                  *LAST],
    "Add of 0": [op("Add", "zero x", "f"), op("Gemm", "f w b", "z"), RELU, *LAST],
}  # fmt: skip


def expected_net():
    net = fastrelu.Network([4, 5, 2])
    for view, value in zip([*net.weights, *net.biases], [W0, W1, B0, B1], strict=True):
        view[...] = value
    return net


@pytest.mark.parametrize("name", SAME)
def test_forms_of_one_network(name):
    assert same_bits(fastrelu.from_onnx(model_of(SAME[name], PLAIN)).parameters,
                     expected_net().parameters)  # fmt: skip


ODD = {"graph": helper.make_graph([], "g", [], []), "tensor": numpy_helper.from_array(W0),
       "text": "x", "texts": ["x", "y"], "number": 1.5, "whole": 3, "numbers": [1.5, 2.5],
       "none": helper.make_attribute("none", [], attr_type=onnx.AttributeProto.INTS)}  # fmt: skip
NAMES = {
    "Gemm": "alpha beta transA transB", "Flatten": "axis", "Transpose": "perm", "Cast": "to",
    "Reshape": "allowzero shape", "Clip": "min max", "Dropout": "is_test", "Shape": "start end",
    "Constant": "value value_int value_float value_ints value_floats value_string",
}  # fmt: skip


@pytest.mark.parametrize("opset", [6, 17])
@pytest.mark.parametrize("odd", ODD)
def test_attributes_of_other_types_are_a_value_error(odd, opset):
    models = [(nodes, PLAIN, ("n", 4)) for nodes in SAME.values()]
    models += [(*viewed("x", -1), ("n", 2, 2)), ([op("Reshape", "x", "f"), *LAST], PLAIN, ("n", 4))]
    models.append(
        (
            [helper.make_node("Constant", [], ["k"]), op("Gemm", "x k b", "z"), RELU, *LAST],
            PLAIN,
            (1, 4),
        )
    )
    for nodes, constants, shape in models:
        model = model_of(nodes, constants, shape, opset)
        for k, node in enumerate(nodes):
            for name in NAMES.get(node.op_type, "").split():
                other = onnx.ModelProto.FromString(model.SerializeToString())
                changed = other.graph.node[k]
                kept = [a for a in changed.attribute if a.name != name]
                del changed.attribute[:]
                value = ODD[odd]
                made = value if odd == "none" else helper.make_attribute(name, value)
                changed.attribute.extend([*kept, made])
                changed.attribute[-1].name = name
                with suppress(ValueError):  # some mean something
                    fastrelu.from_onnx(other)


@pytest.mark.parametrize("shape", [[-1, 4], [0, 4], [0, -1], [1, -1]])
def test_reshape_to_rows(shape):
    nodes = [op("Reshape", "x s", "f"), op("Gemm", "f w b", "z"), RELU, *LAST]
    constants = PLAIN | {"s": np.array(shape)}
    assert same_bits(fastrelu.from_onnx(model_of(nodes, constants, ("n", 2, 2))).parameters,
                     expected_net().parameters)  # fmt: skip


def viewed(x, *sizes, index=0, **shape):
    """Nodes that make f of x as torch's exporter writes x.view(x.size(index), *sizes)."""
    return [
        op("Shape", x, "all", **shape),
        op("Gather", "all at", "one"),
        op("Unsqueeze", "one axis", "n"),
        op("Concat", "n others", "s", axis=0),
        op("Reshape", "x s", "f"),
        *[op("Gemm", "f w b", "z"), RELU, *LAST],
    ], PLAIN | {"at": np.array(index), "axis": np.array([0]), "others": np.array(sizes)}


@pytest.mark.parametrize("sizes", [(-1,), (4,)])
def test_reshape_to_the_rows_that_there_are(sizes):
    model = model_of(*viewed("x", *sizes), ("n", 2, 2))
    assert same_bits(fastrelu.from_onnx(model).parameters, expected_net().parameters)
    x = RNG.normal(size=(9, 2, 2)).astype("f")
    found = session(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(expected_net()(x.reshape(9, 4)), found, rtol=1e-5, atol=1e-6)


def test_the_rows_of_what_numbers_were_added_to():
    nodes, constants = viewed("k", -1)  # as Keras over torch writes a Rescaling and a Flatten
    nodes = [
        op("Cast", "x", "j", to=1),
        op("Mul", "j half", "k"),
        op("Add", "zero k", "l"),
        *nodes[:4],
        op("Cast", "l", "o", to=1),
        op("Reshape", "o s", "f"),
        *nodes[5:],
    ]
    model = model_of(nodes, constants | {"half": np.float32(0.5)}, ("n", 2, 2))
    net = fastrelu.from_onnx(model)
    assert net.scale == 0.5 and same_bits(net.parameters, expected_net().parameters)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (viewed("x", -1, index=1), "expected a constant as its shape, or the number of rows"),
        (viewed("v", -1), "expected a constant as its shape, or the number of rows"),
        (viewed("x", -1, start=1), "expected a constant as its shape, or the number of rows"),
        (viewed("x", 2, 2), r"expected rows of all inputs, got shape \[n, 2, 2\]"),
        (viewed("x", 0), r"expected rows of all inputs, got shape"),
        (viewed("x", 2), r"expected rows of 4 numbers, got shape"),
    ],
)
def test_other_shapes_that_are_computed(case, message):
    with pytest.raises(ValueError, match=r"path: node 'the_f' \(Reshape\): " + message):
        fastrelu.from_onnx(model_of(*case, ("n", 2, 2)))


def test_gemm_without_biases_and_with_factors(tmp_path):
    nodes = [op("Gemm", "x w", "z"), op("LeakyRelu", "z", "h"), op("Gemm", "h v", "y", alpha=2.0)]
    net = fastrelu.from_onnx(model_of(nodes, PLAIN))
    assert not net.bias and net.activations == ["leaky_relu"]
    assert same_bits(net.weights[1], 2 * W1)


def test_an_old_clip_has_attributes():
    old = model_of([*FIRST, op("Clip", "z", "h", min=0.0), *LAST], PLAIN, opset=9)
    assert fastrelu.from_onnx(old).activations == ["relu"]


def test_an_activation_of_the_outputs_and_several_in_a_row():
    net = fastrelu.from_onnx(model_of([op("Gemm", "x w b", "z"), op("Tanh", "z", "y")], PLAIN))
    assert net.layer_sizes == [4, 5, 5] and net.activations == ["tanh"]
    x = RNG.normal(size=(9, 4)).astype("f")
    found = session(model_of([op("Gemm", "x w b", "z"), op("Tanh", "z", "y")], PLAIN))
    np.testing.assert_allclose(net(x), found.run(None, {"x": x})[0], rtol=1e-5, atol=1e-6)
    twice = [op("Sigmoid", "x", "s"), *[op("Gemm", "s w b", "z"), RELU], op("Elu", "h", "y")]
    net = fastrelu.from_onnx(model_of(twice, PLAIN))
    assert net.activations == ["logistic", "relu", "elu"]
    found = session(model_of(twice, PLAIN)).run(None, {"x": x})[0]
    np.testing.assert_allclose(net(x), found, rtol=1e-5, atol=1e-6)


def test_local_functions_are_read():
    function = helper.make_function(
        "own", "Dense", ["a", "b", "c"], ["d"], [op("Gemm", "a b c", "d")],
        [helper.make_opsetid("", 17)])  # fmt: skip
    nodes = [helper.make_node("Dense", ["x", "w", "b"], ["z"], domain="own"), RELU, *LAST]
    model = model_of(nodes, PLAIN, functions=[function], domains=["own"])
    assert same_bits(fastrelu.from_onnx(model).parameters, expected_net().parameters)


def test_an_output_in_the_middle_can_be_chosen(tmp_path):
    nodes = [*FIRST, RELU, *LAST, op("Softmax", "y", "p")]
    model = model_of(nodes, PLAIN, out="p")
    with pytest.raises(ValueError, match=r"path: node 'the_p' \(Softmax\): this operator is none"):
        fastrelu.from_onnx(model)
    onnx.save(model, tmp_path / "net.onnx")
    net = fastrelu.from_onnx(tmp_path / "net.onnx", output="y")
    assert same_bits(net.parameters, expected_net().parameters)
    with pytest.raises(ValueError, match="output: no node of the graph makes a tensor 'q'"):
        fastrelu.from_onnx(model, output="q")
    with pytest.raises(TypeError, match="output: expected a str, got int"):
        fastrelu.from_onnx(model, output=3)


REFUSED = {
    "alpha": ([*FIRST, op("LeakyRelu", "z", "h", alpha=0.2), *LAST], r"alpha is 0\.2, but"),
    "transA": ([op("Gemm", "x w b", "z", transA=1), RELU, *LAST], "transA is 1"),
    "clip at 6": ([*FIRST, op("Clip", "z zero six", "h"), *LAST], "minimum of 0 and no maximum"),
    "relu at 6": ([*FIRST, op("Max", "z six", "h"), *LAST], "expected the constant 0, got 6.0"),
    "axis": ([op("Flatten", "x", "f", axis=0), op("Gemm", "f w b", "y")], "axis is 0"),
    "dropout": ([*FIRST, op("Dropout", "z half yes", "y")], "is active: the module was exported"),
    "cast": ([*FIRST, op("Cast", "z", "y", to=10)], "float32 or float64, got float16"),
    "widths": ([op("Gemm", "x w b", "z"), op("Gemm", "z w b", "y")],
               r"'the_y' \(Gemm\): expected weights of 5 inputs, .* got shape \(4, 5\)"),
    "biases": ([op("Gemm", "x w c", "y")], r"expected biases of shape \(5,\), got \(2,\)"),
    "allowzero": ([op("Reshape", "x s", "f", allowzero=1), op("Gemm", "f w b", "y")],
                  r"got shape \[0, 4\] \(allowzero is 1\)"),
    "two unknown sizes": ([op("Reshape", "x u", "f"), op("Gemm", "f w b", "y")],
                          r"got shape \[-1, -1\]"),
    "rows of another width": ([op("Reshape", "x r", "f"), op("Gemm", "f w b", "y")],
                              r"expected rows of 4 numbers, got shape \[-1, 2\]"),
    "one factor": ([op("Mul", "x b", "f"), op("Gemm", "f w b", "y")], "expected one factor"),
    "a sum": ([*FIRST, op("Add", "z z", "y")], "expected a constant and a tensor"),
    "a column": ([FIRST[0], op("Add", "m column", "y")], r"shape \(5,\), got \(5, 1\)"),
    "no minimum": ([*FIRST, op("Clip", "z none", "y")], "as its min, got one of shape"),
    "no constant": ([*FIRST, op("Clip", "z z", "y")], "a constant as its min, got none"),
    "shift": ([op("Add", "x six", "f"), op("Gemm", "f w b", "y")], "adds a constant, but not to"),
    "integers": ([op("MatMul", "x i", "y")], "expected floating-point parameters, got int64"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_is_refused_by_name(name):
    nodes, message = REFUSED[name]
    constants = PLAIN | {"six": np.float32(6), "yes": np.array(True), "half": np.float32(0.5),
                         "s": np.array([0, 4]), "i": np.ones((4, 5), int),
                         "u": np.array([-1, -1]), "r": np.array([-1, 2]),
                         "column": B0[:, None], "none": np.zeros(0, "f")}  # fmt: skip
    model = model_of(nodes, constants)
    with pytest.raises(ValueError, match=message) as caught:
        fastrelu.from_onnx(model)
    assert "path: node 'the_" in str(caught.value)


def test_graphs_that_go_in_circles_or_are_damaged_are_refused():
    circle = [op("Relu", "q", "p"), op("Relu", "p", "q"), op("Gemm", "q w", "y")]
    with pytest.raises(
        ValueError, match=r"'the_p' \(Relu\): no node before it makes its input 'q'"
    ):
        fastrelu.from_onnx(model_of(circle, PLAIN))
    again = [op("Relu", "x", "p"), op("Relu", "p", "q"), op("Relu", "q", "p")]
    with pytest.raises(ValueError, match=r"'the_p' \(Relu\): makes 'p', which is there already"):
        fastrelu.from_onnx(model_of(again, PLAIN))
    odd = [op("Transpose", "w", "k", perm=[0, 7]), op("Gemm", "x k", "y")]
    with pytest.raises(ValueError, match=r"'the_k' \(Transpose\): a constant that is not as it"):
        fastrelu.from_onnx(model_of(odd, PLAIN))
    for nodes in ([op("Gemm", "x", "y")], [op("Cast", "x", "y")], [op("Reshape", "x", "y")],
                  [op("Relu", "", "y")], [op("Mul", "x", "y")], [op("MatMul", "x x", "y")],
                  [op("Add", "", "y")], [op("Max", "x", "y")]):  # fmt: skip
        with pytest.raises(ValueError, match="path: "):
            fastrelu.from_onnx(model_of(nodes, PLAIN))


def test_a_tensor_of_no_type_is_refused_by_name():
    model = model_of([op("Gemm", "x w", "y")], PLAIN)
    next(t for t in model.graph.initializer if t.name == "w").data_type = 99
    with pytest.raises(ValueError, match="path: tensor 'w' is damaged"):
        fastrelu.from_onnx(model)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="path: no such file"):
        fastrelu.from_onnx(tmp_path / "no.onnx")
    (tmp_path / "text").write_text("not a model, but text")
    with pytest.raises(ValueError, match="not an ONNX file"):
        fastrelu.from_onnx(tmp_path / "text")
    with pytest.raises(TypeError, match=r"path: expected a path or an onnx\.ModelProto, got list"):
        fastrelu.from_onnx([])


def test_without_onnx_the_error_names_the_extra(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="needs onnx, which fastrelu's extra 'onnx' brings"):
        fastrelu.Network([2, 1]).to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


# Pipelines


def pipeline(mlp):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), mlp)


@pytest.mark.filterwarnings("ignore:.*reached.*")
@pytest.mark.parametrize("kind", LABELS)
def test_a_pipeline_with_a_classifier_is_converted_whole(kind):
    skl2onnx = pytest.importorskip("skl2onnx")
    from fastrelu.exchange.skl2onnx import register

    register()
    mlp, X, y = classifier(LABELS[kind])
    fitted = pipeline(mlp).fit(X, y)
    model = skl2onnx.to_onnx(fitted, X[:1], options={"zipmap": False})
    label, p = session(model).run(None, {"X": X})
    np.testing.assert_allclose(p, fitted.predict_proba(X), rtol=1e-4, atol=1e-5)
    assert (label == fitted.predict(X)).mean() > 0.95
    if kind not in ("floats", "several"):  # which ZipMap has not
        with_maps = session(skl2onnx.to_onnx(fitted, X[:1])).run(None, {"X": X})[1]
        assert set(with_maps[0]) == set(np.unique(y))


@pytest.mark.filterwarnings("ignore:.*reached.*")
@pytest.mark.parametrize("opset", [9, 11, 13, 15, 17])
def test_a_pipeline_for_an_older_operator_set(opset):
    skl2onnx = pytest.importorskip("skl2onnx")
    from fastrelu.exchange.skl2onnx import register

    register()
    target = {"": opset, "ai.onnx.ml": 1}
    mlp, X, y = classifier(LABELS["two texts"])
    fitted = pipeline(mlp).fit(X, y)
    model = skl2onnx.to_onnx(fitted, X[:1], options={"zipmap": False}, target_opset=target)
    assert max(o.version for o in model.opset_import if not o.domain) <= opset
    label, p = session(model).run(None, {"X": X})
    np.testing.assert_allclose(p, fitted.predict_proba(X), rtol=1e-4, atol=1e-5)
    assert (label == fitted.predict(X)).mean() > 0.95
    model = skl2onnx.to_onnx(pipeline(regressor()).fit(X, X[:, 0]), X[:1], target_opset=target)
    assert session(model).run(None, {"X": X})[0].shape == (60, 1)


@pytest.mark.filterwarnings("ignore:.*reached.*")
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_pipeline_with_a_regressor_is_converted_whole(loss, n_targets, dtype):
    skl2onnx = pytest.importorskip("skl2onnx")
    from fastrelu.exchange.skl2onnx import register

    register()
    X = np.random.default_rng(0).normal(size=(60, 4)).astype(dtype)
    y = np.abs(X[:, :n_targets])
    mlp = regressor(loss=loss)
    fitted = pipeline(mlp).fit(X, y if n_targets > 1 else y[:, 0])
    (found,) = session(skl2onnx.to_onnx(fitted, X[:1])).run(None, {"X": X})
    assert found.shape == (60, n_targets) and found.dtype == dtype
    expected = fitted.predict(X).reshape(60, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

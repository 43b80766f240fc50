# SPDX-License-Identifier: BSD-3-Clause
"""ONNX files whose messages are valid and say what no network is: ValueError, soon, in few bytes.

docs/reliability.md names this file.
"""

import itertools
import time
import tracemalloc

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import fastrelu  # noqa: E402

WEIGHTS = np.array([[1, 2], [3, 4]], np.float32)


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def saved(path, nodes, arrays=(), width=2, functions=(), shape=None):
    """Write a file with these nodes from x to y, and these constants beside the weights w."""
    shape = shape or [None, width]
    values = {"w": WEIGHTS, **dict(arrays)}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    constants = [numpy_helper.from_array(np.asarray(a), name) for name, a in values.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=functions), path)


def refused(path, match):
    """Load a file that has to be refused, and see that it is soon, and takes little memory."""
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(ValueError, match=match):
        fastrelu.from_onnx(path)
    assert time.monotonic() - begun < 20
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def chain(operator, n, begin, times=1, more="", **attributes):
    """Return n nodes one after another, the last of which makes t."""
    names = [begin, *(f"t{k}" for k in range(1, n)), "t"]
    return [
        node(operator, " ".join([names[k]] * times) + more, names[k + 1], **attributes)
        for k in range(n)
    ]


@pytest.mark.parametrize("operator, more", [("Identity", ""), ("Add", " zero")])
def test_thousands_of_nodes_are_walked(tmp_path, operator, more):
    """They were a RecursionError, whatever asked for a constant."""
    nodes = [*chain(operator, 3000, "x", more=more), node("MatMul", "t w", "y")]
    saved(tmp_path / "net.onnx", nodes, {"zero": np.float32(0)})
    net = fastrelu.from_onnx(tmp_path / "net.onnx")
    assert (net.weights[0] == WEIGHTS).all()


def test_constants_of_many_nodes_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    for nodes in (chain("Identity", 3000, "w"), chain("Reshape", 60, "one", times=2)):
        saved(path, [*nodes, node("MatMul", "x t", "y")], {"one": np.array([1])})
        refused(path, "a constant that more than 100 nodes make")
    saved(path, [*chain("Identity", 90, "w"), node("MatMul", "x t", "y")])
    assert (fastrelu.from_onnx(path).weights[0] == WEIGHTS).all()


@pytest.mark.parametrize(
    "nodes",
    [chain("Concat", 60, "n", times=2, axis=0), chain("Unsqueeze", 3000, "n")],
    ids=["twice", "deep"],
)
def test_shapes_of_many_nodes_are_refused(tmp_path, nodes):
    """A shape joined to itself 60 times had 2 ** 60 sizes to be asked for, one by one."""
    first = [node("Shape", "x", "s"), node("Gather", "s first", "n")]
    last = [node("Reshape", "x t", "r"), node("MatMul", "r w", "y")]
    saved(tmp_path / "net.onnx", [*first, *nodes, *last], {"first": np.array([0])})
    refused(tmp_path / "net.onnx", "expected a constant as its shape")


def test_identity_weights_of_a_claimed_width_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    for width in (20_000, 2**62):
        saved(path, [node("Relu", "x", "y")], width=width)
        refused(path, rf"identity weights of {width} x {width}")
    nodes = [node("MatMul", "x wide", "h"), node("Relu", "h", "y")]
    saved(path, nodes, {"wide": np.ones((2, 50_000), np.float32)})
    refused(path, "identity weights of 50000 x 50000")


def test_weights_that_very_many_nodes_share_are_refused(tmp_path):
    nodes = [*chain("MatMul", 400, "x", more=" big"), node("Identity", "t", "y")]
    saved(tmp_path / "net.onnx", nodes, {"big": np.eye(256, dtype=np.float32)}, width=256)
    with pytest.raises(ValueError, match=r"have more than \d+ parameters, as nodes share"):
        fastrelu.from_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "values, says",
    [
        (np.eye(2, dtype=np.int8), "floating-point parameters, got int8"),
        (np.array([["a", "b"], ["c", "d"]], object), "tensor 'own': expected real numbers, got te"),
        (np.eye(2, dtype=np.complex64), "tensor 'own': expected real numbers, got complex64"),
    ],
)
def test_parameters_of_another_kind_are_refused_before_a_factor(tmp_path, values, says):
    """Such a factor was an OverflowError of NumPy's, or a TypeError."""
    path = tmp_path / "net.onnx"
    saved(path, [node("Gemm", "x own", "y", alpha=1000.0)], {"own": values})
    refused(path, says)
    saved(path, [node("Gemm", "x w own", "y", beta=1000.0)], {"own": values[:1]})
    refused(path, says)


@pytest.mark.parametrize("size", [np.inf, np.nan, 2.0])
def test_shapes_are_of_whole_numbers(tmp_path, size):
    """Infinity was an OverflowError."""
    path = tmp_path / "net.onnx"
    shape = {"shape": np.array([-1, size], np.float32)}
    saved(path, [node("Reshape", "x shape", "r"), node("MatMul", "r w", "y")], shape)
    refused(path, "expected whole numbers as its shape, got float32")
    saved(path, [node("Reshape", "w shape", "r"), node("MatMul", "x r", "y")], shape)
    refused(path, "expected whole numbers as its shape, got float32")


def function(name, nodes):
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["p"], ["q"], nodes, opsets)


def test_functions_that_do_not_fit_are_refused(tmp_path):
    """They were RuntimeError and onnx's ValidationError; or 2 ** 40 nodes of a few kB."""
    path = tmp_path / "net.onnx"
    call, relu = node("F", "p", "q", domain="own"), function("F", [node("Relu", "p", "q")])
    for call_of, functions in (
        ("x", [function("F", [call])]),  # itself
        ("x", [relu, relu]),
        ("x w", [relu]),
    ):
        nodes = [node("F", call_of, "h", domain="own"), node("MatMul", "h w", "y")]
        saved(path, nodes, functions=functions)
        refused(path, "the file's own functions do not fit")
    functions = [function("F0", [node("Relu", "p", "q")])]
    for k in range(40):
        twice = [node(f"F{k}", "p", "t", domain="own"), node(f"F{k}", "t", "q", domain="own")]
        functions.append(function(f"F{k + 1}", twice))
    nodes = [node("F40", "x", "h", domain="own"), node("MatMul", "h w", "y")]
    saved(path, nodes, functions=functions)
    refused(path, "functions become more than 20000 nodes")


@pytest.mark.parametrize("ends", ["mask", "y"])
def test_a_mask_of_dropout_is_no_layers_output(tmp_path, ends):
    """All of it is True; the network was that of the outputs that stand before it."""
    dropout = helper.make_node("Dropout", ["h"], ["d", "mask"], name="the_dropout")
    nodes = [node("MatMul", "x w", "h"), dropout, node("Cast", "mask", "y", to=TensorProto.FLOAT)]
    saved(tmp_path / "net.onnx", nodes)
    with pytest.raises(ValueError, match=r"'the_dropout' \(Dropout\): its output 'mask' is not"):
        fastrelu.from_onnx(tmp_path / "net.onnx", output=ends)
    assert fastrelu.from_onnx(tmp_path / "net.onnx", output="d").layer_sizes == [2, 2]


def test_operators_of_other_domains_are_not_taken_for_onnxs_own(tmp_path):
    """Each of these is looked at as a part of what the last node means."""
    path, small = tmp_path / "net.onnx", np.float32(0.01)
    for inner, arrays, last in (
        (node("Sigmoid", "h", "g", domain="own"), {}, node("Mul", "h g", "y")),
        (node("Mul", "h a", "g", domain="own"), {"a": small}, node("Max", "h g", "y")),
    ):
        saved(path, [node("MatMul", "x w", "h"), inner, last], arrays)
        refused(path, "expected a constant and a tensor")


def test_a_clip_at_nan_is_no_relu(tmp_path):
    arrays = {"low": np.float32(0), "high": np.float32(np.nan)}
    nodes = [node("MatMul", "x w", "h"), node("Clip", "h low high", "y")]
    saved(tmp_path / "net.onnx", nodes, arrays)
    refused(tmp_path / "net.onnx", "expected a minimum of 0 and no maximum")


def test_an_axis_of_an_old_sum_is_the_last_one(tmp_path):
    """Until opset 6 an attribute said which dimension the constant belongs to."""
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "y", axis=0, broadcast=1)]
    saved(tmp_path / "net.onnx", nodes, {"b": np.ones(2, np.float32)})
    refused(tmp_path / "net.onnx", "axis is 0, but the last dimension is a row's here")


PRODUCT, FLAT = node("MatMul", "x w", "h"), node("Flatten", "h", "y")


def reshape(*sizes):
    return node("Reshape", "h s", "y"), {"s": np.array(sizes)}


@pytest.mark.parametrize(
    "shape, nodes, sizes, says",
    [
        ([None, 3, 2], [PRODUCT, FLAT], (), "makes rows of 6 numbers, but the layers before it"),
        ([None, None, 2], [PRODUCT, FLAT], (), "makes rows of an unknown number of numbers"),
        ([2], [PRODUCT, FLAT], (), "makes rows of 1 numbers, but the layers before it make"),
        ([None, 3, 2], [PRODUCT], (0, -1), "makes rows of 6 numbers, but the layers before it"),
        ([None, 3, 2], [PRODUCT], (-1, 0), r"expected rows of all inputs, got shape \[-1, 0\]"),
        ([2], [PRODUCT], (0, -1), "makes rows of 1 numbers, but the layers before it make"),
        ([4, 2], [PRODUCT], (1, -1), "makes one row of 4 rows"),
        ([None, 2], [PRODUCT], (1, -1), "makes one row of all rows, and no weights follow"),
        ([None, 2], [node("Tanh", "x", "h")], (1, -1), "and no weights follow"),
    ],
)  # fmt: skip
def test_other_rows_than_the_layers_have_are_refused(tmp_path, shape, nodes, sizes, says):
    """They were left out, as if each layer's outputs were rows already."""
    last, arrays = reshape(*sizes) if sizes else (None, {})
    saved(tmp_path / "net.onnx", [*nodes, *([last] if last else [])], arrays, shape=shape)
    refused(tmp_path / "net.onnx", says)


@pytest.mark.parametrize(
    "shape, sizes", [([None, 1, 2], (0, -1)), ([1, 2], (1, -1)), ([None, 3, 2], (-1, 2)),
                     ([None, 2], (0, -1)), ([2], (1, -1)), ([None, 2], (-1, 0))],
)  # fmt: skip
def test_rows_that_stay_as_they_are_are_read(tmp_path, shape, sizes):
    last, arrays = reshape(*sizes)
    saved(tmp_path / "net.onnx", [PRODUCT, last], arrays, shape=shape)
    net = fastrelu.from_onnx(tmp_path / "net.onnx")
    np.testing.assert_array_equal(net.weights[0], WEIGHTS)


@pytest.mark.parametrize(
    "last, constant, shape",
    [
        (node("Max", "h c", "y"), np.zeros(5), [None, 2]),  # h is made (n, 1), the sum (n, 5)
        (node("Add", "h c", "y"), np.zeros(5), [None, 2]),
        (node("Add", "h c", "y"), np.zeros((1, 1, 1)), [None, 2]),
        (node("Max", "h c", "y"), np.zeros((5, 1)), [1, 2]),
        (node("Max", "h c", "y"), np.zeros((5, 1)), [None, 1, 2]),
    ],
)
def test_constants_that_change_a_shape_are_refused(tmp_path, last, constant, shape):
    arrays = {"v": np.ones((2, 1), np.float32), "c": constant.astype(np.float32)}
    nodes = [node("MatMul", "x v", "z"), node("Relu", "z", "h"), last]
    saved(tmp_path / "net.onnx", nodes, arrays, shape=shape)
    refused(tmp_path / "net.onnx", "gives the tensor another shape|makes several rows of one")


def test_constants_of_an_elu_that_add_dimensions_are_refused(tmp_path):
    """The outputs had a dimension more than those of the network."""
    arrays = {"zero": 0.0, "half": 0.5, "one": 1.0}
    nodes = [PRODUCT, node("Min", "h zero", "m"), node("Mul", "m half", "k"),
             node("Tanh", "k", "t"), node("Exp", "m", "e"), node("Add", "e one", "p"),
             node("Mul", "t p", "q"), node("Relu", "h", "r"), node("Add", "r q", "y")]  # fmt: skip
    for size, read in (((), True), ((1, 1, 1), False)):
        given = {name: np.full(size, value, np.float32) for name, value in arrays.items()}
        saved(tmp_path / "net.onnx", nodes, given)
        if read:
            assert fastrelu.from_onnx(tmp_path / "net.onnx").activations == ["elu"]
        else:
            refused(tmp_path / "net.onnx", "expected a constant and a tensor")


def test_attributes_that_functions_have_by_default(tmp_path):
    """onnx's inliner leaves the defaults out: any slope was then the operator's own, 0.01."""
    path = tmp_path / "net.onnx"

    def leaky(name, operator, slope, **more):
        inner = node(operator, "p", "q", **more)
        inner.attribute.append(helper.make_attribute("alpha", 1.0))
        inner.attribute[-1].ClearField("f")
        inner.attribute[-1].ref_attr_name = "slope"
        made = function(name, [inner])
        made.attribute_proto.append(helper.make_attribute("slope", slope))
        return made

    def ends_with(default, **given):
        saved(path, [PRODUCT, node("F", "h", "y", domain="own", **given)],
              functions=[leaky("F", "LeakyRelu", default)])  # fmt: skip

    ends_with(0.3)
    refused(path, "alpha is 0.3, but fastrelu's leaky_relu has 0.01")
    for slope, given in ((0.01, {}), (0.3, {"slope": 0.01})):
        ends_with(slope, **given)
        assert fastrelu.from_onnx(path).activations == ["leaky_relu"]
    outer = function("G", [node("F", "p", "q", domain="own")])
    calls = [PRODUCT, node("G", "h", "y", domain="own")]
    saved(path, calls, functions=[leaky("F", "LeakyRelu", 0.3), outer])
    refused(path, "alpha is 0.3, but fastrelu's leaky_relu has 0.01")
    passes = leaky("G", "F", 0.3, domain="own")
    passes.node[0].attribute[-1].name = "slope"
    saved(path, calls, functions=[leaky("F", "LeakyRelu", 0.3), passes])
    refused(path, "passes on an attribute in place of 'slope', which has a default")


@pytest.mark.parametrize("size, calls", [(1 << 20, 1000), (1, 1000)])
def test_defaults_of_functions_in_very_many_calls_are_refused(size, calls, tmp_path):
    made = function("F", [node("Relu", "p", "q")])
    n = 1 if size > 1 else 1000
    made.attribute_proto.extend(helper.make_attribute(f"a{k}", "a" * size) for k in range(n))
    names = ["h", *(f"h{k}" for k in range(1, calls)), "y"]
    nodes = [node("F", a, b, domain="own") for a, b in itertools.pairwise(names)]
    path = tmp_path / "net.onnx"
    saved(path, [PRODUCT, *nodes], functions=[made])
    refused(path, "defaults of the file's own functions take too much memory")
    saved(path, [PRODUCT, nodes[0], node("Identity", "h1", "y")], functions=[made])
    assert fastrelu.from_onnx(path).activations == ["relu"]

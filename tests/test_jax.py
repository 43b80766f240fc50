# SPDX-License-Identifier: BSD-3-Clause
"""Networks from pytrees of arrays, as functions of JAX, and from what only has __dlpack__."""

import itertools

import numpy as np
import pytest
from conftest import same_bits

import fastrelu

SIZES = [3, 5, 5, 2]
RNG = np.random.default_rng(0)
WEIGHTS = [RNG.normal(size=s).astype("f") for s in itertools.pairwise(SIZES)]
BIASES = [RNG.normal(size=n).astype("f") for n in SIZES[1:]]
PAIRS = list(zip(WEIGHTS, BIASES, strict=True))
FLAX = {f"Dense_{k}": {"kernel": w, "bias": b} for k, (w, b) in enumerate(PAIRS)}
TREES = {
    "flax": {"params": FLAX},
    "flax, inner": FLAX,
    "nnx": {"layers": {2 * k: {"kernel": w, "bias": b} for k, (w, b) in enumerate(PAIRS)}},
    "haiku": {f"mlp/~/linear_{k}": {"w": w, "b": b} for k, (w, b) in enumerate(PAIRS)},
    "pairs": PAIRS,
    "tuples": tuple(PAIRS),
    "stax": [PAIRS[0], (), PAIRS[1], (), PAIRS[2]],
    "mappings": [{"w": w, "b": b} for w, b in PAIRS],
}


@pytest.mark.parametrize("kind", TREES)
def test_layouts(kind):
    net = fastrelu.from_jax(TREES[kind], "tanh")
    assert net.layer_sizes == SIZES and net.activations == ["tanh", "tanh"] and net.bias
    assert net.dtype == np.float32
    for ours, given in zip([*net.weights, *net.biases], [*WEIGHTS, *BIASES], strict=True):
        assert same_bits(ours, given)


def test_layers_are_in_the_order_of_their_numbers():
    square = [np.full((2, 2), float(k)) for k in range(12)]
    tree = {f"Dense_{k}": {"kernel": w} for k, w in enumerate(square)}
    net = fastrelu.from_jax({name: tree[name] for name in sorted(tree)})
    assert [w[0, 0] for w in net.weights] == list(range(12)) and net.dtype == np.float64
    assert not net.bias


def test_names_without_numbers_need_the_order():
    tree = {"hidden": {"kernel": WEIGHTS[0]}, "out": {"kernel": np.ones((5, 1), "f")}}
    with pytest.raises(ValueError, match="layers: the order of the layers does not follow"):
        fastrelu.from_jax(tree)
    assert fastrelu.from_jax(tree, layers=["hidden", "out"]).layer_sizes == [3, 5, 1]
    with pytest.raises(ValueError, match=r"layers: expected each of \['hidden', 'out'\] once"):
        fastrelu.from_jax(tree, layers=["out"])


def test_names_of_equal_numbers_need_the_order():
    """JAX does not keep the order of a mapping, and one of two equal names was left out."""
    first, second = np.ones((2, 2)), np.zeros((2, 2))
    params = {"l_1": {"w": first}, "l_01": {"w": second}}
    with pytest.raises(ValueError, match="the order of the layers does not follow from their"):
        fastrelu.from_jax(params)
    net = fastrelu.from_jax(params, layers=["l_01", "l_1"])
    assert [w[0, 0] for w in net.weights] == [0, 1]
    with pytest.raises(ValueError, match=r"expected names that differ as texts, got \[1, '1'\]"):
        fastrelu.from_jax({1: {"w": first}, "1": {"w": second}})


def test_names_of_a_state_that_are_equal_as_texts_are_refused():
    class Name:
        def __str__(self):
            return "weight"

    with pytest.raises(ValueError, match="source: expected names that differ as texts"):
        fastrelu.from_torch({"weight": np.ones((2, 2)), Name(): np.zeros((2, 2))})


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (3, TypeError, "params: expected a mapping or a list of layers, got int"),
        ([], ValueError, "params: there is no layer"),
        ([(WEIGHTS[0], BIASES[2])], ValueError, r"params\[0\]: expected biases of shape \(5,\)"),
        ([(WEIGHTS[0],), (WEIGHTS[0],)], ValueError, r"params\[1\]: expected weights of 5 inputs"),
        ([{"scale": BIASES[0]}], ValueError, r"params\[0\]: expected a layer of kernel and bias"),
        ([WEIGHTS[0]], TypeError, r"params\[0\]: expected a pair or a mapping, got ndarray"),
        ([("a", "b")], TypeError, r"params\[0\]: expected arrays of numbers, got str"),
        ([(np.ones((2, 2), int),)], ValueError, "expected floating-point parameters, got int64"),
        ({"Dense_0": {"kernel": BIASES[0]}}, ValueError, r"\['Dense_0'\]: expected weights in two"),
    ],
)
def test_what_is_no_network_is_refused_by_name(params, error, message):
    with pytest.raises(error, match=message):
        fastrelu.from_jax(params)


def test_activations_are_checked():
    with pytest.raises(ValueError, match="activation: expected one of relu"):
        fastrelu.from_jax(PAIRS, "swoosh")
    with pytest.raises(ValueError, match="activation: expected one name, or a list of one"):
        fastrelu.from_jax(PAIRS, ["tanh"])


def test_a_callback_gives_the_networks_bits():
    jax = pytest.importorskip("jax")
    net = fastrelu.from_jax(jax.tree.map(jax.numpy.asarray, TREES["flax"]), "silu")
    function, x = net.to_jax(), RNG.normal(size=(4, 7, 3)).astype("f")
    expected = net(x.reshape(-1, 3)).reshape(4, 7, 2)
    for f in (function, jax.jit(function), jax.vmap(function), jax.jit(jax.vmap(function))):
        assert same_bits(np.asarray(f(x)), expected)
    assert same_bits(np.asarray(jax.jit(function)(x[0, 0])), expected[0, 0])
    with pytest.raises(ValueError, match=r"x: expected shape \(\.\.\., 3\), got \(4,\)"):
        function(np.ones(4))
    for bad, what in (("abc", "an array of numbers, got str"), (None, "an array of numbers, got N"),
                      (np.ones((2, 3), complex), "real numbers, got complex")):  # fmt: skip
        with pytest.raises(TypeError, match=f"x: expected {what}"):
            function(bad)
    with pytest.raises(ValueError, match="jax_enable_x64"):
        fastrelu.Network([2, 1], dtype="float64").to_jax()


def test_both_of_flaxs_interfaces():
    linen, nnx = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx")
    jax = pytest.importorskip("jax")
    x = RNG.normal(size=(6, 3)).astype("f")

    class Two(linen.Module):
        @linen.compact
        def __call__(self, x):
            hidden = linen.tanh(linen.Dense(5)(x))  # the first that is made is Dense_0
            return linen.Dense(2)(hidden)

    params = Two().init(jax.random.key(0), x)
    theirs = np.asarray(Two().apply(params, x))
    np.testing.assert_allclose(fastrelu.from_jax(params, "tanh")(x), theirs, rtol=1e-5, atol=1e-6)
    keys = nnx.Rngs(0)
    module = nnx.Sequential(nnx.Linear(3, 5, rngs=keys), nnx.tanh, nnx.Linear(5, 2, rngs=keys))
    state = nnx.state(module)
    for tree in (state, nnx.to_pure_dict(state), state["layers"]):
        net = fastrelu.from_jax(tree, "tanh")
        np.testing.assert_allclose(net(x), np.asarray(module(x)), rtol=1e-5, atol=1e-6)


class Lent:
    """What has __dlpack__ and nothing else of an array."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Elsewhere(Lent):
    """An array whose device NumPy does not read."""

    def __dlpack__(self, **how):
        raise BufferError("on another device")


def test_an_array_of_another_device_is_named():
    with pytest.raises(TypeError, match=r"X: expected an array of numbers, got Elsewhere \(on ano"):
        fastrelu.from_jax(PAIRS)(Elsewhere(WEIGHTS[0]))


def test_dlpack_in_and_out():
    net = fastrelu.from_jax(PAIRS)
    x = RNG.normal(size=(8, 6)).astype("f")
    for rows in (x[:, :3].copy(), x[::2, :3], x[:, ::2], x[:, :3].copy("F"), x[::-1, :3]):
        assert same_bits(net(Lent(rows)), net(rows))
    fixed = x[:, :3].copy()
    fixed.flags.writeable = False
    assert same_bits(net(Lent(fixed)), net(fixed))
    out = net(fixed)
    assert np.shares_memory(np.from_dlpack(out), out)

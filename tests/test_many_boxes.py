# SPDX-License-Identifier: BSD-3-Clause
"""Bounds over many boxes in one call, on sums of outputs, and of hidden layers."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core


def network(sizes, dtype="float32", seed=0, **more):
    net = fastrelu.Network(sizes, dtype=dtype, seed=seed, **more)
    rng = np.random.default_rng(seed)
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) * 0.3
    return net


@given(
    st.integers(0, 1000), st.integers(0, 9), st.sampled_from(["float32", "float64"]),
    st.booleans(), st.lists(st.integers(1, 20), min_size=2, max_size=4),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_many_boxes_have_the_bits_of_each(seed, n, dtype, rounding, sizes):
    net = network(sizes, dtype, seed)
    rng = np.random.default_rng(seed)
    low = rng.normal(size=(n, sizes[0]))
    high = low + rng.uniform(0, 0.5, low.shape)
    below, above = net.output_bounds(low, high, rounding=rounding)
    assert below.shape == above.shape == (n, sizes[-1])
    for k in range(n):
        one = net.output_bounds(low[k], high[k], rounding=rounding)
        assert same_bits(below[k].copy(), one[0]) and same_bits(above[k].copy(), one[1])


def test_threads_and_instruction_sets_change_no_bit():
    net = network([6, 40, 33, 3], seed=2)
    low = np.random.default_rng(0).normal(size=(50, 6))
    sums = [[1, -1, 0], [0.5, 0, 2.0]]
    expected, before = None, fastrelu.get_num_threads()
    isa = fastrelu.get_isa()
    try:
        for name in _core.available_isas():
            _core.set_isa(name)
            for threads in (1, 3):
                fastrelu.set_num_threads(threads)
                found = [*net.output_bounds(low, low + 0.1)]
                found += net.output_bounds(low, low + 0.1, sums=sums)
                expected = expected or found
                assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))
    finally:
        _core.set_isa(isa)
        fastrelu.set_num_threads(before)


def exact(value):
    return Fraction(float(value))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("radius", [0.0, 1e-6, 0.05])
def test_sums_of_computed_outputs_stay_inside(dtype, radius):
    for seed in range(8):
        net = network([5, 24, 24, 4], dtype, seed)
        rng = np.random.default_rng(seed)
        low = rng.normal(size=5)
        high = low + radius
        sums = np.vstack([[1, -1, 0, 0], rng.normal(size=(20, 4)), np.zeros(4)])
        below, above = net.output_bounds(low, high, sums=sums)
        X = np.clip(rng.uniform(low, high, (400, 5)), low, high)
        for out in net(X):
            for weights, least, most in zip(sums, below, above, strict=True):
                total = sum(exact(w) * exact(y) for w, y in zip(weights, out, strict=True))
                assert exact(least) <= total <= exact(most)


def test_a_margin_is_tighter_than_the_outputs():
    net = network([5, 24, 24, 2], seed=1)
    net.weights[-1][:, 1] = net.weights[-1][:, 0] + np.float32(0.01)
    low, high = np.full(5, -0.2), np.full(5, 0.2)
    outputs = net.output_bounds(low, high)
    below, above = net.output_bounds(low, high, sums=[1, -1])
    assert np.ndim(below) == np.ndim(above) == 0
    apart = (outputs[1][0] - outputs[0][1]) - (outputs[0][0] - outputs[1][1])
    assert above - below < 0.2 * apart
    many, _ = net.output_bounds([low, low], [high, high], sums=[1, -1])
    assert many.shape == (2,) and many[0] == many[1] == below


def test_the_layers():
    net = network([3, 8, 6, 2], seed=3)
    low, high = np.full(3, -0.1), np.full(3, 0.2)
    layers = net.layer_bounds(low, high)
    assert [len(pair[0]) for pair in layers] == [8, 6, 2]
    box = net.output_bounds(low, high)
    assert same_bits(layers[-1][0], box[0]) and same_bits(layers[-1][1], box[1])
    X = np.random.default_rng(0).uniform(low, high, (2000, 3)).astype(np.float32)
    first = X @ net.weights[0] + net.biases[0]
    assert (first >= layers[0][0] - 1e-6).all() and (first <= layers[0][1] + 1e-6).all()


NET = fastrelu.Network([2, 3, 2])
BOX = ([0.0, 0.0], [1.0, 1.0])
WRONG = [
    (([[0, 0]], [[1, 1], [1, 1]]), {}, r"upper: expected shape \(1, 2\), as lower, got \(2, 2\)"),
    (([[0, 0]], [1, 1]), {}, r"upper: expected shape \(n, 2\), got \(2,\)"),
    (([[0, 0, 0]], [[1, 1, 1]]), {}, r"lower: expected shape \(n, 2\)"),
    (([[0, 0], [0, 2]], [[1, 1], [1, 1]]), {}, r"lower\[1, 1\]: expected at most"),
    (([[[0, 0]]], [[[1, 1]]]), {}, "lower: expected shape"),
    (([[0, np.nan]], [[1, 1]]), {}, "lower"),
    (BOX, {"sums": [1.0]}, r"sums: expected shape \(2,\) or \(m, 2\), m >= 1, got \(1,\)"),
    (BOX, {"sums": np.zeros((0, 2))}, "sums: expected shape"),
    (BOX, {"sums": 1.0}, "sums: expected shape"),
    (BOX, {"sums": [np.inf, 1]}, "sums"),
    (BOX, {"sums": [1e308, 1e308]}, "sums: too large"),
]


@pytest.mark.parametrize(("boxes", "more", "message"), WRONG)
def test_bad_arguments_are_said(boxes, more, message):
    with pytest.raises(ValueError, match=message):
        NET.output_bounds(*boxes, **more)


def test_a_box_that_may_overflow_is_an_error_and_nothing_hangs():
    net = fastrelu.Network([1, 1])
    net.weights[0][:] = 1e30
    with pytest.raises(ValueError, match="may overflow"):
        net.output_bounds(np.full((20, 1), 1e20), np.full((20, 1), 1e25))

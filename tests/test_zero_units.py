# SPDX-License-Identifier: BSD-3-Clause
"""Steps over one to four rows pass over units that are 0, and no bit tells."""

import numpy as np
import pytest
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core, reference

ROWS = 20  # five steps of four: a run that is long enough to prepare for


def rng_of(seed):
    return np.random.default_rng(seed)


def with_zeros(rng, shape, dtype, zeros=0.5):
    """Return normal numbers, a share of them 0, every other zero -0."""
    values = rng.normal(size=shape) * (rng.random(shape) >= zeros)
    return np.where(rng.random(shape) < 0.5, values, -values).astype(dtype)


def compare(sizes, X, y, *, batch=1, rate=0.1, change=None, bias=True):
    """Fit an epoch of plain SGD in the core and in the reference, with equal bits or divergence."""
    found = []
    for module in (fastrelu, reference):
        net = module.Network(sizes, dtype=X.dtype.name, seed=3, bias=bias)
        if change is not None:
            change(net)
        optimizer = module.SGD(rate)
        trainer = module.Trainer(
            net, loss="squared_error", optimizer=optimizer, batch_size=batch, seed=5
        )
        with np.errstate(all="ignore"):
            try:
                history = trainer.fit(X, y, 1)
            except fastrelu.DivergenceError as error:
                found.append(str(error))
                continue
            losses = history.loss if module is fastrelu else history
            found.append([np.asarray(losses), net.parameters, net.forward(X)])
    if isinstance(found[0], str):  # said at the step that it shows in, or behind the last one
        losses, parameters, _ = found[1]
        assert not (np.isfinite(losses).all() and np.isfinite(parameters).all())
        assert ("the loss of step" in found[0]) == (not np.isfinite(losses).all())
        return False
    for mine, theirs in zip(*found, strict=True):
        assert same_bits(mine, theirs)
    return True


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 90), min_size=2, max_size=5),
    batch=st.integers(1, 4),
    dtype=st.sampled_from(["float32", "float64"]),
    zeros=st.sampled_from([0.0, 0.5, 0.97, 1.0]),
    size=st.sampled_from([1e-30, 1e-18, 1.0, 1e9, 1e16]),  # up to underflow, and beyond moderate
    rate=st.sampled_from([0.0, 1e-30, 0.05, 1e4, 1e30]),
    bias=st.booleans(),
    isa=st.sampled_from(_core.available_isas()),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_network(sizes, batch, dtype, zeros, size, rate, bias, isa, seed):
    rng = np.random.default_rng(seed)
    X = with_zeros(rng, (ROWS, sizes[0]), dtype, zeros) * np.asarray(size, dtype)
    y = with_zeros(rng, (ROWS, sizes[-1]), dtype, zeros)

    def change(net):
        numbers = rng_of(seed)
        for each in [*net.weights, *(net.biases if bias else ())]:
            which = numbers.random(each.shape)
            each[which < 0.2] = -0.0
            each[which > 0.9] *= np.asarray(1e-25, dtype)

    before = _core.active_isa()
    _core.set_isa(isa)
    try:
        compare(sizes, X, y, batch=batch, rate=rate, change=change, bias=bias)
    finally:
        _core.set_isa(before)


@pytest.mark.parametrize("width", [255, 256, 257, 600])
@pytest.mark.parametrize("batch", [1, 2])
def test_wide_layers(width, batch, dtype, isa, rng):
    X = with_zeros(rng, (ROWS, width), dtype)
    y = with_zeros(rng, (ROWS, 3), dtype)
    assert compare([width, 33, 3], X, y, batch=batch, rate=1e-3)
    assert compare([5, width, 3], X[:, :5].copy(), y, batch=batch, rate=1e-3)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("batch", [1, 3])
def test_weights_that_are_not_finite_meet_units_at_zero(value, batch, dtype, isa, rng):
    X, y = with_zeros(rng, (ROWS, 20), dtype), with_zeros(rng, (ROWS, 2), dtype)

    def change(net):
        net.biases[0][:20] = -1000  # those units are 0 in every row
        net.weights[1][7] = value  # 0 times this is NaN

    assert not compare([20, 40, 2], X, y, batch=batch, change=change)


@pytest.mark.parametrize("rate", [1e-3, 1e28])
def test_weights_that_overflow_on_the_way(rate, dtype, isa, rng):
    X, y = with_zeros(rng, (ROWS, 20), dtype), with_zeros(rng, (ROWS, 2), dtype)
    top = np.finfo(dtype).max

    def change(net):
        net.weights[1][::2] = np.asarray(top, dtype)
        net.biases[0][::3] = -1000

    compare([20, 40, 2], X, y, rate=rate, change=change)
    compare([20, 40, 30, 2], X, y, rate=rate, change=change)


def test_chains_that_stand_at_minus_zero(dtype, isa, rng):
    X, y = np.zeros((ROWS, 20), dtype), with_zeros(rng, (ROWS, 2), dtype)
    X[:, 3] = -0.0
    X[::4, 5] = np.finfo(dtype).tiny * 1e-3

    def change(net):
        for each in net.biases:
            each[...] = -0.0
        net.weights[0][...] = np.where(rng_of(0).random((20, 40)) < 0.5, -1e-6, 1e-6)
        net.weights[1][...] = np.where(rng_of(1).random((40, 2)) < 0.5, -0.0, -1.0)

    assert compare([20, 40, 2], X, y, change=change)
    assert compare([20, 40, 2], X, y, change=change, rate=0.0)


def test_a_bound_forgets_nothing(dtype, isa, rng):
    """A row beyond moderate numbers, then ordinary ones."""
    X, y = with_zeros(rng, (ROWS, 20), dtype), with_zeros(rng, (ROWS, 2), dtype)
    X[4, 2] = 1e14
    assert compare([20, 40, 2], X, y, rate=1e-25)

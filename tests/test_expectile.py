# SPDX-License-Identifier: BSD-3-Clause
"""Expectiles: the loss beside its formula, and what it finds beside SciPy's and closed forms."""

import numpy as np
import pytest
import scipy.stats
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import losses
from fastrelu.metrics import weighted_expectile


def by_halving(y, weight, tau):
    """The expectile by its definition: the root of what grows with it, by halving an interval."""
    low, high = y.min(), y.max()
    for _ in range(200):
        middle = (low + high) / 2
        below = (1 - tau) * (weight * np.maximum(middle - y, 0)).sum()
        if below > tau * (weight * np.maximum(y - middle, 0)).sum():
            high = middle
        else:
            low = middle
    return (low + high) / 2


@settings(max_examples=60, deadline=None)
@given(
    y=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    tau=st.floats(0.001, 0.999),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_expectile_of_a_sample(y, tau, seed):
    y = np.array(y)
    weight = np.random.default_rng(seed).integers(1, 4, len(y))
    size = np.abs(y).max() + 1e-300
    found = weighted_expectile(y, weight.astype(float), tau)
    assert found == pytest.approx(by_halving(y, weight, tau), abs=1e-11 * size)
    repeated = np.repeat(y, weight)
    assert found == pytest.approx(scipy.stats.expectile(repeated, tau), abs=1e-9 * size)


def test_expectiles_of_samples_that_are_known():
    ones = np.ones(1000)
    assert weighted_expectile(0.1 * ones, ones, 0.9) == pytest.approx(0.1)
    assert weighted_expectile(np.array([7.0]), np.array([0.5]), 0.01) == 7.0
    # Of 0 and 1: (1 - tau) e = tau (1 - e), so that e is tau.
    for tau in (0.01, 0.3, 0.5, 0.99):
        assert weighted_expectile(np.array([0.0, 1.0]), np.ones(2), tau) == pytest.approx(tau)
    y, w = np.array([3.0, 1.0, 8.0]), np.array([1.0, 0.0, 3.0])
    assert weighted_expectile(y, w, 0.5) == np.average(y, weights=w)


@pytest.mark.parametrize("tau", [0.05, 0.5, 0.9])
def test_the_loss_is_its_formula(tau, dtype, rng, isa):
    net = fastrelu.Network([4, 7, 3], dtype=dtype, seed=1)
    X, y = rng.normal(size=(45, 4)).astype(dtype), rng.normal(size=(45, 3)).astype(dtype)
    w = rng.random(45)
    r = net(X).astype("float64") - y
    expected = np.average((np.where(r > 0, 1 - tau, tau) * r**2).mean(axis=1), weights=w)
    loss = losses.Expectile(tau)
    assert net.loss(X, y, loss, w) == pytest.approx(
        expected, rel=1e-5 if dtype == "float32" else 1e-13
    )
    # The gradient, along a direction, by differences.
    if dtype == "float64":
        _, gradient = net.loss_and_gradient(X, y, loss, w)
        start, along = net.parameters.copy(), rng.normal(size=net.parameters.size)
        ends = []
        for step in (1e-6, -1e-6):
            net.parameters[:] = start + step * along
            ends.append(net.loss(X, y, loss, w))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradient.flat @ along, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_half_is_the_squared_error_to_the_bit(batch_size, dtype, rng, isa):
    X, y = rng.normal(size=(70, 3)).astype(dtype), rng.normal(size=(70, 2)).astype(dtype)
    y[:5] = fastrelu.Network([3, 9, 2], dtype=dtype, seed=2)(X[:5])  # residuals of 0
    made = []
    for loss in ("squared_error", losses.Expectile(0.5)):
        net = fastrelu.Network([3, 9, 2], dtype=dtype, seed=2)
        trainer = fastrelu.Trainer(net, loss=loss, optimizer="adam", batch_size=batch_size, seed=1)
        history = trainer.fit(X, y, epochs=3)
        made.append((net.parameters, np.array(history.loss)))
    assert all(map(same_bits, *made))


@pytest.mark.parametrize("tau", [0.2, 0.5, 0.95])
def test_a_network_without_inputs_finds_the_expectile(tau):
    y = np.random.default_rng(0).exponential(size=500)
    net = fastrelu.Network([1, 1], dtype="float64", seed=0)
    trainer = fastrelu.Trainer(
        net, loss=losses.Expectile(tau), optimizer=fastrelu.SGD(0.5), batch_size=500
    )
    trainer.fit(np.zeros((500, 1)), y, epochs=2000)
    assert net.biases[0][0] == pytest.approx(scipy.stats.expectile(y, tau), rel=1e-9)


def test_parameters_are_checked_and_kept():
    for tau in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="tau: expected"):
            losses.Expectile(tau)
    with pytest.raises(TypeError, match="tau"):
        losses.Expectile("0.5")
    loss = losses.Expectile(0.9)
    assert losses.from_settings(losses.core_options(loss, 1)) == loss
    assert losses.as_loss("expectile") == losses.Expectile(0.5)

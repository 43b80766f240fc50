# SPDX-License-Identifier: BSD-3-Clause
"""The losses with a log link beside scikit-learn's deviances, and where numbers are extreme."""

import math

import numpy as np
import pytest
from catalogue_tools import LOSS_NAMES, info_of
from sklearn import metrics

import fastrelu
from fastrelu import losses

POWERS = {"poisson": [1.0], "gamma": [2.0], "tweedie": [1.05, 1.5, 1.9]}
CASES = [(name, power) for name, powers in POWERS.items() for power in powers]


def loss_of(name, power):
    return losses.Tweedie(power) if name == "tweedie" else losses.as_loss(name)


def test_every_loss_with_a_deviance_is_here():
    assert set(POWERS) == {name for name in LOSS_NAMES if info_of(name).link == "log"}


@pytest.mark.parametrize(("name", "power"), CASES)
def test_half_of_scikit_learns_deviance(name, power, dtype, rng):
    net = fastrelu.Network([3, 1], dtype=dtype, seed=1)
    X = (2 * rng.normal(size=(200, 3))).astype(dtype)
    y = rng.gamma(0.7, 2.0, 200).astype(dtype)
    if name != "gamma":
        y[::3] = 0
    w, loss = rng.random(200) + 0.1, loss_of(name, power)
    mu = np.exp(net(X).astype(float))[:, 0]
    deviance = metrics.mean_tweedie_deviance(y.astype(float), mu, sample_weight=w, power=power)
    accuracy = 2e-5 if dtype == "float32" else 1e-12
    assert net.loss(X, y, loss, w) == pytest.approx(deviance / 2, rel=accuracy)
    own = np.average(loss.deviance(y.astype(float), mu), weights=w)
    assert own == pytest.approx(deviance / 2, rel=1e-12)
    history = fastrelu.Trainer(net, loss=loss, optimizer=fastrelu.SGD(0.0)).fit(
        X, y, validation_data=(X, y, w)
    )
    explained = metrics.d2_tweedie_score(y.astype(float), mu, sample_weight=w, power=power)
    assert history.metric == "d2" and history.val_metric[0] == pytest.approx(explained, rel=1e-9)


def at(loss, z, y, dtype):
    """Loss and derivative of one row at output z."""
    net = fastrelu.Network([1, 1], dtype=dtype)
    net.parameters[:] = 0, z
    value, gradients = net.loss_and_gradient([[0.0]], [y], loss)
    return value, float(gradients.biases[0][0])


@pytest.mark.parametrize("y", [1e-37, 1e-30, 1e-3, 1.0, 1e20, 1e37])
def test_gamma_is_right_for_tiny_and_huge_targets(y, dtype):
    """Also where exp(-z) is subnormal or infinite and y / mu is not."""
    T, eps = np.dtype(dtype).type, float(np.finfo(dtype).eps)
    y = float(T(y))
    for off in (-5.0, -1e-2, 0.0, 1e-2, 5.0):
        z = float(T(math.log(y) + off))
        ratio = math.exp(math.log(y) - z)
        value, slope = at("gamma", z, y, dtype)
        assert slope == pytest.approx(1 - ratio, abs=20 * eps * (1 + ratio) + 1e-13 * ratio)
        expected = ratio - 1 - (math.log(y) - z)
        assert value == pytest.approx(expected, abs=20 * eps * (100 + ratio))


@pytest.mark.parametrize("power", [1.01, 1.5, 1.99])
def test_tweedie_of_0_is_finite_however_small_the_mean(power, dtype):
    loss = losses.Tweedie(power)
    for z in (-1e4, -300.0, -1.0, 0.0, 3.0):
        value, slope = at(loss, z, 0.0, dtype)
        a = 2 - float(np.dtype(dtype).type(power))
        assert slope == pytest.approx(math.exp(a * z), rel=1e-5, abs=1e-44)
        assert value == pytest.approx(math.exp(a * z) / a, rel=1e-5, abs=1e-42)


def test_a_power_that_float32_rounds_to_an_end_is_refused():
    for power in (1 + 1e-9, 2 - 1e-9):
        with pytest.raises(ValueError, match="power: expected"):
            losses.Tweedie(power)


@pytest.mark.parametrize(("name", "power"), CASES)
def test_deviances_of_means_that_underflow(name, power):
    """exp(-800) is 0: exact for a target of 0, infinitely far from any other; nothing is warned."""
    loss, zero = loss_of(name, power), np.zeros(1)
    if name != "gamma":
        assert loss.deviance(zero, zero)[0] == 0
    if name != "poisson":
        assert loss.deviance(np.ones(1), zero)[0] == np.inf
    assert np.isnan(loss.deviance(np.ones(1), np.array([np.nan])))[0]

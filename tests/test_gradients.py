# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from catalogue_tools import VARIANTS, targets

import fastrelu

LOSSES = {**VARIANTS, "weights": fastrelu.losses.BinaryCrossEntropy([0.5, 3.0, 1.0])}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_against_central_differences(loss, weighted, rng):
    net = fastrelu.Network([4, 9, 6, 3], dtype="float64", seed=2)
    net.parameters[:] += 0.05 * rng.normal(size=net.n_parameters)
    X = rng.normal(size=(11, 4))
    y = targets(rng, loss, 11, 3)
    w = rng.random(11) if weighted else None
    _, grads = net.loss_and_gradient(X, y, loss, w)
    numeric = np.empty(net.n_parameters)
    h = 1e-5
    for i in range(net.n_parameters):
        old = net.parameters[i]
        values = []
        for step in (2 * h, h, -h, -2 * h):
            net.parameters[i] = old + step
            values.append(net.loss(X, y, loss, w))
        net.parameters[i] = old
        numeric[i] = (-values[0] + 8 * values[1] - 8 * values[2] + values[3]) / (12 * h)
    size = np.maximum(np.abs(grads.flat), 1e-2 * np.abs(grads.flat).max())
    assert (np.abs(numeric - grads.flat) / size).max() < 1e-7


def test_gradient_to_the_inputs(rng):
    net = fastrelu.Network([4, 9, 3], dtype="float64", scale=0.5)
    x, d_out = rng.normal(size=4), rng.normal(size=3)
    _, cache = net.forward_cached(x)
    grads = net.backward(cache, d_out, inputs=True)
    h = 1e-6
    for i in range(4):
        e = np.eye(4)[i] * h
        slope = (net(x + e) - net(x - e)) @ d_out / (2 * h)
        assert abs(slope - grads.inputs[i]) < 1e-8
    assert np.allclose(net.jacobian(x).T @ d_out, grads.inputs, rtol=1e-12)


def test_the_network_of_the_chain_rule_by_hand():
    """Three inputs, two hidden units in a row, two outputs, no biases."""
    net = fastrelu.Network([3, 1, 1, 2], bias=False, dtype="float64")
    w, a, v = np.array([0.5, -0.25, 1.5]), 0.75, np.array([2.0, -1.0])
    net.parameters[:] = [*w, a, *v]
    x, y = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 1.0]])
    h1 = w @ x[0]
    h2 = a * h1
    out = h2 * v
    assert h1 > 0 and h2 > 0
    assert np.array_equal(net.forward(x), [out])
    d_out = (out - y[0]) / 2  # of half the squared error, averaged over two outputs
    upstream = d_out @ v  # shared by a and w
    loss, grads = net.loss_and_gradient(x, y)
    assert loss == ((out - y[0]) ** 2).sum() / 4
    assert np.array_equal(grads.weights[2], [h2 * d_out])
    assert np.array_equal(grads.weights[1], [[upstream * h1]])
    assert np.array_equal(grads.weights[0][:, 0], upstream * a * x[0])
    assert grads.biases == () and net.biases == ()


def test_losses_of_large_logits_do_not_overflow(dtype):
    net = fastrelu.Network([2, 2], dtype=dtype, bias=False)
    net.weights[0][...] = np.eye(2)
    X = np.array([[1e4, -1e4], [-1e4, 1e4]])
    loss, grads = net.loss_and_gradient(X, [0, 0], "cross_entropy")
    assert loss == 1e4 and np.isfinite(grads.flat).all()
    loss, grads = net.loss_and_gradient(X, [[1, 0], [1, 0]], "binary_cross_entropy")
    assert loss == 1e4 and np.isfinite(grads.flat).all()
    assert np.array_equal(net.predict_proba(X, "cross_entropy"), np.eye(2))

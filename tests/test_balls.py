# SPDX-License-Identifier: BSD-3-Clause
"""Bounds and optima over balls in the Euclidean norm."""

from fractions import Fraction
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastrelu


def network(sizes: list[int], dtype: str, seed: int, **more: Any) -> Any:
    net = fastrelu.Network(sizes, dtype=dtype, seed=seed, **more)
    rng = np.random.default_rng(seed)
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) * 0.3
    return net


def points(net: Any, center: Any, radius: float, n: int, seed: int) -> Any:
    """Points that are in the ball in exact arithmetic, most of them near its edge."""
    rng = np.random.default_rng(seed)
    ways = rng.normal(size=(n, len(center)))
    ways[: n // 4] = net.jacobian(center)[rng.integers(0, net.layer_sizes[-1], n // 4)]
    ways[: n // 8] *= -1
    size = np.linalg.norm(ways, axis=1, keepdims=True)
    ways = np.divide(ways, size, out=np.zeros_like(ways), where=size > 0)
    X = center + radius * ways * (1 - rng.choice([0.0, 1e-15, 1e-3, 0.3], (n, 1)))
    inside = [
        sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x, center.tolist(), strict=True))
        <= Fraction(radius) ** 2
        for x in X.tolist()
    ]
    return X[inside]


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
    activation=st.sampled_from(["relu", "leaky_relu"]),
    scale=st.sampled_from([1.0, 1 / 255, -3.0, 1e9]),
    radius=st.sampled_from([1e-9, 1e-3, 1.0, 1e4]),
    weight=st.sampled_from([1.0, 1e-30, 1e3]),
    seed=st.integers(0, 999),
)
def test_no_output_leaves_the_bounds(
    sizes: list[int],
    dtype: str,
    activation: str,
    scale: float,
    radius: float,
    weight: float,
    seed: int,
) -> None:
    net = network(sizes, dtype, seed, activation=activation, scale=scale)
    net.weights[0][:] *= net.dtype.type(weight)
    center = np.random.default_rng(seed).normal(size=sizes[0]) / abs(scale)
    radius /= abs(scale)
    X = points(net, center, radius, 60, seed)
    out = net(X)
    low, high = net.output_bounds(ball=(center, radius))
    assert (out >= low).all() and (out <= high).all()
    best = net.maximize(ball=(center, radius), time_limit=0.02)
    assert best.value == net(best.x)[0]
    assert best.bound >= max(out[:, 0].max(initial=-np.inf), best.value)
    distance = sum(
        (Fraction(a) - Fraction(b)) ** 2
        for a, b in zip(best.x.tolist(), center.tolist(), strict=True)
    )
    assert distance <= Fraction(radius) ** 2


def test_a_ball_is_mostly_tighter_than_the_box_around_it() -> None:
    shares = []
    for seed in range(20):
        net = network([4, 12, 12, 1], "float64", seed)
        low, high = net.output_bounds(ball=(np.zeros(4), 0.5))
        around = net.output_bounds(np.full(4, -0.5), np.full(4, 0.5))
        shares.append((high - low)[0] / (around[1] - around[0])[0])
    assert np.median(shares) < 0.75


def test_a_linear_network_has_the_norm_of_its_weights() -> None:
    net = network([5, 3], "float64", 0)
    center, radius = np.arange(5.0), 2.0
    low, high = net.output_bounds(ball=(center, radius))
    reach = radius * np.linalg.norm(net.weights[0], axis=0)
    assert np.allclose(high, net(center) + reach, rtol=1e-12)
    assert np.allclose(low, net(center) - reach, rtol=1e-12)
    assert (high >= net(center) + reach * (1 - 1e-15)).all()
    best = net.maximize(ball=(center, radius), output=1)
    assert best.status == "optimal" and best.value == pytest.approx(high[1], rel=1e-9)


def test_box_and_ball_together_are_what_a_quadratic_program_says() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(6):
        net = network([4, 1], "float64", seed)
        rng = np.random.default_rng(seed)
        w, b = net.weights[0][:, 0], net.biases[0][0]
        side = rng.uniform(0.2, 1.2, 4)
        found = optimize.minimize(
            lambda x, w=w: -(w @ x),
            np.zeros(4),
            bounds=np.stack([-side, side], 1),
            jac=lambda x, w=w: -w,
            constraints={"type": "ineq", "fun": lambda x: 1 - x @ x, "jac": lambda x: -2 * x},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        high = net.output_bounds(-side, side, ball=(np.zeros(4), 1))[1][0]
        assert high == pytest.approx(b - found.fun, rel=1e-6)


def test_the_optimum_of_a_trained_network_is_that_of_many_points() -> None:
    net = network([3, 12, 12, 1], "float64", 1)
    center = np.array([0.2, -0.1, 0.3])
    best, least = net.maximize(ball=(center, 0.7)), net.minimize(ball=(center, 0.7))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 3))
    X = (
        center
        + 0.7
        * X
        / np.linalg.norm(X, axis=1, keepdims=True)
        * rng.uniform(0, 1, (200_000, 1)) ** 0.1
    )
    out = net(X)[:, 0]
    assert best.status == least.status == "optimal"
    assert out.max() <= best.bound and out.max() == pytest.approx(best.value, abs=2e-3)
    assert out.min() >= least.bound and out.min() == pytest.approx(least.value, abs=2e-3)
    assert net.verify(None, ([1], best.bound), ball=(center, 0.7))
    result = net.verify(None, ([1], best.value - 0.01), ball=(center, 0.7))
    assert result.status == "fails" and np.linalg.norm(result.x - center) <= 0.7


def test_many_balls_are_each_as_alone() -> None:
    net = network([3, 8, 8, 2], "float32", 2)
    rng = np.random.default_rng(0)
    centers, radii = rng.normal(size=(20, 3)), rng.uniform(0.01, 1, 20)
    low, high = net.output_bounds(ball=(centers, radii))
    for i in range(20):
        alone = net.output_bounds(ball=(centers[i], radii[i]))
        assert np.array_equal(alone[0], low[i]) and np.array_equal(alone[1], high[i])
    margin = net.output_bounds(ball=(centers, 0.1), sums=[1, -1])[0]
    assert margin.shape == (20,)
    assert (margin <= np.subtract(*net(centers).T)).all()
    layers = net.layer_bounds(ball=(centers[0], radii[0]))
    assert [len(bounds[0]) for bounds in layers] == [8, 8, 2]
    assert np.array_equal(layers[-1][0], low[0])


@pytest.mark.parametrize("ball", [3, (np.zeros(3),), (np.zeros(2), 1), (np.zeros(3), 0),
                                  (np.zeros(3), -1), (np.zeros(3), np.nan), ("a", 1),
                                  (np.zeros(3), [1, 2]), (np.full(3, 1e308), 1.7e308)])  # fmt: skip
def test_what_is_no_ball_is_refused(ball: Any) -> None:
    net = network([3, 4, 1], "float64", 0)
    for call in (net.output_bounds, net.layer_bounds, net.maximize):
        with pytest.raises((TypeError, ValueError), match="ball"):
            call(ball=ball)


def test_a_center_outside_of_the_box_is_refused() -> None:
    net = network([2, 4, 1], "float64", 0)
    with pytest.raises(ValueError, match="ball: expected a center in the box"):
        net.maximize([(0, 1), (0, 1)], ball=([2, 0.5], 3))
    with pytest.raises(TypeError, match="bounds"):
        net.maximize()
    with pytest.raises(TypeError, match="lower, upper"):
        net.output_bounds()

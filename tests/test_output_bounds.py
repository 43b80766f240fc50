# SPDX-License-Identifier: BSD-3-Clause
"""Boxes that computed outputs are certain to be in."""

from fractions import Fraction
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastrelu
from fastrelu.exact.bounds import pre_activation_bounds

DTYPES = ("float32", "float64")


def network(sizes: list[int], dtype: str = "float32", seed: int = 0, **more: Any) -> Any:
    net = fastrelu.Network(sizes, dtype=dtype, seed=seed, **more)
    rng = np.random.default_rng(seed)
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) * 0.3
    return net


def points(net: Any, low: Any, high: Any, n: int, seed: int = 0) -> Any:
    """Points of the network's dtype that lie in the box, also on its faces and corners."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(low, high, (n, len(low)))
    third = n // 3
    X[:third] = np.where(rng.random((third, len(low))) < 0.5, low, high)
    X[third : 2 * third] = np.where(rng.random((third, len(low))) < 0.5, X[:third], X[-third:])
    # What float64 points the box holds is what it promises; the network does the casting.
    return np.clip(X, low, high)


def ascend(net: Any, X: Any, low: Any, high: Any, output: int, sign: float, steps: int) -> Any:
    """Points sought along the gradient's signs, then along single coordinates."""
    X = X.astype(net.dtype)
    low, high = low.astype(net.dtype), high.astype(net.dtype)
    for step in range(steps):
        slope = net.jacobian(X)[:, output, :] * sign
        length = (high - low) * net.dtype.type(0.5 ** (step // 2))
        X = np.clip(X + np.sign(slope) * length, low, high)
    return X


def assert_inside(out: Any, low: Any, high: Any) -> None:
    assert (out >= low).all() and (out <= high).all()


@pytest.mark.parametrize("radius", [1e-7, 1e-3, 0.1])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_a_million_points_stay_inside(radius: float, activation: str) -> None:
    # 1e6 over the parameters, in the dtype that rounds most.
    for seed, sizes in enumerate(([4, 32, 32, 2], [16, 64, 3], [2, 8, 8, 8, 8, 1])):
        net = network(sizes, seed=seed, activation=activation)
        middle = np.random.default_rng(seed).normal(size=sizes[0])
        low, high = middle - radius, middle + radius
        low32, high32 = low.astype(np.float32), high.astype(np.float32)
        box = net.output_bounds(low, high)
        X = points(net, low, high, 50_000, seed)
        assert_inside(net(X), *box)
        sought = ascend(net, X[:3000], low32, high32, 0, 1.0, 8)
        assert_inside(net(sought), *net.output_bounds(low32, high32))
        sought = ascend(net, X[:3000], low32, high32, 0, -1.0, 8)
        assert_inside(net(sought), *net.output_bounds(low32, high32))


def test_without_the_rounding_term_computed_numbers_leave_the_box() -> None:
    # Ten times 0.1 in float32: the chain's roundings carry it above what exact arithmetic gives.
    net = fastrelu.Network([10, 1], bias=False)
    net.weights[0][:] = 0.1
    x = np.ones(10, np.float32)
    exact = 10 * Fraction(float(np.float32(0.1)))
    low, high = net.output_bounds(x, x, rounding=False)
    assert Fraction(low[0]) <= exact <= Fraction(high[0])
    assert not low[0] <= net(x)[0] <= high[0]
    low, high = net.output_bounds(x, x)
    assert low[0] <= net(x)[0] <= high[0]
    assert low[0] == high[0] == net(x)[0]


def test_a_deep_network_leaves_the_box_without_roundings_at_many_points() -> None:
    net = network([6, 40, 40, 40, 1])
    rng = np.random.default_rng(3)
    left = 0
    for x in rng.normal(size=(50, 6)).astype(np.float32):
        low, high = net.output_bounds(x, x, rounding=False)
        left += not low[0] <= net(x)[0] <= high[0]
        assert_inside(net(x), *net.output_bounds(x, x))
    assert left > 25


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_exact_arithmetic_stays_in_its_box(dtype: str, activation: str) -> None:
    net = network([3, 5, 4, 2], dtype, activation=activation)
    rng = np.random.default_rng(1)
    low, high = np.full(3, -0.25), np.full(3, 0.5)
    exact_box = net.output_bounds(low, high, rounding=False)
    for x in rng.uniform(low, high, (20, 3)):
        values = exact(net, [Fraction(v) for v in x], activation)
        for o, value in enumerate(values):
            assert Fraction(exact_box[0][o]) <= value <= Fraction(exact_box[1][o])


def exact(net: Any, h: list[Fraction], activation: str) -> list[Fraction]:
    slope = {
        "relu": Fraction(0),
        "leaky_relu": Fraction(float(net.dtype.type(0.01))),
        "identity": Fraction(1),
    }[activation]
    for k, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        h = [
            Fraction(float(b[o]))
            + sum(x * Fraction(float(w)) for x, w in zip(h, W[:, o], strict=True))
            for o in range(W.shape[1])
        ]
        if k < len(net.weights) - 1:
            h = [z if z > 0 else slope * z for z in h]
    return h


def intervals(net: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """Plain interval propagation in float64."""
    for k, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        W, b = W.astype(float), b.astype(float)
        plus, minus = np.maximum(W, 0), np.minimum(W, 0)
        low, high = low @ plus + high @ minus + b, high @ plus + low @ minus + b
        if k < len(net.weights) - 1:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
    return low, high


def test_relaxation_is_never_wider_than_intervals_and_mostly_far_tighter() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 6))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]
    net = fastrelu.Network([6, 48, 48, 1], seed=0, dtype="float64")
    fastrelu.Trainer(net, optimizer=fastrelu.Adam(3e-3), batch_size=50).fit(X, y, epochs=15)
    shares = []
    for x in X[:30]:
        low, high = net.output_bounds(x - 0.02, x + 0.02)
        loose_low, loose_high = intervals(net, x - 0.02, x + 0.02)
        # Up to the roundings that only one of the two counts.
        assert low[0] >= loose_low[0] - 1e-9 and high[0] <= loose_high[0] + 1e-9
        shares.append((high[0] - low[0]) / (loose_high[0] - loose_low[0]))
    assert np.median(shares) < 0.25


def test_hidden_layers_bounds_hold_their_pre_activations() -> None:
    net = network([3, 16, 8, 2], "float64")
    low, high = np.full(3, -0.3), np.full(3, 0.4)
    X = points(net, low, high, 4000)
    h = X
    for (below, above), W, b in zip(
        pre_activation_bounds(net, low, high), net.weights, net.biases, strict=True
    ):
        z = h @ W + b
        assert (z >= below - 1e-12).all() and (z <= above + 1e-12).all()
        h = np.maximum(z, 0)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    dtype=st.sampled_from(DTYPES),
    bias=st.booleans(),
    activation=st.sampled_from(["relu", "leaky_relu", "identity"]),
    scale=st.sampled_from([1.0, 1 / 255, -3.0]),
    radius=st.sampled_from([0.0, 1e-8, 0.01, 1.0, 300.0]),
    size=st.sampled_from([1e-30, 1e-3, 1.0, 1e3]),
    seed=st.integers(0, 99),
)
def test_any_network(
    sizes: list[int],
    dtype: str,
    bias: bool,
    activation: str,
    scale: float,
    radius: float,
    size: float,
    seed: int,
) -> None:
    net = network(sizes, dtype, seed, bias=bias, activation=activation, scale=scale)
    net.parameters[:] *= net.dtype.type(size)  # down to subnormal products
    middle = np.random.default_rng(seed).normal(size=sizes[0])
    low, high = middle - radius, middle + radius
    out = net(points(net, low, high, 300, seed))
    assert_inside(out, *net.output_bounds(low, high))


def test_one_point_is_known_to_the_bit() -> None:
    for dtype in DTYPES:
        for activation in ("relu", "leaky_relu", "identity"):
            net = network([7, 30, 30, 3], dtype, activation=activation, scale=1.7)
            x = np.random.default_rng(2).normal(size=7)
            low, high = net.output_bounds(x, x)
            assert low.tolist() == high.tolist() == net(x).tolist()


def test_tiny_weights_and_huge_inputs() -> None:
    # Coefficients carried back would be subnormal, and matter all the same.
    net = fastrelu.Network([1, 1, 1], dtype="float64", bias=False)
    net.weights[0][:] = net.weights[1][:] = 1e-200
    low, high = net.output_bounds([1e307], [1e308])
    assert low[0] <= net([1e307])[0] < net([5e307])[0] < net([1e308])[0] <= high[0]


def test_every_number_of_an_interval() -> None:
    net = network([1, 9, 9, 2])
    x = np.float32(0.7)
    X = (np.arange(100_000, dtype=np.uint32) + x.view(np.uint32)).view(np.float32)
    low, high = net.output_bounds(X[:1], X[-1:])
    out = net(X[:, None])
    assert_inside(out, low, high)
    assert (high - low <= 1.5 * (out.max(axis=0) - out.min(axis=0)) + 1e-6).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["int64", "uint64", "longdouble"])
def test_long_numbers_are_cast_as_the_network_casts_them(dtype: str, kind: str) -> None:
    net = network([1, 5, 1], dtype, seed=2)
    # One above the middle of two float32 numbers, and of two float64 numbers: rounding to float64
    # first gives the other one.
    for number in (2**60 + 2**36 + 1, 2**53 + 1, 2**62 + 2**9 + 1, 2**61 + 3 * 2**37 + 1):
        x = np.array([number]).astype(kind)
        low, high = net.output_bounds(x, x)
        assert low.tolist() == high.tolist() == net(x).tolist()
        below, above = net.output_bounds(x, x, rounding=False)
        value = exact(net, [Fraction(number)], "relu")[0]
        assert Fraction(below[0]) <= value <= Fraction(above[0])


def test_bytes() -> None:
    net = network([12, 8, 3], scale=1 / 255)
    X = np.random.default_rng(0).integers(0, 256, (5000, 12), dtype=np.uint8)
    assert_inside(net(X), *net.output_bounds(np.zeros(12), np.full(12, 255)))


def test_the_same_bits_everywhere() -> None:
    net = fastrelu.Network([5, 20, 20, 2], seed=0)
    for b in net.biases:
        b[:] = np.linspace(-0.5, 0.5, len(b))
    low, high = net.output_bounds(np.full(5, -0.1), np.full(5, 0.2))
    assert [v.hex() for v in (low[0], high[0], low[1], high[1])] == HEX


HEX = [
    "-0x1.b3e6a40000000p+0",
    "-0x1.bcf4ae0000000p-4",
    "0x1.0080ac0000000p-3",
    "0x1.3040c60000000p+0",
]


def test_bad_arguments() -> None:
    net = network([2, 3, 1])
    with pytest.raises(ValueError, match=r"lower\[1\]: expected at most upper\[1\] = 0, got 1"):
        net.output_bounds([0, 1], [1, 0])
    with pytest.raises(ValueError, match=r"lower: expected shape \(2,\), got \(3,\)"):
        net.output_bounds([0, 1, 2], [1, 1, 1])
    with pytest.raises(ValueError, match=r"upper: expected shape \(2,\), got \(\)"):
        net.output_bounds([0, 1], 3)
    with pytest.raises(ValueError, match="upper: expected finite"):
        net.output_bounds([0, 1], [1, np.inf])
    with pytest.raises(ValueError, match="piecewise linear"):
        network([2, 3, 1], activation="tanh").output_bounds([0, 0], [1, 1])
    with pytest.raises(ValueError, match="layer 0 may overflow"):
        net.output_bounds([0, 0], [1e39, 1])
    net.weights[1][:] = 3e38
    with pytest.raises(ValueError, match="layer 1 may overflow"):
        net.output_bounds([0, 0], [9, 9])
    net.weights[1][0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        net.output_bounds([0, 0], [1, 1])

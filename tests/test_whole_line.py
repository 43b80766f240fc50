# SPDX-License-Identifier: BSD-3-Clause
"""A one-input network back to a piecewise-linear function on the whole line."""

from fractions import Fraction

import numpy as np
import pytest
from adversarial_networks import KINDS
from adversarial_networks import network as adversarial
from rational_regions import rational_regions

import fastrelu
from fastrelu import PiecewiseLinear


def test_there_and_back() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 30):
        knots = np.sort(rng.normal(size=n) * 10)
        f = PiecewiseLinear(knots, rng.normal(size=n), rng.normal(), rng.normal())
        g = f.to_network().to_piecewise_linear()
        assert g.values.shape == (len(g.knots), 1)
        x = np.concatenate([rng.normal(size=500) * 30, knots, [-1e6, 1e6]])
        assert np.allclose(g(x)[:, 0], f(x), rtol=1e-11, atol=1e-11)
        assert set(np.round(knots, 9)) <= set(np.round(g.knots, 9))


def test_deep_networks_everywhere() -> None:
    for seed in range(12):
        net = fastrelu.Network(
            [1, 12, 9, 2], seed=seed, dtype="float64", activation=["relu", "leaky_relu"][seed % 2],
            scale=[1.0, -0.1][seed % 3 == 0],
        )  # fmt: skip
        rng = np.random.default_rng(seed)
        for b in net.biases:
            b[:] = rng.normal(size=b.shape)
        f = net.to_piecewise_linear()
        x = np.concatenate([rng.normal(size=300), rng.normal(size=300) * 1e3, [-1e9, 1e9]])
        assert np.allclose(f(x), net(x[:, None]), rtol=1e-9, atol=1e-9)
        path = net.along([-50.0], [50.0])
        inside = f.knots[np.abs(f.knots) < 50]
        assert len(inside) == len(path.knots) - 2 + (0.0 not in np.round(path.knots * 100 - 50, 9))


def test_networks_on_which_certificates_have_failed() -> None:
    rng = np.random.default_rng(1)
    for turn in range(90):
        net = adversarial(KINDS[turn % len(KINDS)], rng, [1, *rng.integers(1, 8, size=2), 1])
        f = net.to_piecewise_linear()
        regions = rational_regions(net)
        size = max(abs(float(r.A[0][0])) for r in regions)
        slopes = [float(r.A[0][0]) for r in sorted(regions, key=lambda r: r.corners[0])]
        assert f.left_slope[0] == pytest.approx(slopes[0], abs=1e-9 * size)
        assert f.right_slope[0] == pytest.approx(slopes[-1], abs=1e-9 * size)
        for x in (0.0, 1.25, -3e5, 1e13):
            exact = next(r.at(0, (Fraction(x),)) for r in regions
                         if r.corners[0][0] <= x <= r.corners[1][0])  # fmt: skip
            scale = size * (abs(x) + float(np.abs(f.knots).min())) + np.abs(f.values).min() + 1e-9
            assert float(f(x)[0]) == pytest.approx(float(exact), abs=1e-6 * scale, rel=1e-6)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one input, got 2"):
        fastrelu.Network([2, 3, 1]).to_piecewise_linear()
    with pytest.raises(ValueError, match="piecewise linear"):
        fastrelu.Network([1, 3, 1], activation="tanh").to_piecewise_linear()
    line = fastrelu.Network([1, 2], dtype="float64").to_piecewise_linear()
    assert line.knots.tolist() == [0.0] and np.array_equal(line.left_slope, line.right_slope)

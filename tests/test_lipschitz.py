# SPDX-License-Identifier: BSD-3-Clause
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

import fastrelu
from fastrelu import PiecewiseLinear

NORMS = (1, 2, np.inf)


def random_net(rng, sizes, activation="relu", dtype="float64", **options):
    net = fastrelu.Network(sizes, activation=activation, dtype=dtype, **options)
    net.parameters[:] = rng.normal(size=net.n_parameters)
    return net


def slope_below_0(net, k):
    return {"relu": 0.0, "leaky_relu": float(net.dtype.type(0.01)), "identity": 1.0}[
        net.activations[k]
    ]


def largest_over_all_patterns(net, norm, bounds=None):
    """Every pattern's Jacobian counts if a ball fits where the pattern holds: a linear program."""
    d_in, *hidden, _ = net.layer_sizes
    best = 0.0
    for pattern in product([True, False], repeat=sum(hidden)):
        A, c, at, rows, rights = np.eye(d_in) * net.scale, np.zeros(d_in), 0, [], []
        for k, W in enumerate(net.weights):
            A, c = W.T.astype(float) @ A, c @ W + (net.biases[k] if net.bias else 0)
            if k == len(hidden):
                break
            active = np.array(pattern[at : at + hidden[k]])
            at += hidden[k]
            side = np.where(active, -1.0, 1.0)
            length = np.linalg.norm(A, axis=1)
            rows.append(np.column_stack([side[:, None] * A, length]))
            rights.append(-side * c)
            factor = np.where(active, 1.0, slope_below_0(net, k))
            A, c = A * factor[:, None], c * factor
        box = [(None, None)] * d_in if bounds is None else []
        for i, (low, high) in enumerate(bounds or []):
            unit = np.eye(d_in)[i]
            rows.append([[*unit, 1.0], [*-unit, 1.0]])
            rights.append([high, -low])
            box.append((None, None))
        goal = np.r_[np.zeros(d_in), -1.0]
        ball = linprog(goal, np.concatenate(rows), np.concatenate(rights), bounds=[*box, (0, 1)])
        if ball.status == 0 and -ball.fun > 1e-7:
            best = max(best, np.linalg.norm(A, norm))
    return best


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("sizes", [[1, 6, 2], [1, 3, 3, 1], [2, 5, 2], [2, 3, 3, 2]])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_one_and_two_inputs_equal_the_search_over_all_patterns(sizes, activation, norm, rng):
    net = random_net(rng, sizes, activation, scale=0.5)
    for bounds in (None, [(-1, 2), (0, 1.5)][: sizes[0]]):
        lower, upper = net.lipschitz(bounds, norm)
        assert 0 < lower <= upper <= lower * (1 + 1e-11)
        assert np.isclose(upper, largest_over_all_patterns(net, norm, bounds), rtol=1e-9)


def test_the_steepest_piece_may_be_the_outermost_or_tiny():
    f = PiecewiseLinear([-1e6, 3, 3.001, 1e7], [0, 1, 2, 2], left_slope=-3, right_slope=2)
    assert np.allclose(f.to_network().lipschitz(), 1 / 0.001)
    assert np.allclose(f.to_network().lipschitz([(-1e6, 3)]), 1 / (1e6 + 3))
    assert np.allclose(f.to_network().lipschitz([(4, 1e7)]), 0, atol=1e-9)
    assert np.allclose(f.to_network().lipschitz([(4, 1e7 + 1)]), 2)
    # Steepest beyond 1e7 alone, and without a knot.
    g = PiecewiseLinear([-1e6, 3, 1e7], [0, 1, 2], left_slope=-3, right_slope=5)
    assert np.allclose(g.to_network().lipschitz(), 5)
    line = PiecewiseLinear([0], [1], left_slope=-2, right_slope=-2)
    assert np.allclose(line.to_network().lipschitz(), 2)


def test_in_two_dimensions_far_away_counts():
    # |x1| where x1 > 1000, plus the ramp: max(0, x1 - 1000) + max(0, 2 x1 + 3 x2).
    net = fastrelu.Network([2, 2, 1], dtype="float64")
    net.weights[0][:] = [[1, 2], [0, 3]]
    net.biases[0][:] = [-1000, 0]
    net.weights[1][:] = 1
    for norm, want in zip(NORMS, (3, np.sqrt(18), 6), strict=True):
        assert np.allclose(net.lipschitz(None, norm), want, rtol=1e-12)
        near = net.lipschitz([(-10, 10), (-10, 10)], norm)
        assert np.allclose(near, np.linalg.norm([[2, 3]], norm), rtol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "sizes, activation",
    [
        ([3, 4], []),
        ([3, 8, 1], "relu"),
        ([4, 20, 20, 3], "relu"),
        ([5, 12, 12, 12, 2], "leaky_relu"),
        ([4, 6, 10, 8, 1], ["identity", "relu", "leaky_relu"]),
    ],
)
@pytest.mark.parametrize("half", [None, 2.0, 0.02])
def test_more_inputs(sizes, activation, half, norm, dtype, rng):
    net = random_net(rng, sizes, activation, dtype, scale=0.7)
    d_in = sizes[0]
    middle = rng.normal(size=d_in)
    bounds = None if half is None else np.column_stack([middle - half, middle + half])
    lower, upper = net.lipschitz(bounds, norm)
    assert 0 < lower <= upper
    product_of_norms = np.prod([np.linalg.norm(W.T, norm) for W in net.weights]) * net.scale
    assert upper <= product_of_norms * (1 + 1e-5)
    # Quotients between random points, far apart and close together, in float64.
    wide = fastrelu.Network(sizes, activation=net.activations, dtype="float64", scale=net.scale)
    wide.parameters[:] = net.parameters
    low, high = (middle - (half or 5), middle + (half or 5))
    x = rng.uniform(low, high, size=(20_000, d_in))
    z = rng.uniform(low, high, size=(20_000, d_in))
    z[::2] = x[::2] + 1e-4 * (z[::2] - x[::2])
    rise = np.linalg.norm(wide(z) - wide(x), norm, axis=1)
    run = np.linalg.norm(z - x, norm, axis=1)
    roundings = 1e-12 * np.abs(wide(x)).max() / run + (1e-5 if dtype == "float32" else 0)
    assert (rise <= upper * run * (1 + roundings) + 1e-11).all()
    # No Jacobian that one can find is above it; and the search found one of the largest.
    norms = np.linalg.norm(net.jacobian(x[:3000]).astype(float), norm, axis=(1, 2))
    assert norms.max() <= upper * (1 + 1e-4)
    assert lower >= 0.8 * norms.max()
    if half == 0.02 and dtype == "float64":
        assert upper <= 3 * lower


@pytest.mark.parametrize("norm", NORMS)
def test_both_bounds_hold_against_all_patterns_in_three_dimensions(norm, rng):
    for sizes in ([3, 6, 2], [3, 3, 3, 1]):
        net = random_net(rng, sizes)
        for bounds in (None, [(-1, 1)] * 3):
            want = largest_over_all_patterns(net, norm, bounds)
            lower, upper = net.lipschitz(bounds, norm)
            assert lower <= want * (1 + 1e-12) and upper >= want * (1 - 1e-12)
            assert lower >= 0.9 * want


def test_a_box_in_which_nothing_switches_is_exact(rng):
    net = random_net(rng, [6, 10, 10, 3])
    x = rng.normal(size=6)
    for norm in NORMS:
        lower, upper = net.lipschitz(np.column_stack([x - 1e-6, x + 1e-6]), norm)
        assert np.isclose(lower, upper, rtol=1e-10)
        assert np.isclose(lower, np.linalg.norm(net.jacobian(x), norm), rtol=1e-10)


def test_dead_units_and_networks_that_are_constant():
    net = fastrelu.Network([3, 4, 1], dtype="float64")
    net.biases[0][:] = -100
    lower, upper = net.lipschitz([(-1, 1)] * 3)
    assert lower == 0 and upper < 1e-12
    assert net.lipschitz()[0] > 0  # far away they wake up
    net.parameters[:] = 0
    assert net.lipschitz() == (0, 0)
    flat = fastrelu.Network([2, 4, 1])
    flat.parameters[:] = 0
    assert flat.lipschitz() == (0, 0)


def test_the_same_seed_gives_the_same_bounds(rng):
    net = random_net(rng, [5, 16, 16, 1])
    assert net.lipschitz(seed=3) == net.lipschitz(seed=3)
    before = net.parameters.copy()
    net.lipschitz()
    assert (net.parameters == before).all()


def test_too_many_regions_fall_back_to_the_general_way(rng, monkeypatch):
    net = random_net(rng, [2, 16, 16, 1])
    exact = net.lipschitz([(-2, 2), (-2, 2)])
    monkeypatch.setattr("fastrelu.exact.region_norms.MAX_REGIONS", 20)
    lower, upper = net.lipschitz([(-2, 2), (-2, 2)])
    assert 0 < lower <= exact[1] and upper >= exact[0]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", ["identity", "relu", "relu"]])
@pytest.mark.parametrize("sizes", [[4, 9, 8, 7, 3], [1, 1, 1, 1, 1], [30, 40, 50, 20, 10]])
def test_jacobian_equals_local_affine(sizes, activation, dtype, rng):
    net = random_net(rng, sizes, activation, dtype, scale=0.25)
    X = rng.normal(size=(200, sizes[0])).astype(dtype)
    local = net.local_affine(X)
    J = net.jacobian(X)
    assert J.shape == local.A.shape == (200, sizes[-1], sizes[0]) and J.dtype == dtype
    # Entries are sums over paths; roundings are of their size.
    paths = np.eye(sizes[0]) * net.scale
    for W in net.weights:
        paths = np.abs(W.T.astype(float)) @ paths
    eps = float(np.finfo(dtype).eps)
    assert (np.abs(J - local.A) <= 2 * sum(sizes) * eps * paths).all()
    assert (J[:5] == np.stack([net.jacobian(x) for x in X[:5]])).all()


def test_jacobian_on_a_kink_is_that_of_the_inactive_side():
    for activation, slope in (("relu", 0.0), ("leaky_relu", 0.01)):
        net = fastrelu.Network([1, 1, 1], dtype="float64", activation=activation)
        net.parameters[:] = [2, -2, 3, 0]
        assert net.jacobian([1.0]) == net.local_affine([1.0]).A == 6 * slope


def test_bad_input_is_named(rng):
    net = random_net(rng, [2, 3, 1])
    for norm in (3, 0, -1, "fro", None, True, np.nan, [1, 2]):
        with pytest.raises(ValueError, match="norm: expected 1, 2 or inf"):
            net.lipschitz(norm=norm)
    for bounds in ([(0, 1)], [0, 1], (0, 1, 2, 3), [[(0, 1), (0, 1)]]):
        with pytest.raises(ValueError, match="bounds: expected shape"):
            net.lipschitz(bounds)
    with pytest.raises(ValueError, match=r"bounds\[1\]: expected low < high, got \(2, 2\)"):
        net.lipschitz([(0, 1), (2, 2)])
    with pytest.raises(ValueError, match="bounds: expected finite"):
        net.lipschitz([(0, 1), (0, np.inf)])
    with pytest.raises(TypeError, match="bounds: expected real"):
        net.lipschitz([("a", "b"), ("c", "d")])
    with pytest.raises(TypeError, match="seed"):
        net.lipschitz(seed=1.5)
    with pytest.raises(ValueError, match="got activation 'tanh'"):
        random_net(rng, [2, 3, 1], "tanh").lipschitz()
    for sizes in ([2, 3, 1], [3, 3, 1]):
        net = random_net(rng, sizes)
        net.weights[0][0, 0] = np.inf
        with pytest.raises(ValueError, match="network: expected finite parameters"):
            net.lipschitz()
        net.parameters[:] = 1e200
        with pytest.raises(ValueError, match=r"network: .* (Jacobian|numbers) overflows? float64"):
            net.lipschitz()

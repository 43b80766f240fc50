# SPDX-License-Identifier: BSD-3-Clause
import _thread
import hashlib
import threading
from collections import Counter

import numpy as np
import pytest
from adversarial_networks import KINDS, box, network
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu

WINDOW = (-3.0, 2.0, -1.0, 5.0)


def random_net(rng, sizes, activation="relu", dtype="float64", **options):
    net = fastrelu.Network(sizes, activation=activation, dtype=dtype, **options)
    net.parameters[:] = rng.normal(size=net.n_parameters)
    return net


def forward(net, X):
    """The outputs in float64, and the patterns of hidden units."""
    h, patterns = X, [np.ones((len(X), 0), dtype=bool)]
    for k, W in enumerate(net.weights):
        z = h @ W.astype(float) + (net.biases[k] if net.bias else 0)
        if k < len(net.activations):
            name = net.activations[k]
            slope = {"relu": 0.0, "leaky_relu": float(net.dtype.type(0.01)), "identity": 1.0}[name]
            patterns.append((z > 0) | (name == "identity"))
            h = np.where(z > 0, z, slope * z)
    return z, np.concatenate(patterns, axis=1)


def points_inside(regions, rng, each=3):
    """Random points of the polygons: (R * each, 2), and whose they are."""
    points = []
    for r in range(len(regions)):
        corners = regions.polygon(r)
        points.append(rng.dirichlet(np.ones(len(corners)), size=each) @ corners)
    return np.concatenate(points), np.repeat(np.arange(len(regions)), each)


def values(regions, points, owner):
    return np.einsum("noi,ni->no", regions.A[owner], points) + regions.c[owner]


def check_partition(regions, window=WINDOW):
    """Convex polygons that fill the window, side by side to the last bit."""
    u0, u1, v0, v1 = window
    area = (u1 - u0) * (v1 - v0)
    assert abs(regions.areas.sum() / area - 1) < 1e-12
    assert (regions.areas > 0).all()
    edges = Counter()
    for r in range(len(regions)):
        corners = regions.polygon(r)
        assert len(corners) >= 3
        d = np.roll(corners, -1, axis=0) - corners
        following = np.roll(d, -1, axis=0)
        assert (d[:, 0] * following[:, 1] - d[:, 1] * following[:, 0]).min() > -1e-12 * area
        edges.update((tuple(corners[i - 1]), tuple(corners[i])) for i in range(len(corners)))
    for (a, b), count in edges.items():
        assert count == 1
        on_border = (a[0] == b[0] and a[0] in (u0, u1)) or (a[1] == b[1] and a[1] in (v0, v1))
        assert on_border != ((b, a) in edges)


SHAPES = [
    ([2, 3], []),
    ([2, 1, 1], "relu"),
    ([2, 1, 1, 1, 1], "leaky_relu"),
    ([2, 30, 2], "relu"),
    ([2, 20, 20, 1], "relu"),
    ([2, 12, 12, 3], "leaky_relu"),
    ([2, 9, 8, 7, 6, 5, 2], "relu"),
    ([2, 6, 10, 2], ["identity", "relu"]),
    ([2, 8, 6, 8, 1], ["relu", "identity", "leaky_relu"]),
]


@pytest.mark.parametrize("sizes, activation", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_the_network_is_affine_on_polygons_that_fill_the_window(
    sizes, activation, bias, dtype, rng
):
    net = random_net(rng, sizes, activation, dtype, bias=bias)
    regions = net.linear_regions(WINDOW)
    check_partition(regions)
    R, n_hidden = len(regions), sum(sizes[1:-1])
    assert regions.vertices.shape == (regions.offsets[-1], 2)
    assert regions.pattern.shape == (R, n_hidden) and regions.pattern.dtype == bool
    assert regions.A.shape == (R, sizes[-1], 2) and regions.c.shape == (R, sizes[-1])
    points, owner = points_inside(regions, rng)
    want, pattern = forward(net, points)
    assert np.abs(values(regions, points, owner) - want).max() <= 1e-12 * np.abs(want).max()
    # Away from the borders by far more than roundings, float32's too.
    large = regions.areas > (1e-8 if dtype == "float64" else 1e-2)
    assert (pattern == regions.pattern[owner])[large[owner]].all()
    local = net.local_affine(regions.centers)
    assert (local.pattern == regions.pattern)[large].all()
    assert np.abs(local.A - regions.A)[large].max() <= 1e-12 * np.abs(local.A).max()
    # In a plane a pattern belongs to one convex polygon.
    assert len(np.unique(regions.pattern, axis=0)) == (R if n_hidden else 1)


@pytest.mark.parametrize("d_in", [1, 2, 5])
def test_slices(d_in, rng):
    net = random_net(rng, [d_in, 12, 12, 2], scale=0.5)
    origin, u, v = rng.normal(size=(3, d_in))
    regions = net.linear_regions(WINDOW, origin=origin, u=u, v=v)
    check_partition(regions)
    points, owner = points_inside(regions, rng)
    want = net(origin + points @ np.stack([u, v]))
    assert np.abs(values(regions, points, owner) - want).max() <= 1e-12 * np.abs(want).max()
    through_0 = net.linear_regions(WINDOW, u=u, v=v)
    assert np.allclose(values(through_0, through_0.centers, np.arange(len(through_0))),
                       net(through_0.centers @ np.stack([u, v])))  # fmt: skip


def test_one_hidden_layer_gives_the_arrangement_of_its_lines(rng):
    """1 + the lines that meet the window + the crossings inside it."""
    u0, u1, v0, v1 = WINDOW
    corners = np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1]])
    for _ in range(5):
        net = random_net(rng, [2, 20, 1])
        W, b = net.weights[0], net.biases[0]
        sides = corners @ W + b > 0
        want = 1 + int((sides.any(axis=0) & ~sides.all(axis=0)).sum())
        for i in range(20):
            for j in range(i):
                x = np.linalg.solve(W[:, [i, j]].T, -b[[i, j]])
                want += u0 < x[0] < u1 and v0 < x[1] < v1
        assert len(net.linear_regions(WINDOW)) == want


def test_a_dense_grid_meets_these_patterns_and_no_others(rng):
    net = random_net(rng, [2, 10, 8, 6, 1])
    regions = net.linear_regions(WINDOW)
    u0, u1, v0, v1 = WINDOW
    u, v = np.meshgrid(np.linspace(u0, u1, 701), np.linspace(v0, v1, 701))
    grid = np.column_stack([u.ravel(), v.ravel()])
    met = {row.tobytes() for row in net.local_affine(grid).pattern}
    found = {row.tobytes(): area for row, area in zip(regions.pattern, regions.areas, strict=True)}
    assert met <= set(found)
    # Those not met are small or thin.
    assert all(area < 2e-3 for row, area in found.items() if row not in met)


def test_lines_that_coincide_or_meet_in_a_point():
    # Six copies of two lines, one of them along the window's border, through a corner and all
    # through one point; units that are 0 everywhere or never switch.
    net = fastrelu.Network([2, 12, 1], dtype="float64")
    W, b = net.weights[0], net.biases[0]
    W[:, 0], b[0] = (1 / 3, 1 / 7), -0.1
    W[:, 1], b[1] = (1 / 3 * 0.7, 1 / 7 * 0.7), -0.1 * 0.7
    W[:, 2], b[2] = (-1 / 3 * 1.1, -1 / 7 * 1.1), 0.1 * 1.1
    W[:, 3], b[3] = (1.0, 0.0), 1.0  # the border
    W[:, 4], b[4] = (1.0, 1.0), 0.0  # corner to corner
    W[:, 5], b[5] = (0.0, 0.0), 0.0
    W[:, 6], b[6] = (0.0, 0.0), -1.0
    W[:, 7], b[7] = (0.1, 0.1), 9.0
    point = np.linalg.solve([[1 / 3, 1 / 7], [1, 1]], [0.1, 0])
    for k, angle in zip(range(8, 12), (0.3, 0.7, 1.1, 2.9), strict=True):
        W[:, k] = (np.cos(angle), np.sin(angle))
        b[k] = -W[:, k] @ point
    regions = net.linear_regions((-1, 1, -1, 1))
    check_partition(regions, (-1, 1, -1, 1))
    # Six different lines through one inner point.
    assert len(regions) == 12 and regions.areas.min() > 1e-3
    assert regions.pattern[:, 3].all() and regions.pattern[:, 7].all()
    assert not regions.pattern[:, 5:7].any()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_small_whole_weights_which_coincide_all_the_time(seed):
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 8, size=rng.integers(1, 5)).tolist()
    names = rng.choice(["relu", "leaky_relu", "identity"], p=[0.7, 0.2, 0.1], size=len(widths))
    net = fastrelu.Network([2, *widths, 2], dtype="float64", activation=names.tolist())
    most = rng.integers(1, 4)
    net.parameters[:] = rng.integers(-most, most + 1, size=net.n_parameters)
    net.parameters[:] *= rng.choice([1, 1 / 3])
    regions = net.linear_regions(WINDOW)
    check_partition(regions)
    points, owner = points_inside(regions, rng)
    want = net(points)
    gap = np.abs(values(regions, points, owner) - want).max()
    assert gap <= 1e-12 * max(np.abs(want).max(), 1e-3)
    assert len(np.unique(regions.pattern, axis=0)) == len(regions)


def test_the_same_bits_on_every_instruction_set(isa):
    net = fastrelu.Network([2, 16, 16, 2], seed=3, dtype="float64")
    regions = net.linear_regions((-1, 2, -2, 1), origin=[0.1, 0.2])
    digest = hashlib.sha256()
    for array in (regions.vertices, regions.offsets, regions.pattern, regions.A, regions.c):
        digest.update(array.tobytes())
    assert digest.hexdigest().startswith("4f32abef4dcd2675")


def test_the_active_part_comes_first():
    net = fastrelu.Network([2, 1, 1, 1], dtype="float64")
    net.parameters[:] = [1, 0, 0, 1, -1, 1, 0]  # relu(relu(s) - 1)
    regions = net.linear_regions((-1, 3, 0, 1))
    assert regions.pattern.tolist() == [[True, True], [True, False], [False, False]]
    assert regions.areas.tolist() == [2, 1, 1]
    assert regions.A[:, 0].tolist() == [[1, 0], [0, 0], [0, 0]] and regions.c[0] == -1
    assert regions.centers.tolist() == [[2, 0.5], [0.5, 0.5], [-0.5, 0.5]]


def test_far_out_and_very_small_windows(rng):
    net = random_net(rng, [2, 16, 16, 1])
    for window in ((1e6, 1e6 + 1, -3, 3), (-1e8, 1e8, -1e8, 1e8), (0, 1e-9, 0, 1e-9)):
        regions = net.linear_regions(window)
        area = (window[1] - window[0]) * (window[3] - window[2])
        assert abs(regions.areas.sum() / area - 1) < 1e-12
        points, owner = points_inside(regions, rng)
        want = net(points)
        assert np.abs(values(regions, points, owner) - want).max() < 1e-9 * np.abs(want).max()


@pytest.mark.parametrize("seed", [498, 1584, 1689, 1869, 5097, 6237])
def test_a_thin_polygon_that_roundings_cut_twice_is_listed_once(seed):
    rng = np.random.default_rng([7, seed])
    sizes = [2, *rng.integers(1, 14, size=rng.integers(1, 4)).tolist(), 1]
    net = network(KINDS[(seed + 1) % len(KINDS)], rng, sizes)
    (u0, u1), (v0, v1) = box(net, rng)
    regions = net.linear_regions((u0, u1, v0, v1))
    assert len(np.unique(regions.pattern, axis=0)) == len(regions)
    assert regions.areas.sum() == pytest.approx((u1 - u0) * (v1 - v0), rel=1e-9)
    assert (regions.areas > 0).all()


def test_ctrl_c_ends_it(rng):
    net = random_net(rng, [2, 400, 400, 1])
    threading.Timer(0.1, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        net.linear_regions(WINDOW)
    assert net(np.zeros(2)).shape == (1,)


def test_bad_input_is_named(rng):
    net = random_net(rng, [2, 20, 20, 1])
    with pytest.raises(ValueError, match="more than 50 regions, already 5"):
        net.linear_regions(WINDOW, max_regions=50)
    for window in ((1, 1, 0, 1), (0, 1, 2, 1), (0, 1e-200, 0, 1e-200), (-1e300, 1e300, 0, 1e300)):
        with pytest.raises(ValueError, match="window: expected from < to"):
            net.linear_regions(window)
    with pytest.raises(ValueError, match="window: expected a finite number"):
        net.linear_regions((0, np.nan, 0, 1))
    with pytest.raises(ValueError, match="window: expected four numbers"):
        net.linear_regions((0, 1, 0))
    for window in (None, 3, "abcd", ((0, 1), (0, 1))):
        with pytest.raises(TypeError, match="window: expected"):
            net.linear_regions(window)
    with pytest.raises(ValueError, match=r"u: expected shape \(2,\)"):
        net.linear_regions(WINDOW, u=np.eye(2))
    with pytest.raises(ValueError, match=r"origin: expected shape .*2"):
        net.linear_regions(WINDOW, origin=[1, 2, 3])
    with pytest.raises(ValueError, match="v: expected finite"):
        net.linear_regions(WINDOW, v=[1, np.inf])
    with pytest.raises(TypeError, match="max_regions"):
        net.linear_regions(WINDOW, max_regions=1.5)
    with pytest.raises(ValueError, match=r"u, v: expected two directions .* 3 inputs"):
        random_net(rng, [3, 4, 1]).linear_regions(WINDOW, u=[1, 0, 0])
    with pytest.raises(ValueError, match=r"u, v: expected two directions .* 1 inputs"):
        random_net(rng, [1, 4, 1]).linear_regions(WINDOW)
    for u, v in (
        ([1, 2], [3, 6]),
        ([0.1, 0.3], [-0.3, -0.9]),
        ([1e-300, 0], [5, 0]),
        ([0, 1], None),
    ):
        with pytest.raises(ValueError, match="u, v: expected two directions that span a plane"):
            net.linear_regions(WINDOW, u=u, v=v)
    with pytest.raises(ValueError, match="u, v: expected two directions that are not 0"):
        net.linear_regions(WINDOW, u=[0, 0], v=[0, 1])
    assert len(net.linear_regions(WINDOW, u=[1, 0], v=[1, 1e-9])) > 0
    with pytest.raises(ValueError, match="got activation 'logistic'"):
        random_net(rng, [2, 4, 1], "logistic").linear_regions(WINDOW)
    net.weights[1][0, 0] = np.nan
    with pytest.raises(ValueError, match="network: expected finite parameters"):
        net.linear_regions(WINDOW)
    net.parameters[:] = 1e200
    with pytest.raises(ValueError, match="network: its numbers overflow"):
        net.linear_regions(WINDOW)

# SPDX-License-Identifier: BSD-3-Clause
"""Certificates about linear pieces beside rational arithmetic, on networks made to break them."""

import numpy as np
import pytest
from adversarial_networks import KINDS, box, network
from rational_regions import area, largest_slope, rational_regions

import fastrelu

NORMS = (1, 2, np.inf)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_lipschitz_bounds_hold_and_meet(kind):
    for seed in range(40):
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        net = network(kind, rng)
        bounds = None if rng.random() < 0.6 else box(net, rng)
        norm = NORMS[seed % 3]
        lower, upper = net.lipschitz(bounds, norm)
        truth = largest_slope(net, norm, bounds)
        assert lower <= truth * (1 + 1e-12) and truth * (1 - 1e-12) <= upper, seed
        # What is not known is what the roundings of the matrices' products may hide.
        paths = np.eye(net.layer_sizes[0]) * net.scale
        for W in net.weights:
            paths = np.abs(W.T.astype(float)) @ paths
        hidden = 1e-13 * np.linalg.norm(paths, norm)
        assert upper <= truth * (1 + 1e-11) + hidden, seed
        assert lower >= truth * (1 - 1e-11) - 3 * hidden, seed


def test_unused_units_of_a_trained_network():
    """Their weights decay to nothing, their biases stay, so that half of all kinks are far away."""
    X = np.random.default_rng(0).uniform(-1, 1, size=(2000, 2))
    y = np.maximum(0, 1 - 3 * np.abs(X).sum(axis=1))
    net = fastrelu.Network([2, 64, 1], seed=0)
    optimizer = fastrelu.Adam(3e-3, weight_decay=3e-4)
    fastrelu.Trainer(net, optimizer=optimizer, batch_size=32).fit(X, y, epochs=300)
    assert np.abs(net.weights[0]).max(axis=0).min() < 1e-15
    steepest = np.linalg.norm(net.jacobian(X)[:, 0].astype(float), axis=1).max()
    in_box = net.lipschitz([(-1, 1)] * 2)
    everywhere = net.lipschitz()
    assert in_box[0] >= steepest * (1 - 1e-6)
    assert in_box[0] <= everywhere[1] and everywhere[1] <= everywhere[0] * (1 + 1e-11)


def test_hinges_near_1_and_near_1e14():
    net = fastrelu.Network([1, 4, 1], dtype="float64")
    net.weights[0][:] = [[1, 1, 1e-14, 1e-14]]
    net.biases[0][:] = [-1, -1.5, -1, -1.1]
    net.weights[1][:] = [[100], [-100], [1], [1]]
    assert np.allclose(net.lipschitz(), 100, rtol=1e-12)


def test_a_strip_that_is_lost_to_rounding_counts():
    """The two kinks are one float64 number apart at most, and the slope between them is 1e6."""
    for more in (0.0, 2.0**-52):
        net = fastrelu.Network([1, 2, 1], dtype="float64")
        net.weights[0][:] = [[1, 1]]
        net.biases[0][:] = [-1, -1 - more]
        net.weights[1][:] = [[1e6], [1 - 1e6]]
        lower, upper = net.lipschitz()
        truth = 1e6 if more else 1.0
        assert lower <= truth * (1 + 1e-12) and upper >= truth * (1 - 1e-12)
        assert upper <= truth + 1e-6
    # Lines that are almost parallel cross far out, where the window's numbers are coarse.
    net = fastrelu.Network([2, 3, 1], dtype="float64")
    net.weights[0][:] = [[1, 1, 1], [0, 2.0**-52, 1]]
    net.biases[0][:] = [0, 0, -1]
    net.weights[1][:] = [[1e6], [-1e6], [1]]
    assert np.isclose(net.lipschitz()[1], largest_slope(net), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_wide_region_vanishes(kind):
    """A region is there if it is wider than roundings of the numbers in it."""
    for seed in range(12):
        rng = np.random.default_rng([seed, 1, KINDS.index(kind)])
        sizes = [2, *rng.integers(1, 7, size=int(rng.integers(1, 3))).tolist(), 1]
        net = network(kind, rng, sizes)
        window = box(net, rng)
        found = net.linear_regions([edge for side in window for edge in side])
        whole = np.prod(np.diff(window))
        patterns = {row.tobytes() for row in found.pattern}
        for region in rational_regions(net, window):
            if float(area(region.corners)) < 1e-10 * whole:
                continue
            center = [float(sum(side) / len(side)) for side in zip(*region.corners, strict=True)]
            row = np.array(region.pattern)
            # A unit that is 0 all over has no side: the map is the same.
            if row.tobytes() not in patterns:
                at = int(np.argmin(np.abs(found.centers - center).sum(axis=1)))
                assert np.allclose(found.A[at], np.array(region.A, dtype=float), rtol=1e-6), seed


def test_a_unit_that_is_large_elsewhere_hides_nothing():
    """A slope of 1000 over 1e-3 beside a value of 1e16 at the window's border."""
    net = fastrelu.Network([2, 3, 1], dtype="float64")
    net.weights[0][:] = [[1, 1, 1], [0, 0, 0]]
    net.biases[0][:] = [0, -1e-3, -1]
    net.weights[1][:] = [[1000], [-1000], [15]]
    regions = net.linear_regions((-1e16, 1e16, 0, 1))
    assert regions.A[:, 0, 0].tolist() == [15, 0, 1000, 0]
    assert np.isclose(regions.areas[2], 1e-3, rtol=1e-9)
    assert np.allclose(net.lipschitz([(-1e16, 1e16), (0, 1)]), 1000, rtol=1e-12)


def test_values_elsewhere_in_the_window_do_not_decide_a_map():
    """Where the second layer's unit is 1.0 it is found to be, however large it is further on."""
    net = fastrelu.Network([2, 2, 1, 1], dtype="float64")
    net.weights[0][:] = [[1e20, 0], [0, 1]]
    net.biases[0][:] = [0, 1]
    net.weights[1][:] = [[1], [1]]
    net.weights[2][:] = 1
    regions = net.linear_regions((-0.4, 0.6, 0, 0.5))
    left = regions.centers[:, 0] < 0
    assert left.any() and (regions.A[left, 0] == [0, 1]).all() and (regions.c[left, 0] == 1).all()
    assert np.isclose(regions.areas[left].sum(), 0.2)


def test_roundings_of_a_0_are_not_kinks():
    """Units behind equal ones that cancel: 3 h - h - 2 h."""
    m, rng = 20, np.random.default_rng(0)
    W, b = rng.normal(size=(2, m)), rng.normal(size=m)
    plain = fastrelu.Network([2, m, 1], dtype="float64")
    plain.weights[0][:], plain.biases[0][:] = W, b
    net = fastrelu.Network([2, 3 * m, m, 1], dtype="float64")
    net.weights[0][:], net.biases[0][:] = np.repeat(W, 3, axis=1), np.repeat(b, 3)
    for j in range(m):
        factors = [np.array([3, -1, -2]) * rng.integers(1, 8) for _ in range(m)]
        net.weights[1][:, j] = np.ravel(factors)
    net.weights[2][:] = 1
    window = (-2, 2, -2, 2)
    assert len(net.linear_regions(window)) == len(plain.linear_regions(window))
    assert net.lipschitz([(-2, 2)] * 2)[1] < 1e-9

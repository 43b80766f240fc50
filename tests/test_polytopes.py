# SPDX-License-Identifier: BSD-3-Clause
"""Linear regions in boxes of one to six inputs."""

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
from adversarial_networks import KINDS
from adversarial_networks import network as adversarial

import fastrelu


def network(sizes: list[int], seed: int = 0, **more: Any) -> Any:
    net = fastrelu.Network(sizes, seed=seed, dtype="float64", **more)
    rng = np.random.default_rng(seed)
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) * 0.3
    return net


def rational_pattern(net: Any, x: Any) -> list[bool]:
    """Which hidden units are above 0 at a point, in rational arithmetic."""
    h = [Fraction(v) * Fraction(float(net.dtype.type(net.scale))) for v in x.tolist()]
    pattern: list[bool] = []
    for k, name in enumerate(net.activations):
        W, b = net.weights[k].tolist(), net.biases[k].tolist() if net.bias else None
        z = [
            sum((v * Fraction(W[i][o]) for i, v in enumerate(h)), Fraction(b[o] if b else 0))
            for o in range(len(W[0]))
        ]
        slope = Fraction(0 if name == "relu" else float(net.dtype.type(0.01)))
        pattern += [v > 0 for v in z]
        h = [v if v > 0 else slope * v for v in z]
    return pattern


def check_complex(net: Any, regions: Any, box: Any) -> None:
    box = np.asarray(box, dtype=float)
    size = np.abs(box).max()
    for r in range(len(regions)):
        corners, h = regions.corners[regions.corner_ids[r]], regions.halfspaces[r]
        heights = corners @ h[:, :-1].T - h[:, -1]
        assert heights.max() <= 1e-9 * size
        # Each facet has as many corners as it takes, and is of length 1.
        assert ((np.abs(heights) <= 1e-9 * size).sum(axis=0) >= len(box)).all()
        assert np.allclose((h[:, :-1] ** 2).sum(axis=1), 1)
        for row, s in zip(h, regions.neighbours[r], strict=True):
            if s >= 0:
                assert r in regions.neighbours[s]
                # Both have the same function on the facet between them.
                on = corners[np.abs(corners @ row[:-1] - row[-1]) <= 1e-9 * size]
                first = on @ regions.A[r].T + regions.c[r]
                assert np.allclose(first, on @ regions.A[s].T + regions.c[s], atol=1e-8)
            else:
                i = int(np.argmax(np.abs(row[:-1])))
                assert abs(row[i]) == 1 and row[-1] in (box[i, 1], -box[i, 0])


@pytest.mark.parametrize("d_in", [1, 2, 3, 4, 5, 6])
def test_one_layer_in_general_position_has_the_known_number(d_in: int) -> None:
    n = 8 if d_in < 5 else 7
    net = network([d_in, n, 2], seed=d_in)
    box = [(-1e3, 1e3)] * d_in
    regions = net.regions(box)
    assert len(regions) == sum(comb(n, k) for k in range(d_in + 1))
    check_complex(net, regions, box)


@pytest.mark.parametrize("sizes", [[3, 7, 6, 1], [4, 5, 4, 2], [3, 4, 4, 3, 1], [5, 4, 3, 1]])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_every_region_exists_and_together_they_fill_the_box(
    sizes: list[int], activation: str
) -> None:
    hull = pytest.importorskip("scipy.spatial").ConvexHull
    net = network(sizes, seed=5, activation=activation, scale=-0.5)
    box = [(-2.0, 3.0)] * sizes[0]
    regions = net.regions(box)
    check_complex(net, regions, box)
    for r, x in enumerate(regions.centers):
        assert rational_pattern(net, x) == regions.pattern[r].tolist()
        assert np.allclose(regions.A[r] @ x + regions.c[r], net(x))
    volume = sum(hull(regions.corners[ids]).volume for ids in regions.corner_ids)
    assert volume == pytest.approx(5.0 ** sizes[0], rel=1e-9)
    assert len({p.tobytes() for p in regions.pattern}) == len(regions)


def test_in_the_plane_they_are_the_polygons() -> None:
    for seed in range(6):
        net = network([2, 9, 7, 1], seed=seed)
        regions, polygons = net.regions([(-1, 2), (-2, 1)]), net.linear_regions((-1, 2, -2, 1))
        assert np.array_equal(regions.pattern, polygons.pattern)
        assert np.allclose(regions.A, polygons.A) and np.allclose(regions.c, polygons.c)


def test_planes_that_coincide_or_meet_in_a_point() -> None:
    net = fastrelu.Network([3, 6, 1], dtype="float64")
    net.weights[0][:] = [[1, -1, 0, 0, 1, 2], [0, 0, 1, 0, 1, 2], [0, 0, 0, 1, 1, 2]]
    net.weights[1][:] = 1
    box = [(-1, 1)] * 3
    regions = net.regions(box)
    # Of the eight octants x + y + z = 0 cuts the six in which the signs differ.
    assert len(regions) == 14
    check_complex(net, regions, box)


def test_without_biases_all_planes_meet_in_a_point() -> None:
    for seed in range(3):
        net = fastrelu.Network([3, 7, 5, 1], dtype="float64", seed=seed)
        regions = net.regions([(-1, 1)] * 3)
        check_complex(net, regions, [(-1, 1)] * 3)
        # Cones: as many as on the sides of the box, where the planes through 0 are lines.
        assert all((np.abs(regions.corners[ids]).max(axis=1) < 1e-9).any()
                   for ids in regions.corner_ids)  # fmt: skip
        assert all(np.abs(x).max() > 1e-3 for x in regions.centers)


def test_networks_on_which_certificates_have_failed() -> None:
    rng = np.random.default_rng(0)
    for turn in range(45):
        kind = KINDS[turn % len(KINDS)]
        net = adversarial(kind, rng, [3, int(rng.integers(1, 6)), int(rng.integers(1, 4)), 1])
        box = [(-1.0 / net.scale, 1.5 / net.scale)] * 3
        regions = net.regions(box)
        assert np.isfinite(regions.corners).all()
        for r, behind in enumerate(regions.neighbours):
            assert all(r in regions.neighbours[s] for s in behind if s >= 0)
            on_box = [
                np.count_nonzero(h[:-1]) == 1 and h[-1] in (1.5 / net.scale, 1.0 / net.scale)
                for h in regions.halfspaces[r]
            ]
            assert all(s >= 0 or side for s, side in zip(behind, on_box, strict=True))
        known = {p.tobytes() for p in regions.pattern}
        for x in rng.uniform(box[0][0], box[0][1], (15, 3)):
            assert np.array(rational_pattern(net, x)).tobytes() in known


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="at most 6 inputs"):
        network([7, 2, 1]).regions([(0, 1)] * 7)
    net = network([3, 9, 1])
    with pytest.raises(ValueError, match="max_regions: there are more than 5"):
        net.regions([(-9, 9)] * 3, max_regions=5)
    with pytest.raises(ValueError, match=r"bounds\[0\]"):
        net.regions([(1, 1)] * 3)
    with pytest.raises(ValueError, match="piecewise linear"):
        fastrelu.Network([3, 4, 1], activation="tanh").regions([(0, 1)] * 3)

# SPDX-License-Identifier: BSD-3-Clause
"""Certified derivatives, monotony and convexity over a box."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from adversarial_networks import KINDS
from adversarial_networks import box as random_box
from adversarial_networks import network as adversarial
from rational_regions import rational_regions

import fastrelu

SHAPES = ("increasing", "decreasing", "convex", "concave")


def regions_of(net: Any, box: Any) -> Any:
    return [r for r in rational_regions(net, box) if len(set(r.corners)) > net.layer_sizes[0]]


def truly_rises(regions: Any, sign: int) -> bool:
    return all(sign * slope >= 0 for r in regions for slope in r.A[0])


def truly_bends(regions: Any, sign: int) -> bool:
    """A piecewise-linear function is convex just if each of its maps lies below it everywhere."""
    for region in regions:
        for corner in region.corners:
            value = region.at(0, corner)
            if any(sign * other.at(0, corner) > sign * value for other in regions):
                return False
    return True


def test_against_all_regions_in_rational_arithmetic() -> None:
    rng = np.random.default_rng(0)
    settled = {shape: [0, 0, 0] for shape in SHAPES}
    for turn in range(36):
        kind = KINDS[turn % len(KINDS)]
        sizes = [int(rng.integers(1, 3)), *rng.integers(1, 5, size=rng.integers(1, 3)), 1]
        net = adversarial(kind, rng, sizes)
        if turn % 3 == 0:  # many of these are convex
            for W in net.weights[1:]:
                np.abs(W, out=W)
        box = random_box(net, rng)
        regions = regions_of(net, box)
        low, high = net.derivative_bounds(box)
        for region in regions:
            for i, slope in enumerate(region.A[0]):
                assert Fraction(low[0, i]) <= slope <= Fraction(high[0, i])
        for shape in SHAPES:
            sign = 1 if shape in ("increasing", "convex") else -1
            truth = (truly_bends if shape in SHAPES[2:] else truly_rises)(regions, sign)
            result = net.verify_shape(box, shape, time_limit=0.05)
            if result.status == "holds":
                assert truth, (turn, shape)
            if result.status == "fails":
                assert not truth, (turn, shape)
                assert (result.points >= np.array(box)[:, 0]).all()
                assert (result.points <= np.array(box)[:, 1]).all()
            settled[shape][("holds", "fails", "unknown").index(result.status)] += 1
    for holds, fails, unknown in settled.values():
        assert holds > 3 and fails > 3 and unknown < 12, settled


def test_weights_above_0_make_what_rises_and_is_convex_in_spite_of_roundings() -> None:
    for dtype in ("float32", "float64"):
        net = fastrelu.Network([8, 32, 32, 1], seed=0, dtype=dtype, scale=0.1)
        for W in net.weights:
            np.abs(W, out=W)
        box = [(-3, 3)] * 8
        assert (net.derivative_bounds(box)[0] >= 0).all()
        assert net.verify_shape(box, "increasing").n_boxes == 1
        assert net.verify_shape(box, "convex").n_boxes == 1
        net.weights[0][3] *= -1
        assert net.verify_shape(box, "decreasing", input=3).n_boxes == 1
        assert not net.verify_shape(box, "increasing")
        net.weights[2][:] *= -1
        assert net.verify_shape(box, "concave").n_boxes == 1


def test_a_kink_on_the_border_of_two_halves_is_seen() -> None:
    net = fastrelu.Network([1, 1, 1], dtype="float64")
    net.weights[0][...], net.biases[0][...], net.weights[1][...] = 1, 0, -1  # -max(0, x)
    assert net.verify_shape([(-1, 1)], "convex").status == "fails"
    assert net.verify_shape([(-1, 0)], "convex").status != "fails"
    assert net.verify_shape([(-1, 1)], "concave").status == "holds"


def test_several_outputs_and_a_limit() -> None:
    net = fastrelu.Network([2, 6, 2], dtype="float64", seed=3)
    low, high = net.derivative_bounds([(0, 1), (0, 1)])
    J = net.jacobian(np.random.default_rng(0).uniform(0, 1, (500, 2)))
    assert low.shape == (2, 2) and (J >= low).all() and (J <= high).all()
    wide = fastrelu.Network([9, 40, 40, 1], seed=0)
    result = wide.verify_shape([(-1, 1)] * 9, "increasing", input=0, time_limit=0.1)
    assert result.status in ("fails", "unknown") and result.seconds < 5


@pytest.mark.parametrize("more", [
    {"shape": "flat"}, {"shape": "convex", "input": 0}, {"shape": "increasing", "input": 2},
    {"shape": "increasing", "output": 1}, {"shape": "increasing", "time_limit": -1},
])  # fmt: skip
def test_bad_arguments(more: Any) -> None:
    net = fastrelu.Network([2, 3, 1], dtype="float64")
    with pytest.raises(ValueError, match=list(more)[-1]):
        net.verify_shape([(0, 1), (0, 1)], **more)

# SPDX-License-Identifier: BSD-3-Clause
"""Fits of hinges that go through given points or have given outer slopes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrelu import PiecewiseLinear


@given(st.integers(0, 10_000), st.integers(1, 5), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_given_knots_are_a_linear_problem_with_equations(seed, k, left, right):
    rng = np.random.default_rng(seed)
    x, y, w = np.sort(rng.uniform(0, 10, 60)), rng.normal(size=60), rng.uniform(0.2, 3, 60)
    knots = np.linspace(0, 10, k + 2)[1:-1]
    points = (np.array([rng.uniform(0, knots[0])]), rng.normal(size=1))
    slopes = (0.5 if left else None, -0.25 if right else None)
    f = PiecewiseLinear.fit(x, y, knots=knots, sample_weight=w, through=points, outer_slopes=slopes)
    assert np.allclose(f(points[0]), points[1], rtol=1e-10, atol=1e-10)
    assert slopes[0] in (None, f.left_slope) and slopes[1] in (None, f.right_slope)
    least = float((w * (y - f(x)) ** 2).sum())
    # Any other function that keeps to them has a larger sum of squares.
    for _ in range(20):
        g = PiecewiseLinear(knots, rng.normal(size=k), 0 if left else rng.normal(),
                            0 if right else rng.normal())  # fmt: skip
        at = float(g(points[0])[0])
        if left:  # keeps the point by moving all of it
            g = g - at
        else:
            lift = at / (points[0][0] - knots[0])
            g = g - PiecewiseLinear(knots[:1], [0], left_slope=lift)
        for size in (1e-3, 1e-1):
            other = float((w * (y - (f + size * g)(x)) ** 2).sum())
            assert other >= least * (1 - 1e-9)


def test_free_knots_with_points_that_the_function_has_are_found():
    x = np.linspace(0, 8, 200)
    true = PiecewiseLinear([2, 3, 5, 6], [0, 1, 1, 0], 0, 2)
    f = PiecewiseLinear.fit(x, true(x), n_hinges=4, through=([1, 4], [0, 1]), outer_slopes=(0, 2))
    assert np.allclose(f.knots, true.knots, atol=1e-6) and f.left_slope == 0 and f.right_slope == 2
    rng = np.random.default_rng(0)
    noisy = true(x) + rng.normal(scale=0.1, size=200)
    free = PiecewiseLinear.fit(x, noisy, n_hinges=4)
    kept = PiecewiseLinear.fit(x, noisy, n_hinges=4, through=([0.0], [0.3]), outer_slopes=(0, None))
    assert kept(0) == pytest.approx(0.3, abs=1e-12) and kept.left_slope == 0
    squares = [float(((noisy - h(x)) ** 2).sum()) for h in (free, kept)]
    assert squares[0] < squares[1] < 6 * squares[0]
    flat = PiecewiseLinear.fit(x, noisy, n_hinges=4, outer_slopes=(0, None))
    assert ((noisy - flat(x)) ** 2).sum() < 1.1 * squares[0]


def test_dates_to_go_through():
    x = np.datetime64("2020-01-01") + np.arange(100)
    y = np.abs(np.arange(100) - 40.0)
    f = PiecewiseLinear.fit(x, y, n_hinges=1, through=(x[:1], [40.0]))
    assert f.knots[0] == pytest.approx(18262 + 40, abs=1e-5)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"through": 3}, TypeError, "through: expected"),
    ({"through": ([1, 1], [2, 3])}, ValueError, "through: expected different x"),
    ({"through": ([1, 2], [2])}, ValueError, "through: expected different x"),
    ({"through": ([1, 2, 3, 3.5], [2, 1, 0, 0])}, ValueError, "no function with these 1 knots"),
    ({"outer_slopes": 1}, TypeError, "outer_slopes: expected"),
    ({"outer_slopes": (np.nan, 0)}, ValueError, "outer_slopes"),
])  # fmt: skip
def test_bad_options_are_said(options, error, message):
    x = np.linspace(0, 4, 30)
    with pytest.raises(error, match=message):
        PiecewiseLinear.fit(x, np.abs(x - 2), knots=[2.0], **options)
    with pytest.raises(ValueError, match="expected a number with through"):
        PiecewiseLinear.fit(x, x, n_hinges="bic", outer_slopes=(0, None))

# SPDX-License-Identifier: BSD-3-Clause
"""Options of PiecewiseLinear.fit: weights, given knots, the number of hinges, standard errors."""

import numpy as np
import pytest
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrelu import PiecewiseLinear
from fastrelu.exact import choose_hinges, hinge_statistics


def basis(x, knots):
    """The columns that values at the knots, left and right slope multiply."""
    k = len(knots)
    columns = []
    for i in range(k):
        values = np.eye(k)[i]
        columns.append(PiecewiseLinear(knots, values)(x))
    columns.append(np.minimum(0, x - knots[0]))
    columns.append(np.maximum(0, x - knots[-1]))
    return np.stack(columns, axis=1)


def squares(f, x, y, w=1.0):
    return float((w * (y - f(x)) ** 2).sum())


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(12, 60))
@settings(max_examples=60, deadline=None)
def test_given_knots_are_a_linear_problem(seed, k, n):
    rng = np.random.default_rng(seed)
    x, y, w = rng.normal(size=n) * 3, rng.normal(size=n), rng.uniform(0.1, 4, n)
    knots = np.sort(rng.choice(np.sort(x)[2:-2], min(k, n - 4), replace=False))
    try:
        f = PiecewiseLinear.fit(x, y, knots=knots, sample_weight=w)
    except ValueError as error:
        assert "too few points" in str(error)
        assert np.linalg.matrix_rank(basis(x, knots)) < len(knots) + 2
        return
    A = basis(x, knots) * np.sqrt(w)[:, None]
    assert np.linalg.matrix_rank(A) == len(knots) + 2
    best = np.linalg.lstsq(A, y * np.sqrt(w), rcond=None)[0]
    least = float(((A @ best - y * np.sqrt(w)) ** 2).sum())
    assert squares(f, x, y, w) <= least * (1 + 1e-9) + 1e-18
    assert np.array_equal(f.knots, knots)


@given(st.integers(0, 10_000), st.integers(2, 14), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_knots_are_refused_just_where_the_points_leave_something_open(seed, n, k):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 12, n).astype(float)
    knots = np.sort(rng.choice(np.arange(-1, 13, 0.5), k, replace=False))
    determined = np.linalg.matrix_rank(basis(x, knots), tol=1e-9) == k + 2
    if determined:
        PiecewiseLinear.fit(x, x, knots=knots)
    else:
        with pytest.raises(ValueError, match=r"knots: too few points to tell the (value|slope)"):
            PiecewiseLinear.fit(x, x, knots=knots)


@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_weight_of_three_does_what_three_points_do(seed, hinges, given_knots):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=40), rng.normal(size=40)
    w = rng.integers(0, 4, 40)
    w[:12] = 1
    how = {"knots": [-0.3, 0.2]} if given_knots else {"n_hinges": hinges}
    f = PiecewiseLinear.fit(x, y, sample_weight=w, **how)
    g = PiecewiseLinear.fit(np.repeat(x, w), np.repeat(y, w), **how)
    assert np.allclose(f.knots, g.knots, atol=1e-9) and np.allclose(f.values, g.values, atol=1e-9)


def test_equal_weights_change_no_bit():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=300), rng.normal(size=300)
    f = PiecewiseLinear.fit(x, y, n_hinges=5)
    for weight in (1.0, 7.0, 1e-3):
        g = PiecewiseLinear.fit(x, y, n_hinges=5, sample_weight=np.full(300, weight))
        assert same_bits(f.knots, g.knots) and same_bits(f.values, g.values)


def test_the_order_of_weighted_points_changes_no_bit():
    rng = np.random.default_rng(4)
    x, y, w = rng.integers(0, 50, 200) / 7.0, rng.normal(size=200), rng.uniform(0.5, 2, 200)
    f = PiecewiseLinear.fit(x, y, n_hinges=4, sample_weight=w)
    order = rng.permutation(200)
    g = PiecewiseLinear.fit(x[order], y[order], n_hinges=4, sample_weight=w[order])
    assert same_bits(f.knots, g.knots) and same_bits(f.values, g.values)


def test_several_outputs_share_given_knots():
    rng = np.random.default_rng(5)
    x, Y = rng.uniform(0, 1, 50), rng.normal(size=(50, 3))
    f = PiecewiseLinear.fit(x, Y, knots=[0.3, 0.6])
    assert f.values.shape == (2, 3)
    for k in range(3):
        one = PiecewiseLinear.fit(x, Y[:, k], knots=[0.3, 0.6])
        assert same_bits(f.values[:, k].copy(), one.values)
        assert f.left_slope[k] == one.left_slope and f.right_slope[k] == one.right_slope


def test_dates_are_days():
    days = np.datetime64("2020-01-01") + np.arange(100)
    y = np.maximum(0.0, np.arange(100) - 40.0)
    f = PiecewiseLinear.fit(days, y, n_hinges=1)
    at = np.datetime64("1970-01-01") + np.round(f.knots).astype(int)
    assert at[0] == np.datetime64("2020-02-10")
    g = PiecewiseLinear.fit(days.astype("datetime64[ns]"), y, knots=[np.datetime64("2020-02-10")])
    assert np.allclose(g.slopes, [0, 1], atol=1e-9)
    with pytest.raises(ValueError, match="NaT"):
        PiecewiseLinear.fit(np.array(["NaT"], "datetime64[D]"), [1.0], n_hinges=1)


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_the_number_of_hinges_is_found(criterion):
    rng = np.random.default_rng(6)
    right = 0
    for _ in range(10 if criterion == "bic" else 3):
        x = np.sort(rng.uniform(0, 10, 300))
        truth = PiecewiseLinear([2, 5, 7], [1, 4, 0], 0.5, 2.0)
        y = truth(x) + rng.normal(scale=0.2, size=300)
        choice = choose_hinges(x, y, criterion)
        assert choice.scores.shape == (10,) and choice.criterion == criterion
        assert choice.n_hinges == int(np.argmin(choice.scores)) + 1
        assert choice.function == PiecewiseLinear.fit(x, y, n_hinges=choice.n_hinges)
        assert choice.function == PiecewiseLinear.fit(x, y, n_hinges=criterion)
        right += choice.n_hinges == 3
    assert right >= (9 if criterion == "bic" else 1)


def test_a_perfect_fit_needs_no_more_hinges():
    x = np.linspace(0, 4, 60)
    truth = PiecewiseLinear([1, 3], [1, 5], 0, 0)
    assert choose_hinges(x, truth(x)).n_hinges == 2
    assert choose_hinges(x, np.full(60, 3.0)).n_hinges == 1


def test_statistics_are_those_of_nonlinear_least_squares():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(7)
    x = np.sort(rng.uniform(0, 3, 400))
    w = rng.uniform(0.5, 2, 400)
    y = PiecewiseLinear([1, 2], [0, 3], -1, -2)(x) + rng.normal(scale=0.1, size=400) / np.sqrt(w)
    f = PiecewiseLinear.fit(x, y, n_hinges=2, sample_weight=w)
    found = hinge_statistics(f, x, y, sample_weight=w)

    def curve(x, a, b, u, v, left, right):
        return PiecewiseLinear([a, b], [u, v], left, right)(x)

    start = [*f.knots, *f.values, f.left_slope, f.right_slope]
    _, covariance = optimize.curve_fit(curve, x, y, start, sigma=1 / np.sqrt(w))
    expected = np.sqrt(np.diag(covariance))
    ours = [*found.knots, *found.values, found.left_slope, found.right_slope]
    assert np.allclose(ours, expected, rtol=0.05)
    spread = squares(lambda x: np.average(y, weights=w), x, y, w)
    assert np.isclose(found.r2, 1 - squares(f, x, y, w) / spread)
    assert found.degrees_of_freedom == 394


def test_standard_errors_hold():
    rng = np.random.default_rng(8)
    x = np.linspace(0, 2, 300)
    truth = PiecewiseLinear([1.0], [0.5], -1.0, 2.0)
    inside = []
    for _ in range(200):
        y = truth(x) + rng.normal(scale=0.2, size=300)
        f = PiecewiseLinear.fit(x, y, n_hinges=1)
        s = hinge_statistics(f, x, y)
        inside.append(
            [abs(f.knots[0] - 1) < 1.96 * s.knots[0],
             abs(f.values[0] - 0.5) < 1.96 * s.values[0],
             abs(f.right_slope - 2) < 1.96 * s.right_slope]
        )  # fmt: skip
    assert (np.abs(np.mean(inside, axis=0) - 0.95) < 0.05).all()


def test_a_knot_without_a_bend_is_anywhere():
    x = np.linspace(0, 2, 50)
    y = x + np.random.default_rng(0).normal(scale=0.1, size=50)
    straight = PiecewiseLinear([1.0], [1.0], 1.0, 1.0)
    assert np.isinf(hinge_statistics(straight, x, y).knots[0])


X, Y = np.arange(20.0), np.arange(20.0)
WRONG = [
    ({}, TypeError, "n_hinges, knots: expected one of the two"),
    ({"n_hinges": 2, "knots": [1.0]}, TypeError, "expected one of the two"),
    ({"n_hinges": "aic"}, ValueError, "'bic' or 'cv', got 'aic'"),
    ({"knots": [2.0, 1.0]}, ValueError, "strictly ascending"),
    ({"knots": []}, ValueError, r"knots: expected shape \(k,\)"),
    ({"knots": [np.nan]}, ValueError, "knots"),
    ({"knots": [100.0]}, ValueError, "slope after the last knot"),
    ({"n_hinges": 1, "sample_weight": np.ones(3)}, ValueError, r"sample_weight: expected shape"),
    ({"n_hinges": 1, "sample_weight": -np.ones(20)}, ValueError, "numbers >= 0"),
    ({"n_hinges": 1, "sample_weight": np.zeros(20)}, ValueError, "not all 0"),
    ({"n_hinges": 1, "sample_weight": 10.0 ** -np.arange(20)}, ValueError, "within a factor"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_bad_options_are_said(options, error, message):
    with pytest.raises(error, match=message):
        PiecewiseLinear.fit(X, Y, **options)


def test_bad_arguments_of_the_choice_and_the_statistics():
    with pytest.raises(ValueError, match="at least 10 different values"):
        choose_hinges([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="criterion: expected"):
        choose_hinges(X, Y, "aic")
    with pytest.raises(ValueError, match="more than 4 points"):
        hinge_statistics(PiecewiseLinear([1.0], [0.0]), [1.0, 2.0], [1.0, 2.0])


def test_the_picture_of_the_choice():
    pytest.importorskip("matplotlib")
    from fastrelu import plot

    x = np.linspace(0, 4, 60)
    ax = plot.hinge_choice(choose_hinges(x, np.abs(x - 1)))
    assert ax.get_ylabel().startswith("BIC") and len(ax.lines[0].get_xdata()) == 10
    with pytest.raises(TypeError, match="expected a HingeChoice"):
        plot.hinge_choice(3)


@pytest.mark.parametrize("factor", [2.0**500, 2.0**-540, 2.0**-700])
def test_targets_of_any_size_have_the_same_statistics(factor):
    rng = np.random.default_rng(9)
    x = np.linspace(0, 4, 100)
    y = np.abs(x - 1) + np.maximum(0, x - 3) + rng.normal(scale=0.1, size=100)
    for criterion in ("bic", "cv"):
        assert choose_hinges(x, y * factor, criterion, max_hinges=4).n_hinges == (
            choose_hinges(x, y, criterion, max_hinges=4).n_hinges
        )
    one = hinge_statistics(PiecewiseLinear.fit(x, y, n_hinges=2), x, y)
    other = hinge_statistics(PiecewiseLinear.fit(x, y * factor, n_hinges=2), x, y * factor)
    assert np.allclose(other.knots, one.knots) and np.isclose(other.r2, one.r2)
    assert np.isclose(other.sigma / factor, one.sigma)
    assert np.allclose(other.values / factor, one.values)
    with pytest.raises(TypeError, match="f: expected a PiecewiseLinear, got int"):
        hinge_statistics(3, x, y)

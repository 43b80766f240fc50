# SPDX-License-Identifier: BSD-3-Clause
import _thread
import hashlib
import threading
import time
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_lsq_spline
from scipy.optimize import minimize

from fastrelu import PiecewiseLinear

LECTURE = PiecewiseLinear([2, 3, 5, 6], [0, 1, 1, 0], right_slope=2)


def rss(f, x, y):
    return float(((f(x) - y) ** 2).sum())


def best_on_grid(x, y, grid, n):
    """The least sum of squares with n knots among the grid's, by trying all of them."""
    least = np.inf
    for knots in combinations(grid, n):
        basis = np.stack([np.ones_like(x), x, *(np.maximum(0, x - t) for t in knots)], axis=1)
        r = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
        least = min(least, float(r @ r))
    return least


SHAPES = {
    "sine": lambda x: np.sin(6 * x),
    "kink": lambda x: np.abs(x - 0.3) + 2 * np.maximum(0, x - 0.7),
    "step": lambda x: 1.0 * (x > 0.5),
    "exp": lambda x: np.exp(3 * x),
    "runge": lambda x: 1 / (1 + 25 * (2 * x - 1) ** 2),
    "line": lambda x: 2 * x - 1,
}


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_as_good_as_every_choice_of_grid_knots(shape, noise, rng):
    x = np.sort(rng.uniform(0, 1, 80))
    y = SHAPES[shape](x) + noise * rng.normal(size=80)
    for n in (1, 2, 3):
        f = PiecewiseLinear.fit(x, y, n_hinges=n)
        assert len(f.knots) == n
        grid = np.linspace(0, 1, 20)[1:-1]
        assert rss(f, x, y) <= best_on_grid(x, y, grid, n) * (1 + 1e-9) + 1e-20


@pytest.mark.parametrize("n", [5, 10, 20])
def test_better_than_even_knots(n, rng):
    x = np.sort(rng.uniform(0, 1, 3000))
    y = np.sin(20 * x**2) + 0.02 * rng.normal(size=len(x))
    inner = np.quantile(x, np.linspace(0, 1, n + 2)[1:-1])
    spline = make_lsq_spline(x, y, np.r_[[x[0]] * 2, inner, [x[-1]] * 2], k=1)
    even = float(((spline(x) - y) ** 2).sum())
    assert rss(PiecewiseLinear.fit(x, y, n_hinges=n), x, y) <= even


def test_finds_the_lecture_function_again(rng):
    x = rng.uniform(0, 8, 400)
    f = PiecewiseLinear.fit(x, LECTURE(x), n_hinges=4)
    assert np.allclose(f.knots, LECTURE.knots, atol=1e-8)
    assert np.allclose(f.slopes, LECTURE.slopes, atol=1e-8)


@pytest.mark.parametrize("shift, width, height", [(1e6, 1e-3, 1e9), (-5, 1e8, 1e-12)])
def test_units_do_not_matter(shift, width, height, rng):
    x = rng.uniform(0, 8, 400)
    f = PiecewiseLinear.fit(shift + width * x, height * LECTURE(x), n_hinges=4)
    assert np.allclose((f.knots - shift) / width, LECTURE.knots, atol=1e-4)
    assert np.allclose(f.values / height, LECTURE.values, atol=1e-4)


def test_order_and_repeats(rng):
    x = rng.integers(0, 30, 300) / 3.0
    y = np.abs(x - 4.2) + rng.normal(size=300)
    order = rng.permutation(300)
    f, g = (PiecewiseLinear.fit(x[o], y[o], n_hinges=1) for o in (slice(None), order))
    assert np.allclose(f.knots, g.knots) and np.allclose(f.values, g.values)
    assert rss(f, x, y) <= best_on_grid(x, y, np.linspace(0, 10, 300)[1:-1], 1) * (1 + 1e-9)


def test_few_points():
    fit = PiecewiseLinear.fit
    assert fit([3], [7], n_hinges=4)([-1, 3, 9]).tolist() == [7, 7, 7]
    assert fit([3, 3], [7, 8], n_hinges=1)(0.0) == 7.5
    assert np.allclose(fit([1, 2], [3, 5], n_hinges=2)([0, 4]), [1, 9])
    f = fit([4, 1, 2, 3], [0, 1, 5, 2], n_hinges=3)
    assert f.knots.tolist() == [2, 3] and np.allclose(f([1, 2, 3, 4]), [1, 5, 2, 0])
    f = fit([1, 2, 3, 4, 5], [1, 5, 2, 0, 7], n_hinges=3)
    assert np.allclose(f([1, 2, 3, 4, 5]), [1, 5, 2, 0, 7])
    assert fit(np.arange(9), np.full(9, 2.5), n_hinges=2)(4.5) == 2.5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-99, 99)), min_size=1, max_size=25),
    st.integers(1, 6),
)
def test_any_points(pairs, n):
    x, y = np.array(pairs, dtype=float).T
    f = PiecewiseLinear.fit(x, y, n_hinges=n)
    assert len(f.knots) <= n
    line = y - np.polyval(np.polyfit(x, y, 1), x) if len(set(x)) > 1 else y - y.mean()
    assert rss(f, x, y) <= float(line @ line) * (1 + 1e-9) + 1e-9


def choices(x, parts):
    """Places for knots: the inner points, and some between neighbours."""
    inner = [x[1:-1]] + [x[:-1] + (x[1:] - x[:-1]) * k / parts for k in range(1, parts)]
    return np.unique(np.concatenate(inner))


def inside_leaves(knots, x, y):
    return best_values_leave(np.clip(np.sort(knots), x[0], x[-1]), x, y)


@pytest.mark.parametrize("points, n", [(5, 1), (6, 2), (7, 3), (8, 2), (9, 1), (12, 2), (30, 1)])
def test_small_problems_have_the_least_sum_of_squares_of_all(points, n):
    """No choice of knots on a fine grid, and no way down from the best of them, gets lower."""
    for seed in range(6):
        rng = np.random.default_rng([seed, points, n])
        x = np.arange(points) / points if seed % 2 else np.sort(rng.uniform(size=points))
        y = rng.normal(size=points)
        if seed % 3 == 2:
            y = np.sin(9 * x) + 0.2 * y
        found = rss(PiecewiseLinear.fit(x, y, n_hinges=n), x, y)
        tried = []
        for knots in combinations(choices(x, 5 if n < 3 else 3), n):
            tried.append((best_values_leave(np.array(knots), x, y), knots))
        tried.sort()
        for least, start in tried[:3]:
            end = minimize(inside_leaves, start, (x, y), method="Nelder-Mead", tol=1e-10)
            assert found <= min(least, end.fun) * (1 + 1e-9) + 1e-20


def line_leaves(x, y):
    r = y - np.polyval(np.polyfit(x, y, min(1, len(x) - 1)), x)
    return float(r @ r)


def test_small_problems_of_any_number_of_hinges(rng):
    """More hinges never leave more, and two in one gap join any two lines."""
    for points, n in ((5, 2), (6, 3), (8, 4), (10, 4), (12, 6)):
        for _ in range(20):
            x, y = np.sort(rng.uniform(size=points)), rng.normal(size=points)
            left = []
            for m in range(1, n + 1):
                f = PiecewiseLinear.fit(x, y, n_hinges=m)
                assert len(f.knots) == m and (np.diff(f.knots) > 0).all()
                left.append(rss(f, x, y))
            assert all(b <= a * (1 + 1e-9) for a, b in pairwise(left))
            cuts = range(1, points)
            two_lines = min(line_leaves(x[:c], y[:c]) + line_leaves(x[c:], y[c:]) for c in cuts)
            assert left[1] <= two_lines * (1 + 1e-9) + 1e-20


def test_ctrl_c_ends_a_fit():
    x = np.random.default_rng(0).uniform(size=3000)
    y = np.cumsum(np.random.default_rng(1).normal(size=3000))
    threading.Timer(0.3, _thread.interrupt_main).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="may take minutes"):
        PiecewiseLinear.fit(x, y, n_hinges=400)
    # Long before its end, which is minutes away.
    assert time.monotonic() - start < 20
    assert len(PiecewiseLinear.fit(x, y, n_hinges=1).knots) == 1


def test_bad_input_is_named():
    fit = PiecewiseLinear.fit
    for x, y, n, message in [
        ([1, 2], [1], 1, "y: expected shape"),
        ([[1, 2]], [[1, 2]], 1, "x: expected shape"),
        ([], [], 1, "x: expected shape"),
        ([1, np.nan], [1, 2], 1, "x: expected finite"),
        ([1, 2], [1, np.inf], 1, "y: expected finite"),
        ([1, 2], [1, 2], 0, "n_hinges"),
        ([-1.7e308, 0, 1, 1.7e308], [1, 2, 1, 1], 1, "overflow"),
    ]:
        with pytest.raises(ValueError, match=message):
            fit(x, y, n_hinges=n)
    with pytest.raises(TypeError, match="n_hinges"):
        fit([1, 2], [1, 2], n_hinges=1.5)


def test_exact_functions_are_found(rng):
    for n in (1, 2, 4, 8):
        for _ in range(5):
            knots = np.cumsum(rng.uniform(0.5, 1.5, n))
            f = PiecewiseLinear(knots, rng.normal(size=n), *rng.normal(size=2))
            x = rng.uniform(knots[0] - 1, knots[-1] + 1, 60 * n)
            g = PiecewiseLinear.fit(x, f(x), n_hinges=n)
            assert np.allclose(g.knots, knots, rtol=1e-11)
            assert np.allclose(g.values, f.values, rtol=1e-10, atol=1e-11)


def test_more_hinges_are_never_worse(rng):
    for n, y in ((12, rng.normal(size=12)), (40, rng.normal(size=40))):
        x = np.arange(n) / 3.0
        left = np.inf
        for k in range(1, n):
            f = PiecewiseLinear.fit(x, y, n_hinges=k)
            best = best_values_leave(f.knots, x, y)
            assert rss(f, x, y) <= best * (1 + 1e-9) + 1e-20
            assert best <= left * (1 + 1e-9) + 1e-20
            left = best
        assert left < 1e-20


def best_values_leave(knots, x, y):
    basis = np.stack([np.ones_like(x), x, *(np.maximum(0, x - t) for t in knots)], axis=1)
    r = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    return float(r @ r)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_no_knot_can_move_for_the_better(shift, rng):
    x = np.sort(rng.uniform(0, 1, 200))
    y = np.sin(9 * x) + 0.1 * rng.normal(size=200)
    f = PiecewiseLinear.fit(shift + x, y, n_hinges=5)
    knots = f.knots - shift
    left = best_values_leave(knots, x, y)
    assert np.isclose(rss(f, shift + x, y), left, rtol=1e-8)
    for k in range(5):
        for step in (-1e-2, -1e-4, 1e-4, 1e-2):
            moved = knots.copy()
            moved[k] += step
            assert best_values_leave(moved, x, y) > left * (1 - 1e-7)


def test_sums_of_squares_of_a_published_example():
    # sin(pi x / 2) with noise at 100 points: pwlf's sineWave.py; with 16 pieces its differential
    # evolution leaves 0.130 after 100 s (benchmarks/bench_hinge_fit.py).
    x = np.linspace(0, 10, 100)
    y = np.sin(x * np.pi / 2) + np.random.RandomState(1).normal(0, 0.05, 100)
    assert rss(PiecewiseLinear.fit(x, y, n_hinges=15), x, y) < 0.1117
    assert rss(PiecewiseLinear.fit(x, y, n_hinges=7), x, y) < 0.49049


def test_steps_and_flat_data():
    x = np.arange(1000.0)
    f = PiecewiseLinear.fit(x, np.full(1000, 2.5), n_hinges=10)
    assert (f(np.array([-5.0, 3.3, 2000.0])) == 2.5).all()
    f = PiecewiseLinear.fit(x, 1e9 * (x >= 400) - 3e9, n_hinges=2)
    assert rss(f, x, 1e9 * (x >= 400) - 3e9) < 1e-6
    assert 399 <= f.knots[0] < f.knots[1] <= 400


def test_the_same_bits_everywhere_in_any_order(rng):
    x = np.arange(300) * (37 * np.pi) % 4
    y = np.abs(x - 1.3) - x * x / 3 + (np.arange(300) * 7919 % 101 - 50) / 300
    order = rng.permutation(300)
    digests = set()
    for some in (slice(None), order):
        f = PiecewiseLinear.fit(x[some], y[some], n_hinges=5)
        parts = (f.knots, f.values, f.left_slope, f.right_slope)
        digests.add(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16])
    assert digests == {"f1a7ce79b8b57e00"}


def test_plot_marks_the_hinges(rng):
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    from fastrelu import plot

    x = rng.uniform(0, 8, 50)
    ax = plot.hinge_fit(LECTURE, x, LECTURE(x))
    data, curve, marks, *lines = ax.lines
    assert sorted(data.get_xdata()) == sorted(x)
    assert (LECTURE(curve.get_xdata()) == curve.get_ydata()).all()
    assert marks.get_xdata().tolist() == [2, 3, 5, 6]
    assert [line.get_xdata()[0] for line in lines] == [2, 3, 5, 6]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "data", "fit, 4 hinges", "hinges",
    ]  # fmt: skip
    assert ax.get_xlabel() == "x" and ax.get_ylabel() == "y"
    assert plot.hinge_fit(LECTURE, x, x, ax, label="f") is ax
    with pytest.raises(TypeError, match="f: expected a PiecewiseLinear"):
        plot.hinge_fit(np.sin, x, x)
    with pytest.raises(ValueError, match="y: expected shape"):
        plot.hinge_fit(LECTURE, x, x[1:])
    with pytest.raises(ValueError, match="f: expected one output"):
        plot.hinge_fit(PiecewiseLinear([0], [[1, 2]]), x, x)
    pyplot.close("all")

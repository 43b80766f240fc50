# SPDX-License-Identifier: BSD-3-Clause
import re
from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import PiecewiseLinear

EPS = 2.0**-52
# The lecture's function: 0 up to 2, up to 1 at 3, level to 5, down to 0 at 6, then slope 2.
LECTURE = PiecewiseLinear([2, 3, 5, 6], [0, 1, 1, 0], right_slope=2)


def exact(f, x):
    """The function in rational numbers, as the knots, values and outer slopes define it."""
    knots, values = f.knots.tolist(), [Fraction(v) for v in f.values.tolist()]
    i, x = bisect_right(knots, x), Fraction(x)
    if i == 0:
        return values[0] + Fraction(float(f.left_slope)) * (x - Fraction(knots[0]))
    if i == len(knots):
        return values[-1] + Fraction(float(f.right_slope)) * (x - Fraction(knots[-1]))
    left, right = Fraction(knots[i - 1]), Fraction(knots[i])
    return values[i - 1] + (values[i] - values[i - 1]) * (x - left) / (right - left)


def random_function(rng, n, flat, outputs=None, scale=1.0):
    knots = np.sort(rng.normal(size=n)) * scale
    values = rng.normal(size=(n,) if outputs is None else (n, outputs))
    slopes = [0.0 if flat == "left" else rng.normal(), 0.0 if flat == "right" else rng.normal()]
    if flat == "inner":
        values[n // 3 + 1] = values[n // 3]
    return PiecewiseLinear(knots, values, *slopes)


def points(f, rng, n=10_000):
    low, high = f.knots[0] - 1, f.knots[-1] + 1
    return np.concatenate([f.knots, rng.uniform(low, high, n)])


def largest(net, x):
    """The largest magnitude met on the way to the output, for each x."""
    hidden = np.maximum(x[:, None] * net.weights[0] + net.biases[0], 0)
    terms = hidden * net.weights[1][:, 0]
    sums = net.biases[1][0] + np.cumsum(terms, axis=1)
    return np.maximum(np.abs(np.c_[hidden, terms, sums]).max(axis=1), abs(net.biases[1][0]))


functions = st.integers(1, 6).flatmap(
    lambda n: st.builds(
        PiecewiseLinear,
        st.lists(st.integers(-20, 20), min_size=n, max_size=n, unique=True).map(sorted),
        st.lists(st.integers(-9, 9), min_size=n, max_size=n),
        st.integers(-3, 3),
        st.integers(-3, 3),
    )
)
X = np.linspace(-40, 40, 1281)


def test_lecture_function():
    assert LECTURE([0, 2, 2.5, 3, 4, 5, 5.5, 6, 7]).tolist() == [0, 0, 0.5, 1, 1, 1, 0.5, 0, 2]
    assert LECTURE.slopes.tolist() == [0, 1, 0, -1, 2]
    assert LECTURE.hinges.tolist() == [1, -1, -1, 3]
    assert LECTURE.lipschitz() == 2
    assert LECTURE.integrate(0, 7) == 0.5 + 2 + 0.5 + 1 == -LECTURE.integrate(7, 0)
    assert LECTURE.derivative([1, 2, 4, 6]).tolist() == [0, 1, 0, 2]
    net = LECTURE.to_network()
    assert net.layer_sizes == [1, 4, 1] and net.dtype == np.float64
    x = np.arange(-64, 640)[:, None] / 64
    assert (net(x) == LECTURE(x[:, 0])[:, None]).all()

    def ramp(u):
        return np.maximum(0, u)

    x = x[:, 0]
    tail = ramp(6 - x) - ramp(5 - x) + ramp(2 * x - 12)
    assert (-1 + ramp(x - 2) - ramp(x - 3) + tail == LECTURE(x)).all()
    assert (-1 + ramp(x - 2) - ramp(x - 2) + tail != LECTURE(x)).any()  # as printed


def test_shapes_and_copies(rng):
    f = random_function(rng, 5, "none", outputs=3)
    assert f(0.0).shape == (3,) and f(np.zeros((2, 4))).shape == (2, 4, 3)
    assert f.slopes.shape == (6, 3) and f.hinges.shape == (5, 3)
    assert f.derivative([[0.0]]).shape == (1, 1, 3) and f.integrate(-1, 1).shape == (3,)
    assert LECTURE(1.0).shape == () and isinstance(LECTURE.integrate(0, 1), float)
    assert (f(f.knots) == f.values).all()
    for o in range(3):
        g = PiecewiseLinear(f.knots, f.values[:, o], f.left_slope[o], f.right_slope[o])
        assert (f(X)[:, o] == g(X)).all()
    with pytest.raises(ValueError, match="read-only"):
        f.knots[0] = 1
    assert np.isclose(f.lipschitz(), np.sqrt((f.slopes**2).sum(1)).max())


@given(functions, functions, st.integers(-5, 5))
def test_arithmetic(f, g, k):
    assert np.allclose((f + g)(X), f(X) + g(X), atol=1e-12)
    assert np.allclose((f - g)(X), f(X) - g(X), atol=1e-12)
    assert np.allclose((k * f)(X), k * f(X), atol=1e-12)
    assert (-f)(X).tolist() == (-f(X)).tolist()
    assert np.allclose((np.float64(k) + f)(X), k + f(X), atol=1e-12)
    assert np.allclose((k - f)(X), k - f(X), atol=1e-12)


@given(functions, functions)
def test_maximum_minimum_compose(f, g):
    far = np.r_[X, -1e5, 1e5]
    assert np.allclose(fastrelu.maximum(f, g)(far), np.maximum(f(far), g(far)), atol=1e-9)
    assert np.allclose(fastrelu.minimum(f, g)(far), np.minimum(f(far), g(far)), atol=1e-9)
    assert np.allclose(f.compose(g)(far), f(g(far)), atol=1e-9)


def test_maximum_meets_the_crossing():
    f, g = PiecewiseLinear([0], [0], 1, 1), PiecewiseLinear([0], [3], 2, -2)
    top = fastrelu.maximum(f, g)
    assert top.knots.tolist() == [-3, 0, 1] and top.values.tolist() == [-3, 3, 1]
    assert top.left_slope == 1 and top.right_slope == 1
    # They cross beyond the largest number: the larger one stays.
    f, g = PiecewiseLinear([0], [1e308], 0, 0), PiecewiseLinear([0], [0.0], -0.5, 0.5)
    assert fastrelu.maximum(f, g)(1e300) == 1e308


def test_maximum_and_compose_of_several_outputs(rng):
    f, g = random_function(rng, 6, "none", 3), random_function(rng, 4, "none", 3)
    x = np.linspace(-50, 50, 2001)
    assert np.allclose(fastrelu.maximum(f, g)(x), np.maximum(f(x), g(x)))
    inner = random_function(rng, 5, "none")
    assert np.allclose(f.compose(inner)(x), f(inner(x)))
    with pytest.raises(ValueError, match="inner: expected one output"):
        inner.compose(f)


@given(functions, st.floats(-30, 30), st.floats(-30, 30))
def test_integral_and_derivative(f, a, b):
    ends = sorted({a, b, *(k for k in f.knots if min(a, b) < k < max(a, b))})
    area = sum((v - u) * float(exact(f, (u + v) / 2)) for u, v in pairwise(ends))
    assert np.isclose(f.integrate(a, b), area if a <= b else -area, atol=1e-9)
    between = X[~np.isin(X, f.knots)]
    assert np.allclose(f.derivative(between), (f(between + 1e-4) - f(between)) / 1e-4, atol=1e-6)
    rise = np.abs(np.diff(f(X)) / np.diff(X))
    assert (rise <= f.lipschitz() * (1 + 1e-9)).all()


@given(functions, st.lists(st.floats(-30, 30), max_size=5))
@example(PiecewiseLinear([-2, -1, 3], [0, -1, 3]), [0.0, 1.661653535751426e-115])
def test_equality_up_to_redundant_knots(f, more):
    knots = np.union1d(f.knots, more)
    g = PiecewiseLinear(knots, f(knots), f.left_slope, f.right_slope)
    assert f == g and g == f and g.simplify() == f
    assert len(g.simplify().knots) <= len(f.knots)
    assert f != f + 1e-6 and f != g + PiecewiseLinear([0], [0], 0, 1e-9)
    assert f != 3 and not f == "f"


@pytest.mark.parametrize("huge", [1e16, -1e100, 1e300])
@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
def test_what_is_large_in_one_place_allows_for_nothing_elsewhere(huge, at):
    values = np.array([0.0, 1, 0, 1, 3, 0])
    values[5] = huge
    f = PiecewiseLinear(np.arange(6), values)
    for change in (5.0, 1e-9):
        other = values.copy()
        other[at] += change
        assert f != PiecewiseLinear(np.arange(6), other)
    assert f == PiecewiseLinear(np.arange(6), values)
    assert len(f.simplify().knots) == 6 and f.simplify() == f
    turned = PiecewiseLinear(-f.knots[::-1], f.values[::-1])
    assert len(turned.simplify().knots) == 6


def test_equality_allows_for_roundings_near_by():
    """A value that is 0 but for the roundings of its neighbours' size, and knots close to it."""
    f = PiecewiseLinear([0, 1, 2], [1.0, 0.1 + 0.2 - 0.3, 1.0])
    g = PiecewiseLinear([0, 1, 2], [1.0, 0.0, 1.0])
    assert f == g and g == f
    knots = np.array([0, 1 - 1e-9, 1, 1 + 1e-12, 2])
    assert PiecewiseLinear(knots, f(knots)) == g
    h = PiecewiseLinear([0, 3], [0.0, 0.3], 0.1, 0.1)
    x = np.linspace(0, 3, 50)
    assert PiecewiseLinear(x, 0.1 * x, 0.1, 0.1) == h


@given(functions, st.floats(0, 5))
def test_simplify_stays_near(f, tol):
    g = f.simplify(tol)
    both = np.r_[f.knots, -1e3, 1e3]
    assert np.abs(f(both) - g(both)).max() <= tol + 1e-9
    assert np.isin(g.knots, f.knots).all()


def test_simplify_drops_what_it_can():
    x = np.linspace(0, 1, 101)
    line = PiecewiseLinear(x, 3 * x, 3, 3)
    assert len(line.simplify().knots) == 1
    bumpy = PiecewiseLinear(x, np.abs(x - 0.5) + 1e-3 * np.sin(50 * x), -1, 1)
    assert len(bumpy.simplify(2e-3).knots) <= 3


@pytest.mark.parametrize(
    "n, flat",
    [
        (n, flat)
        for n in (1, 2, 5, 17, 32, 100, 400)
        for flat in ("left", "right", "inner", "none")
        if n > 1 or flat != "inner"  # one knot has no inner piece
    ],
)
def test_network_reproduces_the_function(n, flat, rng):
    f = random_function(rng, n, flat)
    net = f.to_network()
    assert net.layer_sizes == [1, n + (flat == "none"), 1]
    x = points(f, rng)
    ulps = np.abs(net(x[:, None])[:, 0] - f(x)) / (EPS * largest(net, x))
    assert ulps.max() <= max(4, n / 8)
    few = np.r_[x[:n], x[-200:]]
    truth = np.array([float(exact(f, v)) for v in few.tolist()])
    wrong = np.abs(net(few[:, None])[:, 0] - truth) / (EPS * largest(net, few))
    assert wrong.max() <= max(4, n / 8)


def any_number(low, high):
    """Numbers of all magnitudes from 10**low to 10**high, and 0."""
    size = st.floats(low, high).map(lambda power: 10.0**power)
    return st.one_of(st.just(0.0), size, size.map(lambda number: -number))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(any_number(-3, 6), any_number(-9, 9)), min_size=1, max_size=32),
    any_number(-9, 9),
    any_number(-9, 9),
    st.integers(0, 2**32),
)
def test_network_reproduces_functions_of_all_sizes(points_drawn, left, right, seed):
    knots, values = np.array(sorted(dict(points_drawn).items())).T
    f = PiecewiseLinear(knots, values, left, right)
    net = f.to_network()
    rng = np.random.default_rng(seed)
    between = knots[:-1] + rng.uniform(size=(20, len(knots) - 1)) * np.diff(knots)
    span = max(knots[-1] - knots[0], 1.0)
    x = np.r_[knots, between.ravel(), rng.uniform(knots[0] - span, knots[-1] + span, 50)]
    truth = [exact(f, v) for v in x.tolist()]
    got, size = net(x[:, None])[:, 0].tolist(), (EPS * largest(net, x)).tolist()
    for g, t, s in zip(got, truth, size, strict=True):
        assert abs(Fraction(g) - t) <= 4 * Fraction(s)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 33])
@pytest.mark.parametrize("flat", ["inner", "none"])
def test_few_hinges_are_at_work_anywhere(n, flat):
    """They open away from the middle: opening all to the right, every one is at work at the end."""
    values = np.arange(n) % 2 + np.arange(n) / n
    if flat == "inner":
        values[(n - 1) // 2] = values[n // 2]
    f = PiecewiseLinear(np.arange(n), values, 1, 1)
    net = f.to_network()
    x = np.arange(-2, n + 2) + 0.5
    at_work = (x[:, None] * net.weights[0] + net.biases[0] > 0).sum(axis=1)
    assert at_work.max() <= n // 2 + 1
    # So that what cancels is no larger than half the span times the largest change of slope.
    assert largest(net, x).max() <= (n / 2 + 3) * np.abs(net.weights[1]).max() + n + 1


@settings(max_examples=60)
@given(st.data())
def test_network_is_exact_in_dyadic_numbers(data):
    n = data.draw(st.integers(1, 40))
    gaps = data.draw(st.lists(st.integers(1, 64), min_size=n, max_size=n))
    slopes = data.draw(st.lists(st.integers(-256, 256), min_size=n + 1, max_size=n + 1))
    knots = (np.cumsum(gaps) - 700) / 64
    slopes = np.array(slopes) / 64
    values = 3 / 128 + np.r_[0, np.cumsum(np.diff(knots) * slopes[1:-1])]
    f = PiecewiseLinear(knots, values, slopes[0], slopes[-1])
    x = np.r_[knots, np.random.default_rng(n).integers(-40 * 1024, 40 * 1024, 200) / 1024]
    got = f.to_network()(x[:, None])[:, 0]
    assert [Fraction(v) for v in got] == [exact(f, v) for v in x.tolist()]


def test_network_of_several_outputs(rng):
    f = random_function(rng, 9, "none", outputs=3)
    assert f.to_network().layer_sizes == [1, 10, 3]
    x = points(f, rng, 500)
    assert np.allclose(f.to_network()(x[:, None]), f(x), rtol=0, atol=1e-12)
    g = PiecewiseLinear(f.knots, f.values)
    assert g.to_network().layer_sizes == [1, 9, 3]
    narrow = g.to_network(dtype="float32")
    assert narrow.dtype == np.float32
    assert np.allclose(narrow(x[:, None]), g(x), atol=1e-3)


def test_bad_input_is_named():
    cases = [
        (([1, 0], [0, 0]), "knots: expected ascending"),
        (([1, 1], [0, 0]), "knots: expected ascending"),
        (([1, np.nan], [0, 0]), "knots: expected finite"),
        (([], []), "knots: expected shape"),
        (([[1.0]], [0]), "knots: expected shape"),
        (([1, 2], [0]), "values: expected shape"),
        (([1, 2], np.zeros((2, 0))), "values: expected d_out"),
        (([1, 2], [0, np.inf]), "values: expected finite"),
        (([1, 2], [0, 1], [1, 2]), "left_slope: expected a number"),
        (([1, 2], [0, 1], 0, np.nan), "right_slope: expected finite"),
        (([0, 1e-300], [0, 1e300]), "overflows"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            PiecewiseLinear(*arguments)
    with pytest.raises(TypeError, match="knots: expected real numbers"):
        PiecewiseLinear(["a"], [0])
    with pytest.raises(ValueError, match="x: expected finite"):
        LECTURE(np.nan)
    with pytest.raises(TypeError, match="g: expected a PiecewiseLinear"):
        fastrelu.maximum(LECTURE, 0)
    with pytest.raises(ValueError, match="equally many outputs"):
        LECTURE + PiecewiseLinear([0], [[0, 0]])
    with pytest.raises(ValueError, match="tol"):
        LECTURE.simplify(-1)
    with pytest.raises(ValueError, match="knots are finite and all different"):
        PiecewiseLinear([1, 1 + 1e-12], [0, 1]).to_network(dtype="float32")
    with pytest.raises(ValueError, match="got float32, in which one of them overflows"):
        PiecewiseLinear([1, 2], [0, 1e200]).to_network(dtype="float32")
    with pytest.raises(ValueError, match="dtype"):
        LECTURE.to_network(dtype="int8")


def test_plot_draws_the_function(rng):
    pytest.importorskip("matplotlib").use("agg")
    ax = fastrelu.plot.piecewise(LECTURE, window=(0, 8), label="f")
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [0, 2, 3, 5, 6, 8] and (y == LECTURE(x)).all()
    assert ax.collections[0].get_offsets().tolist() == [[2, 0], [3, 1], [5, 1], [6, 0]]
    assert fastrelu.plot.piecewise(-LECTURE, ax) is ax and len(ax.lines) == 2
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert len(fastrelu.plot.piecewise(random_function(rng, 5, "left", outputs=3)).lines) == 3
    with pytest.raises(ValueError, match="window: expected finite low < high"):
        fastrelu.plot.piecewise(LECTURE, window=(3, 3))
    with pytest.raises(TypeError, match="window: expected two numbers"):
        fastrelu.plot.piecewise(LECTURE, window=3)
    with pytest.raises(TypeError, match="f: expected a PiecewiseLinear"):
        fastrelu.plot.piecewise(np.sin)
    from matplotlib import pyplot

    pyplot.close("all")


def test_the_page_tells_the_truth():
    """The code of docs/piecewise.md runs, and says what the page says."""
    pytest.importorskip("matplotlib").use("agg")
    page = Path(__file__).parents[1] / "docs" / "piecewise.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert names["f"] == names["by_hand"] == LECTURE
    assert names["printed"] != LECTURE
    from matplotlib import pyplot

    pyplot.close("all")

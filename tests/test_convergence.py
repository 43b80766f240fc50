# SPDX-License-Identifier: BSD-3-Clause
"""SGD's convergence: the bound, the constants, and what is proven about them, on small sets."""

import itertools

import numpy as np
import pytest

import fastrelu
from fastrelu import convergence
from fastrelu.convergence._bound import harmonic, student_quantile
from fastrelu.convergence._moments import (
    SecondMoments,
    _Ball,
    _bounds,
    growth,
    noise_and_slope,
)
from fastrelu.convergence._problem import draw_factor, make_problem

LOSSES = ("squared_error", "binary_cross_entropy", "cross_entropy")


def small(loss, n=7, outputs=1, seed=0):
    """Rows, and targets or labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    if loss == "cross_entropy":
        return X, np.arange(n) % 3
    y = rng.normal(size=(n, outputs))
    return X, y if loss == "squared_error" else (y > 0).astype(float)


def minibatches(n, m, sampling):
    """All that may be drawn, each as likely as the others."""
    if sampling == "subset":
        return [list(rows) for rows in itertools.combinations(range(n), m)]
    return [list(rows) for rows in itertools.product(range(n), repeat=m)]


def step_gradient(problem, w, rows, alpha):
    """G at w, from a step of length 1 that the core makes on these rows."""
    net = fastrelu.Network(list(problem.shape), bias=False, dtype="float64")
    net.weights[0][...] = w
    optimizer = fastrelu.SGD(1.0, weight_decay=alpha)
    trainer = fastrelu.Trainer(net, loss=problem.loss, optimizer=optimizer)
    trainer.step(problem.X[rows], problem.targets[rows])
    return w - net.weights[0]


def test_the_bound_is_the_recurrence():
    S = 2.5**2 / (2 * 0.3) ** 2
    d, values = S, []
    for n in range(2, 3000):
        values.append(d)
        d = (1 - 1 / n) * d + S / n**2
    found = convergence.bound(np.arange(2, 3000), 2.5, 0.3)
    np.testing.assert_allclose(found, values, rtol=1e-12)
    assert found[0] == pytest.approx(S, rel=1e-15)
    assert found[1] == pytest.approx(S / 2 + S / 4, rel=1e-15)
    one = convergence.bound(4, 2.5, 0.3)
    assert isinstance(one, float) and one == found[2]
    assert convergence.bound([[2, 3]], 2.5, 0.3).shape == (1, 2)


def test_harmonic_numbers():
    mpmath = pytest.importorskip("mpmath")
    n = np.array([0, 1, 2, 63, 64, 65, 1000, 10**6, 10**12], dtype=float)
    expected = [float(mpmath.harmonic(int(k))) for k in n]
    np.testing.assert_allclose(harmonic(n), expected, rtol=4e-16)


def test_students_quantiles():
    stats = pytest.importorskip("scipy.stats")
    for p, degrees in itertools.product((0.6, 0.9, 0.999, 0.99999), (1, 2, 3, 4, 19, 199, 1000)):
        assert student_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=1e-9)


@pytest.mark.parametrize("sampling", ["subset", "with_replacement"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradients_mean_and_variance_over_all_draws(loss, sampling):
    m, alpha = (3, 0.3) if sampling == "subset" else (2, 0.3)
    problem = make_problem(*small(loss, outputs=2), loss, alpha, True, None)
    n, w = len(problem.X), np.random.default_rng(1).normal(size=problem.shape)
    full, variance = problem.moments(w)
    np.testing.assert_allclose(step_gradient(problem, w, list(range(n)), alpha), full, atol=1e-12)
    drawn = [step_gradient(problem, w, rows, alpha) for rows in minibatches(n, m, sampling)]
    np.testing.assert_allclose(np.mean(drawn, axis=0), full, atol=1e-12)
    squares = np.mean([((G - full) ** 2).sum() for G in drawn])
    assert squares == pytest.approx(draw_factor(n, m, sampling) * variance, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_minimum_and_the_modulus(loss):
    X, y = small(loss, n=40)
    constants = convergence.estimate_constants(X, y, loss=loss, alpha=0.2)
    problem = make_problem(X, y, loss, 0.2, True, None)
    net = fastrelu.Network([2, problem.shape[1]], dtype="float64")
    net.parameters[...] = constants.w_star
    gradient = net.loss_and_gradient(X, y, loss=loss)[1].flat + 0.2 * net.parameters
    assert np.abs(gradient).max() < 1e-15
    # (grad f(v) - grad f(w))' (v - w) lies between ell and L times |v - w|^2, and nearly
    # reaches ell for the squared error.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, 2000, *problem.shape)) * 0.5
    gradients = problem.moments(points)[0]
    e = points[0] - points[1]
    ratio = ((gradients[0] - gradients[1]) * e).sum(axis=(1, 2)) / (e * e).sum(axis=(1, 2))
    assert constants.ell <= ratio.min() and ratio.max() <= constants.L
    if loss == "squared_error":
        assert ratio.min() < 1.01 * constants.ell
    assert constants.ell <= constants.ell_at_optimum * (1 + 1e-12)
    H = problem.hessian(constants.w_star.reshape(problem.shape))
    step = 1e-6 * rng.normal(size=problem.shape)
    w = constants.w_star.reshape(problem.shape)
    change = problem.moments(w + step)[0] - problem.moments(w)[0]
    np.testing.assert_allclose(H @ step.ravel(), change.ravel(), atol=1e-11)


def every_path(problem, start, rates, m, sampling):
    """d_k for k = 1.. and E|G_k|^2, over all draws that a run can make."""
    points, d, squares = [start], [], []
    w_star = problem.minimum()
    batches = minibatches(len(problem.X), m, sampling)
    for rate in rates:
        d.append(np.mean([((w - w_star) ** 2).sum() for w in points]))
        G = [[step_gradient(problem, w, rows, problem.alpha) for rows in batches] for w in points]
        squares.append(np.mean([(g**2).sum() for of_w in G for g in of_w]))
        points = [w - rate * g for w, of_w in zip(points, G, strict=True) for g in of_w]
    return np.array(d), np.array(squares)


@pytest.mark.parametrize("m, sampling", [(1, "subset"), (2, "subset"), (2, "with_replacement")])
def test_the_second_moments_are_those_of_all_paths(m, sampling):
    steps = 3 if sampling == "subset" else 2
    problem = make_problem(*small("squared_error", 4, outputs=2), "squared_error", 0.5, True, None)
    start, rates = np.ones(problem.shape), 0.4 / np.arange(1, steps + 1)
    d, squares = every_path(problem, start, rates, m, sampling)
    w_star = problem.minimum()
    recursion = SecondMoments(problem, w_star, draw_factor(4, m, sampling))
    e = start - w_star
    S, mu = e @ e.T, e
    for k in range(steps):
        assert np.trace(S) == pytest.approx(d[k], rel=1e-11)
        square, S, mu = recursion.step(S, mu, rates[k])
        assert square == pytest.approx(squares[k], rel=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("m", [1, 2])
def test_the_constant_bounds_the_expected_squares_over_all_paths(loss, m):
    X, y = small(loss, n=4)
    arguments = {"loss": loss, "alpha": 0.5, "batch_size": m, "n_steps": 4, "w_1": None}
    constants = convergence.estimate_constants(X, y, **arguments)
    problem = make_problem(X, y, loss, 0.5, True, None)
    rates = 1 / (2 * constants.ell * np.arange(1, 5))
    d, squares = every_path(
        problem, np.zeros(problem.shape), rates[: 4 if m == 1 else 3], m, "subset"
    )
    assert squares.max() <= constants.M**2
    if loss == "squared_error" and m == 1:
        assert constants.M**2 == pytest.approx(squares.max(), rel=1e-6)
    k = np.arange(2, len(d) + 1)
    assert (d[1:] <= convergence.bound(k, constants.M, constants.ell)).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: convergence.bound(1, 1.0, 1.0),
        lambda: convergence.bound(2.5, 1.0, 1.0),
        lambda: convergence.bound(float("nan"), 1.0, 1.0),
        lambda: convergence.bound(2, -1.0, 1.0),
        lambda: convergence.bound(2, 1.0, 0.0),
    ],
)
def test_bad_arguments_of_the_bound(make):
    with pytest.raises(ValueError, match=r"^(n|M|ell): "):
        make()


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("X", {"X": [[1.0], [np.nan]]}),
        ("X", {"X": [1.0, 2.0]}),
        ("X", {"X": [["a"], ["b"]]}),
        ("y", {"y": [1.0, 2.0, 3.0]}),
        ("y", {"y": [0.5, 2.0], "loss": "binary_cross_entropy"}),
        ("y", {"y": [0.5, 1.0], "loss": "cross_entropy"}),
        ("y", {"y": [0, 0], "loss": "cross_entropy"}),
        ("loss", {"loss": "poisson"}),
        ("loss", {"loss": fastrelu.losses.BinaryCrossEntropy(pos_weight=2.0)}),
        ("alpha", {"alpha": -1.0}),
        ("alpha", {"alpha": 0.0, "loss": "binary_cross_entropy"}),
        ("alpha", {"alpha": 0.0, "X": [[1.0], [1.0]]}),
        ("batch_size", {"batch_size": 0}),
        ("n_steps", {"n_steps": 0}),
        ("w_1", {"w_1": [1.0]}),
        ("w_1", {"w_1": [1.0, np.inf]}),
        ("sampling", {"sampling": "all"}),
        ("ell", {"ell": 0.0}),
        ("learning_rate", {"learning_rate": lambda k: -1.0}),
        ("features", {"features": fastrelu.Network([1, 1])}),
        ("features", {"features": "net"}),
        ("replicates", {"replicates": 1}),
        ("confidence", {"confidence": 1.0}),
        ("k", {"k": [1, 2]}),
        ("k", {"k": [3, 12]}),
        ("k", {"k": 3}),
        ("M", {"M": 0.0}),
        ("seed", {"seed": -1}),
    ],
)
def test_bad_arguments_are_named(name, arguments):
    given = {"X": [[0.0], [1.0]], "y": [0, 1], "alpha": 0.5, "n_steps": 10, **arguments}
    studied_only = {"replicates", "confidence", "k", "M", "seed"}
    with pytest.raises((TypeError, ValueError), match=f"^{name}\\b"):
        convergence.study(**given)
    if not studied_only & set(arguments):
        with pytest.raises((TypeError, ValueError), match=f"^{name}\\b"):
            convergence.estimate_constants(**given)


def test_gradient_noise_is_as_the_theory_says():
    X, y = small("squared_error", n=50)
    for sampling in ("subset", "with_replacement"):
        noise = convergence.gradient_noise(X, y, alpha=0.1, sampling=sampling, draws=4000)
        assert list(noise.batch_size) == [1, 2, 4, 8, 16, 32, 50]
        tiny = 1e-20
        assert (noise.low <= noise.theory + tiny).all() and (
            noise.theory <= noise.high + tiny
        ).all()
        assert (noise.measured[-1] < tiny) == (sampling == "subset")
    at = convergence.gradient_noise(X, y, alpha=0.1, w=[3.0, 3.0, 3.0], batch_sizes=[1])
    assert at.theory[0] > 2 * noise.theory[0]
    for arguments in ({"batch_sizes": [51]}, {"draws": 1}, {"sampling": "shuffle"}, {"w": [1.0]}):
        with pytest.raises(ValueError, match=f"^{next(iter(arguments))}"):
            convergence.gradient_noise(X, y, alpha=0.1, **arguments)


@pytest.mark.parametrize("seed", range(20))
def test_the_recursion_bounds_every_step_of_the_cross_entropies(seed):
    rng = np.random.default_rng(seed)
    loss = LOSSES[1 + seed % 2]
    X, y = small(loss, n=3, seed=seed)
    alpha = float(rng.choice([0.05, 0.5, 3.0]))
    problem = make_problem(X * rng.choice([0.1, 1.0, 4.0]), y, loss, alpha, True, None)
    start = rng.normal(size=problem.shape) * rng.choice([0.0, 1.0, 10.0])
    rates = rng.choice([0.2, 0.5, 1.0]) / (alpha * np.arange(1, 6))
    _, squares = every_path(problem, start, rates, 1, "subset")
    w_star = problem.minimum()
    bounds = [growth(problem, start, w_star, rates[:k], 1.0, alpha) for k in range(1, 6)]
    assert (np.maximum.accumulate(squares) <= np.multiply(bounds, 1 + 1e-12)).all()
    assert squares[0] == pytest.approx(bounds[0], rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("m", [1, 3])
def test_the_slope_of_the_gradients_noise(loss, m):
    problem = make_problem(*small(loss), loss, 0.3, True, None)
    c = draw_factor(len(problem.X), m, "subset")
    w_star = problem.minimum()
    noise, q = noise_and_slope(problem, w_star, c)
    batches = minibatches(len(problem.X), m, "subset")
    at_minimum = [step_gradient(problem, w_star, rows, 0.3) for rows in batches]
    assert np.mean([(g**2).sum() for g in at_minimum]) == pytest.approx(noise, rel=1e-9)
    ratios = []
    for e in np.random.default_rng(0).normal(size=(200, *problem.shape)):
        moved = [step_gradient(problem, w_star + e, rows, 0.3) for rows in batches]
        squares = [((a - b) ** 2).sum() for a, b in zip(moved, at_minimum, strict=True)]
        ratios.append(np.mean(squares) / (e * e).sum())
    assert max(ratios) <= q * (1 + 1e-12)
    if loss == "squared_error":
        assert max(ratios) > 0.9 * q


def test_the_recursion_is_exact_for_one_row_and_one_weight():
    problem = make_problem([[2.0]], [3.0], "squared_error", 0.5, False, None)
    w_star, h = problem.minimum(), 4.5  # f'' = 2^2 + 0.5
    assert w_star[0, 0] == pytest.approx(6 / 4.5)
    rates = [0.1, 0.05, 0.2]
    _, squares = every_path(problem, np.zeros((1, 1)), rates, 1, "subset")
    found = _bounds(float(w_star[0, 0] ** 2), rates, h, *noise_and_slope(problem, w_star, 0.0))
    np.testing.assert_allclose(found, squares, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES[1:])
@pytest.mark.parametrize("m, rate", [(1, 0.01), (1, 2.0), (3, 0.01), (3, 2.0), (3, 20.0)])
def test_the_ball_holds_a_step_from_anywhere(loss, m, rate):
    X, y = small(loss)
    if loss == "binary_cross_entropy":
        y = (X[:, :1] > 0).astype(float)
    problem = make_problem(X, y, loss, 0.1, False, None)
    ball = _Ball(problem, draw_factor(len(X), m, "subset"))
    batches = minibatches(len(X), m, "subset")
    points = np.random.default_rng(0).normal(size=(30, *problem.shape))
    if loss == "binary_cross_entropy":
        points[0] = [[1.0], [0.0]]  # where all rows are right, and the ball nearly reached
    for w in points:
        for size in (0.3, 1.0, 3.0, 30.0):
            ball.square = (size * size) * (w * w).sum()
            G = [step_gradient(problem, size * w, rows, 0.1) for rows in batches]
            assert np.mean([(g**2).sum() for g in G]) <= ball.gradient() * (1 + 1e-12)
            ball.step(rate)
            after = np.mean([((size * w - rate * g) ** 2).sum() for g in G])
            assert after <= ball.square * (1 + 1e-12)


def test_the_curvature_of_the_ball_the_iterates_stay_in():
    X, y = np.array([[1.0], [-1.0], [0.5]]), [1.0, 0.0, 1.0]
    arguments = {"loss": "binary_cross_entropy", "alpha": 1.0, "bias": False}
    constants = convergence.estimate_constants(X, y, **arguments)
    problem = make_problem(X, y, "binary_cross_entropy", 1.0, False, None)
    ball = np.linspace(-1, 1, 101)  # |w| <= max |x| / alpha
    least = min(problem.hessian(np.array([[w]]))[0, 0] for w in ball)
    assert 1.1 < constants.ell <= least * (1 + 1e-12)
    points = [np.array([[1.0]])]
    for k in range(1, 6):
        rate = 1 / (2 * constants.ell * k)
        points = [w - rate * step_gradient(problem, w, [i], 1.0) for w in points for i in range(3)]
        assert max(abs(w).max() for w in points) <= 1.0
    # From further out, or with longer steps, less is known.
    assert convergence.estimate_constants(X, y, **arguments, w_1=[9.0]).ell < constants.ell
    assert convergence.estimate_constants(X, y, **arguments, ell=0.4).ell_proven == 1.0
    assert convergence.estimate_constants(X, y, **arguments).w_star.shape == (1,)

# SPDX-License-Identifier: BSD-3-Clause
import hashlib
from itertools import product

import numpy as np
import pytest

import fastrelu


def random_net(rng, sizes, activation="relu", dtype="float64", **options):
    net = fastrelu.Network(sizes, activation=activation, dtype=dtype, **options)
    net.parameters[:] = rng.normal(size=net.n_parameters)
    return net


def negative_slope(net, activation):
    return {"relu": 0.0, "leaky_relu": float(net.dtype.type(0.01)), "identity": 1.0}[activation]


def knots_by_patterns(net, x0, x1):
    """Breakpoints on the segment by trying every pattern of active units.

    Under a pattern each pre-activation is a + b t, and the t that give rise to the pattern are an
    interval; where it is not empty its ends are breakpoints.
    """
    widths = net.layer_sizes[1:-1]
    ends = set()
    for pattern in product([True, False], repeat=sum(widths)):
        a, b, low, high, at = x0, x1 - x0, 0.0, 1.0, 0
        for k, width in enumerate(widths):
            active = np.array(pattern[at : at + width])
            at += width
            a, b = a @ net.weights[k] + net.biases[k], b @ net.weights[k]
            moving = b != 0
            if (active != (a > 0))[~moving].any():
                low = high
                break
            root = -a[moving] / b[moving]
            rising = (active == (b > 0))[moving]
            low = max([low, *root[rising]])
            high = min([high, *root[~rising]])
            factor = np.where(active, 1.0, negative_slope(net, net.activations[k]))
            a, b = a * factor, b * factor
        if high - low > 1e-12:
            ends |= {round(low, 10), round(high, 10)}
    return sorted(ends)


@pytest.mark.parametrize("sizes", [[3, 8, 2], [2, 4, 4, 1], [2, 3, 3, 3, 2]])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_along_has_the_breakpoints_of_all_patterns(sizes, activation, rng):
    for _ in range(4):
        net = random_net(rng, sizes, activation)
        x0, x1 = rng.normal(size=(2, sizes[0])) * 3
        f = net.along(x0, x1)
        assert np.allclose(f.knots, knots_by_patterns(net, x0, x1), atol=1e-9)


@pytest.mark.parametrize(
    "sizes, activation",
    [
        ([4, 3], []),
        ([1, 50, 1], "relu"),
        ([5, 30, 20, 10, 3], "relu"),
        ([5, 30, 20, 3], ["leaky_relu", "relu"]),
        ([5, 16, 16, 16, 16, 16, 16, 2], "relu"),
        ([3, 6, 5, 2], ["identity", "relu"]),
    ],
)
def test_along_equals_dense_evaluation(sizes, activation, rng):
    net = random_net(rng, sizes, activation, scale=0.5)
    x0, x1 = rng.normal(size=(2, sizes[0])) * 4
    f = net.along(x0, x1)
    assert f.knots[0] == 0 and f.knots[-1] == 1 and f.values.shape == (len(f.knots), sizes[-1])
    t = np.r_[np.linspace(0, 1, 100_000), f.knots]
    want = net(x0 + t[:, None] * (x1 - x0))
    assert np.abs(f(t) - want).max() <= 1e-12 * np.abs(want).max()
    # Fewer knots would not do: every kink that the outputs feel is one of them.
    bends = np.abs(np.diff(want, n=2, axis=0)[: 100_000 - 2]).max(axis=1)
    seen = t[1:99_999][bends > 1e-9 * np.abs(want).max()]
    assert all(np.abs(f.knots - s).min() < 2e-5 for s in seen)


def test_along_without_biases_in_float32_and_a_point(rng):
    net = random_net(rng, [4, 20, 20, 1], dtype="float32", bias=False)
    x0, x1 = rng.normal(size=(2, 4)).astype("float32")
    f = net.along(x0, x1)
    t = np.linspace(0, 1, 500)
    want = net(x0 + t[:, None] * (x1 - x0))
    assert np.allclose(f(t), want, atol=1e-4 * np.abs(want).max())
    point = net.along(x0, x0)
    assert point.knots.tolist() == [0, 1] and np.allclose(point(0.5), net(x0), rtol=1e-4)


def hinge_units(biases, weights=None, dtype="float64", activation="relu"):
    """A network of one input: the sum of activation(w x + b)."""
    n = len(biases)
    net = fastrelu.Network([1, n, 1], dtype=dtype, activation=activation)
    net.weights[0][0] = np.ones(n) if weights is None else weights
    net.biases[0][:] = biases
    net.weights[1][:, 0] = 1
    net.biases[1][:] = 0
    return net


def test_along_where_units_switch_together():
    f = hinge_units([-0.25, -0.25, 0.5], [1, 1, -2]).along([0], [1])
    assert f.knots.tolist() == [0, 0.25, 1] and f.values[:, 0].tolist() == [0.5, 0, 1.5]


def test_along_where_a_crossing_rounds_to_an_end():
    assert hinge_units([0]).along([-1], [1e-20]).knots.tolist() == [0, 1]
    assert hinge_units([0], [-1]).along([1], [-1e-20]).knots.tolist() == [0, 1]
    # Or to a knot between: 1/2 from the first unit, beside it the second's.
    f = hinge_units([0, -1e-18]).along([-1], [1])
    assert f.knots.tolist() == [0, 0.5, 1] and f.values[:, 0].tolist() == [0, 0, 2]


def test_along_has_the_leaky_slope_of_the_dtype(dtype):
    f = hinge_units([0], dtype=dtype, activation="leaky_relu").along([-1], [1])
    assert f.values[:, 0].tolist() == [-float(np.dtype(dtype).type(0.01)), 0, 1]


def test_along_has_the_same_bits_everywhere():
    net = fastrelu.Network([6, 20, 20, 2], seed=3, dtype="float64")
    f = net.along(np.linspace(-1, 1, 6), np.linspace(2, -3, 6))
    digest = hashlib.sha256(f.knots.tobytes() + f.values.tobytes()).hexdigest()
    assert digest.startswith("95014d16e5089f35")


def test_along_gives_the_function_of_a_hinge_network_back(rng):
    f = fastrelu.PiecewiseLinear([2, 3, 5, 6], [0, 1, 1, 0], right_slope=2)
    back = f.to_network().along([0], [8])
    assert back.knots.tolist() == [0, 0.25, 0.375, 0.625, 0.75, 1]
    assert back.values[:, 0].tolist() == [0, 0, 1, 1, 0, 4]
    assert len(back.simplify().knots) == 4


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", ["identity", "relu", "leaky_relu"]])
def test_local_affine(dtype, activation, rng):
    net = random_net(rng, [4, 9, 8, 7, 3], activation, dtype, scale=0.25)
    X = rng.normal(size=(50, 4)).astype(dtype)
    local = net.local_affine(X)
    A, c = local
    assert A.shape == (50, 3, 4) and c.shape == (50, 3) and local.pattern.shape == (50, 24)
    size, eps = np.abs(net(X)).max(), float(np.finfo(dtype).eps)
    assert np.abs(np.einsum("noi,ni->no", A, X) + c - net(X)).max() < 1e3 * eps * size
    assert np.abs(A - net.jacobian(X)).max() < 1e3 * eps * np.abs(A).max()
    # The same map a little further on, where the pattern is the same.
    near = X + (0.2 * rng.normal(size=X.shape)).astype(dtype)
    same = (net.local_affine(near).pattern == local.pattern).all(axis=1)
    assert 0 < same.sum() < 50
    gap = np.abs(np.einsum("noi,ni->no", A, near) + c - net(near)).max(axis=1)
    assert gap[same].max() < 1e3 * eps * size
    one = net.local_affine(X[7])
    assert np.allclose(one.A, A[7]) and np.allclose(one.c, c[7])
    assert (one.pattern == local.pattern[7]).all()


def test_pattern_is_that_of_the_numbers_computed(dtype, rng):
    net = random_net(rng, [3, 5, 6, 1], dtype=dtype)
    X = rng.normal(size=(40, 3)).astype(dtype)
    h, active = X, []
    for k in range(2):
        h = fastrelu.linear_relu(h, net.weights[k], net.biases[k])
        active.append(h > 0)
    assert (net.local_affine(X).pattern == np.concatenate(active, axis=1)).all()


def test_pattern_where_a_pre_activation_overflows():
    net = fastrelu.Network([1, 2, 2, 1])
    net.weights[0][:] = [[-3e38, 1]]
    net.weights[1][:] = net.weights[2][:] = 1
    x = np.array([1e3])
    local = net.local_affine(x)
    assert net(x) == 2000 and local.A == net.jacobian(x) == 2
    assert local.pattern.tolist() == [False, True, True, True]


def test_along_has_no_kinks_where_units_cancel(rng):
    m = 20
    W, b = rng.normal(size=(2, m)), rng.normal(size=m)
    plain = fastrelu.Network([2, m, 1], dtype="float64")
    plain.weights[0][:], plain.biases[0][:] = W, b
    net = fastrelu.Network([2, 3 * m, m, 1], dtype="float64")
    net.weights[0][:], net.biases[0][:] = np.repeat(W, 3, axis=1), np.repeat(b, 3)
    for j in range(m):
        factors = [np.array([3, -1, -2]) * rng.integers(1, 8) for _ in range(m)]
        net.weights[1][:, j] = np.ravel(factors)
    net.weights[2][:] = 1
    ends = [-2, -2], [2, 1.9]
    assert (net.along(*ends).knots == plain.along(*ends).knots).all()


def test_bad_input_is_named(rng):
    net = random_net(rng, [2, 3, 1])
    with pytest.raises(ValueError, match="got activation 'tanh'"):
        fastrelu.Network([2, 3, 1], activation="tanh").along([0, 0], [1, 1])
    with pytest.raises(ValueError, match="got activation 'logistic'"):
        fastrelu.Network([2, 3, 1], activation="logistic").local_affine([0, 0])
    with pytest.raises(ValueError, match="X: expected shape"):
        net.local_affine([[1, 2, 3]])
    with pytest.raises(ValueError, match="x1: expected shape"):
        net.along([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="x0: expected shape"):
        net.along([[1, 2]], [1, 2])
    with pytest.raises(ValueError, match="x0: expected finite"):
        net.along([1, np.inf], [1, 2])

# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C in long calls beside passes over rows, which tests/test_reliability.py has."""

import signal
import time

import numpy as np
import pytest

import fastrelu
from fastrelu import PiecewiseLinear
from fastrelu.random import permutation

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")


class InterruptError(Exception):
    pass


def points(n):
    draw = np.random.default_rng(0)
    return draw.normal(size=n), draw.normal(size=n)


def wide():
    net, X = fastrelu.Network([200, 700, 700, 2]), np.ones((2000, 200))
    return lambda: net.local_affine(X)


def function():
    f, x = PiecewiseLinear(*(np.sort(a) for a in points(200_000))), points(10**7)[0]
    return lambda: f(x)


def knots():
    x, y = points(3 * 10**6)
    return lambda: PiecewiseLinear.fit(x, y, knots=[0.0])


def hinges():
    x, y = points(3 * 10**6)
    return lambda: PiecewiseLinear.fit(x, y, n_hinges=1)


@pytest.mark.parametrize(
    "made",
    [
        lambda: lambda: fastrelu.Network([50, 8000, 8000, 5]),
        lambda: lambda: permutation(0, 2, 0, 0, 2 * 10**7),
        wide,
        function,
        knots,
        hinges,
    ],
    ids=["network", "permutation", "local_affine", "function", "knots", "hinges"],
)
def test_a_signal_stops_long_calls(made):
    """The handler raises in the middle; the work would go on for a second or more."""
    work = made()

    def handle(*_):
        raise InterruptError

    before = signal.signal(signal.SIGPROF, handle)
    try:
        # Of the process's own time, all threads together: a busy machine makes no difference.
        begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 0.1)
        with pytest.raises(InterruptError):
            work()
        taken = time.process_time() - begun
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert taken < 0.1 + 0.3 * 2


def test_blocks_of_points_and_rows_have_the_same_values(monkeypatch):
    from fastrelu.exact import piecewise, segment

    f, net = PiecewiseLinear([0, 1, 3], [[0, 1], [2, 1], [1, 5]]), fastrelu.Network([3, 5, 4, 2])
    x, X = points(60)[0].reshape(3, 4, 5), points(60)[0].reshape(20, 3)
    whole, (A, c), pattern = f(x), net.local_affine(X), net.local_affine(X).pattern
    monkeypatch.setattr(piecewise, "BLOCK", 7)
    monkeypatch.setattr(segment, "BLOCK", 3 * 5 * 7)
    assert (f(x) == whole).all() and f(x).shape == (3, 4, 5, 2)
    assert f(0.5).shape == (2,) and f(np.zeros((0, 3))).shape == (0, 3, 2)
    again = net.local_affine(X)
    assert (again.pattern == pattern).all()
    np.testing.assert_allclose(again.A, A, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(again.c, c, rtol=1e-12, atol=1e-14)
    assert net.local_affine(X[:0]).A.shape == (0, 2, 3)


def test_a_permutation_in_parts_is_that_of_the_definition():
    """Fisher and Yates's, beyond the length after which signals are looked for."""
    from fastrelu.reference.random import order

    n = 70_000
    assert (permutation(3, 2, 1, 4, n) == order(3, 2, 1, 4, n)).all()

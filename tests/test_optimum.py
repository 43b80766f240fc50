# SPDX-License-Identifier: BSD-3-Clause
"""The certified optimum over a box, and properties that hold in it."""

import os
import signal
import threading
import time
from fractions import Fraction
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from rational_regions import rational_regions

import fastrelu

DTYPES = ("float32", "float64")


def network(sizes: list[int], dtype: str = "float64", seed: int = 0, **more: Any) -> Any:
    net = fastrelu.Network(sizes, dtype=dtype, seed=seed, **more)
    rng = np.random.default_rng(seed)
    for b in net.biases:
        b[:] = rng.normal(size=b.shape) * 0.3
    return net


def sought(net: Any, box: Any, weight: Any, n: int, seed: int = 0) -> Any:
    """Points of the box, its faces and corners, and some sought along the gradient's signs."""
    rng = np.random.default_rng(seed)
    low, high = box[:, 0], box[:, 1]
    X = rng.uniform(low, high, (n, len(low)))
    X[: n // 3] = np.where(rng.random((n // 3, len(low))) < 0.5, low, high)
    mixed = slice(n // 3, 2 * (n // 3))
    X[mixed] = np.where(rng.random(X[mixed].shape) < 0.5, X[mixed], low)
    X = np.clip(X, low, high)
    Y = X[: n // 10]
    for step in range(8):
        slope = np.einsum("noi,o->ni", net.jacobian(Y), weight)
        Y = np.clip(Y + np.sign(slope) * (high - low) * 0.5 ** (step // 2), low, high)
    return np.concatenate([X, Y])


def assert_result(net: Any, box: Any, best: Any, sign: int, output: int = 0) -> None:
    assert (best.x >= box[:, 0]).all() and (best.x <= box[:, 1]).all()
    value = float(net(best.x)[output])
    assert best.value == value and np.signbit(best.value) == np.signbit(value)
    assert sign * (best.bound - best.value) >= 0 and best.gap == abs(best.bound - best.value)
    assert best.n_boxes >= 1 and best.seconds > 0


def rational_optimum(net: Any, box: Any) -> Fraction:
    best = None
    for region in rational_regions(net, box):
        for corner in region.corners:
            value = region.at(0, corner)
            best = value if best is None else max(best, value)
    assert best is not None
    return best


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("d_in", [1, 2])
def test_the_best_corner_of_all_regions(d_in: int, activation: str) -> None:
    for seed in range(12):
        net = network([d_in, 5, 4, 1], seed=seed, activation=activation, scale=[1, -0.5][seed % 2])
        box = np.array([[-1.0, 2.0], [-2.0, 1.0]])[:d_in]
        best = net.maximize(box, gap=1e-9)
        exact = float(rational_optimum(net, box))
        assert best.status == "optimal"
        assert_result(net, box, best, 1)
        # Computed numbers are some roundings away from exact ones.
        assert abs(best.value - exact) <= 1e-8 * abs(exact) + 1e-12
        assert best.bound >= exact - 1e-13 * (1 + abs(exact))


def test_along_a_segment() -> None:
    for seed in range(10):
        net = network([1, 20, 20, 2], seed=seed)
        path = net.along([-3.0], [2.0])
        for output in (0, 1):
            values = path.values[:, output]
            for best, wanted in (
                (net.maximize([(-3, 2)], output, gap=1e-8), values.max()),
                (net.minimize([(-3, 2)], output, gap=1e-8), values.min()),
            ):
                assert best.status == "optimal"
                assert best.value == pytest.approx(wanted, rel=2e-8, abs=1e-8)


def test_as_the_mixed_integer_program_says() -> None:
    pytest.importorskip("highspy")
    for seed in range(8):
        net = network([4, 10, 8, 2], seed=seed, activation=["relu", "leaky_relu"][seed % 2])
        box = np.array([(-1.0, 1.0)] * 4)
        for sense, search, sign in (("max", net.maximize, 1), ("min", net.minimize, -1)):
            highs = net.to_program(box, seed % 2, sense)
            highs.run()
            wanted = highs.getInfo().objective_function_value
            best = search(box, seed % 2)
            assert best.status == "optimal"
            assert_result(net, box, best, sign, seed % 2)
            assert abs(best.value - wanted) <= 2e-4 * abs(wanted) + 1e-6
            assert sign * (best.bound - wanted) >= -1e-6 * (1 + abs(wanted))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_point_is_beyond_the_bound(dtype: str) -> None:
    for seed, sizes in enumerate(([3, 24, 24, 1], [5, 16, 16, 1], [4, 32, 1], [2, 8, 8, 8, 1])):
        net = network(sizes, dtype, seed)
        box = np.array([(-0.8, 0.6)] * sizes[0])
        X = sought(net, box, np.ones(1), 100_000, seed)
        out = net(X)
        assert out.max() <= net.maximize(box).bound
        X = sought(net, box, -np.ones(1), 30_000, seed)
        assert min(out.min(), net(X).min()) >= net.minimize(box).bound


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    dtype=st.sampled_from(DTYPES),
    bias=st.booleans(),
    activation=st.sampled_from(["relu", "leaky_relu", "identity"]),
    scale=st.sampled_from([1.0, 1 / 255, -3.0]),
    radius=st.sampled_from([0.0, 1e-8, 0.01, 1.0, 30.0]),
    size=st.sampled_from([1e-30, 1e-3, 1.0, 1e3]),
    dead=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_network(
    sizes: list[int],
    dtype: str,
    bias: bool,
    activation: str,
    scale: float,
    radius: float,
    size: float,
    dead: bool,
    seed: int,
) -> None:
    net = network(sizes, dtype, seed, bias=bias, activation=activation, scale=scale)
    net.parameters[:] *= net.dtype.type(size)
    if dead:
        for W in net.weights[:-1]:
            W[:, :1] = 0
    middle = np.random.default_rng(seed).normal(size=sizes[0])
    box = np.stack([middle - radius, middle + radius], axis=1)
    if seed % 3 == 0:
        box[0, 1] = box[0, 0]
    X = sought(net, box, np.eye(sizes[-1])[0], 300, seed)
    best, least = net.maximize(box, time_limit=1), net.minimize(box, time_limit=1)
    low, high = net.output_bounds(box[:, 0], box[:, 1])
    for found in (best, least):
        # Where the optimum is 0 on a whole cone, as without biases, its faces take many boxes, and
        # how near the search comes is the machine's affair; what it says holds all the same.
        close = not bias or found.gap <= 1e-3 * (high[0] - low[0])
        late = found.status == "time limit" and close
        assert late or found.status in ("optimal", "roundings")
    assert_result(net, box, best, 1)
    assert_result(net, box, least, -1)
    out = net(X)[:, 0]
    assert out.max() <= best.bound and out.min() >= least.bound
    if best.status == "optimal":
        assert best.gap <= 1e-4 * max(abs(best.value), 0.0101 * (high[0] - low[0]))
    assert low[0] <= least.bound and best.bound <= high[0]


def test_a_box_of_one_point() -> None:
    for dtype in DTYPES:
        net = network([3, 9, 9, 2], dtype, scale=1.7)
        x = np.array([0.1, -0.7, 3.0])
        for best in (net.maximize(np.stack([x, x], 1), 1), net.minimize(np.stack([x, x], 1), 1)):
            assert best.value == best.bound == net(x)[1] and best.gap == 0
            assert (best.x == x).all() and best.n_boxes == 1 and best.status == "optimal"


def test_roundings_alone_are_left_in_float32() -> None:
    net = network([2, 8, 8, 1], "float32")
    box = np.array([(-1.0, 1.0)] * 2)
    best = net.maximize(box, gap=0)
    assert best.status == "roundings"
    assert 0 < best.gap < 1e-5 * abs(best.value)
    assert net(sought(net, box, np.ones(1), 100_000)).max() <= best.bound


def test_roundings_carry_no_point_beyond_the_bound() -> None:
    # In boxes of a few float32 numbers the outputs differ by their roundings more than by inputs.
    net = network([3, 40, 40, 1], "float32")
    rng = np.random.default_rng(5)
    for x in rng.normal(size=(25, 3)).astype(np.float32):
        low, high = x - np.float32(2e-6), x + np.float32(2e-6)
        box = np.stack([low, high], axis=1).astype(float)
        out = net(rng.uniform(low, high, (4000, 3)).astype(np.float32))
        assert out.max() <= net.maximize(box, time_limit=1, gap=0).bound
        assert out.min() >= net.minimize(box, time_limit=1, gap=0).bound


def test_neighbouring_numbers_end_the_search() -> None:
    net = network([2, 6, 6, 1])
    x = np.array([0.3, 0.4])
    box = np.stack([x, np.nextafter(x, 1)], axis=1)
    best = net.maximize(box, gap=0, time_limit=20)
    corners = np.array([[a, b] for a in box[0] for b in box[1]])
    assert best.bound >= net(corners).max() >= best.value
    assert best.status in ("optimal", "roundings")


def test_the_same_bits_for_any_number_of_threads() -> None:
    net = network([4, 24, 24, 1], "float32", 3)
    found = []
    for threads in (1, 2, 5):
        before = fastrelu.set_thread_limit(threads)
        try:
            best = net.maximize([(-1, 1)] * 4)
        finally:
            fastrelu.set_thread_limit(before)
        found.append((best.x.tobytes(), best.value, best.bound, best.n_boxes))
    assert found[0] == found[1] == found[2]


def test_properties() -> None:
    net = network([3, 16, 16, 3], "float32", 1)
    box = np.array([(-0.5, 0.5)] * 3)
    X = sought(net, box, np.eye(3)[0] - np.eye(3)[1], 60_000)
    out = net(X).astype(float)
    C = np.array([[1.0, -1.0, 0.0], [0.5, 0.25, -2.0]])
    top = (out @ C.T).max(axis=0)
    result = net.verify(box, (C, top + 0.05 * np.abs(top)))
    assert result and result.status == "holds" and result.x is None and result.outputs is None
    assert (result.bounds >= top).all()
    low, high = net.output_bounds(box[:, 0], box[:, 1])
    apart = np.maximum(C, 0) @ high + np.minimum(C, 0) @ low
    assert (result.bounds <= apart).all()
    limits = top + np.array([1.0, -0.05])
    result = net.verify(box, (C, limits))
    assert not result and result.status == "fails"
    assert (result.outputs == net(result.x)).all()
    assert (C @ result.outputs.astype(float) > limits).any()
    assert (result.x >= box[:, 0]).all() and (result.x <= box[:, 1]).all()


def test_a_class_wins() -> None:
    net = network([3, 16, 3], "float64", 2)
    x = np.array([0.4, -0.2, 0.9])
    k = int(net(x).argmax())
    box = np.stack([x - 1e-3, x + 1e-3], axis=1)
    assert net.verify(box, k)
    for other in {0, 1, 2} - {k}:
        result = net.verify(box, other)
        assert result.status == "fails" and result.outputs.argmax() != other
    wide = net.verify(np.stack([x - 9, x + 9], axis=1), k)
    assert wide.status == "fails"
    assert (np.delete(wide.outputs, k) >= wide.outputs[k]).any()


def test_a_tie_is_no_win_but_at_most() -> None:
    net = fastrelu.Network([1, 2], dtype="float64")
    net.weights[0][:] = 1
    assert net.verify([(0, 1)], 0).status == "fails"
    # Of a sum what is certain is certain up to roundings.
    assert net.verify([(0, 1)], ([1, -1], 0)).status in ("holds", "unknown")
    assert net.verify([(0, 1)], ([1, -1], 1e-12)).status == "holds"
    assert net.verify([(0, 1)], ([1, 0], 1)).status == "holds"
    result = net.verify([(0, 1)], ([1, 0], np.nextafter(1, 0)))
    assert result.status == "fails" and result.x == [1]


def test_a_time_limit_leaves_what_holds() -> None:
    net = network([12, 64, 64, 1], seed=1)
    box = np.array([(-1.0, 1.0)] * 12)
    start = time.perf_counter()
    best = net.maximize(box, time_limit=0.3)
    assert time.perf_counter() - start < 3
    assert best.status == "time limit" and best.bound > best.value
    assert_result(net, box, best, 1)
    assert net(sought(net, box, np.ones(1), 20_000)).max() <= best.bound
    assert net.verify(box, ([1], best.value), 0.2).status in ("unknown", "fails")
    assert net.verify(box, ([1], best.bound * 1.1), 60).status == "holds"  # as soon as it is known


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_the_search() -> None:
    net = network([12, 64, 64, 1], seed=1)
    sent = []

    def interrupt() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.5, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        net.maximize([(-1, 1)] * 12)
    assert time.perf_counter() - sent[0] < 2  # 0.1 s where nothing else runs
    timer.join()


def test_bad_arguments() -> None:
    net = network([2, 3, 2])
    for search in (net.maximize, net.minimize, lambda box, *more: net.verify(box, ([1, 0], 1))):
        with pytest.raises(ValueError, match=r"bounds: expected shape \(2, 2\), got \(2,\)"):
            search([0, 1])
        with pytest.raises(ValueError, match=r"bounds: expected shape \(2, 2\), got \(0,\)"):
            search([])
        with pytest.raises(ValueError, match=r"bounds\[1\]: expected low <= high, got \(1, 0\)"):
            search([(0, 1), (1, 0)])
        with pytest.raises(ValueError, match="bounds: expected finite"):
            search([(0, np.inf), (1, 2)])
    with pytest.raises(ValueError, match=r"output: expected a whole number 0\.\.1, got 2"):
        net.maximize([(0, 1)] * 2, 2)
    with pytest.raises(ValueError, match=r"time_limit: expected a finite number > 0, got 0"):
        net.maximize([(0, 1)] * 2, 0, 0)
    with pytest.raises(ValueError, match=r"gap: expected a finite number >= 0, got -1"):
        net.maximize([(0, 1)] * 2, gap=-1)
    with pytest.raises(ValueError, match="piecewise linear"):
        network([2, 3, 1], activation="tanh").maximize([(0, 1)] * 2)
    with pytest.raises(ValueError, match="layer 0 may overflow"):
        network([2, 3, 1], "float32").maximize([(0, 1e39)] * 2)
    for bad, message in (
        (2, r"property: expected a whole number 0\.\.1, got 2"),
        (([1, 0],), r"property: expected a class or \(c, d\), got 1"),
        (([1, 0, 0], 1), r"property: c: expected shape \(2,\) or \(n, 2\), got \(3,\)"),
        (([[1, 0]], [1, 2]), r"property: d: expected shape \(1,\) or \(\), got \(2,\)"),
        (([1, np.nan], 1), "property: c: expected finite"),
    ):
        with pytest.raises(ValueError, match=message):
            net.verify([(0, 1)] * 2, bad)
    with pytest.raises(ValueError, match="single output"):
        network([2, 3, 1]).verify([(0, 1)] * 2, 0)
    net.weights[1][0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        net.maximize([(0, 1)] * 2)

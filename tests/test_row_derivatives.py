# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of each row's own loss and Jacobians: bits, memory, bad input, signals."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from catalogue_tools import ACTIVATION_NAMES, VARIANTS, outputs_for, targets
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core, reference


def one_by_one(net, X, y, loss="squared_error"):
    n = X.shape[0]
    return np.stack([net.loss_and_gradient(X[r : r + 1], y[r : r + 1], loss)[1].flat
                     for r in range(n)])  # fmt: skip


def row_layout(layout, X):
    """The rows of X as they may lie in memory."""
    n, d = X.shape
    if layout == "every other":
        wide = np.zeros((2 * n, d + 3), X.dtype)
        wide[::2, :d] = X
        return wide[::2, :d]
    if layout == "backwards":
        return X[::-1].copy()[::-1]
    if layout == "by columns":
        return np.asfortranarray(X)
    if layout == "bytes":
        return (40 * np.abs(X)).astype("u1")
    return scipy.sparse.csr_array(X * (np.abs(X) > 0.9)) if layout == "sparse" else X


LAYOUTS = ["plain", "every other", "backwards", "by columns", "bytes", "sparse"]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
    data_dtype=st.sampled_from(["float32", "float64"]),
    variant=st.sampled_from(sorted(VARIANTS)),
    layout=st.sampled_from(LAYOUTS),
    n=st.sampled_from([1, 2, 17, 50]),
    bias=st.booleans(),
    scale=st.sampled_from([1.0, 0.3]),
    activation=st.sampled_from(ACTIVATION_NAMES),
    isa=st.sampled_from(_core.available_isas()),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_networks(
    sizes, dtype, data_dtype, variant, layout, n, bias, scale, activation, isa, threads, seed
):  # fmt: skip
    """Bits of minibatches of one row, and those of the reference."""
    rng, loss = np.random.default_rng(seed), VARIANTS[variant]
    sizes = [*sizes[:-1], outputs_for(loss, sizes[-1])]
    X = row_layout(layout, rng.normal(size=(n, sizes[0])).astype(data_dtype))
    y = targets(rng, loss, n, sizes[-1])
    settings_ = {"dtype": dtype, "bias": bias, "scale": scale, "activation": activation}
    net = fastrelu.Network(sizes, seed=seed, **settings_)
    twin = reference.Network(sizes, seed=seed, **settings_)
    before, threads_before = _core.active_isa(), fastrelu.get_num_threads()
    parameters = net.parameters.tobytes()
    try:
        _core.set_isa(isa)
        fastrelu.set_num_threads(threads)
        found, jacobians = net.per_sample_gradients(X, y, loss), net.jacobian(X)
        alone = one_by_one(net, X, y, loss)
    finally:
        _core.set_isa(before)
        fastrelu.set_num_threads(threads_before)
    assert same_bits(found, alone)
    assert same_bits(jacobians, twin.jacobian(X))
    assert net.parameters.tobytes() == parameters
    if n < 20:
        assert same_bits(found, twin.per_sample_gradients(X, y, loss))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_rows_on_many_threads(dtype, layout, rng):
    """Enough work that threads share it; sparse rows whose columns come and go."""
    net = fastrelu.Network([70, 96, 3], dtype=dtype, seed=1)
    X = row_layout(layout, rng.normal(size=(700, 70)).astype(dtype))
    y = rng.integers(0, 3, size=700)
    alone = one_by_one(net, X, y, "cross_entropy")
    threads = fastrelu.get_num_threads()
    whole = net.jacobian(X)
    try:
        for n in (1, 2, 5):
            fastrelu.set_num_threads(n)
            assert same_bits(net.per_sample_gradients(X, y, "cross_entropy"), alone)
            assert same_bits(net.jacobian(X), whole)
    finally:
        fastrelu.set_num_threads(threads)


def test_the_mean_of_the_rows_is_the_gradient(rng):
    net = fastrelu.Network([6, 20, 4], dtype="float64", seed=3)
    X, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 4))
    mean = net.per_sample_gradients(X, y).mean(axis=0)
    assert np.allclose(mean, net.loss_and_gradient(X, y)[1].flat, rtol=1e-12, atol=1e-14)


def test_sizes_0_and_1(dtype):
    net = fastrelu.Network([1, 1], dtype=dtype, bias=False)
    net.parameters[:] = 3
    assert net.per_sample_gradients([[2.0]], [1.0]).tolist() == [[10.0]]
    assert net.per_sample_gradients([[2.0]], [1.0]).dtype == dtype
    assert net.jacobian([[2.0]]).tolist() == [[[3.0]]] and net.jacobian([2.0]).tolist() == [[3.0]]
    assert net.jacobian(np.zeros((0, 1))).shape == (0, 1, 1)
    assert net.jacobian(np.zeros((0, 1)), out=np.zeros((0, 1, 1), dtype)).shape == (0, 1, 1)
    with pytest.raises(ValueError, match="X: expected at least one row"):
        net.per_sample_gradients(np.zeros((0, 1)), [])


# Memory


def test_out(dtype, rng, tmp_path):
    net = fastrelu.Network([5, 9, 3], dtype=dtype)
    X, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 3))
    P = net.n_parameters
    gradients, jacobians = net.per_sample_gradients(X, y), net.jacobian(X)
    wide = np.full((40, P + 2), 7, dtype)
    for out in (np.empty((20, P), dtype), wide[::2, 1:-1], wide[::-2, 1:-1]):
        assert net.per_sample_gradients(X, y, out=out) is out and same_bits(out, gradients)
    assert (wide[:, [0, -1]] == 7).all()
    wide = np.full((40, 3, 5), 7, dtype)
    for out in (np.empty((20, 3, 5), dtype), wide[1::2], wide[::-2]):
        assert net.jacobian(X, out=out) is out and same_bits(out, jacobians)
    row = np.empty((3, 5), dtype)
    assert net.jacobian(X[4], out=row) is row and same_bits(row, jacobians[4])
    on_disk = np.memmap(tmp_path / "j", dtype, "w+", shape=(20, 3, 5))
    assert net.jacobian(X, out=on_disk) is on_disk and same_bits(on_disk, jacobians)


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "error", "says"),
    [
        ([[0.0]], TypeError, "out: expected a NumPy array, got list"),
        (np.zeros((4, 7)), ValueError, r"out: expected shape \(4, 8\), got \(4, 7\)"),
        (np.zeros((4, 8), "f4"), TypeError, "out: expected aligned native dtype float64"),
        (np.zeros((8, 4)).T, ValueError, "out: .*side by side"),
        (read_only(np.zeros((4, 8))), ValueError, "out: .*writable"),
    ],
)
def test_bad_out_of_gradients(out, error, says):
    net = fastrelu.Network([3, 2], dtype="float64")
    with pytest.raises(error, match=says):
        net.per_sample_gradients(np.ones((4, 3)), np.ones((4, 2)), out=out)


@pytest.mark.parametrize(
    ("out", "error", "says"),
    [
        ([[[0.0]]], TypeError, "out: expected a NumPy array, got list"),
        (np.zeros((4, 6)), ValueError, r"out: expected shape \(n, 2, 3\)"),
        (np.zeros((5, 2, 3)), ValueError, "out: expected shape"),
        (np.zeros((2, 3)), ValueError, "out: expected shape"),
        (np.zeros((4, 2, 3), "f4"), TypeError, "out: expected aligned native dtype float64"),
        (np.zeros((4, 3, 2)).transpose(0, 2, 1), ValueError, "out: .*side by side"),
        (np.zeros((4, 2, 6))[:, :, ::2], ValueError, "out: .*side by side"),
        (read_only(np.zeros((4, 2, 3))), ValueError, "out: .*writable"),
    ],
)
def test_bad_out_of_jacobians(out, error, says):
    net = fastrelu.Network([3, 2], dtype="float64")
    with pytest.raises(error, match=says):
        net.jacobian(np.ones((4, 3)), out=out)


def test_out_overlaps_nothing_that_is_read():
    net = fastrelu.Network([2, 1], dtype="float64", bias=False)
    before = net.parameters.copy()
    both = np.ones((4, 2))
    with pytest.raises(ValueError, match="out: expected no overlap"):
        net.per_sample_gradients(both, np.ones(4), out=both)
    column = np.ones((1, 2))
    with pytest.raises(ValueError, match="out: expected no overlap"):
        net.per_sample_gradients(np.ones((1, 2)), column[0, :1], out=column)
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        net.per_sample_gradients(np.ones((1, 2)), [1.0], out=net.parameters[None])
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        net.jacobian(np.ones((1, 2)), out=net.parameters.reshape(1, 1, 2))
    with pytest.raises(ValueError, match="out: expected no overlap"):
        net.jacobian(both, out=both[:, None, :])
    assert (net.parameters == before).all() and (both == 1).all()


@pytest.mark.parametrize("layout", ["plain", "bytes", "sparse"])
def test_memory_changes_no_bit(dtype, layout, rng):
    net = fastrelu.Network([12, 30, 4], dtype=dtype, activation="silu", seed=2)
    X, y = row_layout(layout, rng.normal(size=(333, 12)).astype(dtype)), rng.normal(size=(333, 4))
    gradients, jacobians = net.per_sample_gradients(X, y), net.jacobian(X)
    for call, result in (
        (lambda **given: net.per_sample_gradients(X, y, **given), gradients),
        (lambda **given: net.jacobian(X, **given), jacobians),
    ):
        with pytest.raises(ValueError, match=r"memory: .*333 rows, got 1;") as caught:
            call(memory=1)
        least = int(str(caught.value).split()[4])
        assert result.nbytes < least < result.nbytes + 200_000
        with pytest.raises(ValueError, match="memory: "):
            call(memory=least - 1)
        out = np.empty_like(result)
        for memory in (least, least + 3000, 2 * least):
            assert same_bits(call(memory=memory), result)
            call(out=out, memory=memory - result.nbytes)
            assert same_bits(out, result)
            out[...] = 0


@pytest.mark.parametrize(
    ("memory", "error"),
    [(0, ValueError), (-5, ValueError), (1e9, TypeError), (True, TypeError), ("1G", TypeError)],
)
def test_bad_memory(memory, error):
    net = fastrelu.Network([2, 1])
    with pytest.raises(error, match="memory: expected a whole number"):
        net.jacobian(np.ones((3, 2)), memory=memory)
    with pytest.raises(error, match="memory: expected a whole number"):
        net.per_sample_gradients(np.ones((3, 2)), np.ones(3), memory=memory)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("what", ["gradients", "sparse gradients", "jacobian", "sparse jacobian"])
def test_memory_is_a_bound(what):
    """What the process has had in memory at most, with `out` in place before."""
    # Memory that is given back is then not kept for later.
    settings_ = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run([sys.executable, "-c", f"""
import re, numpy as np, scipy.sparse, fastrelu
fastrelu.set_num_threads(4)
net = fastrelu.Network([300, 1500, 700, 20])
gradients = "gradients" in {what!r}
n = 6 if gradients else 3000
X, y = np.ones((n, 300), "f4"), np.ones((n, 20), "f4")
if "sparse" in {what!r}:
    X = scipy.sparse.csr_array(X)
    X.has_canonical_format
out = np.ones((n, net.n_parameters) if gradients else (n, 20, 300), "f4")
def call(X, y, out, memory):
    if gradients:
        net.per_sample_gradients(X, y, out=out, memory=memory)
    else:
        net.jacobian(X, out=out, memory=memory)
def field(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
net(X)
call(X[:1], y[:1], out[:1], None)
peak = field("VmHWM")
bound = (16 if gradients else 48) << 20
call(X, y, out, bound)
print(field("VmHWM") - peak, bound)
"""], capture_output=True, text=True, env=settings_)  # fmt: skip
    grown, bound = map(int, done.stdout.split())
    assert grown < bound + (2 << 20), done.stderr  # pages of stacks and of Python's own


# Bad input, signals


@pytest.mark.parametrize(
    ("X", "y", "loss", "error", "says"),
    [
        (np.ones((4, 2)), np.ones((4, 2)), "squared_error", ValueError, r"X: expected shape"),
        (np.ones(3), np.ones(2), "squared_error", ValueError, r"X: expected shape \(n, 3\)"),
        ([[1, np.nan, 1]], [[1, 1]], "squared_error", ValueError, "X: expected finite"),
        (np.ones((4, 3)), np.ones((3, 2)), "squared_error", ValueError, r"y: expected shape"),
        (np.ones((4, 3)), [0, 1, 2, 0], "cross_entropy", ValueError, r"y: .*got 2 in row 2"),
        (np.ones((4, 3)), [0.0] * 4, "cross_entropy", TypeError, "y: .*integer labels"),
        (np.ones((4, 3)), np.ones((4, 2)), "nonesuch", ValueError, "loss"),
        (np.ones((1, 3)), np.ma.masked_equal([[1.0, 2.0]], 2), "squared_error", TypeError, "y: "),
    ],
)
def test_bad_rows_and_targets(X, y, loss, error, says):
    net = fastrelu.Network([3, 2])
    out = np.full((len(X), 8), 7, "f4")
    with pytest.raises(error, match=says):
        net.per_sample_gradients(X, y, loss, out=out)
    assert (out == 7).all()


def test_numbers_that_are_not_finite_are_let_through_on_request():
    net = fastrelu.Network([3, 2])
    found = net.per_sample_gradients([[1, np.nan, 1], [1, 1, 1]], np.ones((2, 2)),
                                     check_finite=False)  # fmt: skip
    assert np.isnan(found[0]).any() and np.isfinite(found[1]).all()


class InterruptError(Exception):
    pass


@pytest.mark.parametrize("what", ["gradients", "sparse gradients", "jacobian", "small blocks"])
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_signal_stops_them(what):
    """The handler raises in the middle; the work would go on for a second or more."""
    net = fastrelu.Network([64, 512, 512, 32])
    X, y = np.ones((40000, 64), "f4"), np.ones((40000, 32), "f4")
    if what == "sparse gradients":
        X = scipy.sparse.csr_array(X)
    row = np.empty(net.n_parameters, "f4")
    out = np.lib.stride_tricks.as_strided(row, (len(y), row.size), (0, row.itemsize))
    whole = None if "gradients" in what else np.empty((40000, 32, 64), "f4")

    def handle(*_):
        raise InterruptError

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(InterruptError):
            if "gradients" in what:
                net.per_sample_gradients(X, y, out=out)
            else:
                net.jacobian(X, out=whole, memory=4 << 20 if what == "small blocks" else None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(net(X[:9])).all()  # usable as ever

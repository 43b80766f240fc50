# SPDX-License-Identifier: BSD-3-Clause
"""The core equals the reference bit for bit; instruction sets and threads equal each other."""

import numpy as np
import pytest
import scipy.sparse
from catalogue_tools import (
    ACTIVATION_NAMES,
    LOSS_NAMES,
    OPTIMIZERS,
    VARIANTS,
    optimizer_of,
    outputs_for,
    targets,
)
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core, reference


def data(rng, loss, n, d, K, dtype):
    return rng.normal(size=(n, d)).astype(dtype), targets(rng, loss, n, K)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    dtype=st.sampled_from(["float32", "float64"]),
    variant=st.sampled_from(sorted(VARIANTS)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    n=st.integers(1, 70),
    shards=st.integers(1, 3),
    weighted=st.booleans(),
    bias=st.booleans(),
    clip=st.sampled_from([None, 0.1]),
    sampling=st.sampled_from(["shuffle", "subset", "with_replacement"]),
    activation=st.sampled_from(ACTIVATION_NAMES),
    dropout=st.sampled_from([0.0, 0.3, None]),
    isa=st.sampled_from(_core.available_isas()),
    seed=st.integers(0, 2**64 - 1),
)
def test_random_networks(
    sizes, dtype, variant, optimizer, n, shards, weighted, bias, clip, sampling, activation,
    dropout, isa, seed,
):  # fmt: skip
    rng = np.random.default_rng(seed % 2**32)
    loss = VARIANTS[variant]
    sizes = [*sizes[:-1], outputs_for(loss, sizes[-1])]
    if dropout is None:  # a rate for each layer
        dropout = [0.0, 0.5, 0.1][: len(sizes) - 2]
    X, y = data(rng, loss, n, sizes[0], sizes[-1], dtype)
    w = rng.random(n) + 0.01 if weighted else None
    before = _core.active_isa()
    _core.set_isa(isa)
    try:
        nets, losses, diverged = [], [], False
        for module in (fastrelu, reference):
            net = module.Network(sizes, dtype=dtype, seed=seed, bias=bias, activation=activation)
            trainer = module.Trainer(
                net, loss=loss, optimizer=optimizer_of(module, optimizer),
                batch_size=max(n // 2, shards), seed=seed, clip_norm=clip, n_shards=shards,
                dropout=dropout,
            )  # fmt: skip
            value, grads = net.loss_and_gradient(X, y, loss, w)
            try:
                history = trainer.fit(X, y, 1, sample_weight=w, sampling=sampling)
            except fastrelu.DivergenceError:
                diverged = True
                continue
            last = trainer.step(X, y, w)
            epoch = history.loss[0] if module is fastrelu else history[0]
            nets.append((net.forward(X), grads.flat, net.parameters))
            losses.append([value, epoch, last])
    finally:
        _core.set_isa(before)
    if diverged:  # the reference goes on with numbers that are not finite
        assert not (np.isfinite(losses[0]).all() and np.isfinite(nets[0][2]).all())
        return
    for a, b in zip(*nets, strict=True):
        assert same_bits(a, b)
    assert same_bits(np.array(losses[0]), np.array(losses[1]))


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("loss", VARIANTS.values(), ids=VARIANTS)
def test_fifty_steps(loss, optimizer, dtype, rng):
    X, y = data(rng, loss, 13, 5, 3, dtype)
    parameters = []
    for module in (fastrelu, reference):
        net = module.Network([5, 17, 3], dtype=dtype, seed=1)
        trainer = module.Trainer(net, loss=loss, optimizer=optimizer_of(module, optimizer))
        for _ in range(50):
            trainer.step(X, y)
        parameters.append(net.parameters)
    assert same_bits(*parameters)


def test_forward_backward_and_jacobian(dtype, isa, rng):
    hidden = ACTIVATION_NAMES
    sizes = [7, *[33, 20, 18, 9, 21, 35, 6, 12, 17, 40][: len(hidden)], 5]
    X = rng.normal(size=(29, 7)).astype(dtype)
    d_out = rng.normal(size=(29, 5)).astype(dtype)
    a = fastrelu.Network(sizes, dtype=dtype, activation=hidden, scale=0.3)
    b = reference.Network(sizes, dtype=dtype, activation=hidden, scale=0.3)
    out, cache = a.forward_cached(X)
    out_b, cache_b = b.forward_cached(X)
    ga, gb = a.backward(cache, d_out, inputs=True), b.backward(cache_b, d_out, inputs=True)
    assert same_bits(out, out_b) and same_bits(out, a.forward(X))
    assert same_bits(ga.flat, gb.flat) and same_bits(ga.inputs, gb.inputs)
    assert same_bits(a.jacobian(X), b.jacobian(X))
    for loss in LOSS_NAMES:
        assert same_bits(a.predict_proba(X, loss), b.predict_proba(X, loss))


# Rows about the edges of a few-rows pass, a vector and a panel; widths about those of a tile, a
# panel and the inner block of a chain; weights large enough to be packed.
SHAPES = [
    *[([5, 13, 3], n) for n in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65)],
    *[([1, 1, 1], n) for n in (1, 9)],
    *[(sizes, 1) for sizes in ([3, 1, 1, 2], [3, 2, 2], [5, 3, 2], [3, 5, 3])],
    *[([16, 64, 64, 4], n) for n in (1, 3, 8)],
    *[([3, width, 2], 20) for width in (11, 12, 24, 25, 32, 33, 63, 64, 65)],
    ([300, 70, 40], 70),
    ([7, 300, 33], 33),
    ([520, 9, 3], 65),
]


# The larger ones with plain SGD alone: the passes are the same.
EDGES = [
    (sizes, n, optimizer)
    for sizes, n in SHAPES
    for optimizer in ("sgd", "nesterov", "adam")
    if optimizer == "sgd" or max(sizes) < 300
]


@pytest.mark.parametrize(("sizes", "n", "optimizer"), EDGES)
def test_shapes_about_the_edges(sizes, n, optimizer, dtype, rng):
    """One epoch of minibatches of n rows, a short last one, then a step: few rows, W' kept."""
    X = rng.normal(size=(4 * n + 1, sizes[0])).astype(dtype)
    y = rng.normal(size=(4 * n + 1, sizes[-1])).astype(dtype)
    expected = reference.Network(sizes, dtype=dtype)
    trainer = reference.Trainer(
        expected, optimizer=optimizer_of(reference, optimizer), batch_size=n
    )
    epoch = trainer.fit(X, y, 1)[0]
    loss = trainer.step(X[:n], y[:n])
    before = _core.active_isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            net = fastrelu.Network(sizes, dtype=dtype)
            trainer = fastrelu.Trainer(
                net, optimizer=optimizer_of(fastrelu, optimizer), batch_size=n
            )
            assert trainer.fit(X, y, 1).loss == [epoch]
            assert trainer.step(X[:n], y[:n]) == loss
            assert same_bits(net.parameters, expected.parameters)
            assert same_bits(net.forward(X[:n]), expected.forward(X[:n]))
    finally:
        _core.set_isa(before)


def test_philox_words_of_a_long_stream(isa):
    """An epoch's row order: more blocks than a kernel draws at once, from every lane."""
    X = np.zeros((1000, 1))
    y = np.arange(1000.0)
    orders = []
    for module in (fastrelu, reference):
        net = module.Network([1, 1], dtype="float64")
        # The bias keeps (1 - rate)^k of the k-th row from the end: of every row some bits.
        trainer = module.Trainer(net, optimizer=module.SGD(0.01), batch_size=1, seed=5)
        trainer.fit(X, y, 1)
        orders.append(net.parameters)
    assert same_bits(*orders)


def test_gradient_in_blocks_of_rows(rng):
    """Beyond 1024 rows the chains go on from stored values."""
    X = rng.normal(size=(2500, 3)).astype("float32")
    y = rng.normal(size=(2500, 2)).astype("float32")
    a, b = fastrelu.Network([3, 4, 2]), reference.Network([3, 4, 2])
    la, ga = a.loss_and_gradient(X, y)
    lb, gb = b.loss_and_gradient(X, y)
    assert la == lb and same_bits(ga.flat, gb.flat)
    ta, tb = fastrelu.Trainer(a, batch_size=2500), reference.Trainer(b, batch_size=2500)
    assert ta.step(X, y) == tb.step(X, y)
    assert same_bits(a.parameters, b.parameters)


def run_once(sizes, n, dtype, optimizer, threads, isa):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, sizes[0])).astype(dtype)
    y = rng.integers(0, sizes[-1], n)
    before = _core.active_isa(), fastrelu.get_num_threads()
    _core.set_isa(isa)
    fastrelu.set_num_threads(threads)
    try:
        net = fastrelu.Network(sizes, dtype=dtype)
        trainer = fastrelu.Trainer(
            net, loss="cross_entropy", optimizer=optimizer_of(fastrelu, optimizer),
            batch_size=max(n // 2, 1),
        )  # fmt: skip
        history = trainer.fit(X, y, 2)
        return net.parameters.tobytes(), net.forward(X).tobytes(), history.loss
    finally:
        _core.set_isa(before[0])
        fastrelu.set_num_threads(before[1])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("sizes", "n"),
    [
        ([3, 1, 1, 2], 5), ([8, 64, 64, 4], 33), ([63, 65, 7], 130), ([784, 256, 128, 10], 150),
        ([24, 8, 2], 400), ([64, 100, 10], 390), ([300, 100, 36], 80),
    ],
)  # fmt: skip
def test_isas_and_threads_agree(sizes, n, optimizer, dtype):
    best = _core.available_isas()[0]
    expected = run_once(sizes, n, dtype, optimizer, 1, best)
    for threads in (2, 3, 8):
        assert run_once(sizes, n, dtype, optimizer, threads, best) == expected
    large = sizes[0] > 700
    for isa in _core.available_isas()[1:]:
        if not (large and isa == "baseline" and dtype == "float64"):  # seconds of emulated fma
            assert run_once(sizes, n, dtype, optimizer, 2, isa) == expected


def test_a_rows_prediction_does_not_depend_on_its_batch(dtype, isa, rng):
    net = fastrelu.Network([20, 50, 30, 3], dtype=dtype)
    X = rng.normal(size=(1000, 20)).astype(dtype)
    all_rows = net.forward(X)
    assert same_bits(net.forward(X[500:507]), all_rows[500:507])
    for r in (0, 503, 999):
        assert same_bits(net.forward(X[r]), all_rows[r])
        assert same_bits(net.forward(X[r : r + 1]), all_rows[r : r + 1])


def test_philox_against_numpy():
    key, counter = (123456789, 2), (5, 7, 9, 0)
    words = _core.philox_block(counter, key)
    assert tuple(words) == reference.random.philox_block(counter, key)
    # NumPy steps its counter before the first block.
    numpy = np.random.Philox(counter=[4, 7, 9, 0], key=list(key))
    assert [int(w) for w in numpy.random_raw(4)] == list(words)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_of_a_few_rows_between_other_calls(optimizer, dtype, rng):
    """A step finds what the one before it has prepared, unless something else came between."""
    X, y = rng.normal(size=(30, 4)).astype(dtype), rng.normal(size=(30, 2)).astype(dtype)
    w = rng.random(30)
    sparse = scipy.sparse.csr_matrix(X)
    found = []
    for module in (fastrelu, reference):
        net = module.Network([4, 9, 2], dtype=dtype, seed=1)
        trainer = module.Trainer(net, optimizer=optimizer_of(module, optimizer), batch_size=3)
        values = []
        for i in range(20):
            rows = slice(i, i + 1 + i % 3)
            values.append(trainer.step(X[rows].copy(), y[rows].copy()))
            if i % 4 == 1:
                values.append(trainer.step(X[rows], y[rows], w[rows]))
            if i % 5 == 2:
                values.append(net.loss_and_gradient(X[rows], y[rows])[0])
            if i % 6 == 3:
                values.append(trainer.step(sparse[rows], y[rows]))
            if i == 10:
                values.append(trainer.step(X, y))
                trainer.fit(X, y, 1)
        found.append((np.array(values), np.asarray(net.parameters)))
    for a, b in zip(*found, strict=True):
        assert same_bits(a, b)

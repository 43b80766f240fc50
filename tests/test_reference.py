# SPDX-License-Identifier: BSD-3-Clause
"""The reference against what it is made of: fractions, NumPy's Philox, differences, a lecture."""

import math
from fractions import Fraction

import numpy as np
import pytest
from catalogue_tools import VARIANTS, targets

from fastrelu import reference
from fastrelu.reference import optimizers, random
from fastrelu.reference.fma import fma, sum_to_odd

DTYPES = ["float32", "float64"]
LOSSES = [*VARIANTS.values(), reference.BinaryCrossEntropy(pos_weight=[0.5, 2.0, 3.0])]


def same_bits(a, b):
    a, b = np.asarray(a), np.asarray(b)
    both_nan = np.isnan(a) & np.isnan(b)
    return a.dtype == b.dtype and bool(
        np.all(both_nan | (a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")))
    )


# fma


def nearest(x, dtype):
    """Round a fraction to dtype, ties to even, from its definition."""
    info = np.finfo(dtype)
    digits, lowest = info.nmant + 1, info.minexp - info.nmant
    exponent = lowest
    if x:
        e = abs(x.numerator).bit_length() - x.denominator.bit_length()
        e -= abs(x) < Fraction(2) ** e  # now 2^e <= |x| < 2^(e+1)
        exponent = max(e - digits + 1, lowest)
    rounded = round(x / Fraction(2) ** exponent) * Fraction(2) ** exponent
    if abs(rounded) > Fraction(float(info.max)):
        return dtype(math.inf if x > 0 else -math.inf)
    return dtype(math.copysign(float(rounded), -1 if x < 0 else 1))


def exact_fma(a, b, c, dtype):
    """a*b + c, rounded once, from IEEE 754's words."""
    if not all(math.isfinite(v) for v in (a, b, c)):
        if math.isfinite(a) and math.isfinite(b):
            return c
        return dtype(np.float64(a) * np.float64(b) + np.float64(c))
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:
        negative_product = math.copysign(1, a) * math.copysign(1, b) < 0
        both = c == 0 and negative_product and math.copysign(1, c) < 0
        return dtype(-0.0 if both else 0.0)
    return nearest(exact, dtype)


def check_fma(a, b, c, dtype):
    got = fma(a, b, c)
    with np.errstate(all="ignore"):
        want = np.array([exact_fma(*t, dtype) for t in zip(a, b, c, strict=True)], dtype)
    wrong = [i for i in range(len(a)) if not same_bits(got[i : i + 1], want[i : i + 1])]
    assert not wrong, [(a[i], b[i], c[i], got[i], want[i]) for i in wrong[:5]]


def random_bits(rng, n, dtype):
    """Any bit pattern: zeros, subnormals, infinities and NaN are among them."""
    word = np.dtype(dtype).itemsize
    return rng.integers(0, 2 ** (8 * word), n, dtype=f"u{word}", endpoint=False).view(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_on_special_values(dtype):
    info = np.finfo(dtype)
    one = dtype(1)
    values = [0, 1, 2, info.tiny, info.smallest_subnormal, info.max, np.inf, info.eps, 1 + info.eps]
    values += [np.nextafter(one, dtype(0)), np.sqrt(info.tiny), np.sqrt(info.max), 1 / info.eps]
    values = np.array([*values, *(-np.array(values)), np.nan], dtype)
    a, b, c = (v.ravel() for v in np.meshgrid(values, values, values))
    check_fma(a, b, c, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_on_any_bits(dtype):
    rng = np.random.default_rng(1)
    check_fma(*(random_bits(rng, 4000, dtype) for _ in range(3)), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_near_cancellation_and_ties(dtype):
    rng = np.random.default_rng(2)
    n, info = 4000, np.finfo(dtype)
    for spread in (3, 400 if dtype == np.float64 else 20):
        a = (rng.normal(size=n) * 2.0 ** rng.integers(-spread, spread, n)).astype(dtype)
        b = (rng.normal(size=n) * 2.0 ** rng.integers(-spread, spread, n)).astype(dtype)
        c = -(a * b) * (1 + rng.integers(-3, 4, n) * info.eps).astype(dtype)
        check_fma(a, b, c, dtype)  # the product's rounding error, a few ulp more or less
        check_fma(a, b, (c * dtype(2.0) ** rng.integers(-60, 60, n)).astype(dtype), dtype)
    few_bits = [rng.integers(-(2**13), 2**13, n).astype(dtype) for _ in range(2)]
    c = (rng.integers(-8, 8, n) / info.eps).astype(dtype)
    check_fma(*few_bits, c, dtype)  # halves of the last place of c: ties
    check_fma(*few_bits, (c * dtype(2.0) ** -3).astype(dtype), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_with_subnormal_results(dtype):
    rng = np.random.default_rng(3)
    n, info = 3000, np.finfo(dtype)
    a = (rng.normal(size=n) * np.sqrt(info.tiny)).astype(dtype)
    b = (rng.normal(size=n) * np.sqrt(info.tiny) * 2.0 ** rng.integers(-30, 5, n)).astype(dtype)
    c = (rng.integers(-(2**10), 2**10, n) * info.smallest_subnormal).astype(dtype)
    check_fma(a, b, c, dtype)
    check_fma(a, b, np.zeros(n, dtype), dtype)


def test_fma_in_double_then_float_would_round_twice():
    a = np.float32(1 + 2.0**-12)
    c = np.float32(2.0**-60)
    assert np.float32(np.float64(a) * np.float64(a) + np.float64(c)) == np.float32(1 + 2.0**-11)
    assert fma(a, a, c) == np.float32(1 + 2.0**-11 + 2.0**-23)


def test_fma_broadcasts_and_keeps_dtype():
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert fma(a, np.float32(2), a[0]).shape == (2, 3)
    assert fma(a, np.float32(2), a[0]).dtype == np.float32
    assert fma(np.float64(2), np.float64(3), np.float64(4)) == 10
    with pytest.raises(TypeError, match="float16"):
        fma(*np.ones(3, np.float16))


def test_sum_to_odd():
    one = np.float64(1)
    assert sum_to_odd(one, np.float64(2.0**-80)) == 1 + 2.0**-52
    assert sum_to_odd(one, np.float64(-(2.0**-80))) == 1 - 2.0**-53
    assert sum_to_odd(one, one) == 2


# Philox


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_philox_is_numpys(seed):
    stream = random.Stream(seed, random.SUBSET, 7, 12345)
    # NumPy steps its counter before its first block: give it the one before ours, mod 2^256.
    counter = ((7 << 64 | 12345 << 128) - 1) % 2**256
    numpys = np.random.Philox(key=seed | random.SUBSET << 64, counter=counter)
    assert [stream.next() for _ in range(11)] == [int(w) for w in numpys.random_raw(11)]


def test_philox_known_answer():
    # The authors' test vector: all bits set.
    ones = 2**64 - 1
    assert random.philox_block((ones,) * 4, (ones,) * 2) == (
        0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0,
    )  # fmt: skip


def test_below_is_uniform_and_rejects():
    stream = random.Stream(3, random.WITH_REPLACEMENT)
    counts = np.bincount([stream.below(7) for _ in range(7000)], minlength=7)
    assert counts.size == 7 and abs(counts - 1000).max() < 150
    # With n just above half of all words, about half of the words are passed over.
    n = 2**63 + 1
    stream = random.Stream(3, random.WITH_REPLACEMENT)
    words = random.Stream(3, random.WITH_REPLACEMENT)
    draws = [stream.below(n) for _ in range(50)]
    kept = []
    while len(kept) < 50:
        word = words.next()
        if word * n % 2**64 >= 2**64 % n:
            kept.append(word * n >> 64)
    assert draws == kept


def test_draws_of_rows():
    order = random.row_order(5, 1, 0, 20, first_row=100)
    assert sorted(order) == list(range(100, 120)) and list(order) != sorted(order)
    assert list(order) != list(random.row_order(5, 2, 0, 20, first_row=100))
    rows = random.subset(5, 1, 20, 8)
    assert len(set(rows)) == 8 and set(rows) <= set(range(20))
    assert sorted(random.subset(5, 1, 20, 20)) == list(range(20))
    assert set(random.with_replacement(5, 1, 3, 100)) == {0, 1, 2}
    assert len(random.row_order(5, 1, 0, 0)) == 0


def test_every_subset_is_as_likely():
    seen = {}
    for step in range(1, 3001):
        key = frozenset(random.subset(0, step, 5, 2).tolist())
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 10 and max(abs(v - 300) for v in seen.values()) < 80


def test_initial_weights():
    net = reference.Network([100, 50, 2], seed=4)
    assert np.abs(net.weights[0]).max() <= np.float32(math.sqrt(6 / 100))
    assert np.abs(net.weights[0]).max() > 0.95 * math.sqrt(6 / 100)
    assert not np.concatenate(net.biases).any()
    word = np.random.Philox(key=4 | 1 << 64, counter=2**256 - 1).random_raw()
    first = (2 * ((int(word) >> 11) * 2.0**-53) - 1) * math.sqrt(6 / 100)
    assert net.weights[0][0, 0] == np.float32(first)
    glorot = reference.Network([100, 50], init="glorot_uniform", dtype="float64", seed=4)
    assert np.abs(glorot.weights[0]).max() <= math.sqrt(6 / 150)


# Layers and the lecture's network: 3 inputs - 1 hidden unit - 1 hidden unit - 2 outputs


def test_relu_at_its_corners():
    z = np.array([-1, -0.0, 0.0, 2, np.nan, -np.inf, np.inf], np.float32)
    assert same_bits(reference.relu(z), np.float32([0, -0.0, 0, 2, np.nan, 0, np.inf]))
    assert same_bits(reference.relu_backward(z, np.float32([1, 0, -0.0, 2, 3, np.nan, -1])),
                     np.float32([-1, 0, 0, 2, np.nan, 0, 0]))  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_lecture_network_by_hand(dtype):
    net = reference.Network([3, 1, 1, 2], bias=False, dtype=dtype)
    W, a, V = [0.5, -1.0, 2.0], 3.0, [1.5, -0.25]
    net.set_parameters([*W, a, *V])
    x, y = [1.0, 2.0, 1.5], [2.0, -1.0]

    h1 = max(0.0, W[0] * x[0] + W[1] * x[1] + W[2] * x[2])  # 1.5
    h2 = max(0.0, a * h1)  # 4.5
    O = [V[0] * h2, V[1] * h2]  # noqa: E741 - the lecture's letter
    assert net.forward(x).tolist() == O == [6.75, -1.125]

    dL_dO = [(O[0] - y[0]) / 2, (O[1] - y[1]) / 2]  # of the mean of (O - y)^2 / 2
    dL_dV = [dL_dO[0] * h2, dL_dO[1] * h2]
    dL_dh2 = dL_dO[0] * V[0] + dL_dO[1] * V[1]  # summed over the two ways to the loss
    dL_da = dL_dh2 * h1
    dL_dh1 = dL_dh2 * a
    dL_dW = [dL_dh1 * x[0], dL_dh1 * x[1], dL_dh1 * x[2]]
    loss, g = net.loss_and_gradient([x], [y])
    assert loss == ((O[0] - y[0]) ** 2 + (O[1] - y[1]) ** 2) / 4
    assert g.flat.tolist() == [*dL_dW, dL_da, *dL_dV]
    assert net.biases == () and g.biases == ()

    _, cache = net.forward_cached(x)
    dX = net.backward(cache, dL_dO, inputs=True).inputs
    assert dX.tolist() == [dL_dh1 * W[0], dL_dh1 * W[1], dL_dh1 * W[2]]
    assert net.jacobian(x).tolist() == [[v * a * w for w in W] for v in V]


def test_a_dead_unit_passes_nothing_back():
    net = reference.Network([3, 1, 1, 2], bias=False, dtype="float64")
    net.set_parameters([-0.5, -1.0, -2.0, 3.0, 1.5, -0.25])
    _, g = net.loss_and_gradient([[1.0, 2.0, 1.5]], [[2.0, -1.0]])
    assert not g.flat.any()


# Gradients against central differences


def problem(loss, n=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)), targets(rng, loss, n, 3), rng.random(n) + 0.1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["relu", ["identity", "relu"]])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_gradient_is_that_of_the_loss(loss, activation, weighted):
    X, y, w = problem(loss)
    w = w if weighted else None
    net = reference.Network([4, 6, 5, 3], dtype="float64", activation=activation, scale=0.7, seed=1)
    value, g = net.loss_and_gradient(X, y, loss, w)
    assert value == net.loss(X, y, loss, w)
    p, h = net.parameters, 1e-6
    for i in range(net.n_parameters):
        sides = []
        for sign in (1, -1):
            q = p.copy()
            q[i] += sign * h
            net.set_parameters(q)
            sides.append(net.loss(X, y, loss, w))
        assert g.flat[i] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-5, abs=1e-8)


def test_jacobian_is_that_of_the_outputs():
    net = reference.Network([4, 6, 3], dtype="float64", scale=0.7, seed=1)
    X, h = problem("squared_error")[0], 1e-6
    J = net.jacobian(X)
    for i in range(4):
        step = h * np.eye(4)[i]
        difference = (net.forward(X + step) - net.forward(X - step)) / (2 * h)
        np.testing.assert_allclose(J[:, :, i], difference, rtol=1e-5, atol=1e-8)


# Losses


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_are_what_they_are_called(dtype):
    net = reference.Network([4, 3], dtype=dtype, seed=2)
    X, _, w = problem("squared_error")
    z, mean = net.forward(X).astype(float), w / w.sum()
    softmax = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    p, mu = 1 / (1 + np.exp(-z)), np.exp(z)

    def row_losses(name, y):
        if name == "squared_error":
            return ((z - y) ** 2).mean(1) / 2
        if name == "cross_entropy":
            return -np.log(softmax[np.arange(len(y)), y])
        if name == "poisson":
            return (np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0) - y + mu).sum(1)
        return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(1)

    for name in ("squared_error", "cross_entropy", "binary_cross_entropy", "poisson"):
        y = problem(name)[1]
        want = (row_losses(name, y) * mean).sum()
        assert net.loss(X, y, name, w) == pytest.approx(
            want, rel=1e-5 if dtype == "float32" else 1e-13
        )
    np.testing.assert_allclose(net.predict_proba(X, "cross_entropy"), softmax, rtol=1e-5)
    np.testing.assert_allclose(net.predict_proba(X, "binary_cross_entropy"), p, rtol=1e-5)
    np.testing.assert_allclose(net.predict_proba(X, "poisson"), mu, rtol=1e-5)
    assert same_bits(net.predict_proba(X[0], "squared_error"), net.forward(X[0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_stay_finite_at_extreme_outputs(dtype):
    net = reference.Network([1, 2], bias=False, dtype=dtype)
    net.set_parameters([1, -1])
    for loss, y in [("binary_cross_entropy", [[1, 1]]), ("cross_entropy", [1])]:
        value, g = net.loss_and_gradient([[1000.0]], y, loss)
        assert value == (1000 if loss == "binary_cross_entropy" else 2000)
        assert np.isfinite(g.flat).all()


def test_pos_weight_of_one_is_no_pos_weight():
    X, y, _ = problem("binary_cross_entropy")
    net = reference.Network([4, 3], dtype="float64", seed=2)
    one = net.loss(X, y, reference.BinaryCrossEntropy(pos_weight=1.0))
    assert one == pytest.approx(net.loss(X, y, "binary_cross_entropy"), rel=1e-14)


def test_rows_without_weight_count_for_nothing():
    X, y, _ = problem("squared_error")
    net = reference.Network([4, 5, 3], seed=2)
    w = np.array([1.0] * 4 + [0.0] * 3)
    loss, g = net.loss_and_gradient(X, y, sample_weight=w)
    loss_4, g_4 = net.loss_and_gradient(X[:4], y[:4])
    assert loss == loss_4 and np.array_equal(g.flat, g_4.flat)
    loss, g = net.loss_and_gradient(X, y, sample_weight=np.zeros(7))
    assert loss == 0 and not g.flat.any()


# Training


OPTIMIZERS = [
    reference.SGD(0.05),
    reference.SGD(lambda k: 0.1 / k, momentum=0.9, weight_decay=1e-3),
    reference.SGD(0.02, momentum=0.9, nesterov=True),
    reference.Adam(0.01, weight_decay=1e-3),
    reference.AdamW(0.01),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("dtype", DTYPES)
def test_training_lowers_the_loss(optimizer, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5))
    y = np.abs(X[:, :2]) + 1
    net = reference.Network([5, 8, 2], dtype=dtype, seed=1)
    trainer = reference.Trainer(net, optimizer=optimizer, batch_size=10, clip_norm=5.0)
    losses = trainer.fit(X, y, 12)
    assert len(losses) == 12 and losses[-1] < 0.6 * losses[0]
    assert trainer.k == 48


def test_optimizers_by_their_textbook_formulas():
    g, w0 = np.array([[0.5, -2.0]]), np.array([[1.0, -1.0]])

    def two_steps(optimizer):
        w = w0.copy()
        state = optimizers.State([w])
        for k in (1, 2):
            optimizer.apply([w], [g.copy()], state, k)
        return w

    np.testing.assert_allclose(two_steps(reference.SGD(0.1)), w0 - 0.2 * g)
    np.testing.assert_allclose(two_steps(reference.SGD(lambda k: 0.1 * k)), w0 - 0.3 * g)
    np.testing.assert_allclose(two_steps(reference.SGD(0.1, 0.5)), w0 - 0.1 * (1 + 1.5) * g)
    nesterov = reference.SGD(0.1, 0.5, nesterov=True)
    np.testing.assert_allclose(two_steps(nesterov), w0 - 0.1 * (1.5 + 1.75) * g)
    decayed = (w0 - 0.1 * (g + 0.01 * w0)) * (1 - 0.1 * 0.01) - 0.1 * g
    np.testing.assert_allclose(two_steps(reference.SGD(0.1, weight_decay=0.01)), decayed)
    # A constant gradient: both corrected moments are its own, so each step is lr * sign(g).
    np.testing.assert_allclose(two_steps(reference.Adam(0.1)), w0 - 0.2 * np.sign(g), rtol=1e-6)
    adamw = ((w0 * 0.99) - 0.1 * np.sign(g)) * 0.99 - 0.1 * np.sign(g)
    np.testing.assert_allclose(two_steps(reference.AdamW(0.1, weight_decay=0.1)), adamw, rtol=1e-6)


def test_clip_norm_is_the_length_of_a_step():
    X, y, _ = problem("squared_error")
    net = reference.Network([4, 5, 3], dtype="float64", seed=2)
    before = net.parameters
    reference.Trainer(net, optimizer=reference.SGD(1.0), clip_norm=0.01, batch_size=7).step(X, y)
    assert np.linalg.norm(net.parameters - before) == pytest.approx(0.01)


def test_state_is_never_subnormal():
    tiny = np.finfo(np.float32).tiny
    x = np.array([tiny, tiny / 2, -tiny / 2, -tiny, -0.0, np.nan], np.float32)
    assert same_bits(optimizers.flush(x), np.float32([tiny, 0, 0, -tiny, 0, np.nan]))


@pytest.mark.parametrize("sampling", ["shuffle", "subset", "with_replacement"])
@pytest.mark.parametrize("n_shards", [1, 3])
def test_minibatches(sampling, n_shards):
    net = reference.Network([1, 1])
    trainer = reference.Trainer(net, batch_size=4, n_shards=n_shards)
    trainer.epoch = 1
    minibatches = trainer._minibatches(11, sampling)
    rows = np.concatenate([np.concatenate(shards) for shards in minibatches])
    for shards in minibatches:
        for shard, run in zip(shards, np.array_split(np.arange(11), n_shards), strict=True):
            assert set(shard) <= set(run)
    if sampling == "shuffle":
        assert sorted(rows) == list(range(11))
        assert [len(s) for s in minibatches[0]] == ([4] if n_shards == 1 else [2, 1, 1])
    else:
        assert len(minibatches) == 3 and len(rows) == 12


def test_shards_change_only_roundings():
    X, y, w = problem("poisson", n=11)
    nets = [reference.Network([4, 5, 3], seed=3) for _ in range(2)]
    losses = [
        reference.Trainer(net, loss="poisson", batch_size=11, n_shards=s).step(X, y, w)
        for net, s in zip(nets, (1, 3), strict=True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    np.testing.assert_allclose(nets[0].parameters, nets[1].parameters, rtol=1e-5, atol=1e-7)


def test_more_shards_than_rows():
    X, y, _ = problem("squared_error", n=2)
    nets = [reference.Network([4, 3], seed=3) for _ in range(2)]
    one, many = (
        reference.Trainer(net, batch_size=8, n_shards=s)
        for net, s in zip(nets, (2, 4), strict=True)
    )
    assert one.fit(X, y, 2) == many.fit(X, y, 2)
    assert same_bits(nets[0].parameters, nets[1].parameters)


def test_an_epoch_is_its_steps():
    X, y, w = problem("cross_entropy")
    nets = [reference.Network([4, 5, 3], seed=3) for _ in range(2)]
    fitted, stepped = (
        reference.Trainer(net, loss="cross_entropy", batch_size=3, seed=9) for net in nets
    )
    loss = fitted.fit(X, y, 1, w)[0]
    order, totals = random.row_order(9, 1, 0, 7), []
    for rows in (order[:3], order[3:6], order[6:]):
        totals.append(stepped.step(X[rows], y[rows], w[rows]) * w[rows].sum())
    assert same_bits(nets[0].parameters, nets[1].parameters)
    assert loss == pytest.approx(sum(totals) / w.sum(), rel=1e-12)


def test_bytes_are_scaled_a_row_at_a_time():
    net = reference.Network([3, 2], scale=1 / 255, seed=1)
    plain = reference.Network([3, 2], seed=1)
    X = np.array([[0, 17, 255]], np.uint8)
    assert same_bits(net.forward(X), plain.forward(X.astype(np.float32) * np.float32(1 / 255)))
    assert same_bits(net.forward(X[0]), net.forward(X)[0])


def test_no_rows():
    net = reference.Network([3, 4, 2])
    assert net.forward(np.zeros((0, 3))).shape == (0, 2)
    with pytest.raises(ValueError, match="at least one row"):
        net.loss_and_gradient(np.zeros((0, 3)), np.zeros((0, 2)))

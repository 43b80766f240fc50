# SPDX-License-Identifier: BSD-3-Clause
"""Quantile networks: their order in floating point, their loss beside others, their plain form."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import d2_pinball_score, mean_pinball_loss

import fastrelu
from fastrelu import losses, quantiles, reference
from fastrelu.conformal import QuantileIntervals
from fastrelu.history import Metric

DTYPES = ("float32", "float64")
LEVELS = ((0.5,), (0.05, 0.95), (0.05, 0.5, 0.95), (0.1, 0.2, 0.3, 0.4, 0.9), (1e-9, 0.5, 1 - 1e-9))


def network(K, dtype="float64", seed=0, **more):
    return fastrelu.Network([3, 5, K], dtype=dtype, seed=seed, **more)


@settings(max_examples=150, deadline=None)
@given(
    K=st.integers(1, 9), n=st.integers(1, 40), dtype=st.sampled_from(DTYPES),
    size=st.sampled_from([0.0, 5e-324, 1e-44, 1e-38, 1e-3, 1.0, 1e7, 1e30]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_quantiles_do_not_descend(K, n, dtype, size, seed):
    net, rng = network(K, dtype, seed), np.random.default_rng(seed)
    if seed % 2:  # outputs of very different sizes
        net.weights[-1][:] *= (10.0 ** rng.integers(-8, 3, K)).astype(dtype)
    X = (size * rng.normal(size=(n, 3))).astype(dtype)
    for rows in (X, X[:1]):
        q = net.predict_proba(rows, "quantiles")
        assert np.isfinite(q).all() and (np.diff(q, axis=1) >= 0).all()


def test_outputs_beyond_the_dtype_stay_in_order():
    net = fastrelu.Network([1, 5])
    net.weights[0][:], net.biases[0][:] = 0, [3e38, 3e38, 3e38, 3e38, 3e38]
    q = net.predict_proba([[0.0]], "quantiles")
    assert q.tolist() == [[-np.float32(3e38), 0, np.float32(3e38), math.inf, math.inf]]


@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_mean_pinball_loss(levels, weighted, rng):
    net = network(len(levels))
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    w = rng.random(50) if weighted else None
    q = net.predict_proba(X, "quantiles")
    each = [mean_pinball_loss(y, q[:, k], alpha=a, sample_weight=w) for k, a in enumerate(levels)]
    loss = losses.Quantiles(levels)
    assert net.loss(X, y, loss, w) == pytest.approx(np.mean(each), rel=1e-12)
    repeated = np.repeat(y[:, None], len(levels), axis=1)
    for other in (y[:, None], repeated, y.tolist(), np.asfortranarray(repeated)):
        assert net.loss(X, other, loss, w) == net.loss(X, y, loss, w)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
def test_one_level_has_the_bits_of_the_single_quantile(level, dtype, rng, isa):
    X, y = rng.normal(size=(70, 3)).astype(dtype), rng.normal(size=70).astype(dtype)
    y[:5] = network(1, dtype)(X[:5])[:, 0]  # residuals of 0
    nets = []
    for loss in (losses.Quantile(level), losses.Quantiles((level,))):
        net = network(1, dtype)
        fastrelu.Trainer(net, loss=loss, optimizer="adam", batch_size=7).fit(X, y, epochs=3)
        nets.append(net.parameters.tobytes())
    assert nets[0] == nets[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_training_is_that_of_the_reference(levels, dtype, batch_size, rng, isa):
    X, y = rng.normal(size=(70, 3)).astype(dtype), rng.normal(size=70).astype(dtype)
    net = network(len(levels), dtype)
    twin = reference.Network(net.layer_sizes, dtype=dtype, seed=0)
    net.weights[1][:, -1] = 0  # an output of 0: its derivative is that of the right side
    twin.set_parameters(net.parameters)
    w = rng.random(70)
    value, g = net.loss_and_gradient(X, y, losses.Quantiles(levels), w)
    wanted, expected = twin.loss_and_gradient(X, y, losses.Quantiles(levels), w)
    assert value == wanted and g.flat.tobytes() == expected.flat.tobytes()
    options = {"loss": losses.Quantiles(levels), "batch_size": batch_size, "seed": 3}
    fastrelu.Trainer(net, optimizer=fastrelu.SGD(0.05), **options).fit(X, y, epochs=2)
    teacher = reference.Trainer(twin, optimizer=reference.SGD(0.05), **options)
    teacher.fit(X, y, epochs=2)
    assert net.parameters.tobytes() == twin.parameters.tobytes()


def test_training_with_any_number_of_threads_and_in_a_population(rng):
    X, y = rng.normal(size=(500, 3)).astype("float32"), rng.normal(size=500).astype("float32")
    runs = []
    usual = fastrelu.get_num_threads()
    for threads in (1, 2, 3):
        fastrelu.set_num_threads(threads)
        net = network(3, "float32")
        fastrelu.Trainer(net, loss="quantiles", batch_size=250, seed=1).fit(X, y, epochs=3)
        runs.append(net.parameters.tobytes())
    fastrelu.set_num_threads(usual)
    members = [{"layer_sizes": [3, 5, 3], "loss": losses.Quantiles((0.1, 0.5, a)), "seed": s}
               for s in (0, 1) for a in (0.8, 0.9)]  # fmt: skip
    population = fastrelu.Population(members)
    population.fit(X, y, epochs=2)
    for member, options in zip(population.members, members, strict=True):
        net = fastrelu.Network([3, 5, 3], seed=options["seed"])
        trainer = fastrelu.Trainer(net, loss=options["loss"], seed=0)
        trainer.fit(X, y, epochs=2)
        assert member.network.parameters.tobytes() == net.parameters.tobytes()
    ensemble = fastrelu.Ensemble([m.network for m in population.members], loss="quantiles")
    assert (np.diff(ensemble.predict(X), axis=1) >= 0).all()
    assert len(set(runs)) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("K", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("more", [{}, {"bias": False}, {"activation": "leaky_relu", "scale": 0.5}])
def test_the_plain_network_has_the_quantiles(K, dtype, more, rng):
    net = network(K, dtype, **more)
    X = (10 * rng.normal(size=(200, 3))).astype(dtype)
    plain, q = quantiles.as_network(net), net.predict_proba(X, "quantiles")
    allowed = 2 * K * np.finfo(dtype).eps * np.abs(net(X)).sum(axis=1, keepdims=True)
    assert plain.dtype == net.dtype and (np.abs(plain(X) - q) <= allowed).all()
    with pytest.raises(TypeError, match="net: expected a Network"):
        quantiles.as_network("net")


def test_files_keep_the_levels(tmp_path, rng):
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    loss = losses.Quantiles([0.1, 0.5, 0.75])
    trainer = fastrelu.Trainer(network(3), loss=loss, seed=2)
    trainer.fit(X, y, epochs=1)
    trainer.save_checkpoint(tmp_path / "c.safetensors")
    again = fastrelu.Trainer.from_checkpoint(tmp_path / "c.safetensors")
    assert again.loss == loss
    for each in (trainer, again):
        each.fit(X, y, epochs=2)
    assert again.network.parameters.tobytes() == trainer.network.parameters.tobytes()
    ensemble = fastrelu.Ensemble([trainer.network, again.network], loss=loss)
    ensemble.save(tmp_path / "e.safetensors")
    loaded = fastrelu.Ensemble.load(tmp_path / "e.safetensors")
    assert loaded.loss == loss and (loaded.predict(X) == ensemble.predict(X)).all()


@pytest.mark.parametrize(
    ("levels", "error"),
    [((), ValueError), ((0.0, 0.5), ValueError), ((0.5, 1.0), ValueError), (0.5, ValueError),
     ((0.5, 0.5), ValueError), ((0.9, 0.1), ValueError), ((math.nan,), ValueError),
     (("a",), TypeError)],
)  # fmt: skip
def test_levels_that_are_none(levels, error):
    with pytest.raises(error, match="levels: expected"):
        losses.Quantiles(levels)


def test_levels_and_targets_that_do_not_fit():
    loss = losses.Quantiles((0.1, 0.9))
    with pytest.raises(ValueError, match="levels: expected one for each of the network's 3"):
        fastrelu.Trainer(network(3), loss=loss)
    with pytest.raises(ValueError, match=r"y: expected shape \(2, 2\) or \(2,\), got \(2, 3\)"):
        network(2).loss(np.zeros((2, 3)), np.zeros((2, 3)), loss)
    with pytest.raises(ValueError, match="loss"):
        fastrelu.MLPRegressor(loss="quantiles").fit(np.zeros((4, 1)), np.arange(4.0))


def test_calibrated_quantiles_hold(rng):
    """Trained to 0.05 and 0.95 on few rows, then moved until they cover nine tenths."""
    hits = []
    for seed in range(20):
        X = rng.uniform(-1, 1, (1200, 2))
        y = X[:, 0] + (0.2 + np.abs(X[:, 1])) * rng.normal(size=1200)
        net = fastrelu.Network([2, 16, 3], seed=seed)
        loss = losses.Quantiles((0.05, 0.5, 0.95))
        fastrelu.Trainer(net, loss=loss, optimizer=fastrelu.Adam(0.01)).fit(
            X[:200], y[:200], epochs=40
        )
        q = net.predict_proba(X[200:], loss)
        split = QuantileIntervals(q[:500], y[200:700])
        low, high = split.intervals(q[500:], 0.9).T
        hits.append(np.mean((low <= y[700:]) & (y[700:] <= high)))
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02)


def test_the_metric_is_the_share_of_the_pinball_loss_that_is_explained():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(size=60), rng.uniform(0.5, 2.0, 60)
    levels = (0.1, 0.5, 0.8)
    metric = Metric(losses.Quantiles(levels), y, weight)
    z = rng.normal(size=(60, 3))
    q = np.stack([z[:, 1] - np.abs(z[:, 0]), z[:, 1], z[:, 1] + np.abs(z[:, 2])], axis=1)
    expected = np.mean([
        d2_pinball_score(y, q[:, k], sample_weight=weight, alpha=level)
        for k, level in enumerate(levels)
    ])  # fmt: skip
    assert metric(z) == pytest.approx(expected, abs=2e-3)  # scikit-learn's constants interpolate
    assert Metric(losses.Quantiles(levels), y[:, None], weight)(z) == metric(z)


def test_the_metric_of_prepared_rows_is_that_of_each_trainers_loss():
    X = np.linspace(0, 1, 20)[:, None]
    nets = [fastrelu.Network([1, 2], seed=k) for k in range(2)]
    kinds = losses.Quantiles((0.1, 0.2)), losses.Quantiles((0.3, 0.9))
    trainers = [fastrelu.Trainer(n, loss=k) for n, k in zip(nets, kinds, strict=True)]
    data = trainers[0].prepare(X, X[:, 0])
    for trainer in (*trainers, trainers[0]):
        alone = trainer.prepare(X, X[:, 0])
        assert trainer.evaluate(data).metric == trainer.evaluate(alone).metric


def test_prepared_rows_serve_losses_whose_numbers_are_arrays():
    X, y = np.linspace(0, 1, 10)[:, None], np.eye(2)[np.arange(10) % 2]
    trainers = [
        fastrelu.Trainer(
            fastrelu.Network([1, 2], seed=0),
            loss=losses.BinaryCrossEntropy(pos_weight=np.array([1.0, weight])),
        )
        for weight in (2.0, 2.0, 3.0)
    ]
    data = trainers[0].prepare(X, y)
    assert len({trainer.evaluate(data).metric for trainer in trainers}) == 1

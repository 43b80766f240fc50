# SPDX-License-Identifier: BSD-3-Clause
"""Learned factors of the inputs: the reference's bits, what stands in their way, checkpoints."""

import numpy as np
import pytest
from catalogue_tools import OPTIMIZERS, optimizer_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_encoded import random_rows

import fastrelu
from fastrelu import _core, reference


def trained(module, X, y, sizes, *, dtype, optimizer, rate, batch, shards, clip, bias, seed):
    net = module.Network(sizes, dtype=dtype, seed=seed, bias=bias)
    trainer = module.Trainer(
        net, optimizer=optimizer_of(module, optimizer), batch_size=batch, seed=seed,
        n_shards=shards, clip_norm=clip, input_scale_rate=rate,
    )  # fmt: skip
    trainer.fit(X, y, 2)
    trainer.step(X, y)
    net.weights[0][...] *= 2  # others write weights: the factors are 1 again
    trainer.fit(X, y, 1)
    return np.asarray(net.parameters)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    hidden=st.sampled_from([(), (1,), (15,), (16,), (17, 5), (70,)]),
    dtype=st.sampled_from(["float32", "float64"]),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    rate=st.sampled_from([0.5, 6.0]),
    shards=st.integers(1, 3),
    clip=st.sampled_from([None, 0.1]),
    bias=st.booleans(),
    encoded=st.booleans(),
    isa=st.sampled_from(_core.available_isas()),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_to_the_reference(
    n, widths, hidden, dtype, optimizer, rate, shards, clip, bias, encoded, isa, seed
):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n, widths, dtype)
    X = X if encoded else X.toarray()
    y = rng.normal(size=(n, 2))
    settings_ = {
        "dtype": dtype, "optimizer": optimizer, "rate": rate, "batch": max(n // 2, shards),
        "shards": shards, "clip": clip, "bias": bias, "seed": seed,
    }  # fmt: skip
    sizes = [sum(widths), *hidden, 2]
    before = _core.active_isa()
    _core.set_isa(isa)
    try:
        ours = trained(fastrelu, X, y, sizes, **settings_)
    finally:
        _core.set_isa(before)
    theirs = trained(reference, X, y, sizes, **settings_)
    assert ours.tobytes() == theirs.tobytes()


def problem(n=200):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 40)).astype(np.float32)
    return X, np.abs(X[:, 0]) + 0.1 * rng.normal(size=n)


def test_threads_change_no_bit():
    X, y = problem(700)
    before, found = fastrelu.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            fastrelu.set_num_threads(threads)
            net = fastrelu.Network([40, 128, 64, 1], seed=1)
            trainer = fastrelu.Trainer(net, optimizer="adamw", batch_size=256, input_scale_rate=6.0)
            trainer.fit(X, y, 3)
            found.append(net.parameters.tobytes())
    finally:
        fastrelu.set_num_threads(before)
    assert len(set(found)) == 1


def test_an_input_that_matters_has_a_larger_factor():
    X, y = problem(2000)
    net = fastrelu.Network([40, 32, 1], seed=1)
    trainer = fastrelu.Trainer(
        net, optimizer=fastrelu.AdamW(0.005), batch_size=50, input_scale_rate=6.0
    )
    trainer.fit(X, y, 10)
    factors = np.abs(trainer.checkpoint_content()[0]["input_scales"][:40])
    assert factors[0] > 2 * np.median(factors[1:]) and factors[0] == factors.max()


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_checkpoint_goes_on_to_the_same_bits(optimizer, tmp_path):
    X, y = problem(50)
    net = fastrelu.Network([40, 7, 1], seed=1)
    trainer = fastrelu.Trainer(
        net, optimizer=optimizer_of(fastrelu, optimizer), batch_size=8, input_scale_rate=3.0
    )
    trainer.fit(X, y, 2)
    trainer.save_checkpoint(tmp_path / "c.safetensors")
    again = fastrelu.Trainer.from_checkpoint(tmp_path / "c.safetensors")
    assert again.input_scale_rate == 3.0
    for each in (trainer, again):
        each.fit(X, y, 2)
    assert again.network.parameters.tobytes() == net.parameters.tobytes()


def test_a_member_of_a_population_is_the_network_alone():
    X, y = problem(60)
    config = {
        "layer_sizes": [40, 9, 1], "optimizer": "adam", "batch_size": 16, "seed": 3,
        "shuffle_seed": 4, "input_scale_rate": 6.0,
    }  # fmt: skip
    population = fastrelu.Population([config, {**config, "input_scale_rate": 0.0}])
    population.fit(X, y, 3)
    for member, rate in zip(population.members, (6.0, 0.0), strict=True):
        net = fastrelu.Network([40, 9, 1], seed=3)
        fastrelu.Trainer(net, optimizer="adam", batch_size=16, seed=4, input_scale_rate=rate).fit(
            X, y, 3
        )
        assert member.network.parameters.tobytes() == net.parameters.tobytes()


def test_a_divergence_leaves_what_was_finite():
    X, y = problem(60)
    net = fastrelu.Network([40, 9, 1], seed=3)
    trainer = fastrelu.Trainer(
        net, optimizer=fastrelu.SGD(1e4), batch_size=16, input_scale_rate=6.0
    )
    before = net.parameters.copy()
    with pytest.raises(fastrelu.DivergenceError):
        trainer.fit(X, y, 5)
    assert (net.parameters == before).all()
    assert np.isfinite(trainer.checkpoint_content()[0]["input_scales"]).all()


def test_bad_arguments_are_named():
    net = fastrelu.Network([3, 1])
    for bad in (-1.0, np.inf, 1e7):
        with pytest.raises(ValueError, match="input_scale_rate: expected a finite number"):
            fastrelu.Trainer(net, input_scale_rate=bad)
    with pytest.raises(TypeError, match="input_scale_rate"):
        fastrelu.Trainer(net, input_scale_rate="6")
    sparse = pytest.importorskip("scipy.sparse")
    trainer = fastrelu.Trainer(net, input_scale_rate=6.0)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match="input_scale_rate: expected rows that are not sparse"):
        trainer.fit(sparse.csr_matrix(np.eye(3)), np.ones(3), 1)
    assert (net.parameters == before).all() and trainer.n_steps == 0


def test_the_bound_of_sgd_says_why_it_does_not_hold():
    net = fastrelu.Network([3, 1], bias=False)
    optimizer = fastrelu.SGD(fastrelu.schedules.inverse_time(0.1))
    trainer = fastrelu.Trainer(net, optimizer=optimizer, input_scale_rate=6.0)
    reasons = fastrelu.convergence.check(trainer, np.eye(3), sampling="with_replacement")
    assert any("input_scale_rate" in reason for reason in reasons)

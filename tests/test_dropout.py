# SPDX-License-Identifier: BSD-3-Clause
"""Dropout's masks: the core's are the contract's, and they are as random as they should be."""

import json

import numpy as np
import pytest
import scipy.stats
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core, reference
from fastrelu.reference.random import dropout_keeps, dropout_threshold, philox_4x32

SEED = 20260101
EXTREME = (0.0, 1e-9, 2**-18, 2**-17, 2**-16, 0.5, 0.7, 1 - 2**-16, 1 - 2**-17, 1 - 2**-53)


def words(counter, key):
    columns = tuple(np.array([c], np.uint64) for c in counter)
    return [int(word[0]) for word in philox_4x32(columns, key)]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_4x32_is_its_authors(counter, key, expected):
    assert words(counter, key) == list(expected)


def test_units_have_the_halves_of_the_words_in_order():
    key = reference.random.Stream(7, reference.random.DROPOUT, 2, 3).next()
    rate = 0.37
    keeps = dropout_keeps(7, 3, 2, 2**32 - 1, 2, 21, rate)
    for row, keep in zip((2**32 - 1, 2**32), keeps, strict=True):
        for unit in range(21):
            word = words((row % 2**32, row >> 32, unit // 8, 0), key)[unit % 8 // 2]
            number = word >> 16 if unit % 2 else word % 2**16
            assert keep[unit] == (number >= round(rate * 65536))


def test_the_threshold_is_the_nearest_but_keeps_something():
    assert [dropout_threshold(rate) for rate in EXTREME] == [
        0, 0, 0, 1, 1, 32768, 45875, 65535, 65535, 65535,
    ]  # fmt: skip


def trained(module, sizes, rates, rows, batch_size, dtype="float32", activation="relu", seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, sizes[0])).astype(dtype)
    y = rng.normal(size=(rows, sizes[-1])).astype(dtype)
    net = module.Network(sizes, dtype=dtype, activation=activation, seed=seed)
    trainer = module.Trainer(
        net, optimizer=module.SGD(0.001), batch_size=batch_size, seed=seed, dropout=rates
    )
    losses = trainer.fit(X, y, 2)
    return net.parameters, np.array(getattr(losses, "loss", losses))


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh", "silu", "leaky_relu", "elu"])
def test_every_instruction_set_has_the_contracts_masks(isa, dtype, activation):
    sizes, rates = [3, 41, 9, 2], [0.3, 0.6]
    made = [trained(m, sizes, rates, 45, 45, dtype, activation) for m in (fastrelu, reference)]
    for core, expected in zip(*made, strict=True):
        assert same_bits(core, expected)


@settings(max_examples=30, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 70), min_size=1, max_size=2),
    rate=st.sampled_from(EXTREME) | st.floats(0, 1, exclude_max=True),
    rows=st.integers(1, 80),
    threads=st.integers(1, 2),
    isa=st.sampled_from(_core.available_isas()),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**64 - 1),
)
def test_any_rate_is_the_contracts(hidden, rate, rows, threads, isa, dtype, seed):
    before, limit = _core.active_isa(), fastrelu.set_thread_limit(threads)
    _core.set_isa(isa)
    try:
        sizes = [2, *hidden, 1]
        made = [
            trained(m, sizes, rate, rows, rows, dtype, seed=seed) for m in (fastrelu, reference)
        ]
    finally:
        _core.set_isa(before)
        fastrelu.set_thread_limit(limit)
    for core, expected in zip(*made, strict=True):
        assert same_bits(core, expected)


def test_rows_count_on_through_the_blocks_of_a_large_minibatch():
    made = [trained(m, [2, 5, 1], 0.4, 2100, 2100) for m in (fastrelu, reference)]
    for core, expected in zip(*made, strict=True):
        assert same_bits(core, expected)


def test_wide_layers_on_two_threads_are_those_on_one():
    before = fastrelu.set_thread_limit(1)
    try:
        alone = trained(fastrelu, [300, 500, 400, 3], 0.3, 64, 32)
        fastrelu.set_thread_limit(2)
        together = trained(fastrelu, [300, 500, 400, 3], 0.3, 64, 32)
    finally:
        fastrelu.set_thread_limit(before)
    assert all(map(same_bits, alone, together))


def test_rates_of_which_nothing_is_dropped_are_no_dropout():
    plain, tiny = (trained(fastrelu, [3, 20, 1], rate, 50, 10) for rate in (0.0, 2**-18))
    assert all(map(same_bits, plain, tiny))


@pytest.mark.parametrize("rate", [2**-13, 0.1, 0.5, 0.9, 1 - 2**-12])
def test_the_share_that_is_kept(rate):
    dropped = np.concatenate(
        [~dropout_keeps(SEED, step, 0, 0, 1000, 512, rate).ravel() for step in (1, 2, 3)]
    )
    p = dropout_threshold(rate) / 65536
    assert scipy.stats.binomtest(int(dropped.sum()), dropped.size, p).pvalue > 1e-3


def independent(a, b):
    """The p-value of a chi-square test that two arrays of masks have nothing to do with another."""
    table = np.bincount(2 * a.ravel().astype(int) + b.ravel(), minlength=4).reshape(2, 2)
    return scipy.stats.chi2_contingency(table, correction=False).pvalue


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_rows_units_layers_steps_and_seeds_are_independent(rate):
    masks = dropout_keeps(SEED, 5, 1, 0, 2000, 256, rate)
    pairs = {f"rows {lag} apart": (masks[lag:], masks[:-lag]) for lag in (1, 2, 16, 32)}
    pairs |= {
        f"units {lag} apart": (masks[:, lag:], masks[:, :-lag]) for lag in (1, 2, 7, 8, 16, 64)
    }
    pairs |= {
        "layers": (masks, dropout_keeps(SEED, 5, 2, 0, 2000, 256, rate)),
        "steps": (masks, dropout_keeps(SEED, 6, 1, 0, 2000, 256, rate)),
        "seeds": (masks, dropout_keeps(SEED + 1, 5, 1, 0, 2000, 256, rate)),
        "seeds 2^32 apart": (masks, dropout_keeps(SEED + 2**32, 5, 1, 0, 2000, 256, rate)),
        "step and layer": (
            dropout_keeps(SEED, 1, 2, 0, 2000, 256, rate),
            dropout_keeps(SEED, 2, 1, 0, 2000, 256, rate),
        ),
        "rows 2^32 apart": (masks, dropout_keeps(SEED, 5, 1, 2**32, 2000, 256, rate)),
    }
    found = {name: independent(a, b) for name, (a, b) in pairs.items()}
    assert min(found.values()) > 1e-3, found


def test_the_masks_of_a_block_take_every_form_alike():
    """All 256 masks of eight units, of one block and of one unit in eight rows and steps."""
    keeps = dropout_keeps(SEED, 1, 0, 0, 4000, 256, 0.5)
    steps = np.stack([dropout_keeps(SEED, k, 0, 0, 500, 256, 0.5) for k in range(8)], -1)
    for each in (keeps.reshape(-1, 8), keeps.T.reshape(-1, 8), steps.reshape(-1, 8)):
        counts = np.bincount(each @ (1 << np.arange(8)), minlength=256)
        assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_the_numbers_are_uniform():
    """The masks of 64 rates say in which of 65 intervals a unit's number lies."""
    kept = sum(dropout_keeps(SEED, 9, 3, 0, 500, 256, t / 65).astype(int) for t in range(1, 65))
    edges = np.array([0, *(dropout_threshold(t / 65) for t in range(1, 65)), 65536])
    expected = np.diff(edges) / 65536 * kept.size
    assert scipy.stats.chisquare(np.bincount(kept.ravel(), minlength=65), expected).pvalue > 1e-3


def test_the_expectation_of_what_is_kept_is_the_activation():
    ones = np.ones((4000, 64))
    for rate in (0.2, 1 / 3, 0.9):
        masks = [reference.layers.Dropout([rate], SEED, step) for step in range(4)]
        kept = np.concatenate([mask.apply(0, ones) for mask in masks])
        p = dropout_threshold(rate) / 65536
        assert abs(kept.mean() - 1) < 4 * np.sqrt(p / (1 - p) / kept.size)


def earlier_content(trainer):
    """What an earlier version wrote of this trainer."""
    arrays, metadata = trainer.checkpoint_content()
    written = json.loads(metadata["trainer"])
    written.pop("masks", None)
    return arrays, {**metadata, "trainer": json.dumps(written)}


@pytest.mark.parametrize("rate", [0.25, [0.0, 0.1]])
def test_checkpoints_with_earlier_masks_are_refused(tmp_path, rate):
    trainer = fastrelu.Trainer(fastrelu.Network([2, 3, 3, 1]), dropout=rate)
    assert fastrelu.Trainer.from_checkpoint_content(*trainer.checkpoint_content())
    content = earlier_content(trainer)
    with pytest.raises(fastrelu.checkpoint.OldMasksError, match=r"dropout: .*train anew"):
        fastrelu.Trainer.from_checkpoint_content(*content)
    fastrelu.model_file.write(tmp_path / "c", *content)
    with pytest.raises(ValueError, match=r"dropout: .*version 1 of the masks"):
        fastrelu.Trainer.from_checkpoint(tmp_path / "c")


def test_earlier_checkpoints_without_dropout_go_on(tmp_path):
    X, y = np.eye(6), np.arange(6.0)
    for rates in (0.0, [0.0]):
        trainer = fastrelu.Trainer(fastrelu.Network([6, 3, 1]), dropout=rates, batch_size=2)
        content = earlier_content(trainer)
        assert content[1]["trainer"] == trainer.checkpoint_content()[1]["trainer"]
        again = fastrelu.Trainer.from_checkpoint_content(*content)
        assert again.fit(X, y).loss == trainer.fit(X, y).loss

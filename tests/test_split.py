# SPDX-License-Identifier: BSD-3-Clause
"""The split: one rule, exact in bounded memory, the same however the rows come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrelu import reference
from fastrelu.app.data import ranks, split
from fastrelu.app.data.split import NONE, PARTS, RankedSplit, TimeKeys
from fastrelu.app.data.table import Table
from fastrelu.app.run.parts import learn_task, split_of
from fastrelu.app.settings_file import merge
from fastrelu.reference import split as reference_split
from fastrelu.training import DataError


def in_pieces(table, cuts):
    """The table, cut at these rows, as often as it is asked for."""
    ends = [0, *sorted({c for c in cuts if 0 < c < table.n_rows}), table.n_rows]

    def tables():
        for low, high in zip(ends, ends[1:], strict=False):  # noqa: RUF007
            yield low, table.take(slice(low, high))

    return tables


def parts_of(table, cuts=(), most=np.inf, **more):
    chosen = merge(more)
    tables = in_pieces(table, cuts)
    task = learn_task(table.source, tables, chosen)
    made = split_of(chosen, table.source, table.n_rows, tables, task, most)
    numbers = np.concatenate([made.numbers(piece, first) for first, piece in tables()])
    return [None if k == NONE else PARTS[k] for k in numbers.tolist()], task[0]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(40, 200),
    classes=st.sampled_from([0, 2, 3, 7]),
    cuts=st.lists(st.integers(1, 199), max_size=5),
    kept=st.sampled_from([4, 40, 1 << 18]),
    most=st.sampled_from([0, np.inf]),
    bits=st.sampled_from([1, 3, 64]),
    test=st.sampled_from([0.0, 0.1, 0.25]),
    validation=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_split_is_the_references(n, classes, cuts, kept, most, bits, test, validation, seed):
    """Few bits: rows of equal numbers, as one in 2**64 may be."""
    rng = np.random.default_rng(seed % 2**32)
    y = rng.normal(size=n)
    if classes:
        sizes = rng.dirichlet(np.ones(classes)) + 0.05
        y = rng.choice(classes, n, p=sizes / sizes.sum()).astype(float)
        y[: 2 * classes] = np.arange(2 * classes) % classes
    target = y.copy()
    target[rng.random(n) < 0.05] = np.nan
    weights = (rng.random(n) > 0.05).astype(float)
    task = "classification" if classes else "regression"
    table = Table("t", n, {"x": y}, target=target, target_name="y", weights=weights)
    real, mask = split.row_numbers, np.uint64(2**64 - 2 ** (64 - bits))
    stream, rest = reference.random.Stream.next, 2**64 - 2 ** (64 - bits)
    before = ranks.KEPT
    try:
        ranks.KEPT = kept
        split.row_numbers = lambda *a: real(*a) & mask
        reference.random.Stream.next = lambda self: stream(self) & rest
        found, learned = parts_of(
            table, cuts, most, task=task, test=test, validation=validation, seed=seed
        )
        used = ~np.isnan(target) & (weights > 0)
        own = [learned.classes.index(v) if classes else 0 for v in np.nan_to_num(target)]
        expected = reference_split.split(
            seed, [c if u else None for c, u in zip(own, used, strict=True)], validation, test
        )
    finally:
        ranks.KEPT, split.row_numbers, reference.random.Stream.next = before, real, stream
    assert found == expected


def test_shares_are_exact_and_each_class_is_trained_on():
    y = np.repeat([0.0, 1, 2, 3], [1, 2, 97, 900])
    table = Table("t", 1000, {"x": y}, target=y, target_name="y")
    found = np.array(parts_of(table, [333, 700], test=0.2, validation=0.1)[0])
    assert [(found == p).sum() for p in PARTS] == [700, 100, 200]
    assert set(y[found == "train"]) == {0, 1, 2, 3}
    assert abs((y[found == "test"] == 2).sum() - 0.2 * 97) <= 1
    other = np.array(parts_of(table, test=0.2, validation=0.1, seed=1)[0])
    assert (other != found).any()


TIMES = [
    np.array(["2024-03-01", "2024-01-01", "2024-02-01"] * 20, "datetime64[us]"),
    np.array([3, 1, 2] * 20, np.int16),
    2**60 + np.arange(60)[::-1] // 2,  # beyond the digits of float64
    np.array([-0.0, 0.0, 1.5, -1e300, 1e-300, 5.0] * 10),
    np.array([True, False, True] * 20),
    2**64 - 1 - np.arange(60, dtype=np.uint64) // 2,
    np.array([1.0, -np.inf, np.inf, 2**70, 3.0, 2.0] * 10, np.float32),
]


@pytest.mark.parametrize("times", TIMES, ids=lambda times: str(times.dtype))
@pytest.mark.parametrize("cuts", [[], [7, 30, 31]])
@pytest.mark.parametrize("kept", [4, 1 << 18])
def test_the_latest_rows_are_tested(times, cuts, kept, monkeypatch):
    monkeypatch.setattr(ranks, "KEPT", kept)
    y = np.arange(60.0)
    table = Table("t", 60, {"x": y}, target=y, target_name="y", extra={"t": times})
    found = parts_of(table, cuts, split="time:t", test=0.3, validation=0.2)[0]
    order = np.argsort(times, kind="stable")[::-1]  # equal times: the later row first
    expected = np.full(60, "train", object)
    expected[order[:18]], expected[order[18:30]] = "test", "validation"
    assert found == expected.tolist()


def test_times_that_are_missing_or_text():
    y = np.arange(60.0)
    times = np.where(y == 3, np.nan, y)
    table = Table("t", 60, {"x": y}, target=y, target_name="y", extra={"t": times})
    with pytest.raises(DataError, match="--split time:t: 1 rows have no time"):
        parts_of(table, [20], split="time:t")
    left_out = np.where(y == 3, np.nan, y)
    table = Table("t", 60, {"x": y}, target=left_out, target_name="y", extra={"t": times})
    assert parts_of(table, [20], split="time:t")[0].count(None) == 1
    text = np.array(["a"] * 60, object)
    table = Table("t", 60, {"x": y}, target=y, target_name="y", extra={"t": text})
    with pytest.raises(DataError, match="expected numbers or dates, got text such as 'a'"):
        parts_of(table, split="time:t")


def test_a_column_says_it():
    y = np.arange(60.0)
    said = np.array(["train", "Valid", " test", "TRAIN", "what"] * 12, object)
    target = np.where(said == "what", np.nan, y)  # rows left out may say anything
    table = Table("t", 60, {"x": y}, target=target, target_name="y", extra={"p": said})
    found = parts_of(table, [11], split="column:p")[0]
    assert found == ["train", "validation", "test", "train", None] * 12
    said[6] = "tran"
    with pytest.raises(DataError, match=r"t: row 7: --split column:p: .*did you mean train"):
        parts_of(table, split="column:p")


def test_bounded_memory():
    """Of a million rows and keys, a pass holds a block; nothing is sorted whole."""
    n, seen = 1_000_000, []

    def blocks():
        for first in range(0, n, 50_000):
            keys = split.row_numbers(1, first, 50_000)
            seen.append(first)
            yield np.zeros(50_000, np.int64), keys, np.arange(first, first + 50_000, dtype="u8")

    made = RankedSplit(split.RandomKeys(1), np.array([n]), (200_000, 300_000), blocks)
    assert len(seen) <= 3 * 20  # three passes for both ends
    numbers = made.numbers(Table("t", n, target=np.zeros(n)), 0)
    assert np.bincount(numbers).tolist() == [700_000, 100_000, 200_000]
    order = np.argsort(split.row_numbers(1, 0, n), kind="stable")
    assert (np.sort(order[:200_000]) == np.flatnonzero(numbers == 2)).all()


def test_equal_keys_are_told_apart_by_their_rows(monkeypatch):
    monkeypatch.setattr(ranks, "KEPT", 16)
    table = Table("t", 5000, extra={"t": np.zeros(5000)}, target=np.zeros(5000))
    keys = TimeKeys("t")
    assert keys.look(table, np.ones(5000, bool)) == 0

    def blocks():
        yield (np.zeros(5000, np.int64), *keys.of(table, 0))

    numbers = RankedSplit(keys, np.array([5000]), (100, 100), blocks).numbers(table, 0)
    assert (np.flatnonzero(numbers == 2) == np.arange(4900, 5000)).all()

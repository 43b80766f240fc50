# SPDX-License-Identifier: BSD-3-Clause
"""Rows kept ready for later epochs are those that reading them again would give."""

import os

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.stream import ready
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.data.stream.ready import ReadyRows
from fastrelu.app.run.blocks import Block, EpochBlocks, reading_threads
from fastrelu.app.run.prepare import column_choice, prepare
from fastrelu.app.settings_file import merge


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 4), st.data())
def test_what_is_put_is_read(counts, width, data):
    counts = np.array(counts)
    total = int(counts.sum())
    X = np.arange(total * width, dtype="f4").reshape(total, width)
    arrays = [X, np.arange(total), np.linspace(0, 1, total)]
    store = ReadyRows(counts, [a[:1] if total else np.zeros((1, *a.shape[1:]), a.dtype)
                               for a in arrays])  # fmt: skip
    firsts = np.cumsum(counts) - counts
    for chunk in data.draw(st.permutations(range(len(counts)))):
        first, n = int(firsts[chunk]), int(counts[chunk])
        cut = data.draw(st.integers(0, n))
        for low, high in ((0, cut), (cut, n)):
            if low < high:
                some = [a[first + low : first + high] for a in arrays]
                store.put(chunk, low, some)
                store.put(chunk, low, [a * 0 for a in some])  # not after what is there: not kept
        assert store.holds(chunk)
        low = data.draw(st.integers(0, n))
        got = [np.zeros_like(a[first + low : first + n]) for a in arrays]
        if low < n:
            store.read(chunk, low, got)
        for mine, theirs in zip(got, arrays, strict=True):
            np.testing.assert_array_equal(mine, theirs[first + low : first + n])


@pytest.mark.parametrize("weights", [False, True])
def test_blocks_of_later_epochs(tmp_path, rng, monkeypatch, weights):
    """Blocks from kept rows equal those that are read from the files, also when they cut chunks."""
    n = 4000
    columns = {f"x{j}": rng.normal(size=n) for j in range(3)} | {"k": rng.choice(["a", "b"], n)}
    columns |= {"w": rng.random(n)} if weights else {}
    columns["y"] = rng.normal(size=n)
    path = str(tmp_path / "t.parquet")
    parquet.write_table(pa.table(columns), path, row_group_size=600)
    choice = ColumnChoice("y", weights="w" if weights else None)
    data = prepare(ParquetStream([path], choice, 10**7), merge({"data": (path,), "batch_size": 16}))
    pool = reading_threads(2)
    seen = []
    for keep in (True, False):
        block = Block(*data.split_rows.empty(700))
        kept = ReadyRows(data.split_rows.counts[:, 0], block.arrays()) if keep else None
        seen.append([])
        for epoch in (1, 2, 3):
            blocks = EpochBlocks(data.split_rows, block, pool, 0, epoch, 0, kept)
            for _ in range(-(-int(data.split_rows.counts[:, 0].sum()) // 700)):
                filled = blocks.next()
                seen[-1].append([a[: filled.n_rows].copy() for a in filled.arrays()])
            blocks.close()
        if keep:
            assert all(map(kept.holds, range(len(data.split_rows.counts))))
    pool.shutdown()
    for mine, theirs in zip(*seen, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("more", [{}, {"class_weight": "balanced"}, {"weights": "w"}])
def test_examples_that_are_watched_are_kept(tmp_path, rng, monkeypatch, more):
    monkeypatch.setattr("fastrelu.app.run.stream_feeder.BATCH_ROWS", 100)
    monkeypatch.setattr("fastrelu.app.run.kept_examples.BATCH_ROWS", 100)
    n = 2000
    columns = {"x": rng.normal(size=n), "w": rng.random(n), "k": rng.choice(["a", "b"], n)}
    path = str(tmp_path / "t.parquet")
    parquet.write_table(pa.table(columns), path, row_group_size=300)
    given = merge({"target": "k", "batch_size": 16, "validation": 0.2} | more)
    data = prepare(ParquetStream([path], column_choice(given), 10**7), given)
    feeder = data.feeder()
    decoded = list(feeder.batches("validation"))
    monkeypatch.setattr(feeder, "_read", None)
    for _ in range(2):
        kept = list(feeder.batches("validation"))
        assert [len(each) for each in kept] == [100, 100, 100, 100]
        for mine, theirs in zip(kept, decoded, strict=True):
            for name, values in vars(theirs).items():
                np.testing.assert_array_equal(getattr(mine, name), values)


@pytest.mark.parametrize("groups", [7, 40])
def test_a_report_sees_all_rows_of_a_part_unless_there_are_many(tmp_path, rng, monkeypatch, groups):
    n = 4000
    parquet.write_table(
        pa.table({"x": np.arange(n, dtype=float), "y": rng.normal(size=n)}),
        tmp_path / "t.parquet",
        row_group_size=-(-n // groups),
    )
    settings = merge({"target": "y", "epochs": 1})
    stream = ParquetStream([str(tmp_path / "t.parquet")], column_choice(settings), 1 << 22)
    prepared = prepare(stream, settings)
    count = prepared.counts()["test"]
    every = prepared.sample("test", 10**6)
    assert every.n_rows == count == 800
    for most in (799, 400, 100, 40):
        some = prepared.sample("test", most)
        assert 0.9 * most <= some.n_rows <= most + groups  # pieces have more rows or fewer
        x = some.columns["x"]
        assert len(set(x)) == len(x) and set(x) <= set(every.columns["x"])
        assert x.min() < n / 10 and x.max() > n * 9 / 10
    monkeypatch.setattr("fastrelu.app.run.prepare.SAMPLED_ROWS", 300)
    assert 270 <= prepared.sample("test", 10**6).n_rows <= 300 + groups


def test_without_room_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(ready, "SPARE", 10**18)
    store = ReadyRows(np.array([2]), [np.zeros((1, 3))])
    store.put(0, 0, [np.zeros((2, 3))])
    assert not store.holds(0)


def test_a_full_disk_is_no_error(monkeypatch):
    def full(*_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    store = ReadyRows(np.array([2]), [np.zeros((1, 3))])
    store.put(0, 0, [np.zeros((2, 3))])
    assert not store.holds(0)

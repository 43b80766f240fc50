# SPDX-License-Identifier: BSD-3-Clause
"""How --memory is kept: what is counted before anything is read, and how much is held at once."""

import bz2
import gzip
import lzma
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_tools import run

from fastrelu import Network
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.stream import budget, open_stream
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.errors import DataError
from fastrelu.app.metrics import evaluate
from fastrelu.app.preprocess import BATCH_ROWS, examples
from fastrelu.app.run import kept_examples, stream_feeder
from fastrelu.app.run.build import build
from fastrelu.app.run.prepare import prepare
from fastrelu.app.run.stream_feeder import StreamFeeder
from fastrelu.app.settings_file import merge

MEMORY = 50_000_000


# Rows that are judged


def batches_of(monkeypatch, rows):
    for module in (examples, stream_feeder, kept_examples):
        monkeypatch.setattr(module, "BATCH_ROWS", rows)


@pytest.mark.parametrize("kind", ["number", "class", "weights of classes that are 0"])
def test_scores_do_not_depend_on_how_many_rows_are_judged_at_once(tmp_path, rng, monkeypatch, kind):
    """The sums are those of batches of so many rows, however few of these the memory holds."""
    n = 900
    a, w = rng.normal(size=(2, n))
    y = a + 0.1 * w if kind == "number" else np.where(np.arange(n) < 600, "first", "second")
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": a, "w": np.abs(w), "y": y}), path, row_group_size=70)
    stream = ParquetStream([str(path)], ColumnChoice(target="y", weights="w"), MEMORY)
    data = prepare(stream, merge({"hidden": (5,), "batch_size": 16, "validation": 0.3}))
    rows = data.split_rows
    if kind.startswith("weights"):
        object.__setattr__(rows, "class_weights", np.array([0.0, 2.0]))
    batches_of(monkeypatch, 64)
    found = []
    for judged in (64, 1, 7, 33):
        feeder = StreamFeeder(rows, budget.Share(64, 1, judged), 16, 0)
        network = build(data.settings, data.inputs, data.target, data.loss, 10).network
        pieces = list(feeder.batches("validation"))
        assert kind.startswith("weights") or max(map(len, pieces)) == judged
        for part in ("validation", "validation", "test"):  # the second time those kept
            scores = feeder.evaluate(network, part)
            found.append((part, scores.rows, scores.result()))
        feeder.close()
    assert found[:3] * 4 == found and found[0][1] > 128


def test_a_batch_without_weights_in_the_loss_is_as_it_was(monkeypatch):
    """Rows of weight 0 are counted as all alike if their whole batch is so, and else not."""
    batches_of(monkeypatch, 4)
    network, X, y = Network([1, 1]), np.arange(12.0)[:, None], np.ones(12)
    target = type("Target", (), {"task": "regression", "mean": 0.0, "std": 1.0})()
    weights = np.array([0.0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0])
    every = examples.Examples(X, y, y, weights)

    def judged(rows):
        pieces = (every.take(slice(at, at + rows)) for at in range(0, 12, rows))
        return evaluate(network, examples.in_batches(pieces), target, "squared_error")

    whole = evaluate(network, every.batches(), target, "squared_error")
    for rows in (1, 2, 4):
        assert judged(rows).sums == whole.sums and judged(rows).result() == whole.result()
    assert whole.sums.weight_sum == 4 + 1 + 2


def test_rows_judged_at_once_are_bounded_by_the_memory():
    """50,000 x 2,000 float32 with 64 MB: batches of 16,384 rows took 131 MB, twice."""

    class Matrix:
        source, n_rows, raw_row_bytes, part_rows, reading_bytes = "m.npy", 50_000, 8008.0, 499, 0

    share = budget.share(Matrix(), 8020, 128, 64_000_000)
    assert share.judged_rows * 8020 <= 64_000_000 / 16
    assert budget.share(Matrix(), 100, 128, 64_000_000).judged_rows > BATCH_ROWS


# What Parquet's values take once they are decoded


def texts(n, length=60, kinds=50):
    return np.array([f"{i:03d}".ljust(length, ".") for i in range(kinds)], object)[
        np.arange(n) % kinds
    ]


def written(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def test_texts_count_as_they_are_decoded(tmp_path, rng):
    """20 columns of 50 categories took 2.6 GB with --memory 128MB: dictionaries are small files."""
    n = 20_000
    columns = {f"s{k}": texts(n) for k in range(5)} | {"x": rng.normal(size=n), "y": np.arange(n)}
    choice = ColumnChoice(target="y")
    for options in ({}, {"store_schema": False}, {"compression": "zstd"}):
        path = written(tmp_path / "t.parquet", columns, **options)
        assert 2.5 * n * 60 * 5 > 10_000_000 > 20 * (tmp_path / "t.parquet").stat().st_size
        stream = open_stream([path], choice, 10_000_000)
        assert isinstance(stream, ParquetStream)
        assert stream.part_rows * 5 * 64 < 10_000_000 / 16 < 2 * stream.part_rows * 5 * 80
        batches = [table.n_rows for table in stream.parts(stream.chunks[0])]
        assert max(batches) <= stream.part_rows and sum(batches) == n
        # 2.5 times their 6.4 MB and 0.3 MB of numbers fit, whatever the longest entry is.
        assert open_stream([path], choice, 20_000_000) is None


def test_few_bytes_of_many_equal_numbers_count_as_numbers(tmp_path):
    n = 200_000
    path = written(tmp_path / "t.parquet", {"a": np.ones(n), "b": np.zeros(n), "y": np.ones(n)})
    assert (tmp_path / "t.parquet").stat().st_size < 10_000
    assert isinstance(open_stream([path], ColumnChoice(target="y"), 10_000_000), ParquetStream)
    assert open_stream([path], ColumnChoice(target="y"), 13_000_000) is None


def test_one_long_entry_of_a_dictionary_streams_nothing_that_fits(tmp_path):
    n = 50_000
    columns = {"s": np.where(np.arange(n) == 7, "w" * 5000, "short"), "y": np.arange(n)}
    path = written(tmp_path / "t.parquet", columns)
    choice = ColumnChoice(target="y")
    assert open_stream([path], choice, 4_000_000) is None  # 2.5 times 9 + 8 bytes a row
    stream = ParquetStream([path], choice, 4_000_000)
    assert stream.part_rows * 5000 < 4_000_000 / 16  # as each row of a part might have it


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_long_texts_behind_short_ones_are_seen(tmp_path, encoding):
    """Only a column's first page was looked at."""
    words = ["short"] * 30_000 + [f"{i}".rjust(2_000, "w") for i in range(300)]
    columns = {"s": words, "y": np.arange(len(words))}
    path = written(
        tmp_path / "t.parquet", columns, use_dictionary=False, column_encoding={"s": encoding},
        compression="none", row_group_size=len(words), write_batch_size=100,
        data_page_size=50_000,
    )  # fmt: skip
    memory = 4_000_000
    stream = ParquetStream([path], ColumnChoice(target="y"), memory)
    assert stream.part_rows * 1_500 < memory / 16
    assert sum(part.n_rows for part in stream.parts(stream.chunks[0])) == len(words)


def test_a_large_page_behind_small_ones_is_refused_where_it_does_not_fit(tmp_path):
    words = ["short"] * 30_000 + ["w" * 10_000 + str(i) for i in range(1000)]
    path = written(
        tmp_path / "t.parquet", {"s": words, "y": np.arange(len(words))}, use_dictionary=False,
        compression="none", write_batch_size=1000,
    )  # fmt: skip
    with pytest.raises(DataError, match=r"row group 0 of 31,000 rows takes about \d\d MB to read"):
        ParquetStream([path], ColumnChoice(target="y"), 12_000_000)


def test_texts_of_one_row_group_do_not_cut_the_parts_of_another(tmp_path):
    short = {"s": ["short"] * 4000, "y": np.arange(4000)}
    long = {"s": ["w" * 5000] * 400, "y": np.arange(400)}
    paths = [written(tmp_path / "1.parquet", short), written(tmp_path / "2.parquet", long)]
    stream = ParquetStream(paths, ColumnChoice(target="y"), 4_000_000)
    first, second = ([t.n_rows for t in stream.parts(chunk)] for chunk in stream.chunks)
    assert first == [4000] and max(second) * 5000 < 4_000_000 / 16
    assert sum(second) == 400


def test_fewer_rows_than_announced_are_damaged(tmp_path):
    path = written(tmp_path / "t.parquet", {"a": np.arange(900.0), "y": np.arange(900)})
    stream = ParquetStream([path], ColumnChoice(target="y"), MEMORY)
    stream.chunks = [replace(stream.chunks[0], n_rows=10**12)]
    with pytest.raises(DataError, match=r"t\.parquet: damaged .* 900 rows, and 1,000,000,000,000"):
        list(stream.targets(stream.chunks[0]))


def test_damaged_places_of_pages_are_damaged_files(tmp_path):
    """A size or place that is damaged is refused by one line, or is told by who reads the rows."""
    n = 3000
    path = written(tmp_path / "t.parquet", {"s": texts(n), "y": np.arange(n)}, use_dictionary=["s"])
    whole = (tmp_path / "t.parquet").read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    choice = ColumnChoice(target="y")
    for at in range(len(whole) - 8 - length, len(whole) - 8):
        changed = bytearray(whole)
        changed[at] ^= 0x15
        (tmp_path / "t.parquet").write_bytes(changed)
        with suppress(DataError):
            stream = open_stream([path], choice, 300_000)
            if stream is not None:
                list(stream.parts(stream.chunks[0]))


# What is read as a whole


def zstandard(content):
    return pa.compress(content, "zstd", asbytes=True)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard])
def test_packed_text_counts_as_it_is_unpacked(tmp_path, monkeypatch, pack):
    """Its packed bytes were counted: 18 MB of them, which take 600 MB, passed on one of 400 MB."""
    path = tmp_path / "t.csv.packed"
    path.write_bytes(pack(b"a,b,y\n" + b"1.5,2.5,3\n1,2,5\n" * 200_000))
    needed = 2.5 * 8 * 3 * 400_000
    pages = {"SC_PHYS_PAGES": int(needed * 1.2 / 4096), "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", lambda name: pages[name])
    choice = ColumnChoice(target="y")
    assert open_stream([str(path)], choice, 10_000_000) is None
    assert read([str(path)], choice).n_rows == 400_000
    pages["SC_PHYS_PAGES"] = int(needed * 0.7 / 4096)
    with pytest.raises(DataError, match=r"packed text is read into memory, which takes about 0\.0"):
        read([str(path)], choice)
    assert read([str(path)], ColumnChoice(target="y", features=("a",))).n_rows == 400_000


def test_inputs_in_memory_that_take_more_than_their_columns_are_told(tmp_path):
    """200,000 rows of 20 columns of 50 categories took 800 MB with --memory 128MB, in silence."""
    rows = "".join(f"c{i % 97},d{i % 89},{i % 7}\n" for i in range(2000))
    (tmp_path / "t.csv").write_text("a,b,y\n" + rows)
    flags = ["--target", "y", "--task", "regression", "--epochs", 1, "--hidden", 2]
    told = "the 186 inputs that they become take 1 MB in memory"
    result = run("train", tmp_path / "t.csv", *flags, "--memory", "1MiB")
    assert result.exit_code == 0 and told in " ".join(result.output.split())
    result = run("train", tmp_path / "t.csv", *flags, "--memory", "2MB")
    assert result.exit_code == 0 and "that they become" not in result.output


# The setting


def test_the_least_size_is_said(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n3,5.5\n" * 50)
    result = run("train", tmp_path / "t.csv", "--memory", "1MB")
    assert result.exit_code == 2 and "1MiB (1.048576MB) at least, got '1MB'" in result.output
    assert "1MiB at least" in " ".join(run("train", "--help").output.split())

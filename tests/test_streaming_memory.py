# SPDX-License-Identifier: BSD-3-Clause
"""How --memory is kept: what is counted before anything is read, and how much is held at once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_tools import run

from fastrelu import Network
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.stream import budget
from fastrelu.app.data.stream.parquet import ParquetStream
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


# The setting


def test_the_least_size_is_said(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n3,5.5\n" * 50)
    result = run("train", tmp_path / "t.csv", "--memory", "1MB")
    assert result.exit_code == 2 and "1MiB (1.048576MB) at least, got '1MB'" in result.output
    assert "1MiB at least" in " ".join(run("train", "--help").output.split())

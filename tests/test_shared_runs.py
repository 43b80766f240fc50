# SPDX-License-Identifier: BSD-3-Clause
"""Processes that each read a run of the rows train and judge the network of one with all."""

import dataclasses
import os

import numpy as np
import pytest
from distributed_cases import raised

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from test_one_pipeline import N, changed, columns, write

from fastrelu.app.data.readers import read
from fastrelu.app.data.split import PARTS
from fastrelu.app.errors import DataError
from fastrelu.app.run.build import build
from fastrelu.app.run.prepare import column_choice, prepare
from fastrelu.app.run.ranks import SharedSession
from fastrelu.app.run.shared_rows import prepare_shared
from fastrelu.app.run.watching import Nothing
from fastrelu.app.settings_file import merge
from fastrelu.distributed import run_threads

CASES = {
    "parquet": ("parquet", {"target": "y", "ignore": ("kind", "part"), "weights": "w"}),
    "text": ("csv", {"target": "kind", "ignore": ("y", "part"), "class_weight": "balanced"}),
    "array": ("npy", {"target": "4", "scaling": "quantile"}),
    # The last rows are tested: the last process has none to train on.
    "time": ("parquet", {"target": "y", "ignore": ("kind", "part", "a"), "split": "time:day"}),
    "column": ("csv", {"target": "few", "ignore": ("y", "kind"), "split": "column:part"}),
}


def settings_of(path, more):
    given = {"data": (path,), "epochs": 2, "hidden": (4,), "seed": 0, "shards": 4} | more
    return merge({}, given)


def finished(prepared, comm):
    """What a run of two epochs ends in: the network, and how it is judged, on rank 0."""
    settings, feeder = prepared.settings, prepared.feeder()
    parts = prepared.inputs, prepared.target, prepared.loss
    trainer = build(settings, *parts, feeder.steps_in_epoch(), comm)
    losses = [feeder.run_epoch(trainer, lambda: False).loss for _ in range(2)]
    feeder.close()
    scores = [feeder.evaluate(trainer.network, part) for part in PARTS]
    judged = [(each.rows, each.loss, each.result()) for each in scores if each.rows]
    return trainer.network.parameters.tobytes(), losses, judged


def learned(prepared):
    """What has been learned of the rows."""
    reading = prepared.reading
    return (
        reading and reading.describe(), prepared.inputs.describe(),
        dataclasses.asdict(prepared.target), prepared.counts(), prepared.fingerprint,
        prepared.settings, sorted(prepared.notes),
    )  # fmt: skip


@pytest.mark.parametrize("label", CASES)
def test_the_bits_of_one_process(tmp_path, label):
    kind, more = CASES[label]
    made = columns(np.random.default_rng(3))
    if kind == "npy":
        del made["y"]  # with its gaps
    if label == "time":
        made["day"] = np.sort(made["day"])
    settings = settings_of(write(tmp_path, kind, made), more)
    alone = prepare(read(list(settings.data), column_choice(settings)), settings)
    one, known = finished(alone, None), learned(alone)
    sample = alone.sample("train", 50)

    def share(comm):
        prepared = prepare_shared(comm, settings)
        assert len(prepared.runs.table) < N / comm.size + 1  # nobody has all
        found = finished(prepared, comm)
        if comm.rank != 0:
            while prepared.runs.serve_one():
                pass
        else:
            rows = prepared.sample("train", 50)
            assert rows.n_rows >= 50 and rows.names == sample.names
            prepared.runs.end()
        return learned(prepared), found

    for size in (2, 3, 4):
        every = run_threads(size, share)
        assert [found for found, _ in every] == [known] * size
        assert [each[:2] for _, each in every] == [one[:2]] * size
        assert every[0][1] == one


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_that_folders_name(tmp_path, kind):
    for part in ("1", "2"):
        folder = tmp_path / f"shop={part}"
        folder.mkdir()
        write(folder, kind, columns(np.random.default_rng(int(part))))
    more = {"target": "y", "ignore": ("kind", "part")}
    settings = settings_of(str(tmp_path / "*" / f"t.{kind}"), more)
    alone = prepare(read(list(settings.data), column_choice(settings)), settings)
    assert "shop" in alone.reading.columns
    every = run_threads(3, lambda comm: learned(prepare_shared(comm, settings)))
    assert every == [learned(alone)] * 3


def test_rank_0_sees_all_rows_a_piece_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("fastrelu.app.data.stream.runs.PIECE_ROWS", 50)
    path = write(tmp_path, "parquet", columns(np.random.default_rng(3)))
    settings = settings_of(path, {"target": "y", "ignore": ("kind", "part")})
    table = read([path], column_choice(settings))

    def look(comm):
        prepared = prepare_shared(comm, settings)
        if comm.rank != 0:
            while prepared.runs.serve_one():
                pass
            return None
        rows = prepared.sample("train", N)
        prepared.runs.end()
        return rows

    rows = run_threads(3, look)[0]
    trained = prepare(table, settings).rows["train"]
    assert rows.n_rows == len(trained)
    np.testing.assert_array_equal(rows.columns["b"], table.columns["b"][trained])


def test_what_is_wrong_in_a_run_ends_all(tmp_path):
    made = changed(np.random.default_rng(3), b=np.inf)
    settings = settings_of(write(tmp_path, "parquet", made), {"target": "y", "ignore": ("kind",)})
    found = raised(lambda comm: prepare_shared(comm, settings), 3)
    assert any("row 308: column 'b': expected finite numbers" in str(each) for each in found)
    assert all(each is not None for each in found)


def test_too_few_rows_and_formats_without_runs(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("a,y\n" + "1,2\n" * 3)
    settings = settings_of(str(path), {"target": "y"})
    for error in raised(lambda comm: prepare_shared(comm, settings), 4):
        assert isinstance(error, DataError) and "3 rows are too few for 4" in str(error)
    np.savez(tmp_path / "t.npz", X=np.eye(20), y=np.arange(20.0))
    whole = settings_of(str(tmp_path / "t.npz"), {})
    assert run_threads(2, lambda comm: prepare_shared(comm, whole)) == [None] * 2
    iris = settings_of("iris", {})
    assert run_threads(2, lambda comm: prepare_shared(comm, iris)) == [None] * 2


def test_each_machine_may_have_copies_of_its_own(tmp_path):
    """They are of the same content, and were written at other times."""

    def share(comm):
        folder = tmp_path / str(comm.rank)
        folder.mkdir()
        path = write(folder, "parquet", columns(np.random.default_rng(3)))
        os.utime(path, (1000, 1000 + comm.rank))
        settings = settings_of(path, {"target": "y", "ignore": ("kind", "part")})
        return SharedSession(comm, settings, None, Nothing(), lambda _: None, "").start(False)

    told, other = run_threads(2, share)
    assert told["epochs"] == 2 and other == {}

# SPDX-License-Identifier: BSD-3-Clause
"""A streamed table has the parts, the preprocessing and the refusals that it has in memory."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_tools import run

from fastrelu.app.data.readers import read
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.split import PARTS, rows_of
from fastrelu.app.data.stream.memory import fingerprint
from fastrelu.app.data.stream.npy import NpyStream, npy_file
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.data.stream.source import every_target
from fastrelu.app.data.stream.text import TextStream
from fastrelu.app.run.build import build
from fastrelu.app.run.prepare import column_choice, prepare
from fastrelu.app.run.rows import LaterExamples
from fastrelu.app.settings_file import merge
from fastrelu.training import TrainingError

N, BAD = 600, 307
FORMATS = ("csv", "parquet", "npy")


def columns(rng):
    """Numbers with gaps, weights with zeros, classes of unequal size, times with ties, words."""
    y = rng.normal(size=N) + 4
    return {
        "a": np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N)),
        "b": rng.integers(0, 9, N).astype(float),
        "w": rng.integers(0, 3, N).astype(float),
        "day": rng.integers(0, 30, N),
        "few": np.where(y > 5, 2.0, np.where(y > 3, 1.0, 0.0)),
        "part": rng.choice(["train", "val", "test"], N, p=[0.5, 0.25, 0.25]).astype(object),
        "kind": np.where(y > 5.5, "high", np.where(y > 3, "mid", "low")).astype(object),
        "y": np.where(np.arange(N) % 40 == 7, np.nan, y),
    }


def changed(rng, **more):
    """The columns with another value in the row BAD, or with other columns."""
    made = columns(rng)
    for name, value in more.items():
        if callable(value):
            made[name] = value(made)
        else:
            made[name] = made[name].astype(object if isinstance(value, str) else float)
            made[name][BAD] = value
    return made


def with_nulls(made):
    """The columns as lists, None for what is missing."""
    return {n: [None if v != v else v for v in list(c)] for n, c in made.items()}


def write(folder, kind, made):
    """The file of some columns; an array has those of numbers alone."""
    path = folder / f"t.{kind}"
    if kind == "npy":
        numbers = [c for c in made.values() if c.dtype != object]
        np.save(path, np.ascontiguousarray(np.array(numbers).T))
    elif kind == "parquet":
        pq.write_table(pa.table(with_nulls(made)), path, row_group_size=128)
    else:
        with open(path, "w", newline="") as file:
            rows = zip(*(c.tolist() for c in made.values()), strict=True)
            csv.writer(file).writerows(
                [[*made], *(["" if v != v else v for v in row] for row in rows)]
            )
    return str(path)


def streamed(path, choice):
    """The file as a stream of several chunks, each in several tables."""
    kind = Path(path).suffix
    if kind == ".csv":
        return TextStream([path], choice, 20_000).look()
    if kind == ".npy":
        stream = NpyStream([npy_file(path)], choice, 10**8)
    else:
        stream = ParquetStream([path], choice, 10**8)
    stream.part_rows = 50
    return stream


def both(path, **more):
    """What is prepared of a file in memory and of the same as a stream; or what refuses it."""
    given = merge({"hidden": (3,), "batch_size": 8, "memory": "100MB"} | more)
    choice = column_choice(given)
    outcomes = []
    for source in (lambda: read([path], choice), lambda: streamed(path, choice)):
        try:
            data = prepare(source(), given)
            for piece in data.split_rows.of_part("train") if data.share else ():
                data.split_rows.ready(*piece)  # as the first epoch does
            outcomes.append(data)
        except TrainingError as error:
            outcomes.append(error)
    return outcomes


# What is done

NUMBER = {"target": "y", "ignore": ("w", "part", "kind", "few", "day")}
CLASSES = {"target": "kind", "ignore": ("w", "part", "y", "few", "day")}
WEIGHTED = {"weights": "w", "ignore": ("part", "y", "few", "day")}
CASES = {
    "regression": NUMBER,
    "another seed and shares": NUMBER | {"seed": 2**63 - 1, "test": 0.37, "validation": 0.05},
    "no test, no validation": NUMBER | {"test": 0.0, "validation": 0.0},
    "weights": NUMBER | {"weights": "w", "ignore": ("part", "kind", "few", "day")},
    "classes": CLASSES,
    "classes with a seed": CLASSES | {"seed": 11, "test": 0.13},
    "balanced classes with weights": CLASSES | WEIGHTED | {"class_weight": "balanced"},
    "numbers as classes": {"target": "few", "ignore": ("w", "part", "y", "kind", "day")},
    "times with ties": NUMBER | {"split": "time:day", "ignore": ("w", "part", "kind", "few")},
    "a column of parts": NUMBER | {"split": "column:part", "ignore": ("w", "kind", "few", "day")},
}
OF_MATRIX = {
    "regression": {"target": "1"},
    "shares and a seed": {"target": "1", "seed": 9, "test": 0.3, "validation": 0.2},
    "classes": {"target": "4"},
    "balanced classes": {"target": "4", "class_weight": "balanced", "seed": 3},
}


def same(held, stream):
    """Assert that parts, preprocessing, settings and scores are the same both ways."""
    assert stream.share is not None and held.share is None
    numbers = np.concatenate(
        [stream.split_rows.split.numbers(t, at) for at, t in every_target(stream.split_rows.source)]
    )
    for part in PARTS:
        assert rows_of(numbers, part).tolist() == held.rows[part].tolist(), part
    assert stream.counts() == held.counts()
    assert stream.inputs.describe() == held.inputs.describe()
    assert stream.target.describe() == held.target.describe()
    assert stream.settings == held.settings
    assert stream.notes[:-1] == held.notes
    net = build(held.settings, held.inputs, held.target, held.loss, 9).network
    for part in PARTS:
        if held.counts()[part]:
            scores = [data.feeder().evaluate(net, part).result() for data in (held, stream)]
            assert scores[0]["loss"] == scores[1]["loss"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_the_same_parts_streamed(kind, name, tmp_path, rng):
    same(*both(write(tmp_path, kind, columns(rng)), **CASES[name]))


@pytest.mark.parametrize("name", OF_MATRIX)
def test_a_matrix_has_the_same_parts_streamed(name, tmp_path, rng, monkeypatch):
    monkeypatch.setattr("fastrelu.app.data.stream.npy.CHUNK_BYTES", 5000)
    made = columns(rng)
    del made["y"]  # an array has no targets that are missing
    same(*both(write(tmp_path, "npy", made), **OF_MATRIX[name]))


def test_little_memory_gives_the_same_parts(tmp_path, rng, monkeypatch):
    """With no room for a byte a row the targets are passed over again."""
    path = write(tmp_path, "parquet", columns(rng))
    monkeypatch.setattr("fastrelu.app.run.prepare.KEPT_SHARE", 0)
    monkeypatch.setattr("fastrelu.app.data.ranks.KEPT", 16)
    for name in ("regression", "balanced classes with weights"):
        same(*both(path, **CASES[name]))


def test_times_of_another_type_in_a_later_file_are_ordered_as_in_memory(tmp_path, rng):
    whole, halves = columns(rng), columns(rng)
    halves["day"] = np.where(np.isnan(halves["y"]), np.nan, halves["day"] / 2)  # rows left out
    paths = [str(tmp_path / f"{k}.parquet") for k in range(2)]
    for path, made in zip(paths, (whole, halves), strict=True):
        pq.write_table(pa.table(with_nulls(made)), path)
    given = merge(NUMBER | {"split": "time:day", "ignore": ("w", "part", "kind", "few")})
    choice = column_choice(given)
    same(prepare(read(paths, choice), given), prepare(ParquetStream(paths, choice, 10**8), given))


# What is refused

BAD_TABLES = {
    "no such target": ({}, NUMBER | {"target": "q"}),
    "no such feature": ({}, NUMBER | {"features": ("a", "q")}),
    "no such column to leave out": ({}, {"target": "y", "ignore": ("q",)}),
    "no such weights": ({}, NUMBER | {"weights": "q"}),
    "no such column of the split": ({}, NUMBER | {"split": "column:q"}),
    "y < 0 of poisson": ({"y": -1.0}, NUMBER | {"loss": "poisson"}),
    "y <= 0 of gamma": ({"y": 0.0}, NUMBER | {"loss": "gamma"}),
    "y < 0 of tweedie": ({"y": -0.5}, NUMBER | {"loss": "tweedie"}),
    "an infinite target": ({"y": np.inf}, NUMBER),
    "an infinite input": ({"a": -np.inf}, NUMBER),
    "beyond float32": ({"b": 1e60}, NUMBER | {"scaling": "none"}),
    "a negative weight": ({"w": -1.0}, CLASSES | WEIGHTED),
    "a missing weight": ({"w": np.nan}, CLASSES | WEIGHTED),
    "no weight above 0": ({"w": lambda c: 0 * c["b"]}, CLASSES | WEIGHTED),
    "words as weights": ({}, NUMBER | {"weights": "kind", "ignore": ("w", "part", "few", "day")}),
    "words in a regression": ({}, CLASSES | {"task": "regression"}),
    "a loss of classes": ({}, NUMBER | {"loss": "cross_entropy"}),
    "a loss of numbers": ({}, CLASSES | {"loss": "huber"}),
    "class weights of numbers": ({}, NUMBER | {"class_weight": "balanced"}),
    "one value": ({"y": lambda c: 0 * c["b"]}, NUMBER),
    "few targets": ({"y": lambda c: np.where(np.arange(N) < 5, c["b"], np.nan)}, NUMBER),
    "a part misspelt": ({"part": "tset"}, CASES["a column of parts"]),
    "nothing to train on": (
        {"part": lambda c: np.full(N, "test", object)},
        CASES["a column of parts"],
    ),
    "a class in no training row": (
        {"part": lambda c: np.where(c["kind"] == "mid", "test", "train").astype(object)},
        CLASSES | {"split": "column:part", "ignore": ("w", "y", "few", "day")},
    ),
    "words as times": ({}, NUMBER | {"split": "time:kind", "ignore": ("w", "part", "few", "day")}),
    "a time missing": (
        {"day": lambda c: np.where(np.arange(N) == BAD, np.nan, c["day"])},
        CASES["times with ties"],
    ),
    "too many classes": ({}, {"target": "a", "task": "classification", "ignore": ("part", "kind")}),
    "an empty input": ({"a": lambda c: c["a"] * np.nan}, NUMBER),
}
BAD_MATRICES = {
    "no such target": ({}, {"target": "7"}),
    "weights": ({}, {"target": "1", "weights": "w"}),
    "a column of the split": ({}, {"target": "1", "split": "column:part"}),
    "times": ({}, {"target": "1", "split": "time:day"}),
    "categories": ({}, {"target": "1", "categorical": ("a",)}),
    "an infinite target": ({"b": np.inf}, {"target": "1"}),
    "no target": ({"b": np.nan}, {"target": "1"}),
    "an infinite input": ({"w": np.inf}, {"target": "1"}),
    "y < 0 of poisson": ({"b": -1.5}, {"target": "1", "loss": "poisson"}),
    "y <= 0 of gamma": (
        {"b": lambda c: np.where(np.arange(N) == BAD, 0, c["b"] + 0.5)},
        {"target": "1", "loss": "gamma"},
    ),
}


def refused(path, **more):
    held, stream = both(path, **more)
    assert isinstance(held, TrainingError) and isinstance(stream, TrainingError)
    assert (type(stream), str(stream)) == (type(held), str(held))
    return str(held)


@pytest.mark.parametrize("name", BAD_TABLES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_bad_table_is_refused_in_the_same_words(kind, name, tmp_path, rng):
    more, given = BAD_TABLES[name]
    text = refused(write(tmp_path, kind, changed(rng, **more)), **given)
    if any(value == value and not callable(value) for value in more.values()):
        assert f"row {BAD + 1}: " in text or f"line {BAD + 2}: " in text


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_a_bad_matrix_is_refused_in_the_same_words(name, tmp_path, rng, monkeypatch):
    monkeypatch.setattr("fastrelu.app.data.stream.npy.CHUNK_BYTES", 5000)
    more, given = BAD_MATRICES[name]
    made = changed(rng, **more)
    del made["y"]
    text = refused(write(tmp_path, "npy", made), **given)
    assert not more or f"row {BAD + 1}: " in text


# Going on


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_rows_that_are_made_ready_later_are_the_same(tmp_path, rng, monkeypatch, kind):
    """The test rows take no memory while a network is trained, and are refused before it is."""
    for room in ("run.rows", "preprocess.examples"):
        monkeypatch.setattr(f"fastrelu.app.{room}.BATCH_ROWS", 16)
    monkeypatch.setattr("fastrelu.app.run.rows.CHECKED_ROWS", 7)
    n = 300
    y = rng.normal(size=n) if kind == "regression" else rng.choice(["a", "b"], n)
    columns = {"x": rng.normal(size=n), "k": rng.choice(["u", "v"], n), "w": rng.random(n), "y": y}
    flags = {"weights": "w"} | ({"class_weight": "balanced"} if kind != "regression" else {})
    settings = merge({"target": "y"}, flags)
    table = table_from(columns, column_choice(settings), need_target=True)
    prepared = prepare(table, settings)
    later, whole = prepared.parts["test"], prepared.split_rows.ready(table, prepared.rows["test"])
    assert isinstance(later, LaterExamples) and len(later) == len(whole) == 60
    at = 0
    for batch, own in zip(later.batches(), whole.batches(), strict=True):
        for name in ("X", "y", "truth", "loss_weights", "weights"):
            assert np.array_equal(getattr(batch, name), getattr(own, name)), name
        at += len(batch)
    assert at == 60
    plain = prepared.with_settings(replace(prepared.settings, class_weight="none")).parts["test"]
    got = np.concatenate([batch.loss_weights for batch in plain.batches()])
    assert np.array_equal(got, table.weights[prepared.rows["test"]])
    prepared.give_back("test")
    prepared.forget_rows()
    assert "test" not in prepared.parts and prepared.table.n_rows == 0 and prepared.n_rows == n
    columns["x"][later.rows[40]] = 1e300
    bad = table_from(columns, column_choice(settings), need_target=True)
    with pytest.raises(TrainingError, match=f"row {later.rows[40] + 1}: column 'x'.*got 1e\\+300"):
        prepare(bad, settings)


def test_a_fingerprint_does_not_depend_on_how_many_rows_are_hashed_at_once(rng, monkeypatch):
    columns = {"x": rng.normal(size=50), "k": rng.choice(["u", "", "v"], 50), "y": np.arange(50)}
    table = table_from(columns, column_choice(merge({"target": "y"})), need_target=True)
    whole = fingerprint(table)
    monkeypatch.setattr("fastrelu.app.data.stream.memory.HASHED", 7)
    assert fingerprint(table) == whole
    other = table_from(columns | {"k": columns["k"][::-1]}, column_choice(merge({"target": "y"})))
    assert fingerprint(other) != whole


def test_a_run_goes_on_in_memory_where_it_began_so(tmp_path, rng, monkeypatch):
    """Text files were read as a whole once, whatever --memory said."""
    made = {name: np.tile(column, 20) for name, column in columns(rng).items()}
    path = write(tmp_path, "csv", made)
    flags = ["--target", "kind", "--memory", "1MiB", "--hidden", "3", "--epochs", 1]
    with monkeypatch.context() as patched:
        patched.setattr("fastrelu.app.run.session.open_stream", lambda *a: None)
        for name, more in (("one", ()), ("two", ("--seeds", 2))):
            result = run("train", path, *flags, *more, "--out", tmp_path / name)
            assert result.exit_code == 0 and "read in blocks" not in result.output, result.output
    for name in ("one", "two"):
        result = run("train", path, "--resume", tmp_path / name, "--epochs", 2)
        assert result.exit_code == 0 and "read in blocks" not in result.output, result.output
    assert "read in blocks" in run("train", path, *flags).output


def test_a_streamed_run_is_refused_data_that_are_small_now(tmp_path, rng):
    made = columns(rng)
    path = write(tmp_path, "csv", {name: np.tile(c, 20) for name, c in made.items()})
    flags = ["--target", "kind", "--memory", "1MiB", "--hidden", "3", "--epochs", 1]
    result = run("train", path, *flags, "--out", tmp_path / "run")
    assert result.exit_code == 0 and "read in blocks" in result.output, result.output
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    write(tmp_path, "csv", made)
    result = run("train", path, "--resume", tmp_path / "run", "--epochs", 2)
    assert result.exit_code == 6 and "larger than --memory 1MiB and read in blocks" in result.stderr
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before

# SPDX-License-Identifier: BSD-3-Clause
"""Text files in blocks are the table that they are in memory, parsed once and kept on disk."""

import random

import numpy as np
import pytest

pytest.importorskip("pyarrow")
from command_tools import metrics_in, result_of, run
from data_files import write

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.several import concatenate
from fastrelu.app.data.stream import open_stream, read_tables, scratch
from fastrelu.app.data.stream.text import TextStream
from fastrelu.training import DataError


def content(n, seed=0):
    choose = random.Random(seed)
    lines = ["x;w;kind;when;y"]
    for i in range(n):
        kind = choose.choice(["red", '"a;b"', '"two\nlines"', "", "NA"])
        x = "" if i % 9 == 4 else f"{choose.gauss(0, 1):.4f}".replace(".", ",")
        lines.append(f"{x};{i % 3 + 1};{kind};{i % 28 + 1:02d}.03.2024 12:30;{i % 5}")
    return "\n".join(lines) + "\n"


def same_table(a, b):
    assert list(a.columns) == list(b.columns) and a.n_rows == b.n_rows
    for name in a.columns:
        np.testing.assert_array_equal(a.columns[name], b.columns[name])
    np.testing.assert_array_equal(a.target, b.target)
    np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize("memory", [10_000, 1_000_000])
def test_a_stream_is_the_table(tmp_path, memory):
    paths = [write(tmp_path / f"{k}.csv", content(3000, k)) for k in range(2)]
    write(tmp_path / "2.csv", "")
    choice = ColumnChoice("y", weights="w")
    whole = read(paths, choice)
    stream = TextStream(paths, choice, memory).look()
    assert stream.n_rows == 6000 and stream.reading.columns == whole.reading.columns
    assert stream.chunks[-1].first_row + stream.chunks[-1].n_rows == 6000
    for again in (False, True, True):
        parts = [t for chunk in stream.chunks for t in stream.parts(chunk, again)]
        same_table(concatenate(parts), whole)
    assert next(t.first_row for t in stream.parts(stream.chunks[-1])) == (
        stream.chunks[-1].row_in_file
    )


def test_rows_to_predict_are_read_in_one_pass(tmp_path):
    path = write(tmp_path / "t.csv", content(3000))
    whole = read([path], ColumnChoice("y", weights="w"))
    kinds = {"x": "numeric", "kind": "text", "when": "date"}
    choice = ColumnChoice("y", weights="w", kinds=kinds, reading=whole.reading)
    parts = list(read_tables([path], choice, need_target=True, memory=100_000))
    assert len(parts) > 1
    same_table(concatenate(parts), whole)


def test_what_does_not_fit_is_told_with_its_line(tmp_path):
    good = content(2000)
    for bad, says in (
        (good + "1;2;3\n", "line 2391|expected 5 fields"),
        (good + "oops;1;red;01.03.2024;1\n", "column 'x': expected a number"),
        (good + "1;1;red;2024-13-01;1\n", "column 'when': expected a date"),
        (good + "1;1;red;01.03.2024;nan\n", "target 'y': expected a number, got 'nan'"),
    ):
        path = write(tmp_path / "t.csv", bad)
        with pytest.raises(DataError, match=says) as caught:
            open_stream([path], ColumnChoice("y"), 1000)
        assert f"line {bad.count(chr(10))}" in str(caught.value)


@pytest.mark.parametrize("broken", ["full", "words"])
def test_without_a_scratch_file_text_is_parsed_again(tmp_path, monkeypatch, broken):
    path = write(tmp_path / "t.csv", content(3000))
    whole = read([path], ColumnChoice("y"))
    if broken == "full":
        monkeypatch.setattr("os.pwrite", lambda *a: (_ for _ in ()).throw(OSError("full")))
    else:
        monkeypatch.setattr(scratch, "MOST_WORDS", 2)
    stream = TextStream([path], ColumnChoice("y"), 10_000).look()
    for _ in range(2):
        parts = [t for chunk in stream.chunks for t in stream.parts(chunk)]
        same_table(concatenate(parts), whole)


def test_the_command_streams_text_and_repeats_itself(tmp_path):
    path = write(tmp_path / "big.csv", content(40_000))
    outcomes = []
    for name in ("one", "two"):
        result = run(
            "train", path, "--target", "y", "--memory", "2MB", "--epochs", 2, "--hidden", "8",
            "--out", tmp_path / name, "--threads", len(outcomes) + 1,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert "read in blocks of" in result.output and "decimal comma" in result.output
        outcomes.append(result_of(tmp_path / name))
    assert outcomes[0] == outcomes[1] and metrics_in(tmp_path / "one")["rows"]["train"] > 20_000
    assert run("predict", tmp_path / "one", path).output.count("\n") == 40_001

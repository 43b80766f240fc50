# SPDX-License-Identifier: BSD-3-Clause
"""The command from end to end: each kind of file, what it says, what it refuses."""

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
from click.testing import CliRunner

import fastrelu
from fastrelu.training import DataError
from fastrelu.training import run as running
from fastrelu.training.cli import main
from fastrelu.training.preprocess import Inputs, Target
from fastrelu.training.readers import read
from fastrelu.training.table import kind_of

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def metrics_in(folder):
    return json.loads((folder / "metrics.json").read_text())


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def table(tmp_path, rng):
    """Numbers, a category, missing values in both, a missing target."""
    lines = ["size,colour,price"]
    for i in range(300):
        size, colour = rng.normal(), ["red", "blue"][i % 2]
        price = 100 + 30 * size + (20 if colour == "red" else 0)
        size = "" if i % 10 == 7 else size
        lines.append(f"{size},{'?' if i % 10 == 9 else colour},{'NA' if i == 3 else price}")
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_regression_from_csv(table, tmp_path):
    out = tmp_path / "new" / "model"
    flags = ["--target", "price", "--hidden", "16", "--epochs", 60, "--lr", 0.01, "--out", out]
    result = run(table, *flags)
    assert result.exit_code == 0, result.output
    assert "1 of 300 rows have no target: left out" in result.output
    assert "column 'size'" in result.output and "column 'colour'" in result.output
    metrics = metrics_in(out)
    assert metrics["test"]["r2"] > 0.7 and metrics["train"]["rmse"] < 15
    assert metrics["rows"] == {"train": 239, "test": 60, "dropped": 1}
    net = fastrelu.load(out / "model.safetensors")
    assert net.layer_sizes == [5, 16, 1]  # size, its indicator; blue, red, missing
    before = net.parameters.tobytes()
    again = run(table, *flags)
    assert again.exit_code == 5 and "--force" in again.output
    again = run(table, *flags, "--force", "--threads", fastrelu.get_num_threads())
    assert again.exit_code == 0 and metrics_in(out)["test"] == metrics["test"]
    assert fastrelu.load(out / "model.safetensors").parameters.tobytes() == before


def test_saved_preprocessing_makes_the_inputs(table, tmp_path):
    """The reported test R2 follows from the saved files alone."""
    out = tmp_path / "model"
    assert run(table, "--epochs", 5, "--dtype", "float64", "--out", out).exit_code == 0
    recipe = json.loads((out / "preprocessing.json").read_text())
    raw = read([str(table)])
    rows = running.prepare(raw, running.Settings()).rows["test"]
    inputs = Inputs.from_description(recipe["inputs"])
    target = Target.from_description(recipe["target"])
    assert inputs.input_names[:2] == ["size", "size is missing"]
    net = fastrelu.load(out / "model.safetensors")
    guess = target.decode(net(inputs.transform(raw, rows, "float64")))
    truth = raw.target[rows]
    r2 = 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert metrics_in(out)["test"]["r2"] == pytest.approx(r2, abs=1e-9)


def test_classification_from_npz_and_idx(tmp_path, rng):
    labels = rng.integers(0, 3, 400)
    X = (rng.integers(0, 40, (400, 6)) + 90 * np.eye(3)[labels].repeat(2, axis=1)).astype(np.uint8)
    np.savez(tmp_path / "numbers.npz", X=X.astype(float), y=labels)
    np.savez(tmp_path / "text.npz", X=X, kind=np.array(["a", "b", "c"])[labels])
    (tmp_path / "images").write_bytes(idx(X.reshape(400, 2, 3)))
    (tmp_path / "labels.gz").write_bytes(gzip.compress(idx(labels.astype(np.uint8))))
    cases = (["numbers.npz"], ["text.npz", "--target", "kind"], ["images", tmp_path / "labels.gz"])
    scales = []
    for i, (name, *rest) in enumerate(cases):
        out = tmp_path / f"out{i}"
        flags = ["--quiet", "--epochs", 30, "--lr", 0.01, "--out", out]
        result = run(tmp_path / name, *rest, *flags)
        assert result.exit_code == 0, result.output
        assert result.output.startswith("test accuracy: ") and result.output.count("\n") == 1
        assert metrics_in(out)["test"]["accuracy"] > 0.9
        scales.append(fastrelu.load(out / "model.safetensors").scale)
    assert scales == pytest.approx([1.0, 1 / 255, 1 / 255])


@pytest.mark.parametrize(
    ("name", "least"), [("digits", 0.93), ("iris", 0.6), ("wine", 0.9), ("diabetes", 0.1)]
)
def test_bundled_names(name, least, tmp_path):
    pytest.importorskip("sklearn")
    result = run(name, "--epochs", 25, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    metrics = metrics_in(tmp_path / "out")["test"]
    assert metrics["r2" if name == "diabetes" else "accuracy"] > least


def test_script_prints_plain_lines(table):
    command = [sys.executable, str(SCRIPT), str(table), "--epochs", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "test R2: " in done.stdout and "\x1b" not in done.stderr
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["1/3", "2/3", "3/3"]


def test_csv_as_people_write_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeff"a b";c\r\n\r\n1,5;x\r\n"2;0"; "q"\r\n'.encode())
    with pytest.raises(DataError, match="two columns"):
        path.write_text("a\n1\n") and read([str(path)])
    path.write_bytes('\ufeff"a b"\tc\r\n\r\n 1.5\tNA\r\nn/a\t-2e3\r\n'.encode())
    table = read([str(path)])
    assert list(table.columns) == ["a b"] and table.target_name == "c"
    np.testing.assert_array_equal(table.columns["a b"], [1.5, np.nan])
    np.testing.assert_array_equal(table.target, [np.nan, -2000])
    path.write_text("code,y\n1_000,1\n20,2\n")
    assert kind_of(read([str(path)]).columns["code"]) == "text"


ROWS = "a,b\n" + "1,2\n3,5.5\n" * 50


@pytest.mark.parametrize(
    ("content", "arguments", "code", "says"),
    [
        (None, [], 3, "no such file"),
        ("", [], 3, "empty"),
        ("a,b\n", [], 3, "expected rows"),
        ("a,b\n1,2\n1,2,3\n", [], 3, "line 3: expected 2 fields"),
        ("1,2\n3,4\n", [], 3, "column names"),
        ("a,a\n3,4\n", [], 3, "'a' twice"),
        ('a,b\n"1,2\n', [], 3, "not CSV"),
        ("a,b\n1,2\n", ["--target", "c"], 3, "no column 'c'; the columns are a, b"),
        ("a,b\n1,2\n", [], 3, "at least 10 rows"),
        ("a,b\n" + "1,2\n" * 20, [], 3, "two different values"),
        ("a,b\n" + "inf,2\n" * 20, [], 3, "column 'a': expected finite numbers"),
        ("a,b\n" + ",2\n,1\n" * 20, [], 3, "column 'a' is empty in every row"),
        ("a,b\n" + "1,x\n2,y\n" * 20, ["--task", "regression"], 3, "got text"),
        ("a,b\n" + "1e300,1.5\n2,3\n" * 20, ["--no-standardize"], 3, "column 'a'"),
        (b"a,b\n\xff,1\n", [], 3, "not UTF-8"),
        (b"\x1f\x8b\x08\0broken", [], 3, "gzip"),
        (gzip.compress(b"a,b\n1,2\n" * 50)[:-9], [], 3, "gzip"),
        (b"PK\x03\x04broken", [], 3, "NPZ"),
        (idx(np.zeros((4, 2), np.uint8)), [], 3, "file of its labels"),
        (idx(np.zeros((4, 2), np.uint8))[:-1], ["SELF"], 3, "expected 20 bytes"),
        (idx(np.zeros((4, 2), np.uint8)), ["SELF"], 3, "one target for each of 4 rows"),
        (ROWS, ["--hidden", "0"], 2, "--hidden"),
        (ROWS, ["--hidden", "8,x"], 2, "--hidden"),
        (ROWS, ["--epochs", "0"], 2, "--epochs"),
        (ROWS, ["--test", "1"], 2, "--test"),
        (ROWS, ["--bogus"], 2, "--bogus"),
        (ROWS, ["--lr", "1e5", "--optimizer", "sgd"], 4, "diverged"),
        (ROWS, ["--out", "SELF"], 5, "cannot be written"),
        (ROWS, ["--out", "SELF/below"], 5, "cannot be written"),
    ],
)
def test_errors(tmp_path, content, arguments, code, says):
    path = tmp_path / "t.dat"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run(path, *[a.replace("SELF", str(path)) for a in arguments])
    assert result.exit_code == code, result.output
    assert says in result.stderr and "Traceback" not in result.output
    if code != 2:  # click's own messages have several lines
        assert result.stderr.splitlines()[-1].startswith("error: ")


def test_npz_errors_name_the_array(tmp_path, rng):
    X, y = rng.normal(size=(20, 2)), np.arange(20) % 2
    cases = {
        "no array 'y'": {"X": X},
        "expected one target": {"X": X, "y": y[1:]},
        "X: expected shape": {"X": y, "y": y},
        "X: expected real numbers": {"X": X.astype(complex), "y": y},
        "'y': expected numbers": {"X": X, "y": y.astype(complex)},
        "'X[1]': expected finite numbers": {"X": np.where(X == X[3, 1], np.inf, X), "y": y},
        "cannot be read as NPZ": {"X": X, "y": y.astype(object)},
    }
    for says, arrays in cases.items():
        np.savez(tmp_path / "t.npz", **arrays)
        result = run(tmp_path / "t.npz")
        assert result.exit_code == 3 and says in result.stderr, result.output


def test_flags_that_do_not_go_together():
    assert run("digits", "labels").exit_code == 2
    assert run("digits", "--target", "y").exit_code == 2

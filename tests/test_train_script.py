# SPDX-License-Identifier: BSD-3-Clause
import gzip
import json
import struct

import numpy as np
import pytest

pytest.importorskip("click")
from click.testing import CliRunner

import fastrelu
from fastrelu.training.cli import main


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def table(tmp_path, rng):
    """Numbers, a category, missing values in both, a missing target."""
    lines = ["size,colour,price"]
    for i in range(300):
        size, colour = rng.normal(), rng.choice(["red", "blue"])
        price = 100 + 30 * size + (20 if colour == "red" else 0)
        cells = ["" if i == 7 else size, "" if i == 9 else colour, "NA" if i == 3 else price]
        lines.append(",".join(str(cell) for cell in cells))
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_regression_from_csv(table, tmp_path):
    out = tmp_path / "model"
    result = run(table, "--target", "price", "--hidden", "16", "--epochs", 60, "--lr", 0.01,
                 "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1 rows without price left out" in result.output
    assert "size: 1 missing values become the training median" in result.output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["r2"] > 0.8 and metrics["train"]["rmse"] < 15
    assert fastrelu.load(out / "model.safetensors").layer_sizes == [5, 16, 1]
    again = run(table, "--out", out)
    assert again.exit_code == 2 and "--force" in again.output


def test_classification_from_npz_and_idx(tmp_path, rng):
    labels = rng.integers(0, 3, 400)
    X = (rng.integers(0, 40, (400, 6)) + 90 * np.eye(3)[labels].repeat(2, axis=1)).astype(np.uint8)
    np.savez(tmp_path / "d.npz", X=X.astype(float), y=labels)
    images, names = tmp_path / "images-idx3-ubyte", tmp_path / "labels-idx1-ubyte.gz"
    images.write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 400, 2, 3) + X.tobytes())
    names.write_bytes(gzip.compress(
        b"\0\0\x08\x01" + struct.pack(">I", 400) + labels.astype(np.uint8).tobytes()))  # fmt: skip
    for data in ([tmp_path / "d.npz"], [images, names]):
        out = tmp_path / f"out{len(data)}"
        result = run(*data, "--quiet", "--epochs", 30, "--lr", 0.01, "--out", out)
        assert result.exit_code == 0, result.output
        assert json.loads((out / "metrics.json").read_text())["test"]["accuracy"] > 0.9


def test_bundled_names():
    pytest.importorskip("sklearn")
    result = run("iris", "--epochs", 60)
    assert result.exit_code == 0 and "test accuracy" in result.output


@pytest.mark.parametrize(
    ("content", "arguments", "code", "says"),
    [
        (None, [], 3, "no such file"),
        ("", [], 3, "empty"),
        ("a,b\n1,2,3\n", [], 3, "line 2"),
        ("a,b\n1,2\n", ["--target", "c"], 3, "no column 'c'"),
        ("a,b\n1,2\n", [], 3, "rows to train"),
        ("a,b\n" + "1,x\n2,y\n" * 20, ["--task", "regression"], 3, "found text"),
        ("a,b\n" + "1,2\n", ["--hidden", "0"], 2, "widths"),
        ("a,b\n" + "1,2\n3,5.5\n" * 50, ["--lr", "1e30", "--optimizer", "sgd"], 4, "diverged"),
    ],
)
def test_errors(tmp_path, content, arguments, code, says):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_text(content)
    result = run(path, *arguments)
    assert result.exit_code == code, result.output
    assert says in result.output and "Traceback" not in result.output


def test_cannot_write(table, tmp_path):
    (tmp_path / "file").write_text("")
    result = run(table, "--epochs", 1, "--out", tmp_path / "file" / "below")
    assert result.exit_code == 5, result.output

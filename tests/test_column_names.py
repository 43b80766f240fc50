# SPDX-License-Identifier: BSD-3-Clause
"""Columns by name: spaces, dots, commas, doubles, a frame's labels, positions in an array."""

import json

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from command_tools import run
from data_files import write
from pyarrow import parquet

from fastrelu.app import kinds
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.settings import shown
from fastrelu.training import DataError, DataWarning, load_model


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        ('"Zeit, s",b', ("Zeit, s", "b")),
        ('a, "say ""x"""', ("a", 'say "x"')),
        ('5" pipe', ('5" pipe',)),
    ],
)
def test_names_in_flags(text, names):
    assert kinds.Names().from_text(text) == names
    assert kinds.Names().from_text(shown(names)) == names


@pytest.mark.parametrize("text", ["", "a,,b", '"a', '"a"b', "a\nb"])
def test_names_that_are_none(text):
    with pytest.raises(ValueError, match="in double quotes"):
        kinds.Names().from_text(text)


def test_a_name_with_a_comma_in_the_command(tmp_path, rng):
    lines = ["Zeit, s;Kraft;y", *(f"{x};{-x};{x}" for x in rng.normal(size=60).round(3))]
    path = write(tmp_path / "t.csv", "\n".join(lines))
    out = tmp_path / "run"
    flags = ["--features", '"Zeit, s"', "--epochs", 1, "--out", out]
    assert run("train", path, *flags).exit_code == 0
    assert list(load_model(out).inputs.column_names) == ["Zeit, s"]
    resumed = run("train", "--resume", out, "--features", "Kraft")
    assert resumed.exit_code == 6 and '--features Kraft (it was "Zeit, s")' in resumed.stderr


def pandas_table(n, rng, named):
    columns = {"x": rng.normal(size=n), "y": np.arange(n) / 7}
    columns["patient" if named else "__index_level_0__"] = rng.permutation(n)
    about = {"index_columns": ["patient"] if named else ["__index_level_0__"], "columns": []}
    return pa.table(columns).replace_schema_metadata({"pandas": json.dumps(about)})


@pytest.mark.parametrize("named", [True, False])
def test_a_frames_labels_are_columns_only_if_named(tmp_path, rng, named):
    path = str(tmp_path / "t.parquet")
    parquet.write_table(pandas_table(5000, rng, named), path, row_group_size=1000)
    label = "patient" if named else "__index_level_0__"
    for choice, inputs in (
        (ColumnChoice(), ["x"]),
        (ColumnChoice("y"), ["x"]),
        (ColumnChoice("y", features=(label, "x")), ["x", label]),
    ):
        table, stream = read([path], choice), ParquetStream([path], choice, 10**7)
        assert list(table.columns) == list(stream.names) == inputs
        assert table.target_name == stream.target_name == "y"
    assert read([path], ColumnChoice(label)).target_name == label


def test_frames_have_the_same_labels():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1, 2], "y": [3, 4]}, index=pandas.Index([7, 8], name="patient"))
    assert list(read(frame).columns) == ["x"] and read(frame).target_name == "y"
    model = ColumnChoice(kinds={"patient": "numeric"})
    assert read(frame, model, need_target=False).columns["patient"].tolist() == [7, 8]


def test_dots_in_names(tmp_path, rng):
    """A name with a dot is no field of a nested column, in a stream neither."""
    n = 4000
    columns = {
        "Sepal.Length": rng.normal(size=n),
        "Sepal": pa.array([{"Length": 1, "Width": 2}] * n),
        "leaf": rng.normal(size=n),
        "leaf.1": rng.normal(size=n),
        "y": np.arange(n) / 3,
    }
    path = str(tmp_path / "t.parquet")
    parquet.write_table(pa.table(columns), path, row_group_size=500)
    with pytest.raises(DataError, match=r"column 'Sepal' has the type struct.*--ignore 'Sepal'"):
        read([path])
    choice = ColumnChoice(ignore=("Sepal",))
    stream = ParquetStream([path], choice, 10**7)
    tables = [part for chunk in stream.chunks for part in stream.parts(chunk)]
    for name in ("Sepal.Length", "leaf", "leaf.1"):
        np.testing.assert_array_equal(read([path], choice).columns[name], columns[name])
        got = np.concatenate([table.columns[name] for table in tables])
        np.testing.assert_array_equal(got, columns[name])
    one = ParquetStream([path], ColumnChoice("y", features=("leaf",)), 10**7)
    assert one.raw_row_bytes == 16  # two columns of doubles


def test_spaces_around_names(tmp_path):
    csv = read([write(tmp_path / "t.csv", " age, ,y \n1,2,3\n4,5,6\n")])
    parquet.write_table(
        pa.table({" age": [1, 4], " ": [2, 5], "y ": [3, 6]}), tmp_path / "t.parquet"
    )
    table = read([str(tmp_path / "t.parquet")])
    assert list(table.columns) == list(csv.columns) == ["age", "column 2"]
    assert table.target_name == csv.target_name == "y"
    assert list(read({" age": [1], "y": [2]}).columns) == ["age"]
    parquet.write_table(pa.table({"a": [1], "a ": [2], "y": [3]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"'a' twice \(columns 1 and 2\)"):
        read([str(tmp_path / "t.parquet")])


def test_positions_are_those_of_the_training_file(tmp_path, rng):
    n = 200
    code, still, size = rng.choice([1, 2, 3], n), np.full(n, 5), rng.normal(size=n).round(3)
    lines = [
        f"{a},{b},{2.0 * (a == 1) + c:.4f},{c}" for a, b, c in zip(code, still, size, strict=True)
    ]
    path = write(tmp_path / "t.csv", "code,still,y,size\n" + "\n".join(lines))
    flags = ["--target", "y", "--categorical", "code", "--epochs", 5, "--out", tmp_path / "run"]
    assert run("train", path, *flags).exit_code == 0
    model = load_model(tmp_path / "run")
    X = np.column_stack([code, still, size])
    expected = model.predict({"code": code, "still": still, "size": size})
    np.testing.assert_array_equal(model.predict(X), expected)
    np.save(tmp_path / "X.npy", X)
    printed = run("predict", tmp_path / "run", tmp_path / "X.npy").stdout.split()[1:]
    np.testing.assert_allclose(np.array(printed, float), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"expected 3 columns, .*\(code, still, size\), got 2"):
        model.predict(X[:, :2])
    np.save(tmp_path / "X.npy", X[:, :2])
    wrong = run("predict", tmp_path / "run", tmp_path / "X.npy")
    assert wrong.exit_code == 3 and "(code, still, size), got 2" in wrong.stderr


def test_a_misspelled_column_is_named(tmp_path, rng):
    lines = [f"{a},{b},{a + b}" for a, b in rng.normal(size=(60, 2)).round(3)]
    path = write(tmp_path / "t.csv", "width,height,y\n" + "\n".join(lines))
    assert run("train", path, "--epochs", 1, "--out", tmp_path / "run").exit_code == 0
    says = r"column 'height': not there \(did you mean 'hieght'\?\): taken as missing in 2 rows"
    with pytest.warns(DataWarning, match=says):
        load_model(tmp_path / "run").predict({"width": [1, 2], "hieght": [1, 2]})
    for name in ("new.csv", "new.parquet"):
        if name == "new.csv":
            write(tmp_path / name, "width,hieght\n1,2\n3,4\n")
        else:
            parquet.write_table(pa.table({"width": [1, 2], "hieght": [1, 2]}), tmp_path / name)
        stderr = run("predict", tmp_path / "run", tmp_path / name).stderr
        assert "column 'height': not there (did you mean 'hieght'?)" in stderr

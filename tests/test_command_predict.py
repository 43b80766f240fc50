# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu predict``, ``evaluate``, ``info``, ``plot``, and the model in Python."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command_tools import metrics_in, run, write_table

import fastrelu
from fastrelu.training import DataError, DataWarning, load_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A table, and a run: a classifier of colours by numbers and text."""
    folder, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(20260101)
    lines = ["width,height,shape,colour"]
    for i in range(200):
        red = i % 2
        lines.append(
            f"{rng.normal() + 3 * red},{rng.normal()},{['round', 'square'][i % 3 == 0]},"
            f"{['blue', 'red'][red]}"
        )
    (folder / "train.csv").write_text("\n".join(lines))
    result = run("train", folder / "train.csv", "--epochs", 20, "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def model(trained, tmp_path):
    """The run, as if it had been trained in the test's own folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_in_any_order_without_the_target(model, tmp_path):
    (tmp_path / "new.csv").write_text("shape,width,extra,height\nround,3,x,0\nsquare,0,y,0\n")
    result = run("predict", model, tmp_path / "new.csv", "--proba")
    assert result.exit_code == 0 and not result.stderr, result.output
    rows = rows_of(result.stdout)
    assert [row["prediction"] for row in rows] == ["red", "blue"]
    for row in rows:
        chances = {c: float(row[f"probability {c}"]) for c in ("blue", "red")}
        assert sum(chances.values()) == pytest.approx(1)
        assert max(chances, key=chances.get) == row["prediction"]


def test_what_training_has_not_seen_is_counted(model, tmp_path):
    (tmp_path / "new.csv").write_text("shape,width\nround,3\noval,0\noval,\n")
    result = run("predict", model / "model.safetensors", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    assert len(rows_of(result.stdout)) == 3
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert any("'shape'" in w and "2" in w for w in warnings)
    assert any("'height'" in w and "3" in w for w in warnings)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert run("predict", model, tmp_path / "other.csv").exit_code == 3


def test_output_file(model, tmp_path):
    out = tmp_path / "p.csv"
    data = tmp_path / "train.csv"
    assert run("predict", model, data, "--out", out).exit_code == 0
    assert len(rows_of(out.read_text())) == 200
    again = run("predict", model, data, "--out", out)
    assert again.exit_code == 5 and "--force" in again.stderr
    assert run("predict", model, data, "--out", out, "--force").exit_code == 0
    bad = run("predict", model, data, "--out", tmp_path / "no" / "p.csv")
    assert bad.exit_code == 5 and "cannot be written" in bad.stderr
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_evaluate(model, tmp_path):
    result = run("evaluate", model, tmp_path / "train.csv", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    counts = metrics_in(model)
    parts = ("train", "validation", "test")
    hits = sum(counts[part]["accuracy"] * counts["rows"][part] for part in parts)
    assert found.pop("rows") == 200 and found["accuracy"] == pytest.approx(hits / 200)
    assert list(found) == ["accuracy", "balanced_accuracy", "roc_auc", "average_precision", "brier"]
    assert "accuracy: 0." in run("evaluate", model, tmp_path / "train.csv").stdout
    (tmp_path / "new.csv").write_text("width,height,shape,colour\n1,2,round,green\n")
    unknown = run("evaluate", model, tmp_path / "new.csv")
    assert unknown.exit_code == 3 and "green" in unknown.stderr
    (tmp_path / "new.csv").write_text("width,height,shape\n1,2,round\n")
    absent = run("evaluate", model, tmp_path / "new.csv")
    assert absent.exit_code == 3 and "the model's target: no column 'colour'" in absent.stderr


def test_info(model):
    result = run("info", model)
    assert result.exit_code == 0, result.output
    for text in ("classification", "colour", "blue, red", "width", "load_model"):
        assert text in result.stdout
    facts = json.loads(run("info", model, "--json").stdout)
    assert facts["test"] == metrics_in(model)["test"]
    assert sorted(facts["columns"]) == ["height", "shape", "width"]


def test_plot(model, tmp_path):
    pytest.importorskip("matplotlib")
    result = run("plot", model)
    assert result.exit_code == 0, result.output
    pictures = [line for line in result.stdout.splitlines() if line.endswith(".png")]
    assert pictures and (model / "history.png").read_bytes()[:4] == b"\x89PNG"
    assert run("plot", tmp_path).exit_code == 3


def test_model_files_from_elsewhere(model, tmp_path):
    net = fastrelu.Network([2, 1])
    net.save(tmp_path / "bare.safetensors")
    (tmp_path / "text.safetensors").write_text("no model")
    cut = (model / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(cut[: len(cut) // 2])
    for name, says in (
        ("bare", "a bare network"),
        ("text", "not a model"),
        ("cut", "not a model"),
        ("none", "no such file"),
    ):
        for command in ("info", "predict", "evaluate"):
            extra = [] if command == "info" else [tmp_path / "train.csv"]
            result = run(command, tmp_path / f"{name}.safetensors", *extra)
            assert result.exit_code == 3 and says in result.stderr, result.output
    result = run("info", tmp_path)
    assert result.exit_code == 3 and "holds no model.safetensors" in result.stderr


def test_in_python(model, tmp_path):
    loaded = load_model(model)
    columns = {"height": [0.0, 0.0], "shape": ["round", None], "width": [3.0, -1.0]}
    with pytest.warns(DataWarning, match="'shape': 1 values missing, .*: all zeros"):
        assert loaded.predict(columns).tolist() == ["red", "blue"]
    columns["shape"] = ["round", "square"]
    assert loaded.predict_proba(columns).shape == (2, 2) and loaded.classes == ["blue", "red"]
    assert not loaded.seen
    columns["hieght"] = columns.pop("height")
    with pytest.warns(DataWarning, match=r"'height': not there \(did you mean 'hieght'\?\).* 2 "):
        loaded.predict(columns)
    assert loaded.seen["missing column", "height"] == 2
    with pytest.raises(ValueError, match="expected 3 columns"):
        loaded.predict(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="one length"):
        loaded.predict({"width": [1.0], "height": [1.0, 2.0]})
    with pytest.raises(DataError):
        load_model(tmp_path / "none")


@pytest.mark.parametrize("name", ["run", 'it\'s a "run"', "dir\\new"])
def test_the_line_for_python_runs_as_it_is_pasted(name, tmp_path, rng):
    table, folder = write_table(tmp_path / "data.csv", rng), tmp_path / name
    trained = run("train", table, "--epochs", 1, "--hidden", 4, "--out", folder)
    shown, described = run("info", folder), run("info", folder, "--json")
    assert trained.exit_code == shown.exit_code == described.exit_code == 0
    found = [
        line.partition("n Python: ")[2]
        for line in (trained.stdout + shown.stdout).splitlines()
        if re.match("[iI]n Python: ", line)
    ]
    pasted = {*found, json.loads(described.stdout)["in Python"]}
    assert len(found) == 2 and len(pasted) == 1
    session = "import fastrelu\nrows = {'size': [0.5], 'colour': ['red']}\n"
    session += "".join(f"print({line}.shape)\n" for line in pasted)
    done = subprocess.run([sys.executable, "-c", session], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["(1,)", ""], done.stderr


def test_data_frames(model):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"shape": ["round", None], "width": [3, -1], "height": [0.0, None]})
    with pytest.warns(DataWarning) as caught:
        assert load_model(model).predict(frame).tolist() == ["red", "blue"]
    assert len(caught) == 2 and caught[0].filename == __file__


def test_regression_in_its_own_unit(tmp_path, rng):
    path = write_table(tmp_path / "t.csv", rng)
    out = tmp_path / "run"
    flags = ["--epochs", 40, "--lr", 0.01, "--out", out]
    assert run("train", path, *flags).exit_code == 0
    found = rows_of(run("predict", out, path).stdout)
    assert len(found) == 300
    values = np.array([float(row["prediction"]) for row in found])
    assert abs(values.mean() - 110) < 10
    assert run("predict", out, path, "--proba").exit_code == 2
    np.testing.assert_allclose(
        load_model(out).predict({"size": [0.0], "colour": ["red"]}), [120], atol=8
    )


def test_parquet_in_parts_gives_the_same(model, tmp_path, rng, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    import fastrelu.app.data.stream as streaming

    n = 60_000
    columns = {
        "height": rng.normal(size=n),
        "shape": rng.choice(["round", "square"], n),
        "width": rng.normal(size=n) * 3,
        "colour": rng.choice(["red", "blue"], n),
    }
    table = pyarrow.table(columns)
    path = tmp_path / "new.parquet"
    parquet.write_table(table, path, row_group_size=7_000)
    whole = run("predict", model, path).stdout
    scores = run("evaluate", model, path).stdout
    real, parts = streaming.open_stream, []

    def small(paths, choice, memory, need_target=True):
        stream = real(paths, choice, 2 * 10**6, need_target)
        parts.append(len(stream.chunks))
        return stream

    monkeypatch.setattr(streaming, "open_stream", small)
    assert run("predict", model, path).stdout == whole and whole.count("\n") == n + 1
    assert run("evaluate", model, path).stdout == scores and parts == [9, 9]


def test_columns_are_kept_in_every_format(model, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    (tmp_path / "new.csv").write_text(
        "id,width,shape,height,when\n007,3,round,0,2024-01-31\nNA,0,square,0,x\n"
    )
    result = run("predict", model, tmp_path / "new.csv", "--keep", "id,when,width")
    assert result.stdout.splitlines()[:2] == ["id,when,width,prediction", "007,2024-01-31,3,red"]
    table = pyarrow.table(
        {
            "id": pyarrow.array([7, None], pyarrow.int64()),
            "width": [3.0, 0.0],
            "shape": pyarrow.array(["round", "square"]).dictionary_encode(),
            "height": [0.0, 0.0],
            "price": pyarrow.array(["1.50", None]).cast(pyarrow.decimal128(9, 2)),
        }
    )
    parquet.write_table(table, tmp_path / "new.parquet")
    keep = ["--keep", "id,price,shape"]
    result = run("predict", model, tmp_path / "new.parquet", *keep)
    assert result.stdout.splitlines()[1:] == ["7,1.50,round,red", ",,square,blue"]
    for name, read in (("p.parquet", parquet.read_table), ("p.arrow", feather.read_table),
                       ("p.feather", feather.read_table)):  # fmt: skip
        out = tmp_path / name
        result = run("predict", model, tmp_path / "new.parquet", *keep, "--proba", "--out", out)
        assert result.exit_code == 0, result.output
        got = read(out)
        assert got.schema.field("id").type == pyarrow.int64()
        assert got.column_names == [
            "id", "price", "shape", "prediction", "probability blue", "probability red",
        ]  # fmt: skip
        assert got["prediction"].to_pylist() == ["red", "blue"]
        assert got["id"].to_pylist() == [7, None] and str(got["price"][0].as_py()) == "1.50"
    for flags, code, says in (
        (["--keep", "idd"], 3, "--keep: no column 'idd' (did you mean 'id'?)"),
        (["--keep", "prediction"], 2, "--keep prediction: the predictions have a column"),
        (["--out", tmp_path / "p.json"], 2, "expected the ending .csv, .parquet"),
    ):
        result = run("predict", model, tmp_path / "new.parquet", *flags)
        assert result.exit_code == code and says in result.stderr, result.output
        assert not result.stdout


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_a_header_without_rows_is_given_back(model, tmp_path, form):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    table = pyarrow.table(
        {"id": pyarrow.array([], pyarrow.int64()), "width": pyarrow.array([], pyarrow.float64()),
         "shape": pyarrow.array([], pyarrow.string()),
         "height": pyarrow.array([], pyarrow.float64())}
    )  # fmt: skip
    data, out = tmp_path / f"none.{form}", tmp_path / f"p.{form}"
    if form == "csv":
        data.write_text("id,width,shape,height\n")
    else:
        {"parquet": parquet.write_table, "arrow": feather.write_feather}[form](table, str(data))
    result = run("predict", model, data, "--keep", "id", "--proba")
    assert result.exit_code == 0, result.output
    header = ["id", "prediction", "probability blue", "probability red"]
    assert result.stdout == ",".join(header) + "\n"
    assert run("predict", model, data, "--keep", "id", "--proba", "--out", out).exit_code == 0
    if form == "csv":
        assert out.read_text() == ",".join(header) + "\n"
    else:
        read = {"parquet": parquet.read_table, "arrow": feather.read_table}[form]
        assert read(out).column_names == header and read(out).num_rows == 0
    assert run("evaluate", model, data).exit_code == 3


def test_nothing_is_written_before_a_failure(model, tmp_path, monkeypatch):
    """A fault in a late part of a stream leaves standard output and --out empty."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    import fastrelu.app.data.stream as streaming

    n = 30_000
    heights = np.zeros(n)
    heights[-1] = np.inf
    columns = {"height": heights, "shape": ["round"] * n, "width": np.zeros(n)}
    path = tmp_path / "new.parquet"
    parquet.write_table(pyarrow.table(columns), path, row_group_size=3_000)
    real = streaming.open_stream
    monkeypatch.setattr(streaming, "open_stream", lambda p, c, m, t=True: real(p, c, 1_500_000, t))
    result = run("predict", model, path)
    assert result.exit_code == 3 and not result.stdout and "row 30000" in result.stderr
    result = run("predict", model, path, "--out", tmp_path / "p.csv")
    assert result.exit_code == 3 and not (tmp_path / "p.csv").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".p")]


def test_rows_in_python(model):
    """One row or several, by name or by position; evaluation with targets of either kind."""
    loaded = load_model(model)
    row = {"width": 3.0, "height": 0.0, "shape": "round"}
    for rows in (row, [row], {k: [v] for k, v in row.items()}, [[3.0, 0.0, "round"]]):
        assert loaded.predict(rows).tolist() == ["red"]
    with pytest.raises(ValueError, match=r"\(width, height, shape\), got 2"):
        loaded.predict([[1.0, 2.0]])
    rows = [row, row | {"width": -1.0}]
    both = loaded.evaluate([r | {"colour": c} for r, c in zip(rows, ("red", "red"), strict=True)])
    assert both.result()["accuracy"] == 0.5
    assert loaded.evaluate(rows, y=["red", "blue"]).result()["accuracy"] == 1
    weighted = loaded.evaluate(rows, y=["red", "red"], sample_weight=[3, 1])
    assert weighted.result()["accuracy"] == 0.75
    with pytest.raises(DataError, match="y: expected 2 values, got 1"):
        loaded.evaluate(rows, y=["red"])
    with pytest.raises(DataError, match="'green' is none of the classes"):
        loaded.evaluate(rows, y=["red", "green"])

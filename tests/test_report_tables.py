# SPDX-License-Identifier: BSD-3-Clause
"""Summaries of columns, a model's tables, and the pictures of a run's folder."""

import csv
from pathlib import Path

import numpy as np
import pytest
from report_tools import content_of, flowers, prices

from fastrelu.app.data.sample import spread_sample
from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.errors import DataError
from fastrelu.app.report import (
    PREDICTIONS,
    Evaluated,
    describe_model,
    plot_run,
    predictions_bytes,
    summarize_columns,
)
from fastrelu.app.report import summary as summary_module
from fastrelu.app.report.columns import treatments
from fastrelu.app.report.kept import load_predictions


def test_columns_of_each_kind_are_summarized():
    days = np.array(["2024-03-01", "NaT", "2024-01-05T06:07:08", "2024-02-01"], "datetime64[us]")
    table = Table(
        "t",
        4,
        {
            "n": np.array([1.0, np.nan, 3.0, 8.0]),
            "i": np.array([1, 2, 3, 4], np.int32),
            "s": np.array(["b", "a", "", "b"], object),
            "d": days,
        },
        target=np.array([0.0, 1.0, 1.0, np.nan]),
        target_name="y",
        weights=np.array([1.0, 2.0, 1.0, 1.0]),
    )
    n, i, s, d, y, w = summarize_columns(table)
    assert (n["kind"], n["missing"], n["mean"], n["min"], n["max"]) == ("number", 1, 4.0, 1.0, 8.0)
    assert n["std"] == pytest.approx(np.std([1, 3, 8]))
    assert i["std"] == pytest.approx(np.std([1, 2, 3, 4])) and i["missing"] == 0
    assert (s["kind"], s["missing"], s["n_categories"]) == ("text", 1, 2)
    assert s["top"] == [("b", 2), ("a", 1)]
    assert (d["kind"], d["missing"]) == ("date", 1)
    assert (d["min"], d["max"]) == ("2024-01-05T06:07:08", "2024-03-01T00:00:00")
    assert (y["role"], y["missing"], y["top"]) == ("target", 1, [("1", 2), ("0", 1)])
    assert w["role"] == "weights" and w["mean"] == 1.25
    n, *_ = summarize_columns(table, np.array([0, 3]))
    assert (n["rows"], n["missing"], n["mean"]) == (2, 0, 4.5)


def test_a_column_without_values_has_no_statistics():
    table = Table("t", 2, {"n": np.full(2, np.nan), "d": np.full(2, "NaT", "datetime64[us]")})
    n, d = summarize_columns(table)
    assert n["missing"] == d["missing"] == 2 and "mean" not in n and "min" not in d


def test_huge_numbers_do_not_overflow():
    (entry,) = summarize_columns(Table("t", 2, {"n": np.array([1e300, -1e300])}))
    assert entry["mean"] == 0 and entry["std"] == pytest.approx(1e300)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_matrix_is_summarized_column_by_column(sparse, monkeypatch):
    monkeypatch.setattr(summary_module, "BLOCK", 15)  # several blocks
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) * (rng.random((40, 3)) > 0.5)
    X[3, 1] = np.nan
    X[:, 2] = 0
    rows = np.arange(39, 0, -2)
    matrix = pytest.importorskip("scipy.sparse").csr_array(X) if sparse else X
    table = Table("t", 40, matrix=matrix, matrix_names=["a", "b", "c"])
    for entry, column in zip(summarize_columns(table, rows), X[rows].T, strict=True):
        assert entry["missing"] == np.isnan(column).sum()
        assert entry["mean"] == pytest.approx(np.nanmean(column))
        assert entry["std"] == pytest.approx(np.nanstd(column))
        assert entry["min"] == np.nanmin(column) and entry["max"] == np.nanmax(column)


def test_images_are_one_entry_with_their_mean():
    X = np.arange(5 * 36).reshape(5, 36).astype(np.uint8)
    table = Table("t", 5, matrix=X, matrix_names=NumberedNames("X[", "]", 36))
    (entry,) = summarize_columns(table)
    assert (entry["kind"], entry["n_columns"], entry["max"]) == ("byte", 36, 179)
    assert entry["mean"] == pytest.approx(X.mean()) and entry["std"] == pytest.approx(X.std())
    np.testing.assert_allclose(entry["means"], X.mean(axis=0).reshape(6, 6))


def test_a_stream_is_sampled_evenly():
    pieces = [
        (Table("a", 10, {"x": np.arange(10.0)}), None),
        (Table("b", 10, {"x": np.arange(10.0, 20)}), np.array([1, 3, 5, 7])),
        (Table("c", 10, {"x": np.arange(20.0, 30)}), np.array([], np.intp)),
    ]
    assert spread_sample(iter(pieces), 14, 99).columns["x"].tolist() == [*range(10), 11, 13, 15, 17]
    few = spread_sample(iter(pieces), 14, 7)
    assert few.columns["x"].tolist() == [0, 2, 4, 6, 9, 11, 17] and few.source == "a"


def rendered(model):
    console = pytest.importorskip("rich.console").Console(width=100)
    with console.capture() as captured:
        console.print(describe_model(model))
    return captured.get()


def test_a_model_is_described():
    model = content_of(flowers(), epochs=1).model
    text = rendered(model)
    n = model.network.n_parameters
    for part in (f"{n:,} parameters, float32", "6 to 16", "relu", "linear", "flower", "test"):
        assert part in text
    assert "an input for each of (missing), blue, red" in text
    assert "iris, rose, tulip" in text
    made = {each.column: each for each in treatments(model.inputs)}
    assert sum(each.n_inputs for each in made.values()) == model.inputs.n_inputs
    assert made["b"].n_inputs == 2 and "an input that says so" in made["b"].text


def test_columns_named_like_markup_are_text():
    table = prices()
    table.columns["[red]x[/nothing]"] = table.columns.pop("luck")
    assert "[red]x[/nothing]" in rendered(content_of(table, epochs=1).model)


def saved_run(folder: Path, table: Table):
    content = content_of(table, epochs=3)
    with open(folder / "history.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(content.history[0]))
        writer.writeheader()
        writer.writerows(content.history)
    (folder / PREDICTIONS).write_bytes(predictions_bytes(content))
    return content


def test_pictures_of_a_run(tmp_path):
    pytest.importorskip("matplotlib")
    expected = {
        flowers: ["history.png", "confusion_matrix.png", "calibration.png"],
        prices: ["history.png", "predictions.png", "residuals.png"],
    }
    for make, names in expected.items():
        folder = tmp_path / make.__name__
        folder.mkdir()
        saved_run(folder, make())
        written = plot_run(folder)
        assert [path.name for path in written] == names
        for path in written:
            assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert {p.name for p in folder.iterdir()} == {*names, "history.csv", PREDICTIONS}


def test_pictures_of_a_run_at_work_are_its_curves(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "history.csv").write_text("epoch,loss,val_loss,learning_rate\n1,0.5,,0.01\n")
    assert [path.name for path in plot_run(tmp_path)] == ["history.png"]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, "holds no run"),
        ({"history.csv": b"epoch,loss\n"}, "no epoch"),
        ({"history.csv": b"epoch,loss\n1,\xff\n"}, "damaged"),
        ({"history.csv": b"epoch,loss\n1,2\n", PREDICTIONS: b"PK no"}, "damaged"),
        ({"history.csv": b"epoch,loss\n1,1e308\n2,-1e308\ninf,1\nnan,1\n"}, "no epoch"),
    ],
)
def test_a_damaged_run_is_said_to_be_one(tmp_path, files, text):
    pytest.importorskip("matplotlib")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=text):
        plot_run(tmp_path)


@pytest.mark.parametrize("sure", [[np.nan], [2.0], [-0.5], ["\x1b[31m"], [1], [0.5 + 0j]])
def test_confidences_that_are_none_are_damaged(sure, tmp_path):
    fine = {"truth": [0], "predicted": [1], "classes": ["a", "b"], "target": "y"}
    np.savez(tmp_path / PREDICTIONS, **fine, confidence=np.float32([1.0000001]))
    load_predictions(tmp_path / PREDICTIONS)
    np.savez(tmp_path / PREDICTIONS, **fine, confidence=np.array(sure))
    with pytest.raises(DataError, match="damaged"):
        load_predictions(tmp_path / PREDICTIONS)


def test_kept_predictions_are_few_and_the_same_bytes():
    content = content_of(prices(), epochs=1)
    assert predictions_bytes(content) == predictions_bytes(content)
    truth = np.random.default_rng(0).normal(size=250_000)
    content.evaluated = {"test": Evaluated(truth, truth)}
    assert len(predictions_bytes(content)) < 1_700_000
    content.evaluated = {}
    assert predictions_bytes(content) is None

# SPDX-License-Identifier: BSD-3-Clause
"""The report of ``fastrelu train --out``, and ``fastrelu plot`` and ``info`` of its run."""

import json

import numpy as np
import pytest
from command_tools import metrics_in, run, write_table
from report_tools import Page

import fastrelu.training
from fastrelu.app.report import gather


def page_of(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "it's"
    result = run("train", "iris", "--epochs", 5, "--seed", 3, "--out", folder, "--quiet")
    assert result.exit_code == 0, result.output
    return folder


def test_the_report_of_a_run(iris):
    page = page_of(iris)
    metrics = metrics_in(iris)
    assert f"{100 * metrics['test']['accuracy']:.1f}%" in page.text
    n = metrics["rows"]["test"]
    assert page.row("mean of the classes")[-2:] == [str(n), str(n)]
    assert page.row("batch_size") == ["batch_size", "16"]
    assert page.unbalanced == []
    line = next(t for t in page.texts if "load_model" in t).splitlines()[-1]
    labels = eval(line, {"fastrelu": fastrelu, "rows": np.array([[5.0, 3.4, 1.5, 0.2]])})
    assert labels.tolist() == ["setosa"]


def test_the_pictures_of_a_run(iris):
    pytest.importorskip("matplotlib")
    result = run("plot", iris)
    names = ["history.png", "confusion_matrix.png", "calibration.png"]
    assert result.exit_code == 0 and result.stdout.split("\n")[:-1] == [
        str(iris / n) for n in names
    ]
    assert all((iris / n).stat().st_size > 5000 for n in names)
    assert run("plot", iris / "checkpoints").exit_code == 3


def test_tables_of_a_model(iris):
    result = run("info", iris)
    assert result.exit_code == 0
    for text in ("petal length (cm)", "4 to 128", "setosa, versicolor, virginica", "load_model("):
        assert text in result.stdout


def test_gaps_and_categories_come_into_the_report(tmp_path, rng):
    table = write_table(tmp_path / "prices.csv", rng)
    out = tmp_path / "run"
    result = run("train", table, "--target", "price", "--epochs", 3, "--out", out, "--quiet")
    assert result.exit_code == 0, result.output
    page = page_of(out)
    summary = {row[0]: row for row in page.rows if len(row) == 8}
    assert summary["size"][1] == "number" and summary["size"][2].endswith("%)")
    assert summary["colour"][1] == "text" and summary["colour"][-1].startswith("2: red (")
    assert "1 of 300 rows have no target" in page.text


def test_a_fault_in_the_report_costs_no_model(tmp_path, monkeypatch):
    def fault(*_):
        raise ValueError("of the report")

    monkeypatch.setattr(gather, "gather", fault)
    out = tmp_path / "run"
    result = run("train", "iris", "--epochs", 1, "--out", out)
    assert result.exit_code == 0 and "warning: no report.html (ValueError: of the report)" in (
        result.output
    )
    assert (out / "metrics.json").exists() and not (out / "report.html").exists()


def test_a_new_run_in_the_folder_leaves_nothing_of_the_old_report(iris, monkeypatch):
    monkeypatch.setattr(gather, "report_run", lambda *_: {})
    assert run("train", "iris", "--epochs", 1, "--out", iris, "--force").exit_code == 0
    assert not (iris / "report.html").exists() and not (iris / "predictions.npz").exists()


def test_folds_members_and_candidates_are_in_the_report(tmp_path):
    def page(*flags):
        result = run("train", "iris", *flags, "--epochs", 4, "--out", tmp_path / "run", "--force")
        assert result.exit_code == 0, result.output
        text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        return text, json.loads((tmp_path / "run" / "metrics.json").read_text())

    text, metrics = page("--folds", 3)
    assert "Cross-validation" in text and "fold 3" in text and "standard deviation" in text
    assert f"{100 * metrics['cross_validation']['mean']['accuracy']:.1f}%" in text
    text, metrics = page("--seeds", 3)
    assert "an ensemble of 3 networks" in text and "seed 2" in text
    assert f"{100 * metrics['members'][1]['test']['accuracy']:.1f}%" in text
    text, metrics = page("--search", "--candidates", 3)
    assert "3 candidates tried" in text
    assert f"The model is candidate {metrics['search']['winner']}: " in text
    text, _ = page()
    assert not any(word in text for word in ("Cross-validation", "Members", "candidates tried"))

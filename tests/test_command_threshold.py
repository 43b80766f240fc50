# SPDX-License-Identifier: BSD-3-Clause
"""Rare classes in the command: metrics beside scikit-learn's, --threshold, classes not there."""

import csv
import json

import numpy as np
import pytest
from command_tools import run

from fastrelu import training

sk = pytest.importorskip("sklearn.metrics")


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(900, 3))
    chance = 1 / (1 + np.exp(3.2 - 2 * X[:, 0] - X[:, 1]))
    y = np.where(rng.random(900) < chance, "a fault, seldom seen", "A usual one, of a long name")
    part = np.where(np.arange(900) < 300, "test", np.where(np.arange(900) < 500, "validation", ""))
    part[part == ""] = "train"
    path = tmp_path_factory.mktemp("rare") / "rare.csv"
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["a", "b", "c", "part", "y"])
        rows.writerows([*x, p, label] for x, p, label in zip(X.round(4), part, y, strict=True))
    return path


def trained(rare, tmp_path, *flags):
    out = tmp_path / "run"
    result = run(
        "train", rare, "--target", "y", "--split", "column:part", "--epochs", "4", "--hidden", "8",
        "--out", out, *flags,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out, result.output, json.loads((out / "metrics.json").read_text())


def part_of(rare, name):
    with open(rare, newline="") as file:
        rows = [row for row in csv.DictReader(file) if name in (None, row["part"])]
    return {key: [row[key] for row in rows] for key in ("a", "b", "c", "y")}


@pytest.mark.parametrize("flags", [(), ("--seeds", "2")])
def test_metrics_are_scikit_learns(rare, tmp_path, flags):
    out, output, metrics = trained(rare, tmp_path, *flags)
    rows = part_of(rare, "test")
    model = training.load_model(out)
    p = np.asarray(model.predict_proba(rows), np.float64)
    second = np.array(rows["y"]) == model.classes[1]
    expected = {
        "balanced_accuracy": sk.balanced_accuracy_score(rows["y"], model.predict(rows)),
        "roc_auc": sk.roc_auc_score(second, p[:, 1]),
        "average_precision": sk.average_precision_score(second, p[:, 1]),
        "brier": sk.brier_score_loss(second, p[:, 1]),
    }
    for name, value in expected.items():
        assert metrics["test"][name] == pytest.approx(value, abs=1e-6), name
        assert model.metrics["test"][name] == metrics["test"][name]
    assert f"ROC AUC {expected['roc_auc']:.4f}" in output and "threshold" not in metrics


@pytest.mark.parametrize("rule", ["balanced", "f1", "0.3"])
@pytest.mark.parametrize("flags", [(), ("--seeds", "2")])
def test_a_threshold_is_kept_and_used_everywhere(rare, tmp_path, rule, flags):
    out, output, metrics = trained(rare, tmp_path, "--threshold", rule, *flags)
    model, at = training.load_model(out), metrics["threshold"]["value"]
    assert model.target.threshold == at and f"threshold: {model.classes[1]!r}" in output
    rows = part_of(rare, "test")
    second = np.asarray(model.predict_proba(rows), np.float64)[:, 1] >= at
    labels = np.where(second, model.classes[1], model.classes[0])
    assert (model.predict(rows) == labels).all()
    assert metrics["test"]["accuracy"] == pytest.approx((labels == rows["y"]).mean())
    if rule != "0.3":
        rows = part_of(rare, "validation")
        p = np.asarray(model.predict_proba(rows), np.float64)[:, 1]
        truth = np.array(rows["y"]) == model.classes[1]
        score = sk.f1_score if rule == "f1" else sk.balanced_accuracy_score
        best = max(score(truth, p >= t) for t in p)
        assert score(truth, p >= at) == pytest.approx(best)
    told = run("evaluate", out, rare).output
    assert "is predicted from a probability of" in told and "brier" in told
    assert "is predicted from a probability of" in run("info", out).output
    predicted = run("predict", out, rare).output.splitlines()[1:]
    everything = model.predict(part_of(rare, None))
    assert [line.strip('"') for line in predicted] == everything.tolist()
    assert "is predicted from a probability of" in (out / "report.html").read_text()


@pytest.mark.parametrize("rule", ["auto", "f1", "0.2"])
def test_a_threshold_of_members_is_chosen_on_the_rows_they_left_out(rare, tmp_path, rule):
    out = tmp_path / "run"
    flags = ("--target", "y", "--ignore", "part", "--preset", "fast", "--threshold", rule)
    result = run("train", rare, *flags, "--out", out)
    assert result.exit_code == 0, result.output
    metrics = json.loads((out / "metrics.json").read_text())
    model, at = training.load_model(out), metrics["threshold"]["value"]
    assert model.target.threshold == at and (rule != "0.2" or at == 0.2)
    assert f"threshold: {model.classes[1]!r}" in result.output
    assert metrics["left out"]["balanced_accuracy"] > 0.6 or rule != "auto"
    rows = part_of(rare, "test")
    second = np.asarray(model.predict_proba(rows), np.float64)[:, 1] >= at
    assert (model.predict(rows) == np.where(second, model.classes[1], model.classes[0])).all()
    assert "is predicted from a probability of" in (out / "report.html").read_text()


def test_what_goes_with_two_classes_and_validation_rows_alone(tmp_path, rare):
    for flags, text in (
        (("iris", "--threshold", "0.3"), "--threshold goes with two classes, and the target has 3"),
        (("diabetes", "--threshold", "f1"), "the target has numbers"),
        (
            ("iris", "--threshold", "f1", "--validation", "0", "--preset", "single"),
            "--validation is 0",
        ),
        (("iris", "--threshold", "1.5"), "auto, balanced, f1 or a number from 0 to 1"),
    ):
        result = run("train", *flags)
        assert result.exit_code == 2 and text in " ".join(result.output.split()), result.output
    trained(rare, tmp_path, "--threshold", "auto")
    result = run("train", "--resume", tmp_path / "run", "--threshold", "0.2")
    assert result.exit_code == 6 and "--threshold 0.2 (it was auto)" in result.output


def test_a_class_that_the_test_has_not_is_said(tmp_path):
    path = tmp_path / "few.csv"
    lines = [f"{k % 7},{'train' if k > 20 else 'test'},{'ab'[k > 20 and k % 2]}" for k in range(80)]
    path.write_text("x,part,y\n" + "\n".join(lines) + "\n")
    result = run(
        "train", path, "--target", "y", "--split", "column:part", "--epochs", "1", "--out",
        tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "ROC AUC not defined" in result.output and "test: no row is of 'b'" in result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["roc_auc"] is None and metrics["absent_classes"] == {"test": ["b"]}
    report = (tmp_path / "run" / "report.html").read_text()
    assert "No test row is of" in report
    loaded = training.load_model(tmp_path / "run")
    assert loaded.metrics["test"]["roc_auc"] is None


@pytest.mark.parametrize("flags", [("--preset", "fast"), ("--hidden", "8", "--epochs", "3")])
def test_a_threshold_leaves_with_the_onnx_file(rare, tmp_path, flags):
    runtime = pytest.importorskip("onnxruntime")
    out, file = tmp_path / "run", tmp_path / "model.onnx"
    given = ("--target", "y", "--ignore", "part", "--threshold", "f1", "--out", out)
    assert run("train", rare, *given, *flags).exit_code == 0
    result = run("export", out, "--onnx", file)
    assert result.exit_code == 0, result.output
    rows, model = part_of(rare, None), training.load_model(out)
    session = runtime.InferenceSession(str(file))
    kinds = {"tensor(double)": np.float64, "tensor(float)": np.float32}
    feed = {
        each.name: np.asarray(rows[each.name], kinds[each.type])[:, None]
        for each in session.get_inputs()
    }
    labels = np.ravel(session.run(None, feed)[0])
    numbers = {name: np.asarray(rows[name], float) for name in ("a", "b", "c")}
    at = model.target.threshold
    near = abs(np.asarray(model.predict_proba(numbers), float)[:, 1] - at) < 1e-6
    assert (labels == model.predict(numbers))[~near].all() and near.mean() < 0.05
    assert len(set(labels)) == 2

# SPDX-License-Identifier: BSD-3-Clause
"""The model beside simple ones: the linear one beside scikit-learn's, and what is said of them."""

import numpy as np
import pytest
from command_tools import metrics_in, run

linear_model = pytest.importorskip("sklearn.linear_model")
sk = pytest.importorskip("sklearn.metrics")


def written(path, y, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(900, 3)) * [1, 10, 100]
    target = y(X / [1, 10, 100], rng)
    lines = [",".join([*map(repr, map(float, x)), str(t)]) for x, t in zip(X, target, strict=True)]
    path.write_text("a,b,c,y\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_values(tmp_path, loss):
    path = written(tmp_path / "v.csv", lambda X, rng: 5 + X @ [1, 2, 0] + rng.normal(size=len(X)))
    out = tmp_path / "run"
    result = run("train", path, "--epochs", "1", "--hidden", "4", "--loss", loss, "--out", out)
    assert result.exit_code == 0, result.output
    found = metrics_in(out)["beside"]
    assert found["part"] == "test" and found["sentence"] in result.output
    assert found["linear"]["rmse"] == pytest.approx(1.0, abs=0.12)  # the noise alone
    assert found["guess"]["r2"] == pytest.approx(0.0, abs=0.05)
    assert "the model is worse than simple ones" in found["sentence"]  # after one epoch
    assert ("mean absolute error" in found["sentence"]) == (loss == "absolute_error")
    report = (out / "report.html").read_text()
    assert "Beside simple models" in report and found["sentence"] in report


def test_the_linear_model_is_scikit_learns(tmp_path):
    def classes(X, rng):
        return np.where(rng.random(len(X)) < 1 / (1 + np.exp(-3 * X[:, 0] + X[:, 1])), "on", "off")

    path, out = written(tmp_path / "c.csv", classes), tmp_path / "run"
    text = path.read_text().splitlines()
    part = ["test" if k < 300 else "train" for k in range(900)]
    path.write_text(
        "\n".join([text[0] + ",part", *map(",".join, zip(text[1:], part, strict=True))])
    )
    result = run(
        "train", path, "--target", "y", "--split", "column:part", "--epochs", "2", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = metrics_in(out)["beside"]
    rows = np.array([line.split(",") for line in text[1:]])
    X, y = rows[:, :3].astype(float) / [1, 10, 100], rows[:, 3]
    peer = linear_model.LogisticRegression().fit(X[300:], y[300:])
    assert found["linear"]["log_loss"] == pytest.approx(
        sk.log_loss(y[:300], peer.predict_proba(X[:300])), abs=0.01
    )
    shares = np.tile([(y[300:] == c).mean() for c in peer.classes_], (300, 1))
    assert found["guess"]["log_loss"] == pytest.approx(sk.log_loss(y[:300], shares))
    assert found["guess"]["brier"] == pytest.approx(
        sk.brier_score_loss(y[:300] == "on", shares[:, 1])
    )


def test_a_model_that_is_much_better_is_said_to_be(tmp_path):
    path = written(tmp_path / "b.csv", lambda X, rng: np.abs(X[:, 0]) * 10)
    result = run("train", path, "--epochs", "40", "--out", tmp_path / "run")
    assert "the model is better than simple ones: its RMSE" in result.output


def table(path, n, seed=0, weighted=False, empty=False):
    """Rows of y = |a| + noise, with weights that count every other row a thousandfold."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n) * 2
    y = np.abs(a) + 0.05 * rng.normal(size=n)
    w = np.where(np.arange(n) % 2, 1000.0, 1.0)
    y = np.where((w == 1) & weighted, y + 5 * rng.normal(size=n), y)
    names = ["a", "y", *(["w"] if weighted else []), *(["empty"] if empty else [])]
    lines = [",".join(names)]
    for k in range(n):
        cells = [repr(float(a[k])), repr(float(y[k])), *([repr(float(w[k]))] if weighted else [])]
        lines.append(",".join([*cells, *([""] if empty else [])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_weights_count_as_in_the_metrics(tmp_path):
    path, out = table(tmp_path / "w.csv", 600, weighted=True), tmp_path / "run"
    flags = ("--target", "y", "--weights", "w", "--preset", "fast", "--out", out)
    assert run("train", path, *flags).exit_code == 0
    metrics = metrics_in(out)
    assert metrics["test"]["rmse"] < 0.5
    own = metrics["beside"]["sentence"].split("its RMSE is ")[1].split(",")[0]
    assert float(own) == pytest.approx(metrics["test"]["rmse"], rel=1e-3)
    assert "better" in metrics["beside"]["sentence"]


def test_a_column_that_is_empty_ends_no_run(tmp_path):
    path, out = table(tmp_path / "e.csv", 300, empty=True), tmp_path / "run"
    result = run("train", path, "--target", "y", "--preset", "fast", "--out", out)
    assert result.exit_code == 0, result.output
    assert (out / "report.html").exists() and "guess" in metrics_in(out)["beside"]


def test_rows_that_trained_the_model_say_nothing_of_it(tmp_path):
    path, out = table(tmp_path / "t.csv", 300), tmp_path / "run"
    flags = ("--target", "y", "--preset", "fast", "--test", "0", "--out", out)
    assert run("train", path, *flags).exit_code == 0
    assert "beside" not in metrics_in(out)


@pytest.mark.parametrize(
    ("own", "other", "gain", "error", "rows", "sign", "expected"),
    [
        (2.0, 1.0, -1.0, 0.1, 100, -9.0, "is worse than simple ones: its RMSE is 2, 2 times the 1"),
        (239.0, 1.0, -9.0, 9.0, 100, -9.0, "is worse than simple ones: its RMSE is 239, 239 times"),
        (0.9, 1.0, 0.1, 0.1, 100, 0.5, "neither clearly better nor clearly worse"),
        (1.00001, 1.0, -9.0, 0.1, 100, -9.0, "neither clearly better nor clearly worse"),
        (0.5, 1.0, 1.0, 0.1, 100, 9.0, "better than simple ones: its RMSE is 0.5, 50.0% lower"),
        (0.5, 1.0, 1.0, 0.0, 2, 2.0, "2 test rows are too few to tell the model from simple"),
    ],
)  # fmt: skip
def test_the_sentence(own, other, gain, error, rows, sign, expected):
    from fastrelu.app.report.beside import Beside

    metrics = {"model": {"rmse": own}, "linear": {"rmse": other}}
    found = Beside("test", "rmse", metrics, gain, error, "linear", rows, sign)
    assert expected in found.sentence()

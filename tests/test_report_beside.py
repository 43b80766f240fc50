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

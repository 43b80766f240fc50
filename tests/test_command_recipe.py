# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu train`` by the recipe of tables: the estimators' model, from files, and its run."""

import json
import os
import signal

import numpy as np
import pytest
from command_tools import metrics_in, run, start

import fastrelu
from fastrelu.app.run import recipe
from fastrelu.app.run.recipe_data import prepare_for_recipe
from fastrelu.app.run.session import load_rows
from fastrelu.app.settings_file import merge
from fastrelu.training import load_model

pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")
pytest.importorskip("pyarrow")


def frame_of(rows=240, seed=0):
    """Numbers, gaps, a category, a flag and a date; a price and whether it is high."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": rng.lognormal(4, 0.5, rows).round(3),
            "city": rng.choice(["Bern", "Basel", "Chur"], rows),
            "garden": rng.integers(0, 2, rows),
            "built": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, rows), "D"),
            "w": rng.integers(1, 4, rows),
        }
    )
    price = 20 * frame["area"] + 300 * frame["garden"] + 200 * (frame["city"] == "Basel")
    frame["price"] = (price + rng.normal(0, 50, rows)).round(2)
    frame["kind"] = np.where(frame["price"] > 1500, "high", "low")
    frame.loc[::9, "area"] = np.nan
    return frame


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    frame_of().to_csv(path, index=False)
    return path


def training_rows(path, **settings):
    """The rows of a file that the command trains on."""
    chosen = merge({"data": (str(path),), **settings})
    return prepare_for_recipe(load_rows(chosen)[0], chosen).rows["train"]


def same_networks(model, own):
    pairs = zip(model.network.networks, own.networks_, strict=True)
    assert all(a.parameters.tobytes() == b.parameters.tobytes() for a, b in pairs)


@pytest.mark.parametrize("preset", ["fast", "default"])
@pytest.mark.parametrize("weights", [False, True])
def test_a_regression_is_the_estimators_to_the_bit(table, tmp_path, preset, weights):
    flags = ["--target", "price", "--ignore", "kind" if weights else "kind,w", "--seed", 3]
    flags += ["--weights", "w"] if weights else []
    out = tmp_path / "run"
    done = run("train", table, *flags, "--preset", preset, "--out", out)
    assert done.exit_code == 0, done.output
    frame = frame_of()
    rows = training_rows(table, target="price", seed=3)
    X, y = frame[["area", "city", "garden", "built"]], frame["price"]
    own = fastrelu.TabularRegressor(preset, random_state=3)
    own.fit(X.iloc[rows], y.iloc[rows], frame["w"].iloc[rows] if weights else None)
    model = load_model(out)
    same_networks(model, own)
    # Both read encoded rows by their runs; the target's unit is multiplied in another order.
    np.testing.assert_allclose(model.predict(frame), own.predict(X), rtol=1e-13)
    found = metrics_in(out)["recipe"]
    assert found["candidate"] == own.candidate_ and found["shrinkage"] == own.shrinkage_
    losses = {each["candidate"]: each["loss"] for each in found["candidates"]}
    assert losses == own.candidates_


@pytest.mark.parametrize("balanced", [False, True])
def test_a_classification_is_the_estimators_to_the_bit(table, tmp_path, balanced):
    flags = ["--target", "kind", "--ignore", "price,w", "--preset", "fast"]
    flags += ["--class-weight", "balanced"] if balanced else []
    out = tmp_path / "run"
    assert run("train", table, *flags, "--out", out).exit_code == 0
    frame, rows = frame_of(), training_rows(table, target="kind")
    X = frame[["area", "city", "garden", "built"]]
    weight = "balanced" if balanced else None
    own = fastrelu.TabularClassifier("fast", random_state=0, class_weight=weight)
    own.fit(X.iloc[rows], frame["kind"].iloc[rows])
    model = load_model(out)
    same_networks(model, own)
    # The command takes the softmax in float64, the estimator in the networks' float32.
    np.testing.assert_allclose(model.predict_proba(frame), own.predict_proba(X), rtol=2e-6)
    assert (model.predict(frame) == own.predict(X)).all()


@pytest.mark.parametrize("loss", ["poisson", "absolute_error", "quantile:0.8"])
def test_other_losses_are_the_estimators(table, tmp_path, loss):
    target = "price"
    out = tmp_path / "run"
    flags = ["--target", target, "--ignore", "kind,w", "--preset", "fast", "--loss", loss]
    assert run("train", table, *flags, "--out", out).exit_code == 0
    frame, rows = frame_of(), training_rows(table, target=target)
    X = frame[["area", "city", "garden", "built"]]
    made = fastrelu.losses.Quantile(0.8) if loss.startswith("quantile") else loss
    own = fastrelu.TabularRegressor("fast", random_state=0, loss=made)
    own.fit(X.iloc[rows], frame[target].iloc[rows])
    same_networks(load_model(out), own)
    np.testing.assert_allclose(load_model(out).predict(frame), own.predict(X), rtol=2e-6)


def test_the_run_says_what_it_did(table, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log.jsonl"
    done = run("train", table, "--target", "kind", "--out", out, "--log-json", log)
    assert "5 members by folds, 5 candidates (--preset default)" in done.output
    assert "candidate 5 of 5: 1 piece, linear" in done.output and "shrinkage" in done.output
    metrics = metrics_in(out)
    assert metrics["rows"] == {"train": 192, "validation": 0, "test": 48, "dropped": 0}
    assert set(metrics["left out"]) == set(metrics["test"]) >= {"accuracy", "loss"}
    assert "roc_auc" in metrics["test"]  # of two classes
    assert len(metrics["members"]) == 5 and len(metrics["recipe"]["candidates"]) == 5
    page = (out / "report.html").read_text()
    for text in ("Members", "Candidates", "shrinkage", "epoch kept", "(chosen)"):
        assert text in page, text
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["event"] for e in events].count("candidate") == 5
    assert events[-1]["event"] == "result" and any(e["event"] == "epoch" for e in events)
    for command in ("info", "plot"):
        assert run(command, out).exit_code == 0
    assert "shrinkage" in run("info", out).output
    again = run("evaluate", out, table)
    assert again.exit_code == 0 and "rows: 240" in again.output
    predicted = tmp_path / "p.csv"
    assert run("predict", out, table, "--proba", "--out", predicted).exit_code == 0
    assert len(predicted.read_text().splitlines()) == 241


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--epochs", 2), "--epochs 2"),
        (("--hidden", "4", "--epochs", 2), "--hidden 4"),
        (("--validation", 0.2, "--epochs", 2), "--validation 0.2"),
        (("--loss", "huber", "--target", "price"), "--loss huber"),
    ],
)
def test_a_flag_that_speaks_of_one_network_selects_it(table, tmp_path, flags, why):
    out = tmp_path / "run"
    done = run("train", table, *flags, "--out", out)
    assert done.exit_code == 0, done.output
    assert "one network (--preset single), as --" in done.output and why in done.output
    assert isinstance(load_model(out).network, fastrelu.Network)
    contradiction = run("train", table, *flags, "--preset", "default")
    assert contradiction.exit_code == 2
    assert "--preset default and --" in contradiction.output
    assert run("train", table, *flags, "--preset", "single").exit_code == 0


def test_data_that_speak_of_one_network_select_it(table, tmp_path):
    frame = frame_of()
    frame["part"] = np.resize(["train", "train", "val", "test"], len(frame))
    frame.to_csv(tmp_path / "parts.csv", index=False)
    frame["name"] = [f"{'ab'[i % 2]}{i // 2 * 7919 % 1000}x" for i in range(len(frame))]
    frame[["name", "price"]].to_csv(tmp_path / "names.csv", index=False)
    np.savez(tmp_path / "bytes.npz", X=np.arange(300, dtype=np.uint8).reshape(60, 5) % 7,
             y=np.arange(60) % 2)  # fmt: skip
    for flags, why in (
        ((tmp_path / "parts.csv", "--split", "column:part", "--target", "kind"), "validation rows"),
        ((tmp_path / "names.csv", "--target", "price"), "no column tells"),
        ((tmp_path / "bytes.npz",), "images, or bytes"),
    ):
        out = tmp_path / why.replace(" ", "")
        done = run("train", *flags, "--out", out)
        assert done.exit_code == 0, done.output
        assert "one network (--preset single), as " in done.output and why in done.output
        assert isinstance(load_model(out).network, fastrelu.Network)
        refused = run("train", *flags, "--preset", "best")
        assert refused.exit_code == 2 and why in refused.output
        assert run("train", "--resume", out).exit_code == 0


def test_one_network_stops_early_unless_told_not_to(table, tmp_path):
    flags = ["--target", "kind", "--ignore", "price", "--preset", "single", "--lr", 0.03]
    for more, early in (((), True), (("--early-stopping", 0), False)):
        out = tmp_path / f"run{early}"
        assert run("train", table, *flags, *more, "--out", out).exit_code == 0
        metrics = metrics_in(out)
        assert metrics["stopped_early"] == early
        assert (load_model(out).epoch_used == metrics["epochs"]) == (not early)


@pytest.mark.parametrize("candidate", [0, 3])
def test_a_run_that_is_interrupted_goes_on_to_the_same_bits(
    table, tmp_path, monkeypatch, candidate
):
    flags = ["--target", "price", "--ignore", "kind"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run("train", table, *flags, "--out", whole).exit_code == 0
    epoch, calls = recipe.Progress.epoch, []

    def interrupted(self, member, record):
        epoch(self, member, record)
        if self.name.startswith(f"candidate {candidate + 1} "):
            calls.append(record.epoch)
            if len(calls) == 8:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(recipe.Progress, "epoch", interrupted)
    done = run("train", table, *flags, "--out", cut)
    assert done.exit_code == 130, done.output
    assert f"candidate {candidate + 1} of 5 is in training" in done.output
    assert f"fastrelu train --resume {cut}" in done.output
    assert not (cut / "metrics.json").exists()
    monkeypatch.undo()
    assert run("train", "--resume", cut, "--epochs", 3).exit_code == 6
    trained = []
    monkeypatch.setattr(recipe.Progress, "epoch", lambda self, *_: trained.append(self.name))
    again = run("train", "--resume", cut, "--threads", 1)
    assert again.exit_code == 0, again.output
    assert not any(name.startswith(f"candidate {candidate} of") for name in trained)
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()
    assert metrics_in(whole) == metrics_in(cut)
    assert not list((cut / "checkpoints").iterdir())
    assert "is finished" in run("train", "--resume", cut).output
    assert run("train", table, *flags, "--out", cut).exit_code == 5


def test_a_damaged_checkpoint_is_trained_anew(table, tmp_path, monkeypatch):
    flags = ["--target", "price", "--ignore", "kind", "--preset", "fast"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run("train", table, *flags, "--out", whole).exit_code == 0
    judged = recipe.RecipeSession._judged_recipe

    def refused(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe.RecipeSession, "_judged_recipe", refused)
    assert run("train", table, *flags, "--out", cut).exit_code == 130
    monkeypatch.setattr(recipe.RecipeSession, "_judged_recipe", judged)
    (kept,) = (cut / "checkpoints").glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:1000])
    done = run("train", "--resume", cut)
    assert done.exit_code == 0 and "trained anew" in done.output
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()


def test_other_data_are_refused_on_the_way(table, tmp_path, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(recipe, "scores_of_held", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert run("train", table, "--target", "price", "--preset", "fast", "--out", out).exit_code
    monkeypatch.undo()
    frame_of(seed=1).to_csv(table, index=False)
    done = run("train", "--resume", out)
    assert done.exit_code == 6 and "the data have changed" in done.output


def test_another_recipe_does_not_go_on_with_a_run(table, tmp_path, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(recipe, "scores_of_held", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert run("train", table, "--target", "price", "--preset", "fast", "--out", out).exit_code
    monkeypatch.undo()
    monkeypatch.setattr(recipe, "candidates", lambda *_: ["another"])
    done = run("train", "--resume", out)
    assert done.exit_code == 6 and "tries other candidates than this one" in done.output


def test_the_runs_configuration_makes_the_same_run(table, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    flags = ["--target", "kind", "--preset", "fast", "--seed", 2**40 + 1]
    assert run("train", table, *flags, "--out", first).exit_code == 0
    text = (first / "config.toml").read_text()
    assert 'preset = "fast"' in text and "hidden" not in text and "epochs" not in text
    done = run("train", "--config", first / "config.toml", "--out", second, "--threads", 1)
    assert done.exit_code == 0, done.output
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_a_limit_of_time_is_kept(table, tmp_path):
    out = tmp_path / "run"
    done = run("train", table, "--target", "price", "--time-limit", 0.05, "--out", out)
    assert done.exit_code == 0, done.output
    assert "--time-limit: " in done.output
    refused = run("train", table, "--time-limit", 5, "--lr", 0.1)
    assert refused.exit_code == 2 and "--lr 0.1 speaks of one network" in refused.output


def test_noise_is_predicted_by_the_shares(tmp_path):
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(400, 8)), np.where(rng.random(400) < 0.3, "yes", "no")
    np.savetxt(tmp_path / "x.csv", X, "%.4f", ",", header=",".join("abcdefgh"), comments="")
    lines = (tmp_path / "x.csv").read_text().splitlines()
    rows = [lines[0] + ",y", *(f"{a},{b}" for a, b in zip(lines[1:], y, strict=True))]
    (tmp_path / "x.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "run"
    assert run("train", tmp_path / "x.csv", "--out", out).exit_code == 0
    metrics = metrics_in(out)
    share = (y == "yes").mean()
    shares = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert metrics["recipe"]["shrinkage"] < 0.2 and metrics["test"]["loss"] < shares + 0.01
    assert "the shrinkage" in (out / "report.html").read_text()


def test_arrays_go_by_their_columns(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = np.abs(X[:, 0]) + X[:, 1]
    np.save(tmp_path / "m.npy", np.column_stack([X, y]))
    np.save(tmp_path / "x.npy", X)
    out, predicted = tmp_path / "run", tmp_path / "p.csv"
    done = run("train", tmp_path / "m.npy", "--preset", "fast", "--out", out)
    assert done.exit_code == 0, done.output
    assert run("predict", out, tmp_path / "x.npy", "--out", predicted).exit_code == 0
    own = np.loadtxt(predicted, skiprows=1)
    np.testing.assert_allclose(own, load_model(out).predict(X), rtol=1e-12)
    assert np.corrcoef(own, y)[0, 1] > 0.9


def test_an_infinite_number_is_refused_with_its_row(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[17, 1] = np.inf
    np.save(tmp_path / "m.npy", X)
    done = run("train", tmp_path / "m.npy", "--out", tmp_path / "run")
    assert done.exit_code == 3 and "row 18" in done.output and "inf" in done.output


def test_a_monotone_column_is_the_estimators(table, tmp_path):
    out = tmp_path / "run"
    flags = ["--target", "price", "--ignore", "kind,w", "--preset", "fast"]
    done = run("train", table, *flags, "--monotone", "area=+1", "--out", out)
    assert done.exit_code == 0, done.output
    frame, rows = frame_of(), training_rows(table, target="price")
    X = frame[["area", "city", "garden", "built"]]
    own = fastrelu.TabularRegressor("fast", random_state=0, monotone={"area": 1})
    own.fit(X.iloc[rows], frame["price"].iloc[rows])
    model = load_model(out)
    same_networks(model, own)
    assert model.inputs.ordered  # no sums of weights that a rounding could put out of order
    path = X.iloc[[1] * 50].assign(area=np.linspace(1, 400, 50))
    assert (np.diff(model.predict(path)) >= 0).all()
    assert run("plot", out).exit_code == 0
    assert metrics_in(out)["members"][0]["epochs"] >= metrics_in(out)["members"][0]["epoch_used"]
    text = (out / "config.toml").read_text()
    assert 'monotone = ["area=1"]' in text
    for more, says in (
        (("--monotone", "nothing=1"), "--monotone: expected a column among"),
        (("--monotone", "city=1"), "expected numbers, got texts"),
        (("--monotone", "area"), "columns, each with 1, -1 or 0"),
        (("--monotone", "area=1", "--hidden", 3), "--hidden 3 speaks of one network"),
    ):
        refused = run("train", table, *flags[:4], *more)
        assert refused.exit_code == 2 and says in refused.output, refused.output


def test_a_full_disk_of_the_members_is_named(table, tmp_path):
    """It was unexpected, with exit status 1; the run goes on once there is room."""
    resource = pytest.importorskip("resource")
    out, flags = tmp_path / "run", ["--target", "price", "--preset", "fast"]

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))

    process = start("train", table, *flags, "--out", out, preexec_fn=limit)
    error = process.communicate(timeout=100)[1]
    assert process.returncode == 5, error
    assert f"error: {out}/checkpoints: cannot be written (File too large)" in error
    assert not list(out.glob("**/.*part"))
    assert run("train", "--resume", out).exit_code == 0
    assert run("train", table, *flags, "--out", tmp_path / "whole").exit_code == 0
    assert metrics_in(out)["test"] == metrics_in(tmp_path / "whole")["test"]

# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu train`` from end to end: kinds of files, settings, what a run's folder holds."""

import csv
import gzip
import io
import json
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from command_tools import metrics_in, result_of, run, write_table

import fastrelu
from fastrelu import EpochRecord
from fastrelu.training import load_model

SCRIPT = Path(__file__).parent.parent / "scripts" / "train.py"


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def history_of(folder):
    return list(csv.DictReader(io.StringIO((folder / "history.csv").read_text())))


@pytest.fixture
def table(tmp_path, rng):
    return write_table(tmp_path / "table.csv.gz", rng)


def test_regression_from_csv(table, tmp_path):
    out = tmp_path / "new" / "run"
    flags = ["--target", "price", "--hidden", "16", "--epochs", 60, "--lr", 0.01, "--out", out]
    flags += ["--early-stopping", 0]
    result = run("train", table, *flags)
    assert result.exit_code == 0, result.output
    assert "1 of 300 rows" in result.output
    metrics = metrics_in(out)
    assert metrics["test"]["r2"] > 0.7 and metrics["train"]["rmse"] < 15
    assert set(metrics["validation"]) == {"r2", "rmse", "mae", "loss"}
    assert metrics["rows"] == {"train": 209, "validation": 30, "test": 60, "dropped": 1}
    net = fastrelu.load(out / "model.safetensors")
    assert net.layer_sizes == [metrics["layer_sizes"][0], 16, 1]
    rows = history_of(out)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 61))
    assert list(rows[0]) == [
        "epoch", "loss", "val_loss", "val_metric", "learning_rate", "seconds", "rows_per_second"
    ]  # fmt: skip
    assert list((out / "checkpoints").iterdir())


def test_an_existing_run_is_left_alone(table, tmp_path):
    out = tmp_path / "run"
    flags = ["--epochs", 3, "--out", out]
    assert run("train", table, *flags).exit_code == 0
    before = result_of(out)
    (out / "notes.txt").write_text("mine")
    again = run("train", table, *flags)
    assert again.exit_code == 5 and "--force" in again.stderr and "--resume" in again.stderr
    assert result_of(out) == before
    again = run("train", table, *flags, "--force", "--threads", 1)
    assert again.exit_code == 0 and result_of(out) == before
    assert (out / "notes.txt").read_text() == "mine"
    # A run that fails on its data leaves the old one there.
    bad = run("train", tmp_path / "nothing.csv", *flags, "--force")
    assert bad.exit_code == 3 and result_of(out) == before


def test_the_saved_settings_make_the_run_again(table, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    flags = ["--hidden", "9,5", "--optimizer", "sgd", "--schedule", "step:0.5,2", "--seed", 7]
    flags += ["--epochs", 5, "--loss", "huber:0.7", "--clip-norm", 2, "--activation", "tanh"]
    assert run("train", table, *flags, "--dtype", "float64", "--out", first).exit_code == 0
    saved = tomllib.loads((first / "config.toml").read_text())
    assert saved["hidden"] == [9, 5] and saved["task"] == "regression" and saved["momentum"] == 0.9
    assert run("train", "--config", first / "config.toml", "--out", second).exit_code == 0
    assert result_of(first) == result_of(second)
    third = tmp_path / "c"
    args = ["--config", first / "config.toml", "--epochs", 2, "--out", third]
    assert run("train", *args).exit_code == 0
    assert metrics_in(third)["epochs"] == 2
    assert tomllib.loads((third / "config.toml").read_text())["schedule_epochs"] == 2


def test_the_model_does_what_the_metrics_say(table, tmp_path, rng):
    """The reported test R2 follows from the saved model and raw rows."""
    from fastrelu.app.data.readers import read
    from fastrelu.app.run.prepare import column_choice, prepare
    from fastrelu.app.settings import Settings

    out = tmp_path / "run"
    assert run("train", table, "--epochs", 5, "--dtype", "float64", "--out", out).exit_code == 0
    settings = Settings(data=(str(table),), dtype="float64")
    raw = read([str(table)], column_choice(settings))
    rows = prepare(raw, settings).rows["test"]
    truth = raw.target[rows]
    guess = load_model(out).predict(raw.take(rows))
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
        result = run("train", tmp_path / name, *rest, *flags)
        assert result.exit_code == 0, result.output
        assert result.output.startswith("test accuracy: ") and result.output.count("\n") == 1
        assert metrics_in(out)["test"]["accuracy"] > 0.9
        scales.append(fastrelu.load(out / "model.safetensors").scale)
    assert scales == pytest.approx([1.0, 1 / 255, 1 / 255])


@pytest.mark.parametrize(
    ("name", "least"), [("digits", 0.95), ("iris", 0.9), ("wine", 0.93), ("diabetes", 0.3)]
)
def test_bundled_names(name, least, tmp_path):
    pytest.importorskip("sklearn")
    result = run("train", name, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    metrics = metrics_in(tmp_path / "out")["test"]
    assert metrics["r2" if name == "diabetes" else "accuracy"] >= least


def test_script_prints_plain_lines(table):
    command = [sys.executable, str(SCRIPT), str(table), "--epochs", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "test R2: " in done.stdout and "\x1b" not in done.stderr
    assert [line.split()[1] for line in done.stderr.splitlines()] == ["1/3", "2/3", "3/3"]


def test_early_stopping_keeps_the_best_epoch(tmp_path, rng):
    path = tmp_path / "noise.npz"
    np.savez(path, X=rng.normal(size=(200, 20)), y=rng.normal(size=200))
    out = tmp_path / "run"
    flags = ["--early-stopping", 4, "--epochs", 200, "--lr", 0.01, "--task", "regression"]
    assert run("train", path, *flags, "--out", out).exit_code == 0
    metrics, rows = metrics_in(out), history_of(out)
    losses = [float(row["val_loss"]) for row in rows]
    best = int(np.argmin(losses)) + 1
    assert metrics["stopped_early"] and metrics["best_epoch"] == best
    assert metrics["epochs"] == len(rows) == best + 4
    assert metrics["validation"]["loss"] == pytest.approx(min(losses), rel=1e-6)
    said = run("train", "--resume", out, "--epochs", 300)
    assert said.exit_code == 0 and "stopped early" in said.output


def test_class_weights_and_row_weights(tmp_path, rng):
    """Rare rows, hard to tell: without weights nobody is rare; with them some are."""
    y = (np.arange(600) % 10 == 0).astype(int)
    X = rng.normal(size=(600, 3)) + 0.8 * y[:, None]
    np.savez(tmp_path / "rare.npz", X=X, y=y, w=np.where(y == 1, 9.0, 1.0))
    found = []
    for flags in ([], ["--class-weight", "balanced"], ["--weights", "w"]):
        out = tmp_path / f"run{len(found)}"
        flags += ["--hidden", "none", "--epochs", 30, "--lr", 0.01, "--out", out]
        result = run("train", tmp_path / "rare.npz", *flags)
        assert result.exit_code == 0, result.output
        found.append((load_model(out).predict(X) == 1).sum())
    assert found[0] < 60 < min(found[1:])


def test_split_by_time_and_by_column(tmp_path, rng):
    x = rng.normal(size=100)
    lines = ["x,day,part,y"]
    parts = ["train"] * 60 + ["val"] * 20 + ["Test"] * 20
    days = rng.permutation(100)
    for i in range(100):
        lines.append(f"{x[i]},2024-01-01T{days[i] // 60:02d}:{days[i] % 60:02d},{parts[i]},{x[i]}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    out = tmp_path / "column"
    flags = ["--target", "y", "--epochs", 2, "--ignore", "day", "--split", "column:part"]
    assert run("train", path, *flags, "--out", out).exit_code == 0
    assert metrics_in(out)["rows"] == {"train": 60, "validation": 20, "test": 20, "dropped": 0}
    out = tmp_path / "time"
    flags = ["--target", "y", "--epochs", 2, "--ignore", "part", "--split", "time:day"]
    assert run("train", path, *flags, "--out", out).exit_code == 0
    assert metrics_in(out)["rows"] == {"train": 70, "validation": 10, "test": 20, "dropped": 0}
    bad = run("train", path, "--target", "y", "--split", "column:day", "--epochs", 1)
    assert bad.exit_code == 3 and "expected train, validation or test" in bad.stderr


def test_log_json_and_standard_input(tmp_path, rng):
    content = write_table(tmp_path / "t.csv", rng).read_bytes()
    result = run("train", "-", "--epochs", 3, "--log-json", "-", stdin=content)
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [e["event"] for e in events] == ["epoch"] * 3 + ["result"]
    assert events[0]["epoch"] == 1 and "r2" in events[-1]["test"]
    log = tmp_path / "log"
    assert run("train", tmp_path / "t.csv", "--epochs", 2, "--log-json", log).exit_code == 0
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["epoch"] * 2 + [
        "result"
    ]


def test_a_log_drops_the_epochs_that_come_again(tmp_path):
    from fastrelu.app.run.progress import JsonLines

    def line(epoch):
        return json.dumps({"event": "epoch", "epoch": epoch}) + "\n"

    result = json.dumps({"event": "result"}) + "\n"
    log = tmp_path / "log"
    for lines, first, kept in (
        ([1, 2, 3, 4], 3, [1, 2]),
        ([1, 2, 3, 4], 5, [1, 2, 3, 4]),
        ([1, 2, 3], 1, []),
        ([1, 2, 3, 1, 2], 1, [1, 2, 3]),  # another run's, which was killed, before
        ([], 1, []),
    ):
        text = "".join(map(line, lines))
        for before, after in (("", ""), (result, ""), ("no json\n", ""), ("", '{"event": "ep')):
            for resumed in (True, False):
                log.write_text(before + text + after)
                lines_of_json = JsonLines(str(log), resumed)
                lines_of_json.begin(9, 10, 0, first, "r2")
                lines_of_json.close()
                left = "".join(map(line, kept)) if resumed else text + after
                assert log.read_text() == before + left


def test_tensorboard(table, tmp_path):
    pytest.importorskip("tensorboardX")
    folder = tmp_path / "board"
    result = run("train", table, "--epochs", 2, "--tensorboard", folder)
    assert result.exit_code == 0, result.output
    (events,) = folder.iterdir()
    assert b"val_loss" in events.read_bytes()


def test_tensorboard_of_a_run_that_goes_on_has_the_epochs_before(tmp_path):
    """A killed run had written them a minute later, and the next one goes on behind them."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    from fastrelu.app.run.progress import TensorBoard

    board = TensorBoard(str(tmp_path / "board"))
    records = [
        EpochRecord(k, loss=0.5 / k, seconds=1.0, rows_per_second=1.0, learning_rate=0.1)
        for k in (1, 2, 3)
    ]
    board.former(records[:2])
    board.begin(epochs=3, steps=10, done=20, first=3, metric="r2")
    board.epoch(records[2])
    board.close()
    data, losses, starts = next((tmp_path / "board").iterdir()).read_bytes(), [], []
    while data:
        size = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + size])
        starts += [event.step] if event.session_log.status == SessionLog.START else []
        losses += [event.step for value in event.summary.value if value.tag == "loss"]
        data = data[16 + size :]
    assert losses == [1, 2, 3] and starts == [1]  # what earlier files say from there on is void


def test_tensorboard_of_a_run_killed_at_its_report_is_whole_once_it_is_resumed(tmp_path, rng):
    pytest.importorskip("tensorboardX")
    X = rng.normal(size=(60, 2))
    np.savez(tmp_path / "t.npz", X=X, y=X[:, 0])
    board = tmp_path / "board"
    flags = ["--epochs", 3, "--hidden", 2, "--tensorboard", board, "--out", tmp_path / "run"]
    assert run("train", tmp_path / "t.npz", *flags).exit_code == 0
    for file in board.iterdir():  # as if nothing had left the memory of the one that was killed
        file.unlink()
    assert run("train", "--resume", tmp_path / "run", "--tensorboard", board).exit_code == 0
    assert [file.read_bytes().count(b"rows_per_second") for file in board.iterdir()] == [3]


def test_tensorboard_drops_what_a_killed_run_wrote_after_its_checkpoint(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    from fastrelu.app.run.progress import TensorBoard

    board = TensorBoard(str(tmp_path / "board"))
    board.begin(epochs=9, steps=10, done=40, first=5, metric="r2")
    board.epoch(EpochRecord(epoch=5, loss=0.5, seconds=1.0, rows_per_second=1.0, learning_rate=0.1))
    board.close()
    data, found = next((tmp_path / "board").iterdir()).read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "little")
        found.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    starts = [e.step for e in found if e.session_log.status == SessionLog.START]
    assert starts == [5]
    assert all(e.step == 5 for e in found if e.HasField("summary"))


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error", "quantile:0.5"])
def test_every_loss_learns(table, loss, tmp_path):
    out = tmp_path / "run"
    flags = ["--loss", loss, "--epochs", 30, "--lr", 0.01, "--out", out]
    assert run("train", table, *flags).exit_code == 0
    assert metrics_in(out)["test"]["r2"] > 0.6


def test_poisson_predicts_means(tmp_path, rng):
    x = rng.normal(size=(500, 1))
    np.savez(tmp_path / "t.npz", X=x, y=rng.poisson(np.exp(1 + x[:, 0])).astype(float))
    flags = ["--task", "regression", "--loss", "poisson", "--epochs", 30, "--lr", 0.01]
    out = tmp_path / "run"
    assert run("train", tmp_path / "t.npz", *flags, "--out", out).exit_code == 0
    np.testing.assert_allclose(load_model(out).predict([[0.0], [1.0]]), np.exp([1, 2]), rtol=0.2)
    np.savez(tmp_path / "t.npz", X=x, y=x[:, 0])
    assert run("train", tmp_path / "t.npz", *flags).exit_code == 3


@pytest.mark.parametrize("shares", [("0", "0"), ("0.2", "0"), ("0", "0.1")])
@pytest.mark.parametrize("kind", ["csv", "npz", "bytes"])
def test_parts_without_rows(kind, shares, tmp_path, rng):
    X, path = rng.normal(size=(200, 3)), tmp_path / f"data.{kind.replace('bytes', 'npz')}"
    if kind == "csv":
        write_table(path, rng)
    else:
        np.savez(path, X=(X * 50 + 99).astype(np.uint8) if kind == "bytes" else X, y=X[:, 0])
    flags = ("--test", shares[0], "--validation", shares[1], "--epochs", 2)
    result = run("train", path, *flags, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    metrics = metrics_in(tmp_path / "out")
    for part, share in zip(("test", "validation"), shares, strict=True):
        assert (part in metrics) == (share != "0") == (metrics["rows"][part] > 0)
    assert (tmp_path / "out" / "report.html").exists()
    assert load_model(tmp_path / "out")


def test_sampling_is_the_trainers_own(table, tmp_path):
    histories = {}
    for name in ("shuffle", "subset", "with_replacement"):
        flags = ("--sampling", name, "--epochs", 8, "--out", tmp_path / name)
        result = run("train", table, *flags)
        assert result.exit_code == 0, result.output
        losses = [float(row["loss"]) for row in history_of(tmp_path / name)]
        assert len(losses) == 8 and losses[-1] < losses[0]
        histories[name] = tuple(losses)
    assert len(set(histories.values())) == 3
    assert run("train", table, "--sampling", "all").exit_code == 2

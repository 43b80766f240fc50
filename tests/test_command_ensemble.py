# SPDX-License-Identifier: BSD-3-Clause
"""--seeds and --folds: several trainings at once give what each gives alone."""

import signal
import time

import numpy as np
import pytest
from command_tools import metrics_in, result_of, run, start

import fastrelu
from fastrelu import EpochRecord
from fastrelu.app.run.together import Shared, mean_history
from fastrelu.training import load_model

FLAGS = ("--epochs", 6)


def trained(out, data, *more):
    result = run("train", data, *FLAGS, "--out", out, *more)
    assert result.exit_code == 0, result.output
    return load_model(out)


@pytest.mark.parametrize("data", ["iris", "diabetes"])
def test_members_are_single_runs_and_predictions_their_mean(tmp_path, data):
    model = trained(tmp_path / "all", data, "--seeds", 3)
    first = trained(tmp_path / "one", data)
    members = model.network.networks
    assert members[0].parameters.tobytes() == first.network.parameters.tobytes()
    assert members[1].parameters.tobytes() != first.network.parameters.tobytes()
    rows = np.random.default_rng(0).normal(size=(7, len(model.inputs.column_names)))
    each = []
    for net in members:
        first.network = net
        each.append(first.outputs(rows))
    np.testing.assert_allclose(model.outputs(rows), np.mean(each, axis=0), rtol=1e-5)
    assert [m["seed"] for m in metrics_in(tmp_path / "all")["members"]] == [0, 1, 2]
    with pytest.raises(ValueError, match="load_model loads its networks together"):
        fastrelu.load(tmp_path / "all" / "model.safetensors")


def test_evaluate_agrees_with_the_metrics(tmp_path):
    rng = np.random.default_rng(1)
    lines = [f"{a},{b},{('test', 'valid', 'train', 'train')[k % 4]},{a + b * b}"
             for k, (a, b) in enumerate(rng.normal(size=(200, 2)))]  # fmt: skip
    for name, own in (("all", lines), ("test", lines[::4])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,b,part,y", *own]))
    flags = ("--target", "y", "--split", "column:part", "--seeds", 2)
    trained(tmp_path / "run", tmp_path / "all.csv", *flags)
    result = run("evaluate", tmp_path / "run", tmp_path / "test.csv")
    assert f"rmse: {metrics_in(tmp_path / 'run')['test']['rmse']:.6g}" in result.output


@pytest.mark.parametrize("mode", [("--seeds", 3), ("--folds", 3)])
def test_threads_do_not_enter(tmp_path, mode):
    for threads in (1, 3):
        trained(tmp_path / str(threads), "iris", *mode, "--threads", threads)
    assert result_of(tmp_path / "1") == result_of(tmp_path / "3")


def test_folds_are_summed_up_and_leave_the_model_as_it_is(tmp_path):
    trained(tmp_path / "folds", "iris", "--folds", 4)
    trained(tmp_path / "plain", "iris")
    found = metrics_in(tmp_path / "folds")["cross_validation"]
    values = [fold["accuracy"] for fold in found["folds"]]
    assert len(values) == 4
    assert found["mean"]["accuracy"] == pytest.approx(np.mean(values))
    assert found["std"]["accuracy"] == pytest.approx(np.std(values, ddof=1))
    nets = [load_model(tmp_path / name).network.parameters for name in ("folds", "plain")]
    assert nets[0].tobytes() == nets[1].tobytes()


def test_no_row_of_a_fold_enters_its_preprocessing():
    from fastrelu.app.data.readers import ColumnChoice, read
    from fastrelu.app.run.folds import fold_rows
    from fastrelu.app.run.prepare import prepare
    from fastrelu.app.settings import Settings

    table, settings = read(["iris"], ColumnChoice()), Settings()
    held = prepare(table, settings)
    folds = fold_rows(held, 4, 0)
    tested = np.concatenate([fold["test"] for fold in folds])
    outside = np.concatenate([held.rows["train"], held.rows["validation"]])
    assert sorted(tested) == sorted(outside)
    for fold in folds:
        assert not set(fold["test"]) & (set(fold["train"]) | set(fold["validation"]))
        X = prepare(table, settings, fold).parts["train"].X
        np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-5)  # of its training rows alone


@pytest.mark.parametrize("mode", ["--seeds=3", "--folds=3", "--search"])
def test_interrupted_and_resumed_to_the_same_bits(tmp_path, rng, mode):
    X = rng.normal(size=(3000, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", X=X, y=(X[:, 0] * X[:, 1] > 0).astype(int))
    flags = [tmp_path / "d.npz", mode, "--candidates=4", "--epochs=60", "--batch-size=16"]
    assert run("train", *flags, "--out", tmp_path / "whole").exit_code == 0
    process = start("train", *flags, "--out", tmp_path / "cut", "--checkpoint-every", "1e")
    end = time.monotonic() + 60
    while not list((tmp_path / "cut").glob("checkpoints/*/check*")) and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 143, text
    assert "--resume" in text
    result = run("train", "--resume", tmp_path / "cut")
    assert result.exit_code == 0, result.output
    assert result_of(tmp_path / "cut") == result_of(tmp_path / "whole")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--seeds", 2, "--folds", 2), "do not go together"),
        (("--folds", 1), "2 to 1000"),
        (("--search", "--validation", 0), "validation"),
    ],
)
def test_what_does_not_go(flags, text):
    result = run("train", "iris", *flags)
    assert result.exit_code == 2
    assert text in result.output


def test_epochs_of_several_trainings_are_shown_once_all_have_them_and_averaged_once():
    class Counting(list):
        looked_up = 0

        def __getitem__(self, place):
            Counting.looked_up += 1
            return super().__getitem__(place)

    shown = []

    class Watcher:
        def begin(self, *_):
            pass

        def former(self, records):
            assert len(records) == 2

        def epoch(self, record):
            shown.append(record)

    epochs, rng = 50, np.random.default_rng(0)
    histories = [
        [EpochRecord(e + 1, float(rng.normal()), 0.1, 1.0, 5.0) for e in range(epochs)]
        for _ in range(3)
    ]
    histories[2] = histories[2][:20]  # stops early
    shared = Shared(Watcher(), 3)
    told = [shared.member(k, 0, history[:2]) for k, history in enumerate(histories)]
    shared._records = [Counting(records) for records in shared._records]
    shared.begin(epochs, 10, "r2")
    for e in range(2, epochs):
        for k in (0, 1, 2):
            if e < len(histories[k]):
                told[k].epoch(histories[k][e])
            if e == len(histories[k]):
                shared.end(k)
        assert len(shown) == e - 1
    assert shown == mean_history(histories)[2:]
    assert Counting.looked_up <= 3 * epochs

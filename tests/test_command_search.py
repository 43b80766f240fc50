# SPDX-License-Identifier: BSD-3-Clause
"""--search: the plan, the draws, the table, and that threads do not enter."""

import csv

import pytest
from command_tools import metrics_in, result_of, run
from saved_runs import write_table

import fastrelu
from fastrelu.app.errors import CheckpointError
from fastrelu.app.preprocess import Target
from fastrelu.app.run import checkpoint
from fastrelu.app.run.choices import resolve
from fastrelu.app.run.resumed import compare, resumed_settings
from fastrelu.app.run.search.session import Candidate, with_choice
from fastrelu.app.run.search.space import draw, rungs, space_of
from fastrelu.app.run_folder import RunFolder
from fastrelu.app.settings import Settings
from fastrelu.app.settings_file import merge
from fastrelu.training import ConfigError, load_model


def space(text):
    return space_of(Settings(search=True, search_space=text))


def test_plan():
    assert rungs(16, 81) == [(16, 3), (6, 9), (2, 27), (1, 81)]
    assert rungs(1, 5) == [(1, 5)]
    assert [n for n, _ in rungs(2, 1)] == [2, 1]


def test_draws():
    chosen = draw(space("hidden=64|128,64; lr=0.001..0.1; batch-size=16..64"), 20, 3)
    assert chosen == draw(space("hidden=64|128,64; lr=0.001..0.1; batch-size=16..64"), 20, 3)
    assert chosen != draw(space("hidden=64|128,64; lr=0.001..0.1; batch-size=16..64"), 20, 4)
    assert {c["hidden"] for c in chosen} == {(64,), (128, 64)}
    assert all(0.001 <= c["lr"] <= 0.1 and 16 <= c["batch_size"] <= 64 for c in chosen)
    assert len(draw(space("hidden=8|16"), 10, 0)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("hiden=8", "did you mean hidden"), ("lr=x", "lr"), ("lr=2..1", "LOW..HIGH"), ("no", "no")],
)
def test_bad_spaces(text, message):
    with pytest.raises(ConfigError, match=message):
        space(text)


def test_each_optimizer_has_its_own_defaults():
    target = Target("regression")
    for given in ({}, {"lr": 0.03}, {"optimizer": "sgd", "momentum": 0.5}, {"weight_decay": 0.2}):
        for optimizer in ("adam", "adamw", "sgd"):
            candidate = resolve(with_choice(merge(given), {"optimizer": optimizer}), target, 700)
            alone = {k: v for k, v in given.items() if k != "momentum" or optimizer == "sgd"}
            assert candidate == resolve(merge(alone, {"optimizer": optimizer}), target, 700)
    found = [resolve(with_choice(Settings(), {"optimizer": name}), target, 700)
             for name in ("adamw", "sgd")]  # fmt: skip
    assert [(s.lr, s.momentum, s.weight_decay) for s in found] == [
        (0.001, None, 0.01), (0.01, 0.9, 0.0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", "adamw"),
        ("optimizer", "sgd"),
        ("class_weight", "balanced"),
        ("dropout", "0.3"),
    ],
)
def test_a_candidate_is_the_run_with_the_same_settings(tmp_path, name, value):
    table = write_table(tmp_path / "table.csv")
    flags = ["--target", "kind", "--weights", "w", "--hidden", "6", "--epochs", 4]
    search = ["--search", "--search-space", f"{name}={value}", "--candidates", 2]
    assert run("train", table, *flags, *search, "--out", tmp_path / "search").exit_code == 0
    direct = [f"--{name.replace('_', '-')}", value]
    assert run("train", table, *flags, *direct, "--out", tmp_path / "direct").exit_code == 0
    nets = [fastrelu.load(tmp_path / k / "model.safetensors") for k in ("search", "direct")]
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    searched, trained = (metrics_in(tmp_path / k) for k in ("search", "direct"))
    assert searched.pop("search")["chosen"] == {name: value}
    assert searched == trained


def test_search_with_any_threads(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        "epochs = 9\ncandidates = 5\n[search]\nhidden = [[8], [16, 8]]\nlr = {low=0.001, high=0.1}"
    )
    for threads in (1, 3):
        out = tmp_path / str(threads)
        result = run("train", "iris", "--config", config, "--threads", threads, "--out", out)
        assert result.exit_code == 0, result.output
    assert result_of(tmp_path / "1") == result_of(tmp_path / "3")
    rows = list(csv.DictReader((out / "search.csv").read_text().splitlines()))
    found = metrics_in(out)["search"]
    assert len(rows) == 5
    assert int(rows[0]["candidate"]) == found["winner"]
    last = [r for r in rows if r["round"] == rows[0]["round"]]
    assert float(rows[0]["val_accuracy"]) == max(float(r["val_accuracy"]) for r in last)
    hidden = load_model(out).network.layer_sizes[1:-1]
    assert ",".join(map(str, hidden)) == rows[0]["hidden"]
    assert metrics_in(out)["epochs"] == 9


def test_diverged_candidates_lose(tmp_path):
    flags = ("--search", "--search-space", "lr=0.01|1000000", "--optimizer", "sgd", "--epochs", 4)
    result = run("train", "diabetes", *flags, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert metrics_in(tmp_path / "out")["search"]["chosen"]["lr"] == "0.01"
    assert "diverged" in (tmp_path / "out" / "search.csv").read_text()


def test_a_resumed_search_keeps_its_epochs(tmp_path):
    flags = ("--search", "--candidates", 2, "--epochs", 3, "--out", tmp_path / "out")
    assert run("train", "iris", *flags).exit_code == 0
    before = result_of(tmp_path / "out")
    refused = run("train", "--resume", tmp_path / "out", "--epochs", 5)
    assert refused.exit_code == 6 and "a search keeps its --epochs (3)" in refused.output
    assert run("train", "--resume", tmp_path / "out", "--epochs", 3).exit_code == 0
    assert result_of(tmp_path / "out") == before


def test_a_search_goes_on_with_the_space_of_its_beginning(tmp_path):
    table, space, out = write_table(tmp_path / "t.csv"), tmp_path / "s.toml", tmp_path / "out"
    space.write_text("hidden = [2, 3]\nlr = [0.01, 0.001]")
    flags = ("--target", "kind", "--search", "--candidates", 2, "--epochs", 2, "--threads", 1)
    done = run("train", table, *flags, "--search-space", space, "--out", out)
    assert done.exit_code == 0, done.output
    before = result_of(out)
    config = (out / "config.toml").read_text()
    assert 'search_space = "hidden=2|3; lr=0.01|0.001"' in config
    again = {"search_space": str(space)}  # the same file, named once more
    assert resumed_settings(RunFolder(out), again) == resumed_settings(RunFolder(out), {})
    space.write_text("hidden = [2, 4]\nlr = [0.01, 0.001]")
    with pytest.raises(CheckpointError, match=r"--search-space hidden=2\|4; lr=0.01\|0.001 \(it"):
        resumed_settings(RunFolder(out), again)
    space.unlink()  # a run goes on without it
    assert run("train", "--resume", out).exit_code == 0 and result_of(out) == before
    # Whatever else has led to other candidates, a checkpoint says which it is of.
    saved = {"settings": {}, "choice": {"hidden": "2", "lr": "0.01"}}
    for choice in ({"hidden": (2,), "lr": 0.02}, {"hidden": (2,)}):
        now = Candidate(0, choice, Settings()).fingerprint({"settings": {}, "data": {}})
        with pytest.raises(CheckpointError, match=r"the search draws .* and drew"):
            compare(saved, now, print)
    now = Candidate(0, {"hidden": (2,), "lr": 0.01}, Settings()).fingerprint(now)
    compare(saved, now, print)
    compare({"settings": {}}, now, print)  # of an earlier version
    kept = [checkpoint.load(path)[1] for path in out.glob("checkpoints/candidate-*/*.safetensors")]
    assert kept and all(set(state.fingerprint["choice"]) == {"hidden", "lr"} for state in kept)

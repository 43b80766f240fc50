# SPDX-License-Identifier: BSD-3-Clause
"""--search: the plan, the draws, the table, and that threads do not enter."""

import csv

import pytest
from command_tools import metrics_in, result_of, run

from fastrelu.app.run.search.space import draw, rungs, space_of
from fastrelu.app.settings import Settings
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

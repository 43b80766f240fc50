# SPDX-License-Identifier: BSD-3-Clause
"""Settings as flags and as TOML, and the rows that a split gives."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("click")
from command_tools import run

from fastrelu import _core
from fastrelu.app import kinds
from fastrelu.app.data.split import row_numbers
from fastrelu.app.settings import Settings, options
from fastrelu.app.settings_file import load_toml, merge, to_toml
from fastrelu.training import ConfigError


def test_toml_there_and_back(tmp_path):
    settings = merge(
        {
            "data": ('a "b"\\\n\x7f.csv', "c"),
            "target": "prix é",
            "hidden": (),
            "features": ("x", "y, z"),
            "lr": 1e-3,
            "epochs": 3,
            "early_stopping": 2,
            "memory": "1GiB",
        }
    )
    path = tmp_path / "c.toml"
    path.write_text(to_toml(settings, "one"), encoding="utf-8")
    assert merge(load_toml(path)) == settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochs = '5'", "epochs: expected a whole number"),
        ("epochs = 5.0", "epochs: expected a whole number"),
        ("epochs = true", "epochs: expected a whole number"),
        ("lr = 'fast'", "lr: expected a number"),
        ("lr = 0", "lr: expected a number above 0"),
        ("hidden = [1, 'a']", "hidden: expected whole numbers"),
        ("ignore = [1]", "ignore: expected names"),
        ("task = 'classify'", "task: expected one of"),
        ("batchsize = 3", "unknown key 'batchsize'; did you mean batch_size?"),
        ("[train]\nlr = 1", "unknown key 'train'"),
        ("memory = '1B'", "memory: expected a size"),
        ("dropout = 1", "dropout: expected numbers from 0 and below 1"),
        ("dropout = []", "dropout: expected numbers"),
        ("dropout = [0.1, 0.1, 0.1]", "--dropout: expected one rate, or one for each of 2 hidden"),
        ("checkpoint_every = '0s'", "checkpoint_every: expected a time"),
        ("lr = ", "not a TOML file"),
    ],
)
def test_toml_errors_name_the_key(tmp_path, text, says):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        merge(load_toml(path))
    assert says in str(error.value)
    assert run("train", "digits", "--config", path).exit_code == 2


def test_hyphens_are_underscores_and_flags_win(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("batch-size = 7\nlr = 0.5\n")
    settings = merge(load_toml(path), {"lr": 0.25})
    assert settings.batch_size == 7 and settings.lr == 0.25


def test_every_setting_is_in_the_help():
    text = run("train", "--help").output
    assert all(
        f"--{each.name.replace('_', '-')}" in text for each, _ in options() if each.name != "data"
    )
    for group in ("Data:", "Preprocessing:", "Network:", "Training:", "Running:"):
        assert group in text
    for command in ("predict", "evaluate", "info", "plot"):
        assert run(command, "--help").exit_code == 0 and command in run("--help").output


def completion(**environment):
    done = subprocess.run(
        [sys.executable, "-m", "fastrelu"], env=os.environ | environment, capture_output=True,
        text=True,
    )  # fmt: skip
    return done.stdout


def test_completion_is_turned_on_by_the_line_in_the_help():
    assert "_FASTRELU_COMPLETE=bash_source" in run("--help").output
    assert "_fastrelu_completion" in completion(_FASTRELU_COMPLETE="bash_source")
    begun = {"COMP_WORDS": "fastrelu tr", "COMP_CWORD": "1"}
    assert completion(_FASTRELU_COMPLETE="bash_complete", **begun) == "plain,train\n"


def test_cadences_and_sizes():
    assert kinds.cadence("30s") == (30, 0) and kinds.cadence("5e") == (0, 5)
    assert kinds.cadence("1.5m") == (90, 0) and kinds.cadence("2h") == (7200, 0)
    assert kinds.size("256MB") == 256_000_000 and kinds.size("1.5 GiB") == 3 * 2**29


def test_row_numbers_are_philox_words_wherever_they_start():
    words = row_numbers(11, 0, 40)
    for block in range(10):
        expected = _core.philox_block((block, 0, 0, 0), (11, 8))
        assert words[4 * block : 4 * block + 4].tolist() == expected
    assert (row_numbers(11, 13, 9) == words[13:22]).all()


def test_defaults_are_of_their_own_kind():
    for each, option in options():
        value = getattr(Settings(), each.name)
        if value is not None and each.name != "data":
            assert option.kind.check(list(value) if isinstance(value, tuple) else value) == value

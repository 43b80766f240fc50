# SPDX-License-Identifier: BSD-3-Clause
"""Settings as flags and as TOML, and the rows that a split gives."""

import numpy as np
import pytest

pytest.importorskip("click")
from command_tools import run

from fastrelu import _core
from fastrelu.app import kinds
from fastrelu.app.data.split import row_numbers, split_rows
from fastrelu.app.settings import Settings, load_toml, merge, options, to_toml
from fastrelu.training import ConfigError, DataError


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


def split(n, classes=None, column=None, used=None, **settings):
    used = np.arange(n) if used is None else used
    return split_rows(merge(settings), used, classes, column)


def test_random_split_has_exact_shares_of_each_class():
    classes = np.repeat([0, 1, 2, 3], [1, 2, 97, 900])
    parts = split(1000, classes, test=0.2, validation=0.1)
    assert [len(parts[p]) for p in ("train", "validation", "test")] == [700, 100, 200]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(1000))
    assert set(classes[parts["train"]]) == {0, 1, 2, 3}
    assert abs((classes[parts["test"]] == 2).sum() - 0.2 * 97) <= 1
    again = split(1000, classes, test=0.2, validation=0.1)
    assert all((again[p] == parts[p]).all() for p in parts)
    other = split(1000, classes, seed=1)
    assert (other["test"] != parts["test"]).any()


def test_a_rows_place_does_not_depend_on_rows_that_are_left_out_far_behind():
    parts = split(500, test=0.5, validation=0)
    fewer = split(500, used=np.arange(400), test=0.5, validation=0)
    both = np.isin(np.arange(400), parts["test"]) == np.isin(np.arange(400), fewer["test"])
    assert both.mean() > 0.8  # the rank alone moves


def test_time_and_column_splits():
    times = np.array(["2024-03-01", "2024-01-01", "2024-02-01"] * 4, "datetime64[us]")
    parts = split(12, column=times, split="time:t", test=0.34, validation=0.3)
    assert times[parts["test"]].min() == np.datetime64("2024-03-01")
    assert times[parts["train"]].max() <= times[parts["validation"]].min()
    with pytest.raises(DataError, match="1 rows have no time"):
        split(3, column=np.array([1.0, np.nan, 2]), split="time:t")
    with pytest.raises(DataError, match="did you mean train"):
        split(3, column=np.array(["train", "tran", "test"], object), split="column:c")
    with pytest.raises(DataError, match="at least 2 rows"):
        split(3, column=np.array(["train", "test", "test"], object), split="column:c")


def test_defaults_are_of_their_own_kind():
    for each, option in options():
        value = getattr(Settings(), each.name)
        if value is not None and each.name != "data":
            assert option.kind.check(list(value) if isinstance(value, tuple) else value) == value

# SPDX-License-Identifier: BSD-3-Clause
"""Run folders that fastrelu 0.1 wrote load and go on to the bits that they are due.

Those of a classification have changed once since, with the rounding of float32's exp and log.
"""

import hashlib
import shutil
from pathlib import Path

import pytest
from command_tools import metrics_in, run
from saved_runs import write_matrix, write_table, write_text

import fastrelu
from fastrelu.training import load_model

RUNS = Path(__file__).parent / "data" / "runs"
# Of the parameters, after as many epochs as it was to have.
EXPECTED = {
    "memory": "bcec1c26968021d0",
    "stream": "9fc00da09c782534",
    "search": "c5dd09862534a58d",
    "text": "9553197518b0deee",
}


def bits_of(folder):
    parameters = fastrelu.load(folder / "model.safetensors").parameters
    return hashlib.sha256(parameters.tobytes()).hexdigest()[:16]


@pytest.fixture
def saved(tmp_path):
    def copy(name):
        return Path(shutil.copytree(RUNS / name, tmp_path / name))

    return copy


def test_a_finished_run_loads_and_trains_on(saved, tmp_path):
    folder, table = saved("memory"), write_table(tmp_path / "table.csv")
    assert load_model(folder).classes == ["high", "low", "mid"]
    assert run("predict", folder, table).exit_code == 0
    result = run("train", table, "--resume", folder, "--epochs", 6)
    assert result.exit_code == 0, result.output
    assert bits_of(folder) == EXPECTED["memory"]
    assert metrics_in(folder)["test"]["loss"] == 1.1569145305274424


def test_a_streamed_run_goes_on_inside_its_epoch(saved, tmp_path):
    folder, matrix = saved("stream"), write_matrix(tmp_path / "matrix.npy")
    result = run("train", matrix, "--resume", folder)
    assert result.exit_code == 0, result.output
    assert bits_of(folder) == EXPECTED["stream"]
    assert metrics_in(folder)["test"]["r2"] == 0.9968562937508927


def test_a_streamed_run_keeps_the_weights_of_its_classes(saved, tmp_path):
    """They were counted in rows then; of rows with weights they are counted in these today."""
    folder, text = saved("text"), write_text(tmp_path / "long.csv")
    assert run("predict", folder, text).exit_code == 0
    result = run("train", text, "--resume", folder, "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert bits_of(folder) == EXPECTED["text"]
    assert metrics_in(folder)["test"]["loss"] == 0.8167934688143097


def test_a_search_goes_on_with_the_settings_that_it_began_with(saved, tmp_path):
    """Its candidates had the settings of one optimizer; those are in its config.toml."""
    folder, table = saved("search"), write_table(tmp_path / "table.csv")
    result = run("train", table, "--resume", folder)
    assert result.exit_code == 0, result.output
    assert bits_of(folder) == EXPECTED["search"]
    assert metrics_in(folder)["search"]["winner"] == 2

# SPDX-License-Identifier: BSD-3-Clause
"""The examples that serve a model of the command, where what they need is installed."""

import importlib.util
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command_tools import run, write_table

import fastrelu
from fastrelu.training import load_model

FOLDER = Path(__file__).parents[1] / "examples" / "serving"
if not FOLDER.exists():
    pytest.skip("needs the examples", allow_module_level=True)


def example(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def trained(tmp_path):
    table = write_table(tmp_path / "data.csv", np.random.default_rng(0))
    folder = tmp_path / "run"
    assert run("train", table, "--epochs", 2, "--hidden", 4, "--out", folder).exit_code == 0
    return folder


ROWS = [{"size": 0.5, "colour": "red"}, {"size": -1.0, "colour": "blue"}]


def test_fastapi_serves_a_run(trained, monkeypatch):
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient

    before = fastrelu.get_num_threads()
    monkeypatch.setenv("MODEL", str(trained))
    client = TestClient(example("api").app)
    expected = load_model(trained).predict(ROWS).tolist()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/predict", json=ROWS).json(), range(40)))
    assert all(answer == expected for answer in answers)
    assert client.post("/predict", json=[]).json() == []
    wrong = client.post("/predict", json=[{"size": "abc", "colour": "red"}])
    assert wrong.status_code == 422 and "size" in wrong.text
    fastrelu.set_num_threads(before)


def test_mlflow_keeps_a_run(trained, tmp_path):
    pytest.importorskip("mlflow")
    pandas = pytest.importorskip("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example("mlflow_model").save(str(trained), str(tmp_path / "kept"))
        import mlflow

        found = mlflow.pyfunc.load_model(str(tmp_path / "kept")).predict(pandas.DataFrame(ROWS))
    assert np.array_equal(found, load_model(trained).predict(ROWS))


def test_a_call_warns_of_its_own_rows_alone(trained, monkeypatch):
    # Another thread's call comes between the rows of this one and its warnings.
    model = load_model(trained)
    between, meaning = [], type(model).meaning

    def interrupted(self, outputs):
        if not between:
            between.append(True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.predict([{"size": 0.5}])
            assert model.seen["missing column", "colour"] == 1
        return meaning(self, outputs)

    monkeypatch.setattr(type(model), "meaning", interrupted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(ROWS)
    assert between and not +model.seen

# SPDX-License-Identifier: BSD-3-Clause
"""Damaged files beside models: settings, metrics, what a run began with, metadata of tables."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from command_tools import metrics_in, run

import fastrelu
from fastrelu import losses, model_file
from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.stream import open_stream
from fastrelu.app.errors import CheckpointError, ConfigError, DataError, OutputError
from fastrelu.app.run.checkpoint import Checkpoints, RunState
from fastrelu.app.run.resumed import compare
from fastrelu.app.run.search.space import space_of
from fastrelu.app.run.session import load_rows
from fastrelu.app.run_folder import RunFolder
from fastrelu.app.settings import Settings
from fastrelu.app.settings_file import load_toml

NESTED = "[" * 5000


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of one network, and one of the recipe."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(1)
    lines = [f"{a},{b},{int(a + b > 0)}" for a, b in rng.normal(size=(150, 2)).round(3)]
    (folder / "rows.csv").write_text("a,b,y\n" + "\n".join(lines))
    flags = {"plain": ("--epochs", 1, "--hidden", 2), "recipe": ("--preset", "fast")}
    for name, more in flags.items():
        done = run("train", folder / "rows.csv", *more, "--threads", 1, "--out", folder / name)
        assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize(
    "text",
    [
        f"hidden = {NESTED}",
        "hidden = " + "[" * 900 + "]" * 900,
        "a = {" * 3000,
        "lr = 0x" + "f" * 400,
        "lr = " + "9" * 5000,
        "epochs = " + "9" * 5000,
        "threshold = 0x" + "f" * 400,
    ],
    ids=lambda text: text[:12],
)
def test_damaged_settings_are_a_config_error(text, tmp_path):
    path = tmp_path / "settings.toml"
    for content in (text, f"[search]\n{text}"):
        path.write_text(content)
        with pytest.raises(ConfigError):
            load_toml(path)
        with pytest.raises(ConfigError):
            space_of(Settings(search=True, search_space=str(path)))


METRICS = [
    NESTED, "[]", "null", '{"test": 1}', '{"test": {"accuracy": "x"}}', '{"test": {}}',
    '{"test": {"accuracy": [1]}}', '{"test": {"accuracy": 1e999}}', '{"absent_classes": 3}',
    '{"threshold": 0.5}', '{"threshold": {"value": "x"}}', '{"beside": []}', "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", ["plain", "recipe"])
def test_a_finished_run_with_damaged_metrics_makes_them_again(name, finished):
    folder = finished / name
    before = metrics_in(folder)
    for k, content in enumerate(METRICS if name == "plain" else METRICS[:5:4]):
        if content.startswith('{"') and name == "plain":  # of as many epochs, otherwise as it was
            content = json.dumps(before | json.loads(content.replace("1e999", "9e99")))
            content = content.replace("9e99", "1e999").replace("9e+99", "1e999")
        (folder / "metrics.json").write_text(content, errors="surrogateescape")
        done = run("train", "--resume", folder)
        assert done.exit_code == 0 and "made again" in done.output, (k, done.output)
        assert metrics_in(folder)["test"] == before["test"], content[:50]
    assert "is finished" in run("train", "--resume", folder).output


@pytest.mark.parametrize("content", [NESTED, "[]", "", '{"data": 1}', '{"settings": []}', "\udcff"])
def test_a_damaged_beginning_is_a_checkpoint_error(content, finished, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.toml").write_bytes((finished / "recipe" / "config.toml").read_bytes())
    (folder / "checkpoints" / "begun.json").write_text(content, errors="surrogateescape")
    done = run("train", "--resume", folder)
    assert done.exit_code == 6 and "begun.json is damaged" in done.output


def test_metadata_of_pandas_that_is_damaged_is_passed_over(tmp_path):
    import pyarrow as pa
    from pyarrow import feather, parquet

    for content in (NESTED, '{"index_columns": 1}', "9" * 5000):
        table = pa.table({"a": [1.0, 2.0], "y": [0, 1]})
        table = table.replace_schema_metadata({b"pandas": content.encode()})
        parquet.write_table(table, tmp_path / "rows.parquet")
        feather.write_feather(table, tmp_path / "rows.feather")
        for name in ("rows.parquet", "rows.feather"):
            assert run("inspect", tmp_path / name).exit_code == 0


def test_an_ensemble_described_by_nested_lists_is_a_value_error(tmp_path):
    fastrelu.Ensemble([fastrelu.Network([2, 1])]).save(tmp_path / "file")
    arrays, metadata = model_file.read(tmp_path / "file", "fastrelu.ensemble")
    for content in (NESTED, '{"a":' * 5000, '{"members": 1e999}'):
        model_file.write(tmp_path / "file", arrays, metadata | {"ensemble": content})
        with pytest.raises(ValueError, match="damaged"):
            fastrelu.Ensemble.load(tmp_path / "file")


def written_again(path, arrays, metadata):
    """Write a checkpoint with the checksum that its content has."""
    from fastrelu.app.run import checkpoint

    metadata["checksum"] = checkpoint._checksum(arrays, metadata)
    model_file.write(path, arrays, metadata)


@pytest.mark.parametrize("content", [NESTED, "[]", '{"records": [1]}', '{"records": [], "x": 1}'])
def test_a_checkpoint_with_a_damaged_run_and_a_right_checksum_is_damaged(content, tmp_path):
    from fastrelu.app.run import checkpoint

    trainer = fastrelu.Trainer(fastrelu.Network([2, 1]))
    arrays, metadata = trainer.checkpoint_content()
    metadata["run"] = content
    written_again(tmp_path / "file", arrays, metadata)
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.load(tmp_path / "file")


VALUES = [-1, 0, 2, 3, 2**70, 1e999, 1.5, True, "", "\x1b[31m", [1, None], {"a": 1}]


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("records", []), ("best_epoch", []), ("best_loss", []), ("stopped_early", [True]),
        ("feeder", [{"a": 1}]), ("training", ["", "\x1b[31m"]), ("fingerprint", [{"a": 1}]),
    ],
)  # fmt: skip
def test_each_part_of_a_checkpoints_run_is_looked_at(key, right, finished, tmp_path):
    from fastrelu.app.run import checkpoint

    (path,) = (finished / "plain" / "checkpoints").glob("*.safetensors")
    checkpoint.load(path)  # which is right
    arrays, metadata = model_file.read(path, "fastrelu.checkpoint")
    run = json.loads(metadata["run"])
    record = run["records"][0]
    wrong = [value for value in VALUES if (type(value), value) not in [(type(r), r) for r in right]]
    if key == "best_epoch":
        wrong.append(None)
    if key == "records":
        wrong += [[], [record, record], [record, record | {"epoch": 2}], [record | {"epoch": 2}]]
        wrong += [[record | {"loss": value}] for value in VALUES[7:]]
    if key == "fingerprint":
        wrong += [{part: value} for part in ("data", "settings") for value in VALUES[:-1]]
    for value in wrong:
        metadata["run"] = json.dumps(run | {key: value})
        written_again(tmp_path / "file", arrays, metadata)
        with pytest.raises(ValueError, match="damaged"):
            checkpoint.load(tmp_path / "file")
    for best in (arrays["best.parameters"][:-1], arrays["best.parameters"].astype(np.float64)):
        metadata["run"] = json.dumps(run)
        written_again(tmp_path / "file", {**arrays, "best.parameters": best}, metadata)
        with pytest.raises(ValueError, match="damaged"):
            checkpoint.load(tmp_path / "file")


@pytest.mark.parametrize(
    ("mode", "source", "place"),
    [
        ("--folds=2", "fold-000", "fold-001"),
        ("--folds=2", "fold-001", ""),
        ("--folds=2", "", "fold-000"),
        ("--seeds=2", "member-001", "member-000"),
    ],
)
def test_a_checkpoint_of_another_training_of_the_run_is_refused(
    mode, source, place, finished, tmp_path
):
    out = finished / mode.strip("-")
    if not out.exists():
        flags = (mode, "--epochs", 1, "--hidden", 2, "--threads", 1)
        assert run("train", finished / "rows.csv", *flags, "--out", out).exit_code == 0
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    (copy / "metrics.json").unlink()
    if place:  # the folds are judged before the run as a whole, which has its own checkpoint
        for path in (copy / "checkpoints").glob("*.safetensors"):
            path.unlink()
    for path in (copy / "checkpoints" / place).glob("*.safetensors"):
        path.unlink()
    (given,) = (out / "checkpoints" / source).glob("*.safetensors")
    shutil.copy(given, copy / "checkpoints" / place)
    before = sorted(copy.rglob("*"))
    done = run("train", "--resume", copy)
    assert done.exit_code == 6 and "another training of this run" in done.output, done.output
    assert sorted(copy.rglob("*")) == before and not (copy / "metrics.json").exists()


@pytest.mark.parametrize("other", ["candidate", "seed", "targets", "without names"])
def test_a_checkpoint_of_other_members_of_the_recipe_is_refused(other, tmp_path):
    from fastrelu.app.tabular.clock import Clock
    from fastrelu.app.tabular.recipe import Candidate
    from fastrelu.app.tabular.train import Problem, Training

    class Inputs:
        n_inputs, whole = 3, True

        def fit(self, population, y, epochs, **more):
            raise KeyboardInterrupt  # which saves the members

    def training(seed, y):
        problem = Problem(losses.SquaredError(), y, None, np.zeros(1))
        return Training(problem, [np.arange(3), np.arange(3, 6)], [seed, 5], Clock(None), False)

    path, y = tmp_path / "checkpoint-candidate-000.safetensors", np.arange(6.0)[:, None]
    candidate = Candidate(10, (4,), 0.03, 0.001, 4, 9, 3)

    def run_on(seed, y, candidate):
        with pytest.raises((KeyboardInterrupt, CheckpointError)) as caught:
            training(seed, y).run(Inputs(), candidate, checkpoint=path)
        return caught.value

    assert isinstance(run_on(1, y, candidate), KeyboardInterrupt)
    assert isinstance(run_on(1, y, candidate), KeyboardInterrupt)
    if other == "without names":  # as earlier versions wrote it
        arrays, metadata = model_file.read(path, "fastrelu.population")
        members = [each | {"name": ""} for each in json.loads(metadata["members"])]
        model_file.write(path, arrays, metadata | {"members": json.dumps(members)})
        assert isinstance(run_on(1, y, candidate), KeyboardInterrupt)
        return
    seed, y = 1 + (other == "seed"), y + (other == "targets")
    if other == "candidate":
        candidate = replace(candidate, weight_decay=0.3)
    content = path.read_bytes()
    assert "checkpoint-candidate-000.safetensors: the checkpoint does not fit" in str(
        run_on(seed, y, candidate)
    )
    assert path.read_bytes() == content


@pytest.mark.parametrize("what", ["no model", "other metrics", "other model"])
def test_a_run_whose_metrics_are_not_its_models_is_not_finished(what, finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished / "plain", copy)
    model, metrics = copy / "model.safetensors", copy / "metrics.json"
    before = model.read_bytes()
    known = json.loads(metrics.read_text())
    metrics.write_text(json.dumps(known | {"test": known["test"] | {"loss": 0.125}}))
    if what != "other metrics":
        metrics.write_text(json.dumps(known))
        model.unlink()
    if what == "other model":
        shutil.copy(finished / "recipe" / "model.safetensors", model)
    done = run("train", "--resume", copy)
    assert done.exit_code == 0 and "made again" in done.output, done.output
    assert metrics_in(copy) == known and model.read_bytes() == before


@pytest.mark.parametrize("what", ["damaged", "of a later version", "a folder"])
def test_a_model_of_a_finished_run_that_cannot_be_loaded_stays(what, finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished / "plain", copy)
    model = copy / "model.safetensors"
    content = model.read_bytes()
    if what == "of a later version":
        content = content.replace(b'"format_version":"1"', b'"format_version":"9"')
    model.write_bytes(content if what == "of a later version" else content[:-9])
    if what == "a folder":
        model.unlink()
        model.mkdir()
    done = run("train", "--resume", copy)
    assert done.exit_code == 6 and "put back the model that was here" in done.output, done.output
    assert model.is_dir() or len(model.read_bytes()) in (len(content), len(content) - 9)
    assert what != "of a later version" or "written by a later fastrelu" in done.output


def test_saved_members_stay_where_the_metrics_are_another_runs(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished / "recipe", copy)
    (copy / "model.safetensors").unlink()
    shutil.copy(finished / "plain" / "metrics.json", copy)
    kept = copy / "checkpoints" / "begun.json"
    kept.write_text('{"data": {"columns": ["a", null]}}')
    done = run("train", "--resume", copy)
    assert done.exit_code == 6 and "does not fit" in done.output and kept.exists()


def test_data_of_which_a_list_only_goes_on_are_told():
    now = {"settings": {}, "data": {"columns": ["a"]}}
    for more in (None, "b", "nothing"):
        with pytest.raises(CheckpointError, match="nothing"):
            compare({"data": {"columns": ["a", more]}}, now, print)


def test_a_stream_whose_files_have_changed_is_not_gone_on_with(tmp_path, rng):
    X = rng.normal(size=(60_000, 6))
    X[:, 5] = X[:, 0] > 0
    path = tmp_path / "big.npy"

    def told(X):
        np.save(path, X)
        stream = open_stream([str(path)], ColumnChoice(), 3 << 20)
        return {"settings": {}, "data": stream.fingerprint()}

    before, said = told(X), []
    for changed in (X[::-1], X[:-1]):
        with pytest.raises(CheckpointError, match="the data have changed"):
            compare(before, told(changed), said.append)
    stays = told(X)
    assert not said
    compare(stays, stays, said.append)
    compare(
        {"data": {k: v for k, v in stays["data"].items() if k != "written"}}, stays, said.append
    )
    assert not said  # nor where an earlier version does not say when they were written
    X[22_222, 1] += 1  # between the places that are looked at
    compare(stays, told(X), said.append)
    assert said[0].startswith("warning: the files of the data have been written since")


def test_a_file_that_is_missing_when_a_stream_goes_on_is_named(tmp_path):
    names = [str(tmp_path / f"part-{k}.csv") for k in range(2)]
    for path in names:
        Path(path).write_text("a,y\n1,2\n")
    began = {"block_rows": 100}
    for damage, says in ((os.unlink, "no such file"), (os.truncate, "the file is empty")):
        damage(names[1], *([0] if damage is os.truncate else []))
        with pytest.raises(DataError, match=f"part-1.csv: {says}"):
            load_rows(Settings(data=tuple(names)), began)
        Path(names[1]).write_text("a,y\n1,2\n")
    with pytest.raises(CheckpointError, match="larger than --memory"):
        load_rows(Settings(data=tuple(names)), began)


def test_a_run_whose_folder_another_has_taken_writes_nothing_there(tmp_path):
    path, taken = tmp_path / "run", []
    for k in range(2):
        folder = RunFolder(path)
        folder.take(False)
        folder.clear()
        folder.write_text("metrics.json", str(k))
        taken.append(folder)
        if not k:
            path.rename(tmp_path / "aside")
    first, second = taken
    trainer = fastrelu.Trainer(fastrelu.Network([2, 1]))
    kept = Checkpoints(path / "checkpoints", "60s", 1, run=first)
    for write in (
        lambda: first.write_text("metrics.json", "0"),
        lambda: first.part("fold-000"),
        lambda: kept.save(trainer, RunState()),
    ):
        with pytest.raises(OutputError, match="another folder has taken the place"):
            write()
    second.write_text("metrics.json", "2")
    assert sorted(p.name for p in path.rglob("*")) == ["checkpoints", "metrics.json"]
    assert (path / "metrics.json").read_text() == "2"
    second.close()
    first.close()
    shutil.rmtree(path)
    with pytest.raises(OutputError, match="cannot be written"):
        folder = RunFolder(path)
        folder.take(False)
        shutil.rmtree(path)
        folder.write_text("metrics.json", "0")
    folder.close()

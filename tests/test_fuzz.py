# SPDX-License-Identifier: BSD-3-Clause
"""Good files changed at random, and arrays of all kinds: taken, or refused as documented.

FASTRELU_MUTANTS says how many of each; scripts/fuzz.py goes on for as long as it is told, watches
the memory, and shows what a mutant's number stands for.
"""

import json
import os
import random
import zipfile

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
pytest.importorskip("onnx")
pytest.importorskip("openpyxl")
pytest.importorskip("python_calamine")
from command_tools import run
from fuzz_calls import CALLS, called
from fuzz_changes import mutated
from fuzz_files import TARGETS, tried

import fastrelu
from fastrelu import model_file, training
from fastrelu.app.data.readers import read
from fastrelu.training import DataError

MUTANTS = int(os.environ.get("FASTRELU_MUTANTS", "300"))
SLOW = {"model": 4, "text": 4}  # test_damaged_models.py and test_fuzz_csv.py have more of these
SLOW_CALLS = {"lipschitz": 10, "estimate_constants": 10}


@pytest.mark.parametrize("name", TARGETS)
def test_files_with_bytes_changed(name, tmp_path):
    target = TARGETS[name]
    seeds = target.seeds(tmp_path)
    ends = [tried(target, tmp_path / "file", seed) for seed in seeds]
    assert ends[0]
    ends = []
    for number in range(MUTANTS // SLOW.get(name, 1)):
        data = mutated(random.Random(f"{name} {number}"), seeds)
        try:
            ends.append(tried(target, tmp_path / "file", data))
        except Exception as error:
            pytest.fail(f"{name} {number}: {error!r} for {data[:300]!r}")
    assert 0 < sum(ends) < len(ends)


@pytest.mark.parametrize("name", CALLS)
def test_calls_with_any_arrays(name):
    ends = []
    for number in range(MUTANTS // 3 // SLOW_CALLS.get(name, 1)):
        try:
            ends.append(called(name, f"{name} {number}"))
        except Exception as error:
            pytest.fail(f"{name} {number}: {error!r}")
    assert sum(ends) < len(ends)


# What fuzzing has found


def test_numbers_that_no_float_holds_are_value_errors():
    huge = 10**400
    for refused in (
        lambda: fastrelu.SGD(huge),
        lambda: fastrelu.Network([2, 1], scale=huge),
        lambda: fastrelu.Trainer(fastrelu.Network([2, 3, 1]), dropout=huge),
        lambda: fastrelu.EncodedRows.from_edges([[huge]], [[0, 1]]),
        lambda: fastrelu.EncodedRows.from_edges([[1.0]], [[0, huge]]),
    ):
        with pytest.raises(ValueError):
            refused()


def test_a_window_of_rows_without_places_is_a_type_error():
    sp = pytest.importorskip("scipy.sparse")
    for form in ("dia", "bsr", "coo", "csc"):
        with pytest.raises(TypeError, match="window"):
            fastrelu.Network([2, 3, 1]).linear_regions(sp.eye(2).asformat(form))


@pytest.mark.parametrize("members", ["[{}]", "[1]", "3", "null", '[{"trainer": 1}]'])
def test_a_population_without_its_trainers_is_a_value_error(members, tmp_path):
    fastrelu.Population([{"layer_sizes": [2, 1]}]).save_checkpoint(tmp_path / "file")
    arrays, metadata = model_file.read(tmp_path / "file", "fastrelu.population")
    model_file.write(tmp_path / "file", arrays, metadata | {"members": members})
    with pytest.raises(ValueError):
        fastrelu.Population.from_checkpoint(tmp_path / "file")


def test_numbers_that_are_no_characters_are_a_data_error(tmp_path):
    rows = np.array([("ab", 1.0), ("c", 2.0)], dtype=[("a", "U2"), ("y", "f8")])
    np.save(tmp_path / "rows.npy", rows)
    good = (tmp_path / "rows.npy").read_bytes()
    (tmp_path / "rows.npy").write_bytes(good.replace(b"b\0\0\0", b"b\0\0\x7f"))
    with pytest.raises(DataError, match=r"column 'a': .*no characters"):
        read([str(tmp_path / "rows.npy")])


def test_an_archive_with_a_member_without_a_name_is_a_data_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as file:
        file.writestr("rows.csv", "a,y\n1,2\n")
        file.writestr("QQQQ", "")
    path = tmp_path / "rows.zip"
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\0QQQ"))  # a name ends at its NUL
    with pytest.raises(DataError):
        read([str(path)])


def test_a_number_of_members_is_held_beside_the_arrays(tmp_path):
    fastrelu.Ensemble([fastrelu.Network([2, 3])], "cross_entropy").save(tmp_path / "file")
    arrays, metadata = model_file.read(tmp_path / "file", "fastrelu.ensemble")
    for described in ({"members": 10**11}, {"members": 10**11, "networks": []}):
        about = {"link": "softmax"} | described
        model_file.write(tmp_path / "file", arrays, metadata | {"ensemble": json.dumps(about)})
        with pytest.raises(ValueError, match="100000000000 members, arrays of 1"):
            fastrelu.Ensemble.load(tmp_path / "file")


@pytest.mark.parametrize("name", ["qqnode", "qqtensor", "qqattribute", "qqinput", "Gemm"])
def test_a_name_that_is_no_text_in_an_onnx_file_is_a_value_error(name, tmp_path):
    from onnx import TensorProto, helper, save

    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Gemm", ["qqinput", "w"], ["qqtensor"], name="qqnode", qqattribute=1.0),
        helper.make_node("Relu", ["qqtensor"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "graph", [value("qqinput", TensorProto.FLOAT, [None, 2])],
        [value("y", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])],
    )  # fmt: skip
    path = tmp_path / "file"
    save(helper.make_model(graph), path)
    path.write_bytes(path.read_bytes().replace(name.encode(), b"\xe9" * len(name)))
    with pytest.raises(ValueError, match=r"path: .* is not UTF-8"):
        fastrelu.from_onnx(path)


def test_a_row_whose_class_cannot_be_told_is_a_data_error(tmp_path):
    table = training.read(["iris"])
    inputs, target = training.fit_inputs(table), training.fit_target(table)
    net = fastrelu.Network([4, 3, 3])
    model = training.Model(net, inputs, target, "target", "cross_entropy")
    net.weights[0][:] = net.weights[1][:] = 1e30  # finite, unlike what they make of a row
    for asked in (model.outputs, model.predict, model.predict_proba):
        with pytest.raises(DataError, match=r"row \d+: the network's outputs are not finite"):
            asked(table.matrix)
    model.save(tmp_path / "model.safetensors")
    done = run("predict", tmp_path / "model.safetensors", "iris")
    assert done.exit_code == 3 and "outputs are not finite numbers" in done.stderr


MEMBER = {
    "name": (3, [], None),
    "epochs": ("x", -1, 1.5, True, 10**30),
    "patience": ([1], 0, {}),
    "sampling": (1, "other", None),
    "diverged": (1, [], [1.5, "0x1p+0"], ["1", "0x1p+0"]),
    "course": (None, [], {}),
}
COURSE = {
    "first_epoch": (None, -1, "1", 1.5),
    "last_epoch": ([], 10**30),
    "stopped": (0, "false", None),
    "best_loss": (1.0, "x"),
    "waited": (None, -1),
    "history": ({"other": []}, {"loss": 3}, {"loss": ["x"]}, {"metric": []}, []),
}


def test_what_a_population_says_of_its_members_is_looked_at(tmp_path):
    """A name that was no str raised TypeError, and the rest went on into the next fit."""
    path = tmp_path / "file"
    fastrelu.Population([{"layer_sizes": [2, 1], "name": "a"}]).save_checkpoint(path)
    arrays, metadata = model_file.read(path, "fastrelu.population")
    (good,) = json.loads(metadata["members"])
    fits = fastrelu.Population.from_checkpoint(path).members[0]
    changed = [good | {key: value} for key, values in MEMBER.items() for value in values]
    changed += [
        good | {"course": good["course"] | {key: value}}
        for key, values in COURSE.items()
        for value in values
    ]
    for each in changed:
        model_file.write(path, arrays, metadata | {"members": json.dumps([each])})
        with pytest.raises(ValueError, match="the checkpoint is damaged"):
            fastrelu.Population.from_checkpoint(path)
    others = {"rows": [0.5], "validation_rows": [-1], "sample_weight": [[1.0]], "best": [1.0]}
    for name, value in others.items():
        model_file.write(path, arrays | {f"0.{name}": np.array(value)}, metadata)
        with pytest.raises(ValueError, match="the checkpoint is damaged"):
            fastrelu.Population.from_checkpoint(path)
    for unfinished in ("[]", "0", "null"):
        model_file.write(path, arrays, metadata | {"unfinished": unfinished})
        with pytest.raises(ValueError, match="the checkpoint is damaged"):
            fastrelu.Population.from_checkpoint(path)
    assert fits.name == "a"


@pytest.mark.parametrize("settings", ["[]", "null", "3", '"x"', "{}"])
def test_settings_of_a_trainer_that_are_none_are_a_value_error(settings, tmp_path):
    """With a learning rate of the caller's they were an AttributeError."""
    path = tmp_path / "file"
    fastrelu.Trainer(fastrelu.Network([2, 1])).save_checkpoint(path)
    arrays, metadata = model_file.read(path, "fastrelu.checkpoint")
    model_file.write(path, arrays, metadata | {"trainer": settings})
    with pytest.raises(ValueError, match="the checkpoint is damaged"):
        fastrelu.Trainer.from_checkpoint(path, learning_rate=0.1)

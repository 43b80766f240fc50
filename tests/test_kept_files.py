# SPDX-License-Identifier: BSD-3-Clause
"""Files that earlier versions wrote: each loads, predicts the same bits, and goes on to the same.

What the files are is said in tests/data/README.md. A failure here is a user who cannot read an old
model: mend the reader, never the files.
"""

import gzip
import json
import pickle
import shutil
import warnings
from pathlib import Path

import kept_cases as cases
import numpy as np
import pytest
from conftest import same_bits

import fastrelu

KEPT = Path(__file__).parent / "data" / "0.1.0"
# What comes of them since float32's exp, log, log1p and tanh are correctly rounded, and predictions
# take these, not NumPy's, where that is something else.
ROUNDED = Path(__file__).parent / "data" / "rounded"


def expected(part):
    """What each of a kind answers; by the change of rounding above, others than were kept."""
    kept = json.loads((KEPT / part / "expected.json").read_text())
    changed = json.loads((ROUNDED / "expected.json").read_text()).get(part, {})
    return {name: {**answers, **changed.get(name, {})} for name, answers in kept.items()}


@pytest.mark.parametrize("name", cases.NETWORKS)
def test_a_network_answers_as_before(name):
    net = fastrelu.load(KEPT / "networks" / f"{name}.safetensors")
    kept = np.load(KEPT / "networks" / "expected.npz")
    rounded = np.load(ROUNDED / "networks.npz")
    for what, array in cases.answers(net).items():
        key = f"{name}.{what}"
        assert same_bits(array, (rounded if key in rounded else kept)[key]), what
        np.testing.assert_allclose(array, kept[key], rtol=2e-6, atol=2e-7)


def test_only_what_uses_these_functions_in_float32_has_changed():
    changed = {key.split(".")[0] for key in np.load(ROUNDED / "networks.npz")}
    assert not any("float64" in name for name in changed)
    kept = json.loads((KEPT / "checkpoints" / "expected.json").read_text())
    for name, answers in json.loads((ROUNDED / "expected.json").read_text())["checkpoints"].items():
        before = [float.fromhex(loss) for loss in kept[name]["loss"]]
        assert [float.fromhex(each) for each in answers["loss"]] == pytest.approx(before, rel=1e-5)


def test_predictions_by_the_cores_own_functions_are_near_those_of_before():
    kept = json.loads((KEPT / "runs" / "expected.json").read_text())
    for name, answers in json.loads((ROUNDED / "expected.json").read_text())["runs"].items():
        for key in answers.keys() & {"predictions before", "predictions"}:
            now, before = _numbers(answers[key]), _numbers(kept[name][key])
            np.testing.assert_allclose(now, before, rtol=1e-6)


def _numbers(text):
    """The cells of a CSV file that are numbers."""
    cells = ",".join(text.splitlines()[1:]).split(",")
    return [float(cell) for cell in cells if cell[0].isdigit()]


@pytest.mark.parametrize("name", cases.CHECKPOINTS)
def test_a_checkpoint_goes_on_to_the_same_bits(name):
    path = KEPT / "checkpoints" / f"{name}.safetensors"
    rate = {}
    if name.endswith("own_rate"):
        with pytest.raises(ValueError, match="learning_rate: expected the callable"):
            fastrelu.Trainer.from_checkpoint(path)
        rate = {"learning_rate": cases.own_rate}
    trainer = fastrelu.Trainer.from_checkpoint(path, **rate)
    assert cases.go_on(name, trainer) == expected("checkpoints")[name]


# Pickles


def unpickled(path):
    with warnings.catch_warnings():
        # scikit-learn's own parts of an estimator (LabelBinarizer) warn of another version's.
        warnings.filterwarnings("ignore", "Trying to unpickle", UserWarning)
        if path.suffix == ".joblib":
            return pytest.importorskip("joblib").load(path)
        return pickle.loads(path.read_bytes())


ESTIMATORS = sorted((KEPT / "pickles").glob("*or_*")) + sorted((KEPT / "pickles").glob("*er_*"))


@pytest.mark.parametrize("path", ESTIMATORS, ids=lambda path: path.name)
def test_an_estimator_goes_on_to_the_same_bits(path):
    pytest.importorskip("sklearn")
    estimator = unpickled(path)
    n_classes = cases.estimators()[path.stem][1]
    assert cases.estimator_answers(estimator, n_classes) == expected("pickles")[path.stem]
    again = pickle.loads(pickle.dumps(estimator))
    X = cases.estimator_data(n_classes)[0]
    assert same_bits(again.predict(X), estimator.predict(X))


def test_other_objects_come_back():
    kept = {name: unpickled(KEPT / "pickles" / f"{name}.pickle") for name in cases.objects()}
    made = cases.objects()
    for name, value in kept.items():
        assert type(value) is type(made[name]), name
    assert same_bits(kept["network"].parameters, made["network"].parameters)
    assert same_bits(kept["network"](cases.rows(7, 5)), made["network"](cases.rows(7, 5)))
    x = np.linspace(-1, 4, 51)
    assert same_bits(kept["piecewise_linear"](x), made["piecewise_linear"](x))
    # Where roundings may hide a kink the corners have moved by a rounding since they were kept.
    for name in ("vertices", "A", "c"):
        then, now = (getattr(regions["linear_regions"], name) for regions in (kept, made))
        assert then.shape == now.shape and np.abs(then - now).max() < 1e-14, name
    for name in ("offsets", "pattern"):
        assert same_bits(
            getattr(kept["linear_regions"], name), getattr(made["linear_regions"], name)
        )
    for name in ("A", "c", "pattern"):
        assert same_bits(getattr(kept["local_affine"], name), getattr(made["local_affine"], name))
    assert kept["history"].loss == made["history"].loss
    assert kept["history"].learning_rate == [] and "loss=" in repr(kept["history"])
    assert kept["loss"] == made["loss"] and kept["optimizer"] == made["optimizer"]


# Runs of the command


@pytest.fixture
def run_of(tmp_path):
    """Return a copy of a kept run's folder, and its data file."""
    pytest.importorskip("pyarrow")

    def copy(name):
        data = tmp_path / cases.RUNS[name][0]
        packed = KEPT / "runs" / f"{data.name}.gz"
        if packed.exists():
            data.write_bytes(gzip.decompress(packed.read_bytes()))
        else:
            shutil.copy(KEPT / "runs" / data.name, data)
        shutil.copytree(KEPT / "runs" / name, tmp_path / name)
        return tmp_path / name, data

    return copy


def predictions(folder, data):
    from command_tools import run

    (sample := folder.parent / "sample.csv").write_bytes(cases.first_rows(data, 40))
    flags = ["--proba"] if data.name == "flowers.csv" else []
    result = run("predict", folder, sample, *flags)
    assert result.exit_code == 0, result.output
    return result.stdout


FINISHED = [name for name, (_, _, interrupted, _) in cases.RUNS.items() if not interrupted]
GOING_ON = [
    name for name, (_, _, interrupted, epochs) in cases.RUNS.items() if interrupted or epochs
]


@pytest.mark.parametrize("name", FINISHED)
def test_a_run_predicts_as_before(name, run_of):
    from command_tools import run

    folder, data = run_of(name)
    assert predictions(folder, data) == expected("runs")[name]["predictions before"]
    for arguments in (["info", folder], ["evaluate", folder, data], ["plot", folder]):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
    assert list(folder.rglob("*.png"))


@pytest.mark.parametrize("name", GOING_ON)
def test_a_run_goes_on_to_the_same_bits(name, run_of):
    from command_tools import run

    folder, data = run_of(name)
    epochs = cases.RUNS[name][3]
    result = run("train", data, "--resume", folder, *(["--epochs", epochs] if epochs else []))
    assert result.exit_code == 0, result.output
    kept, found = expected("runs")[name], cases.run_outcome(folder)
    assert found["parameters"] == kept["parameters"]
    assert found["losses"] == kept["losses"]
    both = kept["test"].keys() & found["test"].keys()  # a loss may have another metric today
    assert "loss" in both
    for metric in both:  # NumPy may sum in another order
        assert found["test"][metric] == pytest.approx(kept["test"][metric], rel=1e-9), metric
    assert predictions(folder, data) == kept["predictions"]


def test_the_files_stay_small():
    sizes = {path: path.stat().st_size for path in KEPT.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 50_000 and sum(sizes.values()) < 600_000, sizes

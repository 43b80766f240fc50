# SPDX-License-Identifier: BSD-3-Clause
"""Made the files beside it with fastrelu 0.1.0, and stays as the record of how.

``python make.py`` in an environment with that build; a later version's files get a folder of
their own, since what these are for is that they are old.
"""

import gzip
import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("networks", "checkpoints", "pickles", "runs")
sys.path.insert(0, str(HERE.parent.parent))
os.environ.setdefault("FASTRELU_ISA", "baseline")  # slow: an epoch can be interrupted inside

import kept_cases as cases
import numpy as np
from click.testing import CliRunner
from safetensors import safe_open

import fastrelu
import fastrelu.training.model
from fastrelu.training.checkpoint import Checkpoints
from fastrelu.training.commands import main as command


def networks(folder):
    expected = {}
    for number, (name, settings) in enumerate(cases.NETWORKS.items()):
        net = fastrelu.Network(**settings, seed=number)
        net.parameters[...] += cases.whole_numbers(net.n_parameters).astype(net.dtype) / 640
        net.save(folder / f"{name}.safetensors")
        for what, array in cases.answers(net).items():
            expected[f"{name}.{what}"] = array
    np.savez(folder / "expected.npz", **expected)


def checkpoints(folder):
    expected = {}
    for name, (_, _, _, sampling) in cases.CHECKPOINTS.items():
        trainer = cases.new_trainer(name)
        X, y = cases.data_of(name)
        if name.startswith("interrupted"):
            data = trainer._core.data(X, y, None, True)
            assert trainer._run_epoch(data, lambda: True, sampling) is False, name
            assert trainer._core.state["in_epoch"], name
        else:
            trainer.fit(X, y, epochs=2, sampling=sampling)
            trainer.step(X[:3], y[:3])
        trainer.save_checkpoint(folder / f"{name}.safetensors")
        expected[name] = cases.go_on(name, trainer)
    write_json(folder / "expected.json", expected)


def pickles(folder):
    import joblib

    expected = {}
    for name, (estimator, n_classes) in cases.estimators().items():
        X, y = cases.estimator_data(n_classes)
        if estimator.solver == "lbfgs":
            estimator.fit(X, y)
        else:
            for _ in range(3):
                classes = {"classes": range(n_classes)} if n_classes else {}
                estimator.partial_fit(X, y, **classes)
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(estimator, protocol=4))
        if name == "classifier_adam":
            joblib.dump(estimator, folder / f"{name}.joblib")
        expected[name] = cases.estimator_answers(estimator, n_classes)
    for name, value in cases.objects().items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(value, protocol=4))
    write_json(folder / "expected.json", expected)


def runs(folder):
    expected = {}
    for name, write in cases.WRITERS.items():
        path = folder / name
        write(path)
    for name, (data, _, interrupted, epochs) in cases.RUNS.items():
        out, path = folder / name, folder / data
        done = run("train", path, *cases.flags_of(name), "--out", out, stop=interrupted)
        assert done == (130 if interrupted else 0), name
        if interrupted:
            assert any(map(inside_an_epoch, out.rglob("checkpoint-*.safetensors"))), name
        again = Path(tempfile.mkdtemp()) / name
        shutil.copytree(out, again)
        more = ["--epochs", epochs] if epochs else []
        if interrupted or epochs:
            assert run("train", path, "--resume", again, *more) == 0, name
        expected[name] = cases.run_outcome(again)
        expected[name]["predictions"] = predictions(folder, data, again)
        if not interrupted:
            expected[name]["predictions before"] = predictions(folder, data, out)
        clean(out, folder)
    write_json(folder / "expected.json", expected)
    # The Parquet file is nothing but 85 numbers and three words again and again.
    path = folder / "stream.parquet"
    packed = gzip.compress(path.read_bytes(), 9, mtime=0)
    (folder / "stream.parquet.gz").write_bytes(packed)
    path.unlink()


def predictions(folder, data, model):
    """Return what `fastrelu predict` writes for the first 40 rows of the data."""
    sample = folder / "sample.csv"
    sample.write_bytes(cases.first_rows(folder / data, 40))
    loaded = fastrelu.training.model.load_model(model)
    flags = ["--proba"] if loaded.task == "classification" else []
    result = CliRunner().invoke(command, ["predict", str(model), str(sample), *flags])
    assert result.exit_code == 0, result.output
    sample.unlink()
    return result.stdout


def run(*arguments, stop=False):
    """Call the command; `stop`: with a signal at its first checkpoint."""
    arguments = [str(a) for a in arguments]
    save, saved = Checkpoints.save, []

    def save_and_stop(self, trainer, state):
        path = save(self, trainer, state)
        saved.append(trainer)
        if len(saved) == 1:
            os.kill(os.getpid(), signal.SIGINT)  # to the main thread, from any
        return path

    if stop:
        Checkpoints.save = save_and_stop
        arguments += ["--checkpoint-every", "0.001s", "--threads", "1"]
    try:
        result = CliRunner().invoke(command, arguments)
    finally:
        Checkpoints.save = save
    if result.exit_code:
        print(result.output)
    return result.exit_code


def inside_an_epoch(checkpoint):
    with safe_open(checkpoint, framework="numpy") as file:
        return json.loads(file.metadata()["state"])["in_epoch"]


def clean(out, folder):
    """Leave out what no program reads, and where the files were made."""
    (out / "report.html").unlink(missing_ok=True)
    config = out / "config.toml"
    config.write_text(config.read_text().replace(str(folder), "/where/it/was/made"))
    for path in out.rglob("*"):
        assert path.is_dir() or str(folder).encode() not in path.read_bytes(), path


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    assert fastrelu.__version__ == "0.1.0", fastrelu.__version__
    for make in [globals()[name] for name in sys.argv[1:] or PARTS]:
        shutil.rmtree(HERE / make.__name__, ignore_errors=True)
        (HERE / make.__name__).mkdir()
        make(HERE / make.__name__)

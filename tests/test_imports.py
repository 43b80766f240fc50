# SPDX-License-Identifier: BSD-3-Clause
"""What is imported when: a name brings what it needs, nothing else."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastrelu

NETWORK = {
    "_arguments", "_catalogue", "_core", "elementary", "exact", "exact.methods",
    "exact.optimum_methods", "exchange", "exchange.methods", "gradients", "loss", "losses",
    "network", "optimizers", "quantile_losses", "row_derivatives",
}  # fmt: skip
TRAINER = NETWORK | {
    "_shared", "_steps", "_uncopied", "checkpoint", "data_set", "divergence", "epoch", "history",
    "links", "trainer",
}  # fmt: skip
LOADED = {
    "": {"_core"},
    "fastrelu.relu": {"_core", "functional"},
    "fastrelu.get_num_threads()": {"_arguments", "_config", "_core"},
    "fastrelu.Network([2, 1])([1.0, 2.0])": NETWORK,
    "fastrelu.Trainer(fastrelu.Network([2, 1])).fit([[1.0, 2.0]], [3.0], 2)": TRAINER,
    "fastrelu.schedules.cosine(0.1, 9)": {"_arguments", "_core", "schedules"},
    "fastrelu.load": NETWORK | {"model_file", "whole_files"},
}

EXTRAS = {
    "plot", "training", "mlp", "MLPClassifier", "MLPRegressor", "TabularClassifier",
    "TabularRegressor", "tabular",
}  # fmt: skip


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("expression", LOADED)
def test_each_name_loads_what_it_needs(expression):
    found = python(f"import fastrelu, sys\n{expression}\nprint(sorted(sys.modules))")
    modules = {name.removeprefix("fastrelu.") for name in ast.literal_eval(found)
               if name.startswith("fastrelu.")}  # fmt: skip
    assert modules == LOADED[expression] | {"_thread_limits"}
    for extra in ("scipy", "sklearn", "safetensors", "matplotlib", "importlib.metadata"):
        assert extra not in ast.literal_eval(found)


EXTRAS = {
    "plot", "training", "mlp", "torch", "MLPClassifier", "MLPRegressor", "PopulationSearchCV",
}  # fmt: skip


def test_every_name_is_there():
    names = ast.literal_eval(python("import fastrelu; print(dir(fastrelu))"))
    assert set(fastrelu.__all__) | {"MLPClassifier", "plot", "convergence"} <= set(names)
    for name in names:
        if name not in EXTRAS:
            assert getattr(fastrelu, name) is not None
    python("from fastrelu import *; print(Network, reference.Network, PiecewiseLinear, load)")
    python("from fastrelu import Trainer, losses, __version__; print(losses.Huber, __version__)")
    with pytest.raises(AttributeError, match="module 'fastrelu' has no attribute 'Netwrok'"):
        fastrelu.Netwrok  # noqa: B018


def test_the_names_for_type_checkers_are_those_that_are_found():
    tree = ast.parse(Path(fastrelu.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    found = {
        alias.name: node.module.removeprefix("fastrelu").lstrip(".")
        for node in typed.body
        for alias in node.names
    }
    modules = {name: "" for name in fastrelu._SUBMODULES if found.get(name) == ""}
    assert found == fastrelu._MODULES | modules


@pytest.mark.parametrize("command", [["-m", "fastrelu", "train", "-h"], ["-c", "import fastrelu"]])
def test_an_interrupt_during_the_first_import(command, tmp_path):
    """The command says so in a word; a program of Python's gets what it gets anywhere."""
    (tmp_path / "numpy.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), str(Path(fastrelu.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    if command[0] == "-m":
        assert (done.returncode, done.stderr) == (130, "interrupted\n")
    else:
        assert done.stderr.rstrip().endswith("KeyboardInterrupt"), done.stderr
        assert "ImportError" not in done.stderr

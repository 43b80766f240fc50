# SPDX-License-Identifier: BSD-3-Clause
"""The examples in the docstrings run and print what they say, and every public name has one.

Examples begin where a reader would paste them: with NumPy as np and fastrelu imported, in an empty
folder. Errors are known by their messages, and protocols, enumerations and properties by what uses
them; they need no example of their own.
"""

import doctest
import importlib
import inspect
import pkgutil
from enum import Enum

import numpy as np
import pytest

import fastrelu

# Modules some of whose public names still lack an example.
NOT_YET = {
    "fastrelu",
    "fastrelu.checkpoint",
    "fastrelu.data_set",
    "fastrelu.epoch",
    "fastrelu.history",
    "fastrelu.losses",
    "fastrelu.metrics",
    "fastrelu.model_file",
    "fastrelu.network",
    "fastrelu.optimizers",
    "fastrelu.reference",
    "fastrelu.training",
    "fastrelu.whole_files",
}

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def package_modules():
    """Every module of the package, but for the scripts and those whose extras are not there."""
    found = [fastrelu]
    for info in pkgutil.walk_packages(fastrelu.__path__, "fastrelu."):
        if info.name == "fastrelu.__main__":
            continue
        try:
            found.append(importlib.import_module(info.name))
        except ImportError as error:
            if (error.name or "").startswith("fastrelu"):
                raise
    return found


MODULES = package_modules()
EXAMPLES = {
    example.name: example
    for module in MODULES
    for example in doctest.DocTestFinder().find(module, module.__name__, globs={})
    if example.examples
}


@pytest.fixture
def plots():
    """Pictures that no window shows and that are closed afterwards."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_it_says(name, tmp_path, monkeypatch, plots):
    monkeypatch.chdir(tmp_path)
    said = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    example = EXAMPLES[name]
    example.globs = {"np": np, "fastrelu": fastrelu}
    with np.printoptions(**np.get_printoptions() | {"precision": 8, "suppress": False}):
        runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


# Which names need one


def own(thing):
    """Whether a function or class is fastrelu's: scikit-learn documents what it gives."""
    return (getattr(thing, "__module__", "") or "").startswith("fastrelu")


def public_names(module):
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
    return [name for name in names if not name.startswith("_")]


def public_modules():
    """fastrelu and the modules that it names, but not the files inside their folders."""
    named = {"fastrelu", *(f"fastrelu.{name}" for name in fastrelu._SUBMODULES)}
    return [module for module in MODULES if module.__name__ in named]


def is_exempt(thing):
    return inspect.isclass(thing) and (
        issubclass(thing, (BaseException, Enum)) or getattr(thing, "_is_protocol", False)
    )


def described(thing, name):
    """(name, docstring) of a public function, or of a class and each of its public methods."""
    if is_exempt(thing):
        return
    yield name, thing.__doc__
    if inspect.isclass(thing):
        for key, method in inspect.getmembers(thing, inspect.isroutine):
            inner = inspect.unwrap(getattr(method, "__func__", method))
            if not key.startswith("_") and own(inner):
                yield f"{name}.{key}", method.__doc__


def without_example(module):
    return sorted(
        {
            name
            for key in public_names(module)
            if callable(thing := getattr(module, key)) and own(thing)
            for name, text in described(thing, f"{thing.__module__}.{thing.__qualname__}")
            if ">>> " not in (text or "")
        }
    )


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_every_public_name_has_an_example(module):
    missing = without_example(module)
    if module.__name__ in NOT_YET:
        assert missing, f"{module.__name__} has them all: take it out of NOT_YET"
        pytest.skip(f"not yet: {len(missing)} names")
    assert not missing, "\n".join(missing)

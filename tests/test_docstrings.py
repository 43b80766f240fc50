# SPDX-License-Identifier: BSD-3-Clause
"""The examples in the docstrings run and print what they say, and every public name has one.

Examples begin where a reader would paste them: with NumPy as np and fastrelu imported, in an empty
folder. Errors are known by their messages, and protocols and enumerations by what uses them; they
need no example of their own. A property may be shown by the example of its class.
"""

import doctest
import importlib
import inspect
import pkgutil
import re
from enum import Enum

import numpy as np
import pytest

import fastrelu

#: Words in an example, and the module of an extra without which it does not run.
NEEDED = {
    r"import torch\b": "torch",
    r"import jax\b": "jax",
    "skl2onnx": "skl2onnx",
    "onnx": "onnx",
    "casadi": "casadi",
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


def public_things(module):
    """(full name, function or class) of what is fastrelu's own in a module."""
    for name in public_names(module):
        thing = getattr(module, name)
        if callable(thing) and own(thing):
            yield f"{thing.__module__}.{thing.__qualname__}", thing


def all_examples():
    """Every example by its name: those of each file, and those of each public name.

    The second find what says that it comes from another place than its file: the estimators and
    the compiled classes.
    """
    finder = doctest.DocTestFinder()
    found = [e for module in MODULES for e in finder.find(module, module.__name__, globs={})]
    for module in public_modules():
        for name, thing in public_things(module):
            found += finder.find(thing, name, module=False, globs={})
    return {example.name: example for example in found if example.examples}


MODULES = package_modules()
EXAMPLES = all_examples()


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
    source = "".join(e.source for e in example.examples)
    for word, module in NEEDED.items():
        if re.search(word, source):
            pytest.importorskip(module)
    example.globs = {"np": np, "fastrelu": fastrelu}
    with np.printoptions(**np.get_printoptions() | {"precision": 8, "suppress": False}):
        runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


# Which names need one


def is_exempt(thing):
    return inspect.isclass(thing) and (
        issubclass(thing, (BaseException, Enum)) or getattr(thing, "_is_protocol", False)
    )


def members(cls):
    """(name, docstring, whether it is a property) of the public methods and properties."""
    for key, kind, defined_by, _ in inspect.classify_class_attrs(cls):
        value = getattr(cls, key, None)
        if key.startswith("_") or kind == "data" or not own(defined_by):
            continue
        if kind == "property" or own(value) or not getattr(value, "__module__", ""):
            yield key, value.__doc__ or "", kind == "property"


def described(thing, name):
    """(name, whether it has an example) of a function, or of a class and its public members."""
    if is_exempt(thing):
        return
    text = thing.__doc__ or ""
    yield name, ">>> " in text
    if inspect.isclass(thing):
        texts = " ".join(base.__doc__ or "" for base in thing.__mro__[:-1] if own(base))
        example = " ".join(e.source for e in doctest.DocTestParser().get_examples(texts))
        for key, own_text, is_property in members(thing):
            shown = is_property and re.search(rf"\.{key}\b", example)
            yield f"{name}.{key}", bool(">>> " in own_text or shown)


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_every_public_name_has_an_example(module):
    missing = {
        name
        for full_name, thing in public_things(module)
        for name, has_one in described(thing, full_name)
        if not has_one
    }
    assert not missing, "\n".join(sorted(missing))


def undescribed(name, thing):
    """What the docstring of a function, or of a class that is called, leaves out."""
    text = thing.__doc__ or ""
    if re.search(r"(arguments|parameters) are those\s+of", text):
        return
    try:
        signature = inspect.signature(thing)
    except ValueError:  # compiled
        return
    for key in signature.parameters:
        if not re.search(rf"\b{key}\b", text) and "Attributes\n" not in text:
            yield f"{name}: parameter {key}"
    gives = signature.return_annotation not in (None, "None", inspect.Signature.empty)
    if gives and not inspect.isclass(thing) and not re.search("(Returns|Yields)\n", text):
        yield f"{name}: what it returns"


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_every_docstring_describes_the_parameters_and_the_result(module):
    found = []
    for name, thing in public_things(module):
        if is_exempt(thing):
            continue
        found += undescribed(name, thing)
        for key, _, is_property in members(thing) if inspect.isclass(thing) else ():
            if not is_property:
                found += undescribed(f"{name}.{key}", getattr(thing, key))
    found = [line for line in found if not re.search(r"parameter (self|cls|args|kwargs)$", line)]
    assert not found, "\n".join(found)


def test_the_estimators_and_the_compiled_classes_are_looked_at():
    pytest.importorskip("sklearn")
    assert {"fastrelu.mlp.MLPClassifier", "fastrelu.mlp.MLPRegressor"} <= set(EXAMPLES)
    assert {"fastrelu.Cache", "fastrelu._core.Cache"} & set(EXAMPLES)

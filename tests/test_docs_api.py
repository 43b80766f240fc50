# SPDX-License-Identifier: BSD-3-Clause
"""docs/api.md lists the public names, all of them and no others."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from test_docstrings import is_exempt, members, public_modules, public_things

import fastrelu

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
if not PAGE.exists():
    pytest.skip("needs the sources", allow_module_level=True)
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

SECTION = re.compile(r"^## `(fastrelu[.\w]*)`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^- `(\w+)`: (.*?)(?=^- |^\n|\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {
    name: {key: " ".join(text.split()) for key, text in ENTRY.findall(body)}
    for name, body in SECTION.findall(PAGE.read_text(encoding="utf-8"))
}
CLASSES = {
    thing for m in public_modules() for _, thing in public_things(m) if inspect.isclass(thing)
}


def module_of(section):
    """The module of a section; the test is skipped where that needs torch, which is not there."""
    if section == "fastrelu.torch":
        pytest.importorskip("torch")
    return importlib.import_module(section)


def names_of(module):
    """The public names of a module, but for modules, which have sections of their own."""
    names = set(module.__all__) | (set(fastrelu._MODULES) if module is fastrelu else set())
    return {name for name in names if not inspect.ismodule(getattr(module, name))}


def members_of(thing):
    """The methods and properties of a class that no class above it has, if that is public."""
    if not inspect.isclass(thing) or is_exempt(thing):
        return set()
    above = [base for base in thing.__mro__[1:] if base in CLASSES]
    return {key for key, _, _ in members(thing) if not any(hasattr(b, key) for b in above)}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_lists_the_names_of_a_module(section):
    listed, there = set(SECTIONS[section]), names_of(module_of(section))
    assert listed == there, f"too many: {listed - there}, missing: {there - listed}"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_lists_the_methods_and_properties_of_a_class(section):
    module = module_of(section)
    for name, text in SECTIONS[section].items():
        listed = set(re.findall(r"`(\w+)`", text.partition("Methods and properties: ")[2]))
        assert listed == members_of(getattr(module, name)), name


def test_every_public_module_has_a_section_or_its_names_are_in_another():
    there = {module.__name__ for module in public_modules()}
    listed = [
        getattr(importlib.import_module(section), name)
        for section, names in SECTIONS.items()
        if section in there or section != "fastrelu.torch"
        for name in names
    ]
    for module in public_modules():
        if module.__name__ not in SECTIONS:
            for name, thing in public_things(module):
                assert any(thing is other for other in listed), name


def test_names_that_are_imported_with_a_star_are_there():
    there = {module.__name__ for module in public_modules()}
    for section in SECTIONS:
        if section == "fastrelu.torch" and section not in there:
            continue
        module = importlib.import_module(section)
        assert len(module.__all__) == len(set(module.__all__))
        for name in module.__all__:
            assert hasattr(module, name), f"{section}.{name}"

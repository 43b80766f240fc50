# SPDX-License-Identifier: BSD-3-Clause
"""What docs/conf.py makes of texts that are written for a checkout: links that lead somewhere."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONF = ROOT / "docs" / "conf.py"
IN_CHECKOUT = (ROOT / "cpp").is_dir()  # a wheel is tested outside of one
if not CONF.exists():
    pytest.skip("needs the documentation", allow_module_level=True)


@pytest.fixture
def conf(tmp_path):
    """The functions of docs/conf.py that change texts, for a project in a folder of its own."""
    tree = ast.parse(CONF.read_text(encoding="utf-8"))
    wanted = [n for n in tree.body if getattr(n, "name", "").startswith("with_links_to_")]
    names = {"re": re, "ROOT": tmp_path}
    exec(compile(ast.Module(wanted, []), str(CONF), "exec"), names)
    return names


def test_a_page_that_a_docstring_names_is_linked(conf):
    linked = conf["with_links_to_pages"]
    assert linked("docs/bounds.md derives it.") == ":doc:`/bounds` derives it."
    for text in ("`docs/bounds.md`", "fastrelu/docs/bounds.md", "docs/bounds.py"):
        assert linked(text) == text


def test_every_page_that_a_docstring_names_is_there():
    for path in sorted((ROOT / "python").rglob("*.py")):
        for page in re.findall(r"\bdocs/[\w-]+\.md\b", path.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{path} names {page}"


@pytest.mark.parametrize(
    "page", [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]
)
def test_the_modules_files_and_names_of_a_page_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for module in re.findall(r"python -m (benchmarks[\w.]*\w)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    folders = "scripts|examples|benchmarks|cpp|tests|findings|src|python|app"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
        assert (ROOT / name).exists() or not IN_CHECKOUT, name
    for name in sorted(set(re.findall(r"`(fastrelu(?:\.\w+)+)", text))):
        try:
            pkgutil.resolve_name(name)
        except AttributeError:
            pytest.fail(f"{page} names {name}, which is not there")
        except ImportError:  # what it needs, such as torch, is not installed
            continue


def test_names_that_have_a_page_are_linked_in_the_list_of_names(conf, tmp_path):
    pages = tmp_path / "docs" / "reference" / "generated"
    pages.mkdir(parents=True)
    for name in ("fastrelu.load", "fastrelu.losses.Huber"):
        (pages / f"{name}.rst").touch()
    listed = (
        "# Names\n\n- `load`: no module yet.\n\n## `fastrelu`\n\n- `load`: Return.\n- `x`: An x.\n"
    )
    listed += "\n## `fastrelu.losses`\n\n- `Huber`: As `load`.\n- `load`: Another.\n"
    found = conf["with_links_to_names"](listed)
    assert re.findall(r"\]\((.*?)\)", found) == [
        "reference/generated/fastrelu.load.rst", "reference/generated/fastrelu.losses.Huber.rst"
    ]  # fmt: skip
    assert re.sub(r"\[(`\w+`)\]\([^)]*\)", r"\1", found) == listed

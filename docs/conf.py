# SPDX-License-Identifier: BSD-3-Clause
"""The documentation as a site: `nox -s docs` builds it into build/site."""

import importlib
import inspect
import re
import shutil
import tempfile
import types
from pathlib import Path
from typing import Any

from sphinx_gallery.sorting import FunctionSortKey

import fastrelu

ROOT = Path(__file__).parents[1]

project = "fastrelu"
author = "the fastrelu authors"
release = version = fastrelu.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
root_doc = "index"
exclude_patterns = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
suppress_warnings = [
    "config.cache",  # the gallery is told by a function
    "ref.python",  # attributes of the same name in several classes
]

# Pages link to files of the project as they do in a checkout, and to headings of other pages.
myst_enable_extensions = ["colon_fence", "attrs_inline", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # flags and quotes stay as they are typed

autosummary_generate = True
toc_object_entries_show_parents = "hide"  # the column of a page's names is narrow
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
default_role = "code"


def place_in_the_list(script: str) -> int:
    """Return where examples/README.rst names a script: the gallery has them in that order."""
    return (ROOT / "examples" / "README.rst").read_text(encoding="utf-8").index(f"``{script}``")


PICTURE = Path(tempfile.mkdtemp(), "picture.png")  # the gallery keeps its own
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "within_subsection_order": FunctionSortKey(place_in_the_list, "the order of the list"),
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"(cpp|cython|serving)/",
    "reset_argv": lambda conf, script: ["--quick", "--out", str(PICTURE)],
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,  # its page would load scripts from elsewhere
    "download_all_examples": False,
    "abort_on_example_error": True,
}

man_pages = [("command-line", "fastrelu", "train networks on tables, and use them", "", 1)]

html_theme = "pydata_sphinx_theme"
html_title = "fastrelu"
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 8,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": [],
    "footer_end": [],
}


def write_install() -> None:
    """Write the README's section on how to install as a page of its own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Install\n")[1].split("\n## ")[0]
    (ROOT / "docs" / "install.md").write_text(f"# Install\n{section}", encoding="utf-8")


def with_links_to_pages(text: str) -> str:
    """Return a line of a docstring, in which the pages that it names are links to them."""
    return re.sub(r"(?<![\w/`])docs/([\w-]+)\.md", r":doc:`/\1`", text)


def with_links_to_names(listed: str) -> str:
    """Return api.md with each name that has a page as a link to that."""
    parts = re.split(r"^(## `(fastrelu[\w.]*)`)", listed, flags=re.MULTILINE)
    texts = [parts[0]]
    for heading, module, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):

        def linked(entry: re.Match[str], module: str = module) -> str:
            page = f"reference/generated/{module}.{entry[1]}.rst"
            there = (ROOT / "docs" / page).exists()
            return f"- [`{entry[1]}`]({page}):" if there else entry[0]

        texts += [heading, re.sub(r"^- `(\w+)`:", linked, text, flags=re.MULTILINE)]
    return "".join(texts)


def setup(app: Any) -> None:
    """Have links to the README's section lead to that page, and those to source files nowhere."""

    def read(app: Any, name: str, source: list[str]) -> None:
        text = source[0].replace("](../README.md#install)", "](install.md)")
        text = re.sub(r"\[[\w/-]+\.md\](?=\([\w/-]+\.md)", "[]", text)  # by its title, not its file
        text = re.sub(r"\[(`[^]]+`)\]\(\.\./[^)]*\)", r"\1", text)  # not on the site
        note = "to download the full example code."
        quick = " The picture and what is printed are those of ``--quick``."
        text = text.replace(note, note + quick)
        source[0] = with_links_to_names(text) if name == "api" else text

    def skip(app: Any, what: str, name: str, found: Any, *rest: Any) -> bool | None:
        """Leave out what classes have from others: scikit-learn's, pybind11's, Python's own."""
        home = getattr(found, "__module__", None) or getattr(
            getattr(found, "fget", None), "__module__", None
        )
        own = home is not None and home.startswith("fastrelu")
        return None if own and not re.fullmatch(r"set_\w+_request", name) else True

    def link(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
        lines[:] = [with_links_to_pages(line) for line in lines]

    app.connect("source-read", read)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", link, priority=400)  # before numpydoc


def write_command() -> None:
    """Write every command's help as a page, which is also the manual page fastrelu(1)."""
    import click

    from fastrelu.app.cli import main

    def prose(text: str) -> str:
        text = re.sub(r"([<*_|])", r"\\\1", text)
        text = re.sub(r"(?<![\w`.])fastrelu\.[A-Z]\w+", r"`\g<0>`", text)
        return re.sub(r"(?<![\w`-])--[a-z][\w-]*", r"`\g<0>`", text)  # no dash of it

    def body(text: str) -> str:
        """Return a help text as paragraphs; those that click keeps line by line are kept, too."""
        parts = []
        for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
            kept = paragraph.replace("\b\n", "")
            parts.append(prose(paragraph) if kept == paragraph else f"```text\n{kept}\n```")
        return "\n\n".join(parts)

    group = click.Context(main, info_name="fastrelu")
    parts = ["# The command line", body(main.help or "")]
    for name in main.list_commands(group):
        command = main.get_command(group, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=group)
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"## fastrelu {name}", f"`fastrelu {name} {usage}`", body(command.help or "")]
        options: dict[str, list[str]] = {}
        for parameter in command.get_params(context):
            if not isinstance(parameter, click.Option):
                continue
            record = parameter.get_help_record(context)
            if record is not None:
                title = getattr(parameter, "group", "Options")
                flags, text = record[0], prose(" ".join(record[1].split()))
                options.setdefault(title, []).append(f"`{flags}`\n: {text}\n")
        for title, entries in options.items():
            parts += [f"### {name}: {title[0].lower()}{title[1:]}", "\n".join(entries)]
    page = ROOT / "docs" / "command-line.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def there(module: str) -> bool:
    """Return whether what a module needs is installed, as torch need not be."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def has_page(module: str, name: str) -> bool:
    """Return whether a name has a page of its own: classes and functions have."""
    found = getattr(importlib.import_module(module), name)
    return callable(found) and not isinstance(found, types.GenericAlias)


def write_reference() -> None:
    """Write a page for each module of api.md, with a page for each of its names."""
    folder = ROOT / "docs" / "reference"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    listed = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    modules = re.split(r"^## `(fastrelu[\w.]*)`", listed, flags=re.MULTILINE)[1:]
    pages, said = [], []
    for module, text in zip(modules[::2], modules[1::2], strict=True):
        if not there(module):
            continue
        listed_names = re.findall(r"^- `(\w+)`", text, re.MULTILINE)
        names = [name for name in listed_names if has_page(module, name)]
        lines = "".join(f"   {name}\n" for name in names)
        page = module.replace(".", "_") + "_names"
        what = inspect.cleandoc(importlib.import_module(module).__doc__ or "").split("\n\n")[0]
        what = with_links_to_pages(" ".join(what.split()))
        (folder / f"{page}.rst").write_text(
            f"{module}\n{'=' * len(module)}\n\n{what}\n\n.. currentmodule:: {module}\n\n"
            f".. autosummary::\n   :toctree: generated\n\n{lines}",
            encoding="utf-8",
        )
        pages.append(page)
        said.append(f":doc:`{page}`\n   {what}\n")
    entries = "".join(f"   {page}\n" for page in pages)
    (folder / "index.rst").write_text(
        "The reference\n=============\n\nWhat each module has; all names, methods and properties "
        "are in the :ref:`index <genindex>`.\n\n"
        f".. toctree::\n   :maxdepth: 1\n   :hidden:\n\n{entries}\n" + "\n".join(said),
        encoding="utf-8",
    )


write_install()
write_command()
write_reference()

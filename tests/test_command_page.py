# SPDX-License-Identifier: BSD-3-Clause
"""The page of the command, which is also fastrelu(1): made of what --help says, and all of it."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
from command_tools import run

CONF = Path(__file__).parents[1] / "docs" / "conf.py"
if not CONF.exists():
    pytest.skip("needs the documentation", allow_module_level=True)


@pytest.fixture
def page(tmp_path):
    """The page as docs/conf.py writes it, in a folder of its own."""
    tree = ast.parse(CONF.read_text(encoding="utf-8"))
    (function,) = (n for n in tree.body if getattr(n, "name", "") == "write_command")
    names = {"inspect": inspect, "re": re, "ROOT": tmp_path}
    exec(compile(ast.Module([function], []), str(CONF), "exec"), names)
    (tmp_path / "docs").mkdir()
    names["write_command"]()
    return tmp_path / "docs" / "command-line.md"


def test_every_flag_of_every_command_is_in_its_group(page):
    import click

    from fastrelu.app.cli import SUBCOMMANDS, main

    sections = re.split(r"^## fastrelu (\w+)\n", page.read_text(encoding="utf-8"), flags=re.M)
    said = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert list(said) == list(SUBCOMMANDS)
    for name, text in said.items():
        groups = dict(re.findall(rf"^### {name}: ([^\n]*)\n(.*?)(?=^###|\Z)", text, re.M | re.S))
        shown = run(name, "--help").output
        command = main.get_command(click.Context(main), name)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                group = getattr(parameter, "group", "Options")
                assert f"{group}:" in shown
                title = group[0].lower() + group[1:]
                assert all(flag in groups[title] for flag in parameter.opts)
        assert "--help" in groups["options"]


def test_sphinx_makes_a_manual_page_of_it(page):
    for module in ("sphinx", "myst_parser"):
        pytest.importorskip(module)
    folder = page.parent
    (folder / "conf.py").write_text(
        'extensions = ["myst_parser"]\nroot_doc = "command-line"\nproject = "fastrelu"\n'
        'myst_enable_extensions = ["deflist"]\nsmartquotes = False\n'
        'man_pages = [("command-line", "fastrelu", "train networks", "", 1)]\n'
    )
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "man", folder, folder / "man"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (folder / "man" / "fastrelu.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert '.TH "FASTRELU" "1"' in text and "--early-stopping" in text

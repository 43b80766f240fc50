# SPDX-License-Identifier: BSD-3-Clause
"""The Python blocks of README.md and docs/ run as they are pasted, a page's one after the other.

A page may take something as given, such as a run in a folder; GIVEN makes it.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrelu

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {
    str(path.relative_to(ROOT)): BLOCK.findall(path.read_text(encoding="utf-8"))
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if path.exists()
}
PAGES = {name: blocks for name, blocks in PAGES.items() if blocks}
if not PAGES:
    pytest.skip("needs the sources", allow_module_level=True)


def finished_run(folder):
    """A run of the command in `folder`, and rows of its columns."""
    from command_tools import run, write_table

    rng = np.random.default_rng(0)
    table = write_table(Path("data.csv"), rng)
    assert run("train", table, "--epochs", 2, "--hidden", 4, "--out", folder).exit_code == 0
    return {"rows": {"size": [0.5, -1.0], "colour": ["red", "blue"]}}


def rows_of_all_kinds():
    """A run of the command, and rows for its model: a file, a frame and arrays."""
    pandas = pytest.importorskip("pandas")
    finished_run("run")
    frame = pandas.read_csv("data.csv").dropna()
    frame.drop(columns="price").to_parquet("new.parquet")
    return {
        "frame": frame,
        "X": frame[["size", "colour"]].to_numpy(),
        "y": frame["price"].to_numpy(),
        "w": np.ones(len(frame)),
    }


def a_loop():
    """What a loop of one's own begins with."""
    X = np.random.default_rng(0).normal(size=(2000, 3))
    y, half = X.sum(axis=1), 1000
    trainer = fastrelu.Trainer(fastrelu.Network([3, 4, 1]), batch_size=50)
    given = {"X": X[:half], "y": y[:half], "Xv": X[half:], "yv": y[half:]}
    return given | {
        "trainer": trainer,
        "asked_to_stop": lambda: False,
        "fastrelu": fastrelu,
        "np": np,
    }


def exchange_modules():
    """Nothing, but the page needs these."""
    for name in ("onnx", "skl2onnx", "casadi"):
        pytest.importorskip(name)
    return {}


GIVEN = {
    "README.md": lambda: finished_run("run"),
    "docs/training.md": lambda: finished_run("run"),
    "docs/report.md": lambda: finished_run("DIR"),
    "docs/loops.md": a_loop,
    "docs/exchange.md": exchange_modules,
    "docs/training-sources.md": rows_of_all_kinds,
}


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    names = GIVEN.get(page, dict)()
    try:
        for number, block in enumerate(PAGES[page], 1):
            exec(compile(block, f"{page}, block {number}", "exec"), names)
    finally:
        plt.close("all")


# What an environment has not that was made by the README's first command, with the extra `train`.
NOT_INSTALLED = ("pandas", "polars", "duckdb", "torch", "jax", "onnx", "casadi", "openpyxl")


class Absent:
    """A finder of modules that says that these are not there."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in NOT_INSTALLED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("page", ["README.md", "docs/tour.md", "docs/sklearn.md"])
def test_the_first_pages_need_no_more_than_the_readme_installs(page, tmp_path, monkeypatch):
    for name in [each for each in sys.modules if each.partition(".")[0] in NOT_INSTALLED]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])
    test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch)


def test_every_page_with_something_given_is_there():
    assert set(GIVEN) <= set(PAGES)


@pytest.mark.parametrize("folder", ["python", "docs", "scripts", "examples", "README.md"])
def test_nobody_is_told_to_install_a_name_that_is_not_published(folder):
    paths = [ROOT / folder] if (ROOT / folder).is_file() else sorted((ROOT / folder).rglob("*"))
    texts = {p: p.read_text(encoding="utf-8") for p in paths if p.suffix in (".py", ".md")}
    told = re.compile(r"pip3? install (-\w+ )*['\"]?fastrelu")
    assert not [str(path) for path, text in texts.items() if told.search(text)]

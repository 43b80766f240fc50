# SPDX-License-Identifier: BSD-3-Clause
"""Every script of examples/ runs in its quick mode and draws a picture."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import fastrelu

pytest.importorskip("matplotlib")
PACKAGES = Path(fastrelu.__file__).parents[1]  # the same fastrelu as here
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
if not EXAMPLES:
    pytest.skip("needs the sources", allow_module_level=True)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example_draws_its_picture(script, tmp_path):
    out = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", script, "--quick", "--out", out],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    picture = out.read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    # An empty picture of this size takes a few thousand bytes.
    assert width >= 400 and height >= 300 and len(picture) > 10_000


def test_the_readme_names_every_example():
    readme = (EXAMPLES[0].parent / "README.rst").read_text(encoding="utf-8")
    for script in EXAMPLES:
        assert f"``{script.name}``" in readme

# SPDX-License-Identifier: BSD-3-Clause
"""Random work by threads and processes for a moment; scripts/soak.py does it for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / "scripts" / "soak.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_random_work_gives_the_right_bits():
    done = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "0.01", "--processes", "2", "--threads", "3"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("process ") == 2

# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the command share."""

import gzip
import json
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("click")


def run(*arguments, stdin=None):
    """Call the command in this process."""
    from click.testing import CliRunner

    from fastrelu.app.cli import main

    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def start(*arguments, **options):
    """Start the command as a process of its own."""
    command = [sys.executable, "-m", "fastrelu", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A background job's tests ignore SIGINT, and so would the command that they start.
    own = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen(command, **pipes | own | options)


def metrics_in(folder):
    return json.loads((folder / "metrics.json").read_text())


def write_table(path, rng, rows=300):
    """Numbers, a category, missing values in both, a missing target."""
    lines = ["size,colour,price"]
    for i in range(rows):
        size, colour = rng.normal(), ["red", "blue"][i % 2]
        price = 100 + 30 * size + (20 if colour == "red" else 0)
        size = "" if i % 10 == 7 else size
        lines.append(f"{size},{'?' if i % 10 == 9 else colour},{'' if i == 3 else price}")
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def result_of(folder):
    """What a run leaves, but for the times: the model's bytes, the metrics, the history."""
    history = (folder / "history.csv").read_text().splitlines()
    rows = [line.rsplit(",", 2)[0] for line in history]
    return (folder / "model.safetensors").read_bytes(), metrics_in(folder), rows


def environment(**more):
    return {**os.environ, **more}


IRIS_NAMES = (
    ",".join(f"{a} {b} (cm)" for a in ("sepal", "petal") for b in ("length", "width")) + "\n"
)


def trained_on_iris(folder):
    """Have a run on the irises in a folder, and rows.csv, ten rows to predict."""
    done = run("train", "iris", "--epochs", 1, "--out", folder / "run", "--quiet")
    assert done.exit_code == 0, done.output
    (folder / "rows.csv").write_text(IRIS_NAMES + "1,2,3,4\n" * 10)
    return folder

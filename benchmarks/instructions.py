# SPDX-License-Identifier: BSD-3-Clause
"""Counts instructions of ten small cases under callgrind: a guard that needs no clock.

`python -m benchmarks.instructions` compares with instructions.json and fails where a case needs
more; `--update` writes that file. AVX2, one thread: valgrind does not know AVX-512. A count is the
difference between 2 N and N calls in one process, so that only what a call does is in it. Where the
names of attributes lie in memory decides which of them share a place in CPython's cache of
look-ups: a chance of some hundred instructions a call. So each case is counted in several layouts
of memory, and the least is its count.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import build

COMMITTED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.02
LAYOUTS = 3
ENVIRONMENT = {"FASTRELU_ISA": "x86_v3", "FASTRELU_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def cases() -> dict[str, tuple]:
    """Return name -> (task, calls); a call is a step, a forward, or an epoch of 8 steps."""
    from benchmarks.implementations import core

    def fit(**spec):
        from benchmarks.nets import net_of

        return core.Fit({**spec, "rows": 8 * net_of(spec).batch}), 10

    odd = {"widths": (7, 33, 65, 3), "batch": 17}
    return {
        "fit seed": fit(net="seed"),
        "fit policy": fit(net="policy"),
        "fit tiny": fit(net="tiny"),
        "fit digits": fit(net="digits"),
        "fit sciml float64": fit(net="sciml", dtype="float64"),
        "fit tiny momentum": fit(net="tiny", optimizer="momentum"),
        "fit digits adam": fit(net="digits", optimizer="adam"),
        "fit odd widths": fit(**odd),
        "step policy": (core.step({"net": "policy"}), 50),
        "forward policy": (core.forward({"net": "policy", "one_row": True}), 50),
    }


def child(layout: int) -> None:
    """Run the cases inside valgrind, a mark after each part, in one of several layouts."""
    kept = [f"{number:0{4 + number % 40}d}" for number in range(97 * layout)]
    kept += [str(type(f"Kind{number}", (), {}).__name__) for number in range(layout)]
    import fastrelu

    mark = ctypes.CDLL(str(build.mark_library())).mark
    mark(b"start")
    for name, (task, calls) in cases().items():
        task.run(2)
        for part, count in (("warm", 1), ("once", calls), ("twice", 2 * calls)):
            task.run(count)
            mark(f"{name}|{part}|{calls}".encode())
    print(fastrelu._core.compiler)
    del kept


def count() -> tuple[str, dict[str, int]]:
    """Return the compiler of fastrelu and the instructions of a call of each case."""
    found = [count_in(layout) for layout in range(LAYOUTS)]
    return found[0][0], {name: min(counts[name] for _, counts in found) for name in found[0][1]}


def count_in(layout: int) -> tuple[str, dict[str, int]]:
    """Return the same in one layout of memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command += [sys.executable, "-m", "benchmarks.instructions", "--child", str(layout)]
        done = subprocess.run(
            command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        parts: dict[tuple[str, str], int] = {}
        calls = {}
        # out.1, out.2, ...: one for each mark.
        dumps = [path for path in Path(folder).iterdir() if path.suffix[1:].isdigit()]
        for path in sorted(dumps, key=lambda path: int(path.suffix[1:])):
            text = path.read_text()
            found = re.search(r"^desc: Trigger: Client Request: (.+)\|(.+)\|(\d+)$", text, re.M)
            if found:
                total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
                parts[found[1], found[2]] = int(total[1])
                calls[found[1]] = int(found[3])
    counts = {
        name: round((parts[name, "twice"] - parts[name, "once"]) / calls[name]) for name in calls
    }
    return done.stdout.strip().splitlines()[-1], counts


def compare(compiler: str, counts: dict[str, int]) -> int:
    """Print each case beside the committed count; return 1 if one needs more than it may."""
    committed = json.loads(COMMITTED.read_text())
    same = committed["compiler"] == compiler
    worse = []
    for name, number in counts.items():
        before = committed["instructions"].get(name)
        change = "new" if before is None else f"{100 * (number / before - 1):+.2f} %"
        print(f"{name:20} {number:>10} {change}")
        if before is not None and number > before * (1 + TOLERANCE):
            worse.append(name)
    if not same:
        print(f"made with {compiler}, the file with {committed['compiler']}: nothing to judge")
        return 0
    if worse:
        print(f"more than {TOLERANCE:.0%} above {COMMITTED.name}: {', '.join(worse)}")
    return int(bool(worse))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write instructions.json")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        child(chosen.child)
        return 0
    problem = None if shutil.which("valgrind") else "valgrind is not installed"
    problem = problem or build.build_mark()
    if problem:
        print(f"skipped: {problem}")
        return 0
    compiler, counts = count()
    if chosen.update:
        content = {"compiler": compiler, "instructions": counts}
        COMMITTED.write_text(json.dumps(content, indent=1) + "\n")
    return compare(compiler, counts)


if __name__ == "__main__":
    sys.exit(main())

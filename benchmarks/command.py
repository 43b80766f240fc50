# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks.command``: CPU seconds of ``fastrelu train`` on a table of 1,000 rows.

Each is a process of its own, beside a script that does the like with pandas and scikit-learn's
boosted trees, at their defaults.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report_tables import table

TREES = """
import sys
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split
frame = pd.read_csv(sys.argv[1])
price = frame.pop("price")
frame["built"] = pd.to_datetime(frame["built"]).astype("int64")
frame["city"] = frame["city"].astype("category")
parts = train_test_split(frame, price, test_size=0.2, random_state=0)
model = HistGradientBoostingRegressor(categorical_features="from_dtype").fit(parts[0], parts[2])
print(model.score(parts[1], parts[3]))
"""
FIT = """
import sys, time
from fastrelu.app.run import recipe
fit = recipe.fit_members
def timed(*arguments):
    began = time.process_time()
    found = fit(*arguments)
    print(time.process_time() - began, file=sys.stderr)
    return found
recipe.fit_members = timed
from fastrelu.app.cli import main
main(["train", sys.argv[1], "--target", "price", "--quiet"], standalone_mode=False)
"""
RUNS = 5


def write_table(path: Path, rows: int = 1000) -> None:
    """Write numbers with gaps, a category, a date and a price."""
    rng = np.random.default_rng(0)
    lines = ["area,rooms,city,age,height,built,price"]
    for i in range(rows):
        area, rooms = rng.lognormal(4, 0.5), rng.integers(1, 8)
        city = ("Bern", "Basel", "Chur")[rng.integers(3)]
        built = np.datetime64("1960-01-01") + rng.integers(0, 20_000)
        price = 20 * area + 300 * rooms + 200 * (city == "Basel") + rng.normal(0, 100)
        numbers = f"{rng.normal(40, 10):.2f},{rng.normal():.4f}"
        gap = "" if i % 9 == 0 else f"{area:.3f}"
        lines.append(f"{gap},{rooms},{city},{numbers},{built},{price:.2f}")
    path.write_text("\n".join(lines) + "\n")


def cpu_seconds(command: list[str]) -> tuple[float, str]:
    """Return the CPU seconds of a process, and what it has written to standard error."""
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system, done.stderr


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write_table(path)
        train = [sys.executable, "-m", "fastrelu", "train", str(path), "--target", "price"]
        commands = {
            "fastrelu train": train,
            "fastrelu train --out run (with a report)": [
                *train,
                "--out",
                f"{folder}/run",
                "--force",
            ],
            "pandas and HistGradientBoostingRegressor": [sys.executable, "-c", TREES, str(path)],
        }
        found: dict[str, list[float]] = {name: [] for name in ("the fit itself", *commands)}
        for _ in range(RUNS):
            for name, command in commands.items():
                found[name].append(cpu_seconds(command)[0])
            found["the fit itself"].append(
                float(cpu_seconds([sys.executable, "-c", FIT, str(path)])[1])
            )
    rows = [[name, f"{statistics.median(each):.2f}"] for name, each in found.items()]
    print(table(["", "CPU seconds"], rows))
    print(time.strftime("%Y-%m-%d"))


if __name__ == "__main__":
    main()

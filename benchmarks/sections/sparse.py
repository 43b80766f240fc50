# SPDX-License-Identifier: BSD-3-Clause
"""CSR input: time against stored entries and against columns, beside scikit-learn."""

from __future__ import annotations

from typing import Any

from benchmarks.sections.common import Run, line
from benchmarks.turns import Contestant

COLUMNS = 20_000
PER_ROW = 200  # 1 % of the columns
RULES = ("sgd", "momentum", "adam", "weight_decay")


def case(columns: int, per_row: int, **more: Any) -> dict[str, Any]:
    spec = {"widths": (columns, 64, 1), "batch": 128, "sparse": per_row}
    return {**spec, "rows": 12_800, **more}


def sparse(run: Run) -> dict[str, Any]:
    """Measure fit, step and forward on CSR; then the step with more entries or more columns."""
    found: dict[str, Any] = {}
    spec = case(COLUMNS, PER_ROW)
    found["training"] = run.race(
        [
            Contestant("fit", "core", "fit", spec),
            Contestant("step", "core", "step", spec),
            Contestant("sklearn, a call a step", "sklearn_peer", "step", spec),
            Contestant("sklearn, a call for 64", "sklearn_peer", "step", {**spec, "many": True}),
        ]
    )
    found["forward"] = run.race(
        [
            Contestant("fastrelu", "core", "forward", spec),
            Contestant("scikit-learn", "sklearn_peer", "forward", spec),
        ]
    )
    shapes = [(COLUMNS, 50), (COLUMNS, 200), (COLUMNS, 800), (4 * COLUMNS, 200), (8 * COLUMNS, 200)]
    for rule in RULES:
        found[rule] = run.race(
            [
                Contestant(f"{c} columns, {n} a row", "core", "step", case(c, n, optimizer=rule))
                for c, n in shapes
            ]
        )
    for name, results in found.items():
        print(line(name, results), flush=True)
    return found

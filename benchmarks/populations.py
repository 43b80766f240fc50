# SPDX-License-Identifier: BSD-3-Clause
"""The cases of bench_population.py: shapes, rows, members; the same data for every contestant."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

LEARNING_RATE = 0.001


@dataclass(frozen=True)
class Case:
    """Members that are trained on the same rows."""

    widths: tuple[tuple[int, ...], ...]  # of each member
    batch: int
    rows: int
    epochs: int
    classes: bool = False

    @property
    def steps(self) -> int:
        """The minibatches of all members in one run."""
        return len(self.widths) * self.epochs * math.ceil(self.rows / self.batch)

    @property
    def flops(self) -> float:
        """The floating-point operations of a member's step, in the mean: 2 a multiply-add."""
        per_row = [
            sum(3 * a * b for a, b in itertools.pairwise(w)) - w[0] * w[1] for w in self.widths
        ]
        return 2.0 * self.batch * float(np.mean(per_row))


def mixed(count: int) -> tuple[tuple[int, ...], ...]:
    """Return 10-w-1 with widths w from 8 to 64."""
    widths = np.random.default_rng(0).integers(8, 65, count)
    return tuple((10, int(w), 1) for w in widths)


CASES = {
    "8-64-64-4 b1": Case(((8, 64, 64, 4),) * 64, 1, 2000, 2),
    "24-8-2 b200": Case(((24, 8, 2),) * 64, 200, 4000, 20, classes=True),
    "10-16-1 b32": Case(((10, 16, 1),) * 64, 32, 500, 50),
    "64-64-10 b64": Case(((64, 64, 10),) * 64, 64, 4096, 1, classes=True),
    "100 of 10-16-1": Case(((10, 16, 1),) * 100, 32, 500, 50),
    "100 of 10-(8..64)-1": Case(mixed(100), 32, 500, 50),
    "32 of 30-128-64-1": Case(((30, 128, 64, 1),) * 32, 256, 100_000, 1),
}


def data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (float32) and targets: labels, or (n, outputs)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(case.rows, case.widths[0][0])).astype("float32")
    outputs = case.widths[0][-1]
    if case.classes:
        return X, rng.integers(0, outputs, case.rows)
    return X, rng.normal(size=(case.rows, outputs)).astype("float32")

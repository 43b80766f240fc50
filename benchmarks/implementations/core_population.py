# SPDX-License-Identifier: BSD-3-Clause
"""Populations of this library: in one call, and one network after the other."""

from __future__ import annotations

import fastrelu
from benchmarks.implementations.core import info
from benchmarks.populations import CASES, LEARNING_RATE, data

__all__ = ["TASKS", "info"]


class Fits:
    """Fits all members of a case; `count` times, from new weights."""

    def __init__(self, spec: dict) -> None:
        self.case = CASES[spec["case"]]
        self.X, self.y = data(self.case)
        self.together, self.same = spec["together"], spec.get("same_order", False)
        self.steps = self.case.steps
        self.loss = "cross_entropy" if self.case.classes else "squared_error"

    def run(self, count: int) -> None:
        for _ in range(count):
            if self.together:
                self.fit_together()
            else:
                self.fit_in_turn()

    def fit_together(self) -> None:
        population = fastrelu.Population(
            [
                {
                    "layer_sizes": widths,
                    "seed": i,
                    "shuffle_seed": 0 if self.same else i,
                    "loss": self.loss,
                    "optimizer": fastrelu.SGD(LEARNING_RATE),
                    "batch_size": self.case.batch,
                }
                for i, widths in enumerate(self.case.widths)
            ]
        )
        population.fit(self.X, self.y, epochs=self.case.epochs)

    def fit_in_turn(self) -> None:
        for i, widths in enumerate(self.case.widths):
            trainer = fastrelu.Trainer(
                fastrelu.Network(widths, seed=i),
                loss=self.loss,
                optimizer=fastrelu.SGD(LEARNING_RATE),
                batch_size=self.case.batch,
                seed=0 if self.same else i,
            )
            trainer.fit(self.X, self.y, epochs=self.case.epochs)


TASKS = {"population": Fits}

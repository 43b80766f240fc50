# SPDX-License-Identifier: BSD-3-Clause
"""torch: all members as one batch of matrices (baddbmm), which need one shape."""

from __future__ import annotations

import itertools
import math
import os

import torch

from benchmarks.implementations import UnavailableError
from benchmarks.implementations.torch_eager import info
from benchmarks.populations import CASES, LEARNING_RATE, data

__all__ = ["TASKS", "info"]


class Fits:
    """Fits all members of a case, on the same minibatches; at most `most_steps` of them."""

    def __init__(self, spec: dict) -> None:
        self.case = CASES[spec["case"]]
        if len(set(self.case.widths)) > 1:
            raise UnavailableError("one shape only")
        self.X, self.y = map(torch.from_numpy, data(self.case))
        per_epoch = math.ceil(self.case.rows / self.case.batch)
        self.taken = min(spec["most_steps"], self.case.epochs * per_epoch)
        self.steps = self.taken * len(self.case.widths)

        self.threads = spec.get("threads", len(os.sched_getaffinity(0)))

    def run(self, count: int) -> None:
        torch.set_num_threads(self.threads)
        for _ in range(count):
            self.fit()

    def fit(self) -> None:
        case = self.case
        members, widths = len(case.widths), case.widths[0]
        values = []
        for a, b in itertools.pairwise(widths):
            values.append((torch.rand(members, a, b) - 0.5) * (2 * (6 / a) ** 0.5))
            values.append(torch.zeros(members, 1, b))
        for value in values:
            value.requires_grad_(True)
        left = self.taken
        while left:
            order = torch.randperm(case.rows)
            for begin in range(0, case.rows, case.batch):
                self.step(values, order[begin : begin + case.batch])
                left -= 1
                if not left:
                    break

    def step(self, values, rows) -> None:
        members = len(self.case.widths)
        a = self.X[rows].expand(members, -1, -1)
        for k in range(0, len(values), 2):
            a = torch.baddbmm(values[k + 1], a, values[k])
            if k + 2 < len(values):
                a = torch.relu(a)
        y = self.y[rows]
        if self.case.classes:
            losses = torch.nn.functional.cross_entropy(
                a.reshape(-1, a.shape[-1]), y.repeat(members), reduction="sum"
            )
            loss = losses / len(rows)
        else:
            loss = 0.5 * ((a - y) ** 2).mean(dim=(1, 2)).sum()
        gradients = torch.autograd.grad(loss, values)
        with torch.no_grad():
            torch._foreach_add_(values, gradients, alpha=-LEARNING_RATE)


TASKS = {"population": Fits}

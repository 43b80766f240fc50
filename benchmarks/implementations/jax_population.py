# SPDX-License-Identifier: BSD-3-Clause
"""jax: vmap over the members inside one compiled scan over the steps; the compiling not counted."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.implementations import UnavailableError
from benchmarks.implementations.jax_jit import info
from benchmarks.populations import CASES, LEARNING_RATE, data

__all__ = ["TASKS", "info"]


class Fits:
    """Fits all members of a case, on the same minibatches; at most `most_steps` of them."""

    def __init__(self, spec: dict) -> None:
        self.case = case = CASES[spec["case"]]
        if len(set(case.widths)) > 1:
            raise UnavailableError("one shape only")
        X, y = map(jnp.asarray, data(case))
        whole = case.rows // case.batch  # of one shape: the shorter last one is left out
        self.taken = min(spec["most_steps"], case.epochs * math.ceil(case.rows / case.batch))
        self.steps = self.taken * len(case.widths)
        rng = np.random.default_rng(0)
        orders = []
        while len(orders) < self.taken:
            orders += list(rng.permutation(case.rows)[: whole * case.batch].reshape(whole, -1))
        self.orders = jnp.asarray(np.array(orders[: self.taken]))

        def loss_of(values, rows):
            a = X[rows]
            for k, (W, b) in enumerate(values):
                a = a @ W + b
                a = jax.nn.relu(a) if k + 1 < len(values) else a
            if case.classes:
                logs = jax.nn.log_softmax(a)
                return -jnp.take_along_axis(logs, y[rows][:, None], 1).mean()
            return 0.5 * ((a - y[rows]) ** 2).mean()

        def step(values, rows):
            gradients = jax.grad(loss_of)(values, rows)
            return jax.tree.map(lambda v, g: v - LEARNING_RATE * g, values, gradients), None

        members = jax.vmap(lambda v, orders: jax.lax.scan(step, v, orders)[0], (0, None))
        self.train = jax.jit(members)

    def run(self, count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(self.train(self.start(), self.orders))

    def start(self):
        case, rng = self.case, np.random.default_rng(0)
        members, widths = len(case.widths), case.widths[0]
        return [
            (
                jnp.asarray(rng.uniform(-1, 1, (members, a, b)) * (6 / a) ** 0.5, jnp.float32),
                jnp.zeros((members, b), jnp.float32),
            )
            for a, b in itertools.pairwise(widths)
        ]


TASKS = {"population": Fits}

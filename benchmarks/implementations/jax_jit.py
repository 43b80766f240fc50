# SPDX-License-Identifier: BSD-3-Clause
"""jax on the CPU: one jitted step a call, parameters donated."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from benchmarks.data import make_data, make_parameters
from benchmarks.implementations import UnavailableError, all_finite
from benchmarks.nets import LEARNING_RATE, net_of


def outputs(parameters, X):
    for W, b in parameters[:-1]:
        X = jax.nn.relu(X @ W + b)
    W, b = parameters[-1]
    return X @ W + b


def loss_of(parameters, X, y):
    return 0.5 * jnp.mean((outputs(parameters, X) - y) ** 2)


def next_parameters(parameters, X, y):
    loss, gradients = jax.value_and_grad(loss_of)(parameters, X, y)
    update = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients)
    return update, loss


class Step:
    """`count` calls of the compiled function, each on what the one before returned."""

    def __init__(self, spec: dict, function, steps: int = 1) -> None:
        net = net_of(spec)
        self.steps = steps
        self.parameters = [
            (jnp.asarray(W), jnp.asarray(b)) for W, b in zip(*make_parameters(net), strict=True)
        ]
        self.X, self.y = map(jnp.asarray, make_data(net, net.batch))
        self.function = jax.jit(function, donate_argnums=0)

    def run(self, count: int) -> None:
        parameters, X, y, function = self.parameters, self.X, self.y, self.function
        for _ in range(count):
            parameters, loss = function(parameters, X, y)
        # Dispatch is asynchronous: the time ends when the last result is there.
        jax.block_until_ready((parameters, loss))
        self.parameters = parameters

    def weights(self):
        return [W for W, _ in self.parameters]

    def check(self) -> None:
        all_finite(jax.tree.leaves(self.parameters))


class Forward:
    """Predictions of all rows, or of one, by a compiled function."""

    def __init__(self, spec: dict) -> None:
        if spec.get("layout", "contiguous") != "contiguous":
            raise UnavailableError("contiguous rows only")
        net = net_of(spec)
        rows = 1 if spec.get("one_row") else spec.get("rows", net.batch)
        self.parameters = [
            (jnp.asarray(W), jnp.asarray(b)) for W, b in zip(*make_parameters(net), strict=True)
        ]
        self.X = make_data(net, rows)[0]
        self.function = jax.jit(outputs)

    def run(self, count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(self.function(self.parameters, self.X))


def info() -> dict:
    return {"jax": jax.__version__, "devices": [str(d) for d in jax.devices()]}


TASKS = {"step": functools.partial(Step, function=next_parameters), "forward": Forward}

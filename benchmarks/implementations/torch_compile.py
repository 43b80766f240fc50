# SPDX-License-Identifier: BSD-3-Clause
"""torch.compile: the whole step, update included, in one graph (faster than the usual loop)."""

from __future__ import annotations

import torch

from benchmarks.data import make_data
from benchmarks.implementations import Loop
from benchmarks.implementations.torch_eager import info, make_module
from benchmarks.nets import LEARNING_RATE, net_of

__all__ = ["TASKS", "info"]


def step(spec: dict):
    torch._dynamo.reset()
    net, dtype = net_of(spec), spec.get("dtype", "float32")
    module = make_module(net, dtype)
    X, y = map(torch.from_numpy, make_data(net, net.batch, dtype))
    values = {name: p.detach() for name, p in module.named_parameters()}

    def loss_of(values, X, y):
        return torch.nn.functional.mse_loss(torch.func.functional_call(module, values, (X,)), y)

    @torch.compile
    def whole_step(values, X, y):
        gradients, loss = torch.func.grad_and_value(loss_of)(values, X, y)
        for name, value in values.items():
            value.sub_(gradients[name], alpha=LEARNING_RATE / 2)
        return loss

    def call():
        with torch.no_grad():
            return whole_step(values, X, y)

    return Loop(
        call,
        finish=lambda: next(iter(values.values())).sum().item(),
        weights=lambda: [value.T for value in values.values() if value.ndim == 2],
    )


TASKS = {"step": step}

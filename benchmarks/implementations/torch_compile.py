# SPDX-License-Identifier: BSD-3-Clause
"""torch.compile: the whole step, update included, in one graph (faster than the usual loop).

With its defaults, or as far as it goes: max-autotune, and for predictions frozen weights too.
"""

from __future__ import annotations

import torch

from benchmarks.data import make_data
from benchmarks.implementations import Loop, UnavailableError
from benchmarks.implementations.torch_eager import info, make_module
from benchmarks.nets import LEARNING_RATE, net_of

__all__ = ["TASKS", "info"]


def step(spec: dict):
    torch._dynamo.reset()
    if spec.get("mode") and net_of(spec).step_flops > 4e9:
        raise UnavailableError("tuning would take minutes")
    net, dtype = net_of(spec), spec.get("dtype", "float32")
    module = make_module(net, dtype)
    X, y = map(torch.from_numpy, make_data(net, net.batch, dtype))
    values = {name: p.detach() for name, p in module.named_parameters()}

    def loss_of(values, X, y):
        return torch.nn.functional.mse_loss(torch.func.functional_call(module, values, (X,)), y)

    @torch.compile(mode=spec.get("mode"))
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


def forward(spec: dict):
    """All rows, one row, or a call for each `chunk` of them."""
    if spec.get("layout", "contiguous") != "contiguous":
        raise UnavailableError("contiguous rows only")
    torch._dynamo.reset()
    torch._inductor.config.freezing = True
    net = net_of(spec)
    module = make_module(net).eval()
    rows = 1 if spec.get("one_row") else spec.get("rows", net.batch)
    X = torch.from_numpy(make_data(net, rows)[0])
    parts = X.split(spec.get("chunk", rows))
    compiled = torch.compile(module, mode="max-autotune")

    def call():
        with torch.no_grad():  # inference_mode would leave the weights unfrozen
            for part in parts:
                last = compiled(part)
        return last

    return Loop(call, finish=lambda: call().sum().item())


TASKS = {"step": step, "forward": forward}

# SPDX-License-Identifier: BSD-3-Clause
"""torch on the CPU, eager: of the usual ways to write the step, the fastest one measured."""

from __future__ import annotations

import os

import torch

from benchmarks.data import make_data, make_parameters
from benchmarks.implementations import Loop, UnavailableError
from benchmarks.nets import LEARNING_RATE, net_of

torch.set_num_threads(len(os.sched_getaffinity(0)))


def make_module(net, dtype: str = "float32"):
    layers = []
    for W, b in zip(*make_parameters(net, dtype), strict=True):
        layer = torch.nn.Linear(*W.shape)
        layer.weight.data = torch.from_numpy(W.T.copy())
        layer.bias.data = torch.from_numpy(b)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def step(spec: dict):
    net, dtype = net_of(spec), spec.get("dtype", "float32")
    module = make_module(net, dtype)
    X, y = map(torch.from_numpy, make_data(net, net.batch, dtype))
    parameters = list(module.parameters())
    values = [p.data for p in parameters]

    def call():
        loss = torch.nn.functional.mse_loss(module(X), y)
        gradients = torch.autograd.grad(loss, parameters)
        # fastrelu's squared error is half of this one.
        torch._foreach_add_(values, gradients, alpha=-LEARNING_RATE / 2)
        return loss

    return Loop(
        call,
        # CPU kernels return when done; reading a result makes sure of it.
        finish=lambda: values[0].sum().item(),
        weights=lambda: [value.T for value in values if value.ndim == 2],
    )


def forward(spec: dict):
    if spec.get("layout", "contiguous") != "contiguous":
        raise UnavailableError("contiguous rows only")
    net = net_of(spec)
    module = make_module(net)
    X = torch.from_numpy(make_data(net, spec.get("rows", net.batch))[0])
    parts = (X[0],) if spec.get("one_row") else X.split(spec.get("chunk", len(X)))

    def call():
        with torch.inference_mode():
            for part in parts:
                last = module(part)
        return last

    return Loop(call, finish=lambda: call().sum().item())


def info() -> dict:
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}


TASKS = {"step": step, "forward": forward}

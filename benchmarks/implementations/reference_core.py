# SPDX-License-Identifier: BSD-3-Clause
"""The specification in plain Python; only where a step is small."""

from __future__ import annotations

from benchmarks.data import make_data, make_parameters
from benchmarks.implementations import Loop, UnavailableError
from benchmarks.nets import LEARNING_RATE, net_of
from fastrelu import reference

LIMIT = 1_000_000  # multiply-adds a step


def small_net(spec: dict):
    net = net_of(spec)
    if net.step_flops > 2 * LIMIT:
        raise UnavailableError("the reference takes seconds here")
    return net


def step(spec: dict):
    net = small_net(spec)
    network = reference.Network(net.widths)
    for mine, W in zip(network.weights, make_parameters(net)[0], strict=True):
        mine[...] = W
    trainer = reference.Trainer(network, optimizer=reference.SGD(LEARNING_RATE))
    X, y = make_data(net, net.batch)
    return Loop(lambda: trainer.step(X, y), weights=lambda: network.weights)


def backward(spec: dict):
    net = small_net(spec)
    network = reference.Network(net.widths)
    X, d_out = make_data(net, net.batch)
    _, cache = network.forward_cached(X)
    return Loop(lambda: network.backward(cache, d_out))


def forward(spec: dict):
    net = small_net(spec)
    network = reference.Network(net.widths)
    X = make_data(net, net.batch)[0]
    x = X[0] if spec.get("one_row") else X
    return Loop(lambda: network.forward(x))


def info() -> dict:
    return {}


TASKS = {"step": step, "backward": backward, "forward": forward}

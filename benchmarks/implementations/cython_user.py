# SPDX-License-Identifier: BSD-3-Clause
"""The Cython baseline of native/_cython_baseline.pyx, one thread."""

from __future__ import annotations

import importlib.util

from benchmarks import build
from benchmarks.data import make_data, make_parameters
from benchmarks.implementations import Loop, UnavailableError
from benchmarks.nets import LEARNING_RATE, net_of

LIMIT = 2**30  # multiply-adds a step; above, the loops of a user take seconds


def load_baseline():
    path = build.cython_library()
    if not path.exists():
        raise UnavailableError("not built: run python -m benchmarks.build (needs Cython)")
    spec = importlib.util.spec_from_file_location("_cython_baseline", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_network(net, rows: int):
    return load_baseline().Network(*make_parameters(net), rows, LEARNING_RATE)


def make_case(spec: dict):
    net = net_of(spec)
    if net.step_flops > 2 * LIMIT or spec.get("dtype", "float32") != "float32":
        raise UnavailableError("float32 nets of moderate size only")
    return make_network(net, net.batch), *make_data(net, net.batch)


def step(spec: dict):
    network, X, y = make_case(spec)
    return Loop(lambda: network.step(X, y), weights=network.get_weights)


def backward(spec: dict):
    network, X, d_out = make_case(spec)
    network.forward(X)
    return Loop(lambda: network.backward(X, d_out))


def forward(spec: dict):
    if spec.get("layout", "contiguous") != "contiguous":
        raise UnavailableError("contiguous rows only")
    net = net_of(spec)
    rows = 1 if spec.get("one_row") else spec.get("rows", net.batch)
    network = make_network(net, rows)
    X = make_data(net, rows)[0]
    return Loop(lambda: network.forward(X))


def info() -> dict:
    return {}


TASKS = {"step": step, "backward": backward, "forward": forward}

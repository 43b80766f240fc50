# SPDX-License-Identifier: BSD-3-Clause
"""fastrelu through its Python API. Threads and ISA come from the process's environment."""

from __future__ import annotations

import contextlib
import io

import fastrelu
from benchmarks.data import make_data, make_parameters, make_rows, make_sparse, make_targets
from benchmarks.implementations import Loop, UnavailableError, all_finite
from benchmarks.nets import FIT_ROWS, LEARNING_RATE, net_of

OPTIMIZERS = {
    "sgd": lambda: fastrelu.SGD(LEARNING_RATE),
    "momentum": lambda: fastrelu.SGD(LEARNING_RATE, momentum=0.9),
    "nesterov": lambda: fastrelu.SGD(LEARNING_RATE, momentum=0.9, nesterov=True),
    "weight_decay": lambda: fastrelu.SGD(LEARNING_RATE, weight_decay=1e-4),
    "adam": lambda: fastrelu.Adam(1e-4),
}


def info() -> dict:
    with contextlib.redirect_stdout(io.StringIO()):
        return fastrelu.show_config()


def make_network(net, dtype: str = "float32", scale: float = 1.0, **more):
    network = fastrelu.Network(net.widths, dtype=dtype, scale=scale, **more)
    weights, _ = make_parameters(net, dtype)
    for mine, w in zip(network.weights, weights, strict=True):
        mine[...] = w
    return network


def make_trainer(spec: dict):
    net = net_of(spec)
    kind = {key: spec[key] for key in ("activation",) if key in spec}
    network = make_network(net, spec.get("dtype", "float32"), **kind)
    optimizer = OPTIMIZERS[spec.get("optimizer", "sgd")]()
    more = {key: spec[key] for key in ("dropout",) if key in spec}
    return fastrelu.Trainer(network, optimizer=optimizer, batch_size=net.batch, **more)


class Fit:
    """One call of `fit`, `count` epochs, its history kept."""

    def __init__(self, spec: dict) -> None:
        net = net_of(spec)
        self.hot = spec.get("hot", False)
        rows = spec.get("rows", FIT_ROWS)
        if self.hot:  # rows that stay in the caches: what a step costs without its gather
            rows = max(4, min(4096, 2**17 // (4 * net.widths[0] * net.batch))) * net.batch
        self.trainer = make_trainer(spec)
        dtype = spec.get("dtype", "float32")
        self.steps = -(-rows // net.batch)
        if spec.get("sparse"):
            self.X = make_sparse(net, rows, spec["sparse"], dtype)
            self.y = make_targets(net, rows, dtype)
            refuse_csr(self.trainer.fit, self.X, self.y)
            return
        self.X, self.y = make_data(net, rows, dtype)
        if spec.get("decayed"):
            # State that was large once and has no gradient since: it shrinks towards subnormals.
            self.trainer.fit(self.X, self.y)
            self.X[:, ::2] = 0
            self.trainer.fit(self.X, self.y, -(-10_000 // self.steps))

    def run(self, count: int) -> dict:
        self.history = self.trainer.fit(self.X, self.y, count)
        return {"epoch_seconds": sum(self.history.seconds)}

    def check(self) -> None:
        all_finite([self.trainer.network.parameters])


def step(spec: dict):
    net = net_of(spec)
    trainer = make_trainer(spec)
    if spec.get("sparse"):
        X = make_sparse(net, net.batch, spec["sparse"])
        y = make_targets(net, net.batch)
        refuse_csr(trainer.step, X, y)
    else:
        X, y = make_data(net, net.batch, spec.get("dtype", "float32"))
    task = Loop(lambda: trainer.step(X, y), weights=lambda: trainer.network.weights)
    if spec.get("view"):
        task.view = trainer.network.parameters
    return task


def backward(spec: dict):
    net = net_of(spec)
    network = make_network(net, spec.get("dtype", "float32"))
    X, d_out = make_data(net, net.batch, spec.get("dtype", "float32"))
    _, cache = network.forward_cached(X)
    return Loop(lambda: network.backward(cache, d_out))


def forward(spec: dict):
    """`net(x)` of one row, or `net.forward(X)` of many, from the memory layout asked for."""
    net = net_of(spec)
    layout = spec.get("layout", "contiguous")
    dtype = spec.get("dtype", "float32")
    network = make_network(net, dtype, scale=1 / 255 if layout == "uint8" else 1.0)
    rows = spec.get("rows", net.batch)
    if spec.get("sparse"):
        X = make_sparse(net, rows, spec["sparse"], dtype)
        refuse_csr(network.forward, X)
    else:
        X = make_rows(net, rows, layout, dtype)
    if spec.get("one_row"):
        x = X[0]
        return Loop(lambda: network(x))
    return Loop(lambda: network.forward(X))


def refuse_csr(call, *arguments) -> None:
    """UnavailableError where this fastrelu does not take CSR matrices."""
    try:
        call(*arguments)
    except (TypeError, ValueError) as error:
        raise UnavailableError(f"fastrelu refuses a CSR matrix: {error}") from error


TASKS = {"fit": Fit, "step": step, "backward": backward, "forward": forward}

# SPDX-License-Identifier: BSD-3-Clause
"""What a careful user writes with NumPy alone: every product into an array made once."""

from __future__ import annotations

import numpy as np

from benchmarks.data import make_data, make_parameters, make_rows
from benchmarks.implementations import Loop
from benchmarks.nets import LEARNING_RATE, net_of


class NumPyNetwork:
    """Dense layers with ReLU between them; squared error, plain SGD, no allocation in a step."""

    def __init__(self, net, dtype: str, rows: int) -> None:
        self.weights, self.biases = make_parameters(net, dtype)
        self.grads = [np.empty_like(w) for w in self.weights]
        self.bias_grads = [np.empty_like(b) for b in self.biases]
        self.outputs = [np.empty((rows, width), dtype) for width in net.widths[1:]]
        self.deltas = [np.empty((rows, width), dtype) for width in net.widths[1:]]
        self.masks = [np.empty((rows, width), bool) for width in net.widths[1:]]
        self.rate = np.dtype(dtype).type(LEARNING_RATE)

    def forward(self, X):
        last = len(self.weights) - 1
        for k, (W, b, z) in enumerate(zip(self.weights, self.biases, self.outputs, strict=True)):
            np.matmul(X, W, out=z)
            z += b
            X = z if k == last else np.maximum(z, 0, out=z)
        return X

    def backward(self, X, d_out):
        for k in range(len(self.weights) - 1, -1, -1):
            below = self.outputs[k - 1] if k else X
            np.matmul(below.T, d_out, out=self.grads[k])
            np.sum(d_out, axis=0, out=self.bias_grads[k])
            if k:
                delta = np.matmul(d_out, self.weights[k].T, out=self.deltas[k - 1])
                np.greater(below, 0, out=self.masks[k - 1])
                d_out = np.multiply(delta, self.masks[k - 1], out=delta)

    def step(self, X, y):
        out = self.forward(X)
        delta = np.subtract(out, y, out=self.deltas[-1])
        loss = np.vdot(delta, delta) / (2 * delta.size)
        delta *= delta.dtype.type(1 / delta.size)
        self.backward(X, delta)
        for values, grads in ((self.weights, self.grads), (self.biases, self.bias_grads)):
            for value, grad in zip(values, grads, strict=True):
                grad *= self.rate
                value -= grad
        return loss


def step(spec: dict):
    net, dtype = net_of(spec), spec.get("dtype", "float32")
    user = NumPyNetwork(net, dtype, net.batch)
    X, y = make_data(net, net.batch, dtype)
    return Loop(lambda: user.step(X, y), weights=lambda: user.weights)


def backward(spec: dict):
    net, dtype = net_of(spec), spec.get("dtype", "float32")
    user = NumPyNetwork(net, dtype, net.batch)
    X, d_out = make_data(net, net.batch, dtype)
    user.forward(X)
    return Loop(lambda: user.backward(X, d_out))


def forward(spec: dict):
    net, dtype = net_of(spec), spec.get("dtype", "float32")
    rows = spec.get("rows", net.batch)
    chunk = 1 if spec.get("one_row") else min(rows, spec.get("chunk", rows))
    user = NumPyNetwork(net, dtype, chunk)
    if spec.get("one_row"):
        x = make_data(net, 1, dtype)[0]
        return Loop(lambda: user.forward(x))
    layout = spec.get("layout", "contiguous")
    X = make_rows(net, rows, layout, dtype)
    out = np.empty((rows, net.widths[-1]), dtype)
    full = rows - rows % chunk

    def call():
        for first in range(0, full, chunk):
            part = X[first : first + chunk]
            if layout == "uint8":
                part = part * np.dtype(dtype).type(1 / 255)
            out[first : first + chunk] = user.forward(part)

    return Loop(call)


def info() -> dict:
    """Return NumPy's version and the BLAS kernels that run."""
    found = {"numpy": np.__version__}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return found
    blas = [p for p in threadpool_info() if p["user_api"] == "blas"]
    keep = ("internal_api", "version", "architecture", "num_threads", "threading_layer")
    found["blas"] = [{k: p.get(k) for k in keep} for p in blas]
    return found


TASKS = {"step": step, "backward": backward, "forward": forward}

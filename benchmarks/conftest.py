# SPDX-License-Identifier: BSD-3-Clause
"""The six nets and the three implementations that the benchmarks hold side by side."""

import numpy as np
import pytest

import fastrelu
from fastrelu import reference

NETS = {
    "policy": ([8, 64, 64, 4], 1),
    "tiny": ([4, 32, 32, 1], 32),
    "digits": ([64, 64, 10], 64),
    "tabular": ([30, 128, 64, 1], 128),
    "mnist": ([784, 256, 128, 10], 128),
    "deep": ([128] * 9 + [10], 128),
}


class NumPyNetwork:
    """What a careful user writes with NumPy alone; float32, plain SGD on the squared error."""

    def __init__(self, net):
        self.weights = [w.copy() for w in net.weights]
        self.biases = [b.copy() for b in net.biases]

    def forward(self, X):
        self.cache = [X]
        for k, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = self.cache[-1] @ W
            z += b
            self.cache.append(z if k + 1 == len(self.weights) else np.maximum(z, 0, out=z))
        return self.cache[-1]

    def backward(self, d_out):
        gradients = []
        for k in range(len(self.weights) - 1, -1, -1):
            gradients.append((self.cache[k].T @ d_out, d_out.sum(axis=0)))
            if k:
                d_out = (d_out @ self.weights[k].T) * (self.cache[k] > 0)
        return gradients[::-1]

    def step(self, X, y, learning_rate=1e-3):
        learning_rate = np.float32(learning_rate)
        out = self.forward(X)
        gradients = self.backward((out - y) * np.float32(1 / out.size))
        for W, b, (dW, db) in zip(self.weights, self.biases, gradients, strict=True):
            W -= learning_rate * dW
            b -= learning_rate * db


class Case:
    """One net in one implementation: forward(), backward(), step()."""

    def __init__(self, name, implementation):
        sizes, batch = NETS[name]
        rng = np.random.default_rng(0)
        X = rng.normal(size=(batch, sizes[0])).astype("float32")
        y = rng.normal(size=(batch, sizes[-1])).astype("float32")
        core = fastrelu.Network(sizes)
        if implementation == "numpy":
            net = NumPyNetwork(core)
            net.forward(X)
            self.forward = lambda: net.forward(X)
            self.backward = lambda: net.backward(y)
            self.step = lambda: net.step(X, y)
            return
        module = reference if implementation == "reference" else fastrelu
        net = core if module is fastrelu else reference.Network(sizes)
        trainer = module.Trainer(net, optimizer=module.SGD(1e-3))
        self.forward = lambda: net.forward(X)
        _, cache = net.forward_cached(X)
        self.backward = lambda: net.backward(cache, y)
        self.step = lambda: trainer.step(X, y)


@pytest.fixture(params=list(NETS))
def net_name(request):
    return request.param


@pytest.fixture(params=["core", "numpy", "reference"])
def case(request, net_name):
    large = sum(a * b for a, b in zip(NETS[net_name][0], NETS[net_name][0][1:], strict=False))
    if request.param == "reference" and large * NETS[net_name][1] > 2e6:
        pytest.skip("the reference takes seconds here")
    return Case(net_name, request.param)


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["fastrelu"] = fastrelu.show_config()

# SPDX-License-Identifier: BSD-3-Clause
"""The contestants. Each module has `TASKS`, name -> function(spec) -> task, and `info()`.

A task has `run(count)`, which does its work `count` times and returns when the results are there.
It may have `steps` (minibatches in one count), `weights()` of shape (fan_in, fan_out), and
`check()`, called after the last run. What cannot run raises `UnavailableError` with the reason.
"""

from __future__ import annotations

import importlib

MODULES = (
    "core",
    "reference_core",
    "numpy_user",
    "cython_user",
    "torch_eager",
    "torch_compile",
    "jax_jit",
    "jax_scan",
    "sklearn_peer",
    "onnx_peer",
    "roof",
)


class UnavailableError(Exception):
    """This contestant cannot run here; the message says why."""


def load(name: str):
    """Import one implementation; `UnavailableError` where what it needs is not installed."""
    try:
        return importlib.import_module(f"benchmarks.implementations.{name}")
    except ImportError as error:
        if error.name and error.name.startswith("benchmarks"):
            raise
        raise UnavailableError(f"not installed: {error}") from error


class Loop:
    """A task that calls one function over and over."""

    def __init__(self, call, finish=None, weights=None, steps: int = 1) -> None:
        self.call = call
        self.finish = finish
        self.steps = steps
        self.weights = weights

    def check(self) -> None:
        """Raise if a net has left the finite numbers: its speed would mean nothing."""
        if self.weights is not None:
            all_finite(self.weights())

    def run(self, count: int) -> None:
        call = self.call
        for _ in range(count):
            call()
        if self.finish is not None:
            self.finish()


def all_finite(arrays) -> None:
    import numpy as np

    if not all(np.isfinite(np.asarray(a)).all() for a in arrays):
        raise FloatingPointError("the parameters are no longer finite")

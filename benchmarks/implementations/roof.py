# SPDX-License-Identifier: BSD-3-Clause
"""The machine's own limits, by the probe in native/roof.c, as one more contestant."""

from __future__ import annotations

import ctypes
import os

from benchmarks import build
from benchmarks.implementations import UnavailableError

PROBES = ("tile float32", "tile float64", "register float32", "register float64", "read", "copy")


class Roof:
    """`count` tenths of a second of one probe on some threads; the rate is the result."""

    def __init__(self, spec: dict) -> None:
        path = build.roof_library(spec["isa"])
        if not path.exists():
            raise UnavailableError(f"no {path.name}: run python -m benchmarks.build")
        self.function = ctypes.CDLL(str(path)).roof
        self.function.restype = ctypes.c_double
        self.function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_double, ctypes.c_size_t)
        self.probe = PROBES.index(spec["probe"])
        self.threads = spec.get("threads", 1)
        self.bytes = spec.get("bytes", 0)

    def run(self, count: int) -> dict:
        return {"rate": self.function(self.probe, self.threads, 0.02 * count, self.bytes)}


def info() -> dict:
    return {"cores": len(os.sched_getaffinity(0))}


TASKS = {"roof": Roof}

# SPDX-License-Identifier: BSD-3-Clause
"""Forward: one row from Python, and a hundred thousand rows from several memory layouts."""

from __future__ import annotations

from typing import Any

from benchmarks import environments
from benchmarks.environments import HERE
from benchmarks.nets import Net
from benchmarks.sections.common import Run, line, peer
from benchmarks.turns import Contestant

ROWS = 100_000
CHUNK = 1000
ONE_ROW = {
    "onnxruntime": "onnx_peer",
    "NumPy": "numpy_user",
    "Cython": "cython_user",
    "torch eager": "torch_eager",
    "torch.compile, frozen": "torch_compile",
    "jax jit": "jax_jit",
    "scikit-learn": "sklearn_peer",
}
# Label -> (implementation, whether in chunks, place).
MANY_ROWS = {
    "onnxruntime": ("onnx_peer", False, HERE),
    "onnxruntime, chunks": ("onnx_peer", True, HERE),
    "NumPy, chunks": ("numpy_user", True, HERE),
    "NumPy, MKL, chunks": ("numpy_user", True, environments.mkl()),
    "torch eager, chunks": ("torch_eager", True, HERE),
    "torch.compile, frozen, chunks": ("torch_compile", True, HERE),
    "jax jit": ("jax_jit", False, HERE),
}


def one_row(run: Run) -> dict[str, Any]:
    """Measure net(x) of one row."""
    found = {}
    for name in ("policy", "digits"):
        if name not in run.options.nets:
            continue
        spec = {"net": name, "one_row": True}
        contestants = [
            Contestant("fastrelu", "core", "forward", spec),
            *(peer(label, each, "forward", spec) for label, each in ONE_ROW.items()),
        ]
        found[name] = run.race(contestants)
        print(line(name, found[name]), flush=True)
    return found


def many_rows(run: Run) -> dict[str, Any]:
    """Measure net.forward(X) of 100,000 rows; the peers whole and in chunks that suit caches."""
    found = {}
    rows = ROWS // 10 if run.options.quick else ROWS
    for name in run.nets(("mnist", "tabular", "deep")):
        for layout in ("contiguous", "strided", "uint8"):
            spec = {"net": name, "rows": rows, "layout": layout}
            contestants = [Contestant("fastrelu", "core", "forward", spec)]
            for label, (implementation, chunked, place) in MANY_ROWS.items():
                more = {"chunk": CHUNK} if chunked else {}
                contestants.append(peer(label, implementation, "forward", {**spec, **more}, place))
            found[f"{name} {layout}"] = run.race(contestants)
            print(line(f"{name} {layout}", found[f"{name} {layout}"]), flush=True)
    return found


def predict_flops(net: Net, rows: int) -> int:
    return 2 * rows * net.n_weights

# SPDX-License-Identifier: BSD-3-Clause
"""Forward: one row from Python, and a hundred thousand rows from several memory layouts."""

from __future__ import annotations

from typing import Any

from benchmarks.nets import Net
from benchmarks.sections.common import Run, line
from benchmarks.turns import Contestant

ROWS = 100_000
ONE_ROW = {
    "fastrelu": "core",
    "onnxruntime": "onnx_peer",
    "NumPy": "numpy_user",
    "Cython": "cython_user",
    "torch eager": "torch_eager",
    "scikit-learn": "sklearn_peer",
}


def one_row(run: Run) -> dict[str, Any]:
    """Measure net(x) of one row."""
    found = {}
    for name in ("policy", "digits"):
        if name not in run.options.nets:
            continue
        spec = {"net": name, "one_row": True}
        contestants = [
            Contestant(label, implementation, "forward", spec)
            for label, implementation in ONE_ROW.items()
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
            chunked = {**spec, "chunk": 1000}
            contestants = [
                Contestant("fastrelu", "core", "forward", spec),
                Contestant("onnxruntime", "onnx_peer", "forward", spec),
                Contestant("onnxruntime, chunks", "onnx_peer", "forward", chunked),
                Contestant("NumPy, chunks", "numpy_user", "forward", chunked),
            ]
            found[f"{name} {layout}"] = run.race(contestants)
            print(line(f"{name} {layout}", found[f"{name} {layout}"]), flush=True)
    return found


def predict_flops(net: Net, rows: int) -> int:
    return 2 * rows * net.n_weights

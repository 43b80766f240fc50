# SPDX-License-Identifier: BSD-3-Clause
"""The applications beside examples/serving/api.py: onnxruntime's session, and no model at all."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def onnx_app() -> Any:
    """Return the example's application around the exported model ONNX_MODEL."""
    import fastapi
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as the example has it: each request on its own thread alone
    session = onnxruntime.InferenceSession(
        os.environ["ONNX_MODEL"], options, providers=["CPUExecutionProvider"]
    )
    texts = {each.name: "string" in each.type for each in session.get_inputs()}
    app = fastapi.FastAPI(title="onnxruntime")

    def column(name: str, rows: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
        values = [row[name] for row in rows]
        if texts[name]:
            return np.array([["" if value is None else value] for value in values], object)
        return np.array([[np.nan if value is None else value] for value in values], np.float64)

    @app.post("/predict")
    def predict(rows: list[dict[str, Any]]) -> list[Any]:
        if not rows:
            return []
        inputs = {name: column(name, rows) for name in texts}
        predictions: list[Any] = session.run(["prediction"], inputs)[0].tolist()
        return predictions

    return app


def empty_app() -> Any:
    """Return an application that reads the rows and answers with as many zeros."""
    import fastapi

    app = fastapi.FastAPI(title="nothing")

    @app.post("/predict")
    def predict(rows: list[dict[str, Any]]) -> list[Any]:
        return [0.0] * len(rows)

    return app

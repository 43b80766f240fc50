# SPDX-License-Identifier: BSD-3-Clause
"""A model of the command behind HTTP: `MODEL=run uvicorn api:app`, from this folder.

The endpoint is an ordinary function, so FastAPI calls it in a thread of its pool; the network's
passes give up Python's lock, and results do not depend on who else is asking.
"""

import os
from typing import Any

import fastapi

import fastrelu
from fastrelu.training import DataError, load_model

app = fastapi.FastAPI(title="fastrelu")
model = load_model(os.environ["MODEL"])
fastrelu.set_num_threads(1)  # many small requests: each on its own thread alone


@app.post("/predict")
def predict(rows: list[dict[str, Any]]) -> list[Any]:
    """Return a prediction for each row, a dict from column to value."""
    try:
        return model.predict(rows).tolist() if rows else []
    except DataError as error:  # such as a text where a number belongs
        raise fastapi.HTTPException(422, str(error)) from None

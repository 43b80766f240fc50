# SPDX-License-Identifier: BSD-3-Clause
"""Predictions that a run keeps beside its report, for pictures drawn later."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import metrics
from fastrelu.app.errors import DataError
from fastrelu.app.report.content import ReportContent
from fastrelu.app.run_folder import PREDICTIONS as PREDICTIONS

# At most 1.6 MB of a regression, 1.2 MB of classes, before compression.
MOST_ROWS = 100_000


def predictions_bytes(content: ReportContent) -> bytes | None:
    """Return predictions.npz's content, or None if nothing was evaluated.

    It holds, of the part that the report shows, evenly chosen rows if there are more than
    100,000: truth and predicted (class numbers, or values), confidence (classification), and
    classes, part, target as text. Equal content gives equal bytes.
    """
    part = content.shown_part
    if part is None:
        return None
    arrays: dict[str, NDArray[Any]]
    if content.classification:
        numbers, outputs = content.known_rows(part)
        predicted = content.model.target.chosen(outputs)
        sure = outputs[np.arange(len(outputs)), predicted]
        arrays = {
            "truth": numbers.astype(np.int32),
            "predicted": predicted.astype(np.int32),
            "confidence": sure.astype(np.float32),
        }
    else:
        truth, values = content.evaluated[part].values
        arrays = {"truth": truth, "predicted": values}
    n = len(arrays["truth"])
    if not n:
        return None
    if n > MOST_ROWS:
        chosen = np.linspace(0, n - 1, MOST_ROWS).astype(np.intp)
        arrays = {name: values[chosen] for name, values in arrays.items()}
    labels = [metrics.label_text(c) for c in content.classes]
    stream = io.BytesIO()
    arrays |= {"classes": np.array(labels, np.str_), "part": np.array(part)}
    arrays["target"] = np.array(str(content.metrics.get("target") or ""))
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def load_predictions(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of predictions.npz.

    Raises
    ------
    DataError
        If it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        truth, predicted = arrays["truth"], arrays["predicted"]
        fits = len(truth) == len(predicted) == len(arrays.get("confidence", truth))
        if len(arrays["classes"]):
            both = np.concatenate([truth, predicted])
            fits = fits and bool(((both >= 0) & (both < len(arrays["classes"]))).all())
            sure = arrays["confidence"]
            # A rounding above 1 is a probability, too.
            fits = fits and sure.dtype.kind == "f" and bool(((sure >= 0) & (sure < 1.001)).all())
        if not fits or not len(truth) or truth.ndim != 1:
            raise ValueError("its arrays do not fit together")
    except MemoryError:
        raise
    except Exception as error:  # zipfile's, zlib's and NumPy's own kinds
        raise DataError(f"{path}: damaged ({error})") from None
    return arrays

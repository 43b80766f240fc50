# SPDX-License-Identifier: BSD-3-Clause
"""What a report is written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import metrics

PARTS = ("test", "validation", "train")
DRAWN = 1e300  # the largest number in a curve: the span of an axis stays finite


@dataclass(frozen=True)
class Evaluated:
    """Predictions beside the truth, row by row.

    Attributes
    ----------
    truth : ndarray, (n,)
        Classification: class numbers (integers), or labels. Regression: values in the user's unit.
    outputs : ndarray of float, (n, n_outputs) or (n,)
        Classification: the classes' probabilities. Regression: predictions in the user's unit.
    """

    truth: NDArray[Any]
    outputs: NDArray[Any]

    def __len__(self) -> int:
        return len(self.truth)

    def numbers(self, classes: Sequence[Any]) -> NDArray[np.int64]:
        """Return the true class numbers."""
        if self.truth.dtype.kind in "iub":
            return self.truth.reshape(-1).astype(np.int64)
        return metrics.class_numbers(self.truth.reshape(-1), classes)

    @property
    def values(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The true and the predicted values of a regression, where they are finite."""
        predicted = np.asarray(self.outputs, np.float64).reshape(len(self), -1)[:, 0]
        truth = np.asarray(self.truth, np.float64).reshape(-1)
        used = np.isfinite(predicted) & np.isfinite(truth)
        return truth[used], predicted[used]


@dataclass
class ReportContent:
    """All that a report shows; what is empty is left out of it.

    Attributes
    ----------
    title : str
        Such as the data's name.
    model : Model
        With `network`, `inputs`, `target`, and `outputs(table)`.
    history : sequence of mapping
        An epoch each: epoch, loss, val_loss, val_metric, learning_rate; numbers, or their text.
    metrics : mapping
        The content of metrics.json.
    evaluated : mapping of str to Evaluated
        By part: "test", "validation", "train".
    sample : Table or None
        Rows with targets, some thousand, for the permutation importance.
    columns : sequence of mapping
        The summary of each column, from `summarize_columns`.
    candidates : sequence of mapping
        The rows of search.csv, the best candidate first.
    config : mapping
        The effective configuration.
    notes : sequence of str
        What the user should know.
    command : str
        The command that was given.
    model_path : str
        For the line of Python that loads the model.
    seed : int
        Seed of the shuffles by which importance is measured.
    beside : Beside or None
        The model beside simple ones.
    """

    title: str
    model: Any
    history: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    evaluated: Mapping[str, Evaluated] = field(default_factory=dict)
    sample: Any = None
    columns: Sequence[Mapping[str, Any]] = ()
    candidates: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    command: str = ""
    model_path: str = "model.safetensors"
    seed: int = 0
    beside: Any = None

    @property
    def classification(self) -> bool:
        """Whether the target is a class."""
        return bool(self.model.target.task == "classification")

    @property
    def classes(self) -> list[Any]:
        """The labels, in the order of the network's outputs."""
        return list(self.model.target.classes or ())

    def known_rows(self, part: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return class numbers and probabilities of a part's rows whose class the model has."""
        evaluated = self.evaluated[part]
        numbers = evaluated.numbers(self.classes)
        known = (numbers >= 0) & (numbers < len(self.classes))
        outputs = np.asarray(evaluated.outputs)
        return numbers[known], outputs if known.all() else outputs[known]

    @property
    def shown_part(self) -> str | None:
        """The part whose predictions are shown: the first with rows of test, validation, train."""
        return next((p for p in PARTS if p in self.evaluated and len(self.evaluated[p])), None)


def points_of(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """Return (epoch, value) where both can be drawn; rows may hold numbers or their text."""
    points = []
    for place, row in enumerate(history, start=1):
        try:
            epoch, value = (float(text) for text in (row.get("epoch", place), row.get(key)))  # type: ignore[arg-type]
        except (TypeError, ValueError):  # nothing, or "" for it
            continue
        if abs(epoch) <= DRAWN and abs(value) <= DRAWN:  # NaN is not
            points.append((epoch, value))
    return points

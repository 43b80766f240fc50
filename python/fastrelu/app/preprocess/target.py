# SPDX-License-Identifier: BSD-3-Clause
"""The target as a network learns it: class numbers, or values of mean 0 and deviation 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastrelu.app import described
from fastrelu.app.data.meaning import same_truth, truth
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess.inputs import Rows
from fastrelu.app.preprocess.moments import Blocks, Floats, Moments
from fastrelu.losses import Loss

Task = Literal["classification", "regression"]
FEW, MOST_CLASSES = 20, 10_000


@dataclass
class Target:
    """What a network's outputs stand for.

    Attributes
    ----------
    task : {"classification", "regression"}
    classes : list of str, int or float
        What each class number stands for, ascending; [] in regression.
    mean, std : float
        Regression: the network learns (value - mean) / std.
    counts : list of int
        Training rows of each class; [] in regression.
    threshold : float, optional
        Of two classes: the probability from which on the second is predicted, instead of where it
        is the greater one.
    """

    task: Task
    classes: list[Any] = field(default_factory=list)
    mean: float = 0.0
    std: float = 1.0
    counts: list[int] = field(default_factory=list)
    threshold: float | None = None

    @property
    def kind(self) -> str:
        """How a reader should read the target: "text" or "numeric"."""
        return "text" if any(isinstance(c, str) for c in self.classes) else "numeric"

    @property
    def labels(self) -> NDArray[Any]:
        """The classes as predictions hold them: int64, float64, or objects where they are text."""
        return np.array(self.classes, _dtype(self.classes))

    @property
    def n_outputs(self) -> int:
        """How many outputs the network has."""
        return len(self.classes) or 1

    def encode(self, values: NDArray[Any], dtype: Any = "float32") -> NDArray[Any]:
        """Return what a network learns: int64 class numbers, or scaled values of `dtype`.

        Parameters
        ----------
        values : ndarray, (n,)
            As in `Table.target`, none of them missing.
        dtype : {"float32", "float64"}
            Of a regression's result.

        Raises
        ------
        DataError
            If there is a class that training had not, or text in regression.
        """
        if self.task == "regression":
            return np.asarray(self.scaled(values), dtype)
        numbers = self._class_numbers(values)
        if len(numbers) and numbers.min() < 0:
            stranger = _label(values[int(np.argmin(numbers))])
            known = ", ".join(repr(c)[:40] for c in self.classes[:10])
            raise DataError(f"target: {stranger!r} is none of the classes in training: {known}")
        return numbers

    def _class_numbers(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the class number of each value, -1 for none."""
        if self.kind == "text" or values.dtype == object:
            place = {label: k for k, label in enumerate(self.classes)}
            labels = values if values.dtype == object else (str(_label(v)) for v in values)
            numbers = np.fromiter(map(place.get, labels, repeat(-1)), np.int64, len(values))
            return self._other_spellings(values, numbers)
        known = np.array(self.classes, np.float64)  # ascending
        places = np.searchsorted(known, values).astype(np.int64)
        found = known[np.minimum(places, len(known) - 1)] == values
        return np.where(found, places, -1)

    def _other_spellings(
        self, values: NDArray[Any], numbers: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return class numbers, those of other spellings of true and false among them."""
        classes = [str(c) for c in self.classes]
        truths: dict[float | None, int] = {
            value: classes.index(label) for value, label in same_truth(classes).items()
        }
        for i in np.flatnonzero(numbers < 0).tolist() if truths else ():
            numbers[i] = truths.get(truth(str(_label(values[i]))), -1)
        return numbers

    def scaled(self, values: NDArray[Any]) -> Floats:
        """Return (values - mean) / std in float64, for regression."""
        if values.dtype == object:
            raise DataError(f"target: expected numbers, as in training, got text {values[0]!r}")
        return np.asarray((values - self.mean) / self.std, np.float64)

    def for_loss(self, loss: Loss) -> Target:
        """Return the target as a loss learns it: as it is, not standardised, with a log link."""
        return replace(self, mean=0.0, std=1.0) if loss.info.link == "log" else self

    def chosen(self, probabilities: NDArray[Any]) -> NDArray[np.intp]:
        """Return the class number that each row's probabilities, (n, n_classes), lead to."""
        if self.threshold is not None:
            second = np.asarray(probabilities[:, 1], np.float64)  # compared as files have it
            return (second >= self.threshold).astype(np.intp)
        return np.asarray(probabilities.argmax(axis=1))

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return labels for probabilities, or values in the user's unit for outputs, (n, K)."""
        if self.task == "classification":
            return np.asarray(self.labels[self.chosen(outputs)])
        return outputs.reshape(len(outputs)).astype(np.float64) * self.std + self.mean

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        if self.task == "classification":
            plain = {"task": self.task, "classes": self.classes, "counts": self.counts}
            return plain if self.threshold is None else {**plain, "threshold": self.threshold}
        return {"task": self.task, "mean": self.mean, "std": self.std}

    @classmethod
    def from_description(cls, plain: Mapping[str, Any]) -> Target:
        """Return the target that `describe` has described."""
        task = described.one_of(plain["task"], "target.task", ["classification", "regression"])
        if task == "regression":
            mean, std = (described.number(plain[key], f"target.{key}") for key in ("mean", "std"))
            if std <= 0:
                raise described.refused(std, "target.std", "a number above 0")
            return cls("regression", mean=mean, std=std)
        classes = described.sequence(plain["classes"], "target.classes", _class_from)
        counts = described.sequence(plain.get("counts", []), "target.counts", described.whole)
        if classes != sorted(set(classes)) or len(classes) < 2:
            raise described.refused(classes, "target.classes", "classes in ascending order")
        if counts and len(counts) != len(classes):
            raise described.refused(counts, "target.counts", f"{len(classes)} numbers")
        threshold = plain.get("threshold")
        if threshold is not None:
            threshold = described.number(threshold, "target.threshold")
            if len(classes) != 2 or not 0 <= threshold <= 1:
                raise described.refused(threshold, "target.threshold", "0 to 1, of two classes")
        return cls("classification", classes, counts=counts, threshold=threshold)


def _class_from(plain: Any, what: str) -> Any:
    if isinstance(plain, str):
        return plain
    number = described.number(plain, what)
    return plain if isinstance(plain, int) else number


def require_domain(table: Table, rows: Rows, loss: Loss, dtype: str) -> None:
    """Raise DataError unless a loss can be computed for the targets of some rows of a table.

    Parameters
    ----------
    table : Table
        With numbers as its target, unless the loss is one of classes.
    rows : ndarray of int, optional
        Which rows; all by default. Each has a target.
    loss : Loss
        Which loss.
    dtype : {"float32", "float64"}
        That of the network, in which the targets are compared.
    """
    assert table.target is not None
    if loss.info.domain.labels or table.target.dtype == object:
        return
    numbers = np.arange(table.n_rows) if rows is None else rows
    values = table.target[numbers]
    with np.errstate(over="ignore"):
        outside = loss.info.domain.outside(np.asarray(values, dtype))
    if outside.any():
        i = int(outside.argmax())
        raise DataError(
            f"{table.source}: row {table.first_row + int(numbers[i]) + 1}: target "
            f"{table.target_name!r}: expected {loss.info.domain.text} for {loss.name}, got "
            f"{values[i]:g}"
        )


def _label(value: Any) -> Any:
    """Return a target's value as its class: text, or a number without a needless point."""
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def _dtype(classes: list[Any]) -> Any:
    """Return the dtype of labels: int64 unless there is text, a fraction or a larger number."""
    kinds = {type(c) for c in classes}
    if str in kinds:
        return object
    large = any(not -(2**63) <= c < 2**63 for c in classes)
    return np.float64 if float in kinds or large else np.int64


class TargetAccumulator:
    """Learn the target in two passes, as `Accumulator` learns the inputs.

    Parameters
    ----------
    task : {"auto", "classification", "regression"}
        auto: classification for text, and for whole numbers of few values (20 at most, and no more
        than the square root of the number of rows).
    """

    def __init__(self, task: str = "auto") -> None:
        self.asked = task
        self.name = "target"
        self.n_rows = 0
        self.counts: Counter[Any] = Counter()
        self.training: Counter[Any] = Counter()
        self.text = False
        self.many = False
        self.moments, self.blocks = Moments(1), Blocks(1)
        self._example: Any = None

    def first(self, chunk: Table, rows: Rows = None) -> None:
        """Take a chunk: classes come from every row with a target, the scale from `rows` alone."""
        assert chunk.target is not None
        self.name = f"{chunk.source}: target {chunk.target_name!r}"
        missing = chunk.missing_target()
        present = chunk.target[~missing]
        self.text |= chunk.target.dtype == object
        self.n_rows += len(present)
        if self._example is None and len(present):
            self._example = present[0]
        train = present if rows is None else chunk.target[rows]
        if not self.many:
            if not _count(self.counts, present) or not _count(self.training, train):
                self.many = True
                self.counts.clear()
                self.training.clear()
        if not self.text:
            for block in self.blocks.add(len(train), self._write(train)):
                self.moments.first(block)

    @staticmethod
    def _write(values: NDArray[Any]) -> Any:
        def write(out: Floats, low: int, high: int) -> None:
            out[0] = values[low:high]

        return write

    def finish_first(self) -> None:
        """End the first pass.

        Raises
        ------
        DataError
            If there are too few or too many different values, or text in regression.
        """
        task = self.task
        if task == "regression" and self.text:
            raise DataError(
                f"{self.name}: expected numbers for regression, got text such as "
                f"{self._example!r}; --task classification learns its classes"
            )
        if task == "classification" and self.many:
            raise DataError(
                f"{self.name}: more than {MOST_CLASSES} different values are no classes; "
                "--task regression learns numbers, --target names another column"
            )
        if not self.many and len(self.counts) < 2:
            only = f"only {_label(self._example)!r}" if self.counts else "none"
            raise DataError(
                f"{self.name}: expected two different values at least, got {only}; --target names "
                "another column"
            )
        for block in self.blocks.rest():
            self.moments.first(block)
        self.moments.finish_first()

    @property
    def task(self) -> Task:
        """What is learned."""
        if self.asked != "auto":
            return "classification" if self.asked == "classification" else "regression"
        if self.text:
            return "classification"
        few = not self.many and len(self.counts) <= min(FEW, max(2.0, math.sqrt(self.n_rows)))
        whole = few and all(float(v).is_integer() for v in self.counts)
        return "classification" if whole else "regression"

    def second(self, chunk: Table, rows: Rows = None) -> None:
        """Take a chunk in the second pass."""
        assert chunk.target is not None
        if not self.text:
            train = chunk.target[~chunk.missing_target() if rows is None else rows]
            for block in self.blocks.add(len(train), self._write(train)):
                self.moments.second(block)

    def finish(self) -> Target:
        """Return the target."""
        if self.task == "classification":
            values = sorted(self.counts)
            counts = [self.training[v] for v in values]
            return Target("classification", [_label(v) for v in values], counts=counts)
        for block in self.blocks.rest():
            self.moments.second(block)
        std = float(self.moments.std[0])
        return Target("regression", mean=float(self.moments.mean[0]), std=std or 1.0)


def _count(counter: Counter[Any], values: NDArray[Any]) -> bool:
    """Count values, numbers by sorting them; return whether they may still be classes."""
    if values.dtype == object:
        counter.update(values.tolist())
        return len(counter) <= MOST_CLASSES
    different, counts = np.unique(values, return_counts=True)
    if len(different) > MOST_CLASSES:
        return False
    counter.update(dict(zip(different.tolist(), counts.tolist(), strict=True)))
    return len(counter) <= MOST_CLASSES


def fit_target(table: Table, rows: Rows = None, task: str = "auto") -> Target:
    """Return the target that a table's rows lead to.

    Parameters
    ----------
    table : Table
        The data.
    rows : ndarray of int, optional
        The training rows, each with a target; all that have one by default.
    task : {"auto", "classification", "regression"}
        See `TargetAccumulator`.

    Returns
    -------
    Target
        The task and, for classification, the classes.

    Raises
    ------
    DataError
        If the target does not suit the task.

    Examples
    --------
    >>> from fastrelu import training
    >>> target = training.fit_target(training.read(["iris"]))
    >>> target.task, target.n_outputs
    ('classification', 3)
    """
    accumulator = TargetAccumulator(task)
    accumulator.first(table, rows)
    accumulator.finish_first()
    accumulator.second(table, rows)
    return accumulator.finish()

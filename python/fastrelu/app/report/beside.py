# SPDX-License-Identifier: BSD-3-Clause
"""A model beside two simple ones on the same rows: a linear one, and one that knows no column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import AdamW, Network, Trainer, elementary, links, ranking, schedules
from fastrelu.app.data.sample import evenly
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError
from fastrelu.app.preprocess import InputOptions, fit_inputs
from fastrelu.app.report.content import Evaluated, ReportContent
from fastrelu.app.report.markup import Html, element, join, number, percent, table
from fastrelu.metrics import r2_score

# What the linear model may take: a second or so.
MOST_ROWS = 20_000
MOST_NUMBERS = 40_000_000
MOST_WEIGHTS = 100_000
STEPS, BATCH_ROWS = 2000, 256
LEAST = 1e-15  # of a probability, for the log loss
FEW_ROWS = 10
EQUAL = "as good as equal to"
GUESS, LINEAR, OURS = "guess", "linear", "model"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Beside:
    """The three on the rows that the report shows.

    Attributes
    ----------
    part : str
        "test", "validation" or "train".
    measure : str
        What decides: "log_loss", "rmse" or "mae".
    metrics : dict of str to dict
        By "model", "linear" and "guess": metrics, `measure` first.
    gain, error : float
        How much less the model loses than the better of the other two, as the mean over the rows
        of the log loss, the squared or the absolute error, and the standard error of that mean.
    rival : str
        Which of the other two that is.
    rows : int
        How many rows there are.
    sign : float
        How many more rows the model loses less on than more, over the square root of their number.
    """

    part: str
    measure: str
    metrics: dict[str, dict[str, float]]
    gain: float
    error: float
    rival: str
    rows: int
    sign: float

    def sentence(self) -> str:
        """Return whether the model is better, and by how much."""
        names = {"log_loss": "log loss", "rmse": "RMSE", "mae": "mean absolute error"}
        own, other = (self.metrics[which][self.measure] for which in (OURS, self.rival))
        rival = "a linear model" if self.rival == LINEAR else "a model that knows no column"
        values = f"{number(own)}, {_apart(own, other)} the {number(other)} of {rival}"
        if self.rows < FEW_ROWS:
            return (
                f"{self.rows} {self.part} rows are too few to tell the model from simple ones: its "
                f"{names[self.measure]} is {values}."
            )
        verdict = "better" if self.gain > 0 else "worse"
        # One large error blows up the error of the mean: then most of the rows decide.
        clear = abs(self.gain) > 1.96 * self.error or (
            abs(self.sign) > 1.96 and self.sign * self.gain > 0
        )
        if not clear or _apart(own, other) == EQUAL:
            verdict = "neither clearly better nor clearly worse"
        return (
            f"On the {self.part} rows the model is {verdict} than simple ones: its "
            f"{names[self.measure]} is {values}."
        )

    def describe(self) -> dict[str, Any]:
        """Return it as plain values, for metrics.json."""
        both = {name: self.metrics[name] for name in (LINEAR, GUESS) if name in self.metrics}
        return {"part": self.part, **both, "sentence": self.sentence()}


def _apart(own: float, other: float) -> str:
    """Return how a number differs from another, in words."""
    if own == other or not other:
        return EQUAL if own == other else "above"
    ratio = own / other
    if ratio >= 2:
        return f"{ratio:.3g} times"
    away = percent(abs(1 - ratio))
    if not float(away.rstrip("%")):
        return EQUAL
    return f"{away} {'lower' if own < other else 'higher'} than"


def beside(
    model: Any,
    trained: Table,
    rows: NDArray[np.intp] | None,
    shown: Table,
    part: str,
    own: Evaluated,
) -> Beside | None:
    """Return a model beside simple ones; None where they have nothing in common to lose.

    Parameters
    ----------
    model : Model
        The model.
    trained : Table
        The data of training.
    rows : ndarray of int, optional
        Its training rows; all by default.
    shown : Table
        The rows to compare on.
    part : str
        Which rows these are.
    own : Evaluated
        The model's predictions for them.
    """
    if model.loss.name == "quantile" or model.target.n_outputs > 1000:
        return None
    rows = np.arange(trained.n_rows) if rows is None else rows
    rows = evenly(rows, MOST_ROWS)
    weight = None if trained.weights is None else np.asarray(trained.weights, np.float64)[rows]
    if not len(rows) or (weight is not None and not weight.sum() > 0):
        return None
    if model.task == "classification" and (own.numbers(model.classes) < 0).all():
        return None
    simple = {GUESS: _guess(model, trained, rows, weight, len(own))}
    linear = _linear(model, trained, rows, weight, shown)
    if linear is not None:
        simple[LINEAR] = linear
    outputs = {OURS: np.asarray(own.outputs, np.float64), **simple}
    losses, metrics = {}, {}
    counted = np.ones(len(own)) if shown.weights is None else np.asarray(shown.weights, np.float64)
    used = counted > 0
    if model.task == "classification":
        numbers = own.numbers(model.classes)
        used &= (numbers >= 0) & (numbers < model.target.n_outputs)
    if not used.any():
        return None
    w = counted[used]
    for name, predicted in outputs.items():
        predicted = predicted.reshape(len(own), -1)
        judge = _of_classes if model.task == "classification" else _of_values
        losses[name], metrics[name] = judge(model, own, predicted, used, w)
    if not all(np.isfinite(each).all() for each in losses.values()):
        return None
    rival = min(simple, key=lambda name: float(np.average(losses[name], weights=w)))
    gains = losses[rival] - losses[OURS]
    gain, n = float(np.average(gains, weights=w)), len(gains)
    spread = np.sqrt(float((w**2 * (gains - gain) ** 2).sum())) / float(w.sum())
    error = float(spread * np.sqrt(n / (n - 1))) if n > 1 else np.inf
    sign = float(np.sign(gains).sum() / np.sqrt(n))
    measure = next(iter(metrics[OURS]))
    return Beside(part, measure, metrics, gain, error, rival, n, sign)


def _guess(
    model: Any, trained: Table, rows: NDArray[np.intp], weight: Floats | None, n: int
) -> Floats:
    """Return the shares of the classes, or the mean (for absolute errors the median), n times."""
    assert trained.target is not None
    values = trained.target[rows]
    if model.task == "classification":
        labels = model.target.encode(values)
        counts = np.bincount(labels, weight, minlength=model.target.n_outputs)
        return np.tile(counts / counts.sum(), (n, 1))
    y = np.asarray(values, np.float64)
    middle = np.median(y) if _measure(model) == "mae" else np.average(y, weights=weight)
    return np.full((n, 1), float(middle))


def _measure(model: Any) -> str:
    return "mae" if model.loss.name == "absolute_error" else "rmse"


def _linear(
    model: Any, trained: Table, rows: NDArray[np.intp], weight: Floats | None, shown: Table
) -> Floats | None:
    """Return what a network without hidden layers predicts; None if it would be too large."""
    try:
        inputs = fit_inputs(trained, rows, InputOptions())
    except DataError:  # such as a column that is empty, which pieces leave out
        return None
    n_in, n_out = inputs.n_inputs, model.target.n_outputs
    if n_in * n_out > MOST_WEIGHTS or not n_in:
        return None
    rows = evenly(rows, max(1, MOST_NUMBERS // n_in))
    weight = None if weight is None else np.asarray(trained.weights, np.float64)[rows]
    classes = model.task == "classification"
    if weight is not None and not weight.sum() > 0:
        return None
    assert trained.target is not None
    values = trained.target[rows]
    centre, scale = 0.0, 1.0
    if classes:
        y = model.target.encode(values)
    else:
        y = np.asarray(values, np.float64)
        centre, scale = float(y.mean()), float(y.std()) or 1.0
        y = ((y - centre) / scale).astype(np.float32)
    net = Network([n_in, n_out], scale=inputs.scale, seed=0)
    batch = min(BATCH_ROWS, len(rows))
    epochs = max(1, -(-STEPS * batch // len(rows)))
    steps = epochs * -(-len(rows) // batch)
    trainer = Trainer(
        net,
        loss="cross_entropy" if classes else "squared_error",
        optimizer=AdamW(schedules.cosine(0.03, steps), weight_decay=0.01),
        batch_size=batch,
    )
    trainer.fit(inputs.transform(trained, rows), y, epochs, sample_weight=weight, progress=False)
    outputs = np.asarray(net.forward(inputs.transform(shown)), np.float64)
    return links.inverse("softmax", outputs) if classes else outputs * scale + centre


def _of_classes(
    model: Any, own: Evaluated, p: Floats, used: NDArray[np.bool_], w: Floats
) -> tuple[Floats, dict[str, float]]:
    """Return the log loss of each row that is used, and metrics."""
    numbers, p = own.numbers(model.classes)[used], p[used]
    losses = -elementary.log(np.maximum(p[np.arange(len(p)), numbers], LEAST))
    chosen = model.target.chosen(p)
    found = {
        "log_loss": float(np.average(losses, weights=w)),
        "accuracy": float(np.average(chosen == numbers, weights=w)),
        "balanced_accuracy": ranking.balanced_accuracy(numbers, chosen, p.shape[1], w),
        "brier": ranking.brier_score(numbers, p, w),
    }
    return losses, found


def _of_values(
    model: Any, own: Evaluated, predicted: Floats, used: NDArray[np.bool_], w: Floats
) -> tuple[Floats, dict[str, float]]:
    """Return the squared or absolute error of each row that is used, and metrics."""
    truth = np.asarray(own.truth, np.float64).reshape(-1)[used]
    error = predicted[used, 0] - truth
    square = float(np.average(error**2, weights=w))
    spread = float(np.average((truth - np.average(truth, weights=w)) ** 2, weights=w))
    found = {
        "rmse": float(np.sqrt(square)),
        "mae": float(np.average(np.abs(error), weights=w)),
        "r2": 1 - square / spread if spread > 0 else r2_score(truth, predicted[used, 0]),
    }
    if _measure(model) == "mae":
        return np.abs(error), {"mae": found["mae"], **found}
    return error**2, found


def beside_section(content: ReportContent) -> Html | None:
    """Return the model beside simple ones, in a sentence and a table."""
    found: Beside | None = content.beside
    if found is None:
        return None
    guess = "shares of the classes" if content.classification else "always the mean"
    if found.measure == "mae":
        guess = "always the median"
    names = {OURS: "this model", LINEAR: "linear model", GUESS: guess}
    heads = {
        "log_loss": "log loss", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy",
        "brier": "Brier score", "rmse": "RMSE", "mae": "mean absolute error", "r2": "R²",
    }  # fmt: skip
    keys = list(found.metrics[OURS])
    rows = [
        (names[name], *(_cell(key, found.metrics[name][key]) for key in keys))
        for name in names
        if name in found.metrics
    ]
    note = (
        "The linear model is a network without hidden layers, trained on the same rows "
        f"(at most {MOST_ROWS:,}), with numbers standardised and an input for each category; the "
        "last line knows the training rows' targets alone."
    )
    return join(
        [
            element("h2", "Beside simple models"),
            element("p", found.sentence()),
            table(("", *(heads[key] for key in keys)), rows),
            element("p", note, class_="soft"),
        ]
    )


def _cell(key: str, value: float) -> Any:
    return percent(value) if key in ("accuracy", "balanced_accuracy") else value

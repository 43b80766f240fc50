# SPDX-License-Identifier: BSD-3-Clause
"""What a model does to each column, in words."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrelu import metrics
from fastrelu.app.preprocess import Inputs, Target, Treatment
from fastrelu.app.preprocess.dates import WEEKDAYS
from fastrelu.app.report.markup import number


class TreatmentText(NamedTuple):
    """What becomes of one column, or of all of a matrix's."""

    column: str
    kind: str
    text: str
    n_inputs: int


def treatments(inputs: Inputs) -> list[TreatmentText]:
    """Return what is done to each column, in words.

    Parameters
    ----------
    inputs : Inputs
        Fitted.
    """
    every = f"all {len(inputs.column_names):,} columns"
    return [
        TreatmentText(each.column or every, each.kind, _text(each), each.n_inputs)
        for each in inputs.treatments()
    ]


def _text(each: Treatment) -> str:
    if each.what == "standard":
        sign = "-" if each.mean >= 0 else "+"
        text = f"(value {sign} {number(abs(each.mean))}) / {number(each.std)}"
    else:
        text = {
            "left out": "left out",
            "as it is": "as it is",
            "bytes": "as it is; the network takes 1/255",
            "constant": "constant in training: 0",
            "quantile": f"normal scores, by {each.n_quantiles} quantiles",
            "largest": "divided by its largest magnitude",
            "date": _parts(each),
            "one-hot": _categories(each),
            "hash": f"hashed into {each.n_inputs} inputs",
            "pieces": _pieces(each),
        }[each.what]
    if each.fill is None or each.what == "pieces":
        return text
    if each.what == "date":
        return f"{text}; whether it is missing"
    return f"{text}; missing: {number(each.fill)}, and an input that says so"


def _pieces(each: Treatment) -> str:
    if each.kind == "date":
        return "its parts, each as a number"
    if each.n_inputs <= 2:  # with the one that says that a value is missing
        return "scaled by its quartiles"
    return "scaled by its quartiles, and its place between quantiles"


def _categories(each: Treatment) -> str:
    few = ", ".join(c or "(missing)" for c in each.names[:6])
    more = f" and {len(each.names) - 6} more" if len(each.names) > 6 else ""
    return f"an input for each of {few}{more}"


def _parts(each: Treatment) -> str:
    names = [part for part in each.names if part not in WEEKDAYS]
    if len(names) < len(each.names):
        names.append("weekday")
    return ", ".join(names)


def layers(network: Any) -> list[tuple[str, str, str, int]]:
    """Return each layer's number, widths, activation and count of parameters."""
    hidden = list(network.activations)
    return [
        (
            str(k + 1),
            f"{w.shape[0]} to {w.shape[1]}",
            str(hidden[k]) if k < len(hidden) else "linear",
            int(w.size + (network.biases[k].size if network.biases else 0)),
        )
        for k, w in enumerate(network.weights)
    ]


def threshold_text(target: Target) -> str | None:
    """Return which class is predicted from which probability on; None without a threshold."""
    if target.threshold is None:
        return None
    label = metrics.label_text(target.classes[1])
    return f"{label!r} is predicted from a probability of {target.threshold:.4g} on"

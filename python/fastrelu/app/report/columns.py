# SPDX-License-Identifier: BSD-3-Clause
"""What a model does to each column, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastrelu.app.report.markup import number

WEEKDAYS = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}


class Treatment(NamedTuple):
    """What becomes of one column, or of all of a matrix's."""

    column: str
    kind: str
    text: str
    n_inputs: int


def treatments(inputs: Any) -> list[Treatment]:
    """Return what is done to each column.

    Parameters
    ----------
    inputs : Inputs
        Fitted.
    """
    plain: Mapping[str, Any] = inputs.describe()
    if plain["layout"] == "columns":
        return _columns(plain)
    n = len(inputs.column_names)
    if plain["layout"] == "bytes":
        what = "as it is" if plain.get("flags") else "as it is; the network takes 1/255"
        return [Treatment(f"all {n:,} columns", "byte", what, n)]
    if plain["layout"] == "sparse":
        largest = plain["largest"] is not None
        text = "divided by its largest magnitude" if largest else "as it is"
        return [Treatment(f"all {n:,} columns", "sparse number", text, n)]
    scaling, gaps = plain["scaling"], set(plain["scaling"]["indicator"])
    return [
        Treatment(str(name), "number", _scaled(scaling, j), 1 + (j in gaps))
        for j, name in enumerate(inputs.column_names)
    ]


def _columns(plain: Mapping[str, Any]) -> list[Treatment]:
    scaling = plain["scaling"]
    gaps = set(scaling["indicator"])
    places: dict[str, list[tuple[int, str]]] = {}
    for j, (name, part) in enumerate(plain["numbers"]):
        places.setdefault(name, []).append((j, part))
    texts = {each["column"]: each for each in plain["categories"]}
    result = []
    for name, kind in plain["columns"].items():
        if name in texts:
            result.append(_text(name, texts[name]))
        elif name not in places:
            result.append(Treatment(name, _kind(kind), "left out", 0))
        else:
            parts = places[name]
            indicator = any(j in gaps for j, _ in parts)
            text = _scaled(scaling, parts[0][0]) if len(parts) == 1 else _date(parts, indicator)
            result.append(Treatment(name, _kind(kind), text, len(parts) + indicator))
    return result


def _kind(kind: str) -> str:
    return "number" if kind == "numeric" else kind


def _text(name: str, plain: Mapping[str, Any]) -> Treatment:
    if "hashed_into" in plain:
        n = int(plain["hashed_into"])
        return Treatment(name, "text", f"hashed into {n} inputs", n)
    categories: Sequence[str] = plain["categories"]
    few = ", ".join(c or "(missing)" for c in categories[:6])
    more = f" and {len(categories) - 6} more" if len(categories) > 6 else ""
    return Treatment(name, "text", f"an input for each of {few}{more}", len(categories))


def _date(parts: list[tuple[int, str]], indicator: bool) -> str:
    names = [part for _, part in parts if part not in WEEKDAYS]
    if len(names) < len(parts):
        names.append("weekday")
    return ", ".join(names) + ("; whether it is missing" if indicator else "")


def _scaled(scaling: Mapping[str, Any], j: int) -> str:
    mean, std = scaling["mean"][j], scaling["std"][j]
    if std == 0:
        text = "constant in training: 0"
    elif scaling.get("knots") is not None:
        text = f"normal scores, by {len(scaling['knots'][j][0])} quantiles"
    elif mean == 0 and std == 1:
        text = "as it is"
    else:
        sign = "-" if mean >= 0 else "+"
        text = f"(value {sign} {number(abs(mean))}) / {number(std)}"
    if j in scaling["indicator"]:
        text += f"; missing: {number(scaling['missing_becomes'][j])}, and an input that says so"
    return text


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

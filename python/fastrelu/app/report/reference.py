# SPDX-License-Identifier: BSD-3-Clause
"""The report's last sections: the data, the model's use, the configuration."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrelu import __version__, get_isa, get_num_threads
from fastrelu.app.report.columns import layers, treatments
from fastrelu.app.report.content import ReportContent
from fastrelu.app.report.influence import heat
from fastrelu.app.report.markup import (
    DASH,
    Html,
    details,
    element,
    join,
    number,
    percent,
    table,
)
from fastrelu.app.report.pictures import picture

SHOWN_COLUMNS = 40
MOST_TREATED = 500


def data_section(content: ReportContent) -> Html | None:
    """Return a row for each column, and the mean image if rows are images."""
    rows = [_column(c, content.classification) for c in content.columns]
    if not rows:
        return None
    last = element("th", "categories, most frequent", class_="after")
    head = ("column", "kind", "missing", "mean", "std", "min", "max", last)
    counts = content.metrics.get("rows") or {}
    parts = ", ".join(f"{n:,} {part}" for part, n in counts.items() if n)
    used, trained = content.columns[0].get("rows"), counts.get("train")
    some = bool(used and trained and used < trained)
    which = f"{used:,} of the training rows" if some else "the training rows"
    lead = element("p", f"Rows: {parts}. The numbers are of {which}." if parts else "")
    targets = [r for r, c in zip(rows, content.columns, strict=True) if c.get("role") == "target"]
    inputs = [r for r, c in zip(rows, content.columns, strict=True) if c.get("role") != "target"]
    shown = [table(head, [*targets, *inputs[:SHOWN_COLUMNS]], text=2, class_="wide")]
    if len(inputs) > SHOWN_COLUMNS:
        rest = table(head, inputs[SHOWN_COLUMNS:], text=2, class_="wide")
        shown.append(details(f"{len(inputs) - SHOWN_COLUMNS} more columns", rest))
    made = treatments(content.model.inputs)
    if made:
        top = ("column", "kind", "what is done", "inputs")
        name = f"What becomes of the columns: {content.model.inputs.n_inputs:,} inputs"
        shown.append(details(name, table(top, made[:MOST_TREATED], text=3)))
    images = [_mean_image(c["means"]) for c in content.columns if c.get("means")]
    return join([element("h2", "Data"), lead, *shown, *images])


def _column(c: Mapping[str, Any], classification: bool) -> tuple[Any, ...]:
    if c.get("role") == "target":
        # Either the numbers of a quantity or those of classes say something.
        left_out = ("mean", "std", "min", "max") if classification else ("n_categories", "top")
        c = {key: value for key, value in c.items() if key not in left_out}
    missing, n = c.get("missing"), c.get("rows")
    gaps = number(missing)
    if missing and n:
        gaps = f"{missing:,} ({percent(missing / (n * c.get('n_columns', 1)))})"
    top = ""
    if c.get("n_categories") is not None:
        shown = str if c.get("role") == "target" else _cut  # classes are never cut off
        few = ", ".join(f"{shown(v)} ({k:,})" for v, k in c.get("top") or ())
        top = f"{c['n_categories']:,}: {few}"
    name = element("b", c["name"]) if c.get("role") == "target" else element("span", c["name"])
    role = c.get("role")
    kind = f"{c.get('kind')}, {role}" if role in ("target", "weights") else c.get("kind")
    values = [c.get(key) for key in ("mean", "std", "min", "max")]
    cells = ["" if v is None else v if isinstance(v, str) else number(v) for v in values]
    return (element("td", name), str(kind), gaps, *cells, element("td", top, class_="after"))


def _cut(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


def _mean_image(means: Any) -> Any:
    def draw(ax: Any) -> None:
        heat(ax, np.asarray(means), "mean")

    return picture("mean-image", draw, "The mean of each pixel.", lambda: None, size=(4.2, 3.4))


def use_section(content: ReportContent) -> Html:
    """Return how to load the model, in Python and in a shell."""
    path = content.model_path
    line = f"fastrelu.training.load_model({path!r}).predict(rows)"
    shell = f"fastrelu predict {shlex.quote(path)} NEW.csv --out predictions.csv"
    what = (
        "rows: a data frame, a dictionary of columns, or an array, with the columns as they were "
        "in the file; the preprocessing is in the model."
    )
    return join(
        [
            element("h2", "Using the model"),
            element("pre", element("code", f"import fastrelu.training\n{line}")),
            element("p", what, class_="soft"),
            element("pre", element("code", shell)),
        ]
    )


def run_section(content: ReportContent) -> Html:
    """Return the command, the configuration and where it ran."""
    blocks: list[Any] = [element("h2", "This run")]
    if content.command:
        blocks.append(element("pre", element("code", content.command)))
    if content.config:
        rows = [(key, _shown(value)) for key, value in _flat(content.config)]
        blocks.append(
            details("The effective configuration", table(("option", "value"), rows, text=2))
        )
    head = ("layer", "widths", "activation", "parameters")
    blocks.append(details("The network", table(head, layers(content.model.network), text=3)))
    return join(blocks)


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    result: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            result += _flat(value, f"{prefix}{key}.")
        else:
            result.append((f"{prefix}{key}", value))
    return result


def _shown(value: Any) -> str:
    if value is None:
        return DASH
    return value if isinstance(value, str) else json.dumps(value, default=str)


def footer(content: ReportContent, written: str) -> Html:
    """Return versions, instruction set, threads and the time; the same bits but for the time."""
    line = (
        f"fastrelu {__version__}, instruction set {get_isa()}, threads "
        f"{get_num_threads()}, {content.model.network.dtype.name}, Python "
        f"{platform.python_version()}, NumPy {np.__version__}. Neither instruction set nor threads "
        "change a bit of the result. Written "
    )
    return element("footer", line, element("time", written, datetime=written), ".")

# SPDX-License-Identifier: BSD-3-Clause
"""A model as tables for a terminal (extra `train`: rich)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastrelu.app.printable import printable
from fastrelu.app.report.columns import layers, threshold_text, treatments
from fastrelu.app.report.markup import number
from fastrelu.app.usual import LEFT_OUT, PRESETS

if TYPE_CHECKING:
    from rich.console import Group

MOST_ROWS = 40


def describe_model(model: Any) -> Group:
    """Return what a model is: its layers, what it does to each column, its target, its metrics.

    Parameters
    ----------
    model : Model
        From `load_model`.

    Returns
    -------
    rich.console.Group
        For ``rich.print`` or ``Console.print``.

    Raises
    ------
    ImportError
        Without rich.

    Examples
    --------
    >>> import tempfile
    >>> from fastrelu import training
    >>> from fastrelu.app.cli import main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     command = ["train", "iris", "--epochs", "1", "--out", folder + "/run", "--quiet"]
    ...     _ = main(command, standalone_mode=False)
    ...     tables = training.describe_model(training.load_model(folder + "/run"))
    test accuracy: 0.7000
    >>> type(tables).__name__
    'Group'
    """
    try:
        from rich.console import Group
    except ModuleNotFoundError as error:  # not one that is there and cannot be loaded
        raise ImportError("describe_model needs rich: pip install rich") from error
    net = model.network
    size = net.n_parameters * net.dtype.itemsize
    about = f"{net.n_parameters:,} parameters, {net.dtype.name}, {size:,} bytes"
    members = len(getattr(net, "networks", ()))
    what = f"{members} networks, each as this one" if members else "Network"
    parts = [
        _table(f"{what}: {about}", ("layer", "widths", "activation", "parameters"), layers(net)),
        _inputs(model.inputs),
        _table("Target", ("", ""), _target(model)),
    ]
    recipe = model.about.get("recipe")
    if recipe:
        preset = model.about.get("settings", {}).get("preset", PRESETS[0])
        parts.append(_table(f"Chosen (--preset {preset})", ("", ""), _recipe(recipe)))
    if model.metrics:
        parts.append(_metrics(model.metrics, model.row_counts))
    return Group(*parts)


def _inputs(inputs: Any) -> Any:
    rows = treatments(inputs)
    shown: list[Sequence[Any]] = list(rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        rest = rows[MOST_ROWS:]
        shown.append((f"{len(rest)} more columns", "", "", sum(r.n_inputs for r in rest)))
    title = f"Inputs: {inputs.n_inputs:,} from {len(inputs.column_names):,} columns"
    return _table(title, ("column", "kind", "what is done", "inputs"), shown)


def _target(model: Any) -> list[Sequence[Any]]:
    target = model.target
    rows: list[Sequence[Any]] = [("name", model.target_name), ("task", target.task)]
    if target.task == "classification":
        few = ", ".join(str(c) for c in target.classes[:20])
        more = f" and {len(target.classes) - 20} more" if len(target.classes) > 20 else ""
        rows.append((f"{len(target.classes)} classes", few + more))
        text = threshold_text(target)
        return rows if text is None else [*rows, ("threshold", text)]
    return [*rows, ("mean, std", f"{number(target.mean)}, {number(target.std)}")]


def _recipe(recipe: Mapping[str, Any]) -> list[Sequence[Any]]:
    tried = len(recipe["candidates"])
    return [
        (f"candidate, of {tried}" if tried > 1 else "candidate", recipe["candidate"]),
        ("shrinkage", f"{recipe['shrinkage']:.3f}"),
    ]


def _metrics(metrics: Mapping[str, Any], counts: Mapping[str, Any]) -> Any:
    parts = [p for p in ("test", "validation", LEFT_OUT, "train") if p in metrics]
    keys = list(dict.fromkeys(key for p in parts for key in metrics[p]))
    rows = [(p, counts.get(p), *(metrics[p].get(k) for k in keys)) for p in parts]
    return _table("Metrics", ("part", "rows", *keys), rows)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Return a table under its title; text is text, whatever rich's markup would make of it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = [list(row) for row in rows]
    table = Table(box=SIMPLE_HEAD, show_header=any(head), pad_edge=False)
    for j, name in enumerate(head):
        numeric = bool(made) and all(not isinstance(row[j], str) or not row[j] for row in made)
        table.add_column(
            Text(printable(name)), justify="right" if numeric else "left", overflow="fold"
        )
    for row in made:
        table.add_row(*(Text(printable(v) if isinstance(v, str) else number(v)) for v in row))
    return Group(Text(printable(title), "bold"), table)

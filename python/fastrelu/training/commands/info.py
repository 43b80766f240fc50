# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu info``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from fastrelu.training.commands.base import HELP, Command

if TYPE_CHECKING:
    from fastrelu.training.model import Model


@click.command(cls=Command, context_settings=HELP)
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def info(model: str, as_json: bool) -> None:
    """Say what MODEL is, a run's folder or its model.safetensors.

    Its size, what its inputs are made of, its target, its metrics, and how to load it.

    Exit status: 0 done, 3 no such model.
    """
    from fastrelu.training.model import load_model

    loaded = load_model(model)
    facts = describe(loaded, model)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, _text(value))
    Console(highlight=False).print(table)


def describe(model: Model, path: str) -> dict[str, Any]:
    """Return what there is to say about a model."""
    net, about = model.network, model.about
    facts: dict[str, Any] = {
        "model": path,
        "task": model.task,
        "target": model.target_name,
    }
    if model.classes:
        facts["classes"] = model.classes
    facts |= {
        "network": "-".join(map(str, net.layer_sizes)),
        "activations": ", ".join(dict.fromkeys(net.activations)) or "none (a linear model)",
        "parameters": net.n_parameters,
        "bytes": net.n_parameters * net.dtype.itemsize,
        "dtype": net.dtype.name,
        "columns": list(model.inputs.column_names),
        "inputs": model.inputs.n_inputs,
        "loss": model.loss.name,
    }
    for part, metrics in about.get("metrics", {}).items():
        facts[part] = metrics
    facts["rows"] = about.get("rows", {})
    facts["epochs"] = about.get("epochs")
    facts["fastrelu"] = about.get("fastrelu")
    facts["in Python"] = f"fastrelu.training.load_model({path!r}).predict(rows)"
    return facts


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v:,}" for k, v in value.items()
        )
    if isinstance(value, list):
        more = f" and {len(value) - 12} more" if len(value) > 12 else ""
        return ", ".join(map(str, value[:12])) + more
    return f"{value:,}" if isinstance(value, int) else str(value)

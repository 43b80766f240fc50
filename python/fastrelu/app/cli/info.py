# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu info``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from fastrelu.app.cli.base import HELP, Command, Place
from fastrelu.app.printable import printable

if TYPE_CHECKING:
    from fastrelu.app.model import Model


@click.command(cls=Command, context_settings=HELP)
@click.argument("model", type=Place())
@click.option("--json", "as_json", is_flag=True, help="Print the description as JSON.")
def info(model: str, as_json: bool) -> None:
    """Describe MODEL, a run folder or the model.safetensors in it.

    Prints its size, what its inputs are made of, its target, its metrics, and how to load it.

    Exit status: 0 done, 3 no such model.
    """
    from fastrelu.app.model import load_model

    loaded = load_model(model)
    facts = describe(loaded, model)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    from fastrelu.app.report.describe import describe_model

    console = Console(highlight=False)
    console.print(describe_model(loaded), soft_wrap=False)
    console.print(f"In Python: {printable(facts['in Python'])}", markup=False, soft_wrap=True)


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
    facts |= model.metrics
    facts["rows"] = model.row_counts
    facts["epochs"] = about.get("epochs")
    facts["fastrelu"] = about.get("fastrelu")
    facts["in Python"] = f"fastrelu.training.load_model({path!r}).predict(rows)"
    return facts

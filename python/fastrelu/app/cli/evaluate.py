# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu evaluate``."""

from __future__ import annotations

import json
from typing import Any

import click

from fastrelu.app.cli.base import (
    HELP,
    Command,
    Place,
    as_choice,
    reading_flags,
    required,
    target_among,
    warn_seen,
)
from fastrelu.app.printable import printable


@click.command(cls=Command, context_settings=HELP)
@click.argument("model", type=Place())
@click.argument("data", nargs=-1, type=Place())
@click.option("--weights", metavar="COL", help="Column (or array) with a weight for each row.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
@reading_flags
def evaluate(
    model: str, data: tuple[str, ...], weights: str | None, as_json: bool, **reading: Any
) -> None:
    """Measure how good MODEL is on the rows of DATA.

    MODEL is a run folder or the model.safetensors in it. DATA is a file of raw rows with the
    columns of training, in any order, and the target.

    \b
    Example:
      fastrelu evaluate run later.csv

    Exit status: 0 done, 2 bad flags, 3 bad or missing data or model.
    """  # noqa: D301
    from dataclasses import replace

    from fastrelu.app.data.stream import read_tables
    from fastrelu.app.model import load_model
    from fastrelu.app.report.columns import threshold_text

    required(data, reading["sql"])
    data, reading["y"] = target_among(data, reading["y"])
    loaded = load_model(model)
    choice = replace(loaded.choice(need_target=True), weights=weights, **as_choice(reading))
    scores = loaded.score(read_tables(data, choice, need_target=True))
    result = scores.result()
    del result["loss"]  # that of training, in the network's own unit, is none of the user's
    if as_json:
        click.echo(json.dumps({"rows": scores.rows, **result}))
    else:
        click.echo(f"rows: {scores.rows:,}")
        for name, value in result.items():
            click.echo(f"{name}: " + ("not defined" if value is None else f"{value:.6g}"))
        kept = scores.class_rows
        if kept is not None and kept.absent:
            absent = ", ".join(repr(loaded.classes[k]) for k in kept.absent)
            click.echo(printable(f"no row is of {absent}"))
        if loaded.target.threshold is not None:
            click.echo(printable(f"threshold: {threshold_text(loaded.target)}"))
    warn_seen(loaded.warnings())

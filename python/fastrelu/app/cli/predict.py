# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu predict``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from fastrelu.app import kinds
from fastrelu.app.cli.base import (
    HELP,
    Command,
    Place,
    Setting,
    as_choice,
    reading_flags,
    required,
    warn_seen,
)
from fastrelu.app.errors import ConfigError

if TYPE_CHECKING:
    from fastrelu.app.cli.predictions import Writer
    from fastrelu.app.data.table import Table
    from fastrelu.app.model import Model


@click.command(cls=Command, context_settings=HELP)
@click.argument("model", type=Place())
@click.argument("data", nargs=-1, type=Place())
@click.option(
    "--out",
    metavar="FILE",
    type=Place(),
    help="The file to write: .csv, .parquet, .arrow or .feather.  [default: CSV on standard "
    "output]",
)
@click.option("--proba", is_flag=True, help="Also write the probability of each class.")
@click.option(
    "--keep",
    type=Setting(kinds.Names()),
    metavar="COLS",
    default=(),
    help="Columns of DATA to write beside the predictions, such as id.",
)
@click.option("--force", is_flag=True, help="Replace the file that --out names.")
@reading_flags
def predict(
    model: str,
    data: tuple[str, ...],
    out: str | None,
    proba: bool,
    keep: tuple[str, ...],
    force: bool,
    **reading: Any,
) -> None:
    """Predict the rows of DATA with MODEL.

    MODEL is a run folder or the model.safetensors in it. DATA is a file of raw rows with the
    columns of training, in any order; the target may be missing. A missing column counts as missing
    values, and a category that training has not seen counts as no category; a warning counts both.
    The output has one row for each row of DATA, in the same order; its file appears when it is
    complete.

    \b
    Examples:
      fastrelu predict run new.csv
      fastrelu predict run new.csv --proba --out predictions.csv
      fastrelu predict run new.parquet --keep id --out predictions.parquet

    Exit status: 0 done, 2 bad flags, 3 bad or missing data or model, 5 cannot write.
    """  # noqa: D301
    from dataclasses import replace

    from fastrelu.app.cli.predictions import predictions_file
    from fastrelu.app.data.stream import read_tables
    from fastrelu.app.model import load_model

    required(data, reading["sql"])
    loaded = load_model(model)
    if proba and loaded.task != "classification":
        raise ConfigError("--proba goes with classification, and this model predicts numbers")
    names = _names(loaded, proba)
    twice = sorted(set(keep) & set(names))
    if twice:
        raise ConfigError(f"--keep {twice[0]}: the predictions have a column of this name")
    with predictions_file(out, force) as writer:
        choice = replace(loaded.choice(need_target=False), keep=keep, **as_choice(reading))
        tables = read_tables(data, choice, need_target=False)
        write_predictions(writer, loaded, tables, names)
    warn_seen(loaded.warnings())


def _names(model: Model, proba: bool) -> list[str]:
    """Return the names of the columns that the predictions have."""
    return ["prediction", *(f"probability {label}" for label in model.classes if proba)]


def write_predictions(
    writer: Writer, model: Model, tables: Iterable[Table], names: list[str]
) -> None:
    """Write the predictions of tables' rows, block by block; of no rows the names alone."""
    from fastrelu.app.cli.predictions import kept_columns
    from fastrelu.app.data.table import Table

    for table in tables:
        carried = Table(table.source, table.n_rows, kept=kept_columns(table.kept))
        nothing = np.empty((0, model.target.n_outputs), model.network.dtype)
        blocks = model.blocks(table) if table.n_rows else [(slice(0, 0), nothing)]
        for rows, outputs in blocks:
            meant = model.meaning(outputs) if len(outputs) else outputs
            labels = meant[:, 0] if model.task == "regression" else model.target.decode(meant)
            columns = carried.take(rows).kept
            columns |= dict(zip(names, [labels, *np.asarray(meant, np.float64).T], strict=False))
            writer.write(columns)

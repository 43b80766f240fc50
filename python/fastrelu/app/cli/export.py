# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu export``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fastrelu.app.cli.base import HELP, Command, Place
from fastrelu.app.errors import ConfigError, OutputError


@click.command(cls=Command, context_settings=HELP)
@click.argument("model", type=Place())
@click.option("--onnx", metavar="FILE", type=Place(), help="The ONNX file to write.")
@click.option(
    "--c", metavar="FILE", type=Place(), help="The C file to write, of the network alone."
)
@click.option("--name", default="net", show_default=True, help="What the names in C begin with.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def export(model: str, onnx: str | None, c: str | None, name: str, force: bool) -> None:
    """Write MODEL, a run folder or the model.safetensors in it, for other programs.

    The ONNX file takes raw columns, each an input (n, 1) of its own name: numbers as double, NaN
    where missing; text as in the training file, "" where missing. Of an array file it takes one
    input X, or of a preset's members an input for each column. It gives label and probabilities, or
    prediction, of several networks in the mean. Dates, hashed categories, normal scores and sparse
    columns are refused, and nothing is written.

    The C file has the network alone: what it takes is what the preprocessing makes of the columns.

    \b
    Examples:
      fastrelu export run --onnx model.onnx
      fastrelu export run --c policy.c --name policy

    Exit status: 0 done, 2 bad flags or a model that cannot be exported, 3 no such model, 5 cannot
    write.
    """  # noqa: D301
    if (onnx is None) == (c is None):
        raise ConfigError("expected one of --onnx FILE and --c FILE")
    path = Path(onnx or c or "")
    if os.path.exists(path) and not force:
        raise OutputError(f"{path}: the file is there already; --force replaces it")
    from fastrelu.app.export import network_of, write_onnx
    from fastrelu.app.model import load_model

    loaded = load_model(model)
    try:
        if onnx is not None:
            write_onnx(loaded, path)
            return
        try:
            network_of(loaded).to_c(path, name)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    click.echo(
        f"{path} has the network alone: it takes {loaded.inputs.n_inputs} inputs, which "
        "fastrelu.training.load_model makes of raw rows",
        err=True,
    )

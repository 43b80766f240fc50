# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu predict``."""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from fastrelu.app.cli.base import HELP, Command, as_read_options, reading_flags, warn_seen
from fastrelu.app.errors import ConfigError

if TYPE_CHECKING:
    from fastrelu.app.data.table import Table
    from fastrelu.app.model import Model


@click.command(cls=Command, context_settings=HELP)
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--out", metavar="F.csv", help="The file to write.  [default: standard output]")
@click.option("--proba", is_flag=True, help="Also write the probability of each class.")
@click.option("--force", is_flag=True, help="Replace the file that --out names.")
@reading_flags
def predict(
    model: str, data: tuple[str, ...], out: str | None, proba: bool, force: bool, **reading: Any
) -> None:
    """Predict the rows of DATA with MODEL.

    MODEL is a run folder or the model.safetensors in it. DATA is a file of raw rows with the
    columns of training, in any order; the target may be missing. A missing column counts as missing
    values, and a category that training has not seen counts as no category; a warning counts both.
    The output is CSV, with a line for each row in the order of the file.

    \b
    Examples:
      fastrelu predict run new.csv
      fastrelu predict run new.csv --proba --out predictions.csv

    Exit status: 0 done, 2 bad flags, 3 bad or missing data or model, 5 cannot write.
    """  # noqa: D301
    from dataclasses import replace

    from fastrelu.app.data.stream import read_tables
    from fastrelu.app.model import load_model

    loaded = load_model(model)
    if proba and loaded.task != "classification":
        raise ConfigError("--proba goes with classification, and this model predicts numbers")
    with _output(out, force) as file:
        options = as_read_options(reading)
        choice = replace(loaded.choice(need_target=False), options=options)
        write_predictions(file, loaded, read_tables(data, choice, need_target=False), proba)
    warn_seen(loaded.seen)


def write_predictions(file: IO[str], model: Model, tables: Iterable[Table], proba: bool) -> None:
    """Write the predictions of tables' rows as CSV, block by block."""
    writer = csv.writer(file, lineterminator="\n")
    header = ["prediction"]
    if proba:
        header += [f"probability {label}" for label in model.classes]
    writer.writerow(header)
    for _, outputs in chain.from_iterable(map(model.blocks, tables)):
        meant = model.meaning(outputs)
        if model.task == "regression":
            columns: list[Any] = [meant[:, 0].tolist()]
        else:
            columns = [model.target.decode(meant).tolist()]
        if proba:
            columns += meant.T.tolist()
        writer.writerows(zip(*columns, strict=True))


@contextmanager
def _output(out: str | None, force: bool) -> Iterator[IO[str]]:
    """Give a file that takes its name only once it is whole; or standard output."""
    from fastrelu.app.errors import OutputError
    from fastrelu.app.run.run_folder import writing

    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(out)
    if path.exists() and not force:
        raise OutputError(f"--out {out}: is there already; --force replaces it")
    with writing(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with writing(path), open(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fastrelu.training.commands.base import HELP, Command
from fastrelu.training.errors import ConfigError, DataError


@click.command(cls=Command, context_settings=HELP)
@click.argument("directory", metavar="DIR")
def plot(directory: str) -> None:
    """Draw the pictures of the run in DIR, as PNG files beside its other files.

    Exit status: 0 done, 3 no such run, 5 cannot write.
    """
    from fastrelu.training import run_folder

    folder = Path(directory)
    path = folder / run_folder.HISTORY
    if not path.is_file():
        raise DataError(f"{folder}: holds no run with a {run_folder.HISTORY}")
    try:
        records = run_folder.read_history(path)
    except (ValueError, KeyError, OSError) as error:
        raise DataError(f"{path}: damaged ({error})") from None
    for picture in draw(folder, records):
        click.echo(picture)


def draw(folder: Path, records: list[dict[str, Any]]) -> list[Path]:
    """Draw a run's pictures and return their paths."""
    try:
        import matplotlib
    except ImportError:
        raise ConfigError("fastrelu plot needs Matplotlib: pip install 'fastrelu[plot]'") from None
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from fastrelu.history import History
    from fastrelu.plot import history
    from fastrelu.training.run_folder import writing

    if not records:
        raise DataError(f"{folder}: no epoch is finished yet")
    course = History(metric="metric")
    for record in records:
        course.append(record)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    history(course, ax=figure.add_subplot())
    path = folder / "history.png"
    with writing(path):
        figure.savefig(path, dpi=150)
    return [path]

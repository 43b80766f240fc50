# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu plot``."""

from __future__ import annotations

from pathlib import Path

import click

from fastrelu.app.cli.base import HELP, Command, Place


@click.command(cls=Command, context_settings=HELP)
@click.argument("directory", metavar="DIR", type=Place("dir"))
def plot(directory: str) -> None:
    """Draw the run in the folder DIR as PNG files beside its other files.

    A run that was interrupted has curves, one in its first training has none yet. A finished run
    also has a confusion matrix and calibration, or predicted against true values and residuals.

    Exit status: 0 done, 2 no Matplotlib, 3 no such run, 5 cannot write.
    """
    from fastrelu.app.report.run_pictures import plot_run
    from fastrelu.app.run_folder import writing

    with writing(Path(directory)):
        for picture in plot_run(directory):
            click.echo(picture)

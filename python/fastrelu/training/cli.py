# SPDX-License-Identifier: BSD-3-Clause
"""The command: flags in, exit codes out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from fastrelu import settings as package_settings
from fastrelu.training import DataError
from fastrelu.training.data import read
from fastrelu.training.run import DivergedError, Run, Settings

BAD_FLAGS, BAD_DATA, DIVERGED, CANNOT_WRITE = 2, 3, 4, 5


def _widths(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    try:
        widths = [int(part) for part in text.split(",")] if text else []
    except ValueError:
        widths = [0]
    if any(width < 1 for width in widths):
        raise click.BadParameter(f"expected widths such as 256,128, got {text!r}")
    return widths


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data", nargs=-1, required=True)
@click.option("--target", help="Column to predict in a table (default: the last).")
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    default="auto",
    show_default=True,
)
@click.option(
    "--hidden",
    default="128,64",
    show_default=True,
    callback=_widths,
    help="Widths of the hidden layers; '' for none.",
)
@click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Default: 60.")
@click.option("--batch-size", type=click.IntRange(1), help="Default: 32, or 128 from 2000 rows.")
@click.option(
    "--lr",
    type=click.FloatRange(0, min_open=True),
    help="First learning rate, falling to 0 (default: 0.001 for adam, 0.1 for sgd).",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: the cores at hand.")
@click.option(
    "--test",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Part of the rows that is kept for the test.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for model.safetensors and metrics.json.",
)
@click.option("--force", is_flag=True, help="Overwrite a model in --out.")
@click.option("--quiet", is_flag=True, help="Print the result alone.")
def main(
    data: tuple[str, ...],
    target: str | None,
    threads: int | None,
    out: Path | None,
    force: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train a ReLU network on DATA and report how it does on rows kept apart.

    DATA is a CSV file with a header (also .gz), an NPZ file with arrays X and y, an IDX images file
    followed by its labels file, or one of digits, iris, wine, diabetes.

    \b
    Examples:
      train.py digits
      train.py housing.csv --target price --hidden 256,128 --out model
      train.py images-idx3-ubyte.gz labels-idx1-ubyte.gz --epochs 20
    """  # noqa: D301
    if threads is not None:
        package_settings.set_num_threads(threads)
    if out is not None and (out / "model.safetensors").exists() and not force:
        raise click.UsageError(f"--out: {out} holds a model already; --force overwrites it")
    try:
        run = Run(read(data, target), Settings(**flags))
        _train(run, quiet)
    except DataError as error:
        _fail(str(error), BAD_DATA)
    except DivergedError as error:
        _fail(f"diverged: {error}; try a smaller --lr", DIVERGED)
    if out is not None:
        try:
            run.save(out)
        except OSError as error:
            _fail(f"--out: cannot write to {out} ({error})", CANNOT_WRITE)
        click.echo(f"saved {out / 'model.safetensors'} and metrics.json")


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _train(run: Run, quiet: bool) -> None:
    def say(text: str) -> None:
        if not quiet:
            click.echo(text)

    for note in run.notes:
        say(note)
    sizes = "-".join(str(n) for n in run.network.layer_sizes)
    say(
        f"{run.target.task}: {len(run.rows['train'])} rows to train, {len(run.rows['test'])} to "
        f"test; network {sizes}, {run.network.n_parameters} parameters; {run.epochs} epochs of "
        f"minibatches of {run.batch_size}"
    )
    if quiet:
        run.train(lambda record: None)
    elif sys.stderr.isatty():
        _with_bar(run)
    else:
        every = max(1, run.epochs // 10)

        def line(record: dict[str, Any]) -> None:
            if record["epoch"] % every == 0 or record["epoch"] == run.epochs:
                say(
                    f"epoch {record['epoch']}/{run.epochs}  loss {record['loss']:.5g}  "
                    f"{record['rows_per_second']:,.0f} rows/s"
                )

        run.train(line)
    for part in ("train", "test"):
        values = "  ".join(f"{name} {value:.4f}" for name, value in run.metrics[part].items())
        click.echo(f"{part} {values}")


def _with_bar(run: Run) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("epoch {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=run.epochs)
        run.train(
            lambda record: progress.update(
                task,
                advance=1,
                description=f"loss {record['loss']:.5g}  {record['rows_per_second']:,.0f} rows/s",
            )
        )


if __name__ == "__main__":
    main()

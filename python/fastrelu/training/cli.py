# SPDX-License-Identifier: BSD-3-Clause
"""The command: flags, progress, files and exit codes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from fastrelu import Network, get_num_threads, set_num_threads
from fastrelu.history import History
from fastrelu.training import DataError, OutputError, TrainingError, run
from fastrelu.training.readers import BUNDLED, ColumnChoice, read

MODEL, METRICS, PREPROCESSING = "model.safetensors", "metrics.json", "preprocessing.json"


def _widths(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    """Return widths such as 256,128 as a tuple; "none" is none, a linear model."""
    if text.strip().lower() in ("none", ""):
        return ()
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = (0,)
    if not all(0 < width <= 1_000_000 for width in widths):
        raise click.BadParameter(f"expected whole numbers 1 to 1000000, as 256,128; got {text!r}")
    return widths


POSITIVE = click.IntRange(min=1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("data")
@click.argument("labels", required=False)
@click.option("--target", metavar="COL", help="Column (CSV; default: the last) or array (NPZ; y).")
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    default="auto",
    show_default=True,
    help="auto: classification for text and for whole numbers of few values.",
)
@click.option(
    "--hidden",
    default="128,64",
    show_default=True,
    callback=_widths,
    help="Widths of the hidden layers; none for a linear model.",
)
@click.option("--epochs", type=POSITIVE, help="Passes over the rows; default by their number.")
@click.option("--batch-size", type=POSITIVE, help="Rows of a step; default by their number.")
@click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    help="First learning rate, which falls to 0 along a cosine.  [default: adam 0.001, sgd 0.01]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: the cores that there are.")
@click.option(
    "--test",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the rows kept for the test, chosen at random.",
)
@click.option(
    "--standardize/--no-standardize",
    default=None,
    help="Inputs to mean 0, standard deviation 1; default: unless they are bytes.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Directory for model and metrics.")
@click.option("--force", is_flag=True, help="Replace a model that --out holds already.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
def main(
    data: str,
    labels: str | None,
    target: str | None,
    threads: int | None,
    out: Path | None,
    force: bool,
    quiet: bool,
    **choices: Any,
) -> None:
    """Train a ReLU network on DATA and say how good it is on rows it has not seen.

    DATA is a CSV file with a header line, an NPZ file with the arrays X and y, an IDX file of
    images followed by the IDX file of LABELS, each also gzipped, or one of digits, iris, wine,
    diabetes.

    \b
    Examples:
      train.py digits
      train.py housing.csv --target price --hidden 256,128 --out model
      train.py images-idx3-ubyte.gz labels-idx1-ubyte.gz --epochs 20

    Exit status: 0 done, 2 bad flags, 3 bad or missing data, 4 diverged, 5 cannot write.
    """  # noqa: D301
    if labels is not None and data in BUNDLED:
        raise click.UsageError(f"LABELS goes with an IDX file of images, not with {data}")
    if target is not None and data in BUNDLED:
        raise click.UsageError(f"--target goes with CSV and NPZ files, not with {data}")
    say: Callable[[str], None] = (lambda _: None) if quiet else click.echo
    try:
        if threads is not None:
            set_num_threads(threads)
        if out is not None:
            check_writable(out, force)
        _train(data, labels, target, run.Settings(**choices), out, say, quiet)
    except TrainingError as error:
        _stop(error.exit_code, error)


def _stop(code: int, error: Exception) -> NoReturn:
    click.echo(f"error: {error}", err=True)
    raise SystemExit(code)


def _train(
    data: str,
    labels: str | None,
    target: str | None,
    settings: run.Settings,
    out: Path | None,
    say: Callable[[str], None],
    quiet: bool,
) -> None:
    table = read([data] if labels is None else [data, labels], ColumnChoice(target=target))
    prepared = run.prepare(table, settings)
    kind = prepared.target
    say(
        f"data: {data}, {len(table)} rows; target {prepared.target_name!r}, {kind.task}"
        + (f" with {len(kind.classes)} classes" if kind.classes else "")
    )
    for note in prepared.notes:
        say(f"note: {note}")
    trainer = run.build(prepared)
    sizes = "-".join(str(n) for n in trainer.network.layer_sizes)
    say(f"split: {prepared.n_train} training rows, {len(prepared.rows['test'])} test rows")
    say(
        f"network: {sizes}, {trainer.network.n_parameters} parameters, {settings.dtype}, "
        f"threads {get_num_threads()}"
    )
    say(
        f"training: {prepared.epochs} epochs, batch {prepared.batch_size}, "
        f"{settings.optimizer} {prepared.lr:g}, seed {settings.seed}"
    )
    try:
        with _progress(prepared.epochs, quiet) as report:
            history = run.train(trainer, prepared, report)
        metrics = run.evaluate(trainer.network, prepared)
    except ValueError as error:  # such as a number beyond the network's dtype
        raise DataError(f"{data}: {error}") from error
    if out is not None:
        save(out, trainer.network, prepared, metrics, history)
    for part in ("train", "test"):
        if part == "test" or not quiet:
            click.echo(_result_line(part, metrics[part]))
    if out is not None:
        say(f"saved: {out / MODEL}, {out / METRICS}, {out / PREPROCESSING}")


def _result_line(part: str, metrics: dict[str, float]) -> str:
    if "accuracy" in metrics:
        return f"{part} accuracy: {metrics['accuracy']:.4f}"
    return f"{part} R2: {metrics['r2']:.4f}, RMSE: {metrics['rmse']:.6g}"


@contextmanager
def _progress(epochs: int, quiet: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give the callback: a bar in a terminal, else about ten plain lines; on standard error."""
    if quiet:
        yield lambda record: None
        return
    if not sys.stderr.isatty():
        every = max(1, epochs // 10)

        def line(record: dict[str, Any]) -> None:
            if record["epoch"] % every == 0 or record["epoch"] == epochs:
                rate = f"{record['rows_per_second']:,.0f} rows/s"
                text = f"epoch {record['epoch']}/{epochs}  loss {record['loss']:.6g}  {rate}"
                click.echo(text, err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.6g}  {task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=epochs, loss=float("nan"), rate=0.0)
        yield lambda record: bar.update(
            task, advance=1, loss=record["loss"], rate=record["rows_per_second"]
        )


def check_writable(out: Path, force: bool) -> None:
    """Make the directory; raise OutputError if that fails or it holds a model (without force)."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OutputError(f"--out {out}: cannot be written ({error.strerror or error})") from None
    if (out / MODEL).exists() and not force:
        raise OutputError(f"--out {out}: holds {MODEL} already; --force replaces it")


def save(
    out: Path,
    net: Network,
    prepared: run.Prepared,
    metrics: dict[str, dict[str, float]],
    history: History,
) -> None:
    """Write the model, its metrics and the preprocessing that its inputs need."""
    report = {
        **metrics,
        "task": prepared.target.task,
        "target": prepared.target_name,
        "rows": {
            "train": prepared.n_train,
            "test": len(prepared.rows["test"]),
            "dropped": prepared.dropped,
        },
        "layer_sizes": list(net.layer_sizes),
        "epochs": prepared.epochs,
        "batch_size": prepared.batch_size,
        "optimizer": prepared.settings.optimizer,
        "lr": prepared.lr,
        "seed": prepared.settings.seed,
        "dtype": prepared.settings.dtype,
        "loss": history.loss,
        "seconds": sum(history.seconds),
    }
    preprocessing = {"inputs": prepared.inputs.describe(), "target": prepared.target.describe()}
    try:
        _write_json(out / METRICS, report)
        _write_json(out / PREPROCESSING, preprocessing)
        net.save(out / MODEL)
    except OSError as error:
        raise OutputError(f"--out {out}: cannot be written ({error.strerror or error})") from None


def _write_json(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

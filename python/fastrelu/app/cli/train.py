# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu train``."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from fastrelu.app.cli.base import HELP, Command, Flag, Place, setting_flags, target_among
from fastrelu.app.errors import ConfigError
from fastrelu.app.printable import printable

if TYPE_CHECKING:
    from fastrelu.app.run_folder import RunFolder
    from fastrelu.app.settings import Settings
    from fastrelu.distributed import Communicator

CLASS_METRICS = {
    "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC AUC",
    "average_precision": "average precision", "brier": "Brier score",
}  # fmt: skip


@click.command(cls=Command, context_settings=HELP)
@click.argument("data", nargs=-1, type=Place())
@setting_flags
@click.option(
    "--config",
    cls=Flag,
    metavar="F.toml",
    type=Place(),
    help="Read settings from a file; flags win.",
)
@click.option(
    "--resume",
    cls=Flag,
    metavar="DIR",
    type=Place("dir"),
    help="Continue the run in the folder DIR.",
)
@click.option("--force", cls=Flag, is_flag=True, help="Replace the run that --out holds.")
@click.option("--quiet", cls=Flag, is_flag=True, help="Print the test result only.")
def train(
    data: tuple[str, ...],
    config: str | None,
    resume: str | None,
    force: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train ReLU networks on DATA and measure how good they are on rows that they have not seen.

    DATA is a CSV or TSV file with a header line; a Parquet, Feather, Arrow, NPY or libsvm file; an
    NPZ file with arrays X and y; an IDX file of images and then one of labels; a DuckDB or SQLite
    file; an Excel workbook; - for standard input; or digits, iris, wine or diabetes. Files may
    be compressed. Several files of one format, a folder of them, or a quoted pattern such as
    'part-*.csv', make one table. Text, missing values and dates become numbers, and --out saves the
    networks together with this preprocessing in one model file, which takes raw rows.

    A table gets several networks by folds, each stopped when it was best: the model of
    fastrelu.TabularClassifier and TabularRegressor. Images, sparse rows, data larger than --memory,
    and flags that speak of one network (--hidden, --epochs, --seeds, --search and so on) get one,
    as --preset single does.

    \b
    Examples:
      fastrelu train digits
      fastrelu train housing.csv --target price --out run
      fastrelu train housing.csv --target price --preset best --time-limit 600 --out best
      fastrelu train images-idx3-ubyte.gz labels-idx1-ubyte.gz --hidden 256,128
      fastrelu train 'sales-*.parquet' --target sold --split time:day --out run
      fastrelu train --sql "SELECT * FROM 'sales/*.parquet' WHERE year > 2022" --target sold
      fastrelu train housing.csv --target price --seeds 5 --out ensemble
      fastrelu train housing.csv --target price --search --out found
      fastrelu train --config run/config.toml --lr 0.003 --out run2
      fastrelu train --resume run
      fastrelu predict run new.csv --out predictions.csv

    Ctrl-C saves a checkpoint in --out and says how to resume.

    Exit status: 0 done, 2 bad flags or configuration, 3 bad or missing data, 4 diverged, 5 cannot
    write, 6 the checkpoint does not fit, 130 (Ctrl-C) or 143 (SIGTERM) interrupted.
    """  # noqa: D301
    given = {name: value for name, value in flags.items() if value is not None}
    if data:
        given["data"], y = target_among(data, given.get("y"))
        given |= {} if y is None else {"y": y}
    if resume is not None:
        for name, value in (("--config", config), ("--out", given.get("out")), ("--force", force)):
            if value:
                raise click.UsageError(f"{name} does not go with --resume, which names the run")
    from fastrelu.app.cli.ranks import ending_together
    from fastrelu.app.run.ranks import communicator

    comm = communicator()
    with ending_together(comm):
        _run(given, config, resume, force, quiet, comm)


def _run(
    given: dict[str, Any],
    config: str | None,
    resume: str | None,
    force: bool,
    quiet: bool,
    comm: Communicator | None,
) -> None:
    from fastrelu.app.run.json_lines import require_place, texts_in
    from fastrelu.app.run.progress import watchers
    from fastrelu.app.run.ranks import SharedSession, check_settings
    from fastrelu.app.run.several import session_of
    from fastrelu.app.run_folder import new_run

    folder = None
    leads = comm is None or comm.rank == 0  # the others say and write nothing
    try:
        settings, reason, folder = _begun(given, config, resume, comm)
        if comm is not None:
            check_settings(comm, settings)
        if leads:
            read = (*settings.data, *filter(None, (config, settings.y, settings.search_space)))
            read += texts_in(settings.sql)
            require_place(settings.log_json, read, None if folder is None else folder.path)
        to_stderr = settings.log_json == "-"

        def say(text: str) -> None:
            if leads and (not quiet or text.startswith("warning: ")):
                click.echo(printable(text), err=to_stderr or text.startswith("warning: "))

        told = (quiet, settings.log_json, settings.tensorboard) if leads else (True, None, None)
        run = new_run() if folder is None else folder.run
        with watchers(*told, resumed=resume is not None, run=run) as shown:
            if reason is not None:
                say(reason)
            kind = session_of(settings) if comm is None else partial(SharedSession, comm)
            session = kind(settings, folder, shown, say, shlex.join(["fastrelu", *sys.argv[1:]]))
            metrics = session.resume() if resume is not None else session.start(force)
    finally:
        if folder is not None:
            folder.close()
    if leads:
        _tell(metrics, quiet, to_stderr, say, folder)


def _begun(
    given: dict[str, Any], config: str | None, resume: str | None, comm: Communicator | None
) -> tuple[Settings, str | None, RunFolder | None]:
    """Return the settings, why they are of one network, and the folder, which rank 0 alone has."""
    from fastrelu.app.run.resumed import resumed_settings
    from fastrelu.app.run_folder import RunFolder
    from fastrelu.app.settings_file import merge, single_by
    from fastrelu.app.usual import SINGLE

    leads = comm is None or comm.rank == 0
    if resume is not None:
        folder = RunFolder(resume) if leads else None
        settings = None
        try:
            if folder is not None:
                folder.reopen()
                settings = resumed_settings(folder, given)
            settings = settings if comm is None else comm.broadcast(settings)
            assert settings is not None
        except BaseException:
            if folder is not None:
                folder.close()  # it is locked
            raise
        return settings, None, folder
    values = _from_file(config, given) | given
    settings, reason = merge(values), single_by(values)
    if not settings.data and settings.sql is None:
        raise ConfigError("no DATA: name a file, or try fastrelu train digits")
    folder = RunFolder(settings.out) if leads and settings.out is not None else None
    if reason is not None and "preset" not in values:
        return settings, f"one network (--preset {SINGLE}), as {reason} says", folder
    return settings, None, folder


def _tell(
    metrics: dict[str, Any],
    quiet: bool,
    to_stderr: bool,
    say: Callable[[str], None],
    folder: RunFolder | None,
) -> None:
    """Say how good the model is and where it is."""
    from fastrelu.app.run_folder import PARTS

    for part in PARTS:
        if part in metrics and (part == "test" or not quiet):
            click.echo(result_line(part, metrics[part]), err=to_stderr)
    for line in class_lines(metrics):
        say(line)
    if "beside" in metrics:
        say(metrics["beside"]["sentence"])
    if folder is not None:
        kept = ", checkpoints" if any(folder.checkpoints.rglob("*.safetensors")) else ""
        say(f"saved: {folder.path}/: model, report, metrics, history, settings{kept}")
        say(f"in Python: fastrelu.training.load_model({str(folder.path)!r}).predict(rows)")
    else:
        say("nothing is saved: --out DIR saves the model, its report and its checkpoints")


def _from_file(config: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return a file's settings; a schedule that ended with the run ends with the new --epochs."""
    from fastrelu.app.settings_file import load_toml

    values = load_toml(config) if config is not None else {}
    if "epochs" in given and values.get("schedule_epochs") == values.get("epochs"):
        values.pop("schedule_epochs", None)
    return values


def result_line(part: str, metrics: Mapping[str, float | None]) -> str:
    """Return a part's metrics as a line."""
    # JSON has no NaN: what was not defined comes back from a finished run's file as None.
    of = {name: math.nan if value is None else value for name, value in metrics.items()}
    if "accuracy" in of:
        return f"{part} accuracy: {of['accuracy']:.4f}"
    explained = f"D2: {of['d2']:.4f}, " if "d2" in of else ""
    return f"{part} {explained}R2: {of['r2']:.4f}, RMSE: {of['rmse']:.6g}"


def class_lines(metrics: dict[str, Any]) -> list[str]:
    """Return what else is to be said of predicted classes: metrics of rare ones, a threshold."""
    part = next((p for p in ("test", "validation", "train") if p in metrics), None)
    if part is None or "roc_auc" not in metrics[part]:
        return []
    found = [
        f"{CLASS_METRICS[name]} " + ("not defined" if value is None else f"{value:.4f}")
        for name, value in metrics[part].items()
        if name in CLASS_METRICS
    ]
    lines = [f"{part}: {', '.join(found)}"]
    absent = metrics.get("absent_classes", {}).get(part)
    if absent:
        lines.append(f"{part}: no row is of {', '.join(map(repr, absent))}")
    if "threshold" in metrics:
        at = metrics["threshold"]
        rows = "rows that members left out" if "left out" in metrics else "validation rows"
        rule = "" if at["rule"] == "given" else f", {at['rule']} on the {rows}"
        lines.append(
            f"threshold: {at['class']!r} is predicted from a probability of {at['value']:.4g} on"
            f"{rule}"
        )
    return lines

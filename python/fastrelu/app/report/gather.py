# SPDX-License-Identifier: BSD-3-Clause
"""From a finished run to what its report shows."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrelu import whole_files
from fastrelu.app.data.sample import evenly
from fastrelu.app.data.table import Table
from fastrelu.app.report.beside import beside
from fastrelu.app.report.content import PARTS, Evaluated, ReportContent
from fastrelu.app.report.importance import MOST_ROWS
from fastrelu.app.report.kept import PREDICTIONS, predictions_bytes
from fastrelu.app.report.summary import summarize_columns
from fastrelu.app.report.write import write_report
from fastrelu.app.run_folder import REPORT, SEARCH

# Of the part whose predictions are shown; more would not change a picture.
MOST_SHOWN, MOST_OUTPUTS = 200_000, 20_000_000


class Sampled(Protocol):
    """Data that raw rows can be had of: in memory, or streamed."""

    def counts(self) -> dict[str, int]:
        """Return the rows of each part."""
        ...

    def sample(self, part: str, most: int) -> Table:
        """Return rows of a part, `most` at most, evenly spread over it."""
        ...

    def training_rows(self) -> tuple[Table, NDArray[np.intp] | None]:
        """Return a table and which of its rows are training rows: all there are, or a sample."""
        ...

    def forget_rows(self) -> None:
        """Give back the rows in memory; nothing asks for them any more."""
        ...


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    model : Model
        The trained model.
    data : Sampled
        The data that it was trained on.
    metrics : mapping
        The content of metrics.json.
    records : sequence of mapping
        The rows of history.csv.
    config : mapping
        The effective configuration.
    notes : sequence of str
        What the user should know.
    command : str
        As it was typed.
    title : str
        The data's name.
    """

    model: Any
    data: Sampled
    metrics: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]
    notes: Sequence[str]
    command: str
    title: str


def gather(run: Run, model_path: str) -> ReportContent:
    """Return what the run's report shows.

    Parameters
    ----------
    run : Run
        The run.
    model_path : str
        Where its model is, for the line of Python that loads it.
    """
    counts, notes = run.data.counts(), list(run.notes)
    part = next((p for p in PARTS if counts.get(p)), None)
    evaluated, sample = {}, None
    if part is not None:
        most = min(MOST_SHOWN, MOST_OUTPUTS // run.model.target.n_outputs)
        table = run.data.sample(part, most)
        evaluated[part] = Evaluated(_truth(run.model, table), run.model.table_outputs(table))
        sample = table.take(evenly(np.arange(table.n_rows), MOST_ROWS))
        if table.n_rows < counts[part]:
            notes.append(
                f"Of {counts[part]:,} {part} rows, {table.n_rows:,} are in the pictures and tables "
                "of predictions; the metrics are of all."
            )
        if table.weights is not None:
            notes.append("Rows have weights: the metrics count them, pictures and tables do not.")
    trained, rows = run.data.training_rows()
    simple = None
    if part not in (None, "train"):  # rows that trained the model say nothing of it
        simple = beside(run.model, trained, rows, table, part, evaluated[part])
    return ReportContent(
        title=run.title,
        model=run.model,
        history=run.records,
        metrics=run.metrics,
        evaluated=evaluated,
        sample=sample,
        columns=summarize_columns(trained, rows),
        config=run.config,
        notes=notes,
        command=run.command,
        model_path=model_path,
        seed=int(run.metrics.get("seed") or 0),
        beside=simple,
    )


def _truth(model: Any, table: Table) -> NDArray[Any]:
    if model.target.task == "regression":
        return np.asarray(table.target, np.float64)
    return np.asarray(model.target.encode(table.target), np.int64).reshape(-1)


def report_run(run: Run, folder: Path, model_name: str) -> dict[str, Any]:
    """Write report.html and predictions.npz into a run's folder, return what metrics.json adds.

    Parameters
    ----------
    run : Run
        The run.
    folder : Path
        The folder of the run.
    model_name : str
        The model's file in it.

    Returns
    -------
    dict
        "beside": simple models' metrics on the rows shown; {} without them.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    content = gather(run, str(folder / model_name))
    run.data.forget_rows()  # pictures take memory, too
    if (folder / SEARCH).exists():
        with open(folder / SEARCH, encoding="utf-8", newline="") as file:
            content.candidates = list(csv.DictReader(file))
    kept = predictions_bytes(content)
    if kept is not None:
        whole_files.write_bytes(folder / PREDICTIONS, kept)
    write_report(folder / REPORT, content)
    return {} if content.beside is None else {"beside": content.beside.describe()}

# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of a run as PNG files."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastrelu import metrics, whole_files
from fastrelu.app.errors import ConfigError, DataError
from fastrelu.app.report.classification import MOST_DRAWN
from fastrelu.app.report.content import points_of
from fastrelu.app.report.kept import PREDICTIONS, load_predictions
from fastrelu.app.report.pictures import available, curves
from fastrelu.app.run_folder import HISTORY

DPI = 150
Draw = Callable[[Any], Any]


def plot_run(folder: Any) -> list[Path]:
    """Draw what a run has left: its curves, and its predictions if it is finished.

    Parameters
    ----------
    folder : path-like
        A run's folder (``--out DIR``).

    Returns
    -------
    list of Path
        The PNG files, in the same folder: history.png; of a classification confusion_matrix.png
        and calibration.png; of a regression predictions.png and residuals.png.

    Raises
    ------
    ConfigError
        Without Matplotlib.
    DataError
        If there is no run, or its files are damaged.
    OSError
        If a picture cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from fastrelu import training
    >>> from fastrelu.app.cli import main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     command = ["train", "iris", "--epochs", "1", "--out", folder + "/run", "--quiet"]
    ...     _ = main(command, standalone_mode=False)
    ...     [path.name for path in training.plot_run(folder + "/run")]
    test accuracy: 0.7000
    ['history.png', 'confusion_matrix.png', 'calibration.png']
    """
    if not available():
        raise ConfigError("fastrelu plot needs Matplotlib: pip install matplotlib")
    place = Path(folder)
    kept = load_predictions(place / PREDICTIONS) if os.path.isfile(place / PREDICTIONS) else None
    metric = "metric" if kept is None else "accuracy" if len(kept["classes"]) else "R2"
    panels = _panels(place, f"validation {metric}")
    written = [_write(place / "history.png", panels, (6.4, 2.6 * len(panels)))]
    if kept is not None:
        for name, draw, size in _evaluation(kept):
            written.append(_write(place / f"{name}.png", [draw], size))
    return written


def _panels(place: Path, metric: str) -> list[Draw]:
    """Return what draws loss, validation metric and learning rate, as far as there are any."""
    path = place / HISTORY
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise DataError(f"{place}: holds no run with a {HISTORY}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: damaged ({error})") from None
    series = {k: points_of(rows, k) for k in ("loss", "val_loss", "val_metric", "learning_rate")}
    losses = {"training": series["loss"], "validation": series["val_loss"]}
    panels = [
        _panel({name: points for name, points in losses.items() if points}, "loss"),
        _panel({"validation": series["val_metric"]}, metric),
        _panel({"rate": series["learning_rate"]}, "learning rate"),
    ]
    drawn = [panel for panel in panels if panel is not None]
    if not drawn:
        raise DataError(f"{path}: no epoch is finished yet")
    return drawn


def _panel(lines: Mapping[str, Sequence[tuple[float, float]]], label: str) -> Draw | None:
    kept = {name: points for name, points in lines.items() if points}
    return (lambda ax: curves(ax, kept, label)) if kept else None


def _evaluation(kept: Mapping[str, Any]) -> list[tuple[str, Draw, tuple[float, float]]]:
    from fastrelu import plot
    from fastrelu.plot.evaluation import draw_confusion, draw_reliability

    truth, predicted = kept["truth"], kept["predicted"]
    labels, unit = kept["classes"].tolist(), str(kept["target"])
    if not labels:
        return [
            ("predictions", lambda ax: plot.predictions(truth, predicted, ax, unit=unit), (6, 5.4)),
            ("residuals", lambda ax: plot.residuals(truth, predicted, ax, unit=unit), (6, 4.4)),
        ]
    bins = metrics.reliability(truth == predicted, kept["confidence"], 10)
    calibration = ("calibration", lambda ax: draw_reliability(bins, ax), (6, 4.4))
    if len(labels) > MOST_DRAWN:
        return [calibration]
    counts = metrics.confusion_counts(truth, predicted, len(labels))
    side = min(8.0, 3.0 + 0.35 * len(labels))
    confusions = (
        "confusion_matrix",
        lambda ax: draw_confusion(counts, labels, ax),
        (side + 1, side),
    )
    return [confusions, calibration]


def _write(path: Path, panels: Sequence[Draw], size: tuple[float, float]) -> Path:
    from matplotlib.figure import Figure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box
        figure = Figure(figsize=size, layout="constrained")
        for ax, draw in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            draw(ax)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI)
    whole_files.write_bytes(path, stream.getvalue())
    return path

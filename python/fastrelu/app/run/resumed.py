# SPDX-License-Identifier: BSD-3-Clause
"""The settings of a run that goes on, and whether there is anything left to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastrelu.app import run_folder
from fastrelu.app.errors import CheckpointError, DataError, TrainingError
from fastrelu.app.model import load_model
from fastrelu.app.run_folder import RunFolder
from fastrelu.app.settings import Settings
from fastrelu.app.settings_file import differences, load_toml, merge, single_by
from fastrelu.app.usual import SINGLE


def resumed_settings(folder: RunFolder, given: Mapping[str, Any]) -> Settings:
    """Return a saved run's settings with those given that may change on the way.

    Raises
    ------
    CheckpointError
        If one is given that would give another model.
    """
    saved = merge(_saved(folder))
    single = single_by(given)
    if saved.by_recipe and single:
        raise CheckpointError(
            f"{folder.path}: {single} speaks of one network, and this is a run of --preset "
            f"{saved.preset}, whose members stop when they are best; leave it out, or start a new "
            "run"
        )
    wrong = differences(saved, given)
    if wrong:
        raise CheckpointError(
            f"{folder.path}: a resumed run keeps its settings, and {', '.join(wrong)} "
            f"{'differs' if len(wrong) == 1 else 'differ'}; leave it out, or start a new run"
        )
    if saved.search and given.get("epochs", saved.epochs) != saved.epochs:
        raise CheckpointError(
            f"{folder.path}: a search keeps its --epochs ({saved.epochs}), as its rounds follow "
            "from them; train the best one on as a run of its own"
        )
    return replace(saved, **given).check()


def _saved(folder: RunFolder) -> dict[str, Any]:
    try:
        saved = load_toml(folder.path / run_folder.CONFIG)
    except TrainingError as error:
        raise CheckpointError(str(error)) from None
    if "preset" not in saved:  # from before there were presets, and early stopping by default
        saved = {"early_stopping": 0, **saved, "preset": SINGLE}
    return saved


def ended_with(folder: RunFolder, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return what metrics.json says of a finished run, if the model beside it says the same."""
    metrics = run_folder.read_metrics(folder.path)
    if metrics is None:
        return None
    told = {part: metrics[part] for part in run_folder.PARTS if part in metrics}
    try:
        if load_model(folder.path).metrics == told:
            return metrics
        reason = f"the metrics are not those of {run_folder.MODEL}"
    except DataError as error:
        reason = str(error)
    say(
        f"warning: {folder.path / run_folder.METRICS}: the model and its metrics are made again, "
        f"as they do not fit together ({reason})"
    )
    return None

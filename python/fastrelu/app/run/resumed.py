# SPDX-License-Identifier: BSD-3-Clause
"""A run that goes on: its settings, whether it fits, and whether there is anything left to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastrelu.app import run_folder
from fastrelu.app.data.stream.source import PLACES, WRITTEN
from fastrelu.app.errors import CheckpointError, DataError, TrainingError
from fastrelu.app.model import load_model
from fastrelu.app.run_folder import RunFolder
from fastrelu.app.settings import Settings, as_dict
from fastrelu.app.settings_file import differences, load_toml, merge, single_by
from fastrelu.app.usual import SINGLE

CHOICE = "choice"  # in the fingerprint of a search's candidate: what was drawn


def resumed_settings(folder: RunFolder, given: Mapping[str, Any]) -> Settings:
    """Return a saved run's settings with those given that may change on the way.

    Raises
    ------
    CheckpointError
        If one is given that would give another model.
    """
    saved = merge(_saved(folder))
    given = _with_space(saved, given)
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


def _with_space(saved: Settings, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings given, a file's space among them written out, as a search saves it."""
    from fastrelu.app.run.search.space import spelled  # its package imports this module

    space = given.get("search_space")
    if space in (None, saved.search_space):  # an earlier version has saved the file's name
        return given
    return {**given, "search_space": spelled(space)}


def ended_with(folder: RunFolder, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return what metrics.json says of a finished run, if the model beside it says the same.

    `say` is told why it does not; a run without the file has not ended.

    Raises
    ------
    CheckpointError
        If the model is there and cannot be loaded: it may be a later version's.
    """
    if not os.path.isfile(folder.path / run_folder.METRICS):
        return None
    metrics = run_folder.read_metrics(folder.path)
    reason = "the metrics are damaged" if metrics is None else _unlike(folder.path, metrics)
    if not reason:
        return metrics
    say(
        f"warning: {folder.path / run_folder.METRICS}: the model and its metrics are made again, "
        f"as they do not fit together ({reason})"
    )
    return None


def _unlike(path: Path, metrics: Mapping[str, Any]) -> str:
    """Return why a run's metrics are not those of its model; "" if they are."""
    told = {part: metrics[part] for part in run_folder.PARTS if part in metrics}
    try:
        if load_model(path).metrics == told:
            return ""
        return f"the metrics are not those of {run_folder.MODEL}"
    except DataError as error:
        if os.path.lexists(path / run_folder.MODEL):
            raise CheckpointError(
                f"{error}; the run has ended: put back the model that was here, or remove it, and "
                "it is made again"
            ) from None
        return str(error)


def compare(saved: dict[str, Any], now: dict[str, Any], say: Callable[[str], None]) -> None:
    """Raise CheckpointError if a checkpoint is of other data or settings, naming what differs.

    `say` is told of files that may have changed: they are compared at some places alone.
    """
    # A setting that the saved run's version did not have yet is what its default does; before there
    # were presets there was one network, and early stopping only where it was asked for.
    older = {"preset": SINGLE, "early_stopping": 0}
    after, defaults = older | now["settings"], as_dict(Settings(preset=SINGLE))
    before = {name: defaults[name] for name in after if name in defaults}
    before |= older | saved.get("settings", {})
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            raise CheckpointError(
                f"the checkpoint does not fit: {name} is {after.get(name)!r}, and was "
                f"{before.get(name)!r} when it was saved"
            )
    drawn, now_drawn = saved.get(CHOICE), now.get(CHOICE)
    if drawn is not None and drawn != now_drawn:  # earlier versions do not say it
        raise CheckpointError(
            f"the checkpoint does not fit: the search draws {now_drawn!r}, and drew {drawn!r} "
            "when it was saved; give it the space that it began with, or start a new run"
        )
    before, after = saved.get("data", {}), now["data"]
    for name in sorted({*before, *after} - {WRITTEN}):
        if before.get(name) != after.get(name):
            what = "the values" if name == "content" else f"the {name}"
            detail = "" if name == "content" else f": {_difference(before, after, name)}"
            raise CheckpointError(
                f"the checkpoint does not fit: the data have changed, {what} differ{detail}"
            )
    written = after.get(WRITTEN)
    if before.get(WRITTEN, written) != written:  # earlier versions do not say it
        say(
            "warning: the files of the data have been written since the run began: their sizes and "
            f"{PLACES} places of each are as they were, and the rest is not compared; where values "
            "have changed, begin anew (--force)"
        )


def _difference(before: dict[str, Any], after: dict[str, Any], name: str) -> str:
    was, now = before.get(name), after.get(name)
    texts = [repr(now), repr(was)]
    if isinstance(was, list) and isinstance(now, list):
        unlike = (k for k, (a, b) in enumerate(zip(was, now, strict=False)) if a != b)
        k = next(unlike, min(len(was), len(now)))  # there one of them has ended
        texts = [repr(each[k]) if k < len(each) else "nothing" for each in (now, was)]
    return f"{texts[0]}, and was {texts[1]} when it was saved"

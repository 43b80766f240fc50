# SPDX-License-Identifier: BSD-3-Clause
"""A setting as a flag: what it may be, where it stands in ``--help``, what it says there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastrelu import losses
from fastrelu.app import kinds
from fastrelu.app.kinds import Kind

NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?"
TASKS = ("classification", "regression")


@dataclass(frozen=True)
class Option:
    """A setting as a flag: what it may be, and what ``--help`` says.

    `saved`: it belongs to the run, and so to config.toml and to what a resumed run must agree on;
    `fixed`: another value would give another model; `single`: it speaks of one network, which the
    recipe of the presets has none of; `recipe`: one network has none of it.
    """

    kind: Kind
    group: str
    help: str
    saved: bool = True
    fixed: bool = True
    single: bool = False
    recipe: bool = False


def option(default: Any, kind: Kind, group: str, help_text: str, **more: bool) -> Any:
    """Return the field of a setting."""
    return field(default=default, metadata={"option": Option(kind, group, help_text, **more)})


DATA, SOURCE, READING, MODEL, INPUTS, NETWORK, TRAINING, SEVERAL, RUN = (
    "Data", "Where the rows are", "Reading of text", "Model", "Preprocessing",
    "Network", "Training", "Several trainings at once", "Running",
)  # fmt: skip


def loss_choice() -> kinds.Choice:
    """Return the kind of a loss's name, with a parameter if it has one: ``quantile:0.9``."""
    patterns: dict[str, str | None] = {"auto": None}
    shown_as = ["auto"]
    for name in (name for task in TASKS for name in losses.names(task)):
        parameter = losses.as_loss(name).info.parameter
        patterns[name] = None if parameter is None else f"(?:{NUMBER})?"
        shown_as.append(name if parameter is None else f"{name}:{parameter.name.upper()}")
    return kinds.Choice(patterns, "|".join(shown_as))

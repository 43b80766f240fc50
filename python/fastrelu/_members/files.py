# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of a population: those of its trainers, and where each member stands in its fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from fastrelu import model_file
from fastrelu._arguments import whole_number
from fastrelu._members.member import Course, Member, row_numbers
from fastrelu.divergence import DivergenceError
from fastrelu.epoch import checked_sampling
from fastrelu.history import History
from fastrelu.model_file import Arrays
from fastrelu.optimizers import LearningRate
from fastrelu.trainer import Trainer

__all__ = ["FORMAT"]

FORMAT = "fastrelu.population"  # the format that the files name
LARGEST = 2**63 - 1  # of epochs

Content = tuple[Arrays, dict[str, str]]


def write(path: Any, members: Sequence[Member], unfinished: bool) -> None:
    """Write a checkpoint of these members."""
    model_file.write(path, *content(members, unfinished))


def content(members: Sequence[Member], unfinished: bool) -> Content:
    """Return what a checkpoint of these members holds, numbered from 0."""
    arrays: Arrays = {}
    described = []
    for index, member in enumerate(members):
        own, metadata = member.trainer.checkpoint_content()
        for key in ("rows", "validation_rows", "sample_weight"):
            if getattr(member, key) is not None:
                own[key] = getattr(member, key)
        if member.course.best is not None:
            own["best"] = member.course.best
        arrays |= {f"{index}.{name}": array for name, array in own.items()}
        described.append({"trainer": metadata, **_description(member)})
    return arrays, {
        "format": FORMAT,
        "format_version": str(model_file.FORMAT_VERSION),
        "members": json.dumps(described),
        "unfinished": json.dumps(unfinished),
    }


def read(path: Any, rates: dict[int, LearningRate]) -> tuple[list[Member], bool]:
    """Return the members of a checkpoint, and whether a fit was under way."""
    return members_of(*model_file.read(path, FORMAT), rates)


def members_of(
    arrays: Arrays, metadata: dict[str, str], rates: dict[int, LearningRate]
) -> tuple[list[Member], bool]:
    """Return the members that `content` has described, and whether a fit was under way."""
    with model_file._damaged("the checkpoint"):
        described = json.loads(metadata["members"])
        trainers = [each["trainer"] for each in described]
        unfinished = json.loads(metadata["unfinished"])
        if type(unfinished) is not bool:
            raise ValueError(f"unfinished: expected true or false, got {unfinished!r}")
    members = []
    for index, (each, its_trainer) in enumerate(zip(described, trainers, strict=True)):
        prefix = f"{index}."
        own = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
        try:
            trainer = Trainer.from_checkpoint_content(
                own, its_trainer, learning_rate=rates.get(index)
            )
        except ValueError as error:
            raise type(error)(f"member {index}: {error}") from error
        with model_file._damaged("the checkpoint"):
            members.append(_member(index, each, own, trainer))
    return members, unfinished


def _description(member: Member) -> dict[str, Any]:
    course = member.course
    return {
        "name": member.name,
        "epochs": member.epochs,
        "patience": member.patience,
        "sampling": member.sampling,
        "diverged": None if member.diverged is None else _hex(member.diverged),
        "course": {
            "first_epoch": course.first_epoch,
            "last_epoch": course.last_epoch,
            "stopped": course.stopped,
            "best_loss": float(course.best_loss).hex(),
            "waited": course.waited,
            "history": asdict(course.history),
        },
    }


def _hex(error: DivergenceError) -> list[Any]:
    return [error.step, float(error.loss).hex()]


def _member(index: int, each: dict[str, Any], own: Arrays, trainer: Trainer) -> Member:
    """Return the member that `_description` described; any error says that it is damaged.

    Everything is checked, as for a member of the user's: a fit would meet it much later.
    """
    name, weights = each["name"], own.get("sample_weight")
    if not isinstance(name, str):
        raise TypeError(f"name: expected a str, got {name!r}")
    if weights is not None and (weights.ndim != 1 or weights.dtype != np.float64):
        got = f"{weights.dtype} of shape {weights.shape}"
        raise ValueError(f"sample_weight: expected a weight for each row, got {got}")
    member = Member(
        index,
        name,
        trainer.network,
        trainer,
        rows=row_numbers("rows", own.get("rows")),
        validation_rows=row_numbers("validation_rows", own.get("validation_rows")),
        sample_weight=weights,
        epochs=_whole_or_none(each, "epochs", 0),
        patience=_whole_or_none(each, "patience", 1),
        sampling=checked_sampling(each["sampling"]),
    )
    if each["diverged"] is not None:
        step, loss = each["diverged"]
        member.diverged = DivergenceError(whole_number("step", step, 0), float.fromhex(loss))
    member.course = _course(each["course"], own.get("best"), trainer)
    return member


def _whole_or_none(described: dict[str, Any], key: str, low: int) -> int | None:
    value = described[key]
    return None if value is None else whole_number(key, value, low, LARGEST)


def _course(described: dict[str, Any], best: Any, trainer: Trainer) -> Course:
    """Return where a member stands in its fit."""
    parameters = trainer.network.parameters
    if best is not None and (best.shape, best.dtype) != (parameters.shape, parameters.dtype):
        raise ValueError(f"best: expected the parameters, got {best.dtype} of shape {best.shape}")
    if type(described["stopped"]) is not bool:
        raise TypeError(f"stopped: expected true or false, got {described['stopped']!r}")
    counts = {
        key: whole_number(key, described[key], 0, LARGEST)
        for key in ("first_epoch", "last_epoch", "waited")
    }
    return Course(
        **counts,
        stopped=described["stopped"],
        best_loss=float.fromhex(described["best_loss"]),
        best=None if best is None else np.array(best),
        history=_history(described["history"]),
    )


def _history(described: dict[str, Any]) -> History:
    history = History(**described)
    for key, value in vars(history).items():
        if key == "metric":
            fits = isinstance(value, str)
        else:
            fits = isinstance(value, list) and all(type(n) in (int, float) for n in value)
        if not fits:
            raise TypeError(f"history: {key}: expected numbers or a name, got {value!r}")
    return history

# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of a population: those of its trainers, and where each member stands in its fit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from fastrelu import model_file
from fastrelu._members.member import Course, Member
from fastrelu.divergence import DivergenceError
from fastrelu.history import History
from fastrelu.model_file import Arrays
from fastrelu.optimizers import LearningRate
from fastrelu.trainer import Trainer

__all__ = ["FORMAT"]

FORMAT = "fastrelu.population"  # the format that the files name


def write(path: Any, members: list[Member], unfinished: bool) -> None:
    """Write a checkpoint of these members."""
    arrays: Arrays = {}
    described = []
    for member in members:
        own, metadata = member.trainer.checkpoint_content()
        for key in ("rows", "validation_rows", "sample_weight"):
            if getattr(member, key) is not None:
                own[key] = getattr(member, key)
        if member.course.best is not None:
            own["best"] = member.course.best
        arrays |= {f"{member.index}.{name}": array for name, array in own.items()}
        described.append({"trainer": metadata, **_description(member)})
    model_file.write(
        path,
        arrays,
        {
            "format": FORMAT,
            "format_version": str(model_file.FORMAT_VERSION),
            "members": json.dumps(described),
            "unfinished": json.dumps(unfinished),
        },
    )


def read(path: Any, rates: dict[int, LearningRate]) -> tuple[list[Member], bool]:
    """Return the members of a checkpoint, and whether a fit was under way."""
    arrays, metadata = model_file.read(path, FORMAT)
    with model_file._damaged("the checkpoint"):
        described = json.loads(metadata["members"])
        trainers = [each["trainer"] for each in described]
        unfinished = bool(json.loads(metadata["unfinished"]))
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
    member = Member(
        index,
        each["name"],
        trainer.network,
        trainer,
        rows=own.get("rows"),
        validation_rows=own.get("validation_rows"),
        sample_weight=own.get("sample_weight"),
        epochs=each["epochs"],
        patience=each["patience"],
        sampling=each["sampling"],
    )
    if each["diverged"] is not None:
        step, loss = each["diverged"]
        member.diverged = DivergenceError(int(step), float.fromhex(loss))
    course = each["course"]
    member.course = Course(
        first_epoch=int(course["first_epoch"]),
        last_epoch=int(course["last_epoch"]),
        stopped=bool(course["stopped"]),
        best_loss=float.fromhex(course["best_loss"]),
        best=None if "best" not in own else np.array(own["best"]),
        waited=int(course["waited"]),
        history=History(**course["history"]),
    )
    return member

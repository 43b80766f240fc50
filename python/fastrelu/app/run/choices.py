# SPDX-License-Identifier: BSD-3-Clause
"""The choices that the settings leave to the data: the loss, and one network's numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from fastrelu import losses
from fastrelu.app.errors import ConfigError
from fastrelu.app.preprocess import Target
from fastrelu.app.settings import Settings
from fastrelu.app.usual import SINGLE, usual_number
from fastrelu.losses import Loss

__all__ = ["choose_loss", "resolve"]


def choose_loss(settings: Settings, task: str) -> Loss:
    """Return the loss that the settings name, or the task's own.

    Raises
    ------
    ConfigError
        If it does not fit the task.
    """
    name, _, parameter = settings.loss.partition(":")
    known = losses.names(task)
    if name == "auto":
        name = known[0]
    if name not in known:
        raise ConfigError(f"--loss {name} does not go with {task}; it is one of {', '.join(known)}")
    if settings.class_weight != "none" and task == "regression":
        raise ConfigError("--class-weight goes with classification, and this is regression")
    try:
        return losses.with_parameter(name, float(parameter)) if parameter else losses.as_loss(name)
    except ValueError as error:
        raise ConfigError(f"--loss {settings.loss}: {error}") from None


def resolve(settings: Settings, target: Target, n_train: int) -> Settings:
    """Return the settings of one network with every choice that was left to the data made.

    A function of the user's settings and these two alone: where other settings are tried, as in a
    search, it is called again for each, so that each optimizer has its own defaults.

    Small minibatches for few rows; about a million rows seen, in 10 passes or more and 100 at most
    (60 in regression, which overfits sooner).
    """
    tiny = n_train < 1000 and target.task == "classification"
    batch = settings.batch_size or (16 if tiny else 32 if n_train < 5000 else 128)
    most = 100 if target.task == "classification" else 60
    epochs = settings.epochs or min(most, max(10, round(1_000_000 / n_train)))
    patience = settings.early_stopping
    if patience is None:  # where there are no validation rows it has nothing to watch
        patience = max(10, epochs // 4)
    usual = partial(usual_number, settings.optimizer)
    lr, momentum, decay = settings.lr, settings.momentum, settings.weight_decay
    if momentum is None and settings.optimizer == "sgd":
        momentum = usual("momentum")
    if min(batch, n_train) < (settings.shards or 1):
        raise ConfigError(
            f"--shards {settings.shards} needs as many rows in a minibatch, and --batch-size is "
            f"{min(batch, n_train)} ({n_train} training rows)"
        )
    return replace(
        settings,
        preset=SINGLE,
        task=target.task,
        loss=settings.loss if settings.loss != "auto" else losses.names(target.task)[0],
        batch_size=min(batch, n_train),
        epochs=epochs,
        schedule_epochs=settings.schedule_epochs or epochs,
        early_stopping=patience,
        lr=lr if lr is not None else usual("learning_rate"),
        momentum=momentum,
        weight_decay=decay if decay is not None else usual("weight_decay"),
    )

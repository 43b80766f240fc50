# SPDX-License-Identifier: BSD-3-Clause
"""The network and the trainer that the settings describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastrelu import Network, Trainer, schedules
from fastrelu.app.errors import ConfigError
from fastrelu.app.preprocess import Inputs, Target
from fastrelu.app.settings import Settings
from fastrelu.losses import Loss
from fastrelu.optimizers import Optimizer, as_optimizer


def build(
    settings: Settings,
    inputs: Inputs,
    target: Target,
    loss: Loss,
    steps_in_epoch: int,
    comm: Any = None,
) -> Trainer:
    """Return a trainer with a fresh network.

    Parameters
    ----------
    settings : Settings
        With every choice made; see `choices.resolve`.
    inputs, target : Inputs, Target
        What goes in and comes out.
    loss : Loss
        What is minimised.
    steps_in_epoch : int
        For schedules, which count steps.
    comm : Communicator, optional
        The processes that share the shards.
    """
    assert settings.batch_size is not None
    net = Network(
        [inputs.n_inputs, *settings.hidden, target.n_outputs],
        dtype=settings.dtype,
        activation=settings.activation,
        init="glorot_uniform",
        scale=inputs.scale,
        seed=settings.seed,
    )
    return Trainer(
        net,
        loss=loss,
        optimizer=optimizer(settings, steps_in_epoch),
        batch_size=settings.batch_size,
        seed=settings.seed,
        clip_norm=settings.clip_norm,
        n_shards=settings.shards or 1,
        comm=comm,
        dropout=settings.dropout if len(settings.dropout) > 1 else settings.dropout[0],
    )


def optimizer(settings: Settings, steps_in_epoch: int) -> Optimizer:
    """Return the optimizer with its schedule."""
    rate = learning_rate(settings, steps_in_epoch)
    decay = settings.weight_decay or 0.0
    more: dict[str, float] = {}
    if settings.optimizer == "sgd":
        momentum = settings.momentum or 0.0
        more = {"momentum": momentum, "nesterov": momentum > 0}
    return as_optimizer(settings.optimizer, learning_rate=rate, weight_decay=decay, **more)


def learning_rate(settings: Settings, steps_in_epoch: int) -> float | Callable[[int], float]:
    """Return the rate, or its schedule over `schedule_epochs`."""
    assert settings.lr is not None and settings.schedule_epochs is not None
    lr, epochs = settings.lr, settings.schedule_epochs
    kind, _, parameter = settings.schedule.partition(":")
    if kind == "constant":
        return lr
    if kind == "cosine":
        return schedules.cosine(lr, epochs * steps_in_epoch, lr / 100)
    try:
        if kind == "step":
            factor, every = parameter.split(",") if parameter else ("0.5", str(-(-epochs // 3)))
            return schedules.step_decay(lr, float(factor), int(every) * steps_in_epoch)
        return schedules.inverse_time(float(parameter) if parameter else 1 / (2 * lr))
    except ValueError as error:
        raise ConfigError(f"--schedule {settings.schedule}: {error}") from None

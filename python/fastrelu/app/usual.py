# SPDX-License-Identifier: BSD-3-Clause
"""What the command takes where no flag says otherwise, and what its recipe knows."""

from __future__ import annotations

from fastrelu import optimizers

#: How much the recipe of tables tries, the usual first.
PRESETS = ("default", "fast", "best")
LEFT_OUT = "left out"  # metrics of training rows, by members that left each out
SINGLE = "single"  # the preset of one network
#: What the recipe can minimize: losses of numbers without a unit of their own (the delta of huber
#: would have one), and the one of classes.
VALUE_LOSSES = (
    "squared_error", "absolute_error", "quantile", "expectile", "poisson", "gamma", "tweedie",
)  # fmt: skip
LOSSES = ("cross_entropy", *VALUE_LOSSES)

#: What the command changes in the catalogue's usual numbers: its SGD has momentum.
SGD_NUMBERS = {"learning_rate": 0.01, "momentum": 0.9}


def usual_number(optimizer: str, name: str) -> float:
    """Return the command's default for a number of an optimizer: its learning rate, say."""
    if optimizer == "sgd" and name in SGD_NUMBERS:
        return SGD_NUMBERS[name]
    return float(getattr(optimizers.as_optimizer(optimizer), name))


def usual_text(name: str) -> str:
    """Return the optimizers' usual values of a number in words: "adamw 0.01, others 0"."""
    usual = {optimizer: f"{usual_number(optimizer, name):g}" for optimizer in optimizers.names()}
    most = max(usual.values(), key=list(usual.values()).count)
    others = [f"{each} {value}" for each, value in usual.items() if value != most]
    return ", ".join([*others, f"others {most}"])

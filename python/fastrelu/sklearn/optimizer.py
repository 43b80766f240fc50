# SPDX-License-Identifier: BSD-3-Clause
"""The solver of a stochastic fit: its learning rate, its state, and the core's trainer for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import _core
from fastrelu._arguments import real_number
from fastrelu.network import Network


class Optimizer:
    """One solver ("sgd" or "adam") from its first step to its last, over partial_fit calls too.

    scikit-learn keeps the settings that the first call had, so they are copied here.

    Attributes
    ----------
    learning_rate : float
        The current rate; of adam with its bias corrections.
    """

    def __init__(self, estimator: Any, seed: int) -> None:
        self.kind: str = estimator.solver
        self.learning_rate_init = estimator.learning_rate_init
        self.learning_rate = float(estimator.learning_rate_init)
        self.schedule = estimator.learning_rate
        self.power_t = estimator.power_t
        self.seed = seed
        self.options = {
            "optimizer": self.kind,
            "momentum": float(estimator.momentum) if self.kind == "sgd" else 0.0,
            "nesterov": bool(estimator.nesterovs_momentum),
            "weight_decay": 0.0,
            "beta_1": float(estimator.beta_1),
            "beta_2": float(estimator.beta_2),
            "epsilon": float(estimator.epsilon),
        }
        self._state: dict[str, Any] | None = None
        self._arrays: list[NDArray[Any]] = []
        self._trainer: _core.Trainer | None = None
        self._bound: tuple[Any, ...] = ()

    def bind(self, net: Network, loss: dict[str, Any], dropout: list[float]) -> _core.Trainer:
        """Return the core's trainer on `net`, at the place where the last one stopped."""
        if self._trainer is not None and self._bound == (id(net), loss, dropout):
            return self._trainer
        state, arrays = self.state, self.arrays
        self._trainer = core_trainer(
            net, loss, {**self.options, "dropout": dropout, "seed": self.seed}
        )
        self._bound = (id(net), loss, dropout)
        if state is not None:
            self._trainer.state = state
            self._trainer.optimizer_arrays = [a.astype(net.dtype, copy=False) for a in arrays]
        return self._trainer

    @property
    def state(self) -> dict[str, Any] | None:
        """The trainer's counters, None before the first step."""
        return self._state if self._trainer is None else self._trainer.state

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """Velocity, or first and second moments, in the order of the parameters."""
        return self._arrays if self._trainer is None else self._trainer.optimizer_arrays

    def restore(self, step: int, arrays: list[NDArray[Any]]) -> None:
        """Go on from `step` steps taken, with these arrays (another library's, say)."""
        self._trainer, self._arrays = None, arrays
        self._state = {
            "step": step, "epoch": 0, "in_epoch": False, "place": 0, "epoch_rows": 0,
            "sampling": "shuffle", "loss_sum": 0.0, "weight_sum": 0.0,
            "power_1": self.options["beta_1"] ** step,
            "power_2": self.options["beta_2"] ** step,
        }  # fmt: skip

    def rates(self, count: int) -> NDArray[np.float64]:
        """Return the learning rates of the next `count` steps."""
        if callable(self.schedule):
            first = 1 + (self._trainer.step_count if self._trainer is not None else 0)
            rates = np.empty(count)
            for i in range(count):
                value = self.schedule(first + i)
                value = value.item() if isinstance(value, np.generic) else value
                rates[i] = real_number(f"learning_rate({first + i})", value, 0.0)
            self.learning_rate = float(rates[-1])
            return rates
        rate = float(self.learning_rate_init) if self.kind == "adam" else self.learning_rate
        return np.full(count, rate)

    def iteration_ends(self, samples: int) -> None:
        """Bring `learning_rate` up to date after an epoch, `samples` rows in all."""
        if callable(self.schedule):
            return
        if self.kind == "adam":
            state = self.state or {}
            self.learning_rate = float(
                self.learning_rate_init * np.sqrt(1.0 - state["power_2"]) / (1.0 - state["power_1"])
            )
        elif self.schedule == "invscaling":
            self.learning_rate = float(self.learning_rate_init) / (samples + 1) ** self.power_t

    def should_stop(self) -> str | None:
        """Return what to do when nothing improves any more, in words; None to stop."""
        if self.kind != "sgd" or self.schedule != "adaptive":
            return None
        if self.learning_rate <= 1e-6:
            return None
        self.learning_rate /= 5.0
        return f"Setting learning rate to {self.learning_rate:f}"

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state |= {"_state": self.state, "_arrays": self.arrays, "_trainer": None, "_bound": ()}
        return state


PLAIN = {"optimizer": "sgd", "dropout": [], "seed": 0}


def core_trainer(net: Network, loss: dict[str, Any], options: dict[str, Any]) -> _core.Trainer:
    """Return a core trainer for `loss` (its options, see `losses.core_loss`)."""
    return _core.Trainer(
        net, {"pos_weight": [], "batch_size": 1, "n_shards": 1, "clip_norm": 0.0, **loss, **options}
    )

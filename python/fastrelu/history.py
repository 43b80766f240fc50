# SPDX-License-Identifier: BSD-3-Clause
"""What a fit tells and leaves behind: its losses and times, epoch by epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.losses import Loss


class EpochRecord(dict[str, Any]):
    """One epoch's numbers, the same for `Trainer`, the estimators and ``fastrelu train``.

    A dict whose values are attributes too: ``record.loss`` is ``record["loss"]``.

    Attributes
    ----------
    epoch : int
        The epoch's number, from 1; with the solver lbfgs that of the iteration.
    loss : float
        Training loss: the mean over the epoch's rows, each with the parameters before its step;
        with the penalty, where an estimator has one.
    val_loss : float or None
        Loss on the validation rows after the epoch; None where it is not computed.
    val_metric : float or None
        Validation metric after the epoch: accuracy for the cross entropies, the share of deviance
        explained for poisson, R2 for the others; what an estimator's `monitor` says. None where it
        is not computed.
    learning_rate : float or None
        Learning rate of the epoch's last step; None with lbfgs, which searches along lines.
    seconds : float
        Time spent training in this epoch, without validation and callbacks; that before an
        interruption counts.
    rows_per_second : float
        Rows trained on in a second of that time.

    Notes
    -----
    The keys ``validation_loss`` and ``validation_score``, which the records of the estimators had
    before, still give `val_loss` and `val_metric`.
    """

    epoch: int
    loss: float
    val_loss: float | None
    val_metric: float | None
    learning_rate: float | None
    seconds: float
    rows_per_second: float

    def __init__(
        self,
        epoch: int,
        loss: float,
        val_loss: float | None = None,
        val_metric: float | None = None,
        learning_rate: float | None = None,
        seconds: float = 0.0,
        rows_per_second: float = 0.0,
    ) -> None:
        dict.__init__(  # quicker than super()
            self,
            epoch=epoch,
            loss=loss,
            val_loss=val_loss,
            val_metric=val_metric,
            learning_rate=learning_rate,
            seconds=seconds,
            rows_per_second=rows_per_second,
        )

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, a former one too; `default` if there is none of the name."""
        return self[key] if key in self or key in FORMER_KEYS else default

    def __missing__(self, key: str) -> Any:
        return self[FORMER_KEYS[key]]


RECORD_KEYS = tuple(EpochRecord(0, 0.0))
FORMER_KEYS = {"validation_loss": "val_loss", "validation_score": "val_metric"}
Callback = Callable[[Any, EpochRecord], Any]


def checked_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return callbacks as a list; TypeError if they are none."""
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: expected callables in a list, got {callbacks!r}")
    calls = list(callbacks)
    for k, callback in enumerate(calls):
        if not callable(callback):
            raise TypeError(f"callbacks[{k}]: expected a callable, got {callback!r}")
    return calls


def call_callbacks(callbacks: Iterable[Callback], owner: Any, record: EpochRecord) -> bool:
    """Call each with the owner of the fit and an epoch's record; whether one asks to stop.

    Every callback sees the epoch, also after one that asks to stop.
    """
    return any([bool(callback(owner, record)) for callback in callbacks])


@dataclass
class History:
    """The course of one fit, one entry an epoch.

    Attributes
    ----------
    loss : list of float
        Training loss: the mean over the epoch's rows, each with the parameters it was computed
        with.
    val_loss : list of float
        Validation loss after the epoch; [] without validation data.
    val_metric : list of float
        Validation metric after the epoch: accuracy for the cross entropies, the share of deviance
        explained for poisson, R2 for the others.
    metric : str
        The metric's name: "accuracy", "r2" or "d2".
    seconds : list of float
        Training time of the epoch in seconds, without validation and callbacks.
    rows_per_second : list of float
        Rows trained on in a second.
    learning_rate : list of float
        Learning rate of the epoch's last step.
    """

    metric: str = ""
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_metric: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rows_per_second: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.loss)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A pickle of 0.1 has no learning rates.
        self.__dict__.update({"learning_rate": []} | state)

    def append(self, record: EpochRecord) -> None:
        """Add one epoch's record."""
        for name in ("loss", "seconds", "rows_per_second", "learning_rate"):
            getattr(self, name).append(record[name])
        if record["val_loss"] is not None:
            self.val_loss.append(record["val_loss"])
            self.val_metric.append(record["val_metric"])


METRICS = {
    "squared_error": "r2",
    "cross_entropy": "accuracy",
    "binary_cross_entropy": "accuracy",
    "poisson": "d2",
    "huber": "r2",
    "absolute_error": "r2",
    "quantile": "r2",
}


class Metric:
    """The metric named in `METRICS` on these targets, weighted by row, in float64.

    What depends on the targets alone is computed once, for many judgements.
    """

    def __init__(self, loss: Loss, y: Any, sample_weight: Any) -> None:
        self.name = loss.name
        target: NDArray[Any] = np.asarray(y)
        self.target: NDArray[Any]
        if self.name == "cross_entropy":
            self.target = target.reshape(-1)
        else:
            target = target.astype(np.float64)
            self.target = target.reshape(len(target), -1)
        rows = len(self.target)
        weight = np.ones(rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.weight, self.weight_sum = weight, weight.sum()
        if METRICS[self.name] in ("r2", "d2"):
            self.by_output = weight[:, None]
            mean = (self.target * self.by_output).sum(axis=0) / self.by_output.sum()
            if METRICS[self.name] == "r2":
                self.total = (self.by_output * (self.target - mean) ** 2).sum(axis=0)
            else:
                means = np.broadcast_to(mean, self.target.shape)
                self.total = (self.by_output * _deviance(self.target, means)).sum(axis=0)

    def __call__(self, outputs: NDArray[Any]) -> float:
        """Return the metric of these outputs, (n, d_out)."""
        out = np.asarray(outputs, dtype=np.float64)
        if self.name == "cross_entropy":
            hits = out.argmax(axis=1) == self.target
            return float((hits * self.weight).sum() / self.weight_sum)
        if self.name == "binary_cross_entropy":
            hits_each = ((out > 0) == (self.target > 0.5)).all(axis=1)
            return float((hits_each * self.weight).sum() / self.weight_sum)
        if METRICS[self.name] == "r2":
            error = (self.by_output * (self.target - out) ** 2).sum(axis=0)
        else:
            error = (self.by_output * _deviance(self.target, np.exp(out))).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(
                self.total > 0, 1.0 - error / self.total, np.where(error > 0, 0.0, 1.0)
            )
        return float(scores.mean())


def _deviance(y: NDArray[Any], mu: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(divide="ignore", invalid="ignore"):
        each: NDArray[Any] = np.where(y > 0, y * np.log(y / mu), 0.0) - y + mu
    return each


class Progress:
    """One line a finished epoch: rewritten in a terminal, else printed."""

    def __init__(self, epochs: int, metric: str) -> None:
        self.epochs = epochs
        self.metric = metric
        self.done = 0
        self.live = sys.stderr.isatty()

    def __call__(self, record: EpochRecord) -> None:
        """Report one epoch."""
        self.done += 1
        text = f"epoch {record.epoch} ({self.done}/{self.epochs})  loss {record.loss:.6g}"
        if record.val_loss is not None:
            text += f"  val_loss {record.val_loss:.6g}  val_{self.metric} "
            text += f"{record.val_metric:.4f}"
        text += f"  {record.rows_per_second:,.0f} rows/s"
        sys.stderr.write(("\r\x1b[K" if self.live else "") + text + ("" if self.live else "\n"))
        sys.stderr.flush()

    def close(self) -> None:
        """End the live line."""
        if self.live and self.done:
            sys.stderr.write("\n")

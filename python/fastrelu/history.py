# SPDX-License-Identifier: BSD-3-Clause
"""What a fit leaves behind: its losses and times, epoch by epoch."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import links
from fastrelu.losses import Loss


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
        Validation metric after the epoch: the share of right rows for the cross entropies, the
        share of the deviance explained for losses with a log link, R2 for the others.
    metric : str
        The metric's name: "accuracy", "r2" or "d2".
    seconds : list of float
        Training time of the epoch in seconds, without validation and callbacks.
    rows_per_second : list of float
        Rows trained on in a second.
    """

    metric: str = ""
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_metric: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rows_per_second: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.loss)

    def append(self, record: dict[str, Any]) -> None:
        """Add one epoch's record."""
        for name in ("loss", "val_loss", "val_metric", "seconds", "rows_per_second"):
            if record[name] is not None:
                getattr(self, name).append(record[name])


class Metric:
    """A loss's metric on these targets, weighted by row, in float64.

    What depends on the targets alone is computed once, for many judgements.
    """

    def __init__(self, loss: Loss, y: Any, sample_weight: Any) -> None:
        self.loss, self.name = loss, loss.info.metric
        target: NDArray[Any] = np.asarray(y)
        self.target: NDArray[Any]
        if loss.info.domain.labels:
            self.target = target.reshape(-1)
        else:
            target = target.astype(np.float64)
            self.target = target.reshape(len(target), -1)
        rows = len(self.target)
        weight = np.ones(rows) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self.weight, self.weight_sum = weight, weight.sum()
        if self.name != "accuracy":
            self.by_output = weight[:, None]
            mean = (self.target * self.by_output).sum(axis=0) / self.by_output.sum()
            self.total = self._errors(np.broadcast_to(mean, self.target.shape))

    def __call__(self, outputs: NDArray[Any]) -> float:
        """Return the metric of these outputs, (n, d_out)."""
        out = np.asarray(outputs, dtype=np.float64)
        if self.name == "accuracy":
            return float((self._hits(out) * self.weight).sum() / self.weight_sum)
        error = self._errors(links.inverse(self.loss.info.link, out))
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(
                self.total > 0, 1.0 - error / self.total, np.where(error > 0, 0.0, 1.0)
            )
        return float(scores.mean())

    def _hits(self, out: NDArray[Any]) -> NDArray[Any]:
        """Return which rows are right; where several labels may be, all of them."""
        hits: NDArray[Any]
        if self.loss.info.domain.labels:
            hits = out.argmax(axis=1) == self.target
        else:
            hits = ((out > 0) == (self.target > 0.5)).all(axis=1)
        return hits

    def _errors(self, predicted: NDArray[Any]) -> NDArray[Any]:
        """Return the weighted sum of squared errors or deviances, for each output."""
        if self.name == "r2":
            each = (self.target - predicted) ** 2
        else:
            each = self.loss.deviance(self.target, predicted)
        total: NDArray[Any] = (self.by_output * each).sum(axis=0)
        return total


class Progress:
    """One line a finished epoch: rewritten in a terminal, else printed."""

    def __init__(self, epochs: int, metric: str) -> None:
        self.epochs = epochs
        self.metric = metric
        self.done = 0
        self.live = sys.stderr.isatty()

    def __call__(self, record: dict[str, Any]) -> None:
        """Report one epoch."""
        self.done += 1
        text = f"epoch {record['epoch']} ({self.done}/{self.epochs})  loss {record['loss']:.6g}"
        if record["val_loss"] is not None:
            text += f"  val_loss {record['val_loss']:.6g}  val_{self.metric} "
            text += f"{record['val_metric']:.4f}"
        text += f"  {record['rows_per_second']:,.0f} rows/s"
        sys.stderr.write(("\r\x1b[K" if self.live else "") + text + ("" if self.live else "\n"))
        sys.stderr.flush()

    def close(self) -> None:
        """End the live line."""
        if self.live and self.done:
            sys.stderr.write("\n")

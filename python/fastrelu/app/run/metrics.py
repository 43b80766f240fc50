# SPDX-License-Identifier: BSD-3-Clause
"""How good a network is: loss and metrics, added up over blocks of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import LossSums, Network, Trainer, losses
from fastrelu.app.preprocess import Target
from fastrelu.losses import Loss

METRIC = {"classification": "accuracy", "regression": "r2"}


def predicted(target: Target, loss: Loss, outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return a regression network's outputs in the target's unit, (n,)."""
    values = np.asarray(outputs[:, 0], dtype=np.float64)
    if loss.name == "poisson":
        with np.errstate(over="ignore"):
            return np.exp(values)
    return values * target.std + target.mean


class Scores:
    """Loss and metrics of some rows, block after block, in float64.

    Parameters
    ----------
    target : Target
        What the network predicts.
    loss : Loss
        What it was trained with.
    """

    def __init__(self, target: Target, loss: Loss) -> None:
        self.target, self.kind = target, loss
        self.rows = 0
        self.sums = LossSums()
        # Classification: weight, hits. Regression: weight, and sums over t and the error, both in
        # standard deviations from the mean: t, t^2, error^2, |error|.
        self._sums = np.zeros(5)
        self._bad = False

    def add(
        self,
        truth: NDArray[Any],
        outputs: NDArray[Any],
        weights: NDArray[np.float64] | None,
    ) -> None:
        """Add a block.

        Parameters
        ----------
        truth : ndarray, (n,)
            Class numbers, or the target's values in its own unit.
        outputs : ndarray, (n, n_outputs)
            The network's.
        weights : ndarray, (n,), optional
            Of the rows.
        """
        self.rows += len(truth)
        self._bad = self._bad or not bool(np.isfinite(outputs).all())
        w = np.ones(len(truth)) if weights is None else weights
        if self.target.task == "classification":
            hits = outputs.argmax(axis=1) == truth
            self._sums[:2] += (w.sum(), (w * hits).sum())
            return
        t = (np.asarray(truth, np.float64) - self.target.mean) / self.target.std
        guess = (predicted(self.target, self.kind, outputs) - self.target.mean) / self.target.std
        with np.errstate(over="ignore", invalid="ignore"):
            error = t - guess
            self._sums += (
                w.sum(), (w * t).sum(), (w * t * t).sum(),
                (w * error * error).sum(), (w * np.abs(error)).sum(),
            )  # fmt: skip

    @property
    def finite(self) -> bool:
        """Whether every output was a finite number."""
        return not self._bad

    @property
    def loss(self) -> float:
        """The mean loss."""
        return self.sums.loss

    @property
    def metric(self) -> float:
        """Accuracy or R2."""
        return self.result()[METRIC[self.target.task]]

    def result(self) -> dict[str, float]:
        """Return the metrics: accuracy; or r2, rmse and mae in the target's unit; and the loss."""
        if self.target.task == "classification":
            weight, hits = self._sums[:2]
            return {"accuracy": float(hits / weight) if weight else 0.0, "loss": self.loss}
        weight, t, tt, error, absolute = map(float, self._sums)
        if not weight:
            return {"r2": 0.0, "rmse": 0.0, "mae": 0.0, "loss": self.loss}
        spread = tt - t * t / weight
        constant = spread <= 1e-12 * tt
        r2 = float(error == 0) if constant else 1.0 - error / spread
        return {
            "r2": r2,
            "rmse": math.sqrt(error / weight) * self.target.std,
            "mae": absolute / weight * self.target.std,
            "loss": self.loss,
        }


class Judge:
    """Runs a network over blocks of rows and scores its outputs.

    Parameters
    ----------
    network : Network
        What is judged; as it is when `add` is called.
    target : Target
        What it predicts.
    loss : str or Loss
        What it was trained with.
    """

    def __init__(self, network: Network, target: Target, loss: str | Loss) -> None:
        chosen = losses.as_loss(loss)
        self._trainer = Trainer(network, loss=chosen)
        self.scores = Scores(target, chosen)

    def add(
        self,
        X: Any,
        y: NDArray[Any],
        truth: NDArray[Any],
        loss_weights: NDArray[np.float64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[Any]:
        """Score a block and return the network's outputs for it.

        Parameters
        ----------
        X, y : arrays
            Rows and targets as the network learns them.
        truth : ndarray, (n,)
            Class numbers, or the target's values in its own unit.
        loss_weights : ndarray, (n,), optional
            Weights in the loss.
        weights : ndarray, (n,), optional
            Weights in the metrics.
        """
        total = float(len(y)) if loss_weights is None else float(loss_weights.sum())
        data = self._trainer.prepare(X, y, loss_weights if total > 0 else None, check_finite=True)
        outputs = self._trainer.add_losses(data, self.scores.sums)
        self.scores.add(truth, outputs, weights)
        return outputs

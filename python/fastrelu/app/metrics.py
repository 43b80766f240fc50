# SPDX-License-Identifier: BSD-3-Clause
"""How good a network is: loss and metrics, added up over blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import LossSums, Network, Trainer, links, losses
from fastrelu.app.class_rows import ClassRows
from fastrelu.app.preprocess import Examples, Target
from fastrelu.losses import Loss


def predicted(target: Target, loss: Loss, outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return a regression network's outputs in the target's unit, (n,)."""
    values = links.inverse(loss.info.link, np.asarray(outputs, np.float64))[:, 0]
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
        self.target, self.loss_kind = target, loss
        self.rows = 0
        self.sums = LossSums()
        # Classification: weight, hits. Regression: weight, and sums over t and the error, both in
        # standard deviations from the mean: t, t^2, error^2, |error|.
        self._sums = np.zeros(5)
        # Of a loss with a deviance: that of the predictions, and that of one constant.
        self._deviances, self._constant = np.zeros(2), 0.0
        self._bad = False
        self._kept = ClassRows(target, loss) if target.task == "classification" else None

    def add(
        self,
        truth: NDArray[Any],
        outputs: NDArray[Any],
        weights: NDArray[np.float64] | None,
    ) -> None:
        """Add a block, whose sums are found before they are added: the bits depend on its rows.

        Parameters
        ----------
        truth : ndarray, (n,)
            Class numbers, or the target's values in its own unit.
        outputs : ndarray, (n, n_outputs)
            The network's outputs for them.
        weights : ndarray, (n,), optional
            The rows' weights.
        """
        self.rows += len(truth)
        self._bad = self._bad or not bool(np.isfinite(outputs).all())
        w = np.ones(len(truth)) if weights is None else weights
        if self._kept is not None:
            hits = self._kept.add(truth, outputs, weights) == truth
            self._sums[:2] += (w.sum(), (w * hits).sum())
            return
        y, mu = np.asarray(truth, np.float64), predicted(self.target, self.loss_kind, outputs)
        if self.loss_kind.info.metric == "d2":
            self._add_deviances(y, mu, w)
        t = (y - self.target.mean) / self.target.std
        guess = (mu - self.target.mean) / self.target.std
        with np.errstate(over="ignore", invalid="ignore"):
            error = t - guess
            self._sums += (
                w.sum(), (w * t).sum(), (w * t * t).sum(),
                (w * error * error).sum(), (w * np.abs(error)).sum(),
            )  # fmt: skip

    def _add_deviances(self, y: NDArray[Any], mu: NDArray[Any], w: NDArray[Any]) -> None:
        if not self._constant:  # about the mean of the first rows, or 1
            self._constant = float((w * y).sum() / (w.sum() or 1.0)) or 1.0
        with np.errstate(all="ignore"):
            for k, guess in enumerate((mu, np.full_like(y, self._constant))):
                self._deviances[k] += (w * self.loss_kind.deviance(y, guess)).sum()

    def _explained(self, mean: float, weight: float) -> float:
        """Return the share of the deviance from the mean that is explained.

        A deviance is linear in y but for a term of y alone, so its sum about any other constant
        gives that about the mean.
        """
        left, total = map(float, self._deviances)
        about = self.loss_kind.deviance(np.array([mean]), np.array([self._constant]))
        return 1.0 - left / (total - weight * float(about[0]))

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
        """The loss's metric."""
        name = self.loss_kind.info.metric
        return self._accuracy() if name == "accuracy" else float(self.result()[name])

    def _accuracy(self) -> float:
        weight, hits = map(float, self._sums[:2])
        return hits / weight if weight else 0.0

    @property
    def class_rows(self) -> ClassRows | None:
        """Rows with their classes and probabilities; None in regression."""
        return self._kept

    def result(self) -> dict[str, Any]:
        """Return the metrics: those of classes; or r2, rmse and mae in the target's unit; the loss.

        Of classes: accuracy, balanced_accuracy, roc_auc, average_precision and brier, as
        `ClassRows.metrics` has them. With a loss that has a deviance, the share of it that is
        explained, d2, comes first.
        """
        if self._kept is not None:
            return {"accuracy": self._accuracy(), **self._kept.metrics(), "loss": self.loss}
        weight, t, tt, error, absolute = map(float, self._sums)
        has_deviance = self.loss_kind.info.metric == "d2"
        shares = ("d2", "r2") if has_deviance else ("r2",)
        if not weight:
            return dict.fromkeys((*shares, "rmse", "mae"), 0.0) | {"loss": self.loss}
        spread = tt - t * t / weight
        constant = spread <= 1e-12 * tt
        explained = dict.fromkeys(shares, float(error == 0))
        if not constant:
            explained["r2"] = 1.0 - error / spread
        if has_deviance and not constant:
            mean = t / weight * self.target.std + self.target.mean
            explained["d2"] = self._explained(mean, weight)
        return explained | {
            "rmse": math.sqrt(error / weight) * self.target.std,
            "mae": absolute / weight * self.target.std,
            "loss": self.loss,
        }


def evaluate(
    network: Network,
    batches: Iterable[Examples],
    target: Target,
    loss: str | Loss,
    check_finite: bool = True,
) -> Scores:
    """Return the scores of a network on rows that come in batches.

    Parameters
    ----------
    network : Network
        Evaluated as it is.
    batches : iterable of Examples
        The rows; those of a batch may come in pieces.
    target : Target
        What the network predicts.
    loss : str or Loss
        What it was trained with.
    check_finite : bool
        Whether inputs that are not finite are refused.
    """
    chosen = losses.as_loss(loss)
    trainer, scores = Trainer(network, loss=chosen), Scores(target, chosen)
    judged: list[tuple[Any, ...]] = []  # pieces of the open batch, without their inputs
    for rows in batches:
        weights = rows.loss_weights if rows.counted else None
        data = trainer.prepare(rows.X, rows.y, weights, check_finite=check_finite)
        judged.append((rows.truth, trainer.add_losses(data, scores.sums), rows.weights))
        if not rows.more:
            scores.add(*map(_one, zip(*judged, strict=True)))
            judged = []
    return scores


def _one(arrays: tuple[Any, ...]) -> Any:
    """Return arrays one after another as one; None if they are none."""
    return arrays[0] if len(arrays) == 1 or arrays[0] is None else np.concatenate(arrays)

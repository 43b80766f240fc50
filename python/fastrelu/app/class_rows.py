# SPDX-License-Identifier: BSD-3-Clause
"""Rows with their classes and probabilities, for what cannot be added up block after block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import links, ranking
from fastrelu.app.preprocess import Target
from fastrelu.losses import Loss

#: Of more numbers, rows times classes, evenly spread rows are kept: 16 MiB of float32.
MOST_NUMBERS = 1 << 22


class ClassRows:
    """Rows of a classification, kept for their order by probabilities.

    Parameters
    ----------
    target : Target
        What the network predicts.
    loss : Loss
        What it was trained with.
    """

    def __init__(self, target: Target, loss: Loss) -> None:
        self.target, self._link = target, loss.info.link
        self._blocks: list[tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]] = []
        self._most = max(1, MOST_NUMBERS // target.n_outputs)
        self._seen, self._every = 0, 1

    def add(
        self, truth: NDArray[Any], outputs: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> NDArray[np.intp]:
        """Keep a block and return the class numbers predicted, (n,).

        Parameters
        ----------
        truth : ndarray of int, (n,)
            Class numbers.
        outputs : ndarray, (n, n_classes)
            The network's outputs.
        weight : ndarray of float64, (n,), optional
            The rows' weights.
        """
        some = slice(-self._seen % self._every, None, self._every)
        self._seen += len(truth)
        kept = None if weight is None else np.array(weight[some])
        self._blocks.append((np.array(truth[some]), np.array(outputs[some]), kept))
        while -(-self._seen // self._every) > self._most:
            self._blocks = [self._thinned()]
            self._every *= 2
        if self.target.threshold is None:  # probabilities are in the order of the outputs
            return self.target.chosen(outputs)
        return self.target.chosen(links.inverse(self._link, outputs))

    def _thinned(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
        truth, outputs, weight = self._joined()
        return truth[::2], outputs[::2], None if weight is None else weight[::2]

    def _joined(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
        if not self._blocks:
            return np.zeros(0, np.int64), np.zeros((0, self.target.n_outputs), np.float32), None
        truths, outputs, weights = zip(*self._blocks, strict=True)
        weight = None
        if any(w is not None for w in weights):
            weight = np.concatenate(
                [np.ones(len(t)) if w is None else w for t, w in zip(truths, weights, strict=True)]
            )
        return np.concatenate(truths), np.concatenate(outputs), weight

    @property
    def rows(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
        """The rows kept: class numbers, probabilities (n, n_classes), and weights or None."""
        truth, outputs, weight = self._joined()
        return truth, links.inverse(self._link, outputs), weight

    @property
    def absent(self) -> list[int]:
        """The numbers of the classes that no row, or none of a weight above 0, is of."""
        truth, _, weight = self._joined()
        found = np.bincount(truth, weight, minlength=self.target.n_outputs)
        return np.flatnonzero(found == 0).tolist()

    def metrics(self) -> dict[str, float | None]:
        """Return the metrics that the order of the rows, or the classes' shares, lead to.

        Returns
        -------
        dict
            balanced_accuracy; roc_auc and average_precision: of the second of two classes, and of
            more the means over the classes that there are rows of, each against all others; brier.
            None for what is not defined, as where all rows are of one class.
        """
        truth, p, weight = self.rows
        balanced = ranking.balanced_accuracy(truth, self.target.chosen(p), p.shape[1], weight)
        if p.shape[1] == 2:
            ranked = ranking.rank_rows(truth == 1, p[:, 1], weight)
            areas = np.array([ranked.roc_auc()])
            precisions = np.array([ranked.average_precision()])
        else:
            areas, precisions = ranking.one_vs_rest(truth, p, weight)
        found = {
            "balanced_accuracy": balanced,
            "roc_auc": _mean(areas),
            "average_precision": _mean(precisions),
            "brier": ranking.brier_score(truth, p, weight),
        }
        return {name: None if math.isnan(value) else value for name, value in found.items()}


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the numbers that there are."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else math.nan

# SPDX-License-Identifier: BSD-3-Clause
"""Whether the proof covers what a trainer is about to do."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastrelu._arguments import reals
from fastrelu.convergence._constants import SLACK
from fastrelu.convergence._problem import LOSSES, rows_of
from fastrelu.optimizers import SGD
from fastrelu.schedules import inverse_time
from fastrelu.trainer import Trainer


def check(
    trainer: Trainer,
    X: ArrayLike,
    *,
    sampling: str = "shuffle",
    sample_weight: ArrayLike | None = None,
) -> list[str]:
    """Return the assumptions of the proof that a fit of this trainer would not meet.

    Parameters
    ----------
    trainer : Trainer
        The trainer that is going to be used.
    X : array_like, (n, d_in)
        The rows that it is going to be fitted to.
    sampling : {"shuffle", "subset", "with_replacement"}
        How each step is going to draw its rows.
    sample_weight : array_like, (n,), optional
        The weights of the rows.

    Returns
    -------
    list of str
        One sentence for each assumption that is not met; empty if the proof covers the fit.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import convergence
    >>> X = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]), optimizer=fastrelu.SGD(0.1))
    >>> for reason in convergence.check(trainer, X, sampling="subset"):
    ...     print(reason)
    the steps are not 1 / (2 ell k) (inverse_time): 0.1
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer: expected a fastrelu.Trainer, got {trainer!r}")
    if sampling not in ("shuffle", "subset", "with_replacement"):
        raise ValueError(
            f"sampling: expected subset, with_replacement or shuffle, got {sampling!r}"
        )
    rows = rows_of(X, trainer.network.layer_sizes[0]) * trainer.network.scale
    reasons = []
    if sampling == "shuffle":
        reasons.append("the steps of a shuffled epoch are not independent of one another")
    if trainer.n_steps > 0:
        reasons.append(
            f"the trainer has taken {trainer.n_steps} steps before, and nothing is known of how "
            "their rows were drawn: the proof is about all steps from the first on"
        )
    if sample_weight is not None and not _are_equal(sample_weight, len(rows)):
        reasons.append(
            "rows have different weights: each minibatch is divided by the sum of its own, so that "
            "the mean of its gradients is not grad f"
        )
    optimizer = trainer.optimizer
    plain = isinstance(optimizer, SGD) and optimizer.momentum == 0
    if not plain:
        reasons.append(f"the steps are not plain SGD: {optimizer!r}")
    if trainer.clip_norm is not None:
        reasons.append("clip_norm shortens some gradients, so that their mean is not grad f")
    if trainer.input_scale_rate:
        reasons.append(
            "the inputs have learned factors (input_scale_rate): the loss is not convex in a "
            "factor and a weight that are multiplied"
        )
    if len(trainer.network.layer_sizes) > 2:
        reasons.append(
            "hidden layers are trained: the loss is not convex in their weights, and neither ell "
            "nor a single minimum exists (features= studies the last layer on frozen ones)"
        )
        return reasons
    ell = _modulus(trainer, rows)
    if ell is None:
        reasons.append(
            f"{trainer.loss.name} is strongly convex only with a penalty on every parameter: "
            "weight_decay > 0, and a column of ones in X instead of biases, which it leaves out"
            if trainer.loss.name in LOSSES
            else f"nothing is known here about the constants of {trainer.loss.name}"
        )
    rate = optimizer.learning_rate
    if not isinstance(rate, inverse_time):
        reasons.append(f"the steps are not 1 / (2 ell k) (inverse_time): {rate!r}")
    elif ell is not None and rate.ell > ell * (1 + SLACK):
        reasons.append(f"ell = {rate.ell:.6g} is more than the modulus known, {ell:.6g}")
    return reasons


def _are_equal(sample_weight: ArrayLike, n: int) -> bool:
    weights = reals("sample_weight", sample_weight)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight: expected shape ({n},), got {weights.shape}")
    return bool((weights == weights[0]).all())


def _modulus(trainer: Trainer, rows: np.ndarray) -> float | None:
    """Return a modulus of strong convexity of a network without hidden layers, if one is known."""
    net, decay = trainer.network, getattr(trainer.optimizer, "weight_decay", 0.0)
    if trainer.loss.name != "squared_error":
        known = trainer.loss.name in LOSSES and decay > 0 and not net.bias
        return float(decay) if known else None
    penalty = np.full(rows.shape[1], float(decay))
    if net.bias:
        rows = np.hstack([rows, np.ones((len(rows), 1))])
        penalty = np.append(penalty, 0.0)
    matrix = rows.T @ rows / (len(rows) * net.layer_sizes[-1]) + np.diag(penalty)
    values = np.linalg.eigvalsh(matrix)
    least = float(values[0])
    return least if least > len(values) * np.finfo(float).eps * values[-1] else None

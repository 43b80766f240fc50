# SPDX-License-Identifier: BSD-3-Clause
"""Minibatch SGD: which rows make each step, and what a step does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastrelu._arguments import dropout_rates

from . import random
from .blocks import epoch_blocks
from .input_scales import InputScales
from .layers import Dropout
from .loss import as_loss
from .minibatch import check_outputs, reported_loss
from .network import Network, minibatch_gradient
from .optimizers import SGD, State, as_optimizer, clip, squared_norm
from .random import Rows
from .sparse import as_rows


def split(n: int, parts: int) -> list[int]:
    """Return the sizes of n things cut into parts: the first n mod parts are one larger."""
    return [n // parts + (s < n % parts) for s in range(parts)]


def runs(n: int, parts: int) -> list[Rows]:
    """Return the rows 0..n-1 cut into contiguous runs."""
    ends = np.cumsum(split(n, parts))
    return [np.arange(end - size, end) for end, size in zip(ends, split(n, parts), strict=True)]


class Trainer:
    """Trains a network in place by minibatch SGD or one of its relatives.

    Parameters
    ----------
    network : Network
        The network; it is trained in place.
    loss : str or loss object
        The loss; `reference.losses` has them.
    optimizer : str or optimizer object, optional
        ``SGD(0.1)`` by default.
    batch_size : int
        The number of rows of a minibatch, >= n_shards.
    seed : int
        Seed of the row order.
    clip_norm : float, optional
        The largest Euclidean norm of a step's gradient.
    dropout : float or sequence of float
        The probability that a hidden unit is dropped from a step: one for all hidden layers, or
        one for each.
    input_scale_rate : float
        How many times the learning rate that of learned factors of the inputs is; 0: there are
        none.
    n_shards : int
        The number of contiguous runs into which the rows are cut.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import reference
    >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    >>> theirs = reference.Trainer(reference.Network([1, 1]), batch_size=2)
    >>> ours = fastrelu.Trainer(fastrelu.Network([1, 1]), batch_size=2)
    >>> theirs.fit(X, y, epochs=3) == ours.fit(X, y, epochs=3).loss  # to the last bit
    True
    """

    def __init__(
        self,
        network: Network,
        *,
        loss: Any = "squared_error",
        optimizer: Any = None,
        batch_size: int = 32,
        seed: int = 0,
        clip_norm: float | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_scale_rate: float = 0.0,
        n_shards: int = 1,
    ) -> None:
        if batch_size < n_shards:
            raise ValueError(f"batch_size: expected at least n_shards={n_shards}, got {batch_size}")
        self.network = network
        self.loss = as_loss(loss)
        check_outputs(self.loss, network.layer_sizes[-1])
        self.optimizer = as_optimizer(SGD(0.1) if optimizer is None else optimizer)
        self.batch_size, self.seed = batch_size, seed
        self.clip_norm, self.n_shards = clip_norm, n_shards
        self.dropout = dropout_rates(dropout, len(network.layer_sizes) - 2)
        self.state = State(network.arrays)
        self.scales = InputScales(network, input_scale_rate) if input_scale_rate else None
        self.k = 0  # steps made
        self.epoch = 0  # epochs begun

    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one step on exactly this minibatch.

        Parameters
        ----------
        X : array_like or sparse matrix, (n, d_in)
            The rows.
        y : array_like
            Targets, (n, d_out) ((n,) also for one output), or integer labels, (n,).
        sample_weight : array_like, (n,), optional
            Weights of the rows.

        Returns
        -------
        float
            The loss of the minibatch before the step.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([1, 1])
        >>> net.set_parameters([0, 0])
        >>> trainer = reference.Trainer(net, optimizer=reference.SGD(1.0))
        >>> trainer.step([[1.0]], [1.0]), net.parameters.tolist()
        (0.5, [1.0, 1.0])
        """
        shards = runs(len(as_rows(X)), self.n_shards)
        return reported_loss(*self._step(X, y, sample_weight, shards))

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        epochs: int,
        sample_weight: ArrayLike | None = None,
        sampling: str = "shuffle",
    ) -> list[float]:
        """Make `epochs` more epochs over the rows; return the mean loss of each.

        Parameters
        ----------
        X, y, sample_weight : array_like
            Rows, targets or labels, and optional weights.
        epochs : int
            The number of epochs.
        sampling : {"shuffle", "subset", "with_replacement"}
            Each epoch visits every row once, in random order; or each step independently draws
            batch_size rows, without or with replacement.

        Returns
        -------
        list of float
            The mean loss of each epoch.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([1, 1])
        >>> net.set_parameters([0, 0])
        >>> trainer = reference.Trainer(net, optimizer=reference.SGD(1.0))
        >>> trainer.fit([[1.0]], [1.0], epochs=2)
        [0.5, 0.5]
        """
        X = as_rows(X)
        losses = []
        for _ in range(epochs):
            self.epoch += 1
            total = weight_sum = 0.0
            for shards in self._minibatches(len(X), sampling):
                step_total, step_weight = self._step(X, y, sample_weight, shards)
                total += step_total
                weight_sum += step_weight
            losses.append(reported_loss(total, weight_sum))
        return losses

    def fit_blocks(
        self,
        X: ArrayLike,
        y: ArrayLike,
        chunks: Sequence[Rows],
        block_rows: int,
        epochs: int,
        sample_weight: ArrayLike | None = None,
    ) -> list[float]:
        """Make `epochs` epochs over rows that come in blocks; return the mean loss of each.

        Parameters
        ----------
        X, y, sample_weight : array_like
            Rows, targets or labels, and optional weights.
        chunks : sequence of int arrays
            The training rows of each chunk.
        block_rows : int
            The number of rows of a block, a multiple of the batch size.
        epochs : int
            The number of epochs.

        Returns
        -------
        list of float
            The mean loss of each epoch.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([1, 1])
        >>> net.set_parameters([0, 0])
        >>> trainer = reference.Trainer(net, batch_size=1, optimizer=reference.SGD(1.0))
        >>> X, y = [[1.0], [1.0]], [1.0, 1.0]
        >>> trainer.fit_blocks(X, y, chunks=[[0], [1]], block_rows=1, epochs=1)
        [0.5]
        """
        losses = []
        for _ in range(epochs):
            self.epoch += 1
            total = weight_sum = 0.0
            for block in epoch_blocks(self.seed, self.epoch, chunks, block_rows):
                for begin in range(0, len(block), self.batch_size):
                    rows = block[begin : begin + self.batch_size]
                    step_total, step_weight = self._step(X, y, sample_weight, [rows])
                    total += step_total
                    weight_sum += step_weight
            losses.append(reported_loss(total, weight_sum))
        return losses

    def fit_ordered(
        self,
        X: ArrayLike,
        y: ArrayLike,
        order: ArrayLike,
        batch_size: int,
        rates: Sequence[float],
        alpha: float = 0.0,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, float]:
        """Make one epoch over rows in a given order, with scikit-learn's penalty.

        Parameters
        ----------
        X, y, sample_weight : array_like
            Rows, targets or labels, and optional weights.
        order : array_like of int
            The epoch's rows; each minibatch takes the next `batch_size` of them.
        batch_size : int
            The number of rows of a minibatch.
        rates : sequence of float
            The learning rate of each step.
        alpha : float
            The penalty is alpha / 2 times the squared norm of the weights, divided by the sum of
            the minibatch's row weights.

        Returns
        -------
        loss, penalty : float
            Sums over the minibatches of the number of rows times the value before the update.

        Examples
        --------
        >>> from fastrelu import reference
        >>> net = reference.Network([1, 1])
        >>> net.set_parameters([0, 0])
        >>> trainer = reference.Trainer(net)
        >>> trainer.fit_ordered([[1.0]], [1.0], order=[0], batch_size=1, rates=[1.0])
        (0.5, 0.0)
        """
        net, rows = self.network, np.asarray(order)
        total_loss = total_penalty = 0.0
        for i, rate in enumerate(rates):
            batch = rows[i * batch_size : (i + 1) * batch_size]
            self.k += 1
            masks = Dropout(self.dropout, self.seed, self.k)
            loss, weight_sum, g = minibatch_gradient(
                net, X, y, self.loss, sample_weight, [batch], masks
            )
            decay = alpha / weight_sum if weight_sum != 0 else 0.0
            penalty = 0.0
            if alpha > 0 and weight_sum != 0:
                penalty = (0.5 * alpha * squared_norm(net.weights, ())) / weight_sum
            step = replace(self.optimizer, learning_rate=rate, weight_decay=decay)
            step.apply(net.arrays, g.arrays, self.state, self.k)
            total_loss += len(batch) * reported_loss(loss, weight_sum)
            total_penalty += len(batch) * penalty
        return total_loss, total_penalty

    def _step(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, shards: list[Rows]
    ) -> tuple[float, float]:
        """Gradient, clipping, update; return the minibatch's loss sum and weight sum."""
        net = self.network
        self.k += 1
        masks = Dropout(self.dropout, self.seed, self.k)
        total, weight_sum, g = minibatch_gradient(
            net, X, y, self.loss, sample_weight, shards, masks
        )
        clip(g.weights, g.biases, self.clip_norm)
        if self.scales is None:
            self.optimizer.apply(net.arrays, g.arrays, self.state, self.k)
        else:
            self.scales.apply(net, g.arrays, self.optimizer, self.state, self.k)
        return total, weight_sum

    # The rows of an epoch's minibatches, each a list of its shards' rows

    def _minibatches(self, n: int, sampling: str) -> list[list[Rows]]:
        if sampling == "shuffle":
            return self._shuffled(n)
        draw = {"subset": random.subset, "with_replacement": random.with_replacement}[sampling]
        m = min(self.batch_size, n)
        steps = range(self.k + 1, self.k + 1 + -(-n // self.batch_size))
        return [self._by_shard(draw(self.seed, k, n, m), n) for k in steps]

    def _shuffled(self, n: int) -> list[list[Rows]]:
        """Each shard gives its share from its own row order until it has run out."""
        shares = split(self.batch_size, self.n_shards)
        orders = [
            random.row_order(self.seed, self.epoch, s, len(run), int(run[0]) if len(run) else 0)
            for s, run in enumerate(runs(n, self.n_shards))
        ]
        steps = max(-(-len(o) // share) for o, share in zip(orders, shares, strict=True))
        return [
            [o[t * share : (t + 1) * share] for o, share in zip(orders, shares, strict=True)]
            for t in range(steps)
        ]

    def _by_shard(self, rows: Rows, n: int) -> list[Rows]:
        """Group drawn rows by shard, in the order of the draw inside each."""
        return [rows[np.isin(rows, run)] for run in runs(n, self.n_shards)]

# SPDX-License-Identifier: BSD-3-Clause
"""The epochs of a fit by sgd or adam: scikit-learn's loop around the core's epochs."""

from __future__ import annotations

import math
import time
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastrelu import _core
from fastrelu.sklearn import losses
from fastrelu.sklearn.held import held
from fastrelu.sklearn.optimizer import Optimizer
from fastrelu.sklearn.progress import Reporter
from fastrelu.sklearn.stretch import Stretches, can_stretch
from fastrelu.sklearn.threads import search_of_thread, thread_share
from fastrelu.sklearn.validation import Validation, split_rows

Array = NDArray[Any]


class Targets:
    """The targets of a fit.

    Attributes
    ----------
    core : ndarray
        As the core takes them: labels 0..K-1, or (n, K) values.
    labels : ndarray
        As the user gave them.
    stratify : ndarray or None
        What a validation split keeps the shares of.
    """

    def __init__(self, core: Array, labels: Array, stratify: Array | None) -> None:
        self.core, self.labels, self.stratify = core, labels, stratify


def fit_stochastic(
    est: Any,
    X: Any,
    targets: Targets,
    sample_weight: Array | None,
    score_weight: Array | None,
    validation: Validation | None,
    incremental: bool,
) -> None:
    """Run the epochs; `score_weight` are the weights without the classes' part."""
    net = est._live_network()
    if not incremental or not hasattr(est, "_optimizer"):
        seed = est._random_state.randint(2**31 - 1) if any(est._dropout_rates()) else 0
        est._optimizer = Optimizer(est, int(seed))
    if est.early_stopping and incremental:
        raise ValueError("partial_fit does not support early_stopping=True")

    rows: Array | None = None
    if est.early_stopping and validation is None:
        rows, out = split_rows(est, X.shape[0], targets.stratify)
        weight = None if score_weight is None else score_weight[out]
        validation = Validation(est, X[out], targets.core[out], targets.labels[out], weight)
    count = X.shape[0] if rows is None else len(rows)
    batch_size = minibatch_rows(est.batch_size, count)
    trainer = est._optimizer.bind(net, losses.core_loss(est), est._dropout_rates())
    trainer.forget_kept()
    with _core.DefaultFloatingPoint():
        data = trainer.data(X, targets.core, sample_weight, False)
    arrays = X, targets.core, sample_weight
    run = Run(est, trainer, data, arrays, rows, count, batch_size, validation)
    stretches = Stretches(run) if can_stretch(run, incremental) else None
    # The other fits of a search are waited for by a thread of its own, which runs the epochs.
    waits = stretches is not None and stretches.waits
    with nullcontext() if waits else held(net):
        _run_epochs(run, stretches, waits, incremental)
        if est.early_stopping:
            net.parameters[:] = est._best_parameters


def _run_epochs(run: Run, stretches: Stretches | None, waits: bool, incremental: bool) -> None:
    est = run.est
    try:
        with thread_share(est.n_threads, waits) as share:
            est.n_iter_ = 0
            while est.n_iter_ < est.max_iter:
                share.update()
                if stretches is None:
                    run.epoch()
                else:
                    stretches.next(est.max_iter - est.n_iter_)
                if run.stops() or incremental:
                    break
                if est.n_iter_ == est.max_iter:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) "
                        "reached and the optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=3,
                    )
            if run.guarded:
                run.trainer.keep_finite()
                run.raise_if_diverged()
    except KeyboardInterrupt:
        if search_of_thread() is not None:
            raise  # half a fit is no candidate's
        warnings.warn("Training interrupted by user.", stacklevel=3)
    finally:
        run.reporter.close()


def minibatch_rows(batch_size: Any, count: int) -> int:
    """Return the rows of a minibatch, as scikit-learn reads `batch_size`."""
    if batch_size == "auto":
        return min(200, count)
    if batch_size > count:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=3,
        )
    return int(min(max(batch_size, 1), count))


class Run:
    """One fit's epochs, from the order of their rows to the decision to go on."""

    def __init__(
        self,
        est: Any,
        trainer: _core.Trainer,
        data: _core.DataSet,
        arrays: tuple[Any, Array, Array | None],
        rows: Array | None,
        count: int,
        batch_size: int,
        validation: Validation | None,
    ) -> None:
        self.est, self.trainer, self.data, self.arrays = est, trainer, data, arrays
        self.count, self.batch_size = count, batch_size
        self.steps = math.ceil(count / batch_size)
        self.validation = validation
        # With early stopping a fit that diverges ends in the best weights, as in scikit-learn.
        self.guarded = not est.early_stopping
        self.watches_loss = est.monitor is not None or est._validation_given
        self.order = np.arange(count) if rows is None else rows.astype(np.int64, copy=False)
        self.divisor = losses.loss_divisor(est)
        self.reporter = Reporter(est)
        self.rate = self.seconds = 0.0  # of the epoch run last

    def epoch(self) -> None:
        """Run one epoch and write down what came of it."""
        est = self.est
        if est.shuffle:
            permutation = np.arange(self.count)
            est._random_state.shuffle(permutation)
            self.order = self.order[permutation]
        optimizer: Optimizer = est._optimizer
        rates = optimizer.rates(self.steps)
        self.rate = float(rates[-1])
        self.reporter.begin_epoch()
        began = time.perf_counter()
        _, loss, penalty = self.trainer.run_ordered(
            self.data, self.order, self.batch_size, rates, float(est.alpha), self.guarded
        )
        self.seconds = time.perf_counter() - began
        self.raise_if_diverged()
        est.n_iter_ += 1
        est.loss_ = (loss / self.divisor + penalty) / self.count
        est.t_ += self.count
        est.loss_curve_.append(est.loss_)
        self.reporter.loss()
        self._watch()
        optimizer.iteration_ends(est.t_)

    def raise_if_diverged(self) -> None:
        """Raise ValueError, as scikit-learn does, if a number was not finite; it is undone then."""
        if self.guarded and self.trainer.divergence is not None:
            step, loss = self.trainer.divergence
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may"
                " contain large values and need to be preprocessed."
                f" (Step {step}, loss {loss:g}; the last finite weights are kept.)"
            )

    def _watch(self) -> None:
        est = self.est
        if self.validation is not None:
            loss = self.validation.loss(self.trainer) if self.watches_loss else None
            if loss is not None:
                est.validation_loss_curve_.append(loss)
            if est.early_stopping or est._validation_given:
                score = self.validation.score(loss)
                est.validation_scores_.append(score)
                self.reporter.score()
                if est.early_stopping:
                    self._update_no_improvement_count(score)
                    return
        if est.loss_curve_[-1] > est.best_loss_ - est.tol:
            est._no_improvement_count += 1
        else:
            est._no_improvement_count = 0
        if est.loss_curve_[-1] < est.best_loss_:
            est.best_loss_ = est.loss_curve_[-1]

    def _update_no_improvement_count(self, score: float) -> None:
        est = self.est
        if score < est.best_validation_score_ + est.tol:
            est._no_improvement_count += 1
        else:
            est._no_improvement_count = 0
        if score > est.best_validation_score_:
            est.best_validation_score_ = score
            est._best_parameters = est._live_network().parameters.copy()

    def stops(self) -> bool:
        """Whether this was the last epoch; slows an adaptive rate down."""
        est = self.est
        asked = self.reporter.end_epoch(self.rate, self.seconds, self.count)
        if est._no_improvement_count <= est.n_iter_no_change:
            return asked
        what = "Validation score" if est.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={est.tol:f} for "
            f"{est.n_iter_no_change} consecutive epochs."
        )
        optimizer: Optimizer = est._optimizer
        slower = optimizer.should_stop()
        if slower is None:
            small = optimizer.schedule == "adaptive" and optimizer.kind == "sgd"
            ending = " Learning rate too small. Stopping." if small else " Stopping."
            self.reporter.message(message + ending)
            return True
        self.reporter.message(f"{message} {slower}")
        est._no_improvement_count = 0
        return asked

# SPDX-License-Identifier: BSD-3-Clause
"""What a fit tells while it runs: callbacks, and lines or a bar on standard output."""

from __future__ import annotations

import sys
import time
from typing import Any

from fastrelu.history import EpochRecord, call_callbacks, checked_callbacks

try:  # scikit-learn's callback protocol, where the installed release has it
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for a scikit-learn without callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Reporter", "with_callbacks"]


class Reporter:
    """Reports one fit.

    With `verbose`, scikit-learn's own lines, or in a terminal one line that is rewritten. Each
    callable in ``callbacks`` is called ``callback(estimator, record)`` after each epoch, with an
    `EpochRecord`; one that returns something true ends the fit. scikit-learn's callbacks see one
    task for each epoch.
    """

    validates = True  # whether there may be validation rows

    def __init__(self, est: Any) -> None:
        self.est = est
        self.bar = est.verbose is True and sys.stdout.isatty()
        self.began = time.perf_counter()
        self.callables = checked_callbacks(est.callbacks or ())
        self.context = getattr(est, "_callback_fit_ctx", None)
        self.task: Any = None

    @property
    def speaks(self) -> bool:
        """Whether there is something to tell after each epoch."""
        return bool(self.est.verbose or self.callables or self.context is not None)

    def begin_epoch(self) -> None:
        """Open the epoch's task."""
        if self.context is not None:
            self.task = self.context.subcontext(task_name="epoch")
            self.task.call_on_fit_task_begin(estimator=self.est)

    def loss(self) -> None:
        """Print the epoch's loss."""
        est = self.est
        if est.verbose and not self.bar:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")

    def score(self) -> None:
        """Print the epoch's validation score."""
        if self.est.verbose and not self.bar:
            print(f"Validation score: {self.est.validation_scores_[-1]:f}")

    def message(self, text: str) -> None:
        """Print why the fit ends or slows down."""
        if self.est.verbose:
            print(("\n" if self.bar else "") + text)

    def end_epoch(self, learning_rate: float | None, seconds: float, rows: int) -> bool:
        """Draw the bar, call the callbacks; whether one of them asks to stop.

        Parameters
        ----------
        learning_rate : float or None
            That of the epoch's last step.
        seconds : float
            Time spent training in the epoch.
        rows : int
            Rows trained on in that time.
        """
        est = self.est
        if self.bar:
            self._draw()
        stop = False
        if self.callables:
            record = EpochRecord(
                epoch=est.n_iter_,
                loss=est.loss_,
                val_loss=self._last("validation_loss_curve_"),
                val_metric=self._last("validation_scores_"),
                learning_rate=learning_rate,
                seconds=seconds,
                rows_per_second=rows / max(seconds, 1e-9),
            )
            stop = call_callbacks(self.callables, est, record)
        if self.task is not None:
            ended = self.task.call_on_fit_task_end(
                estimator=est, reconstruction_attributes=est._fitted_copy
            )
            stop = bool(ended) or stop
        return stop

    def _last(self, curve: str) -> float | None:
        return last(getattr(self.est, curve, None)) if self.validates else None

    def _draw(self) -> None:
        est = self.est
        done = 20 * est.n_iter_ // est.max_iter
        score = last(est.validation_scores_)
        text = f"epoch {est.n_iter_}/{est.max_iter} [{'#' * done}{'.' * (20 - done)}] "
        text += f"loss {est.loss_:.6g}" + ("" if score is None else f"  score {score:.4f}")
        sys.stdout.write(f"\r\x1b[K{text}  {time.perf_counter() - self.began:.1f} s")
        sys.stdout.flush()

    def close(self) -> None:
        """End the bar's line."""
        if self.bar:
            sys.stdout.write("\n")


def last(values: Any) -> Any:
    """Return the last value, or None without any."""
    return values[-1] if values else None

# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of a fit, epoch by epoch: records for callbacks, and their history."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import links
from fastrelu.losses import Loss

__all__ = [
    "FORMER_KEYS",
    "RECORD_KEYS",
    "Callback",
    "EpochRecord",
    "History",
    "Metric",
    "Progress",
    "call_callbacks",
    "checked_callbacks",
]


class EpochRecord(dict[str, Any]):
    """The numbers of one epoch, the same for `Trainer`, the estimators and ``fastrelu train``.

    It is a dict whose values are attributes too: ``record.loss`` is ``record["loss"]``.

    Attributes
    ----------
    epoch : int
        The number of the epoch, from 1; with the solver lbfgs that of the iteration.
    loss : float
        The training loss: the mean over the epoch's rows, each with the parameters that its step
        started from. It includes the penalty, where an estimator has one.
    val_loss : float or None
        The loss on the validation rows after the epoch; None where it is not computed.
    val_metric : float or None
        The validation metric after the epoch, the one of the loss (``info.metric`` in
        `fastrelu.losses`: accuracy, the share of the deviance explained, or R2); for an estimator
        with a `monitor`, what that says. None where it is not computed.
    learning_rate : float or None
        The learning rate of the epoch's last step; None with lbfgs, which searches along lines.
    seconds : float
        The seconds spent training in this epoch, without validation and callbacks. Time before an
        interruption counts.
    rows_per_second : float
        The number of rows trained on per second of that time.

    Notes
    -----
    The keys ``validation_loss`` and ``validation_score``, which the records of the estimators used
    to have, still give `val_loss` and `val_metric`.

    Examples
    --------
    >>> import fastrelu
    >>> records = []
    >>> trainer = fastrelu.Trainer(fastrelu.Network([1, 1]))
    >>> history = trainer.fit(
    ...     [[0.0]], [1.0], epochs=2, callbacks=[lambda trainer, record: records.append(record)]
    ... )
    >>> [(record.epoch, round(record["loss"], 3)) for record in records]
    [(1, 0.5), (2, 0.405)]
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
        """Return the value of a key, also of a former key; `default` if there is no such key.

        Parameters
        ----------
        key : str
            A key of the record, or a former one.
        default : object
            What to return for any other key.

        Returns
        -------
        object
            The value.

        Examples
        --------
        >>> import fastrelu
        >>> record = fastrelu.EpochRecord(epoch=1, loss=0.5, val_loss=0.75)
        >>> record.get("loss"), record.get("validation_loss"), record.get("colour", "none")
        (0.5, 0.75, 'none')
        """
        return self[key] if key in self or key in FORMER_KEYS else default

    def __missing__(self, key: str) -> Any:
        return self[FORMER_KEYS[key]]


RECORD_KEYS = tuple(EpochRecord(0, 0.0))
FORMER_KEYS = {"validation_loss": "val_loss", "validation_score": "val_metric"}
Callback = Callable[[Any, EpochRecord], Any]


def checked_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return callbacks as a list, if that is what they are.

    Parameters
    ----------
    callbacks : iterable of callable
        Functions of the owner of the fit (a trainer or an estimator) and an `EpochRecord`.

    Returns
    -------
    list of callable
        The callbacks.

    Raises
    ------
    TypeError
        If this is not an iterable of callables.

    Examples
    --------
    >>> from fastrelu import history
    >>> history.checked_callbacks((print,))
    [<built-in function print>]
    """
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: expected callables in a list, got {callbacks!r}")
    calls = list(callbacks)
    for k, callback in enumerate(calls):
        if not callable(callback):
            raise TypeError(f"callbacks[{k}]: expected a callable, got {callback!r}")
    return calls


def call_callbacks(callbacks: Iterable[Callback], owner: Any, record: EpochRecord) -> bool:
    """Call each callback after an epoch; return whether one of them asks to stop.

    Every callback sees the epoch, also after one that asks to stop.

    Parameters
    ----------
    callbacks : iterable of callable
        The callbacks.
    owner : object
        Their first argument: the trainer or the estimator.
    record : EpochRecord
        Their second argument.

    Returns
    -------
    bool
        Whether one of them returned something true.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import history
    >>> record = fastrelu.EpochRecord(epoch=1, loss=0.5)
    >>> history.call_callbacks([lambda owner, record: record.loss < 0.6], None, record)
    True
    """
    return any([bool(callback(owner, record)) for callback in callbacks])


@dataclass
class History:
    """The course of one fit: the numbers of each epoch that it finished.

    ``len(history)`` is the number of epochs.

    Attributes
    ----------
    loss : list of float
        The training loss of each epoch: the mean over its rows, each with the parameters that its
        step started from.
    val_loss : list of float
        The validation loss after each epoch; [] without validation data.
    val_metric : list of float
        The validation metric after each epoch, the one of the loss: accuracy for the cross
        entropies, the share of the deviance explained (D2) for losses with a log link, R2 for the
        others; [] without validation data.
    metric : str
        The metric's name: "accuracy", "d2" (the share of deviance explained) or "r2".
    seconds : list of float
        The seconds spent training in each epoch, without validation and callbacks.
    rows_per_second : list of float
        The number of rows trained on per second in each epoch.
    learning_rate : list of float
        The learning rate of each epoch's last step.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0
    >>> history = fastrelu.Trainer(net).fit([[1.0]], [1.0], epochs=2)
    >>> len(history), [round(loss, 3) for loss in history.loss]
    (2, [0.5, 0.32])
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
        """Add the record of one epoch.

        Parameters
        ----------
        record : EpochRecord
            Its numbers; those that are None are left out.

        Examples
        --------
        >>> import fastrelu
        >>> history = fastrelu.History()
        >>> history.append(fastrelu.EpochRecord(epoch=1, loss=0.5))
        >>> history.loss, history.val_loss
        ([0.5], [])
        """
        for name in ("loss", "seconds", "rows_per_second", "learning_rate"):
            getattr(self, name).append(record[name])
        if record["val_loss"] is not None:
            self.val_loss.append(record["val_loss"])
            self.val_metric.append(record["val_metric"])


class Metric:
    """The metric of a loss on given targets, in float64: a function of the outputs.

    What depends on the targets alone is computed once, for any number of calls. A call takes the
    outputs of a network, (n, n_outputs), and returns a float: the accuracy, D2 or R2; the mean over
    the outputs where there are several.

    Parameters
    ----------
    loss : Loss
        The loss; ``loss.info.metric`` says which metric it is.
    y : array_like
        The targets, as `Trainer.fit` takes them.
    sample_weight : array_like, (n,), or None
        Weights of the rows.

    References
    ----------
    Hastie, Tibshirani and Wainwright (2015), Statistical learning with sparsity, section 3.3 (the
    share D2 of the deviance that is explained).

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import history
    >>> r2 = history.Metric(fastrelu.losses.SquaredError(), [0.0, 2.0], None)
    >>> r2.name, r2([[0.0], [2.0]]), r2([[1.0], [1.0]])
    ('r2', 1.0, 0.0)
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
        self.by_output = weight[:, None]
        self.total: NDArray[Any] | None = None  # the errors of constants

    def __call__(self, outputs: NDArray[Any]) -> float:
        """Return the metric of these outputs, (n, d_out)."""
        out = np.asarray(outputs, dtype=np.float64)
        if self.name == "accuracy":
            return float((self._hits(out) * self.weight).sum() / self.weight_sum)
        error = self._errors(links.inverse(self.loss.info.link, out))
        if self.total is None:
            constants = self.loss.best_constants(self.target, self.by_output, out.shape[1])
            self.total = self._errors(np.broadcast_to(constants, out.shape))
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
    """Writes one line for each finished epoch to stderr; a terminal shows the last one alone.

    A call takes an `EpochRecord` and writes its line.

    Parameters
    ----------
    epochs : int
        The number of epochs that are to come.
    metric : str
        The name of the validation metric.

    Examples
    --------
    >>> import contextlib, io
    >>> import fastrelu
    >>> from fastrelu import history
    >>> with contextlib.redirect_stderr(io.StringIO()) as lines:
    ...     progress = history.Progress(epochs=1, metric="r2")
    ...     progress(fastrelu.EpochRecord(epoch=1, loss=0.5, rows_per_second=2000))
    ...     progress.close()
    >>> print(lines.getvalue().strip())
    epoch 1 (1/1)  loss 0.5  2,000 rows/s
    """

    def __init__(self, epochs: int, metric: str) -> None:
        self.epochs = epochs
        self.metric = metric
        self.done = 0
        self.live = sys.stderr.isatty()

    def __call__(self, record: EpochRecord) -> None:
        """Write the line of one epoch."""
        self.done += 1
        text = f"epoch {record.epoch} ({self.done}/{self.epochs})  loss {record.loss:.6g}"
        if record.val_loss is not None:
            text += f"  val_loss {record.val_loss:.6g}  val_{self.metric} "
            text += f"{record.val_metric:.4f}"
        text += f"  {record.rows_per_second:,.0f} rows/s"
        sys.stderr.write(("\r\x1b[K" if self.live else "") + text + ("" if self.live else "\n"))
        sys.stderr.flush()

    def close(self) -> None:
        """End the line that a terminal shows, if there is one.

        Examples
        --------
        >>> from fastrelu import history
        >>> history.Progress(epochs=3, metric="r2").close()  # nothing was written
        """
        if self.live and self.done:
            sys.stderr.write("\n")

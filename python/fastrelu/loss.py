# SPDX-License-Identifier: BSD-3-Clause
"""What the losses have in common, and how they are found by name; `fastrelu.losses` has them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue
from fastrelu._catalogue import LossInfo

__all__ = ["Array", "Loss", "as_loss", "names", "with_parameter"]

Array = NDArray[np.float64]

#: The class of each loss, by its name.
CLASSES: dict[str, type[Loss]] = {}


class Loss:
    """The base of all losses. A class is one loss; an object is a loss with its parameter.

    Training minimizes the mean of the loss over the rows. What the core's catalogue says of a loss
    is in `info`: its task and link, its valid targets, its metric, its parameter.

    Attributes
    ----------
    name : str
        The loss's name. It can be given instead of an object, and then the parameter has its usual
        value.
    info : LossInfo
        ``info.link`` is "identity", "softmax", "logistic", "log" or "ordered"; ``info.domain.text``
        describes the valid targets; ``info.metric`` is "r2", "accuracy" or "d2".

    Examples
    --------
    >>> import fastrelu
    >>> loss = fastrelu.losses.Huber(delta=2.0)
    >>> loss.name, loss.parameter, loss.info.link, loss.info.metric
    ('huber', 2.0, 'identity', 'r2')
    """

    name: ClassVar[str]
    info: ClassVar[LossInfo]

    def __init_subclass__(cls) -> None:
        cls.info = _catalogue.LOSSES[cls.name]
        CLASSES[cls.name] = cls

    def __post_init__(self) -> None:
        if self.info.parameter is not None:
            self.info.parameter.check(self.parameter)

    @property
    def parameter(self) -> Any:
        """The value of the loss's parameter; 0 if the loss has none."""
        return 0.0 if self.info.parameter is None else getattr(self, self.info.parameter.name)

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return half the unit deviance of targets from means, for losses whose metric is "d2".

        Parameters
        ----------
        y, mu : ndarray of float64
            Targets and means, of one shape.

        Returns
        -------
        ndarray of float64
            One number for each target. The metric D2 is the share of their sum that is explained.

        Raises
        ------
        NotImplementedError
            If the loss has no deviance.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> fastrelu.losses.Poisson().deviance(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
        array([1., 0.])
        """
        raise NotImplementedError(f"{self.name} has no deviance")

    def best_constants(self, y: Array, weight: Array, outputs: int) -> Array:
        """Return the constant predictions that explain nothing, for the metrics "r2" and "d2".

        Parameters
        ----------
        y : ndarray of float64, (n, columns)
            Targets.
        weight : ndarray of float64, (n, 1)
            Weights of the rows.
        outputs : int
            The number of outputs.

        Returns
        -------
        ndarray of float64, (outputs,)
            The weighted means of the targets.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> y, weight = np.array([[0.0], [3.0]]), np.array([[1.0], [2.0]])
        >>> fastrelu.losses.SquaredError().best_constants(y, weight, 1)
        array([2.])
        """
        means: Array = (y * weight).sum(axis=0) / weight.sum()
        return means


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the names of the losses.

    Parameters
    ----------
    task : {"regression", "classification", "multilabel", "quantiles"}, optional
        The task whose losses are meant; by default all.

    Returns
    -------
    tuple of str
        The names; the usual loss of a task is the first.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.losses.names("classification")
    ('cross_entropy',)
    """
    return tuple(n for n, each in _catalogue.LOSSES.items() if task is None or each.task == task)


def as_loss(loss: Any) -> Loss:
    """Return a loss object.

    Parameters
    ----------
    loss : str or loss object
        A loss's name, or an object, which is returned.

    Returns
    -------
    Loss
        The object; for a name, with the usual value of its parameter.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or there is no loss of this name.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.losses.as_loss("huber")
    Huber(delta=1.0)
    """
    if isinstance(loss, str):
        if loss not in CLASSES:
            raise ValueError(f"loss: expected one of {', '.join(names())}, got {loss!r}")
        return CLASSES[loss]()
    if isinstance(loss, Loss):
        return loss
    raise TypeError(f"loss: expected a name or a fastrelu.losses object, got {loss!r}")


def with_parameter(name: str, value: float) -> Loss:
    """Return a loss by its name and parameter.

    Parameters
    ----------
    name : str
        The loss's name.
    value : float
        The value of its parameter; not used if the loss has none.

    Returns
    -------
    Loss
        The object.

    Examples
    --------
    >>> import fastrelu
    >>> fastrelu.losses.with_parameter("quantile", 0.9)
    Quantile(quantile=0.9)
    """
    parameter = as_loss(name).info.parameter
    return as_loss(name) if parameter is None else CLASSES[name](**{parameter.name: value})


def initial_parameter(name: str) -> float:
    """Return the usual value of a loss's parameter."""
    parameter = _catalogue.LOSSES[name].parameter
    assert parameter is not None
    return parameter.initial

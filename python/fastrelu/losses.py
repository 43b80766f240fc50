# SPDX-License-Identifier: BSD-3-Clause
"""The losses, as names or objects. docs/arithmetic.md gives each formula to the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _catalogue
from fastrelu._arguments import real_number
from fastrelu._catalogue import LossInfo

Array = NDArray[np.float64]

_classes: dict[str, type[Loss]] = {}


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
        ``info.link`` is "identity", "softmax", "logistic" or "log"; ``info.domain.text`` describes
        the valid targets; ``info.metric`` is "r2", "accuracy" or "d2".

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
        _classes[cls.name] = cls

    def __post_init__(self) -> None:
        parameter = self.info.parameter
        if parameter is None:
            return
        low, high = parameter.low, parameter.high
        value = real_number(parameter.name, self.parameter, low, high, above=True)
        if value == high:
            raise ValueError(
                f"{parameter.name}: expected a number between {low:g} and {high:g}, got {value!r}"
            )

    @property
    def parameter(self) -> Any:
        """The value of the loss's parameter; 0 if it has none."""
        return 0.0 if self.info.parameter is None else getattr(self, self.info.parameter.name)

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return half the unit deviance of means from targets, for losses whose metric is "d2".

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


def _initial(name: str) -> float:
    """Return the usual value of a loss's parameter."""
    parameter = _catalogue.LOSSES[name].parameter
    assert parameter is not None
    return parameter.initial


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, averaged over outputs and rows: mean of (z - y)^2 / 2.

    The outputs z are the predictions; the mean of y given x minimizes it.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = [1, 0]  # net(x) = x
    >>> net.loss([[3.0]], [1.0], fastrelu.losses.SquaredError())
    2.0
    """

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the log-likelihood of integer labels 0 to K - 1 under the softmax of the K outputs.

    Averaged over rows. The outputs are logits; `Network.predict_proba` gives the probabilities.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 2])
    >>> net.parameters[:] = 0  # both classes have the probability 1/2
    >>> round(net.loss([[3.0]], [1], "cross_entropy"), 4)
    0.6931
    """

    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Minus the log-likelihood of targets in [0, 1] under the logistic function of the outputs.

    Summed over outputs, averaged over rows. The outputs are logits.

    Parameters
    ----------
    pos_weight : float or array_like of shape (d_out,), optional
        A factor, > 0, on the positive part of each output's loss; none by default.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0  # the probability is 1/2
    >>> round(net.loss([[3.0]], [1.0], "binary_cross_entropy"), 4)
    0.6931
    >>> loss = fastrelu.losses.BinaryCrossEntropy(pos_weight=2.0)
    >>> round(net.loss([[3.0]], [1.0], loss), 4)
    1.3863
    """

    pos_weight: ArrayLike | None = None
    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the Poisson deviance of targets >= 0: y log(y / mu) - y + mu, with mu = exp(z).

    Summed over outputs, averaged over rows. The outputs z are the logarithms of the means mu (log
    link).

    References
    ----------
    McCullagh and Nelder (1989), Generalized linear models.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0  # the mean is exp(0) = 1
    >>> net.loss([[3.0]], [1.0], "poisson"), net.loss([[3.0]], [0.0], "poisson")
    (0.0, 1.0)
    """

    name: ClassVar[str] = "poisson"

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return ``y log(y / mu) - y + mu`` for each target; see `Loss.deviance`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            each: Array = np.where(y > 0, y * np.log(y / mu), 0.0) - y + mu
        return each


@dataclass(frozen=True)
class Gamma(Loss):
    """Half the Gamma deviance of targets > 0: log(mu / y) + y / mu - 1, with mu = exp(z).

    Summed over outputs, averaged over rows. The outputs z are the logarithms of the means mu (log
    link). It suits positive amounts whose spread grows in proportion to their mean.

    References
    ----------
    McCullagh and Nelder (1989), Generalized linear models.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0  # the mean is exp(0) = 1
    >>> round(net.loss([[3.0]], [2.0], "gamma"), 4)  # 1 - log(2)
    0.3069
    """

    name: ClassVar[str] = "gamma"

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return ``log(mu / y) + y / mu - 1`` for each target; see `Loss.deviance`."""
        return np.asarray(np.log(mu / y) + y / mu - 1.0)


@dataclass(frozen=True)
class Tweedie(Loss):
    """Half the Tweedie deviance of targets >= 0, with the means mu = exp(z).

    Summed over outputs, averaged over rows. The outputs z are the logarithms of the means (log
    link). With a = 2 - power and b = power - 1 it is mu^a / a + y mu^-b / b - y^a / (a b).

    For amounts that are often 0, such as claims. It tends to the Poisson deviance as `power` tends
    to 1, and to the Gamma deviance as it tends to 2.

    Parameters
    ----------
    power : float
        The variance is proportional to the mean to this power, between 1 and 2 (as float32 too).

    Raises
    ------
    ValueError
        If float32 rounds `power` to 1 or 2 or beyond.

    References
    ----------
    Jorgensen (1997), The theory of dispersion models.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = 0  # the mean is exp(0) = 1
    >>> loss = fastrelu.losses.Tweedie(power=1.5)
    >>> net.loss([[3.0]], [1.0], loss), net.loss([[3.0]], [0.0], loss)
    (0.0, 2.0)
    """

    power: float = _initial("tweedie")
    name: ClassVar[str] = "tweedie"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < np.float32(self.power) < 2:
            raise ValueError(
                f"power: expected a number between 1 and 2 as float32 too, got {self.power!r}"
            )

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return ``mu^a / a + y mu^-b / b - y^a / (a b)``, a being 2 - power and b power - 1."""
        a, b = 2.0 - self.power, self.power - 1.0
        return np.asarray(mu**a / a + y * mu**-b / b - y**a / (a * b))


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared residual up to `delta`, linear beyond; averaged over outputs and rows.

    Parameters
    ----------
    delta : float
        The residual at which it turns from squared to linear, > 0.

    Raises
    ------
    TypeError, ValueError
        If `delta` is not a finite number > 0.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = [1, 0]  # net(x) = x
    >>> net.loss([[3.0]], [1.0], fastrelu.losses.Huber(delta=1.0))
    1.5
    """

    delta: float = _initial("huber")
    name: ClassVar[str] = "huber"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """The absolute residual, averaged over outputs and rows; the median minimizes it.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = [1, 0]  # net(x) = x
    >>> net.loss([[3.0]], [1.0], "absolute_error")
    2.0
    """

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, averaged over outputs and rows; the `quantile` of y given x minimizes it.

    Parameters
    ----------
    quantile : float
        The quantile that is predicted, above 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If `quantile` is not a number between 0 and 1.

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = [1, 0]  # net(x) = x
    >>> net.loss([[3.0]], [1.0], fastrelu.losses.Quantile(0.75))  # 2 too high
    0.5
    """

    quantile: float = _initial("quantile")
    name: ClassVar[str] = "quantile"


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the names of the losses.

    Parameters
    ----------
    task : {"regression", "classification", "multilabel"}, optional
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
    return tuple(n for n, each in _classes.items() if task is None or each.info.task == task)


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
        if loss not in _classes:
            raise ValueError(f"loss: expected one of {', '.join(_classes)}, got {loss!r}")
        return _classes[loss]()
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
    return as_loss(name) if parameter is None else _classes[name](**{parameter.name: value})


def core_options(loss: Loss, outputs: int) -> dict[str, Any]:
    """Return the loss's name and numbers as the core takes them."""
    return {
        "loss": loss.name,
        "pos_weight": positive_weights(loss, outputs),
        "loss_parameter": float(loss.parameter),
    }


def from_settings(settings: dict[str, Any]) -> Loss:
    """Return the loss that `core_options` described."""
    if settings["pos_weight"]:
        return BinaryCrossEntropy(tuple(settings["pos_weight"]))
    if "loss_parameter" not in settings:
        return as_loss(settings["loss"])
    return with_parameter(settings["loss"], settings["loss_parameter"])


def positive_weights(loss: Loss, outputs: int) -> list[float]:
    """Return pos_weight as one float for each output, or [] without any."""
    pos_weight = getattr(loss, "pos_weight", None)
    if pos_weight is None:
        return []
    values = np.asarray(pos_weight, dtype=np.float64)
    if values.shape not in ((), (outputs,)):
        raise ValueError(f"pos_weight: expected a number or shape ({outputs},), got {values.shape}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"pos_weight: expected finite numbers > 0, got {pos_weight!r}")
    return [float(v) for v in np.broadcast_to(values, (outputs,))]

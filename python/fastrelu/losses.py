# SPDX-License-Identifier: BSD-3-Clause
"""The losses, as names or objects. docs/arithmetic.md gives each formula to the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastrelu import elementary
from fastrelu.loss import Array, Loss, as_loss, initial_parameter, names, with_parameter
from fastrelu.quantile_losses import Quantile, Quantiles

__all__ = [
    "AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Expectile", "Gamma", "Huber", "Loss",
    "Poisson", "Quantile", "Quantiles", "SquaredError", "Tweedie", "as_loss", "core_options",
    "from_settings", "names", "positive_weights", "with_parameter",
]  # fmt: skip


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
        """Return ``y log(y / mu) - y + mu`` for each target; 0 log(0) is 0.

        The arguments are those of `Loss.deviance`.

        References
        ----------
        McCullagh and Nelder (1989), Generalized linear models, section 2.3.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> fastrelu.losses.Poisson().deviance(np.array([0.0, 1.0]), np.array([3.0, 1.0]))
        array([3., 0.])
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            each: Array = np.where(y > 0, y * elementary.log(y / mu), 0.0) - y + mu
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
        """Return ``log(mu / y) + y / mu - 1`` for each target.

        The arguments are those of `Loss.deviance`.

        References
        ----------
        McCullagh and Nelder (1989), Generalized linear models, section 2.3.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> fastrelu.losses.Gamma().deviance(np.array([1.0, 2.0]), np.array([1.0, 1.0])).round(4)
        array([0.    , 0.3069])
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            each = elementary.log(mu / y) + y / mu - 1.0
        return np.where(mu == 0, np.inf, each)  # a mean that underflowed: y / mu outweighs the log


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

    power: float = initial_parameter("tweedie")
    name: ClassVar[str] = "tweedie"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < np.float32(self.power) < 2:
            raise ValueError(
                f"power: expected a number between 1 and 2 as float32 too, got {self.power!r}"
            )

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return ``mu^a / a + y mu^-b / b - y^a / (a b)``, a being 2 - power and b power - 1.

        The arguments are those of `Loss.deviance`.

        References
        ----------
        Jorgensen (1997), The theory of dispersion models.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> fastrelu.losses.Tweedie(1.5).deviance(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
        array([2., 0.])
        """
        a, b = 2.0 - self.power, self.power - 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            # Also where the mean has underflowed to 0.
            ratio = np.where(y > 0, y * elementary.power(mu, -b), 0.0)
        of_mean, of_y = elementary.power(mu, a), elementary.power(y, a)
        return np.asarray(of_mean / a + ratio / b - of_y / (a * b))


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

    delta: float = initial_parameter("huber")
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
class Expectile(Loss):
    """The squared error times `tau` where z is below y, times 1 - `tau` above; averaged as it is.

    The `tau`-expectile of y given x minimizes it: of the distances of all y from it, those of the y
    below it have the share `tau`. With `tau` 0.5 that is the mean, and the loss `SquaredError`, to
    the bit. Unlike a quantile, an expectile heeds how far away targets are.

    Parameters
    ----------
    tau : float
        The weight of targets above the prediction, above 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If `tau` is not a number between 0 and 1.

    References
    ----------
    Newey and Powell (1987), Asymmetric least squares estimation and testing.

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 1])
    >>> net.parameters[:] = [1, 0]  # net(x) = x
    >>> net.loss([[3.0]], [1.0], fastrelu.losses.Expectile(0.75))  # 2 too high
    1.0
    """

    tau: float = initial_parameter("expectile")
    name: ClassVar[str] = "expectile"


def core_options(loss: Loss, outputs: int) -> dict[str, Any]:
    """Return a loss's name and numbers as the core takes them, and as files hold them.

    Parameters
    ----------
    loss : Loss
        The loss.
    outputs : int
        The number of outputs, which `pos_weight` has to fit.

    Returns
    -------
    dict
        The name `loss`, the list `pos_weight` and the number `loss_parameter`; of a loss that was
        given levels, the list `levels`.

    Raises
    ------
    ValueError
        If `pos_weight` or `levels` do not fit.

    Examples
    --------
    >>> from fastrelu import losses
    >>> losses.core_options(losses.Huber(2.0), outputs=1)
    {'loss': 'huber', 'pos_weight': [], 'loss_parameter': 2.0}
    """
    options = {
        "loss": loss.name,
        "pos_weight": positive_weights(loss, outputs),
        "loss_parameter": float(loss.parameter),
    }
    if isinstance(loss, Quantiles) and loss.levels is not None:
        if len(loss.levels) != outputs:
            raise ValueError(
                f"levels: expected one for each of the network's {outputs} outputs, got "
                f"{len(loss.levels)}"
            )
        options["levels"] = list(loss.levels)
    return options


def from_settings(settings: dict[str, Any]) -> Loss:
    """Return the loss that `core_options` described.

    Parameters
    ----------
    settings : dict
        What `core_options` returned; other keys are not looked at.

    Returns
    -------
    Loss
        The loss.

    Raises
    ------
    KeyError, TypeError, ValueError
        If something is missing, or there is no such loss.

    Examples
    --------
    >>> from fastrelu import losses
    >>> losses.from_settings(losses.core_options(losses.Huber(2.0), outputs=1))
    Huber(delta=2.0)
    """
    if settings["pos_weight"]:
        return BinaryCrossEntropy(tuple(settings["pos_weight"]))
    if "levels" in settings:
        return Quantiles(tuple(settings["levels"]))
    if "loss_parameter" not in settings:
        return as_loss(settings["loss"])
    return with_parameter(settings["loss"], settings["loss_parameter"])


def positive_weights(loss: Loss, outputs: int) -> list[float]:
    """Return a loss's `pos_weight` as one float for each output.

    Parameters
    ----------
    loss : Loss
        The loss.
    outputs : int
        The number of outputs.

    Returns
    -------
    list of float
        The factors; [] if the loss has none.

    Raises
    ------
    ValueError
        If `pos_weight` is not one number > 0, or one for each output.

    Examples
    --------
    >>> from fastrelu import losses
    >>> losses.positive_weights(losses.BinaryCrossEntropy(pos_weight=2), outputs=3)
    [2.0, 2.0, 2.0]
    """
    pos_weight = getattr(loss, "pos_weight", None)
    if pos_weight is None:
        return []
    values = np.asarray(pos_weight, dtype=np.float64)
    if values.shape not in ((), (outputs,)):
        raise ValueError(f"pos_weight: expected a number or shape ({outputs},), got {values.shape}")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"pos_weight: expected finite numbers > 0, got {pos_weight!r}")
    return [float(v) for v in np.broadcast_to(values, (outputs,))]

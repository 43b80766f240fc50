# SPDX-License-Identifier: BSD-3-Clause
"""What the losses have in common; `fastrelu.losses` has them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrelu import _catalogue
from fastrelu._arguments import real_number
from fastrelu._catalogue import LossInfo

__all__ = ["CLASSES", "Array", "Loss"]

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
        CLASSES[cls.name] = cls

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

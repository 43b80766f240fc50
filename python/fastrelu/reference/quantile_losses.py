# SPDX-License-Identifier: BSD-3-Clause
"""The losses whose least value is at quantiles: the median, one quantile, several in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .loss import Loss, averaged, sum_outputs

Array = NDArray[Any]

__all__ = ["AbsoluteError", "Quantile", "Quantiles"]


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """The absolute residual, averaged over the outputs.

    Parameters
    ----------
    summed : bool
        Whether to sum over the outputs instead.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.AbsoluteError())
    2.0
    """

    summed: bool = False
    name: ClassVar[str] = "absolute_error"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the absolute values of the residuals z - y; g is their signs.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.AbsoluteError().rows(np.array([[3.0]]), np.array([[1.0]]))
        (array([2.]), array([[1.]]))
        """
        return pinball(z, y, 1, 1, self.summed)


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, averaged over the outputs: its minimum is the quantile of y given x.

    Parameters
    ----------
    quantile : float
        The quantile that is predicted, above 0 and below 1.
    summed : bool
        Whether to sum over the outputs instead.

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.Quantile())
    1.0
    """

    quantile: float = 0.5
    summed: bool = False
    name: ClassVar[str] = "quantile"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return abs(z - y), times `quantile` for z below y, times 1 - `quantile` above.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Quantile(0.75).rows(np.array([[3.0], [0.0]]), np.array([[1.0], [1.0]]))
        (array([0.5 , 0.75]), array([[ 0.25],
               [-0.75]]))
        """
        return pinball(z, y, 1 - self.quantile, self.quantile, self.summed)


@dataclass(frozen=True)
class Quantiles(Loss):
    """The pinball loss of several quantiles, which do not cross; averaged over them.

    Parameters
    ----------
    levels : sequence of float, optional
        The level of each output; by default (k + 1) / (K + 1) for k = 0 .. K - 1.
    summed : bool
        Whether to sum over the outputs instead.

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles.

    Examples
    --------
    >>> from fastrelu import reference
    >>> net = reference.Network([1, 1])
    >>> net.set_parameters([1, 0])  # net(x) = x
    >>> net.loss([[3.0]], [1.0], reference.Quantiles())
    1.0
    """

    levels: Sequence[float] | None = None
    summed: bool = False
    name: ClassVar[str] = "quantiles"
    link: ClassVar[str] = "ordered"
    averaged: ClassVar[bool] = True

    def rows(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Return the mean pinball loss of the quantiles; g is the outputs' derivative.

        The arguments are those of `Loss.rows`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastrelu import reference
        >>> reference.Quantiles((0.25, 0.75)).rows(np.array([[3.0, -1.0]]), np.array([[3.5, 3.5]]))
        (array([0.125]), array([[ 0.  , -0.25]]))
        """
        T, K = z.dtype.type, z.shape[1]
        levels = self.levels or [(k + 1) / (K + 1) for k in range(K)]
        above, below = (np.array(v, z.dtype) for v in ([1 - t for t in levels], list(levels)))
        each, g = pinball_terms(ordered(z) - y, above, below)
        middle = (K - 1) // 2
        for k in range(K - 1, middle, -1):
            g[:, k - 1] = g[:, k - 1] + g[:, k]
            g[:, k] = np.where(T(0) > z[:, k], -g[:, k], g[:, k])
        for k in range(middle):
            g[:, k + 1] = g[:, k + 1] + g[:, k]
            g[:, k] = np.where(T(0) > z[:, k], g[:, k], -g[:, k])
        return averaged(sum_outputs(each), z, self.summed), g


def pinball(z: Array, y: Array, hi: float, lo: float, summed: bool) -> tuple[Array, Array]:
    """Return a loss that rises with slope `hi` where z is above y, and `lo` below."""
    each, slope = pinball_terms(z - y, z.dtype.type(hi), z.dtype.type(lo))
    return averaged(sum_outputs(each), z, summed), slope


def pinball_terms(r: Array, above: Any, below: Any) -> tuple[Array, Array]:
    """Return the losses of residuals r, and the slopes: `above` where r > 0, else -`below`."""
    zero = r.dtype.type(0)
    each = np.where(r > zero, above * r, -(below * r))
    return each, np.where(r > zero, above, np.where(zero > r, -below, r))


def ordered(z: Array) -> Array:
    """Return the middle output, and beyond it sums with the magnitudes of the others."""
    q, middle = z.copy(), (z.shape[1] - 1) // 2
    for k in range(middle + 1, z.shape[1]):
        q[:, k] = q[:, k - 1] + np.where(0 > z[:, k], -z[:, k], z[:, k])
    for k in range(middle - 1, -1, -1):
        q[:, k] = q[:, k + 1] - np.where(0 > z[:, k], -z[:, k], z[:, k])
    return q

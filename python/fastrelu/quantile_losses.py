# SPDX-License-Identifier: BSD-3-Clause
"""The pinball losses: of one quantile, and of several that cannot cross; see `fastrelu.losses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastrelu._arguments import reals
from fastrelu.loss import Array, Loss, initial_parameter

__all__ = ["Quantile", "Quantiles"]


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

    quantile: float = initial_parameter("quantile")
    name: ClassVar[str] = "quantile"


@dataclass(frozen=True)
class Quantiles(Loss):
    """The pinball loss of several quantiles of one target, which cannot cross; averaged over them.

    A network has an output for each level. The output in the middle, number (K - 1) // 2, is that
    quantile itself; the magnitude of each other output is how far its quantile lies beyond its
    neighbour on the side of the middle. `Network.predict_proba` gives the quantiles (n, K): they
    never descend, also after rounding, and are piecewise linear in the inputs, as the outputs are
    (`fastrelu.quantiles.as_network`).

    y has shape (n,) or (n, 1); with shape (n, K) each level has a target of its own. The metric D2
    is the share of the pinball loss that is explained, averaged over the levels: the quantiles of
    the targets themselves explain nothing.

    Parameters
    ----------
    levels : sequence of float, optional
        The levels, ascending, above 0 and below 1, one for each output; by default (k + 1) /
        (K + 1) for the outputs k = 0 .. K - 1.

    Raises
    ------
    TypeError, ValueError
        If `levels` are not ascending numbers between 0 and 1.

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles. Koenker and Machado (1999), Goodness of fit
    and related inference processes for quantile regression (the metric).

    Examples
    --------
    >>> import fastrelu
    >>> net = fastrelu.Network([1, 3])
    >>> net.weights[0][:], net.biases[0][:] = 0, [-2, 5, 1]
    >>> loss = fastrelu.losses.Quantiles((0.25, 0.5, 0.75))
    >>> net.predict_proba([[0.0]], loss)
    array([[3., 5., 6.]], dtype=float32)
    >>> round(net.loss([[0.0]], [5.0], loss), 4)  # (0.25 * 2 + 0 + 0.25 * 1) / 3
    0.25
    """

    levels: Sequence[float] | None = None
    name: ClassVar[str] = "quantiles"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels is None:
            return
        levels = reals("levels", self.levels)
        if levels.ndim != 1 or not len(levels):
            raise ValueError(f"levels: expected numbers of shape (K,), got {levels.shape}")
        inside = (levels > 0) & (levels < 1)
        if not inside.all() or (np.diff(levels) <= 0).any():
            raise ValueError(f"levels: expected ascending numbers in (0, 1), got {self.levels!r}")
        object.__setattr__(self, "levels", tuple(levels.tolist()))

    def _levels_of(self, outputs: int) -> Array:
        if self.levels is None:
            return np.arange(1, outputs + 1) / (outputs + 1)
        return np.asarray(self.levels)

    def deviance(self, y: Array, mu: Array) -> Array:
        """Return the pinball loss of each target at each level.

        Parameters
        ----------
        y : ndarray of float64, (n, 1) or (n, K)
            Targets.
        mu : ndarray of float64, (n, K)
            Quantiles.

        Returns
        -------
        ndarray of float64, (n, K)
            The losses.

        References
        ----------
        Koenker and Bassett (1978), Regression quantiles.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> loss = fastrelu.losses.Quantiles((0.25, 0.75))
        >>> loss.deviance(np.array([[1.0]]), np.array([[0.0, 2.0]]))
        array([[0.25, 0.25]])
        """
        levels, r = self._levels_of(mu.shape[1]), mu - y
        return np.where(r > 0, (1.0 - levels) * r, -levels * r)

    def best_constants(self, y: Array, weight: Array, outputs: int) -> Array:
        """Return the weighted quantiles of the targets, one for each level.

        The arguments are those of `Loss.best_constants`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastrelu
        >>> loss = fastrelu.losses.Quantiles((0.25, 0.75))
        >>> loss.best_constants(np.arange(4.0)[:, None], np.ones((4, 1)), 2)
        array([0., 2.])
        """
        from fastrelu.metrics import weighted_quantile

        columns, levels = np.broadcast_to(y, (len(y), outputs)).T, self._levels_of(outputs)
        pairs = zip(columns, levels, strict=True)
        return np.array([weighted_quantile(each, weight[:, 0], level) for each, level in pairs])

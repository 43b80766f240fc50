# SPDX-License-Identifier: BSD-3-Clause
"""What is done to numbers: gaps filled, then mean 0 and standard deviation 1, or normal scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app import described
from fastrelu.app.preprocess.moments import Floats, Moments
from fastrelu.standardize import standardize

N_KNOTS = 257
Knots = tuple[Floats, Floats]


@dataclass
class Scaling:
    """``(value - mean) / std`` by column; a missing value becomes the mean, a constant becomes 0.

    Attributes
    ----------
    mean, std : ndarray of float64, (p,)
        std 0 marks a constant column. Without standardising they are 0 and 1.
    fill : ndarray of float64, (p,)
        What a missing value becomes: the training mean, in the column's own unit.
    gaps : ndarray of bool, (p,)
        Which columns had missing values in training.
    knots : list of (values, scores), or None
        Normal scores: a value is mapped along the line through these points; outside it is cut.
    """

    mean: Floats
    std: Floats
    fill: Floats
    gaps: NDArray[np.bool_]
    knots: list[Knots] | None = None

    def apply(self, block: Floats) -> NDArray[np.bool_] | None:
        """Work on a block, (columns, rows), in place; return where values were missing, or None."""
        missing: NDArray[np.bool_] | None = np.isnan(block)
        assert missing is not None
        if missing.any():
            np.copyto(block, self.fill[:, None], where=missing)
        else:
            missing = None
        if self.knots is not None:
            for row, (values, scores) in zip(block, self.knots, strict=True):
                row[:] = np.interp(row, values, scores)
        elif self._changes:
            with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses infinities
                block -= self.mean[:, None]
                block /= self._divisor
        return missing

    def rows(
        self,
        columns: list[NDArray[Any] | None],
        rows: NDArray[np.intp] | None,
        indicators: NDArray[np.intp],
        out: NDArray[Any],
    ) -> tuple[NDArray[np.int64], bool]:
        """Do all of `apply` on the way from columns to rows, in the core; not for normal scores.

        Parameters
        ----------
        columns : list of ndarray, (n,), or None
            Of any real dtypes; None is a column of missing values.
        rows : ndarray of int or None
            Which rows.
        indicators : ndarray of int, (p,)
            Which column of `out` says 1 where a value is missing, -1 for none.
        out : ndarray, (rows, p or more)
            Gets the numbers, and 0 or 1 in the columns of indicators.

        Returns
        -------
        missing : ndarray of int, (p,)
            Missing values of each column.
        finite : bool
            Whether all numbers are.
        """
        divisor = self._divisor[:, 0]
        return standardize(columns, rows, self.fill, self.mean, divisor, indicators, out)

    def __post_init__(self) -> None:
        self._changes = bool((self.mean != 0).any() or (self.std != 1).any())
        self._divisor = np.where(self.std > 0, self.std, np.inf)[:, None]

    def keep(self, columns: NDArray[Any]) -> Scaling:
        """Return the scaling of these columns only."""
        knots = None if self.knots is None else [self.knots[j] for j in columns]
        return Scaling(
            self.mean[columns], self.std[columns], self.fill[columns], self.gaps[columns], knots
        )

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain: dict[str, Any] = {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "missing_becomes": self.fill.tolist(),
            "indicator": np.flatnonzero(self.gaps).tolist(),
        }
        if self.knots is not None:
            plain["knots"] = [[v.tolist(), s.tolist()] for v, s in self.knots]
        return plain

    @classmethod
    def from_description(cls, plain: dict[str, Any]) -> Scaling:
        """Return the scaling that `describe` has described."""
        mean = described.numbers(plain["mean"], "mean")
        n = len(mean)
        std = described.numbers(plain["std"], "std", n)
        if (std < 0).any():
            raise described.refused(float(std.min()), "std", "numbers from 0")
        gaps = np.zeros(n, bool)
        for j in described.sequence(plain["indicator"], "indicator", described.whole):
            gaps[j] = True
        knots = None
        if plain.get("knots") is not None:
            knots = described.sequence(plain["knots"], "knots", _knots_from)
            if len(knots) != n:
                raise described.refused(len(knots), "knots", f"those of {n} columns")
        fill = described.numbers(plain["missing_becomes"], "missing_becomes", n)
        return cls(mean, std, fill, gaps, knots)


def _knots_from(plain: Any, what: str) -> Knots:
    """Return the points of a column's map."""
    values, scores = described.sequence(plain, what, described.numbers)
    if not len(values) or len(values) != len(scores) or (np.diff(values) <= 0).any():
        raise described.refused(plain, what, "ascending values and as many scores")
    return values, scores


def scaling_of(moments: Moments, how: str, sample: Sequence[Floats] | None) -> Scaling:
    """Return the scaling that training rows lead to.

    Parameters
    ----------
    moments : Moments
        Both passes done.
    how : {"standard", "quantile", "none"}
        What to do.
    sample : sequence of ndarray, or None
        quantile: some training values of each column.
    """
    gaps = moments.gaps > 0
    mean, std = moments.mean, moments.std
    if how == "none":
        return Scaling(np.zeros_like(mean), np.where(std > 0, 1.0, 0.0), mean, gaps)
    if how == "quantile":
        assert sample is not None
        return Scaling(mean, std, mean, gaps, [knots_of(column) for column in sample])
    return Scaling(mean, std, mean, gaps)


def knots_of(values: Floats) -> Knots:
    """Return the points that map values to normal scores.

    The points are quantiles, evenly spaced in probability from 1/(2 N) to 1 - 1/(2 N); equal
    quantiles make one point, with the middle of their scores.
    """
    values = np.sort(values[~np.isnan(values)])
    if not len(values) or values[0] == values[-1]:
        return np.zeros(1), np.zeros(1)
    n = min(N_KNOTS, len(values))
    chance = (np.arange(n) + 0.5) / n
    at = chance * len(values) - 0.5
    low = np.floor(at).astype(np.intp)
    share = at - low
    high = np.minimum(low + 1, len(values) - 1)
    quantiles = values[low] * (1 - share) + values[high] * share
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(float(p)) for p in chance])
    points, place, count = np.unique(quantiles, return_inverse=True, return_counts=True)
    return points, np.bincount(place.reshape(-1), scores) / count

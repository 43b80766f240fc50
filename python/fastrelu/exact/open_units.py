# SPDX-License-Identifier: BSD-3-Clause
"""The largest Jacobian among patterns in which the sides of some units are open.

Two kinks that cross within roundings of a third, or lie on top of each other, leave it open which
sides of them occur together (cpp/region_doubts.h lists such places); a bound has to take all that
may. Each open unit is first let vary between its two slopes, which bounds the Jacobian entry by
entry. Where that is more than what is known, units are set one after another, until it is not, or
the pattern turns out to occur nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fastrelu.exact.jacobians import EPS, Layers, operator_norms, roundings

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Patterns:
    """Which units are active, and which of them may be the other way round, (n, n_hidden) each."""

    active: Flags
    open: Flags

    def __len__(self) -> int:
        return len(self.active)

    def __getitem__(self, some: slice | NDArray[np.intp]) -> Patterns:
        return Patterns(self.active[some], self.open[some])


def open_norms(layers: Layers, patterns: Patterns, norm: float) -> Array:
    """Return a bound on the norms of all Jacobians that each pattern allows, (n,)."""
    widest = max(W.size for W in layers.weights)
    several = np.array_split(np.arange(len(patterns)), 1 + len(patterns) * widest // 10**6)
    bounds = [_norms(layers, patterns[some], norm) for some in several if len(some)]
    return np.concatenate(bounds) if bounds else np.zeros(0)


def _norms(layers: Layers, patterns: Patterns, norm: float) -> Array:
    n, at = len(patterns), 0
    C = np.broadcast_to(layers.weights[0], (n, *layers.weights[0].shape))
    R = EPS * np.abs(C)
    for slope, W in zip(layers.slopes, layers.weights[1:], strict=True):
        units = slice(at, at := at + W.shape[1])
        is_open = patterns.open[:, units]
        factor = np.where(patterns.active[:, units], 1.0, slope)
        m = np.where(is_open, (1 + slope) / 2, factor)[:, :, None]
        h = np.where(is_open, (1 - slope) / 2 * (1 + 4 * EPS), 0.0)[:, :, None]
        g = roundings(W.shape[1])
        size = np.abs(C)
        R = (np.abs(W) @ (m * R + h * (size + R) + g * m * size)) * (1 + 2 * g)
        C = W @ (m * C)
    above = 1 + 4 * roundings(sum(C.shape[1:]))
    whole = operator_norms(np.abs(C) + R, norm)
    apart = operator_norms(C, norm) + operator_norms(R, norm)
    return np.asarray(np.minimum(whole, apart) * above)


class ParallelKinks:
    """The units of a network in groups with proportional weights: their kinks are parallel.

    Of n such units all ways round are only n + 1, in the exact order of their kinks.
    """

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.ends = np.cumsum([0, *(len(b) for b in layers.biases[:-1])])

    def set_some(self, active: Flags, is_open: Flags) -> Patterns:
        """Return the pattern with an open unit, and those parallel to it, set in all ways.

        The unit is one of the first layer with open ones: that on which the Jacobian depends most.
        """
        units = np.flatnonzero(is_open)
        k = int(np.searchsorted(self.ends, units[0], side="right")) - 1
        here = units[units < self.ends[k + 1]] - self.ends[k]
        first = int(here[np.argmax(self._slopes_through(active, k)[here])])
        ratios = {int(j): self._ratio(k, first, int(j)) for j in here}
        group = {j: ratio for j, ratio in ratios.items() if ratio}
        # A unit z = ratio (l + shift) is active where l is above -shift, or below if ratio < 0.
        kinks = {j: -Fraction(float(self.layers.biases[k][j])) / r for j, r in group.items()}
        places = sorted(set(kinks.values()))
        n = len(places) + 1
        set_active, set_open = np.tile(active, (n, 1)), np.tile(is_open, (n, 1))
        for j, ratio in group.items():
            above = np.arange(n) > places.index(kinks[j])
            set_active[:, self.ends[k] + j] = above if ratio > 0 else ~above
            set_open[:, self.ends[k] + j] = False
        return Patterns(set_active, set_open)

    def _slopes_through(self, active: Flags, k: int) -> Array:
        """Return how much the units of layer k make of the Jacobian, roughly."""
        J = self.layers.weights[0]
        for i in range(k):
            factor = np.where(active[self.ends[i] : self.ends[i + 1]], 1.0, self.layers.slopes[i])
            J = self.layers.weights[i + 1] @ (factor[:, None] * J)
        behind = np.abs(self.layers.weights[k + 1]).sum(axis=0)
        return np.asarray(np.abs(J).sum(axis=1) * behind)

    def _ratio(self, k: int, i: int, j: int) -> Fraction | None:
        """Return the r with weights j = r times weights i, if there is one other than 0."""
        W = self.layers.weights[k] if k else self.layers.first_weights
        if ((W[i] == 0) != (W[j] == 0)).any() or not W[i].any():
            return Fraction(1) if i == j else None
        pairs = [(Fraction(w), Fraction(v)) for w, v in W[[i, j]].T.tolist() if w]
        ratio = pairs[0][1] / pairs[0][0]
        return ratio if all(v == ratio * w for w, v in pairs) else None

# SPDX-License-Identifier: BSD-3-Clause
"""A mixed-integer linear program that stands for a network, apart from how it is handed on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Sense = Literal["max", "min"]
Relation = Literal["=", "<="]
#: A sum of terms (coefficient, variable).
Terms = list[tuple[float, str]]
__all__ = ["Constraint", "Program"]
#: Solvers take smaller numbers for 0: a variable of that size is known by its unit alone.
LEAST = 2.0**-26


class Constraint(NamedTuple):
    """The sum of the terms, and what it is compared with."""

    name: str
    terms: Terms
    relation: Relation
    right: float


@dataclass
class Program:
    """Variables, constraints and an objective: a weighted sum of the outputs y0, y1, ...."""

    layer_sizes: list[int]
    objective: dict[int, float]
    sense: Sense
    constraints: list[Constraint] = field(default_factory=list)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    binaries: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # on variables in units of their own
    output_units: list[float] = field(default_factory=list)  # y is written in units of these
    output_errors: list[float] = field(default_factory=list)  # for what was left out
    left_out: float = 0.0  # the largest term that was

    def constrain(self, name: str, terms: Terms, relation: Relation, right: float) -> None:
        """Add a constraint."""
        self.constraints.append(Constraint(name, terms, relation, float(right)))

    def bound(self, variable: str, low: float, high: float) -> None:
        """Add a variable in [low, high]."""
        self.bounds[variable] = (low, high)

    def size(self, variable: str) -> float:
        """Return the largest magnitude of a variable."""
        low, high = self.bounds[variable]
        return max(abs(low), abs(high))

    def name(self, row: str, x: str, middle: float, unit: float, t: str) -> None:
        """Add the variable x = middle + unit t, unless it is too small for solvers to see."""
        if unit < LEAST and not middle:
            return
        by = min(unit, 1.0)
        self.constrain(row, [(1 / by, x), (-unit / by, t)], "=", middle / by)
        self.free.append(x)

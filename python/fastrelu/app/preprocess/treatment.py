# SPDX-License-Identifier: BSD-3-Clause
"""What fitted inputs do to each column, for those who tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastrelu.app.preprocess.standardize import Scaling

What = Literal[
    "left out", "as it is", "bytes", "constant", "standard", "quantile", "largest", "date",
    "one-hot", "hash", "pieces",
]  # fmt: skip


@dataclass(frozen=True)
class Treatment:
    """What becomes of one column, or of all of a matrix's (`column` None).

    Attributes
    ----------
    column : str or None
        Its name.
    kind : {"number", "sparse number", "byte", "text", "date"}
        What it holds.
    what : str
        What is done: "left out"; "as it is"; "bytes", which the network multiplies by 1/255;
        "constant", which becomes 0; "standard", ``(x - mean) / std``; "quantile", to normal scores;
        "largest", divided by the largest magnitude; "date", to its parts; "one-hot"; "hash";
        "pieces", the scaled value and its place between quantiles.
    n_inputs : int
        How many inputs it becomes.
    mean, std : float
        "standard": what is taken off, and what is divided by.
    n_quantiles : int
        "quantile": the points of the map.
    fill : float or None
        What a missing number becomes, where an input says that it was missing; else None.
    names : sequence of str
        "one-hot": the categories, "" for missing; "date": the parts.
    """

    column: str | None
    kind: str
    what: What
    n_inputs: int
    mean: float = 0.0
    std: float = 1.0
    n_quantiles: int = 0
    fill: float | None = None
    names: Sequence[str] = ()


def of_number(name: str, scaling: Scaling, j: int) -> Treatment:
    """Return what a scaling does to its column j."""
    mean, std, gaps = float(scaling.mean[j]), float(scaling.std[j]), bool(scaling.gaps[j])
    what: What = "standard"
    if std == 0:
        what = "constant"
    elif scaling.knots is not None:
        what = "quantile"
    elif mean == 0 and std == 1:
        what = "as it is"
    n_quantiles = len(scaling.knots[j][0]) if scaling.knots is not None else 0
    fill = float(scaling.fill[j]) if gaps else None
    return Treatment(name, "number", what, 1 + gaps, mean, std, n_quantiles, fill)

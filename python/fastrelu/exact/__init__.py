# SPDX-License-Identifier: BSD-3-Clause
"""The exact mathematics of piecewise-linear functions and of ReLU networks.

Every module here takes a network as an argument and imports none of the library above the core;
`Network`'s methods import what they need when they are called. `LinearRegions`, `LocalAffine`,
`Optimum`, `Regions`, `ShapeVerification` and `Verification` are what some of them return;
`choose_hinges` and `hinge_statistics` stand beside `PiecewiseLinear.fit`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastrelu.exact.hinge_choice import (
        HingeChoice,
        HingeStatistics,
        choose_hinges,
        hinge_statistics,
    )
    from fastrelu.exact.optimum import Optimum, Verification
    from fastrelu.exact.polytopes import Regions
    from fastrelu.exact.regions import LinearRegions
    from fastrelu.exact.segment import LocalAffine
    from fastrelu.exact.shape import ShapeVerification

__all__ = [
    "HingeChoice",
    "HingeStatistics",
    "LinearRegions",
    "LocalAffine",
    "Optimum",
    "Regions",
    "ShapeVerification",
    "Verification",
    "choose_hinges",
    "hinge_statistics",
]
_MODULES = {
    **dict.fromkeys(
        ("HingeChoice", "HingeStatistics", "choose_hinges", "hinge_statistics"), "hinge_choice"
    ),
    "LinearRegions": "regions",
    "LocalAffine": "segment",
    "Optimum": "optimum",
    "Regions": "polytopes",
    "ShapeVerification": "shape",
    "Verification": "optimum",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'fastrelu.exact' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fastrelu.exact.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

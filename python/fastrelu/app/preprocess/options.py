# SPDX-License-Identifier: BSD-3-Clause
"""What the user may choose about the inputs."""

from __future__ import annotations

from dataclasses import dataclass

from fastrelu.app.errors import ConfigError

SCALINGS = ("auto", "standard", "quantile", "none")
CATEGORIES = ("one-hot", "hash")


@dataclass(frozen=True)
class InputOptions:
    """How columns become inputs.

    Attributes
    ----------
    standardize : {"auto", "standard", "quantile", "none"}
        Of numbers: to mean 0 and standard deviation 1, to normal scores, or not at all. auto:
        standard, but bytes (uint8 matrices) are read as they are.
    categories : {"one-hot", "hash"}
        Of text: an input for each training category, or `hash_width` inputs for each column.
    hash_width : int
        Inputs of a hashed column.
    max_categories : int
        One-hot: the most frequent categories that get an input of their own.
    seed : int
        quantile: of the sample of rows that the quantiles are taken from, if there are many.
    """

    standardize: str = "auto"
    categories: str = "one-hot"
    hash_width: int = 64
    max_categories: int = 255
    seed: int = 0

    def __post_init__(self) -> None:
        if self.standardize not in SCALINGS:
            raise ConfigError(f"standardize: expected one of {SCALINGS}, got {self.standardize!r}")
        if self.categories not in CATEGORIES:
            raise ConfigError(f"categories: expected one of {CATEGORIES}, got {self.categories!r}")
        for name in ("hash_width", "max_categories"):
            if not 1 <= getattr(self, name) <= 1_000_000:
                raise ConfigError(f"{name}: expected 1 to 1000000, got {getattr(self, name)}")

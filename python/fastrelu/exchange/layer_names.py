# SPDX-License-Identifier: BSD-3-Clause
"""The order of layers that only have names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

__all__: list[str] = []


def require_texts_differ(where: str, names: Collection[Any]) -> None:
    """Raise ValueError if two names are one text, as 1 and "1" are."""
    if len({str(name) for name in names}) < len(names):
        raise ValueError(f"{where}: expected names that differ as texts, got {list(names)}")


def in_order(names: Sequence[str], layers: Sequence[str] | None = None) -> list[str]:
    """Return the names of layers in the order of the network.

    Parameters
    ----------
    names : sequence of str
        The names that are there, in any order.
    layers : sequence of str, optional
        The same names in order. By default they are ordered by their numbers, and have to be equal
        but for these.

    Raises
    ------
    ValueError
        If `layers` are not those names, or the names differ in more than numbers, or not in these.
    """
    if layers is not None:
        if isinstance(layers, str) or sorted(layers) != sorted(names):
            raise ValueError(f"layers: expected each of {sorted(names)} once, got {layers!r}")
        return list(layers)
    parts = [re.split(r"(\d+)", name) for name in names]
    numbers = [tuple(int(n) for n in p[1::2]) for p in parts]
    texts = {tuple(p[::2]) for p in parts}
    if len(texts) > 1 or len(set(numbers)) < len(names):  # as those of l_1, l_01 and another l_1
        raise ValueError(
            "layers: the order of the layers does not follow from their names; give them in order: "
            f"{sorted(names)}"
        )
    return sorted(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])

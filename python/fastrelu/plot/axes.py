# SPDX-License-Identifier: BSD-3-Clause
"""What all pictures share: the import of Matplotlib when first used, axes, colours, labels."""

from __future__ import annotations

import textwrap
from typing import Any

# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":")


def axes_or_new(
    ax: Any, *, projection: str | None = None, figsize: tuple[float, float] = (6.0, 4.0)
) -> Any:
    """Return `ax`, or axes of a new figure if it is None; a clear error without Matplotlib."""
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:  # not one that is there and cannot be loaded
        raise ImportError("fastrelu.plot needs Matplotlib: pip install matplotlib") from error
    if ax is not None:
        return ax
    figure = pyplot.figure(figsize=figsize, layout="constrained")
    return figure.add_subplot(projection=projection)


def short(label: Any, most: int = 24) -> str:
    """Return a label on one line, without control characters, its middle left out if long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(label)).split())
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return text[:head] + "…" + text[len(text) - (most - 1 - head) :]


def wrapped(label: Any, width: int = 24) -> str:
    """Return a label whole, without control characters, on lines of at most `width` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(label)).split())
    return "\n".join(textwrap.wrap(text, width)) or text


def thousands(*axes: Any) -> None:
    """Set large numbers' thousands apart on these axes, and few enough of them not to touch."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        if max(map(abs, axis.get_view_interval())) >= 10_000:
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(lambda x, _: f"{x:,.0f}" if abs(x) < 1e9 else f"{x:g}")


def fade(colour: str, least: float = 0.0) -> Any:
    """Return the colour map from nothing (or a share of it) to a colour, for any background."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    rgb = to_rgb(colour)
    return LinearSegmentedColormap.from_list("fade", [(*rgb, least), (*rgb, 1.0)])

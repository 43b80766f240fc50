# SPDX-License-Identifier: BSD-3-Clause
"""What all pictures share: Matplotlib when first used, axes, colours."""

from __future__ import annotations

from typing import Any

# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":")


def axes_or_new(ax: Any, *, projection: str | None = None) -> Any:
    """Return `ax`, or axes of a new figure if it is None; a clear error without Matplotlib."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("fastrelu.plot needs Matplotlib: pip install 'fastrelu[plot]'") from error
    if ax is not None:
        return ax
    figure = pyplot.figure(figsize=(6.0, 4.0), layout="constrained")
    return figure.add_subplot(projection=projection)

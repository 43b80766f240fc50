# SPDX-License-Identifier: BSD-3-Clause
"""Some of many rows, evenly spread over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.several import concatenate
from fastrelu.app.data.table import Table


def evenly(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return these rows, or `most` of them evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]


def spread_sample(
    tables: Iterable[tuple[Table, NDArray[np.intp] | None]], n_rows: int, most: int
) -> Table:
    """Return rows of a stream's tables, evenly spread.

    Parameters
    ----------
    tables : iterable of (Table, ndarray or None)
        Pieces of the stream, and which of their rows; None is all of them.
    n_rows : int
        How many rows these are in all, 1 at least.
    most : int
        How many to return, about: each piece gives its share, rounded up.
    """
    kept = []
    for table, rows in tables:
        which = np.arange(table.n_rows) if rows is None else rows
        if len(which):
            share = -(-len(which) * min(most, n_rows) // n_rows)
            kept.append(table.take(evenly(which, share)))
    return kept[0] if len(kept) == 1 else replace(concatenate(kept), source=kept[0].source)

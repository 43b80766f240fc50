# SPDX-License-Identifier: BSD-3-Clause
"""The column that a user means, by its name or its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrelu.app.data.readers.choice import nearest_name


def column_named(argument: str, key: Any, names: list[str], columns: list[str]) -> str:
    """Return the column of a fit that a user means, by its name or its place.

    Parameters
    ----------
    argument : str
        What the user gave it as, for the error.
    key : str or int
        The name, among `names`, or the place.
    names, columns : list of str
        What the user calls the columns, and what the table does, in one order.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if not 0 <= key < len(columns):
            raise ValueError(f"{argument}: expected columns 0..{len(columns) - 1}, got {key}")
        return columns[int(key)]
    if str(key) not in names:
        shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
        near = nearest_name(str(key), names)
        hint = f" (did you mean {near!r}?)" if near is not None else ""
        raise ValueError(f"{argument}: expected a column among {shown}, got {key!r}{hint}")
    return columns[names.index(str(key))]

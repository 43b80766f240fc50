# SPDX-License-Identifier: BSD-3-Clause
"""What this process may have of the machine that it runs on."""

from __future__ import annotations

import math
import os

from fastrelu import _core

__all__ = ["memory"]


def memory(root: str = "") -> float:
    """Return how much memory there is for this process: the machine's, or its control groups'.

    Containers and batch systems limit memory by control groups (Linux); the least limit from the
    process's own group up to the root of each hierarchy counts, of version 1 and 2.

    Parameters
    ----------
    root : str
        What stands before the paths of the system's files, for tests.

    Returns
    -------
    float
        Bytes, used or not; infinity where the system says neither.

    Examples
    --------
    >>> from fastrelu import machine
    >>> machine.memory() > 2**20
    True
    """
    limit = _core.memory_limit(root) or math.inf
    try:
        return min(limit, float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    except (AttributeError, ValueError, OSError):
        return limit

# SPDX-License-Identifier: BSD-3-Clause
"""What other packages are needed for, and what to install where one is missing."""

from __future__ import annotations

import importlib
from typing import Any

__all__: list[str] = []


def need(module: str, extra: str) -> Any:
    """Return a module of another package.

    Parameters
    ----------
    module : str
        Its name.
    extra : str
        The extra of fastrelu that brings it.

    Raises
    ------
    ImportError
        If it is not there; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ImportError(
            f"this needs {error.name}, which fastrelu's extra {extra!r} brings: "
            f"python -m pip install {error.name}",
            name=error.name,
        ) from error

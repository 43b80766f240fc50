# SPDX-License-Identifier: BSD-3-Clause
"""What `copy` and `pickle` say of objects that only a checkpoint holds whole."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

__all__ = ["Uncopied"]


class Uncopied:
    """The base of what has a checkpoint: a shallow copy would train the same network."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Raise TypeError: `copy.copy`, `copy.deepcopy` and `pickle` ask here."""
        name = type(self).__name__
        raise TypeError(
            f"cannot copy or pickle a {name}: save_checkpoint(path) writes one, and "
            f"{name}.from_checkpoint(path) makes another of it, with networks of its own"
        )

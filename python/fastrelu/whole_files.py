# SPDX-License-Identifier: BSD-3-Clause
"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = [
    "TEMPORARY_SUFFIX",
    "write_bytes",
]

TEMPORARY_SUFFIX = ".part"  # of a file that is not whole yet


def write_bytes(path: Any, data: bytes) -> None:
    """Write a file; an existing one is replaced only once the new one is whole and on the disk.

    Parameters
    ----------
    path : path-like
        The file.
    data : bytes
        Its content.

    Raises
    ------
    OSError
        If it cannot be written; an existing file is then as it was.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrelu import whole_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     whole_files.write_bytes(Path(folder, "notes"), b"one")
    ...     whole_files.write_bytes(Path(folder, "notes"), b"two")
    ...     [(path.name, path.read_bytes()) for path in Path(folder).iterdir()]
    [('notes', b'two')]
    """
    target = Path(os.fspath(path))
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=TEMPORARY_SUFFIX
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where folders can be synchronised."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)

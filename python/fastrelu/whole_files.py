# SPDX-License-Identifier: BSD-3-Clause
"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import errno
import glob
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fastrelu._arguments import path_text

__all__ = [
    "TEMPORARY_SUFFIX",
    "opened",
    "parts_of",
    "remove_parts",
    "write_bytes",
]

TEMPORARY_SUFFIX = ".part"  # of a file that is not whole yet
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


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
    TypeError
        If `path` is no path.
    OSError, MemoryError
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
    with opened(path) as file:
        file.write(data)


@contextmanager
def opened(path: Any) -> Iterator[BinaryIO]:
    """Give a file to write, which has its name once it is whole and on the disk.

    Parameters
    ----------
    path : path-like
        The file; a device or a pipe takes what is written, and stays what it is.

    Yields
    ------
    binary file
        To write to; where an error leaves the block, what was there before is as it was.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fastrelu import whole_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_files.opened(Path(folder, "notes")) as file:
    ...         size = file.write(b"one")
    ...     Path(folder, "notes").read_bytes()
    b'one'
    """
    given = path_text(path)
    if os.path.exists(given) and not (os.path.isfile(given) or os.path.isdir(given)):
        # A device or a pipe is nothing to replace: it takes what is written.
        with open(given, "wb") as file:
            yield file
        return
    target = Path(os.path.realpath(given))  # what a link names is replaced, not the link
    remove_parts(target.parent, [glob.escape(target.name)])
    try:
        with _beside(target) as file:
            yield file
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"path: there is not enough memory to write {given!r}") from error
        own = error.filename is None or str(error.filename).endswith(TEMPORARY_SUFFIX)
        if error.errno is not None and own:
            # It names no file, or one that nobody knows of.
            raise OSError(error.errno, error.strerror, given) from error
        raise
    _sync_folder(target.parent)


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    """Give a file beside the one that it replaces then."""
    # It has its name before it is there: a signal may raise as soon as the system has made it.
    name = _unused_name(target)
    try:
        with os.fdopen(os.open(name, NEW, 0o600), "wb") as file:
            _lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _unused_name(target: Path) -> str:
    """Return a hidden name beside a file that nothing has."""
    while True:
        name = f".{target.name}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}"
        path = os.path.join(target.parent, name)
        if not os.path.lexists(path):
            return path


def remove_parts(folder: Path, names: Iterable[str]) -> None:
    """Remove what processes have left that were killed while they wrote these files.

    Parameters
    ----------
    folder : Path
        Where the files are.
    names : iterable of str
        Their names, which may be patterns.

    Examples
    --------
    >>> from pathlib import Path
    >>> from fastrelu import whole_files
    >>> whole_files.remove_parts(Path("."), ["notes"])
    """
    for path in (path for name in names for path in parts_of(folder, name)):
        try:
            if not path.is_file():
                continue  # a pipe would be waited for
            with open(path, "rb") as file:
                if time.time() - os.stat(path).st_mtime > 60 and _lock(file.fileno()):
                    os.unlink(path)
        except OSError:
            pass  # another's, or gone


def parts_of(folder: Path, name: str) -> list[Path]:
    """Return the files, not whole, that `write_bytes` makes for files of a name.

    Parameters
    ----------
    folder : Path
        Where the files are.
    name : str
        Their name, which may be a pattern.

    Returns
    -------
    list of Path

    Examples
    --------
    >>> from pathlib import Path
    >>> from fastrelu import whole_files
    >>> whole_files.parts_of(Path("."), "notes")
    []
    """
    return list(folder.glob(f".{name}.{'[a-z0-9_]' * 8}{TEMPORARY_SUFFIX}"))


def _lock(handle: int) -> bool:
    """Whether a file could be locked, or cannot be at all: no living process is writing it."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # not on this system, or file system
        pass
    return True


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

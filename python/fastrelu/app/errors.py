# SPDX-License-Identifier: BSD-3-Clause
"""What can end the command: each error's text is one line for the user, each has an exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from fastrelu.app.printable import printable

LONGEST = 1000


def debugging() -> bool:
    """Return whether FASTRELU_DEBUG in the environment asks for tracebacks; 0 and blanks do not."""
    return os.environ.get("FASTRELU_DEBUG", "").strip() not in ("", "0")


class TrainingError(Exception):
    """The command cannot go on; the text says where and why, and what would help."""

    exit_code = 1

    def __init__(self, text: str) -> None:
        """Keep the text as one line: files may hold anything, and messages quote it."""
        line = printable(text, keeps="")
        super().__init__(line if len(line) <= LONGEST else line[: LONGEST - 3] + "...")


class ConfigError(TrainingError):
    """Flags or a configuration file do not fit together."""

    exit_code = 2


class DataError(TrainingError):
    """The data cannot be read or used."""

    exit_code = 3


class NoRowsError(DataError):
    """A file or a query is as it should be, but has no rows."""


class RoomError(DataError, MemoryError):
    """Data take more memory than there is, or are damaged and say so: which, nothing tells."""

    exit_code = 1


class RowsError(DataError, ValueError):
    """Rows that Python code hands over are not of a form that can be read."""


class DataWarning(UserWarning):
    """Rows have something that training had not, or lack something; what was done is said."""


class DivergedError(TrainingError):
    """The loss is no longer a finite number."""

    exit_code = 4


class OutputError(TrainingError):
    """The results cannot be written."""

    exit_code = 5


class CheckpointError(TrainingError):
    """A checkpoint does not fit the data, the options or this version."""

    exit_code = 6


@contextmanager
def needed(package: str, otherwise: TrainingError) -> Iterator[None]:
    """Turn the import of a package that fails into an error that says why.

    Parameters
    ----------
    package : str
        What is imported within the ``with`` block.
    otherwise : TrainingError
        What is raised where it is not installed.

    Raises
    ------
    TrainingError
        `otherwise`, or one of its kind, if the package is there and cannot be loaded. To install
        what is there would not help against a lack of memory, or a library that is damaged.
    """
    try:
        yield
    except ModuleNotFoundError:
        raise otherwise from None
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise type(otherwise)(
            f"{package} is installed, but cannot be loaded ({reason}); there is too little memory "
            "for it, or it is damaged and has to be installed again"
        ) from None

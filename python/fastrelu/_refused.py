# SPDX-License-Identifier: BSD-3-Clause
"""What may end the first import: Ctrl-C, variables of the environment, a core that is not loaded.

Programs get an exception. The command, which is not there yet to see to it, ends in one line.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def end_import(error: BaseException) -> NoReturn:
    """Raise what has ended the import, or end the command in one line.

    Parameters
    ----------
    error : KeyboardInterrupt, ImportError or ValueError
        What the import of the core has raised; pybind11 makes an ImportError of Ctrl-C while NumPy
        is imported. ValueError: a variable of the environment has a value that it may not have.
    """
    interrupted = isinstance(error.__cause__ or error, KeyboardInterrupt)
    refused = isinstance(error, ValueError)
    if not _is_command():
        if interrupted:
            raise KeyboardInterrupt from None
        if refused:
            raise ImportError(str(error)) from None
        raise error  # with its own cause, such as why NumPy cannot be imported
    if interrupted:
        _end(130, "interrupted")
    if refused:
        _end(2, f"error: {error}")
    if os.environ.get("FASTRELU_DEBUG", "").strip() not in ("", "0"):
        raise error
    reason = "".join(c if c.isprintable() else " " for c in str(_first(error)))
    _end(
        1,
        f"error: the compiled core and NumPy cannot be loaded ({' '.join(reason.split())}); there "
        "is not enough memory for them, or they have to be installed again",
    )


def _is_command() -> bool:
    """Return whether the process was started as the command."""
    started = sys.orig_argv[-len(sys.argv) :] if sys.argv[0] == "-m" else sys.argv
    return started[0].endswith(("fastrelu", "fastrelu.exe"))


def _end(status: int, line: str) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(status)


def _first(error: BaseException) -> BaseException:
    """Return the error that led to all others; NumPy's own is a page of advice."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error

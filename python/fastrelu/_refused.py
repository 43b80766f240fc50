# SPDX-License-Identifier: BSD-3-Clause
"""What may end the first import: Ctrl-C, and variables of the environment without a meaning.

Programs get an exception. The command, which is not there yet to see to it, ends in one line.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

#: What the core reads while it is imported; it knows which values they may have.
READ_AT_IMPORT = ("FASTRELU_ISA", "FASTRELU_TUNE")


def end_import(error: BaseException) -> NoReturn:
    """Raise what has ended the import, or end the command in one line.

    Parameters
    ----------
    error : KeyboardInterrupt, ImportError or UnicodeDecodeError
        What the import of the core has raised. pybind11 makes an ImportError of Ctrl-C while NumPy
        is imported, and one of the core's refusal of a variable, of which the sentence is all that
        is left; a sentence that quotes bytes which are no text becomes a UnicodeDecodeError.
    """
    interrupted = isinstance(error.__cause__ or error, KeyboardInterrupt)
    if isinstance(error, UnicodeDecodeError):
        error = _unreadable() or error
        error.__suppress_context__ = True
    refused = str(error).startswith(tuple(f"{name}:" for name in READ_AT_IMPORT))
    if (interrupted or refused) and _is_command():
        line = "interrupted" if interrupted else f"error: {_in_a_line(str(error))}"
        print(line, file=sys.stderr)
        sys.exit(130 if interrupted else 2)
    if interrupted:
        raise KeyboardInterrupt from None
    if _is_command() and os.environ.get("FASTRELU_DEBUG", "").strip() in ("", "0"):
        reason = _in_a_line(" ".join(str(_first(error)).split()))
        print(
            f"error: the compiled core and NumPy cannot be loaded ({reason}); there is not enough "
            "memory for them, or they have to be installed again",
            file=sys.stderr,
        )
        sys.exit(1)
    raise error  # with its own cause, such as why NumPy cannot be imported


def _first(error: BaseException) -> BaseException:
    """Return the error that led to all others; NumPy's own is a page of advice."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error


def _unreadable() -> ImportError | None:
    """Return what is said of the variable whose bytes are no text."""
    for name in READ_AT_IMPORT:
        value = os.environ.get(name, "")
        if not value.isprintable():
            return ImportError(f"{name}: expected plain ASCII text, got {value!a}")
    return None


def _is_command() -> bool:
    """Return whether the process was started as the command."""
    started = sys.orig_argv[-len(sys.argv) :] if sys.argv[0] == "-m" else sys.argv
    return started[0].endswith(("fastrelu", "fastrelu.exe"))


def _in_a_line(text: str) -> str:
    """Return a text with what is not printable escaped; the command's own way is not there yet."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

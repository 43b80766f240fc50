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


def refuse_unreadable_variables() -> None:
    """Refuse what the core's own sentence could not quote, as no text has these bytes.

    Raises
    ------
    ImportError
        If a variable that the core reads while it is imported is not plain ASCII.
    """
    for name in READ_AT_IMPORT:
        value = os.environ.get(name, "")
        if not value.isascii():
            raise ImportError(f"{name}: expected plain ASCII text, got {value!a}")


def end_import(error: BaseException) -> NoReturn:
    """Raise what ended the import, or end the command in one line.

    Parameters
    ----------
    error : BaseException
        KeyboardInterrupt, or an ImportError of the core's.
    """
    # pybind11 makes an ImportError of Ctrl-C while NumPy is imported.
    interrupted = isinstance(error.__cause__ or error, KeyboardInterrupt)
    # It makes one of the core's refusal, too, of which the sentence is all that is left.
    refused = str(error).startswith(tuple(f"{name}:" for name in READ_AT_IMPORT))
    if (interrupted or refused) and _is_command():
        line = "interrupted" if interrupted else f"error: {_in_a_line(str(error))}"
        print(line, file=sys.stderr)
        sys.exit(130 if interrupted else 2)
    if interrupted:
        raise KeyboardInterrupt from None
    raise error


def _is_command() -> bool:
    """Return whether the process was started as the command."""
    started = sys.orig_argv[-len(sys.argv) :] if sys.argv[0] == "-m" else sys.argv
    return started[0].endswith(("fastrelu", "fastrelu.exe"))


def _in_a_line(text: str) -> str:
    """Return a text with what is not printable escaped; the command's own way is not there yet."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

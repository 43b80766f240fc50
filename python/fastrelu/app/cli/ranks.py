# SPDX-License-Identifier: BSD-3-Clause
"""How the processes of mpiexec end together: one sentence on rank 0, an exit status on all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from fastrelu.app.cli.base import status_of, unexpected
from fastrelu.app.errors import TrainingError, debugging
from fastrelu.app.printable import printable
from fastrelu.app.run.interrupt import Interrupted
from fastrelu.distributed import Communicator, RankError


@contextmanager
def ending_together(comm: Communicator | None) -> Iterator[None]:
    """End all processes if this one fails, and this one if another does."""
    try:
        yield
    except RankError as error:
        if comm is None:
            raise
        if comm.rank == 0:
            click.echo(f"error: {printable(str(error))}", err=True)
        answer = getattr(comm, "answer", None)
        if answer is not None:
            answer(error)
        raise SystemExit(error.exit_code) from None
    except BaseException as error:
        fail = getattr(comm, "fail", None)
        if comm is None or fail is None or debugging():
            raise
        text, code = _told(error)
        if comm.rank == 0:
            click.echo(text, err=True)
            fail(text, code)
        elif not fail(text.removeprefix("error: "), code):
            click.echo(f"rank {comm.rank}: {text}", err=True)
        raise SystemExit(code) from None


def _told(error: BaseException) -> tuple[str, int]:
    """Return what is said of an error, in one line, and the exit status."""
    if isinstance(error, TrainingError):
        return f"error: {printable(str(error))}", status_of(error)
    if isinstance(error, Interrupted):
        return printable(str(error)), error.exit_code
    if isinstance(error, click.ClickException):
        return f"error: {printable(error.format_message())}", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    if isinstance(error, SystemExit):
        return "error: ended", error.code if isinstance(error.code, int) else 1
    text = unexpected(error) if isinstance(error, Exception) else repr(error)
    return f"error: {printable(text)}", int(getattr(error, "exit_code", 1))

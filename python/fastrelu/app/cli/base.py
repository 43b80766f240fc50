# SPDX-License-Identifier: BSD-3-Clause
"""What the commands share: errors as one line and an exit code, flags from settings, warnings."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fastrelu import get_num_threads
from fastrelu.app.errors import ConfigError, OutputError, TrainingError, debugging
from fastrelu.app.kinds import Choice, Kind, Switch, Text
from fastrelu.app.option import READING, SOURCE
from fastrelu.app.printable import printable
from fastrelu.app.run.interrupt import Interrupt, Interrupted
from fastrelu.app.settings import default, flag, options, shown

if TYPE_CHECKING:
    from fastrelu.app.data.meaning import ReadOptions

#: What a system says when a file takes no more.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command that ends in one line and an exit code, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with Interrupt("interrupted"):
                refuse_the_environment()
                return super().invoke(ctx)
        except (click.exceptions.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except TrainingError as error:
            stop(status_of(error), str(error))
        except Interrupted as reason:
            click.echo(printable(str(reason)), err=True)
            raise SystemExit(reason.exit_code) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise SystemExit(130) from None
        except BrokenPipeError:  # such as | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from None
        except Exception as error:
            stop_for_lack_of_room(error)
            if debugging():
                raise
            stop(getattr(error, "exit_code", 1), unexpected(error))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags group by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if not isinstance(parameter, click.Option):
                continue  # the text above says what they are
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


def status_of(error: TrainingError) -> int:
    """Return the exit status: that of a lack of memory, too, where a file was refused for it."""
    reason = error.__cause__ or error.__context__
    return TrainingError.exit_code if refused_memory(reason) else error.exit_code


def refused_memory(error: BaseException | None) -> bool:
    """Return whether the system has no memory for what it was asked, such as to open a file."""
    return isinstance(error, OSError) and error.errno == errno.ENOMEM


def unexpected(error: Exception) -> str:
    """Return one line about an error that nothing foresaw."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or refused_memory(error):
        return (
            f"there is not enough memory{f' ({text})' if text else ''}; fewer rows at a time take "
            "less, and train reads Parquet, NPY and text files in blocks of --memory"
        )
    text = text or "no message"
    if isinstance(error, ImportError):
        return text
    kind = type(error).__name__
    return f"unexpected {kind}: {text}; FASTRELU_DEBUG=1 in the environment shows where"


def stop(code: int, text: str) -> NoReturn:
    """Say what went wrong in one line, and end."""
    click.echo(f"error: {printable(text)}", err=True)
    raise SystemExit(code)


def stop_for_lack_of_room(error: Exception) -> None:
    """Say that standard output takes no more, and end, if it is that; what is left is lost."""
    # Not the run folder's files, whose errors are TrainingErrors.
    if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        stop(OutputError.exit_code, f"standard output: {error.strerror}")


def refuse_the_environment() -> None:
    """Refuse a number of threads in the environment that is none, whatever the command needs.

    The other variables are read, and refused, where the core is imported.

    Raises
    ------
    ConfigError
        In place of the ValueError with which the core would end what needs threads first.
    """
    try:
        get_num_threads()
    except ValueError as error:
        raise ConfigError(str(error)) from None


class Setting(click.ParamType):  # type: ignore[type-arg]
    """A flag's value, as its kind of setting reads it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name = kind.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value that the text means."""
        if not isinstance(value, str):
            return value
        try:
            return self.kind.from_text(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Return the names that go on from what is typed, or leave a path to the shell."""
        if isinstance(self.kind, Text) and self.kind.place:
            return by_shell(incomplete, self.kind.place)
        names = self.kind.names if isinstance(self.kind, Choice) else ()
        return [
            click.shell_completion.CompletionItem(name)
            for name in names
            if name.startswith(incomplete)
        ]


class Place(click.ParamType):  # type: ignore[type-arg]
    """A path as it is typed, which the shell completes: a file's, or a folder's alone."""

    name = "text"

    def __init__(self, place: str = "file") -> None:
        self.place = place

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Leave it to the shell."""
        return by_shell(incomplete, self.place)


def by_shell(incomplete: str, place: str) -> list[click.shell_completion.CompletionItem]:
    """Return the answer by which a shell completes the paths of files, or of folders ("dir")."""
    # Without it a shell that has our completion would complete no paths at all.
    return [click.shell_completion.CompletionItem(incomplete, type=place)]


class Flag(click.Option):
    """A flag that stands in a group of the help."""

    group = "Options"


def reading_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags that say where the rows are, and how texts are read."""
    return setting_flags(setting_flags(command, READING), SOURCE)


def as_read_options(flags: Mapping[str, Any]) -> ReadOptions:
    """Return what the flags of `reading_flags` say about texts."""
    from fastrelu.app.data.meaning import ReadOptions

    known = {each.name for each, option in options() if option.group == READING}
    return ReadOptions(**{k: v for k, v in flags.items() if k in known and v is not None})


def as_choice(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the flags of `reading_flags` say, as attributes of a `ColumnChoice`."""
    where = {each.name for each, option in options() if option.group == SOURCE}
    return {"options": as_read_options(flags), **{k: v for k, v in flags.items() if k in where}}


def setting_flags(command: Callable[..., Any], group: str | None = None) -> Callable[..., Any]:
    """Give a command a flag for each setting (of a group), in the settings' order."""
    for each, option in reversed(list(options())):
        if each.name == "data" or group not in (None, option.group):
            continue
        text, value = option.help, default(each)
        if value not in (None, (), False) and "[default" not in text:
            text += f"  [default: {shown(value)}]"
        switch = isinstance(option.kind, Switch)
        form: dict[str, Any] = (
            {"is_flag": True}
            if switch
            else {"type": Setting(option.kind), "metavar": option.kind.metavar}
        )
        decorate = click.option(
            flag(each.name), each.name, cls=Flag, default=None, help=text, **form
        )
        command = decorate(command)
        command.__click_params__[-1].group = option.group  # type: ignore[attr-defined]
    return command


def target_among(data: tuple[str, ...], y: str | None) -> tuple[tuple[str, ...], str | None]:
    """Return DATA with the file that ``--y`` names, if it names one, and the file's name."""
    if y is None or not os.path.isfile(y):
        return data, y
    return (data if y in data else (*data, y)), os.path.basename(y)


def required(data: tuple[str, ...], sql: str | None) -> None:
    """Refuse a command without DATA and without a query."""
    if not data and sql is None:
        raise click.UsageError("no DATA: name a file, or give --sql a query")


def warn_seen(texts: Iterable[str]) -> None:
    """Warn of what the rows had that training had not."""
    for text in texts:
        click.echo(f"warning: {printable(text)}", err=True)

# SPDX-License-Identifier: BSD-3-Clause
"""The command ``fastrelu``: a module for each of its subcommands, imported when it is called."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from fastrelu.app.run.interrupt import Interrupt, Interrupted

COMPLETE = "_FASTRELU_COMPLETE"
SUBCOMMANDS = {
    "train": "Train a network on a file of data, test it and save it.",
    "predict": "Predict the rows of a file with a saved model.",
    "evaluate": "Measure how good a saved model is on the rows of a file.",
    "info": "Describe a saved model: inputs, target, metrics, how to load it.",
    "inspect": "Show how a file of data is read: separator, columns, kinds, oddities.",
    "export": "Write a saved model as an ONNX file, from raw columns to labels, or as C.",
    "plot": "Draw a run as PNG files.",
    "selftest": "Check that this build computes the right bits on this machine.",
}


@contextmanager
def _completion() -> Iterator[None]:
    """Say what is wrong with the variables by which a shell asks for completion.

    Click ends without a word where it does not know the shell, and in a traceback where the words
    are not there.
    """
    asked = os.environ.get(COMPLETE)
    if not asked:
        yield
        return
    from click.shell_completion import get_completion_class

    shell, _, what = asked.partition("_")
    if get_completion_class(shell) is None or what not in ("source", "complete"):
        _stop(f"{COMPLETE}: expected a shell and what it asks for, such as bash_source", asked)
    try:
        yield
    except (KeyError, ValueError):
        words = {name: os.environ.get(name) for name in ("COMP_WORDS", "COMP_CWORD")}
        _stop(f"{COMPLETE}={asked} needs COMP_WORDS, and COMP_CWORD, a place among them", words)


def _stop(text: str, got: object) -> NoReturn:
    click.echo(f"error: {text}, got {got!a}", err=True)
    raise SystemExit(2)


class Lazy(click.Group):
    """A group whose commands are imported when they are called or asked for help."""

    def main(self, *args: Any, **given: Any) -> Any:
        """Run the command; what --help and --version cannot write is an error as any output's."""
        try:
            # Also while the subcommand is imported and its arguments are read, where Click would
            # say "Aborted!" and make it the status of an error that nothing foresaw.
            with Interrupt("interrupted"), _completion():
                return super().main(*args, **given)
        except Interrupted as reason:
            click.echo(str(reason), err=True)
            raise SystemExit(reason.exit_code) from None
        except OSError as error:
            from fastrelu.app.cli.base import stop_for_lack_of_room

            stop_for_lack_of_room(error)
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command; None if there is none of this name."""
        if name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"fastrelu.app.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fastrelu")
def main() -> None:
    """Train ReLU networks on files of data, and use them.

    \b
    Start:
      fastrelu train digits
      fastrelu train housing.csv --target price --out run
      fastrelu predict run new.csv --out predictions.csv
      fastrelu train --help

    Exit status: 0 done, 1 not enough memory or an unexpected error, 2 bad flags or configuration,
    3 bad or missing data, 4 diverged, 5 cannot write, 6 the checkpoint does not fit, 130 and 143
    interrupted.

    \b
    Completion by the Tab key, a line for the shell's own file:
      bash, .bashrc:     eval "$(_FASTRELU_COMPLETE=bash_source fastrelu)"
      zsh, .zshrc:       autoload -U compinit; compinit
                         eval "$(_FASTRELU_COMPLETE=zsh_source fastrelu)"
      fish, config.fish: _FASTRELU_COMPLETE=fish_source fastrelu | source
    """  # noqa: D301

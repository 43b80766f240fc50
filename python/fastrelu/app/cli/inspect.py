# SPDX-License-Identifier: BSD-3-Clause
"""``fastrelu inspect``."""

from __future__ import annotations

import json
from typing import Any

import click

from fastrelu.app.cli.base import HELP, Command, Place, Setting, as_choice, reading_flags, required
from fastrelu.app.kinds import Names
from fastrelu.app.printable import printable, printable_json

SHOWN = 26  # letters of a value: any number and any date


@click.command(cls=Command, context_settings=HELP)
@click.argument("data", nargs=-1, type=Place())
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--ignore", type=Setting(Names()), default=(), metavar="COLS", help="Columns to leave out."
)
@click.option(
    "--categorical",
    type=Setting(Names()),
    default=(),
    metavar="COLS",
    help="Columns to read as categories, though they hold numbers.",
)
@reading_flags
def inspect(
    data: tuple[str, ...],
    as_json: bool,
    ignore: tuple[str, ...],
    categorical: tuple[str, ...],
    **reading: Any,
) -> None:
    """Show how DATA are read, and change nothing.

    DATA is what fastrelu train takes. Inspect prints the format, for text also the separator, the
    quote, the decimal mark and the line of the names; the number of rows; and for each column its
    name, kind, missing cells, number of different values, first values, and what looks odd about
    it. A column that train would refuse is shown as categories, with the reason.

    \b
    Examples:
      fastrelu inspect housing.csv
      fastrelu inspect sales.csv --decimal , --json

    Exit status: 0 done, 2 bad flags, 3 bad or missing data.
    """  # noqa: D301
    from fastrelu.app.data.inspect import inspect as look
    from fastrelu.app.data.readers import ColumnChoice, name_of_format
    from fastrelu.app.data.stream import read_tables

    required(data, reading["sql"])
    choice = ColumnChoice(
        ignore=ignore, categorical=categorical, lenient=True, **as_choice(reading)
    )
    tables = read_tables(data, choice, need_target=False)
    found = look(tables, name_of_format(data, choice))
    if as_json:
        click.echo(printable_json(json.dumps(found, indent=2, ensure_ascii=False)))
        return
    for line in lines(found):
        click.echo(printable(line))


def lines(found: dict[str, Any]) -> list[str]:
    """Return what was found as lines for a terminal."""
    from fastrelu.app.data.meaning import Reading

    read, columns = found["read"], found["columns"]
    how = Reading(read).line() or f"read as {read['format']}"
    result = [f"{read['source']}: {found['rows']:,} rows, {len(columns)} columns", how]
    cells = [("column", "kind", "missing", "distinct", "first values")]
    for column in columns:
        shown = ", ".join(
            "" if v is None else " ".join(str(v).split())[:SHOWN] for v in column["first"][:4]
        )
        gaps = f"{column['missing']:.1%}" if column["missing"] else ""
        name = " ".join(column["name"].split())[:40]
        cells.append((name, column["kind"], gaps, f"{column['distinct']:,}", shown))
    widths = [max(map(len, each)) for each in zip(*cells, strict=True)]
    for row in cells:
        texts = [text.ljust(w) if k in (0, 1, 4) else text.rjust(w)
                 for k, (text, w) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        result.append("  " + "  ".join(texts).rstrip())
    for column in columns:
        result += [f"warning: column {column['name']!r}: {w}" for w in column["warnings"]]
    return result + [f"warning: {text}" for text in found["warnings"]]

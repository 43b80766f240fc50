# SPDX-License-Identifier: BSD-3-Clause
"""Read text files of fields, CSV and its relatives, in any number, into memory as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from fastrelu.app.data.meaning import bridge
from fastrelu.app.data.readers.choice import ColumnChoice, Roles
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.text.files import TextFiles
from fastrelu.app.data.readers.text.gather import Places, values
from fastrelu.app.data.readers.values import as_target, as_weights
from fastrelu.app.data.table import Table


def read_csv(sources: Sequence[Source], choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table in some text files.

    Parameters
    ----------
    sources : sequence of Source
        UTF-8 text; how each is laid out is found out from its first rows.
    choice : ColumnChoice
        What each column is, and what the user says about the reading.
    need_target : bool
        Whether there has to be a target.

    Returns
    -------
    Table
        A column is what all of its cells say; `Table.reading` has it.

    Raises
    ------
    DataError
        If the content is not such a file, or a cell is not what its column is.
    """
    files = TextFiles(sources, choice, need_target)
    files.gather(files.columns)
    files.decide()
    _read_again(files)
    found = {
        name: values(files.columns[name], files.verdicts[name].meaning, files, not choice.lenient)
        for name in files.roles.used
    }
    bridge.give_back()
    reading = files.reading()
    table = text_table(files.source, files.n_rows, found, files.roles, files)
    warnings = [f"column {n!r}: {t}" for n, texts in reading.warnings.items() for t in texts]
    notes = list(dict.fromkeys([*files.notes, *warnings]))
    rows = [file.rows.n for file in files.files]
    return replace(table, notes=notes, reading=reading, file_rows=rows)


def _read_again(files: TextFiles) -> None:
    """Read columns again that seemed plain numbers for a while and are something else."""
    again = {
        name: column.again()
        for name, column in files.columns.items()
        if not column.fits(files.verdicts[name].meaning)
    }
    if again:
        files.gather(again)
        for name, column in again.items():
            files.columns[name].parts = column.parts


def text_table(
    source: str, n_rows: int, found: dict[str, NDArray[Any]], roles: Roles, places: Places
) -> Table:
    """Return the table of some rows of text files.

    Parameters
    ----------
    source : str
        The files.
    n_rows : int
        The number of rows.
    found : dict of str to ndarray, (n_rows,)
        The columns' values, by name.
    roles : Roles
        What each of the columns is.
    places : Places
        The line of each row, for messages.

    Raises
    ------
    DataError
        If a target or a weight is none.
    """
    target = weights = None
    if roles.target is not None:
        target = as_target(source, roles.target, found[roles.target], places.near)
    if roles.weights is not None:
        weights = as_weights(source, roles.weights, found[roles.weights], places.near)
    return Table(
        source,
        n_rows,
        columns={name: found[name] for name in roles.inputs},
        target=target,
        target_name=roles.target,
        weights=weights,
        extra={name: found[name] for name in roles.extra},
        others=roles.others,
        kept={name: found[name] for name in roles.keep},
    )

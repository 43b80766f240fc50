# SPDX-License-Identifier: BSD-3-Clause
"""Folders of data as Spark, Hive, DuckDB and pyarrow leave them: parts, markers, key=value."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import Reading
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.column import ColumnReader, Found
from fastrelu.app.data.readers.texts import as_objects
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Folders of tables that keep files which are no longer part of them.
LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi", "metadata": "Iceberg"}


def is_marker(path: str) -> bool:
    """Return whether a file's name says that it is no data: those of Spark, of macOS, of shells."""
    name = path.rpartition("/")[2]
    return name.startswith(("_", ".")) or path.startswith("__MACOSX/") or name.endswith(".crc")


def beside_data(path: str, pattern: str) -> bool:
    """Return whether what matches a pattern is a marker, or below a folder that is one."""
    said = set(PurePath(pattern).parts)
    return any(is_marker(part) for part in PurePath(path).parts if part not in said)


def files_in(folder: str) -> list[str]:
    """Return the files of data in a folder and those below it, sorted.

    Raises
    ------
    DataError
        If there are none, or they are of several kinds, or the folder is kept by a table format.
    """
    for log, tool in LOGS.items():
        held = Path(folder) / log
        if held.is_dir() and (log != "metadata" or any(held.glob("*.metadata.json"))):
            raise DataError(
                f"{folder}: a {tool} table, whose folder also holds files that are no longer part "
                "of it; write its rows to Parquet or CSV"
            )
    found: list[str] = []
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_marker(name))
        found += [os.path.join(at, name) for name in names if not is_marker(name)]
    found.sort()
    endings = sorted({"".join(Path(path).suffixes[-1:]) for path in found})
    if not found:
        raise DataError(
            f"{folder}: a folder without files of data; name the files, as in "
            f"'{folder.rstrip('/')}/*/*.csv'"
        )
    if len(endings) > 1:
        first = next((ending for ending in endings if ending), "")
        raise DataError(
            f"{folder}: a folder of different files ({', '.join(e or 'no ending' for e in endings)}"
            f"); name those to read, as in '{folder.rstrip('/')}/*{first}'"
        )
    return found


def folder_columns(paths: Sequence[str]) -> dict[str, list[str | None]]:
    """Return the columns that folders name, as in ``year=2024/part.parquet``.

    Returns
    -------
    dict of str to list of str or None
        By name, the value of each file; None where its folders do not say it.
    """
    said: list[dict[str, str | None]] = []
    for path in paths:
        pairs = [part.partition("=") for part in PurePath(path).parts[:-1] if "=" in part]
        values = {unquote(key).strip(): unquote(value) for key, _, value in pairs}
        said.append({k: None if v == NO_VALUE else v for k, v in values.items() if k})
    names = dict.fromkeys(name for values in said for name in values)
    return {name: [values.get(name) for values in said] for name in names}


def named_in_folders(paths: Sequence[str], choice: ColumnChoice) -> dict[str, list[str | None]]:
    """Return the columns that folders name and that say something: not one value for all files.

    A model's columns, and those that the user names, are there whatever they say.
    """
    asked = {*choice.kinds, *(choice.features or ()), *choice.extra, *choice.keep}
    found = folder_columns(paths)
    return {n: v for n, v in found.items() if len(set(v)) > 1 or n in asked}


class FolderColumns:
    """Columns that are said by the folders of the files.

    Parameters
    ----------
    paths : sequence of str
        The files.
    choice : ColumnChoice
        What each column is.
    in_files : sequence of str
        Columns that the files hold themselves, which win.

    Raises
    ------
    DataError
        If their values do not mean one thing.
    """

    def __init__(self, paths: Sequence[str], choice: ColumnChoice, in_files: Sequence[str]) -> None:
        named = named_in_folders(paths, choice)
        inside = set(in_files)
        wanted = set(choice.kinds or choice.features or named)
        taken = {choice.target, choice.weights, *choice.ignore, *choice.extra}
        self._numbers = {path: k for k, path in enumerate(paths)}
        self.found = Found()
        self.inputs: dict[str, NDArray[Any]] = {}
        self.extra: dict[str, NDArray[Any]] = {}
        self.kept: dict[str, NDArray[Any]] = {}
        for name, texts in named.items():
            if name in inside:
                continue
            if name in choice.keep:
                self.kept[name] = as_objects(["" if text is None else text for text in texts])
            if name in choice.extra:
                self.extra[name] = self._read(paths[0], name, texts, choice)
            elif name in wanted - taken:
                self.inputs[name] = self._read(paths[0], name, texts, choice)

    def _read(
        self, path: str, name: str, texts: Sequence[str | None], choice: ColumnChoice
    ) -> NDArray[Any]:
        reader = ColumnReader.of(
            f"the folders of {path}", name, lambda k: f"file {k + 1}", choice, "column", self.found
        )
        return reader.texts(texts)

    def add_to(self, table: Table, rows: Mapping[str, int]) -> Table:
        """Return a table with the columns, whose rows come from files of so many rows each."""
        if not (self.inputs or self.extra or self.kept):
            return table
        which = np.repeat([self._numbers[path] for path in rows], list(rows.values()))
        return replace(
            table,
            columns={**table.columns, **{n: v[which] for n, v in self.inputs.items()}},
            extra={**table.extra, **{n: v[which] for n, v in self.extra.items()}},
            kept={**table.kept, **{n: v[which] for n, v in self.kept.items()}},
            notes=[*table.notes, *(n for n in self.found.all_notes() if n not in table.notes)],
            reading=self.known_to(table.reading),
        )

    def known_to(self, reading: Reading | None) -> Reading | None:
        """Return how texts were taken, what the columns mean included."""
        if reading is None or not self.found.meanings:
            return reading
        return replace(reading, columns={**reading.columns, **self.found.meanings})

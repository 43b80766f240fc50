# SPDX-License-Identifier: BSD-3-Clause
"""From files to tables, a module for each format; the content tells the format, not the name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastrelu.app.data.readers import arrays, arrow, database, excel, idx, libsvm, npy
from fastrelu.app.data.readers.bundled import bundled
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.csv import read_csv
from fastrelu.app.data.readers.files import BUNDLED, STANDARD_INPUT, EmptyFileError, Source, expand
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.readers.places import FolderColumns, named_in_folders
from fastrelu.app.data.readers.several import choose_columns, concatenate, refuse_lacking
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError, NoRowsError

LAYOUT = ("separator", "quote", "no_header", "header_line")  # flags of text files
TOP = ("no_header", "header_line")  # of them, those that workbooks have too
MEANING = ("decimal", "na", "date_format", "numeric")
ARRAYS = ("arrays", "npz", "libsvm")

__all__ = ["BUNDLED", "ColumnChoice", "name_of_format", "read"]


def read(data: Any, choice: ColumnChoice | None = None, *, need_target: bool = True) -> Table:
    """Return the table in one file or several, in a bundled data set, or in memory.

    Parameters
    ----------
    data : str, sequence of str, or what `table_from` takes
        Paths, globs and folders, "-" for standard input, or one of `BUNDLED`; none of them if
        `choice.sql` is a query. Or rows in memory: a data frame, an Arrow table, a DuckDB
        relation, a dict of columns.
    choice : ColumnChoice, optional
        What each column is.
    need_target : bool
        Whether there has to be a target; predicting does without.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If something cannot be read, is not there, or does not fit.

    Examples
    --------
    >>> from fastrelu import training
    >>> table = training.read(["iris"])
    >>> table.n_rows, table.target_name, len(table.names)
    (150, 'target', 4)
    """
    choice = choice or ColumnChoice()
    paths = _paths(data)
    if paths is None:
        table = table_from(data, choice, need_target=need_target)
        return _chosen(table, choice, need_target)
    if choice.sql is not None:
        table = database.read_query(paths, choice, need_target)
        return _chosen(table, choice, need_target)
    paths = expand(paths)
    if paths[0] in BUNDLED:
        if len(paths) > 1:
            raise DataError(
                f"{paths[0]}: expected a bundled data set by itself, got {paths[1]} beside it"
            )
        if choice.target not in (None, "target") and need_target:
            raise DataError(f"{paths[0]}: --target goes with files, not with {paths[0]}")
        return _chosen(bundled(paths[0]), choice, need_target)
    return _chosen(_read_files(paths, choice, need_target), choice, need_target)


def _paths(data: Any) -> list[str] | None:
    """Return the paths that data are; None if they are rows in memory."""
    if isinstance(data, (str, os.PathLike)):
        return [os.fspath(data)]
    if isinstance(data, Sequence) and all(isinstance(p, (str, os.PathLike)) for p in data):
        return [os.fspath(path) for path in data]
    return None


def _read_files(paths: Sequence[str], choice: ColumnChoice, need_target: bool) -> Table:
    sources, notes = _sources(paths)
    formats = [format_of(source) for source in sources]
    for source, kind in zip(sources, formats, strict=True):
        if kind != formats[0]:
            raise DataError(
                f"{source.path}: expected the format of {sources[0].path} ({formats[0]}), got "
                f"another format ({kind})"
            )
    refuse_flags(sources[0], formats[0], choice)
    if choice.table is not None and formats[0] not in ("database", "workbook"):
        raise DataError(f"{sources[0].path}: --table goes with databases and workbooks")
    if formats[0] == "arrays":
        return arrays.read_arrays(sources, choice, need_target)
    paths = [source.path for source in sources]
    choice = replace(choice, folders=tuple(named_in_folders(paths, choice)))
    if formats[0] == "csv":
        if choice.features is None and not choice.ignore:  # else it may be fewer cells
            for source in sources:
                source.refuse_more_than_the_memory()
        table = read_csv(sources, choice, need_target)
    else:
        table = concatenate(_read_each(sources, formats[0], choice, need_target))
    if choice.folders:
        rows = dict(zip(paths, table.file_rows or [table.n_rows], strict=True))
        table = FolderColumns(paths, choice, table.names).add_to(table, rows)
    return replace(table, notes=table.notes + notes)


def _read_each(
    sources: Sequence[Source], kind: str, choice: ColumnChoice, need_target: bool
) -> list[Table]:
    """Return the tables of files; of parts without rows an empty one of what others have."""
    tables: list[Table | None] = []
    nothing: NoRowsError | None = None
    for source in sources:
        try:
            table = _read_one(source, kind, choice, need_target)
        except NoRowsError as error:
            nothing = nothing or error
            tables.append(None)
            continue
        tables.append(table)
        if choice.target is None and need_target:  # the first file's last column
            choice = replace(choice, target=table.target_name)
    full = [table for table in tables if table is not None and table.n_rows]
    full = full or [table for table in tables if table is not None][:1]
    if not full:
        assert nothing is not None
        raise nothing
    return [table if table in full else full[0].take(slice(0, 0)) for table in tables]


def _sources(paths: Sequence[str]) -> tuple[list[Source], list[str]]:
    """Return the files that are not empty, and what to say of the others; one alone must not be."""
    sources, empty = [], []
    for path in paths:
        try:
            sources.append(Source(path))
        except EmptyFileError:
            empty.append(path)
            if len(empty) == len(paths):
                raise
    notes = [f"{len(empty)} empty files are left out, such as {empty[0]}"] if empty else []
    return sources, notes


def format_of(source: Source) -> str:
    """Return a file's format: arrays, npz, arrow, database, workbook, libsvm or csv."""
    head = source.head
    if idx.is_idx(head) or head.startswith(npy.NPY):
        return "arrays"
    if arrow.is_arrow(head):
        return "arrow"
    if database.is_database(head):
        return "database"
    if excel.is_workbook(source):
        return "workbook"
    if head[:4] in arrays.ZIP:
        return "npz"
    return "libsvm" if libsvm.is_libsvm(head) else "csv"


def refuse_flags(source: Source, kind: str, choice: ColumnChoice) -> None:
    """Raise DataError for what the user says about the reading and a file's format has not.

    Parameters
    ----------
    source : Source
        The file.
    kind : str
        Its format, from `format_of`.
    choice : ColumnChoice
        What the user says.
    """
    for name in () if kind == "csv" else LAYOUT:
        if getattr(choice.options, name) and not (kind == "workbook" and name in TOP):
            flag = name.replace("_", "-")
            others = " and workbooks" if name in TOP else ""
            raise DataError(f"{source.path}: --{flag} goes with text files{others}")
    for name in MEANING if kind in ARRAYS and not choice.kinds else ():
        if getattr(choice.options, name) not in (None, ()):
            flag = name.replace("_", "-")
            raise DataError(
                f"{source.path}: --{flag} goes with tables; an array holds numbers, and NaN where "
                "one is missing"
            )


def name_of_format(paths: Sequence[str], choice: ColumnChoice | None = None) -> str:
    """Return the format of some data as a word for the user."""
    if choice is not None and choice.sql is not None:
        return "query"
    path = expand(paths)[0]
    if path in BUNDLED:
        return "bundled data set"
    if path == STANDARD_INPUT:
        return "standard input"
    source = Source(path)
    names = {"arrays": "NPY", "npz": "NPZ", "csv": "text"}
    if idx.is_idx(source.head):
        return "IDX"
    if source.head.startswith(arrow.PARQUET):
        return "Parquet"
    kind = format_of(source)
    return names.get(kind, kind)


def _read_one(source: Source, kind: str, choice: ColumnChoice, need_target: bool) -> Table:
    if kind == "npz":
        return arrays.read_npz(source, choice, need_target)
    if kind == "arrow":
        return arrow.read_arrow(source, choice, need_target)
    if kind == "database":
        return database.read_database(source, choice, need_target)
    if kind == "workbook":
        return excel.read_excel(source, choice, need_target)
    if choice.target not in (None, "label"):
        raise DataError(
            f"{source.path}: --target {choice.target}: expected no other target than the label, as "
            "libsvm files have no names"
        )
    return libsvm.read_libsvm(source, need_target)


def _chosen(table: Table, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table with the columns that were chosen; refuse choices that its format lacks."""
    if table.matrix is not None and need_target:
        refuse_lacking(table, choice)
    for name in choice.keep:
        if name not in table.kept:
            raise DataError(f"{table.source}: --keep {name}: this format has no such column")
    if table.weights is not None and table.n_rows and not table.weights.any():
        raise DataError(f"{table.source}: weights {choice.weights!r}: every weight is 0")
    return choose_columns(table, choice)

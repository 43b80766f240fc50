# SPDX-License-Identifier: BSD-3-Clause
"""From files to tables: one module a format; formats are told from the content, not the name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fastrelu.app.data.readers import arrays, arrow, idx, libsvm
from fastrelu.app.data.readers.bundled import bundled
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.csv import read_csv
from fastrelu.app.data.readers.files import BUNDLED, STANDARD_INPUT, EmptyFileError, Source, expand
from fastrelu.app.data.readers.several import choose_columns, concatenate
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

__all__ = ["BUNDLED", "ColumnChoice", "name_of_format", "read"]


def read(
    paths: Sequence[str], choice: ColumnChoice | None = None, *, need_target: bool = True
) -> Table:
    """Return the table in one file or several, or in a bundled data set.

    Parameters
    ----------
    paths : sequence of str
        Paths and globs, "-" for standard input, or one of `BUNDLED`.
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
    """
    choice = choice or ColumnChoice()
    paths = expand(paths)
    if paths[0] in BUNDLED:
        if len(paths) > 1:
            raise DataError(f"{paths[0]}: a bundled data set stands alone, got also {paths[1]}")
        if choice.target not in (None, "target") and need_target:
            raise DataError(f"{paths[0]}: --target goes with files, not with {paths[0]}")
        return _chosen(bundled(paths[0]), choice, need_target)
    sources, notes = _sources(paths)
    formats = [format_of(source.head) for source in sources]
    for source, kind in zip(sources, formats, strict=True):
        if kind != formats[0]:
            raise DataError(
                f"{source.path}: a file of another format ({kind}) than {sources[0].path} "
                f"({formats[0]})"
            )
    if formats[0] == "arrays":
        return _chosen(arrays.read_arrays(sources, choice, need_target), choice, need_target)
    if formats[0] == "csv":
        table = read_csv(sources, choice, need_target)
        return _chosen(replace(table, notes=table.notes + notes), choice, need_target)
    tables: list[Table] = []
    for source in sources:
        tables.append(_read_one(source, formats[0], choice, need_target))
        if choice.target is None and need_target:  # the first file's last column
            choice = replace(choice, target=tables[0].target_name)
    table = concatenate(tables)
    return _chosen(replace(table, notes=table.notes + notes), choice, need_target)


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


def format_of(head: bytes) -> str:
    """Return the format of a file that begins so: arrays, npz, arrow, libsvm or csv."""
    if idx.is_idx(head) or head.startswith(arrays.NPY):
        return "arrays"
    if head[:4] in arrays.ZIP:
        return "npz"
    if arrow.is_arrow(head):
        return "arrow"
    return "libsvm" if libsvm.is_libsvm(head) else "csv"


def name_of_format(paths: Sequence[str]) -> str:
    """Return the format of some data as a word for the user."""
    path = expand(paths)[0]
    if path in BUNDLED:
        return "bundled data set"
    if path == STANDARD_INPUT:
        return "standard input"
    head = Source(path).head
    names = {"arrays": "NPY", "npz": "NPZ", "csv": "text"}
    if idx.is_idx(head):
        return "IDX"
    if head.startswith(arrow.PARQUET):
        return "Parquet"
    return names.get(format_of(head), format_of(head))


def _read_one(source: Source, kind: str, choice: ColumnChoice, need_target: bool) -> Table:
    if kind == "npz":
        return arrays.read_npz(source, choice, need_target)
    if kind == "arrow":
        return arrow.read_arrow(source, choice, need_target)
    if kind == "libsvm":
        if choice.target not in (None, "label"):
            raise DataError(f"{source.path}: libsvm: the target is the label; --target is not")
        return libsvm.read_libsvm(source)
    raise AssertionError(kind)


def _chosen(table: Table, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table with the columns that were chosen; refuse choices that its format lacks."""
    if table.matrix is not None and need_target:
        lacking = [name for name in choice.extra if name not in table.extra]
        if choice.weights is not None and table.weights is None:
            lacking.append(choice.weights)
        if lacking:
            raise DataError(
                f"{table.source}: no column {lacking[0]!r}: this format has inputs and targets only"
            )
        if choice.categorical:
            raise DataError(f"{table.source}: an array has no categorical columns")
    if table.weights is not None and not table.weights.any():
        raise DataError(f"{table.source}: weights {choice.weights!r}: every weight is 0")
    return choose_columns(table, choice)

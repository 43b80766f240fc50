# SPDX-License-Identifier: BSD-3-Clause
"""From files to tables: one module a format; formats are told from the content, not the name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fastrelu.app.data.readers import arrays, arrow, idx, libsvm, npy
from fastrelu.app.data.readers.bundled import bundled
from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.csv import read_csv
from fastrelu.app.data.readers.files import BUNDLED, Source, expand
from fastrelu.app.data.readers.several import choose_columns, concatenate
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError

__all__ = ["BUNDLED", "ColumnChoice", "read"]


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
    sources = [Source(path) for path in paths]
    formats = [format_of(source.head) for source in sources]
    for source, kind in zip(sources, formats, strict=True):
        if kind != formats[0]:
            raise DataError(
                f"{source.path}: a file of another format ({kind}) than {sources[0].path} "
                f"({formats[0]})"
            )
    if formats[0] == "arrays":
        return _chosen(arrays.read_arrays(sources, choice, need_target), choice, need_target)
    tables: list[Table] = []
    for source in sources:
        tables.append(_read_one(source, formats[0], choice, need_target))
        if choice.target is None and need_target:  # the first file's last column
            choice = replace(choice, target=tables[0].target_name)
    return _chosen(concatenate(tables), choice, need_target)


def format_of(head: bytes) -> str:
    """Return the format of a file that begins so: arrays, npz, arrow, libsvm or csv."""
    if idx.is_idx(head) or head.startswith(npy.NPY):
        return "arrays"
    if head[:4] in arrays.ZIP:
        return "npz"
    if arrow.is_arrow(head):
        return "arrow"
    return "libsvm" if libsvm.is_libsvm(head) else "csv"


def _read_one(source: Source, kind: str, choice: ColumnChoice, need_target: bool) -> Table:
    if kind == "npz":
        if "[Content_Types].xml" in npy.Npz(source).members:
            raise DataError(
                f"{source.path}: an Excel workbook or other Office file; save the sheet as CSV"
            )
        return arrays.read_npz(source, choice, need_target)
    if kind == "arrow":
        return arrow.read_arrow(source, choice, need_target)
    if kind == "libsvm":
        if choice.target not in (None, "label"):
            raise DataError(f"{source.path}: libsvm: the target is the label; --target is not")
        return libsvm.read_libsvm(source, need_target)
    return read_csv(source, choice, need_target)


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

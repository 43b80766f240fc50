# SPDX-License-Identifier: BSD-3-Clause
"""From files to tables: one module a format; formats are told from the content, not the name."""

from __future__ import annotations

from collections.abc import Sequence

from fastrelu.training.errors import DataError
from fastrelu.training.readers import arrays, idx
from fastrelu.training.readers.bundled import bundled
from fastrelu.training.readers.choice import ColumnChoice
from fastrelu.training.readers.csv import read_csv
from fastrelu.training.readers.files import BUNDLED, Source, expand
from fastrelu.training.table import Table

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
        return bundled(paths[0])
    sources = [Source(path) for path in paths]
    head = sources[0].head
    if idx.is_idx(head):
        return _idx_table(sources, need_target)
    if len(sources) > 1:
        raise DataError(f"{sources[1].path}: several files")
    if head[:4] in arrays.ZIP:
        return arrays.read_npz(sources[0], choice, need_target)
    if head.startswith(arrays.NPY):
        raise DataError(f"{paths[0]}: a single array (.npy); expected an .npz file with X and y")
    return read_csv(sources[0], choice, need_target)


def _idx_table(sources: Sequence[Source], need_target: bool) -> Table:
    images = sources[0].path
    if len(sources) < 2 and need_target:
        raise DataError(
            f"{images}: an IDX file of images; expected the file of its labels after it"
        )
    for source in sources[1:]:
        if not idx.is_idx(source.head):
            raise DataError(
                f"{source.path}: expected an IDX file, got one that begins {source.head[:4]!r}"
            )
    X, *y = [idx.read_idx(source) for source in sources[:2]]
    return arrays.arrays_table(
        images,
        X,
        y[0] if y else None,
        target_name="labels",
        target_source=sources[1].path if y else None,
    )

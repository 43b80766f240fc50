# SPDX-License-Identifier: BSD-3-Clause
"""Tables of arrays: inputs and targets in one file or two, or the targets in a matrix's column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.choice import ColumnChoice
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.idx import is_idx, read_idx
from fastrelu.app.data.readers.npy import NPY, Npz, read_npy
from fastrelu.app.data.readers.values import (
    as_target,
    as_weights,
    refuse_nan_target,
    refuse_no_characters,
    row_number,
)
from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.errors import DataError, NoRowsError

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
__all__ = ["NPY", "ZIP", "arrays_table", "check_matrix", "read_arrays", "read_npz", "split_matrix"]


def read_npz(source: Source, choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table of an NPZ file: by default of its arrays X and y.

    `choice.x` names other inputs, `choice.y` or `choice.target` another target. To predict, the
    only array of a file is the inputs.
    """
    file = Npz(source)
    x, y = choice.x or "X", choice.y or choice.target or "y"
    if choice.x is None and not need_target and x not in file.members and len(file.members) == 1:
        x = next(iter(file.members))
    special = [n for n in (choice.weights, *choice.extra, *choice.keep) if n is not None]
    needed = [x, *([y, *special] if need_target else choice.keep)]
    for name in needed:
        if name not in file.members:
            raise DataError(
                f"{source.path}: no array {name!r}; the file has {file.shown()}; --x and --y name "
                "the inputs and the target"
            )
    wanted = dict.fromkeys(n for n in (x, y, *special) if n in file.members)
    arrays = file.read(list(wanted))
    X = check_matrix(source.path, x, arrays[x])
    column = choice.target if choice.y is not None else None
    table = arrays_table(
        source.path, X, arrays.get(y), target_name=y, column=column, need_rows=need_target
    )
    place, weights = row_number(), None
    if choice.weights in arrays:
        assert choice.weights is not None
        values = one_a_row(source.path, choice.weights, arrays[choice.weights], len(X))
        weights = as_weights(source.path, choice.weights, values, place)
    extra = {
        n: as_target(source.path, n, one_a_row(source.path, n, arrays[n], len(X)), place)
        for n in choice.extra
        if n in arrays
    }
    kept = {n: one_a_row(source.path, n, arrays[n], len(X)) for n in choice.keep}
    return replace(table, weights=weights, extra=extra, kept=kept)


def read_arrays(sources: Sequence[Source], choice: ColumnChoice, need_target: bool) -> Table:
    """Return the table of IDX and NPY files: inputs, then, in a file of its own, the targets.

    Several files of inputs are put one after the other. Without a file of targets the target is a
    column of a matrix: `choice.target` is its number, -1 the last, as by default.
    """
    read = [read_idx(s) if is_idx(s.head) else read_npy(s) for s in sources]
    if len(read) == 1 and read[0].dtype.names:
        from fastrelu.app.data.readers.objects import table_from

        return table_from(read[0], choice, need_target=need_target, source=sources[0].path)
    paths = [s.path for s in sources]
    k = target_file(paths, [a.shape for a in read], choice, need_target)
    y, y_path = None, ""
    if k is not None:
        y, y_path = read.pop(k), paths.pop(k)
        sources = [s for s in sources if s.path != y_path] or sources[:1]
    path = paths[0]
    inputs = [check_matrix(p, "X", X) for p, X in zip(paths, read, strict=True)]
    for p, X in zip(paths, inputs, strict=True):
        if X.shape[1] != inputs[0].shape[1]:
            raise DataError(
                f"{p}: expected {inputs[0].shape[1]} numbers in each row, as in {path}, got "
                f"{X.shape[1]}; --y {Path(p).name} makes it the targets"
            )
    X = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
    if y is not None:
        column = None if choice.target == "labels" else choice.target
        if column is not None and y[:1].size < 2:
            raise DataError(f"{y_path}: holds the target already; --target does not fit")
        return arrays_table(
            path, X, y, target_name="labels", target_source=y_path, column=column,
            need_rows=need_target,
        )  # fmt: skip
    images = is_idx(sources[0].head)
    if images and len(sources) > 1:
        raise DataError(
            f"{paths[-1]}: expected the labels, one target for each of {len(inputs[0])} "
            f"rows, got shape {inputs[-1].shape}"
        )
    if images and need_target:
        raise DataError(f"{path}: an IDX file of images; expected the file of its labels after it")
    if images or (not need_target and choice.width in (None, X.shape[1])):
        table = arrays_table(path, X, None, target_name="labels", need_rows=need_target)
        return replace(table, matrix_names=None)
    return split_matrix(path, X, choice, need_target)


def target_file(
    paths: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
    choice: ColumnChoice,
    need_target: bool,
) -> int | None:
    """Return which of some array files holds the targets; None if none does.

    The one that `choice.y` names; else the last if it has one value for each row, or is no further
    rows of the first: has as many rows and another width.

    Raises
    ------
    DataError
        If the file named is not among them, or the last of two may be either.
    """
    if choice.y is not None:
        found = [k for k, path in enumerate(paths) if choice.y in (path, Path(path).name)]
        if len(found) == 1 and len(paths) > 1:
            return found[0]
        raise DataError(
            f"--y {choice.y}: expected one of several files of DATA, got {', '.join(paths)}"
        )
    first, last = shapes[0], shapes[-1]
    if len(shapes) < 2:
        return None
    if len(last) == 1 or last[1:] == (1,):
        return len(shapes) - 1
    if len(shapes) != 2 or first[:1] != last[:1]:
        return None
    if first[1:] != last[1:]:
        return 1
    if need_target and choice.target is None:
        name = Path(paths[1]).name
        raise DataError(
            f"{paths[0]} and {name}: both have shape {first}: --y {name} makes the second the "
            "targets; with --target -1 it is further rows, and their last column is the target"
        )
    return None


def split_matrix(
    path: str,
    X: NDArray[Any],
    choice: ColumnChoice,
    need_rows: bool = True,
    first_row: int = 0,
) -> Table:
    """Return the table of a matrix that has its target in a column; see `arrays_table`."""
    width = X.shape[1]
    text = "-1" if choice.target in (None, "labels") else str(choice.target)
    try:
        column = int(text)
    except ValueError:
        column = width
    if not -width <= column < width or width < 2:
        raise DataError(
            f"{path}: --target {text}: expected the number of one of {width} columns, from 0, or "
            "the file of the targets after the file of inputs"
        )
    column %= width
    notes = []
    if choice.target is None:
        notes.append(f"target: the last column, number {column} (--target names another)")
    names: Sequence[str]
    if column == width - 1:
        rest, names = X[:, :-1], NumberedNames("X[", "]", width - 1)
    elif column == 0:
        rest, names = X[:, 1:], NumberedNames("X[", "]", width - 1, 1)
    else:
        rest = np.delete(X, column, axis=1)
        names = [f"X[{j}]" for j in range(width) if j != column]
    table = arrays_table(
        path,
        rest,
        X[:, column],
        target_name=str(column),
        need_rows=need_rows,
        first_row=first_row,
    )
    return replace(table, matrix_names=names, notes=notes)


def one_a_row(source: str, name: str, values: NDArray[Any], n: int) -> NDArray[Any]:
    """Return an array as (n,); DataError if it has not one value for each of n rows."""
    if values.shape not in ((n,), (n, 1)):
        raise DataError(
            f"{source}: {name}: expected one value for each of {n} rows, got shape {values.shape}"
        )
    refuse_no_characters(source, name, values)
    return values.reshape(n)


def check_matrix(source: str, name: str, X: NDArray[Any]) -> NDArray[Any]:
    """Return X as (rows, inputs) of a native real dtype.

    Raises
    ------
    DataError
        If it has fewer than two dimensions, or does not hold numbers.
    """
    if X.ndim < 2:
        raise DataError(f"{source}: {name}: expected shape (rows, inputs), got {X.shape}")
    if X.dtype.kind not in "biuf" or X.dtype.itemsize > 8:
        raise DataError(f"{source}: {name}: expected real numbers, got dtype {X.dtype}")
    if X.ndim > 2:
        X = X.reshape(len(X), math.prod(X.shape[1:]))
    if X.dtype.kind == "b" or X.dtype == np.float16:
        return X.astype(np.float32)
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def arrays_table(
    source: str,
    X: NDArray[Any],
    y: NDArray[Any] | None,
    *,
    target_name: str,
    target_source: str | None = None,
    column: str | None = None,
    need_rows: bool = True,
    first_row: int = 0,
) -> Table:
    """Return the table of an array of inputs and one of targets.

    Parameters
    ----------
    source : str
        The file, for messages.
    X : ndarray, (n, ...)
        The inputs.
    y : ndarray, (n,), (n, 1) or (n, k), or None
        The targets: of k columns the one that `column` numbers, or one 1 a row among zeros, which
        says the class.
    target_name : str
        The name of the targets.
    target_source : str, optional
        The file of the targets, if it is another one.
    column : str, optional
        The number of a column of y.
    need_rows : bool
        Whether no rows are an error.
    first_row : int
        The number of the first target in its file, for messages about some of its rows.

    Raises
    ------
    DataError
        If they do not fit together.
    """
    X = check_matrix(source, "X", X)
    if not len(X) and need_rows:
        raise NoRowsError(f"{source}: expected rows of data, got none")
    target, notes = None, []
    if y is not None:
        where, place = target_source or source, row_number(first_row)
        if y.ndim == 0 or len(y) != len(X):
            raise DataError(
                f"{where}: {target_name}: expected one target for each of {len(X)} rows, got "
                f"shape {y.shape}"
            )
        y, note = _one_target(where, target_name, y, column)
        notes += [note] if note else []
        target = as_target(where, target_name, y, place)
        if target.dtype != object:
            refuse_nan_target(where, target_name, np.isnan(target), place)
    return Table(
        source,
        len(X),
        matrix=X,
        matrix_names=NumberedNames("X[", "]", X.shape[1]),
        target=target,
        target_name=target_name if y is not None else None,
        notes=notes,
    )


def _one_target(
    where: str, name: str, y: NDArray[Any], column: str | None
) -> tuple[NDArray[Any], str | None]:
    """Return one target for each row, (n,), and what to say about it; see `arrays_table`."""
    if y.ndim == 1 or y.shape[1:] == (1,):
        return y.reshape(-1), None
    if y.ndim > 2:
        raise DataError(f"{where}: {name}: expected one target for each row, got shape {y.shape}")
    width = y.shape[1]
    if column is not None:
        if not column.lstrip("-").isdecimal() or not -width <= int(column) < width:
            raise DataError(
                f"{where}: --target {column}: expected the number of one of {width} columns, from 0"
            )
        return y[:, int(column)], None
    marks = y.dtype.kind in "biuf" and bool(((y == 0) | (y == 1)).all())
    if marks and len(y) and bool((y.sum(axis=1) == 1).all()):
        classes = np.array([str(k) for k in range(width)], object)
        said = f"{name}: {width} columns with one 1 in each row: read as classes 0 to {width - 1}"
        return np.asarray(classes[y.argmax(axis=1)]), said
    what = "labels" if marks else "targets"
    raise DataError(
        f"{where}: {name}: expected one target for each row, got {width} {what}, shape {y.shape}; "
        f"one is learned at a time: --target 0 to {width - 1} says which column"
    )

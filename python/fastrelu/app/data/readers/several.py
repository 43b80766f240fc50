# SPDX-License-Identifier: BSD-3-Clause
"""Several files as one table, and some columns of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.readers.choice import ColumnChoice, missing_column
from fastrelu.app.data.table import NumberedNames, Table, is_missing, kind_of
from fastrelu.app.errors import DataError

Columns = dict[str, NDArray[Any]]


def concatenate(tables: Sequence[Table]) -> Table:
    """Return the rows of all tables, one table after the other; columns go by name.

    Raises
    ------
    DataError
        If they have not the same columns of the same kinds.
    """
    if len(tables) == 1:
        return tables[0]
    first, n = tables[0], len(tables)
    for table in tables[1:]:
        _check_same(first, table)
    source = f"{first.source} and {n - 1} more"
    weights = [t.weights for t in tables if t.weights is not None]
    targets = [t.target for t in tables if t.target is not None]
    return Table(
        source,
        sum(t.n_rows for t in tables),
        columns={name: _join(tables, name, [t.columns for t in tables]) for name in first.columns},
        matrix=None if first.matrix is None else _join_matrices(tables),
        matrix_names=first.matrix_names
        if not isinstance(first.matrix_names, NumberedNames)
        else max((t.matrix_names or () for t in tables), key=len),
        target=_join(tables, first.target_name or "", [{"": t} for t in targets], "")
        if len(targets) == n
        else None,
        target_name=first.target_name if len(targets) == n else None,
        weights=np.concatenate(weights) if len(weights) == n else None,
        notes=list(dict.fromkeys(note for t in tables for note in t.notes)),
        extra={name: _join(tables, name, [t.extra for t in tables]) for name in first.extra},
        others=first.others,
        kept={name: _join_kept([t.kept[name] for t in tables]) for name in first.kept},
        reading=next((t.reading for t in tables if t.reading is not None), None),
        file_rows=[t.n_rows for t in tables],
    )


def _check_same(first: Table, table: Table) -> None:
    if (first.matrix is None) != (table.matrix is None):
        raise DataError(f"{table.source}: expected a file of the kind of {first.source}")
    for a, b in ((first, table), (table, first)):
        for name in [*a.columns, *a.extra]:
            if name not in b.columns and name not in b.extra:
                raise DataError(
                    f"{b.source}: no column {name!r}, which {a.source} has; the files need the "
                    f"same columns, in any order (or --ignore {name!r})"
                )


def _join(
    tables: Sequence[Table], name: str, parts: Sequence[Columns], key: str | None = None
) -> NDArray[Any]:
    arrays = [part[name if key is None else key] for part in parts]
    kinds = {kind_of(a) for a in arrays if not is_missing(a).all()}
    if len(kinds) > 1:
        texts = [kind_of(a) for a in arrays]
        other = next(i for i, kind in enumerate(texts) if kind != texts[0])
        raise DataError(
            f"{tables[other].source}: column {name!r} is {texts[other]}, but {texts[0]} in "
            f"{tables[0].source}; correct it, or read it as categories: --categorical {name!r}"
        )
    for kind in kinds:
        empty: Any = {"text": "", "date": np.datetime64("NaT", "us")}.get(kind, np.nan)
        dtype: Any = {"text": object, "date": "datetime64[us]"}.get(kind, np.float64)
        arrays = [a if kind_of(a) == kind else np.full(len(a), empty, dtype) for a in arrays]
    return np.concatenate(arrays)


def _join_kept(parts: Sequence[Any]) -> Any:
    """Return columns that are carried along, one after the other; Arrow's types may differ."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    import pyarrow as pa

    chunks = [c for part in parts for c in getattr(part, "chunks", [part])]
    if len({chunk.type for chunk in chunks}) > 1:
        chunks = [chunk.cast(pa.string()) for chunk in chunks]
    return pa.chunked_array(chunks)


def _join_matrices(tables: Sequence[Table]) -> Any:
    if all(isinstance(t.matrix, np.ndarray) for t in tables):
        for t in tables[1:]:
            if t.matrix.shape[1] != tables[0].matrix.shape[1]:
                raise DataError(
                    f"{t.source}: expected {tables[0].matrix.shape[1]} numbers in each row, as in "
                    f"{tables[0].source}, got {t.matrix.shape[1]}"
                )
        return np.concatenate([t.matrix for t in tables])
    from scipy import sparse

    starts = {getattr(t.matrix_names, "first", 0) for t in tables}
    if len(starts) > 1:
        raise DataError(
            f"{tables[0].source}: some files number their columns from 0, some from 1; read them "
            "one by one"
        )
    width = max(t.matrix.shape[1] for t in tables)
    parts = [
        sparse.csr_array((t.matrix.data, t.matrix.indices, t.matrix.indptr), (t.n_rows, width))
        for t in tables
    ]
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def refuse_lacking(table: Table, choice: ColumnChoice) -> None:
    """Raise DataError if columns are asked for that a matrix does not have."""
    lacking = [name for name in choice.extra if name not in table.extra]
    if choice.weights is not None and table.weights is None:
        lacking.append(choice.weights)
    if lacking:
        raise DataError(
            f"{table.source}: no column {lacking[0]!r}: this format has inputs and targets only"
        )
    if choice.categorical:
        raise DataError(f"{table.source}: an array has no categorical columns")


def choose_columns(table: Table, choice: ColumnChoice) -> Table:
    """Return a matrix's table with the columns that --features and --ignore leave.

    Raises
    ------
    DataError
        If a column is not there, or none is left.
    """
    if table.matrix is None or not (choice.features or choice.ignore):
        return table
    names = table.names
    place = {name: j for j, name in enumerate(names)}
    for flag, asked in (("--features", choice.features or ()), ("--ignore", choice.ignore)):
        for name in asked:
            if name not in place:
                raise missing_column(table.source, name, names, flag)
    wanted = set(choice.features or names) - set(choice.ignore)
    columns = [j for j, name in enumerate(names) if name in wanted]
    if not columns:
        raise DataError(f"{table.source}: no input columns: every column is left out")
    return replace(table, matrix=table.matrix[:, columns], matrix_names=[names[j] for j in columns])

# SPDX-License-Identifier: BSD-3-Clause
"""A table in memory as a source of one chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastrelu.app.data.stream.source import Chunk
from fastrelu.app.data.table import Table

HASHED = 1 << 14  # rows at once


class TableSource:
    """A table that is in memory, which the pipeline passes over as it does over files.

    Parameters
    ----------
    table : Table
        All rows.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.source, self.n_rows = table.source, table.n_rows
        self.chunks = [Chunk(table.source, 0, 0, 0, table.n_rows)]
        self.target_name = table.target_name
        self.names: Sequence[str] = table.names
        self.notes, self.reading = list(table.notes), table.reading

    def parts(self, chunk: Chunk, again: bool = False) -> Iterator[Table]:
        """Yield the table: see `Source.parts`."""
        yield self.table

    def targets(self, chunk: Chunk) -> Iterator[Table]:
        """Yield the table: see `Source.targets`."""
        yield self.table

    def forget(self) -> None:
        """Give the rows back; what is known about them stays."""
        self.table = self.table.take(np.zeros(0, np.intp))  # copies; a slice would keep them

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells these data from others: rows, columns, and a hash of all values."""
        return fingerprint(self.table)


def fingerprint(table: Table) -> dict[str, Any]:
    """Return what tells these data from others: rows, columns, and a hash of all values."""
    total = hashlib.blake2b(digest_size=16)
    named: dict[str, Any] = {f"column {name}": values for name, values in table.columns.items()}
    named |= {f"extra {name}": values for name, values in table.extra.items()}
    named |= {"target": table.target, "weights": table.weights}
    matrix = table.matrix
    if hasattr(matrix, "indptr"):
        named |= {"indptr": matrix.indptr, "indices": matrix.indices, "values": matrix.data}
    else:
        named["matrix"] = matrix
    for name in sorted(named):
        values = named[name]
        if values is None:
            continue
        total.update(f"{name} {values.dtype} {values.shape}\n".encode())
        for first in range(0, len(values), HASHED):
            block = values[first : first + HASHED]
            if values.dtype == object:
                texts = "\0".join(map(str, block)).encode("utf-8", "surrogatepass")
                total.update(b"\0" + texts if first else texts)
            else:
                block = np.ascontiguousarray(block)
                total.update(block.view(np.uint8).data if block.size else b"")
    columns = list(table.columns) or [f"{matrix.shape[1]} inputs" if matrix is not None else ""]
    return {
        "rows": table.n_rows,
        "columns": [*columns, f"target {table.target_name}"],
        "content": total.hexdigest(),
    }

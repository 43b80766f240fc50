# SPDX-License-Identifier: BSD-3-Clause
"""Write a Parquet file of any size: 30 columns of floats and a target that a network can learn.

python -m benchmarks.make_big_parquet big.parquet --size 4GB
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = 30
STRETCH = 131_072  # rows made at once


def stretch(number: int, rows: int, dtype: str) -> pa.Table:
    """Rows number * STRETCH onwards, as a function of their number alone."""
    rng = np.random.default_rng([20260101, number])
    X = rng.standard_normal((COLUMNS, rows))
    scale = np.linspace(0.5, 20, COLUMNS)[:, None]
    y = np.sin(X[0]) + X[1] * X[2] + np.abs(X[3:8]).sum(axis=0)
    y += 0.1 * rng.standard_normal(rows)
    columns = {f"x{i}": column.astype(dtype) for i, column in enumerate(X * scale + scale)}
    return pa.table({**columns, "y": y.astype(dtype)})


def make(path: Path, size: float, group_rows: int, dtype: str, compression: str) -> int:
    """Write stretches until the file has `size` bytes; return its rows."""
    rows, number = 0, 0
    schema = stretch(0, 1, dtype).schema
    with pq.ParquetWriter(path, schema, compression=compression) as writer:
        while path.stat().st_size < size:
            tables = [
                stretch(number + i, min(STRETCH, group_rows), dtype)
                for i in range(max(1, group_rows // STRETCH))
            ]
            number += len(tables)
            table = pa.concat_tables(tables)
            rows += table.num_rows
            writer.write_table(table, row_group_size=group_rows)
    return rows


def size(text: str) -> float:
    """Bytes of "4GB", "300MB"."""
    units = {"MB": 1e6, "GB": 1e9}
    return float(text[:-2]) * units[text[-2:].upper()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=size, default=4e9, help="4GB")
    parser.add_argument("--row-group", type=int, default=131_072, help="rows of a row group")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--compression", default="snappy")
    a = parser.parse_args()
    rows = make(a.path, a.size, a.row_group, a.dtype, a.compression)
    print(f"{a.path}: {rows:,} rows, {a.path.stat().st_size / 1e9:.2f} GB")

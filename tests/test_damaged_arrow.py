# SPDX-License-Identifier: BSD-3-Clause
"""Arrow files whose counts and offsets are not borne out by their bytes: an error, nothing else.

Each number is one too large at most where it is followed: wrong all the same, and harmless where
nothing is checked.
"""

import struct

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
import pyarrow as pa
from command_tools import run
from data_files import write
from pyarrow import ipc

from fastrelu.app.data.readers import read
from fastrelu.training import ColumnChoice, DataError

N = 976  # one more takes one more byte, of bits too


def ipc_bytes(table, kind, compression=None):
    sink = pa.BufferOutputStream()
    opens = {"file": ipc.new_file, "stream": ipc.new_stream}[kind]
    options = ipc.IpcWriteOptions(compression=compression)
    with opens(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def runs(n, *values):
    ends = [n * (j + 1) // len(values) for j in range(len(values))]
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int64()), pa.array(values))


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.5] * N),
        pa.array([True] * N),
        pa.array(range(N), pa.int16()),
        pa.array(range(N), pa.timestamp("us")),
        pa.array(["ab"] * N),
        pa.array(["ab"] * N).dictionary_encode(),
    ],
    ids=lambda column: str(column.type).split("<")[0],
)
def test_counts_beyond_the_values(column, kind, tmp_path):
    """It was read, with what happened to lie behind the values."""
    content = ipc_bytes(pa.table({"x": column}), kind)
    content = content.replace(struct.pack("<q", N), struct.pack("<q", N + 1))
    with pytest.raises(DataError, match="damaged or cut short"):
        read([write(tmp_path / "t.arrow", content)], need_target=False)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("column", [runs(N, 1.0, 2.0), runs(N, "a", "b"), pa.nulls(N)])
def test_rows_that_no_byte_bears_are_refused_at_once(column, kind, compression, tmp_path):
    """A single number of the file made them, and gigabytes with them."""
    n = 3_000_000
    many = pa.nulls(n) if pa.types.is_null(column.type) else runs(n, *column.values.to_pylist())
    for rows, good in ((column, True), (many, False)):
        table = pa.table({"x": rows, "y": rows})
        path = write(tmp_path / "t.arrow", ipc_bytes(table, kind, compression))
        for source in ([path], table):
            if good:
                assert read(source, need_target=False).n_rows == N
            else:
                before = pa.total_allocated_bytes()
                with pytest.raises(DataError, match=r"claims 3,000,000 rows, but .* damaged"):
                    read(source, need_target=False)
                assert pa.total_allocated_bytes() - before < 1 << 20


def test_runs_beside_a_column_with_a_bit_for_each_row_are_read(tmp_path):
    n = 3_000_000
    columns = {"x": runs(n, 1.0, 2.0), "none": pa.nulls(n), "y": pa.array([True, False] * (n // 2))}
    path = write(tmp_path / "t.arrow", ipc_bytes(pa.table(columns), "file"))
    table = read([path], ColumnChoice(target="y"))
    assert table.n_rows == n and table.columns["x"][[0, -1]].tolist() == [1, 2]


def test_columns_that_are_kept_are_looked_at_too(tmp_path):
    """--keep passes a column on as it is; whoever wrote it followed its offsets."""
    rows = {"x": [float(j % 7) for j in range(N)], "y": [j % 2 for j in range(N)]}
    write(tmp_path / "t.arrow", ipc_bytes(pa.table(rows), "file"))
    trained = run(
        "train", tmp_path / "t.arrow", "--target", "y", "--epochs", 1, "--out", tmp_path / "run"
    )
    assert trained.exit_code == 0, trained.output
    names = pa.array([f"{j:04}" for j in range(N)])
    content = ipc_bytes(pa.table({"x": rows["x"], "id": names}), "file")
    for place, changed in ((N - 2, 2), (9, 1)):  # behind the last byte; behind the next offset
        three = [4 * place, 4 * place + 4, 4 * place + 8]
        damaged = [*three[:changed], three[2] + 1, *three[changed + 1 :]]
        assert content.count(struct.pack("<3i", *three)) == 1
        changed_content = content.replace(struct.pack("<3i", *three), struct.pack("<3i", *damaged))
        path = write(tmp_path / "new.arrow", changed_content)
        for name in ("out.csv", "out.arrow"):
            done = run("predict", tmp_path / "run", path, "--keep", "id", "--out", tmp_path / name)
            assert done.exit_code == 3 and "damaged or cut short" in done.output, done.output
            assert not (tmp_path / name).exists()

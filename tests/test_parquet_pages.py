# SPDX-License-Identifier: BSD-3-Clause
"""The memory that Parquet's pages take: --memory counts those that are huge as they are."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastrelu.app.data.readers import ColumnChoice
from fastrelu.app.data.stream.pages import huge_pages, pages
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.errors import DataError


def pages_of(path):
    with open(path, "rb") as raw:
        group = pq.ParquetFile(path).metadata.row_group(0)
        return [
            list(huge_pages(list(pages(raw, group.column(c))))) for c in range(group.num_columns)
        ]


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_pages_as_large_as_a_row_group_are_counted(compression, tmp_path, rng):
    """Each column's page is unpacked as a whole; a dictionary too."""
    n = 400_000
    words = np.char.add("w", (np.arange(n) % 300_000).astype("U"))
    table = pa.table({"x": rng.normal(size=n), "word": words, "y": rng.normal(size=n)})
    path = tmp_path / "huge.parquet"
    pq.write_table(
        table, path, row_group_size=n, data_page_size=1 << 30, write_batch_size=n,
        max_rows_per_page=n, dictionary_pagesize_limit=1 << 30, use_dictionary=["word"],
        compression=compression,
    )  # fmt: skip
    x, word, y = pages_of(path)
    assert [unpacked // 10**5 for _, unpacked in x + y] == [32, 32]  # 8 bytes for each number
    assert all(abs(stored - unpacked) < 10**6 for stored, unpacked in x + y)
    assert len(word) == 1 and word[0][1] > 10 * 300_000 * 0.9  # the dictionary
    with pytest.raises(DataError, match=r"takes about (8|9|1\d) MB to read, more than half"):
        ParquetStream([str(path)], ColumnChoice(target="y"), 12_000_000)
    pq.write_table(table, path, row_group_size=n, compression=compression)
    assert pages_of(path) == [[], [], []]
    ParquetStream([str(path)], ColumnChoice(target="y"), 12_000_000)


def test_what_is_no_page(tmp_path):
    for header in (b"", b"\x15", b"\x15\x00\x15" + b"\xff" * 9, bytes(18), b"\x15\x01" * 9):
        path = tmp_path / "page"
        path.write_bytes(header)
        with open(path, "rb") as raw:
            column = SimpleNamespace(dictionary_page_offset=None, data_page_offset=0)
            assert list(huge_pages(list(pages(raw, column)))) == []

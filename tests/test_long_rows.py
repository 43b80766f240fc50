# SPDX-License-Identifier: BSD-3-Clause
"""Text files with a very long row, or a quote that is never closed: read in linear time, and where
data are streamed refused once the row is too long for --memory."""

import io

import pytest
from command_tools import run
from data_files import write

from fastrelu.app.data.readers import read
from fastrelu.app.data.readers.text import blocks
from fastrelu.app.data.readers.text.dialect import Dialect, sniff
from fastrelu.app.errors import DataError

SIZE = 1 << 10
ROWS = b"".join(b"c%d,%d.5\n" % (i % 5, i) for i in range(400))
LONG = 200 * SIZE


def dialect_of(content: bytes) -> Dialect:
    from fastrelu.app.data.meaning import ReadOptions

    return sniff("t.csv", content[:4000].decode(), False, ReadOptions(), set(), 0)


def scanned(content, monkeypatch, most=blocks.MOST):
    """The blocks of a file after its header line, and how many bytes were looked at for them."""
    looked, cut = [], blocks._Cutter.cut

    def counted(self, data, line, last):
        looked.append(len(data))
        return cut(self, data, line, last)

    monkeypatch.setattr(blocks._Cutter, "cut", counted)
    dialect = dialect_of(content)
    file = io.BytesIO(content)
    file.seek(dialect.offset)
    found, error = [], None
    try:
        found.extend(blocks.blocks("t.csv", file, dialect, SIZE, most=most))
    except DataError as refused:
        error = str(refused)
    return found, error, sum(looked), content[dialect.offset :]


@pytest.mark.parametrize(
    "row",
    [
        b'"' + b"L" * LONG + b'",1.0\n',
        b'"' + b"L\n" * (LONG // 2) + b'",1.0\n',
        b"L" * LONG + b",1.0\n",
        b'a"b,2.5\n"' + b"L," * (LONG // 2) + b'",1.0\n',  # a quote inside of a bare field
        b'"' + b'L""' * (LONG // 3) + b'",1.0\n',
    ],
)
def test_a_long_row_is_read_in_linear_time(row, monkeypatch):
    content = b"s,x\n" + ROWS + row + ROWS
    found, error, looked, body = scanned(content, monkeypatch)
    assert error is None
    assert b"".join(block.data for block in found) == body
    assert looked < 4 * len(content)
    line = content[: found[-1].offset].count(b"\n") + 1
    assert found[-1].line == line
    found, error, looked, _ = scanned(content, monkeypatch, most=8 * SIZE)
    at = content[: content.index(b"L")].count(b"\n") + 1
    assert f"t.csv: line {at}: a row of more than 0.00819 MB" in error
    assert "raise --memory" in error and "--quote none" in error
    assert looked < 3 * len(ROWS) + 32 * SIZE and max(len(b.data) for b in found) < 9 * SIZE


def test_a_quote_that_is_not_closed_is_found_in_linear_time(monkeypatch):
    for more in (b"", b'"c",1.0\n' * 10):
        content = b"s,x\n" + ROWS + b'"c1,1.5\n' + ROWS * 40 + more
        _, error, looked, _ = scanned(content, monkeypatch)
        assert error.startswith("t.csv: line 402: not CSV: the quotes do not match")
        assert looked < 4 * len(content)


def test_the_command_refuses_a_row_that_memory_does_not_hold(tmp_path):
    path = tmp_path / "t.csv"
    rows = b"".join(b"c%d,%d.5\n" % (i % 5, i) for i in range(20_000))
    path.write_bytes(b"s,x\n" + rows + b'"c1,1.5\n' + rows * 40)
    flags = ["--hidden", 2, "--epochs", 1, "--task", "regression"]
    done = run("train", path, *flags, "--memory", "16MB")
    assert done.exit_code == 3, done.output
    assert "line 20002: a row of more than 2 MB" in done.stderr
    whole = run("train", path, *flags)
    assert whole.exit_code == 3 and "line 20002: not CSV: the quotes do not match" in whole.stderr


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1." + "0" * 70_000, 1.0), (" " * 70_000 + "3", 3.0), (f"1e-{'0' * 70_000}3", 0.001)],
)
def test_a_number_of_very_many_characters_is_one_still(cell, value, tmp_path):
    """Such texts are not tried by pyarrow, whose errors hold them twice."""
    path = write(tmp_path / "t.csv", "a,b,y\n" + "1,2,3\n" * 20 + f"{cell},2,4\n")
    assert read([path]).columns["a"][-1] == value


def test_a_text_of_very_many_characters_is_quoted_in_short(tmp_path):
    path = write(tmp_path / "t.csv", "a,b,y\n" + "1,2,3\n" * 20 + "x" * 70_000 + ",2,4\n")
    with pytest.raises(DataError, match=r"line 22: column 'a': expected a number.* got 'x{40}'"):
        read([path])

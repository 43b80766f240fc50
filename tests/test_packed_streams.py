# SPDX-License-Identifier: BSD-3-Clause
"""Packed files of several streams, or with something behind their end: whole, or refused."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from fastrelu.app.data.readers import read
from fastrelu.training import DataError

NAMES = b"a,b,y\n"


def rows(first, end):
    """Lines of three numbers."""
    return "".join(f"{k},{k * k % 7},{k % 2}\n" for k in range(first, end)).encode()


@pytest.fixture
def path(tmp_path):
    """A function that writes a file and returns its name."""

    def write(content):
        (tmp_path / "t.packed").write_bytes(content)
        return str(tmp_path / "t.packed")

    return write


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("n", [40, 40_000])
def test_all_streams_are_read_or_none(pack, n, path):
    first, second = pack(NAMES + rows(0, n)), pack(rows(n, n + 30))
    assert read([path(first + second)]).n_rows == n + 30
    assert read([path(pack(b"") + first + pack(b"") + second)]).n_rows == n + 30
    assert read([path(first + bytes(64))]).n_rows == n
    assert read([path(first + bytes(64) + second)]).n_rows == n + 30
    for behind in (b"junk" * 9, rows(n, n + 30), b"?" + second[1:], second[:3], second[:-5]):
        with pytest.raises(DataError, match="are damaged or cut short"):
            read([path(first + behind)])


def test_of_two_zip_archives_in_one_file_none_is_read(path):
    archives = []
    for content in (NAMES + rows(0, 40), NAMES + rows(40, 70)):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.csv", content)
            file.comment = b"a comment"
        archives.append(archive.getvalue())
    first, second = archives
    assert read([path(first)]).n_rows == 40
    assert read([path(first + bytes(100))]).n_rows == 40
    with pytest.raises(DataError, match="other bytes stand before the zip archive"):
        read([path(first + second)])
    with pytest.raises(DataError, match="other bytes stand behind the zip archive"):
        read([path(first + second[:-40])])

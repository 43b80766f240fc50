# SPDX-License-Identifier: BSD-3-Clause
"""Open a file of data, packed or not, or standard input; globs, folders; what can go wrong."""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import io
import lzma
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from fastrelu.app.data.readers.places import beside_data, files_in, is_marker
from fastrelu.app.data.readers.unpacked import Streams, Unpacked, whole_text
from fastrelu.app.errors import DataError, needed

BUNDLED = ("digits", "iris", "wine", "diabetes")
STANDARD_INPUT = "-"
HEAD = 1 << 16
PACKED = {
    "gzip": b"\x1f\x8b", "zstandard": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0", "zip": b"PK\x03\x04",
}  # fmt: skip
LONGEST_MAGIC = 6
ZIP_END, ZIP_END_MAGIC = (1 << 16) + 22, b"PK\5\6"  # the longest end of a zip archive
OPEN_DOCUMENT = frozenset(("mimetype", "content.xml"))


class EmptyFileError(DataError):
    """A file has no bytes: nothing, or a part of a data set that has no rows."""


def expand(paths: Sequence[str]) -> list[str]:
    """Return the paths with each glob and each folder replaced by its files, sorted.

    Files that tools leave beside the data, such as _SUCCESS and .part-0.crc, are none of them.

    Raises
    ------
    DataError
        If a glob matches nothing, a folder holds no files, or there are no paths at all.
    """
    found: list[str] = []
    for path in paths:
        if any(c in path for c in "*?[") and not os.path.exists(path):
            matches = sorted(glob.glob(path, recursive=True))
            matches = [m for m in matches if not beside_data(m, path) and not os.path.isdir(m)]
            if not matches:
                raise DataError(f"{path}: no file matches this pattern")
            found += matches
        elif path not in BUNDLED and os.path.isdir(path):
            with reading(path):
                found += files_in(path)
        else:
            found.append(path)
    if not found:
        raise DataError("no data: expected a file, or one of " + ", ".join(BUNDLED))
    return found


@contextlib.contextmanager
def reading(path: str, packed: str | None = "gzip") -> Iterator[None]:
    """Turn what goes wrong while a file is read into a DataError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file, and not one of the bundled data sets {', '.join(BUNDLED)}"
        ) from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder; name the files in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: the {packed} data are damaged or cut short ({error}); fetch the file again"
        ) from None
    except OSError as error:
        if packed in ("bzip2", "zstandard") and error.errno is None:
            raise DataError(
                f"{path}: the {packed} data are damaged or cut short ({error}); fetch the file "
                "again"
            ) from None
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except RuntimeError as error:  # an encrypted archive
        if packed != "zip":
            raise
        raise DataError(f"{path}: cannot be unpacked ({error})") from None


class Source:
    """One file of data, as bytes that may be read several times.

    Parameters
    ----------
    path : str
        A path, or "-" for standard input, which is read once and kept.

    Raises
    ------
    DataError
        If it cannot be read, or is empty.
    """

    def __init__(self, path: str) -> None:
        self.path = "standard input" if path == STANDARD_INPUT else path
        self._content: bytes | None = None
        self._check: Callable[[int], None] | None = None
        self._member = ""
        if "\0" in path:
            raise DataError(f"{path}: no such file: a path has no NUL in it")
        with reading(path):
            if path == STANDARD_INPUT:
                self._content = sys.stdin.buffer.read()
            elif os.path.isdir(path):
                raise IsADirectoryError
            elif os.path.exists(path) and not os.path.isfile(path):  # a pipe gives its bytes once
                self._content = Path(path).read_bytes()
            with self._plain() as file:
                start = file.read(LONGEST_MAGIC)
        if not start:
            raise EmptyFileError(f"{self.path}: the file is empty; was it written to its end?")
        self.compression = next((n for n, magic in PACKED.items() if start.startswith(magic)), None)
        if self.compression == "zip":
            self._look_into_archive()
        with self.open() as file, reading(self.path, self.compression):
            self.head = file.read(HEAD)
        if not self.head:
            raise EmptyFileError(f"{self.path}: the file is empty; was it written to its end?")

    def _plain(self) -> BinaryIO:
        return io.BytesIO(self._content) if self._content is not None else open(self.path, "rb")

    def _look_into_archive(self) -> None:
        """Find the one file in a zip archive; archives of arrays and of Office are formats."""
        self.compression = None
        try:
            with self._plain() as file, zipfile.ZipFile(file) as archive:
                # Not `is_dir`, which CPython before 3.12 cannot tell of a member without a name.
                names = [name for name in archive.namelist() if not name.endswith("/")]
                self._require_all_of_archive(file, archive)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return  # for the reader of arrays to tell
        names = [name for name in names if not is_marker(name)]
        if any(name.endswith(".npy") or name == "[Content_Types].xml" for name in names):
            return
        if OPEN_DOCUMENT.issubset(names):
            return
        if len(names) != 1:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise DataError(
                f"{self.path}: a zip archive of {len(names)} files ({some or 'none'}); expected "
                "one: unpack it, and name its files"
            )
        self.compression, self._member = "zip", names[0]

    def _require_all_of_archive(self, file: BinaryIO, archive: zipfile.ZipFile) -> None:
        """Refuse bytes before or behind an archive: of two in one file, one alone would be read."""
        first = min((info.header_offset for info in archive.infolist()), default=0)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - ZIP_END))
        end = file.read()
        at = end.rfind(ZIP_END_MAGIC)
        behind = end[at + 22 + int.from_bytes(end[at + 20 : at + 22], "little") :]
        if first or behind.strip(b"\0"):
            where = "before" if first else "behind"
            raise DataError(
                f"{self.path}: other bytes stand {where} the zip archive, such as a second "
                "archive; unpack them, and name their files"
            )

    def refuse_more_than_the_memory(self) -> None:
        """Refuse a packed text from now on once more is unpacked than the machine holds."""
        if self.compression is not None:
            self._check = whole_text(self.path, self.head)

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Give the content from its start, decompressed."""
        with self._unpacked() as file:
            yield file if self._check is None else cast(BinaryIO, Unpacked(file, self._check))

    @contextlib.contextmanager
    def _unpacked(self) -> Iterator[BinaryIO]:
        with reading(self.path, self.compression), self._plain() as file:
            if self.compression == "gzip":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            elif self.compression == "bzip2":
                streams = Streams(file, bz2.BZ2Decompressor)
                yield cast(BinaryIO, io.BufferedReader(streams, HEAD))
            elif self.compression == "xz":
                streams = Streams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ))
                yield cast(BinaryIO, io.BufferedReader(streams, HEAD))
            elif self.compression == "zip":
                with zipfile.ZipFile(file) as archive, archive.open(self._member) as member:
                    yield cast(BinaryIO, member)
            elif self.compression == "zstandard":
                yield from self._zstandard(file)
            else:
                yield file

    def _zstandard(self, file: BinaryIO) -> Iterator[BinaryIO]:
        pa = pyarrow(f"{self.path}: zstandard compression")
        try:
            with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as unpacked:
                yield cast(BinaryIO, io.BufferedReader(unpacked, HEAD))
        except MemoryError:  # one of pyarrow's own is an ArrowException, too
            raise
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path}: the zstandard data are damaged or cut short ({error}); fetch the "
                "file again"
            ) from None

    def read(self) -> bytes:
        """Return the whole content, decompressed."""
        with self.open() as file:
            return file.read()

    @property
    def mappable(self) -> bool:
        """Whether the content lies in a file as it is."""
        return self._content is None and self.compression is None


def pyarrow(what: str) -> Any:
    """Return the module pyarrow; DataError, which says why, if there is none."""
    with needed("pyarrow", DataError(f"{what} needs pyarrow: pip install pyarrow")):
        import pyarrow as pa
    return pa

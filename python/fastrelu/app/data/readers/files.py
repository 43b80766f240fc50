# SPDX-License-Identifier: BSD-3-Clause
"""Open a file of data: plain, gzipped or zstandard, or standard input; globs; what can go wrong."""

from __future__ import annotations

import contextlib
import glob
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from fastrelu.app.errors import DataError

BUNDLED = ("digits", "iris", "wine", "diabetes")
STANDARD_INPUT = "-"
HEAD = 1 << 16
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def expand(paths: Sequence[str]) -> list[str]:
    """Return the paths with each glob replaced by what it matches, sorted.

    Raises
    ------
    DataError
        If a glob matches nothing, or there are no paths at all.
    """
    found: list[str] = []
    for path in paths:
        if any(c in path for c in "*?[") and not Path(path).exists():
            matches = sorted(glob.glob(path, recursive=True))
            if not matches:
                raise DataError(f"{path}: no file matches this pattern")
            found += matches
        else:
            found.append(path)
    if not found:
        raise DataError("no data: expected a file, or one of " + ", ".join(BUNDLED))
    return found


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a DataError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file, and not one of the bundled data sets {', '.join(BUNDLED)}"
        ) from None
    except IsADirectoryError:
        within = (p.suffix for p in sorted(Path(path).iterdir()) if p.suffix)
        files = f"{path.rstrip('/')}/*{next(within, '.csv')}"
        raise DataError(f"{path}: a folder; name the files in it, as in '{files}'") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: the gzip data are damaged or cut short ({error}); fetch the file again"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


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
        if "\0" in path:
            raise DataError(f"{path}: no such file: a path has no NUL in it")
        with reading(path):
            if path == STANDARD_INPUT:
                self._content = sys.stdin.buffer.read()
            elif Path(path).is_dir():
                raise IsADirectoryError
            elif Path(path).exists() and not Path(path).is_file():  # a pipe gives its bytes once
                self._content = Path(path).read_bytes()
            with self._plain() as file:
                start = file.read(4)
        if not start:
            raise DataError(f"{self.path}: the file is empty; was it written to its end?")
        self.compression = (
            "gzip" if start[:2] == GZIP else "zstandard" if start == ZSTANDARD else None
        )
        with self.open() as file, reading(self.path):
            self.head = file.read(HEAD)
        if not self.head:
            raise DataError(f"{self.path}: the file is empty; was it written to its end?")

    def _plain(self) -> BinaryIO:
        return io.BytesIO(self._content) if self._content is not None else open(self.path, "rb")

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Give the content from its start, decompressed."""
        with reading(self.path), self._plain() as file:
            if self.compression == "gzip":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            elif self.compression == "zstandard":
                yield from self._zstandard(file)
            else:
                yield file

    def _zstandard(self, file: BinaryIO) -> Iterator[BinaryIO]:
        pa = pyarrow(f"{self.path}: zstandard compression")
        try:
            with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as unpacked:
                yield cast(BinaryIO, io.BufferedReader(unpacked, HEAD))
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
    """Return the module pyarrow; DataError, which names the extra, if it is not installed."""
    try:
        import pyarrow as pa
    except ImportError:
        raise DataError(f"{what} needs pyarrow: pip install 'fastrelu[train]'") from None
    return pa

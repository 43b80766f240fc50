# SPDX-License-Identifier: BSD-3-Clause
"""Read CSV, NPZ and IDX files and scikit-learn's bundled data sets into one kind of table."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.training import DataError

BUNDLED = ("digits", "iris", "wine", "diabetes")
IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True)
class Table:
    """Rows as read, before anything is learned from them.

    Attributes
    ----------
    source : str
        Where they come from, for messages.
    numeric : ndarray, (n, p)
        The numeric columns, floating point (NaN is missing) or uint8.
    numeric_names : list of str
        Their names.
    categorical : dict of str to ndarray, (n,)
        The text columns; "" is missing.
    target : ndarray, (n,)
        Numbers (float64, NaN is missing) or text (object, "" is missing).
    target_name : str
        Its name.
    notes : list of str
        What the user should know about the reading.
    """

    source: str
    numeric: NDArray[Any]
    numeric_names: list[str]
    categorical: dict[str, NDArray[Any]]
    target: NDArray[Any]
    target_name: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.target)

    def missing_target(self) -> NDArray[np.bool_]:
        """Return which rows have no target."""
        text = self.target.dtype == object
        missing: NDArray[np.bool_] = self.target == "" if text else np.isnan(self.target)
        return missing


def load(data: str, labels: str | None = None, target: str | None = None) -> Table:
    """Return the table in a file, or in a bundled data set.

    Parameters
    ----------
    data : str
        Path of a CSV, NPZ or IDX file, each also compressed by gzip, or one of `BUNDLED`. The
        kind is told from the content, not from the name.
    labels : str, optional
        Path of the IDX file of labels, for an IDX file of images.
    target : str, optional
        CSV: the target's column, the last by default. NPZ: the target's array, "y" by default.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If something cannot be read, is not there, or does not fit.
    """
    if data in BUNDLED:
        _refuse(labels, "LABELS", target, data)
        return _bundled(data)
    content = read_bytes(data)
    if content[:2] == b"\0\0" and len(content) >= 4 and content[2] in IDX_DTYPES:
        _refuse(None, "", target, data)
        return _idx_table(data, content, labels)
    _refuse(labels, "LABELS", None, data)
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _npz_table(data, content, target or "y")
    if content[:6] == b"\x93NUMPY":
        raise DataError(f"{data}: a single array (.npy); expected an .npz file with X and y")
    from fastrelu.training.csv_reader import csv_table

    return csv_table(data, content, target)


def _refuse(labels: str | None, name: str, target: str | None, data: str) -> None:
    if labels is not None:
        raise DataError(f"{data}: {name} ({labels}) goes with an IDX file of images only")
    if target is not None:
        raise DataError(f"{data}: --target ({target}) goes with CSV and NPZ files only")


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file, and not one of the bundled data sets {', '.join(BUNDLED)}"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip data are damaged ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_bytes(path: str) -> bytes:
    """Return a file's content, decompressed if it is a gzip file.

    Raises
    ------
    DataError
        If it cannot be read or is empty.
    """
    with _reading(path):
        content = Path(path).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content


def parse_idx(path: str, content: bytes) -> NDArray[Any]:
    """Return the array in an IDX file's content.

    Raises
    ------
    DataError
        If it is not one, or its length does not fit its header.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_DTYPES:
        raise DataError(f"{path}: expected an IDX file, got one that begins {content[:4]!r}")
    dtype, rank = np.dtype(IDX_DTYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    if rank == 0 or len(content) < start:
        raise DataError(f"{path}: the IDX header is damaged or incomplete")
    shape = struct.unpack(f">{rank}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise DataError(
            f"{path}: expected {expected} bytes for IDX shape {shape}, got {len(content)}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _idx_table(data: str, content: bytes, labels: str | None) -> Table:
    if labels is None:
        raise DataError(f"{data}: an IDX file of images; expected the file of its labels after it")
    X = parse_idx(data, content)
    y = parse_idx(labels, read_bytes(labels))
    return _arrays_table(data, X, y, "X", f"{labels}: labels", "labels")


def _npz_table(data: str, content: bytes, target: str) -> Table:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            for name in ("X", target):
                if name not in file.files:
                    raise DataError(
                        f"{data}: no array {name!r}; the file has {', '.join(file.files) or 'none'}"
                    )
            X, y = file["X"], file[target]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{data}: cannot be read as NPZ ({reason})") from None
    return _arrays_table(data, X, y, "X", target, target)


def _arrays_table(
    source: str, X: NDArray[Any], y: NDArray[Any], x_name: str, y_name: str, target_name: str
) -> Table:
    if X.ndim < 2:
        raise DataError(f"{source}: {x_name}: expected shape (rows, inputs), got {X.shape}")
    if X.dtype.kind not in "biuf":
        raise DataError(f"{source}: {x_name}: expected numbers, got dtype {X.dtype}")
    if y.shape not in ((len(X),), (len(X), 1)):
        raise DataError(
            f"{source}: {y_name}: expected one target for each of {len(X)} rows, got {y.shape}"
        )
    X = X.reshape(len(X), math.prod(X.shape[1:]))
    if X.dtype != np.uint8:
        X = X.astype(np.float32 if X.dtype == np.float32 else np.float64)
        check_infinite(f"{source}: {x_name}", X)
    names = [f"{x_name}[{j}]" for j in range(X.shape[1])]
    target = as_target(f"{source}: {y_name}", y.reshape(-1))
    return Table(source, X, names, {}, target, target_name)


def check_infinite(name: str, values: NDArray[Any]) -> None:
    """Raise DataError if there are infinities (NaN is a missing value)."""
    infinite = np.isinf(values)
    if infinite.any():
        place = [int(i) for i in np.argwhere(infinite)[0]]
        raise DataError(f"{name}: expected finite numbers, got infinity at {place}")


def as_target(name: str, y: NDArray[Any]) -> NDArray[Any]:
    """Return a target as float64 or as text; bool becomes the text "False" or "True".

    Raises
    ------
    DataError
        If it is something else.
    """
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind in "bU":
        return y.astype(str).astype(object)
    if y.dtype.kind not in "iuf":
        raise DataError(f"{name}: expected numbers, bool or text, got dtype {y.dtype}")
    values = y.astype(np.float64)
    check_infinite(name, values)
    return values


def _bundled(name: str) -> Table:
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError(
            f"{name}: the bundled data sets need scikit-learn: pip install 'fastrelu[train]'"
        ) from None
    if name == "diabetes":
        bunch = datasets.load_diabetes(scaled=False)
    else:
        bunch = getattr(datasets, f"load_{name}")()
    y = np.asarray(bunch.target)
    names = [str(n) for n in bunch.feature_names]
    if name in ("iris", "wine"):
        y = np.asarray(bunch.target_names)[y]
    target = as_target(name, y)
    return Table(name, np.asarray(bunch.data, np.float64), names, {}, target, "target")

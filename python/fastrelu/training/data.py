# SPDX-License-Identifier: BSD-3-Clause
"""Readers: CSV, NPZ, IDX files and scikit-learn's bundled data sets, by name."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.training import DataError

BUNDLED = ("digits", "iris", "wine", "diabetes")


@dataclass
class Table:
    """A data set as read.

    Attributes
    ----------
    columns : dict of ndarray
        Inputs by column: float64 (NaN where missing) or object (text, "" where missing); for
        images and NPZ instead one entry "X" of shape (n, d).
    target : ndarray, (n,) or (n, k)
        float64, integers or text.
    target_name : str
        Its name.
    notes : list of str
        What the reader did, for the user.
    """

    columns: dict[str, NDArray[Any]]
    target: NDArray[Any]
    target_name: str = "y"
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.target)


def read(sources: tuple[str, ...], target: str | None) -> Table:
    """Return the data set that the command's DATA arguments name."""
    first = sources[0]
    if len(sources) == 1 and first in BUNDLED and not Path(first).exists():
        return _read_bundled(first)
    for source in sources:
        if not Path(source).is_file():
            known = ", ".join(BUNDLED)
            raise DataError(f"{source}: no such file (nor one of the bundled sets {known})")
    name = Path(first).name.removesuffix(".gz")
    try:
        if name.endswith(".npz"):
            return _read_npz(first)
        if name.endswith((".csv", ".tsv", ".txt")):
            return _read_csv(first, target, "\t" if name.endswith(".tsv") else ",")
        if "idx" in name or name.endswith("ubyte"):
            if len(sources) != 2:
                raise DataError(f"{first}: IDX data are two files: images, then labels")
            return _read_idx(*sources)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile) as error:
        raise DataError(f"{first}: cannot be read ({error})") from error
    raise DataError(f"{first}: expected .csv, .tsv (also .gz), .npz, or two IDX files")


def _open(path: str) -> Any:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")


def _read_bundled(name: str) -> Table:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            f"the bundled set {name!r} comes with scikit-learn: pip install 'fastrelu[train]'"
        ) from error
    bunch = getattr(datasets, f"load_{name}")()
    target = np.asarray(bunch.target)
    kind = np.float64 if name == "diabetes" else np.int64
    return Table({"X": np.asarray(bunch.data, np.float64)}, target.astype(kind))


def _read_npz(path: str) -> Table:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("X", "y") if name not in file.files]
            if missing:
                raise DataError(f"{path}: expected arrays X and y, found {sorted(file.files)}")
            X, y = file["X"], file["y"]
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if X.ndim != 2 or X.dtype.kind not in "fiub" or y.ndim not in (1, 2) or len(X) != len(y):
        raise DataError(
            f"{path}: expected numbers X (n, d) and y of n rows, got {X.dtype}{X.shape} and "
            f"{y.dtype}{y.shape}"
        )
    return Table({"X": X}, y)


def _read_idx(images: str, labels: str) -> Table:
    X, y = _idx_array(images), _idx_array(labels)
    if y.ndim != 1 or X.ndim < 2 or len(X) != len(y):
        raise DataError(f"{labels}: expected one label for each of {X.shape} images, got {y.shape}")
    return Table({"X": X.reshape(len(X), -1)}, y.astype(np.int64))


def _idx_array(path: str) -> NDArray[Any]:
    """One array in the IDX format: 0, 0, type, rank, big-endian sizes, values."""
    with _open(path) as file:
        data = file.read()
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != 8 or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path}: expected an IDX file of bytes")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", data[3], 4))
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != int(np.prod(shape)):
        raise DataError(f"{path}: expected {shape} values, found {values.size}")
    return values.reshape(shape)


def _read_csv(path: str, target: str | None, delimiter: str) -> Table:
    with _open(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=delimiter)
        header = next(reader, None)
        if not header:
            raise DataError(f"{path}: expected a header line, found an empty file")
        rows = []
        for number, row in enumerate(reader, start=2):
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {number}: expected {len(header)} fields, found {len(row)}"
                )
            rows.append(row)
    names = [name.strip() for name in header]
    if len(set(names)) != len(names):
        raise DataError(f"{path}: expected distinct column names, got {names}")
    target = names[-1] if target is None else target
    if target not in names:
        raise DataError(f"{path}: no column {target!r}; there are {', '.join(names)}")
    if not rows or len(names) < 2:
        raise DataError(f"{path}: expected rows and at least two columns")
    columns = {name: _column([row[i].strip() for row in rows]) for i, name in enumerate(names)}
    return _without_missing_targets(columns, target)


_MISSING = frozenset(("", "na", "nan", "null", "none", "?"))


def _column(texts: list[str]) -> NDArray[Any]:
    """Numbers if every value there is one, else text."""
    present = [t.lower() not in _MISSING for t in texts]
    try:
        return np.array([float(t) if p else np.nan for t, p in zip(texts, present, strict=True)])
    except ValueError:
        cells = [t if p else "" for t, p in zip(texts, present, strict=True)]
        return np.array(cells, dtype=object)


def _without_missing_targets(columns: dict[str, NDArray[Any]], target: str) -> Table:
    y = columns.pop(target)
    there = ~np.isnan(y) if y.dtype.kind == "f" else y != ""
    notes = []
    if not there.all():
        notes.append(f"{int((~there).sum())} rows without {target} left out")
        y = y[there]
        columns = {name: c[there] for name, c in columns.items()}
    if not len(y):
        raise DataError(f"column {target!r}: expected values, found none")
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.round(y)).all():
        y = y.astype(np.int64)
    return Table(columns, y, target, notes)

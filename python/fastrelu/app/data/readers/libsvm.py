# SPDX-License-Identifier: BSD-3-Clause
"""libsvm (svmlight) files: a label, then index:value for what is not zero; kept sparse."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import numpy as np

from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.readers.values import as_target, row_number
from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.errors import DataError

LINE = re.compile(r"\s*[-+.\deE]+(\s+qid:\d+)?(\s+\d+:[-+.\deE]+|\s+\d+:(nan|inf))*\s*(#.*)?", re.I)
MOST_COLUMNS = 10_000_000


def is_libsvm(head: bytes) -> bool:
    """Return whether a file that begins so is a libsvm file: its first lines are."""
    lines = head[:4096].decode("utf-8", "replace").splitlines()[:20]
    if len(head) >= 4096 and len(lines) > 1:
        lines.pop()  # perhaps cut
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    first = lines[0] if lines else ""
    return bool(LINE.fullmatch(first)) and any(re.search(r"\s\d+:", line) for line in lines)


def read_libsvm(source: Source) -> Table:
    """Return the table of a libsvm file, its inputs a CSR matrix.

    The columns' names are their numbers, from 1, or from 0 in a file that has an index 0.

    Raises
    ------
    DataError
        If a line is not of the form.
    """
    try:
        from scipy import sparse
        from sklearn.datasets import load_svmlight_file
    except ImportError:
        raise DataError(
            f"{source.path}: libsvm files need scikit-learn: pip install 'fastrelu[train]'"
        ) from None
    content = source.read()
    try:
        X, y = load_svmlight_file(io.BytesIO(content), zero_based=True)
    except Exception as error:  # its parser raises what it meets
        raise _damaged(source.path, content, error) from None
    if not len(y):
        raise DataError(f"{source.path}: expected rows of data, got none")
    if X.shape[1] > MOST_COLUMNS:
        raise DataError(
            f"{source.path}: {_line_of(content, str(X.shape[1] - 1))}: index {X.shape[1] - 1}; "
            f"expected {MOST_COLUMNS} columns at most"
        )
    first = 0 if X.nnz == 0 or X.indices.min() == 0 else 1
    matrix = sparse.csr_array(X[:, first:] if first else X)
    bad = np.flatnonzero(~np.isfinite(matrix.data))
    if len(bad):
        row = int(np.searchsorted(matrix.indptr, bad[0], side="right"))
        raise DataError(
            f"{source.path}: row {row}: column {int(matrix.indices[bad[0]]) + first}: expected "
            f"finite numbers, got {matrix.data[bad[0]]}; leave the entry out"
        )
    target = as_target(source.path, "label", y, row_number())
    if np.isnan(target).any():
        row = int(np.flatnonzero(np.isnan(target))[0]) + 1
        raise DataError(f"{source.path}: row {row}: target 'label': expected a number, got NaN")
    names = NumberedNames("", "", matrix.shape[1], first)
    return Table(
        source.path,
        len(target),
        matrix=matrix,
        matrix_names=names,
        target=target,
        target_name="label",
    )


def _line_of(content: bytes, index: str) -> str:
    at = re.search(rb"\s" + index.encode() + rb":", content)
    return f"line {content.count(10, 0, at.start()) + 1}" if at else "a line"


def _damaged(path: str, content: bytes, error: Exception) -> DataError:
    """Return the error that names the first line which is not of the form."""
    form = "expected a label, then index:value with indices that ascend"
    for n, raw in enumerate(content.splitlines(), 1):
        line = raw.decode("utf-8", "replace")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        shown = line.strip()[:60]
        if not LINE.fullmatch(line):
            return DataError(f"{path}: line {n}: {form}, got {shown!r}")
        indices = [int(i) for i in re.findall(r"\s(\d+):", line.partition("#")[0])]
        if any(b <= a for a, b in pairwise(indices)):
            return DataError(f"{path}: line {n}: {form}, got {shown!r}")
    return DataError(f"{path}: cannot be read as libsvm ({error}); {form}")

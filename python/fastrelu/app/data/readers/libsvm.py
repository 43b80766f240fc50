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
from fastrelu.app.errors import DataError, NoRowsError, needed

NUMBER = r"[-+.\deE]+"
PAIRS = r"(?:\s+qid:\d+)?(?:\s+\d+:(?:[-+.\deE]+|nan|[-+]?inf(?:inity)?))*\s*(?:#.*)?"
LINE = re.compile(rf"\s*{NUMBER}{PAIRS}", re.I)
# Several labels, or none before two pairs or more.
LABELS = re.compile(rf"\s*{NUMBER}(?:,{NUMBER})+{PAIRS}", re.I)
NO_LABEL = re.compile(rf"(?=\s*(?:qid:\d+\s+)?\d+:\S+(?:\s+\d+:|\s*$)){PAIRS}", re.I)
MOST_COLUMNS = 10_000_000
FORM = "expected a label, then index:value with indices that ascend"


def is_libsvm(head: bytes) -> bool:
    """Return whether a file that begins so is a libsvm file: its first line is one."""
    lines = head[:4096].decode("utf-8", "replace").splitlines()[:20]
    if len(head) >= 4096 and len(lines) > 1:
        lines.pop()  # perhaps cut
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not any(re.search(r"\s\d+:", line) for line in lines):
        return False
    first = lines[0]
    return any(form.fullmatch(f" {first}") for form in (LINE, LABELS, NO_LABEL))


def read_libsvm(source: Source, need_target: bool = True) -> Table:
    """Return the table of a libsvm file, its inputs a CSR matrix.

    The columns' names are their numbers, from 1, or from 0 in a file that has an index 0.

    Parameters
    ----------
    source : Source
        The file; comments after # and qid are not looked at.
    need_target : bool
        Whether each line has to have one label.

    Raises
    ------
    DataError
        If a line is not of the form.
    """
    missing = f"{source.path}: libsvm files need scikit-learn: pip install scikit-learn"
    with needed("scikit-learn", DataError(missing)):
        from scipy import sparse
        from sklearn.datasets import load_svmlight_file
    content = source.read()
    labelled = _checked(source.path, content, need_target)
    try:
        X, y = load_svmlight_file(io.BytesIO(labelled), zero_based=True)
    except MemoryError:
        raise
    except Exception as error:  # its parser raises what it meets
        raise _damaged(source.path, content, error) from None
    if not len(y):
        raise NoRowsError(f"{source.path}: expected rows of data, got none")
    if X.shape[1] > MOST_COLUMNS:
        raise _too_many(source.path, content, str(X.shape[1] - 1))
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
    notes = ["qid: the queries that rows belong to are not looked at"] if b"qid:" in content else []
    return Table(
        source.path,
        len(y),
        matrix=matrix,
        matrix_names=names,
        target=target if labelled is content else None,
        target_name="label" if labelled is content else None,
        notes=notes,
    )


def _checked(path: str, content: bytes, need_target: bool) -> bytes:
    """Return the content with one label a line, made up where there are others and none is needed.

    Raises
    ------
    DataError
        If a label is needed and there are several or none, or an index is longer than any.
    """
    long = re.search(rb"\s0*([1-9]\d{9,}):", content)
    if long is not None:
        raise _too_many(path, content, long[1][:20].decode())
    several = re.search(rb"(?m)^[ \t]*[^\s#:,]*,[^\s#:]*(?=\s)", content)
    lacking = re.search(rb"(?m)^[ \t]*(?:qid:\d+[ \t]+)?\d+:", content)
    if several is None and lacking is None:
        return content
    if not need_target:
        return re.sub(rb"(?m)^[ \t]*(?:[^\s#:]+(?=\s|$)|(?=[^\s#:]+:))", b"0 ", content)
    found = [m for m in (several, lacking) if m is not None]
    first = min(found, key=lambda match: match.start())
    line = 1 + content.count(10, 0, first.start())
    shown = first[0].decode("utf-8", "replace").strip()
    what = f"several labels, {shown!r}" if first is several else "no labels before the first pair"
    raise DataError(
        f"{path}: line {line}: {what}; each line needs one label: of several labels, a file "
        "for each, with 1 and 0, can be learned one at a time"
    )


def _too_many(path: str, content: bytes, index: str) -> DataError:
    at = re.search(rb"\s0*" + index.encode(), content)
    line = f"line {content.count(10, 0, at.start()) + 1}" if at else "a line"
    return DataError(f"{path}: {line}: index {index}; expected {MOST_COLUMNS} columns at most")


def _damaged(path: str, content: bytes, error: Exception) -> DataError:
    """Return the error that names the first line which is not of the form."""
    for n, raw in enumerate(content.splitlines(), 1):
        line = raw.decode("utf-8", "replace")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        shown = line.strip()[:60]
        if not LINE.fullmatch(line):
            return DataError(f"{path}: line {n}: {FORM}, got {shown!r}")
        indices = [int(i) for i in re.findall(r"\s(\d{1,20}):", line.partition("#")[0])]
        if any(b <= a for a, b in pairwise(indices)):
            return DataError(f"{path}: line {n}: {FORM}, got {shown!r}")
    return DataError(f"{path}: cannot be read as libsvm ({error}); {FORM}")

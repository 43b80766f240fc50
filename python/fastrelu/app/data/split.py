# SPDX-License-Identifier: BSD-3-Clause
"""Which rows are trained on, watched and tested."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.errors import DataError
from fastrelu.app.settings import Settings
from fastrelu.random import Purpose, words

PARTS = ("train", "validation", "test")
WORDS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
Rows = NDArray[np.intp]


def row_numbers(seed: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return a random 64-bit number for each of the rows first .. first + count - 1.

    Row i has word i mod 4 of Philox's block i // 4 under the key (seed, MEMBERSHIP), wherever it
    starts and however many rows there are.
    """
    return words(seed, Purpose.MEMBERSHIP, first, count)


def split_rows(
    settings: Settings,
    used: Rows,
    classes: NDArray[np.int64] | None,
    column: NDArray[Any] | None,
) -> dict[str, Rows]:
    """Return the rows of each part, each in ascending order.

    Parameters
    ----------
    settings : Settings
        `split`, `validation`, `test` and `seed` count.
    used : ndarray of int, (n,)
        The rows to share out, ascending.
    classes : ndarray of int, (n,), optional
        Their class numbers: a random split then takes its share of each class, and as long as half
        of the rows or more are trained on, each class is among them.
    column : ndarray, (n,), optional
        For split by time or column: the column's values.

    Returns
    -------
    dict
        "train", "validation", "test": rows, the last two perhaps empty.

    Raises
    ------
    DataError
        If the column does not say what the split needs, or a part that is needed has no rows.
    """
    kind, _, name = settings.split.partition(":")
    if kind == "column":
        assert column is not None
        return _by_column(used, column, name)
    if kind == "time":
        assert column is not None
        order = _by_time(used, column, name)
    elif classes is None:
        order = np.argsort(row_numbers(settings.seed, 0, int(used[-1]) + 1)[used], kind="stable")
    else:
        order = _stratified(row_numbers(settings.seed, 0, int(used[-1]) + 1)[used], classes)
    n = len(used)
    n_test, n_validation = _share(settings.test, n), _share(settings.validation, n)
    if n - n_test - n_validation < 2:
        raise DataError(f"{n} rows are too few to train, validate and test")
    ends = (n_test, n_test + n_validation)
    return {
        "train": np.sort(used[order[ends[1] :]]),
        "validation": np.sort(used[order[ends[0] : ends[1]]]),
        "test": np.sort(used[order[: ends[0]]]),
    }


def _share(share: float, n: int) -> int:
    return max(2, round(share * n)) if share else 0


def _stratified(numbers: NDArray[np.uint64], classes: NDArray[np.int64]) -> Rows:
    """Return an order whose every stretch has its share of each class.

    The k-th of a class's c rows, in random order, stands at (k + 1/2) / c; equal places are put in
    random order.
    """
    by_class = np.lexsort((numbers, classes))
    counts = np.bincount(classes)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    place = np.empty(len(classes))
    sorted_classes = classes[by_class]
    rank = np.arange(len(classes)) - starts[sorted_classes]
    place[by_class] = (rank + 0.5) / counts[sorted_classes]
    order: Rows = np.lexsort((numbers, place))
    return order


def _by_time(used: Rows, column: NDArray[Any], name: str) -> Rows:
    """Return the rows from the latest to the earliest; equal times: the later row first."""
    if column.dtype == object:
        raise DataError(
            f"--split time:{name}: expected numbers or dates, got text such as {column[0]!r}"
        )
    gaps = np.isnat(column) if column.dtype.kind == "M" else np.isnan(column.astype(np.float64))
    if gaps.any():
        raise DataError(
            f"--split time:{name}: {int(gaps.sum())} rows have no time; fill them or leave them out"
        )
    order: Rows = np.argsort(column, kind="stable")[::-1]
    return order


def _by_column(used: Rows, column: NDArray[Any], name: str) -> dict[str, Rows]:
    texts = np.array([str(value).strip().lower() for value in column], dtype=object)
    parts: dict[str, Rows] = {part: used[:0] for part in PARTS}
    for text in sorted(set(texts)):
        if text not in WORDS:
            near = difflib.get_close_matches(text, WORDS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            row = int(used[np.flatnonzero(texts == text)[0]]) + 1
            raise DataError(
                f"--split column:{name}: expected train, validation or test, got {text!r} in row "
                f"{row}{hint}"
            )
        part = WORDS[text]
        parts[part] = np.union1d(parts[part], used[texts == text])
    if len(parts["train"]) < 2:
        raise DataError(f"--split column:{name}: expected at least 2 rows of 'train'")
    return parts

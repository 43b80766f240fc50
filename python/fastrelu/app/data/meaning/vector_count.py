# SPDX-License-Identifier: BSD-3-Clause
"""The usual ways of writing, counted a block at a time by pyarrow.

Each function counts what `Evidence.add` would count text by text; texts that no pattern fits are
left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.data.meaning import bridge
from fastrelu.app.data.meaning.dates import ORDERS, WrittenDate, like_days
from fastrelu.app.data.meaning.evidence import Evidence, Example
from fastrelu.app.data.meaning.numbers import Written, is_rounded

EXACT = 2.0**53  # whole numbers up to this are doubles
FEW_HUGE = 1000  # larger ones of a block that are looked at
FEW_SHAPES = 50  # different texts of a block that are looked at one by one
_SIGN, _EXP = "[+-]?", "(?:[eE][+-]?[0-9]+)?"
_DAY, _MONTH = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_LATE = "(?:1[3-9]|2[0-9]|3[01])"  # a day that is no month
_CLOCK = "(?:[T ](?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,9})?)?)?"
_ZONE = "(?:Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])"
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"  # but 0000
_ISO = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_ISO_CLOCK = "[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,9})?)?"
_ALL = tuple(ORDERS)
SHAPES: list[tuple[str, Written | WrittenDate]] = [
    ("0[0-9]+", Written(code=True)),
    (f"{_SIGN}[0-9]+{_EXP}", Written()),
    (f"{_SIGN}[1-9][0-9]{{0,2}}[.][0-9]{{3}}", Written("?", ".")),
    (f"{_SIGN}(?:[0-9]+[.][0-9]*|[.][0-9]+){_EXP}", Written(".")),
    (f"{_SIGN}[1-9][0-9]{{0,2}},[0-9]{{3}}", Written("?", ",")),
    (f"{_SIGN}(?:[0-9]+,[0-9]*|,[0-9]+)", Written(",")),
    (f"{_SIGN}[1-9][0-9]{{0,2}}(?:[.][0-9]{{3}})+,[0-9]*", Written(",", ".")),
    (f"{_SIGN}[1-9][0-9]{{0,2}}(?:,[0-9]{{3}})+[.][0-9]*", Written(".", ",")),
    (f"{_ISO}(?:{_ISO_CLOCK})?", WrittenDate(_ALL)),
    (f"{_ISO}{_ISO_CLOCK}{_ZONE}", WrittenDate(_ALL, zone=True)),
]
FIRST_DATE = next(k for k, (_, how) in enumerate(SHAPES) if isinstance(how, WrittenDate))
for _mark, _text in (("-", "-"), ("/", "/"), (".", "[.]")):
    for _first, _second, _orders in (
        (_LATE, _MONTH, ("dmy",)),
        (_MONTH, _LATE, ("mdy",)),
        (_MONTH, _MONTH, ("dmy", "mdy")),
    ):
        SHAPES.append(
            (f"{_first}{_text}{_second}{_text}{_YEAR}{_CLOCK}", WrittenDate(_orders, _mark))
        )


def count_numbers(evidence: Evidence, texts: Any, numbers: Any, first_row: int) -> None:
    """Count texts that `numbers_in` has read.

    Parameters
    ----------
    evidence : Evidence
        What is counted.
    texts : pyarrow StringArray
        The texts.
    numbers : pyarrow DoubleArray
        Their values.
    first_row : int
        The row of the first.
    """
    import pyarrow.compute as pc

    if numbers.null_count > texts.null_count:
        lost = np.flatnonzero(bridge.valid(texts) & ~bridge.valid(numbers))
        count(evidence, texts.take(bridge.integers(lost)).dictionary_encode(), first_row)
    nowhere = texts.null_count + int(pc.sum(pc.is_nan(numbers)).as_py() or 0)
    evidence.add_missing(nowhere)
    present = len(texts) - numbers.null_count - nowhere + texts.null_count
    if not present:
        return
    points = min(present, _points(texts))
    point = Written(".")
    known = point in evidence.first
    example = _first_decimal(texts, first_row) if points and not known else None
    if points and not known and example is None:
        there = np.flatnonzero(~np.isnan(bridge.values(numbers, np.float64, np.nan)))
        _count_shapes(evidence, texts.take(bridge.integers(there)), there + first_row)
        return
    if points:
        evidence.add_numbers(point, points, example)
    if present > points:
        _count_whole(evidence, texts, numbers, present - points, first_row)


def _count_whole(evidence: Evidence, texts: Any, numbers: Any, n: int, first_row: int) -> None:
    """Count numbers without a point: codes, 0 and 1, and others."""
    code, whole = Written(code=True), Written()
    codes = 0 if Written(".") in evidence.numbers else _leading_zeros(texts)
    if codes:
        evidence.add_numbers(code, codes, _example(texts, "^0[0-9]+$", first_row))
    if n > codes:
        values = bridge.values(numbers, np.float64, np.nan)
        bits = int(np.count_nonzero((values == 0) | (values == 1)))
        _look_at_whole(evidence, texts, values, first_row)
        known = whole in evidence.first
        example = None if known else _example(texts, "[^.]", first_row)
        evidence.add_numbers(whole, n - codes, example, min(bits, n - codes))


def _look_at_whole(
    evidence: Evidence, texts: Any, values: NDArray[np.float64], first_row: int
) -> None:
    """Look for whole numbers that are no doubles, and whether all may be days."""
    evidence.days = evidence.days and like_days(values)
    if evidence.huge is None:
        for row in np.flatnonzero(np.abs(values) >= EXACT)[:FEW_HUGE].tolist():
            text = texts[row].as_py().strip()
            if is_rounded(text):
                evidence.huge = Example(first_row + row, text)
                return


def _points(texts: Any) -> int:
    """Return how many points there are in some texts."""
    places, data = bridge.text_bytes(texts)
    return int(np.count_nonzero(data[places[0] : places[-1]] == ord(".")))


def _leading_zeros(texts: Any) -> int:
    """Return how many texts are whole numbers that begin with a zero and go on."""
    import pyarrow.compute as pc

    places, data = bridge.text_bytes(texts)
    long = np.flatnonzero(np.diff(places) > 1)
    zero = long[data[places[long]] == ord("0")]
    if not len(zero):
        return 0
    some = texts.take(bridge.integers(zero))
    return int(pc.sum(pc.match_substring_regex(some, "^0[0-9]+$")).as_py() or 0)


def _first_decimal(texts: Any, first_row: int) -> Example | None:
    """Return the first text whose point cannot stand between thousands."""
    import pyarrow.compute as pc

    for head in (texts.slice(0, 200), texts):
        grouped = pc.match_substring_regex(head, "^ *[+-]?[1-9][0-9]{0,2}[.][0-9]{3} *$")
        where = bridge.first(pc.and_not(pc.match_substring(head, "."), grouped))
        if where is not None:
            return Example(first_row + where, texts[where].as_py().strip())
    return None


def _example(texts: Any, pattern: str, first_row: int) -> Example | None:
    """Return the first text that has a pattern in it."""
    import pyarrow.compute as pc

    where = bridge.first(pc.match_substring_regex(texts, pattern))
    return None if where is None else Example(first_row + where, texts[where].as_py().strip())


def count(evidence: Evidence, texts: Any, first_row: int) -> None:
    """Count texts of any kind.

    Parameters
    ----------
    evidence : Evidence
        What is counted.
    texts : pyarrow StringArray or DictionaryArray of text
        The texts; null is missing.
    first_row : int
        The row of the first.
    """
    import pyarrow as pa

    if not pa.types.is_dictionary(texts.type):
        rows = np.flatnonzero(bridge.valid(texts)) + first_row
        evidence.add_missing(texts.null_count)
        _count_shapes(evidence, texts.drop_null(), rows)
        return
    codes = bridge.codes(texts, -1)
    counts = np.bincount(codes + 1, minlength=len(texts.dictionary) + 1)
    evidence.add_missing(int(counts[0]))
    counts = counts[1:]

    def row_of(k: int) -> int:
        return first_row + int(np.argmax(codes == k))

    used = np.flatnonzero(counts)
    if len(used) > FEW_SHAPES and not evidence.form:
        _count_weighed(evidence, texts.dictionary, used, counts, row_of)
    else:
        words = texts.dictionary.to_pylist()
        evidence.add([words[k] for k in used.tolist()], counts[used].tolist(),
                     lambda i: row_of(int(used[i])))  # fmt: skip


def _count_shapes(evidence: Evidence, texts: Any, rows: NDArray[np.int64]) -> None:
    """Count texts, none of them null, that lie in some rows."""
    n = np.ones(len(texts), np.int64)
    _count_weighed(evidence, texts, np.arange(len(texts)), n, lambda k: int(rows[k]))


def _count_weighed(
    evidence: Evidence,
    texts: Any,
    used: NDArray[np.int64],
    counts: NDArray[np.int64],
    row_of: Callable[[int], int],
) -> None:
    """Count texts by patterns, and what no pattern fits one by one.

    Parameters
    ----------
    used : ndarray of int64
        The places of the texts that count.
    counts : ndarray of int64
        The cells that hold each text.
    row_of : callable
        Gives the first row that holds a text by its place.
    """
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(texts.take(bridge.integers(used)))
    # Numbers and dates are written differently: what the column had so far is tried first.
    shapes = SHAPES[FIRST_DATE:] + SHAPES[:FIRST_DATE] if evidence.dates else SHAPES
    for pattern, how in () if evidence.form else shapes:
        if not len(texts):
            return
        fits = bridge.mask(pc.match_substring_regex(texts, f"^(?:{pattern})$"))
        n = int(counts[used[fits]].sum())
        if not n:
            continue
        if how not in evidence.first:
            k = int(np.argmax(fits))
            evidence.first[how] = Example(row_of(int(used[k])), texts[k].as_py())
        evidence.n_rows += n
        evidence.days = False
        if isinstance(how, Written):
            evidence.numbers[how] += n
        else:
            evidence.dates[how] += n
        if how == Written():
            bits = bridge.mask(pc.match_substring_regex(texts, "^[01]$"))
            evidence.bits += int(counts[used[bits]].sum())
        left = np.flatnonzero(~fits)
        texts, used = texts.take(bridge.integers(left)), used[left]
    packed = texts.dictionary_encode()
    codes = bridge.codes(packed, -1)
    weights = np.bincount(codes, counts[used], len(packed.dictionary)).astype(np.int64)
    evidence.add(packed.dictionary.to_pylist(), weights.tolist(),
                 lambda i: row_of(int(used[np.argmax(codes == i)])))  # fmt: skip

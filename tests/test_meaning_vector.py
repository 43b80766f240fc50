# SPDX-License-Identifier: BSD-3-Clause
"""What pyarrow counts and converts by blocks is what is counted and converted text by text."""

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrelu.app.data.meaning import (
    Evidence,
    Hints,
    Missing,
    convert,
    decide,
    vector_count,
    vector_values,
)

NUMBERS = ["1", "-2", "+3", "0", "1.5", ".5", "5.", "1e3", "1.5E-3", "0.001", "12.345", "1.234",
           "999.999", "1000.5", "00.5", " 7", "8 "]  # fmt: skip
COMMAS = ["1,5", "0,25", "1.234,5", "1.234", "12", ",5", "1,234", "1.234.567,0", "-3,75"]
THOUSANDS = ["1,234", "1,234.5", "12", "0.5", "12,345,678.9", "999"]
CODES = ["02139", "10001", "00", "0", "7"]
ISO = [
    "2024-01-31",
    "2020-02-29",
    "2000-12-01",
    "1900-01-01 00:00",
    "2024-02-29 12:30",
    "1999-12-31T23:59:59.123456789",
    "9999-12-31",
]
ZONED = ["2024-01-31T12:30:00Z", "2024-02-29 12:30:00+02:00", "2024-02-29 12:30:00-0530"]
DAYS = ["31.01.2024", "30.11.2020 23:59", "01.02.2024", "1.2.2024 5:06", "29.02.2024 12:30:05.5"]
MONTHS = ["01/31/2024", "02/03/2024", "12/12/1999 23:59"]
FALSE = ["2024-02-30", "31.02.2024", "2024-1-2", "05/03/24", "31 Jan 2024", "12:30"]
GAPS = ["", "NA", "nan", "?", "None", "-", None]
OTHERS = ["x", "true", "$5", "5 kg", "inf", "1_0", "town4", "a,b", "\u22125"]
POOLS = [NUMBERS, COMMAS, THOUSANDS, CODES, ISO, ZONED, DAYS, MONTHS, FALSE]
HINTS = [Hints(), Hints(usual_decimal=","), Hints(decimal=","), Hints(order="dmy")]


@st.composite
def columns(draw):
    pool = draw(st.sampled_from(POOLS))
    more = draw(st.sampled_from([[], [], GAPS, OTHERS, GAPS + OTHERS]))
    return draw(st.lists(st.sampled_from(pool + more), min_size=1, max_size=12))


def by_hand(cells):
    evidence = Evidence()
    for i, cell in enumerate(cells):
        evidence.add([cell or ""], [1], lambda k, i=i: i)
    return evidence


def by_block(cells, width):
    evidence = Evidence()
    for at in range(0, len(cells), width):
        texts = pa.array(cells[at : at + width], pa.string())
        numbers = vector_values.numbers_in(texts, evidence.missing)
        if numbers is None:
            vector_count.count(evidence, vector_values.encoded(texts), at)
        else:
            vector_count.count_numbers(evidence, texts, numbers, at)
    return evidence


def same(a, b):
    """Verdicts alike; dates that are none are found later where blocks are counted."""
    if a.problem is None or b.problem is None:
        return a.meaning == b.meaning and (a.problem is None) == (b.problem is None)
    return a.problem.row == b.problem.row


@given(columns(), st.integers(1, 12), st.booleans(), st.sampled_from(HINTS), st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_column_is_decided_alike(cells, width, shapes, hints, target):
    few = vector_count.FEW_SHAPES, vector_values.FEW_WORDS
    if shapes:
        vector_count.FEW_SHAPES, vector_values.FEW_WORDS = 0, width % 3
    try:
        blocks = by_block(cells, width)
    finally:
        vector_count.FEW_SHAPES, vector_values.FEW_WORDS = few
    hand = by_hand(cells)
    assert blocks.n_rows == hand.n_rows == len(cells)
    assert blocks.n_missing == hand.n_missing and blocks.absent == hand.absent
    if any(c in ("2024-02-30", "31.02.2024") for c in cells):
        return  # by their patterns they are dates
    a, b = (decide(e, hints, target=target) for e in (hand, blocks))
    assert same(a, b), (a, b)


@given(columns(), st.sampled_from(HINTS))
@settings(max_examples=400, deadline=None)
def test_a_column_is_converted_alike(cells, hints):
    meaning = decide(by_hand(cells), hints).meaning
    words = [cell or "" for cell in cells]
    vector_values.FEW_QUICK = 1
    values, wrong = convert(words, meaning, Missing())
    for texts in (pa.array(cells, pa.string()), pa.array(cells, pa.string()).dictionary_encode()):
        got, first = vector_values.values_of(texts, meaning, Missing())
        assert got.dtype == values.dtype
        assert first == (wrong[0] if wrong else None)
        np.testing.assert_array_equal(got, values)


def test_floats_are_the_nearest():
    """Texts of all lengths become what Python makes of them, to the last bit."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, 20_000, dtype=np.uint64) | (
        rng.integers(0, 2, 20_000, dtype=np.uint64) << np.uint64(63)
    )
    doubles = bits.view(np.float64)
    doubles = doubles[np.isfinite(doubles)]
    texts = [repr(x) for x in doubles.tolist()]
    texts += [f"{x:.{k % 25}e}" for k, x in enumerate(doubles.tolist())]
    texts += [f"{x:.{k % 30}f}" for k, x in enumerate(rng.normal(size=5000).tolist())]
    halves = rng.integers(2**53, 2**62, 2000).tolist()
    texts += [str(k) for k in halves] + [f"{k}.5" for k in halves]
    texts += ["5e-324", "2e-324", "3e-324", "1e-400", "1.7976931348623157e308", "9" * 400]
    got = vector_values.numbers_in(pa.array(texts), Missing()).to_numpy()
    np.testing.assert_array_equal(got.view(np.uint64), np.array(list(map(float, texts))).view("u8"))

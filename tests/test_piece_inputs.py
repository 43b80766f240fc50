# SPDX-License-Identifier: BSD-3-Clause
"""The inputs by pieces: the encoding's formula, its ends, gaps, ties, categories and dates."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrelu.app.data.table import Table
from fastrelu.app.errors import RowsError
from fastrelu.app.preprocess import Inputs, PieceOptions, fit_pieces

NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, -2.5, 1e300, -1.7e308, 5e-324])
COLUMNS = st.lists(NUMBERS | st.just(np.nan), min_size=1, max_size=60)


def table_of(**columns):
    return Table("X", len(next(iter(columns.values()))), columns=columns)


@settings(max_examples=200, deadline=None)
@given(COLUMNS, COLUMNS, st.integers(1, 12))
def test_each_piece_is_the_share_of_its_interval(training, more, pieces):
    inputs = fit_pieces(table_of(a=np.array(training)), None, PieceOptions(pieces=pieces))
    x = np.array(more)
    X = inputs.transform(table_of(a=x), None, "float64")
    assert X.shape == (len(x), inputs.n_inputs) == (len(x), len(inputs.input_names))
    assert np.isfinite(X).all()
    if inputs.n_inputs:
        assert np.array_equal(inputs.encode(table_of(a=x), None, "float64").toarray(), X)
    if not inputs.numbers:
        assert len(set(training)) == 1 or np.isnan(training).all()
        return
    (number,) = inputs.numbers
    assert (np.diff(number.edges) > 0).all()
    assert number.n_pieces <= pieces
    missing = np.isnan(x)
    expected = np.where(missing, number.centre, x.clip(-1e300, 1e300))
    for t in range(number.n_pieces):
        low, high = number.edges[t : t + 2]
        with np.errstate(over="ignore"):
            share = [min(max((value - low) / (high - low), 0.0), 1.0) for value in expected]
        share = np.where(missing & number.gap, 0.0, share)
        assert X[:, 1 + t].tolist() == share.tolist()
    if number.gap:
        assert X[:, -1].tolist() == missing.tolist()
        assert not X[missing, :-1].any()


def test_the_pieces_add_up_to_the_number():
    x = np.random.default_rng(0).normal(size=500)
    inputs = fit_pieces(table_of(a=x), None, PieceOptions(pieces=16))
    (number,) = inputs.numbers
    assert number.n_pieces == 16
    X = inputs.transform(table_of(a=x), None, "float64")
    np.testing.assert_allclose(number.edges[0] + X[:, 1:] @ np.diff(number.edges), x)
    assert (np.histogram(x, number.edges)[0] >= 500 // 16 - 1).all()  # quantiles
    far = inputs.transform(table_of(a=np.array([-1e9, x.min(), x.max(), 1e9])), None, "float64")
    assert (far[0] == far[1]).all()
    assert (far[2] == far[3]).all()


def test_ties_merge_pieces_and_flags_have_none():
    zeros = np.r_[np.zeros(80), np.arange(1.0, 21.0)]
    flag = np.r_[np.zeros(50), np.ones(50)]
    inputs = fit_pieces(table_of(a=zeros, b=flag), None, PieceOptions(pieces=10))
    assert inputs.numbers[0].edges.tolist() == [0.0, 10.0, 20.0]
    assert [number.n_inputs for number in inputs.numbers] == [3, 1]


def test_rare_categories_are_zeros_together():
    colours = np.array(["red"] * 6 + ["blue"] * 5 + ["mauve", "puce"], object)
    inputs = fit_pieces(table_of(a=colours), None, PieceOptions(least_rows=2))
    assert inputs.input_names == ["a = blue", "a = red"]
    seen = Counter()
    X = inputs.transform(table_of(a=np.array(["red", "puce", "new", ""], object)), seen=seen)
    assert X.tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]
    assert seen["unseen category", "a"] == 2


def test_dates_have_one_indicator():
    moments = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]").astype("datetime64[us]")
    moments[3] = np.datetime64("NaT", "us")
    inputs = fit_pieces(table_of(a=moments))
    assert [name for name in inputs.input_names if "missing" in name] == ["a is missing"]
    X = inputs.transform(table_of(a=moments))
    assert X[3].sum() == 1


def test_infinities_are_named():
    with pytest.raises(RowsError, match=r"row 2: column 'a': expected a finite number.*got inf"):
        fit_pieces(table_of(a=np.array([1.0, np.inf, 2.0])))
    inputs = fit_pieces(table_of(a=np.arange(9000.0)))
    far = np.arange(9000.0)
    far[8500] = -np.inf
    with pytest.raises(RowsError, match="row 8501: column 'a'"):
        inputs.transform(table_of(a=far))


def test_rows_are_chosen_and_a_description_says_all():
    rng = np.random.default_rng(0)
    table = table_of(
        a=np.where(rng.random(100) < 0.1, np.nan, rng.normal(size=100)),
        b=rng.choice(["x", "y", "z"], 100).astype(object),
        c=np.ones(100),
    )
    rows = np.arange(0, 100, 3)
    inputs = fit_pieces(table, rows)
    again = Inputs.from_description(json.loads(json.dumps(inputs.describe())))
    X = inputs.transform(table)
    assert (again.transform(table) == X).all()
    assert (inputs.transform(table, rows) == X[rows]).all()
    assert [t.what for t in again.treatments()] == ["pieces", "one-hot", "left out"]
    assert sum(t.n_inputs for t in inputs.treatments()) == inputs.n_inputs


@pytest.mark.parametrize("rows", [None, np.arange(1, 90, 4)])
def test_encoded_rows_are_the_same_inputs(rows):
    """Gaps, flags, dates, categories, a column that is not there: as an array and by runs."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01", "us") + rng.integers(0, 900, 100) * np.timedelta64(1, "D")
    days[5] = np.datetime64("NaT", "us")
    columns = {
        "a": np.where(rng.random(100) < 0.2, np.nan, rng.normal(size=100)),
        "flag": rng.integers(0, 2, 100).astype(float),
        "day": days,
        "text": rng.choice(["x", "y", "z", ""], 100).astype(object),
        "full": rng.normal(size=100),
    }
    inputs = fit_pieces(table_of(**columns), None, PieceOptions(pieces=7))
    new = {**columns, "text": rng.choice(["x", "new"], 100).astype(object)}
    new["full"] = np.where(rng.random(100) < 0.2, np.nan, 3 * columns["full"])
    del new["a"]
    for table in (table_of(**columns), table_of(**new)):
        seen, by_runs = Counter(), Counter()
        X = inputs.transform(table, rows, "float32", seen)
        encoded = inputs.encode(table, rows, "float32", by_runs)
        assert (encoded.toarray() == X).all()
        assert encoded.dtype == np.float32
        assert encoded.nbytes == 6 * len(X) * len(encoded.widths)
        assert seen == by_runs

# SPDX-License-Identifier: BSD-3-Clause
"""Raw rows to inputs and targets: fitted on training rows, written down, undone, told apart."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("scipy")
from scipy import sparse

from fastrelu.app.data.table import NumberedNames, Table
from fastrelu.app.preprocess import (
    Accumulator,
    InputOptions,
    Inputs,
    Target,
    TargetAccumulator,
    fit_inputs,
    fit_target,
    warnings_of,
)
from fastrelu.app.preprocess.categories import hash_text
from fastrelu.app.preprocess.dates import date_parts
from fastrelu.app.preprocess.sample import RowSample
from fastrelu.training import ConfigError, DataError

ALL = InputOptions()


def text(*values):
    return np.array(values, object)


def table(**columns):
    columns = {name: np.asarray(values) for name, values in columns.items()}
    return Table("t.csv", len(next(iter(columns.values()))), columns)


def with_target(values, n=None):
    values = np.asarray(values)
    return Table("t.csv", len(values), target=values, target_name="y")


def again(inputs):
    """The inputs after a way through JSON text."""
    return Inputs.from_description(json.loads(json.dumps(inputs.describe(), allow_nan=False)))


def mixed(rng, n=5000):
    days = np.datetime64("2020-02-27T12:30", "us") + rng.integers(0, 10**14, n).astype(
        "timedelta64[us]"
    )
    days[::9] = np.datetime64("NaT", "us")
    gaps = rng.normal(3, 2, n)
    gaps[::7] = np.nan
    return table(
        x=rng.normal(100, 5, n).astype(np.float32),
        gaps=gaps,
        whole=rng.integers(-5, 1000, n),
        when=days,
        word=np.array(["a", "b", "", "dd"], object)[rng.integers(0, 4, n)],
    )


def test_learned_from_training_rows_only():
    raw = table(
        x=[1.0, 3, np.nan, 100],
        c=[5, 5, 5, 6],
        e=[np.nan, np.nan, np.nan, 1],
        k=text("a", "", "a", "b"),
    )
    fitted = fit_inputs(raw, np.arange(3))
    assert fitted.input_names == ["x", "x is missing", "k is missing", "k = a"]
    seen = Counter()
    X = fitted.transform(raw, dtype="float64", seen=seen)
    np.testing.assert_array_equal(X, [[-1, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [98, 0, 0, 0]])
    assert seen == {("unseen category", "k"): 1}
    assert "column 'c' has one value only: left out" in fitted.notes
    assert "column 'e' has no values in the training rows: left out" in fitted.notes
    plain = fit_inputs(raw, np.arange(3), InputOptions(standardize="none")).transform(raw)
    np.testing.assert_array_equal(plain[:, 0], np.float32([1, 3, 2, 100]))


@pytest.mark.parametrize("scaling", ["standard", "quantile", "none"])
def test_inputs_do_not_depend_on_how_many_rows_are_worked_on_at_once(rng, monkeypatch, scaling):
    raw = mixed(rng, 500)
    fitted = fit_inputs(raw, np.arange(400), InputOptions(scaling))
    few = rng.permutation(500)[:203]
    seen = [Counter(), Counter()]
    whole = [fitted.transform(raw, rows, seen=seen[0]) for rows in (None, few)]
    monkeypatch.setattr("fastrelu.app.preprocess.column_inputs.PIECE", 7)
    pieces = [fitted.transform(raw, rows, seen=seen[1]) for rows in (None, few)]
    for one, other in zip(whole, pieces, strict=True):
        assert np.array_equal(one, other) and len(one) in (500, 203)
    assert seen[0] == seen[1]
    if scaling != "quantile":  # scores are of any size
        huge = raw.columns["x"].astype(float)
        huge[few[100]] = 1e300
        with pytest.raises(DataError, match=f"row {few[100] + 1}: column 'x'.*got 1e\\+300"):
            fitted.transform(replace(raw, columns=raw.columns | {"x": huge}), few)


@pytest.mark.parametrize("scaling", ["standard", "quantile", "none"])
def test_one_value_and_gaps_say_where_it_is(scaling):
    """A flag that is 1 or empty is worth as much as a text that is X or empty."""
    days = np.array(["2024-01-31", "NaT"] * 4, "datetime64[us]")
    raw = table(
        one=[1.0, math.nan] * 4, day=days, x=np.arange(8.0), none=[math.nan] * 7 + [2.0],
        word=text(*["X", ""] * 4),
    )  # fmt: skip
    fitted = fit_inputs(raw, np.arange(7), InputOptions(scaling))
    assert fitted.input_names == [
        "one", "x", "day: days", "one is missing", "day is missing", "word is missing", "word = X"
    ]  # fmt: skip
    got = dict(zip(fitted.input_names, fitted.transform(raw).T.tolist(), strict=True))
    assert got["one"] == got["day: days"] == [0.0] * 8
    assert got["one is missing"] == got["day is missing"] == got["word is missing"] == [0, 1] * 4
    assert np.array_equal(again(fitted).transform(raw), fitted.transform(raw))
    assert "column 'none' has no values in the training rows: left out" in fitted.notes


def test_standardised_as_numpy_would(rng):
    raw = mixed(rng)
    rows = rng.permutation(5000)[:4000]
    X = fit_inputs(raw, rows).transform(raw, rows, "float64")
    for j, name in enumerate(("x", "gaps", "whole")):
        values = raw.columns[name][rows].astype(float)
        wanted = (values - np.nanmean(values)) / np.nanstd(values)
        np.testing.assert_allclose(X[:, j], np.nan_to_num(wanted), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("how", ["standard", "quantile", "none"])
@pytest.mark.parametrize("categories", ["one-hot", "hash"])
def test_same_bits_however_the_rows_are_cut(rng, how, categories):
    raw = mixed(rng, 30_000)
    options = InputOptions(how, categories, hash_width=5)
    rows = np.flatnonzero(rng.random(30_000) < 0.8)
    whole = fit_inputs(raw, rows, options)
    for cuts in ([0, 1, 17, 20_000, 30_000], [0, 8192, 16384, 30_000]):
        chunks = []
        for low, high in pairwise(cuts):
            chunks.append((raw.take(slice(low, high)), rows[(rows >= low) & (rows < high)] - low))
        accumulator = Accumulator(options)
        for chunk in chunks:
            accumulator.first(*chunk)
        accumulator.finish_first()
        for chunk in chunks:
            accumulator.second(*chunk)
        fitted = accumulator.finish()
        assert fitted.describe() == whole.describe()
        parts = [fitted.transform(chunk) for chunk, _ in chunks]
        assert np.concatenate(parts).tobytes() == whole.transform(raw).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", ["standard", "quantile", "none"])
def test_written_down_and_read_back_to_the_same_bits(rng, how, dtype):
    raw = mixed(rng)
    matrix = Table(
        "m", 5000, matrix=raw.columns["gaps"][:, None] ** [1, 2], matrix_names=["p", "q"]
    )
    for data in (raw, matrix):
        fitted = fit_inputs(data, options=InputOptions(how))
        back = again(fitted)
        assert back.describe() == fitted.describe() and back.kinds == fitted.kinds
        assert back.input_names == fitted.input_names and back.n_inputs == fitted.n_inputs
        X = fitted.transform(data, dtype=dtype)
        assert X.dtype == dtype and X.flags.c_contiguous and X.shape[1] == fitted.n_inputs
        assert back.transform(data, dtype=dtype).tobytes() == X.tobytes()
        rows = np.array([7, 3, 3, 4999])
        assert fitted.transform(data, rows, dtype).tobytes() == X[rows].tobytes()


def test_columns_that_are_empty_in_some_chunks():
    """Empty in a whole chunk, or in all training rows of one, is not empty in every row."""
    gap, words = np.full(3, np.nan), text("", "", "")
    chunks = [table(x=gap, k=words, z=[1.0, 2, 3]), table(x=[1.0, 2, 3], k=text("a", "b", ""))]
    chunks[1].columns["z"] = np.array([4.0, 5, 6])
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.first(chunk)
    accumulator.finish_first()
    for chunk in chunks:
        accumulator.second(chunk)
    names = accumulator.finish().input_names
    assert names == ["x", "z", "x is missing", "k is missing", "k = a", "k = b"]


def test_columns_go_by_name_and_may_be_absent(rng):
    raw = mixed(rng)
    fitted = fit_inputs(raw)
    X = fitted.transform(raw)
    turned = table(other=np.zeros(5000), **dict(reversed(raw.columns.items())))
    assert fitted.transform(turned).tobytes() == X.tobytes()
    seen = Counter()
    few = Table("few.csv", 3, {"x": np.array([100.0, np.nan, 1])})
    Y = fitted.transform(few, seen=seen)
    names = fitted.input_names
    assert len(set(names)) == len(names) and names.count("when is missing") == 1
    assert Y[1, 0] == 0 and (Y[:, names.index("gaps is missing")] == 1).all()
    assert (Y[:, names.index("word is missing")] == 1).all()
    assert (Y[:, names.index("when: year")] == 0).all()
    assert (Y[:, names.index("when is missing")] == 1).all()
    assert warnings_of(seen) == [
        "column 'gaps': not there: taken as missing in 3 rows",
        "column 'when': not there: taken as missing in 3 rows",
        "column 'whole': not there: taken as missing in 3 rows",
        "column 'word': not there: taken as missing in 3 rows",
        "column 'x': 1 values missing, which training had not: as the training mean",
    ]
    with pytest.raises(DataError, match=r"few.csv: none of the columns .* such as 'x'"):
        fitted.transform(Table("few.csv", 1, {"z": np.ones(1)}))


def test_columns_of_another_type(rng):
    raw = table(n=[1.0, 2, 3, 4], k=text("1", "2", "x", "2"), d=np.arange(4).astype("M8[D]"))
    fitted = fit_inputs(raw)
    other = table(
        n=text("1", "2.0", "3", "4"), k=[1, 2, np.nan, 2], d=text("1970-01-01", "", "", "")
    )
    X, Y = fitted.transform(raw), fitted.transform(other)
    assert (X[:, :1] == Y[:, :1]).all() and (X[[0, 1, 3], -3:] == Y[[0, 1, 3], -3:]).all()
    with pytest.raises(DataError, match=r"row 2: column 'n': expected a number.*got 'b'"):
        fitted.transform(table(n=text("1", "b")))
    with pytest.raises(DataError, match="row 1: column 'd': expected a date"):
        fitted.transform(table(n=[1.0], d=[5]))


def test_categories(rng):
    names = text(*[f"n{i // 2}" for i in range(600)])
    raw = table(id=names)
    fitted = fit_inputs(raw, options=InputOptions(max_categories=100))
    seen = Counter()
    X = fitted.transform(raw, seen=seen)
    assert X.shape == (600, 100) and X.sum() == 200 and seen["unseen category", "id"] == 400
    assert "300 categories; the 100 most frequent" in fitted.notes[0]
    hashed = fit_inputs(raw, options=InputOptions(categories="hash", hash_width=7))
    X = hashed.transform(raw)
    assert X.shape == (600, 7) and (X.sum(axis=1) == 1).all()
    places = [hash_text(v) % 7 for v in names]
    assert X.argmax(axis=1).tolist() == places
    assert (again(hashed).transform(raw) == X).all()


def test_hash_is_fixed():
    """BLAKE2b, so the same for ever; values from an independent command line, b2sum -l 64."""
    assert hash_text("").to_bytes(8, "little").hex() == "e4a6a0577479b2b4"
    assert hash_text("abc").to_bytes(8, "little").hex() == "d8bb14d833d59559"


def test_huge_and_tiny_numbers():
    for scale in (1e300, 1.7e308, 1e-300, 5e-324 * 8):
        values = np.where(np.arange(600) % 2, scale, -scale)
        X = fit_inputs(table(x=values)).transform(table(x=values), dtype="float64")
        np.testing.assert_allclose(np.abs(X[:, 0]), 1, rtol=1e-12)
    values = 1e9 + np.arange(1000) / 1000
    X = fit_inputs(table(x=values)).transform(table(x=values), dtype="float64")
    assert abs(X.mean()) < 1e-6 and abs(X.std() - 1) < 1e-6
    with pytest.raises(
        DataError, match=r"row 1: column 'x': expected a finite number that float32"
    ):
        raw = table(x=[1e300, 1.0, 2.0])
        fit_inputs(raw, np.array([1, 2])).transform(raw)
    with pytest.raises(DataError, match=r"row 2: column 'x': expected finite numbers"):
        fit_inputs(table(x=[1, np.inf]))


def test_normal_scores(rng):
    values = np.exp(rng.normal(size=20_000) * 2)
    fitted = fit_inputs(table(x=values), options=InputOptions("quantile"))
    X = fitted.transform(table(x=values), dtype="float64")[:, 0]
    assert abs(X.mean()) < 0.01 and abs(X.std() - 1) < 0.02
    order = np.argsort(values)
    assert (np.diff(X[order]) >= 0).all()
    ends = fitted.transform(table(x=[-1e9, 1e9, np.median(values)]), dtype="float64")[:, 0]
    assert ends[0] == pytest.approx(-ends[1]) and -3.2 < ends[0] < -2.7 and abs(ends[2]) < 0.02
    ties = np.repeat([1.0, 2.0, 3.0], [500, 10, 490])
    X = fit_inputs(table(x=ties), options=InputOptions("quantile")).transform(table(x=ties))
    assert X[0] < X[505] < X[999]


def test_row_sample_is_the_same_however_cut(rng):
    values = rng.normal(size=(40, 300_000))
    whole, cut = RowSample(40, 3), RowSample(40, 3)
    whole.add(values)
    for low in range(0, 300_000, 12_345):
        cut.add(values[:, low : low + 12_345])
    assert whole.size == 65536 and len(whole.columns[0]) == whole.size
    assert np.array_equal(np.array(whole.columns), np.array(cut.columns))
    assert abs(whole.columns[0].mean()) < 0.02
    other = RowSample(40, 4)
    other.add(values)
    assert len(np.intersect1d(other.columns[0], whole.columns[0])) < 0.6 * whole.size


def test_date_parts():
    dates = np.array(["1970-01-01", "2024-02-29T18:00", "NaT", "1969-12-31T23:59:59"], "M8[us]")
    parts = date_parts(dates)
    assert parts["days"][[0, 1]].tolist() == [0, 19782.75] and -1 < parts["days"][3] < 0
    assert parts["year"][[0, 1, 3]].tolist() == [1970, 2024, 1969]
    assert parts["thursday"].tolist()[:2] == [1, 1] and parts["wednesday"][3] == 1
    assert parts["season"][0] == 1 and parts["season+"][0] == 0 and parts["season"][3] > 0.98
    assert parts["hour"][[0, 1]].tolist() == [1, 0] and parts["hour+"][1] == -1
    assert all(np.isnan(part[2]) for part in parts.values())
    days = np.arange("2023-01-01", "2025-01-01", dtype="M8[D]")
    for name in ("season", "season+"):
        steps = np.abs(np.diff(date_parts(days)[name]))
        assert steps.max() < 0.012


def test_dates_become_inputs_without_what_never_changes():
    days = np.arange("2024-01-01", "2024-03-01", dtype="M8[D]")
    names = fit_inputs(table(d=days)).input_names
    assert names[:3] == ["d: days", "d: season", "d: season+"] and "d: hour" not in names
    assert sum(name.endswith("day") for name in names) == 7


def test_bytes_stay_bytes(rng):
    X = rng.integers(0, 255, (50, 6), np.uint8)
    raw = Table("x", 50, matrix=X, matrix_names=NumberedNames("X[", "]", 6))
    fitted = again(fit_inputs(raw))
    assert fitted.scale == 1 / 255 and fitted.n_inputs == 6
    assert fitted.transform(raw).dtype == np.uint8 and (fitted.transform(raw) == X).all()
    assert (fitted.transform(Table("x", 50, matrix=X.astype(float))) == X).all()
    assert np.shares_memory(fitted.transform(raw), X)
    with pytest.raises(
        DataError, match=r"row 3: column 'X\[1\]': expected a whole number 0 to 255"
    ):
        fitted.transform(Table("x", 3, matrix=np.where(np.arange(18).reshape(3, 6) == 13, 0.5, 1)))
    with pytest.raises(DataError, match="expected 6 inputs a row, as in training, got 5"):
        fitted.transform(Table("x", 50, matrix=X[:, :5]))
    scaled = fit_inputs(raw, options=InputOptions("standard"))
    assert scaled.scale == 1.0 and abs(scaled.transform(raw).mean()) < 1e-6


def test_matrix_with_gaps_and_constants(rng):
    X = rng.normal(size=(300, 4))
    X[:, 1], X[::5, 2] = 7, np.nan
    raw = Table("x.npz", 300, matrix=X, matrix_names=NumberedNames("X[", "]", 4))
    fitted = fit_inputs(raw)
    Y = fitted.transform(raw)
    assert Y.shape == (300, 5) and fitted.input_names[-1] == "X[2] is missing"
    assert (Y[:, 1] == 0).all() and Y[::5, 4].all() and Y[:, 4].sum() == 60
    away = Table("x", 1, matrix=np.full((1, 4), 9.0))
    assert fitted.transform(away)[0, 1] == 0
    names = {f"X[{j}]": X[:, j] for j in (3, 1, 2, 0)}
    assert fitted.transform(Table("x.csv", 300, names)).tobytes() == Y.tobytes()
    X[:, 3] = np.nan
    with pytest.raises(
        DataError, match=r"column 'X\[3\]' is empty in every row.*--ignore 'X\[3\]'"
    ):
        fit_inputs(raw)
    with pytest.raises(DataError, match="every column has one value only"):
        fit_inputs(Table("x", 3, matrix=np.ones((3, 2)), matrix_names=["a", "b"]))


def test_sparse_stays_sparse(rng):
    dense = np.where(rng.random((40, 9)) < 0.3, rng.normal(size=(40, 9)) * 7, 0)
    raw = Table(
        "t.svm", 40, matrix=sparse.csr_array(dense), matrix_names=NumberedNames("", "", 9, 1)
    )
    fitted = again(fit_inputs(raw, np.arange(30)))
    X = fitted.transform(raw, dtype="float64")
    largest = np.abs(dense[:30]).max(axis=0)
    assert sparse.issparse(X) and X.dtype == np.float64
    np.testing.assert_allclose(X.toarray(), dense / np.where(largest > 0, largest, 1))
    rows = np.array([5, 2, 2])
    np.testing.assert_array_equal(
        fitted.transform(raw, rows, "float64").toarray(), X.toarray()[rows]
    )
    wide = np.concatenate([np.ones((40, 1)), dense, np.ones((40, 2))], axis=1)
    other = Table("o", 40, matrix=sparse.csr_array(wide), matrix_names=NumberedNames("", "", 12, 0))
    seen = Counter()
    Y = fitted.transform(other, dtype="float64", seen=seen)
    np.testing.assert_array_equal(Y.toarray(), X.toarray())
    assert sum(seen.values()) == 120 and "120" in warnings_of(seen)[0]
    same = fit_inputs(raw, options=InputOptions("none")).transform(raw, dtype="float64")
    np.testing.assert_array_equal(same.toarray(), dense)
    with pytest.raises(ConfigError, match="quantile"):
        fit_inputs(raw, options=InputOptions("quantile"))


def test_columns_that_are_no_inputs():
    with pytest.raises(
        DataError, match="column 'e' is empty in every row; leave it out: --ignore 'e'"
    ):
        fit_inputs(table(x=[1.0, 2], e=[np.nan, np.nan]))
    with pytest.raises(DataError, match="column 'k' is empty in every row"):
        fit_inputs(table(x=[1.0, 2], k=text("", "")))
    with pytest.raises(DataError, match="no column but the target has two different values"):
        fit_inputs(table(x=[1.0, 1], k=text("a", "a")))
    with pytest.raises(ConfigError, match="standardize"):
        InputOptions(standardize="maybe")


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (text(*["a", "b"] * 8), "classification"),
        (np.arange(16.0) % 4, "classification"),
        (np.arange(16.0) % 5, "regression"),  # more than sqrt(16) values
        (np.arange(1000.0) % 21, "regression"),  # more than 20
        (np.arange(16.0) % 2 / 2, "regression"),  # not whole
    ],
)
def test_task_auto(target, task):
    assert fit_target(with_target(target)).task == task


def test_target_of_classes():
    raw = with_target(text("b", "a", "", "c", "a"))
    target = fit_target(raw, np.array([0, 1, 4]))
    assert target.classes == ["a", "b", "c"] and target.counts == [2, 1, 0]
    assert target.encode(text("c", "a")).tolist() == [2, 0] and target.n_outputs == 3
    back = Target.from_description(json.loads(json.dumps(target.describe())))
    assert back == target
    assert back.decode(np.eye(3)[[2, 0]]).tolist() == ["c", "a"]
    with pytest.raises(DataError, match="'z' is none of the classes in training: 'a', 'b', 'c'"):
        target.encode(text("a", "z"))
    numbers = fit_target(with_target([3.0, 1, 3, 1]))
    assert numbers.classes == [1, 3] and numbers.decode(np.eye(2)).dtype == np.int64
    assert numbers.encode(np.array([3.0, 1])).tolist() == [1, 0]
    for stranger in (2.0, 4.0, 0.0):
        with pytest.raises(DataError, match="none of the classes in training: 1, 3"):
            numbers.encode(np.array([1.0, stranger]))
    names = fit_target(with_target(text("1", "2", "x")))
    assert names.kind == "text" and names.encode(np.array([2.0, 1.0])).tolist() == [1, 0]
    halves = fit_target(with_target([0.5, 1, 0.5]), task="classification")
    assert halves.classes == [0.5, 1] and halves.encode(np.array([0.5])).tolist() == [0]


def test_target_of_numbers(rng):
    values = rng.normal(5000, 30, 400)
    target = fit_target(with_target(values), np.arange(300))
    assert target.mean == pytest.approx(values[:300].mean(), rel=1e-14)
    assert target.std == pytest.approx(values[:300].std(), rel=1e-12)
    y = target.encode(values, "float64")
    np.testing.assert_allclose(target.decode(y[:, None]), values, rtol=1e-14)
    accumulator = TargetAccumulator()
    chunks = [with_target(values[:7]), with_target(values[7:])]
    for chunk, rows in zip(chunks, (None, np.arange(293)), strict=True):
        accumulator.first(chunk, rows)
    accumulator.finish_first()
    for chunk, rows in zip(chunks, (None, np.arange(293)), strict=True):
        accumulator.second(chunk, rows)
    assert accumulator.finish() == target
    with pytest.raises(DataError, match="expected numbers, as in training, got text 'a'"):
        target.encode(text("a"))


@pytest.mark.parametrize(
    ("values", "task", "says"),
    [
        ([1.0, 1, 1], "auto", "two different values at least, got only 1; --target"),
        (text("a", "a"), "classification", "got only 'a'"),
        ([math.nan] * 3, "auto", "got none"),
        (text("a", "b"), "regression", "expected numbers for regression, got text such as 'a'"),
        (np.arange(20_000.0), "classification", "more than 10000 different values"),
    ],
)
def test_targets_that_do_not_suit(values, task, says):
    with pytest.raises(DataError, match=says):
        fit_target(with_target(values), task=task)

# SPDX-License-Identifier: BSD-3-Clause
"""Conformal intervals and sets: their ranks, their coverage, their errors."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrelu.conformal import (
    ClassSets,
    CrossIntervals,
    QuantileIntervals,
    SplitIntervals,
    WeightedIntervals,
    rank,
)


@given(n=st.integers(1, 10_000), hundredths=st.integers(1, 99))
def test_ranks_are_those_of_exact_numbers(n: int, hundredths: int) -> None:
    exact = (n + 1) * Fraction(hundredths, 100)
    assert rank(n, hundredths / 100) == -(-exact.numerator // exact.denominator)


@pytest.mark.parametrize(("n", "covered"), [(9, 9 / 10), (19, 18 / 20), (25, 24 / 26)])
def test_the_coverage_of_few_rows_is_that_of_the_rank(n: int, covered: float) -> None:
    """Exchangeable scores: the next one is at most that of rank k with probability k / (n + 1)."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(20_000):
        y = rng.normal(size=n + 1)
        low, high = SplitIntervals(np.zeros(n), y[:n]).intervals([0.0], 0.9)[0]
        hits.append(low <= y[n] <= high)
    assert np.mean(hits) == pytest.approx(covered, abs=0.01)


def test_too_few_rows_give_infinite_intervals() -> None:
    assert SplitIntervals(np.zeros(8), np.ones(8)).intervals([1.0], 0.9).tolist() == [
        [-np.inf, np.inf]
    ]
    assert ClassSets(np.full((8, 3), 1 / 3), np.zeros(8, int)).sets([[1, 0, 0]], 0.9).all()
    cross = CrossIntervals(np.zeros(8), np.ones(8), np.arange(8) % 2)
    assert np.isinf(cross.intervals([[0.0], [0.0]], 0.9)).all()


TABLES = {
    "even noise": lambda rng, x: rng.normal(size=len(x)),
    "noise that grows": lambda rng, x: (0.1 + np.abs(x)) * rng.normal(size=len(x)),
    "heavy tails": lambda rng, x: rng.standard_t(2, size=len(x)),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("normalised", [False, True])
def test_coverage_over_splits(table: str, normalised: bool) -> None:
    rng = np.random.default_rng(1)
    hits, widths = [], []
    for _ in range(200):
        x = rng.normal(size=300)
        y = 2 * x + TABLES[table](rng, x)
        slope = (x[:100] @ y[:100]) / (x[:100] @ x[:100])
        scale = 0.1 + np.abs(x) if normalised else None
        of_part = [
            None if scale is None else scale[part] for part in (slice(100, 200), slice(200, 300))
        ]
        split = SplitIntervals(slope * x[100:200], y[100:200], of_part[0])
        low, high = split.intervals(slope * x[200:], 0.9, of_part[1]).T
        hits.append(np.mean((low <= y[200:]) & (y[200:] <= high)))
        widths.append(np.mean(high - low))
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02)
    if normalised and table == "noise that grows":
        assert np.std(high - low) > 0.5  # wide where the noise is


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("factor", [0.2, 1.0, 4.0])  # too narrow, about right, too wide
def test_coverage_of_quantile_intervals(table: str, factor: float) -> None:
    rng = np.random.default_rng(4)
    hits = []
    for _ in range(200):
        x = rng.normal(size=200)
        y = 2 * x + TABLES[table](rng, x)
        half = factor * (0.2 + np.abs(x))
        quantiles = np.stack([2 * x - half, 2 * x, 2 * x + half], axis=1)
        split = QuantileIntervals(quantiles[:100], y[:100])
        low, high = split.intervals(quantiles[100:], 0.9).T
        hits.append(np.mean((low <= y[100:]) & (y[100:] <= high)))
        scores = np.maximum(quantiles[:100, 0] - y[:100], y[:100] - quantiles[:100, 2])
        margin = np.partition(scores, rank(100, 0.9) - 1)[rank(100, 0.9) - 1]
        wide = half[100:] > -margin
        assert np.allclose((high - low)[wide], (2 * half[100:] + 2 * margin)[wide])
        assert (high >= low).all()
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("n", [9, 19, 40])
def test_equal_weights_give_the_intervals_of_the_rank(n: int) -> None:
    y = np.random.default_rng(n).normal(size=n)
    plain = SplitIntervals(np.zeros(n), y)
    weighted = WeightedIntervals(np.zeros(n), y, np.full(n, 0.3))
    for coverage in (0.05, 0.5, 0.8, 0.9, 0.95, 0.99):
        expected = plain.intervals([1.0, 2.0], coverage)
        assert (weighted.intervals([1.0, 2.0], [0.3, 0.3], coverage) == expected).all()


@pytest.mark.parametrize("n", [9, 19])
def test_coverage_under_covariate_shift(n: int) -> None:
    # Noise grows with x; new rows have the density 2x of x, where the calibration's is 1.
    rng = np.random.default_rng(0)
    weighted, plain = [], []
    for _ in range(8000):
        x, new = rng.random(n), np.sqrt(rng.random(1))
        y, target = x * rng.normal(size=n), new * rng.normal(size=1)
        shifted = WeightedIntervals(np.zeros(n), y, 2 * x)
        low, high = shifted.intervals([0.0], 2 * new, 0.8)[0]
        weighted.append(bool(low <= target[0] <= high))
        low, high = SplitIntervals(np.zeros(n), y).intervals([0.0], 0.8)[0]
        plain.append(bool(low <= target[0] <= high))
    assert 0.79 < np.mean(weighted) < 0.8 + 2.0 / (n + 1)
    assert np.mean(plain) < 0.77


def test_bad_weights_are_named() -> None:
    for wrong, message in (([1.0, -1.0], ">= 0"), ([1.0], r"expected shape \(2, 1\)")):
        with pytest.raises(ValueError, match=f"weights: .*{message}|weights: {message}"):
            WeightedIntervals([0.0, 0.0], [1.0, 2.0], wrong)


def test_quantile_intervals_of_few_rows_and_bad_ones() -> None:
    few = QuantileIntervals(np.zeros((8, 2)), np.ones(8))
    assert np.isinf(few.intervals([[0.0, 1.0]], 0.9)).all()
    narrow = QuantileIntervals(np.tile([-9.0, 9.0], (9, 1)), np.zeros(9))
    assert narrow.intervals([[0.0, 4.0]], 0.9).tolist() == [[2.0, 2.0]]  # empty: its middle
    with pytest.raises(ValueError, match="predicted: expected a lower"):
        QuantileIntervals(np.zeros((9, 1)), np.zeros(9))
    with pytest.raises(ValueError, match="y: expected shape"):
        QuantileIntervals(np.zeros((9, 2)), np.zeros(8))


@pytest.mark.parametrize("table", TABLES)
def test_coverage_of_cross_intervals(table: str) -> None:
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(200):
        x = rng.normal(size=160)
        y = 2 * x + TABLES[table](rng, x)
        fold = np.arange(60) % 5
        slopes = np.array(
            [
                (x[:60][fold != k] @ y[:60][fold != k]) / (x[:60][fold != k] ** 2).sum()
                for k in range(5)
            ]
        )
        cross = CrossIntervals(slopes[fold] * x[:60], y[:60], fold)
        low, high = cross.intervals(slopes[:, None] * x[60:], 0.9).T
        hits.append(np.mean((low <= y[60:]) & (y[60:] <= high)))
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02)


def test_coverage_of_class_sets() -> None:
    rng = np.random.default_rng(3)
    hits, sizes = [], []
    for _ in range(200):
        p = rng.dirichlet(np.ones(4), 300)
        labels = (p.cumsum(axis=1) > rng.random((300, 1))).argmax(axis=1)
        sets = ClassSets(p[:150], labels[:150]).sets(p[150:], 0.9)
        hits.append(sets[np.arange(150), labels[150:]].mean())
        sizes.append(sets.sum(axis=1).mean())
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02)
    assert 1 < np.mean(sizes) < 4


def test_several_outputs_have_intervals_of_their_own() -> None:
    y = np.arange(38.0).reshape(19, 2) * [1, 10]
    split = SplitIntervals(np.zeros((19, 2)), y)
    ends = split.intervals([[0.0, 0.0]], 0.9)
    assert ends.tolist() == [[[-34.0, 34.0], [-350.0, 350.0]]]


def test_sizes_that_are_all_nothing_say_nothing() -> None:
    y = np.arange(19.0)
    zero = np.zeros(19)
    plain = SplitIntervals(zero, y).intervals([0.0])
    assert SplitIntervals(zero, y, zero).intervals([0.0], 0.9, [0.0]).tolist() == plain.tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rank(9, 1.0), "coverage: expected"),
        (lambda: rank(9, "high"), "coverage: expected"),
        (lambda: SplitIntervals([], []), r"predicted: expected shape \(n, outputs\)"),
        (lambda: SplitIntervals([1.0], [1.0, 2.0]), r"y: expected shape \(1, 1\)"),
        (lambda: SplitIntervals([np.nan], [1.0]), "predicted: expected finite"),
        (lambda: SplitIntervals([1.0], [1.0]).intervals([[1.0, 2.0]]), "predicted: expected 1 out"),
        (lambda: SplitIntervals([1.0], [1.0]).intervals([1.0], 0.5, [1.0]), "scale: expected None"),
        (lambda: SplitIntervals([1.0], [1.0], [1.0]).intervals([1.0]), "scale: expected one for"),
        (lambda: CrossIntervals([1.0], [1.0], [0.5]), "left_out_by: expected 1 numbers of models"),
        (lambda: CrossIntervals([1.0], [1.0], [1]).intervals([[1.0]]), r"expected shape \(2, m\)"),
        (lambda: ClassSets([[0.5, 0.5]], [2]), r"labels: expected 0\.\.1, got 2\.\.2"),
        (lambda: ClassSets([[0.5, 0.5]], [0.0]), "labels: expected 1 whole numbers"),
        (lambda: ClassSets([[0.5, 0.5]], [0]).sets([[1.0]]), "probabilities: expected 2 classes"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_cross_intervals_by_blocks_are_those_of_all_rows_at_once(monkeypatch: Any) -> None:
    rng = np.random.default_rng(4)
    y, fold = rng.normal(size=37), np.arange(37) % 4
    cross = CrossIntervals(rng.normal(size=37), y, fold)
    new = rng.normal(size=(4, 50))
    whole = cross.intervals(new, 0.8)
    one_by_one = [cross.intervals(new[:, [r]], 0.8)[0] for r in range(50)]
    assert whole.tolist() == np.array(one_by_one).tolist()
    for numbers in (1, 37, 300):
        monkeypatch.setattr("fastrelu.conformal.BLOCK_NUMBERS", numbers)
        assert cross.intervals(new, 0.8).tolist() == whole.tolist()
    assert cross.intervals(new[:, :0], 0.8).shape == (0, 2)


def test_weighted_intervals_are_of_one_output_and_of_weights_up_to_a_factor():
    from fastrelu import conformal

    zeros, y = np.zeros(9), np.arange(9.0)
    with pytest.raises(ValueError, match="predicted: expected one output, got 2"):
        conformal.WeightedIntervals(np.zeros((9, 2)), y, np.ones(9))
    with pytest.raises(ValueError, match="weights: expected one above 0"):
        conformal.WeightedIntervals(zeros, y, np.zeros(9))
    one = conformal.WeightedIntervals(zeros, y, np.ones(9))
    with pytest.raises(ValueError, match="predicted: expected one output"):
        one.intervals([[0.0, 1.0]], [1.0])
    for factor in (1e308, 1e-308):
        scaled = conformal.WeightedIntervals(zeros, y, np.full(9, factor))
        for coverage in (0.5, 0.9, 0.95):
            expected = one.intervals([0.0, 0.0], [1.0, 0.0], coverage)
            found = scaled.intervals([0.0, 0.0], [factor, 0.0], coverage)
            assert np.array_equal(found, expected)

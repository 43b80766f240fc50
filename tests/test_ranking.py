# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of rare classes: beside scikit-learn's, with ties, weights and absent classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrelu import ranking

sk = pytest.importorskip("sklearn.metrics")


def rows(seed, n, k, ties, weighted):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n)
    if ties:
        p = np.round(4 * p) / 4 + 1e-9
        p /= p.sum(axis=1, keepdims=True)
    y = np.r_[np.arange(k), rng.integers(0, k, n)][:n] if n >= k else rng.integers(0, k, n)
    # Some weights are 0, but none of the first rows, so that each class keeps some.
    w = np.where((np.arange(n) >= k) & (rng.random(n) < 0.2), 0.0, rng.random(n) + 0.1)
    return y, p, w if weighted else None


@given(st.integers(0, 9999), st.integers(2, 60), st.booleans(), st.booleans())
def test_two_classes_equal_scikit_learns(seed, n, ties, weighted):
    y, p, w = rows(seed, n, 2, ties, weighted)
    ranked = ranking.rank_rows(y == 1, p[:, 1], w)
    score = p[:, 1]
    assert ranked.roc_auc() == pytest.approx(sk.roc_auc_score(y, score, sample_weight=w))
    assert ranked.average_precision() == pytest.approx(
        sk.average_precision_score(y, score, sample_weight=w)
    )
    assert ranking.brier_score(y, p, w) == pytest.approx(
        sk.brier_score_loss(y, score, sample_weight=w)
    )
    guess = p.argmax(axis=1)
    assert ranking.balanced_accuracy(y, guess, 2, w) == pytest.approx(
        sk.balanced_accuracy_score(y, guess, sample_weight=w)
    )


@given(st.integers(0, 9999), st.integers(3, 60), st.booleans())
def test_more_classes_equal_scikit_learns_one_vs_rest(seed, n, weighted):
    y, p, w = rows(seed, n, 3, False, weighted)
    areas, precisions = ranking.one_vs_rest(y, p, w)
    for k in range(3):
        assert areas[k] == pytest.approx(sk.roc_auc_score(y == k, p[:, k], sample_weight=w))
        assert precisions[k] == pytest.approx(
            sk.average_precision_score(y == k, p[:, k], sample_weight=w)
        )
    if not weighted:
        assert areas.mean() == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"))
        assert precisions.mean() == pytest.approx(sk.average_precision_score(y, p))
    onehot = np.eye(3)[y]
    assert ranking.brier_score(y, p, w) == pytest.approx(
        np.average(((p - onehot) ** 2).sum(axis=1), weights=w)
    )


def test_a_class_that_is_not_there_has_no_area():
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
    areas, precisions = ranking.one_vs_rest(np.array([0, 1]), p)
    assert np.isnan(areas).tolist() == np.isnan(precisions).tolist() == [False, False, True]
    assert np.isnan(ranking.rank_rows([], []).roc_auc())
    assert np.isnan(ranking.brier_score(np.zeros(0, int), np.zeros((0, 2))))
    assert np.isnan(ranking.best_threshold([True, True], [0.1, 0.2]))


@given(st.integers(0, 9999), st.integers(2, 40), st.sampled_from(ranking.THRESHOLD_RULES))
def test_no_other_threshold_is_better(seed, n, rule):
    y, p, _ = rows(seed, n, 2, True, False)
    found = ranking.best_threshold(y == 1, p[:, 1], rule=rule)
    score = {"balanced": sk.balanced_accuracy_score, "f1": sk.f1_score}[rule]
    reached = score(y, p[:, 1] >= found)
    best = max(score(y, p[:, 1] >= t) for t in np.r_[0, np.unique(p[:, 1])])
    assert reached == pytest.approx(best)


@pytest.mark.parametrize("seed", range(10))
def test_the_threshold_of_two_classes_finds_the_rarer_one(seed):
    rng = np.random.default_rng(seed)
    labels = (rng.random(200) < 0.8).astype(int)
    p = np.clip(0.8 + 0.2 * (labels - 0.8) + 0.15 * rng.normal(size=200), 0, 1).round(2)
    at = ranking.threshold_of_two(labels, p, rule="f1")
    found = sk.f1_score(labels, (p >= at).astype(int), pos_label=0)
    scores = [
        sk.f1_score(labels, (p >= t).astype(int), pos_label=0) for t in [*p, 2.0]
    ]  # fmt: skip
    assert found == pytest.approx(max(scores))
    assert ranking.threshold_of_two(labels, p) == ranking.best_threshold(labels == 1, p)
    rare = ranking.threshold_of_two(1 - labels, 1 - p, rule="f1")
    assert rare == ranking.best_threshold(labels == 0, 1 - p, rule="f1")
    assert np.isnan(ranking.threshold_of_two(np.ones(5, int), p[:5], rule="f1"))


P = np.array([[0.8, 0.2], [0.3, 0.7]])
WRONG = [
    (ranking.rank_rows, ([True, False, True], [0.1, 0.2]), r"positive: expected shape \(2,\)"),
    (ranking.rank_rows, (["no", "yes"], [0.1, 0.2]), "positive: expected booleans, or 0 and 1"),
    (ranking.rank_rows, ([1, 2], [0.1, 0.2]), "positive: expected booleans, or 0 and 1"),
    (ranking.rank_rows, ([True, False], [0.1, np.nan]), "scores"),
    (ranking.rank_rows, ([True, False], [0.1, 0.2], [1.0, -1.0]), "weight: expected numbers >= 0"),
    (ranking.balanced_accuracy, ([0, 1], [0], 2), r"predicted: expected shape \(2,\)"),
    (ranking.balanced_accuracy, ([0, 2], [0, 1], 2), "labels: expected class numbers, 0 to 1"),
    (ranking.brier_score, ([-1, 0], P), "labels: expected class numbers"),
    (ranking.brier_score, ([0], P), r"labels: expected shape \(2,\)"),
    (ranking.brier_score, ([0, 1], P[0]), "probabilities: expected shape"),
    (ranking.one_vs_rest, ([0, 3], P), "labels: expected class numbers"),
    (ranking.threshold_of_two, ([0, 2], [0.1, 0.2]), "labels: expected class numbers, 0 to 1"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), WRONG)
def test_bad_arguments_are_said(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_lists_do_as_well_as_arrays():
    assert ranking.balanced_accuracy([0, 1, 1], [0, 1, 0], 2) == 0.75
    assert ranking.one_vs_rest([0, 1], P)[0].tolist() == [1.0, 1.0]


def test_a_threshold_between_neighbouring_doubles_keeps_them_apart():
    high = np.nextafter(1.0, 0)
    low = np.nextafter(high, 0)
    at = ranking.best_threshold([True, False], [high, low])
    assert low < at <= high

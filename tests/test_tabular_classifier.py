# SPDX-License-Identifier: BSD-3-Clause
"""TabularClassifier: weights of classes, sets of classes."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_validate
from sklearn.utils import compute_sample_weight

import fastrelu


def rare(n=1200, share=0.06):
    """Rows of two classes, one of them rare, that overlap."""
    X, y = make_classification(
        n, 6, n_informative=3, n_redundant=0, weights=[1 - share], class_sep=0.6, random_state=0
    )
    return X, np.where(y, "rare", "usual")


def fast(**parameters):
    return fastrelu.TabularClassifier("fast", random_state=0, **parameters)


def test_class_weights_are_weights_of_rows():
    X, y = rare(300)
    X_new = rare(600)[0][300:]
    weight = np.linspace(0.5, 2.0, len(y))
    factors = {"rare": 5.0, "usual": 0.5}
    for given, own in ((None, 1.0), (weight, weight)):
        expected = fast().fit(X, y, own * np.array([factors[label] for label in y]))
        model = fast(class_weight=factors).fit(X, y, given)
        assert (model.predict_proba(X_new) == expected.predict_proba(X_new)).all()
    balanced = fast(class_weight="balanced").fit(X, y)
    expected = fast().fit(X, y, compute_sample_weight("balanced", y))
    assert (balanced.predict_proba(X_new) == expected.predict_proba(X_new)).all()
    one = fast(class_weight={"rare": 5.0}).fit(X, y)
    expected = fast(class_weight={"rare": 5.0, "usual": 1.0}).fit(X, y)
    assert (one.predict_proba(X_new) == expected.predict_proba(X_new)).all()


def test_balanced_classes_are_found_more_often():
    X, y = rare(2400)
    train, test = slice(0, 1200), slice(1200, None)
    scores = [
        balanced_accuracy_score(
            y[test], fast(class_weight=w).fit(X[train], y[train]).predict(X[test])
        )
        for w in (None, "balanced")
    ]
    assert scores[1] > scores[0] + 0.03


def test_a_class_of_factor_zero_is_left_out():
    X, y = rare(300)
    y = np.where(np.arange(300) % 5 == 0, "third", y)
    model = fast(class_weight={"third": 0.0}).fit(X, y)
    assert model.classes_.tolist() == ["rare", "usual"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"rare": -1.0}, "class_weight: class 'rare': expected a finite number >= 0, got -1.0"),
        ({"rare": np.nan}, "class_weight: class 'rare'"),
        ({"rare": "much"}, "class_weight: class 'rare'.*'much'"),
        ("even", "class_weight"),
        ({"usual": 0.0}, "at least two classes"),
    ],
)
def test_class_weights_are_checked(weights, words):
    X, y = rare(60, 0.3)
    with pytest.raises(ValueError, match=words):
        fast(class_weight=weights).fit(X, y)


def test_weights_are_routed():
    X, y = rare(120, 0.3)
    weight = np.where(y == "rare", 3.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = fast(class_weight="balanced").set_fit_request(sample_weight=True)
        model = model.set_score_request(sample_weight=True)
        found = cross_validate(
            model, X, y, cv=[(np.arange(80), np.arange(80, 120))], return_estimator=True,
            params={"sample_weight": weight},
        )  # fmt: skip
    expected = fast(class_weight="balanced").fit(X[:80], y[:80], weight[:80])
    assert (found["estimator"][0].predict_proba(X) == expected.predict_proba(X)).all()


def test_sets_hold_the_class_as_often_as_they_say():
    X, y = make_classification(
        8000, 8, n_informative=4, n_classes=4, n_clusters_per_class=1, flip_y=0.2, random_state=0
    )
    held = []
    for seed in range(12):
        rows = np.random.default_rng(seed).permutation(len(X))
        train, test = rows[:300], rows[300:1300]
        model = fastrelu.TabularClassifier("fast", random_state=seed).fit(X[train], y[train])
        sets = model.predict_set(X[test], 0.9)
        held.append(sets[np.arange(1000), y[test]].mean())
    assert abs(np.mean(held) - 0.9) < 0.02


def test_sets_grow_with_the_coverage():
    X, y = rare(200, 0.3)
    model = fast(n_members=5).fit(X, y)
    small, large = model.predict_set(X, 0.5), model.predict_set(X, 0.99)
    assert small.shape == (200, 2)
    assert (large | ~small).all()
    assert large.sum() > small.sum()
    assert model.predict_set(X, 0.999).all()  # the rank, 201, is beyond the 200 rows
    assert model.predict_set(X[:0]).shape == (0, 2)
    with pytest.raises(ValueError, match="coverage"):
        model.predict_set(X, 1.0)

# SPDX-License-Identifier: BSD-3-Clause
"""The threshold of TabularClassifier: chosen on rows left out, used by predict alone."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.metrics import balanced_accuracy_score, f1_score

import fastrelu


@pytest.fixture(scope="module")
def rare():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(2400, 3))
    y = rng.random(2400) < 1 / (1 + np.exp(4.0 - 2 * X[:, 0] - X[:, 1]))
    return X, np.where(y, "yes", "no")


def fitted(rare, threshold):
    X, y = rare
    model = fastrelu.TabularClassifier("fast", random_state=0, threshold=threshold)
    return model.fit(X[:1200], y[:1200])


def test_a_rule_beats_the_more_probable_class(rare):
    X, y = (part[1200:] for part in rare)
    plain = fitted(rare, None)
    assert plain.threshold_ is None
    for rule, score in (
        ("balanced", balanced_accuracy_score),
        ("f1", lambda t, p: f1_score(t, p, pos_label="yes")),
    ):
        model = fitted(rare, rule)
        assert 0 < model.threshold_ < 0.5
        assert (model.predict_proba(X) == plain.predict_proba(X)).all()
        assert score(y, model.predict(X)) > score(y, plain.predict(X))
        second = model.predict_proba(X)[:, 1] >= model.threshold_
        assert ((model.predict(X) == "yes") == second).all()


def test_a_number_is_taken_as_it_is_and_bad_ones_are_refused(rare):
    X, _ = rare
    assert (fitted(rare, 0).predict(X) == "yes").all() and fitted(rare, 0.25).threshold_ == 0.25
    for wrong in (-0.1, 1.5, "best"):
        with pytest.raises(ValueError, match="threshold"):
            fitted(rare, wrong)
    with pytest.raises(ValueError, match="threshold: expected None, or two classes, got 3"):
        fastrelu.TabularClassifier(threshold=0.2).fit(X[:9], list("abcabcabc"))

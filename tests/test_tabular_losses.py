# SPDX-License-Identifier: BSD-3-Clause
"""TabularRegressor: its losses, exposures and offsets."""

import numpy as np
import pytest
import scipy.stats

pytest.importorskip("sklearn")

import sklearn
from sklearn.base import clone
from sklearn.metrics import (
    mean_pinball_loss,
    mean_poisson_deviance,
)
from sklearn.model_selection import cross_validate
from sklearn.utils.estimator_checks import check_estimator

import fastrelu
from fastrelu import losses
from fastrelu.app.tabular import targets, train

LOG = [losses.Poisson(), losses.Gamma(), losses.Tweedie(1.3), losses.Tweedie(1.9)]
POWERS = [1.0, 2.0, 1.3, 1.9]


def fast(**parameters):
    return fastrelu.TabularRegressor("fast", **{"random_state": 0, **parameters})


def claims(n, loss, seed=0, exposed=True):
    """Targets with means that are products, some exposures long and some short."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    exposure = rng.lognormal(0, 0.8, n) if exposed else np.ones(n)
    mean = exposure * np.exp(0.7 * X[:, 0] + 0.5 * (X[:, 1] > 0)) * 2
    if loss.name == "poisson":
        return X, rng.poisson(mean).astype(float), exposure, mean
    y = rng.gamma(8.0, mean / 8)
    return X, (y if loss.name == "gamma" else y / 0.7 * (rng.random(n) < 0.7)), exposure, mean


@pytest.mark.parametrize(("loss", "p"), list(zip(LOG, POWERS, strict=True)))
def test_an_offset_is_a_ratio_with_weights(loss, p):
    rng = np.random.default_rng(0)
    y, e, mu = rng.gamma(1.0, size=(3, 200)) + 0.01
    # The deviance of y from e mu is that of y / e from mu, times e^(2 - p).
    ratio = e ** (2 - p) * loss.deviance(y / e, mu)
    np.testing.assert_allclose(loss.deviance(y, e * mu), ratio, rtol=1e-9, atol=1e-12)
    X, y, e, _ = claims(300, loss)
    model = fast(loss=loss).fit(X, y, exposure=e)
    same = fast(loss=loss).fit(X, y / e, sample_weight=e ** (2 - p))
    expected = same.predict(X)
    np.testing.assert_allclose(model.predict(X, exposure=e), e * expected, rtol=1e-6)
    assert (model.predict(X, exposure=np.ones(300)) == expected).all()
    offset = fast(loss=loss).fit(X, y, offset=np.log(e))
    np.testing.assert_allclose(offset.predict(X, offset=np.log(e)), e * expected, rtol=0.02)
    weight = rng.random(300)
    weighted = fast(loss=loss).fit(X, y, weight, exposure=e)
    same = fast(loss=loss).fit(X, y / e, sample_weight=weight * e ** (2 - p))
    assert (weighted.predict(X, exposure=np.ones(300)) == same.predict(X)).all()


@pytest.mark.parametrize("loss", LOG[:3])
def test_means_are_learned(loss):
    X, y, e, _ = claims(1500, loss)
    X_new, _, e_new, mean = claims(1000, loss, seed=1)
    model = fast(loss=loss).fit(X, y, exposure=e)
    assert model.score(X_new, mean, exposure=e_new) > 0.9
    blind = fast(loss=loss).fit(X, y)
    assert blind.score(X_new, mean) < 0.8  # it does not know how long rows were observed
    assert (model.predict(X_new, exposure=e_new) > 0).all()
    # In total what was there, as the mean of the start is.
    total = model.predict(X, exposure=e).sum()
    assert 0.9 < total / y.sum() < 1.1


@pytest.mark.parametrize("loss", LOG)
@pytest.mark.parametrize("unit", [1e-150, 1e-3, 1e3, 1e150])
def test_a_unit_does_not_matter(loss, unit):
    X, y, e, _ = claims(100, loss)
    expected = fast(loss=loss).fit(X, y, exposure=e).predict(X, exposure=e)
    model = fast(loss=loss).fit(X, unit * y, exposure=e)
    np.testing.assert_allclose(model.predict(X, exposure=e), unit * expected, rtol=0.02)
    power = 2.0 ** np.round(np.log2(unit))
    model = fast(loss=loss).fit(X, y, exposure=power * e)
    np.testing.assert_allclose(model.predict(X, exposure=power * e), expected, rtol=0.02)


def test_the_loss_is_the_one_that_is_meant():
    X, y, _, _ = claims(1500, losses.Poisson(), exposed=False)
    X_new, y_new, _, _ = claims(3000, losses.Poisson(), 1, exposed=False)
    poisson = fast(loss="poisson").fit(X, y).predict(X_new)
    assert mean_poisson_deviance(y_new, poisson) < mean_poisson_deviance(
        y_new, fast().fit(X, y).predict(X_new).clip(1e-3)
    )
    rng = np.random.default_rng(0)
    y, y_new = X[:, 0] + rng.exponential(size=1500), X_new[:, 0] + rng.exponential(size=3000)
    levels = [0.1, 0.5, 0.9]
    found = [fast(loss=losses.Quantile(q)).fit(X, y).predict(X_new) for q in levels]
    for q, own in zip(levels, found, strict=True):
        assert abs(np.mean(y_new <= own) - q) < 0.04
        scores = [mean_pinball_loss(y_new, other, alpha=q) for other in found]
        assert min(scores) == mean_pinball_loss(y_new, own, alpha=q)
    expectiles = [fast(loss=losses.Expectile(q)).fit(X, y).predict(X_new) for q in levels]
    for q, own in zip(levels, expectiles, strict=True):
        below, above = np.maximum(own - y_new, 0).sum(), np.maximum(y_new - own, 0).sum()
        assert abs(below / (below + above) - q) < 0.05
    median = fast(loss="absolute_error").fit(X, y).predict(X_new)
    assert np.abs(median - found[1]).mean() < 0.1


def test_without_signal_it_is_the_constant_that_is_best():
    rng = np.random.default_rng(0)
    X, y = np.ones((101, 1)), rng.exponential(size=101)
    weight = rng.integers(1, 4, 101)
    repeated = np.sort(np.repeat(y, weight))
    expected = {
        "squared_error": repeated.mean(), "poisson": repeated.mean(), "gamma": repeated.mean(),
        "tweedie": repeated.mean(),
        "absolute_error": np.quantile(repeated, 0.5, method="inverted_cdf"),
        losses.Quantile(0.9): np.quantile(repeated, 0.9, method="inverted_cdf"),
        losses.Expectile(0.9): scipy.stats.expectile(repeated, 0.9),
    }  # fmt: skip
    for loss, constant in expected.items():
        model = fast(loss=loss).fit(X, y, weight)
        # A sum of absolute values is nearly flat around its least value.
        flat = loss == "absolute_error" or isinstance(loss, losses.Quantile)
        np.testing.assert_allclose(model.predict(X), constant, rtol=0.01 if flat else 1e-6)


@pytest.mark.parametrize("loss", targets.VALUE_LOSSES)
def test_losses_are_the_cores(loss):
    rng = np.random.default_rng(0)
    made = losses.as_loss(loss)
    y, outputs = rng.gamma(1.0, size=(30, 2)) + 0.1, rng.normal(size=(30, 2))
    net = fastrelu.Network([2, 2], dtype="float64")
    net.weights[0][...], net.biases[0][...] = np.eye(2), 0.0
    found = train.Problem(made, y, None, np.zeros(2)).losses(outputs, np.arange(30))
    expected = [net.loss(z[None], t[None], made) for z, t in zip(outputs, y, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("loss", LOG[:3])
def test_intervals_grow_with_the_mean(loss):
    held = []
    for seed in range(8):
        X, y, e, _ = claims(1300, loss, seed)
        model = fast(loss=loss, random_state=seed).fit(X[:300], y[:300], exposure=e[:300])
        low, high = model.predict_interval(X[300:], exposure=e[300:]).T
        assert (low >= 0).all()
        held.append(np.mean((low <= y[300:]) & (y[300:] <= high)))
    assert abs(np.mean(held) - 0.9) < 0.03
    width, mean = high - low, model.predict(X[300:], exposure=e[300:])
    assert width[mean > np.median(mean)].min() > width[mean < np.median(mean) / 4].max()


def test_curves_and_contributions_of_a_log_link():
    X, y, e, _ = claims(400, losses.Poisson())
    model = fast(loss="poisson").fit(X, y, exposure=e)
    curve = model.partial_dependence(0, [-1.0, 1.0], X[:50])
    for value, found in zip([-1.0, 1.0], curve.average, strict=True):
        there = X[:50].copy()
        there[:, 0] = value
        np.testing.assert_allclose(found, model.predict(there, exposure=np.ones(50)).mean())
    assert not model.partial_dependence(0).exact
    found = model.explain(X[:20])
    np.testing.assert_allclose(
        found.output, np.log(model.predict(X[:20], exposure=np.ones(20))), atol=0.2
    )  # the mean of logarithms is no logarithm of a mean
    assert model.feature_importances_.argmax() == 0


def test_exposures_are_asked_for_and_checked():
    X, y, e, _ = claims(40, losses.Poisson())
    model = fast(loss="poisson").fit(X, y, exposure=e)
    for call in (model.predict, model.predict_interval, lambda X: model.score(X, y)):
        with pytest.raises(ValueError, match="fitted with an exposure, so predictions need"):
            call(X)
    with pytest.raises(ValueError, match=r"exposure: expected shape \(40,\), got \(39,\)"):
        model.predict(X, exposure=e[:39])
    with pytest.raises(ValueError, match="since this model was fitted without"):
        fast(loss="poisson").fit(X, y).predict(X, exposure=e)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fast(loss="poisson").fit(X, y, exposure=e[:39])
    with pytest.raises(ValueError, match="squared_error, whose link is not the logarithm"):
        fast().fit(X, y, exposure=e)
    with pytest.raises(ValueError, match="offset: expected None beside an exposure"):
        model.predict(X, e, np.log(e))
    for wrong in (0.0, -1.0, np.nan, np.inf):
        given = np.where(np.arange(40) == 2, wrong, e)
        with pytest.raises(ValueError, match="exposure: row 3: expected a finite number > 0"):
            fast(loss="poisson").fit(X, y, exposure=given)
    with pytest.raises(ValueError, match="offset: row 1: expected the logarithm of such"):
        model.predict(X, offset=np.full(40, 1e4))
    with pytest.raises(ValueError, match="exposure: expected numbers"):
        model.predict(X, exposure=["long"] * 40)


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("poisson", [1.0, -1.0], r"y: row 2: expected targets >= 0 for the loss poisson, got -1"),
        ("gamma", [0.0, 1.0], r"y: row 1: expected targets > 0 for the loss gamma, got 0"),
        ("tweedie", [0.0, 0.0], "expected targets above 0 for the loss tweedie, got zeros"),
        ("huber", [0.0, 1.0], "loss"),
        (losses.Huber(), [0.0, 1.0], "loss: expected one of squared_error.*got 'huber'"),
        (losses.CrossEntropy(), [0.0, 1.0], "loss: expected one of squared_error"),
        (7, [0.0, 1.0], "loss"),
    ],
)
def test_losses_and_targets_are_checked(loss, y, words):
    with pytest.raises(ValueError, match=words):
        fast(loss=loss).fit([[0.0], [1.0]], y)


def test_exposures_are_routed_and_losses_cloned():
    X, y, e, _ = claims(90, losses.Tweedie(1.3))
    model = fast(loss=losses.Tweedie(1.3))
    assert clone(model).loss == model.loss
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(exposure=True).set_score_request(exposure=True)
        split = [(np.arange(60), np.arange(60, 90))]
        found = cross_validate(model, X, y, cv=split, params={"exposure": e})
    expected = fast(loss=losses.Tweedie(1.3)).fit(X[:60], y[:60], exposure=e[:60])
    assert found["test_score"][0] == expected.score(X[60:], y[60:], exposure=e[60:])


@pytest.mark.parametrize("loss", ["absolute_error", "quantile", losses.Expectile(0.7)])
def test_scikit_learns_checks_of_other_losses(loss):
    reason = "rows are drawn into folds and minibatches"
    expected = {"check_sample_weight_equivalence_on_dense_data": reason}
    check_estimator(fast(loss=loss), expected_failed_checks=expected, on_skip=None)

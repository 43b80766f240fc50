# SPDX-License-Identifier: BSD-3-Clause
"""Files of skops, which have no code in them: it asks an object for its state, not __reduce__."""

import numpy as np
import pytest
from conftest import same_bits

import fastrelu
from fastrelu import losses, schedules

skops = pytest.importorskip("skops.io")
X = np.random.default_rng(0).normal(size=(120, 4))
Y = X[:, 0] - X[:, 1]


def read_again(thing):
    """Return what a file of skops makes of an object, all of fastrelu's types trusted."""
    data = skops.dumps(thing)
    types = skops.get_untrusted_types(data=data)
    assert all(name.startswith(("fastrelu.", "builtins.")) for name in types)
    return skops.loads(data, trusted=types)


@pytest.mark.parametrize("bias", [True, False])
def test_a_network_comes_back_with_its_bits_and_its_views(bias, dtype):
    net = fastrelu.Network(
        [4, 5, 6, 3], activation=["tanh", "relu"], dtype=dtype, bias=bias, scale=0.5, seed=3,
        check_finite=False,
    )  # fmt: skip
    again = read_again(net)
    assert type(again) is fastrelu.Network
    assert same_bits(again.parameters, net.parameters) and same_bits(again(X), net(X))
    assert again.activations == net.activations and again.scale == net.scale
    assert (again.bias, again.dtype, again.check_finite) == (bias, net.dtype, False)
    again.parameters[:] = 1
    assert (again.weights[2] == 1).all() and not (net.weights[2] == 1).any()


ESTIMATORS = {
    "classifier": lambda: fastrelu.MLPClassifier((8,), max_iter=4, random_state=0),
    "early": lambda: fastrelu.MLPClassifier((8,), early_stopping=True, random_state=0, max_iter=4),
    "adam": lambda: fastrelu.MLPRegressor(hidden_layer_sizes=(8,), max_iter=4, random_state=0),
    "sgd": lambda: fastrelu.MLPRegressor(
        hidden_layer_sizes=(8,), solver="sgd", max_iter=4, random_state=0
    ),
}


@pytest.mark.filterwarnings("ignore:.*reached.*")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_predicts_and_goes_on(name):
    from sklearn.base import is_classifier

    estimator = ESTIMATORS[name]()
    y = np.where(Y > 0, "more", "less") if is_classifier(estimator) else Y
    estimator.fit(X, y)
    again = read_again(estimator)
    assert np.array_equal(again.predict(X), estimator.predict(X))
    assert all(same_bits(a, b) for a, b in zip(again.coefs_, estimator.coefs_, strict=True))
    if name != "early":  # it takes no more rows, as scikit-learn's does not
        for each in (estimator, again):
            each.partial_fit(X, y)
        assert all(same_bits(a, b) for a, b in zip(again.coefs_, estimator.coefs_, strict=True))
    again.coefs_[0][:] = 0
    assert (again.network_.weights[0] == 0).all()


def test_models_of_tables():
    for kind, y in (("TabularRegressor", Y), ("TabularClassifier", Y > 0)):
        model = getattr(fastrelu, kind)(preset="fast", random_state=0).fit(X, y)
        assert np.array_equal(read_again(model).predict(X), model.predict(X))


def test_what_a_training_is_made_of():
    for thing in (
        losses.Huber(0.7), fastrelu.Adam(1e-3), fastrelu.SGD(schedules.cosine(0.05, 40)),
        fastrelu.PiecewiseLinear([0, 1], [0, 2]),
        fastrelu.EncodedRows([4], [True], [[2]], [[0.5]]),
    ):  # fmt: skip
        assert repr(read_again(thing)) == repr(thing)
    history = fastrelu.Trainer(fastrelu.Network([4, 3, 1])).fit(X, Y, 2)
    assert read_again(history).loss == history.loss


def test_a_trainer_is_refused_in_words():
    with pytest.raises(TypeError, match=r"cannot pickle 'fastrelu\._core\.Trainer' object"):
        skops.dumps(fastrelu.Trainer(fastrelu.Network([4, 3, 1])))

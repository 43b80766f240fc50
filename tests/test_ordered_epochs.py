# SPDX-License-Identifier: BSD-3-Clause
"""Epochs in a caller's row order: penalty, dropout, clipped and summed losses, threads."""

import numpy as np
import pytest
import scipy.sparse as sp
from catalogue_tools import ACTIVATION_NAMES, inside, outputs_for, targets
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _catalogue as catalogue
from fastrelu import _core, reference
from fastrelu.optimizers import core_options

OPTIMIZERS = {
    "sgd": {"learning_rate": 0.05},
    "momentum": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "adam": {"learning_rate": 0.01},
}


class AsScikitLearn:
    """A loss as the estimators have it: clipped or summed."""

    clipped = summed = True

    def __init__(self, info):
        self.name = info.name
        self.options = {"clipped": info.metric == "accuracy", "summed": info.averaged}
        if info.parameter is not None:
            value = inside(info.parameter)
            setattr(self, info.parameter.name, value)
            self.options["loss_parameter"] = value


LOSSES = {name: AsScikitLearn(info) for name, info in catalogue.LOSSES.items()}


def optimizer_of(module, name):
    return (module.Adam if name == "adam" else module.SGD)(**OPTIMIZERS[name])


def core_trainer(net, loss, optimizer, dropout=(), seed=0):
    return _core.Trainer(
        net,
        {
            "loss": loss, "pos_weight": [], "batch_size": 1, "n_shards": 1, "clip_norm": 0.0,
            **core_options(optimizer), **LOSSES[loss].options,
            "dropout": list(dropout), "seed": seed,
        },
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 38), min_size=2, max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
    loss=st.sampled_from(sorted(LOSSES)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    activation=st.sampled_from(ACTIVATION_NAMES),
    n=st.integers(1, 50),
    weighted=st.booleans(),
    alpha=st.sampled_from([0.0, 0.7]),
    rate=st.sampled_from([0.0, 0.4]),
    sparse=st.booleans(),
    isa=st.sampled_from(_core.available_isas()),
    seed=st.integers(0, 2**64 - 1),
)
def test_core_equals_reference(
    sizes, dtype, loss, optimizer, activation, n, weighted, alpha, rate, sparse, isa, seed
):
    rng = np.random.default_rng(seed % 2**32)
    X = (2 * rng.normal(size=(n, sizes[0]))).astype(dtype)
    if sparse:
        X = sp.csr_matrix(np.where(rng.random(X.shape) < 0.3, X, 0))
    sizes = [*sizes[:-1], outputs_for(loss, sizes[-1])]
    y = targets(rng, loss, n, sizes[-1], dtype)
    if loss == "binary_cross_entropy":
        y = np.round(y)  # clipped ones know 0 and 1
    w = rng.random(n) + 0.01 if weighted else None
    order = rng.integers(0, n, n + 3)
    batch = max(1, n // 3)
    rates = 0.03 + 0.01 * rng.random(-(-(n + 3) // batch))
    dropout = [rate] * (len(sizes) - 2)
    before = _core.active_isa()
    _core.set_isa(isa)
    try:
        net = fastrelu.Network(sizes, dtype=dtype, seed=seed, activation=activation)
        trainer = core_trainer(net, loss, optimizer_of(fastrelu, optimizer), dropout, seed)
        data = trainer.data(X, y, w, True)
        sums = []
        while len(sums) < 2 and trainer.divergence is None:
            sums.append(trainer.run_ordered(data, order, batch, rates, alpha))
    finally:
        _core.set_isa(before)
    twin = reference.Network(sizes, dtype=dtype, seed=seed, activation=activation)
    own = reference.Trainer(
        twin, loss=LOSSES[loss], optimizer=optimizer_of(reference, optimizer), seed=seed,
        dropout=dropout,
    )  # fmt: skip
    for finished, total, penalty in sums:
        expected = own.fit_ordered(X, y, order, batch, rates, alpha, w)
        if not finished:  # the core stops where the reference goes on
            assert trainer.divergence is not None
            assert not np.isfinite(expected).all()
            return
        assert same_bits(np.array([total, penalty]), np.array(expected))
    assert same_bits(net.parameters, twin.parameters)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_any_number_of_threads(optimizer, dtype, rng):
    """Beyond 1024 rows the minibatch runs in blocks; masks count its rows, not a block's."""
    X = rng.normal(size=(1300, 40)).astype(dtype)
    y = rng.integers(0, 3, 1300)
    results = []
    for threads in (1, 2, 3):
        net = fastrelu.Network([40, 60, 3], dtype=dtype, activation="tanh")
        trainer = core_trainer(net, "cross_entropy", optimizer_of(fastrelu, optimizer), [0.5])
        data = trainer.data(X, y, None, True)
        before = _core.set_thread_limit(threads)
        try:
            sums = [trainer.run_ordered(data, None, 1200, np.full(2, 0.05), 0.1) for _ in range(2)]
        finally:
            _core.set_thread_limit(before)
        results.append((net.parameters.copy(), np.array([s[1:] for s in sums])))
    for parameters, sums in results[1:]:
        assert same_bits(parameters, results[0][0]) and same_bits(sums, results[0][1])


def test_dropout_keeps_the_gradient_of_its_masks(rng):
    """The step is along the gradient of the masked network: checked by differences."""
    X, y = rng.normal(size=(6, 5)), rng.normal(size=(6, 2))
    for activation in ACTIVATION_NAMES:
        net = reference.Network([5, 16, 2], dtype="float64", activation=activation)
        masks = reference.layers.Dropout([0.4], seed=3, step=9)
        out, cache = net.forward_cached(X, masks)
        gradients = net.backward(cache, out - y).flat
        start = net.parameters
        for i in range(0, len(start), 7):
            values = []
            for h in (1e-6, -1e-6):
                moved = start.copy()
                moved[i] += h
                net.set_parameters(moved)
                values.append(0.5 * ((net.forward_cached(X, masks)[0] - y) ** 2).sum())
            net.set_parameters(start)
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradients[i], abs=1e-6)


def test_nothing_is_dropped_outside_of_training(rng):
    X, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 1))
    net = fastrelu.Network([4, 8, 1], dtype="float64")
    trainer = core_trainer(net, "squared_error", fastrelu.SGD(0.1), [0.5])
    plain = core_trainer(net, "squared_error", fastrelu.SGD(0.1))
    assert trainer.data_loss(X, y, None, True) == plain.data_loss(X, y, None, True)
    a, b = (t.loss_and_gradient(X, y, None, True) for t in (trainer, plain))
    assert a[0] == b[0] and same_bits(a[1], b[1])
    gradient = np.empty_like(a[1])
    assert trainer.data_gradient(trainer.data(X, y, None, True), gradient) == a[0]
    assert same_bits(gradient, a[1])


def test_arguments_are_checked(rng):
    X, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 1))
    net = fastrelu.Network([4, 8, 1], dtype="float64")
    trainer = core_trainer(net, "squared_error", fastrelu.SGD(0.1))
    data = trainer.data(X, y, None, True)
    before = net.parameters.copy()
    with pytest.raises(ValueError, match=r"order: expected rows 0\.\.8, got 9"):
        trainer.run_ordered(data, np.array([0, 9]), 2, np.ones(1), 0.0)
    with pytest.raises(ValueError, match="learning_rates: expected one for each step"):
        trainer.run_ordered(data, None, 2, np.ones(4), 0.0)
    with pytest.raises(ValueError, match="gradient: expected"):
        trainer.data_gradient(data, np.empty(3))
    assert same_bits(net.parameters, before)

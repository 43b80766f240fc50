# SPDX-License-Identifier: BSD-3-Clause
"""Encoded rows: the same bits as the reference, the numbers of the same rows as an array."""

import pickle

import numpy as np
import pytest
from catalogue_tools import OPTIMIZERS, optimizer_of
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core, reference

TOLERANCE = {"float32": 2e-3, "float64": 1e-9}


def random_rows(rng, n, widths, dtype="float32", missing=0.1):
    """Ramps with values in [0, 1], other runs with any; some rows are position 0, value 0."""
    widths = np.asarray(widths)
    ramps = (rng.random(len(widths)) < 0.7) & (widths > 1) | (rng.random(len(widths)) < 0.2)
    positions = rng.integers(0, widths, (n, len(widths)))
    values = np.where(ramps, rng.random((n, len(widths))), rng.normal(size=(n, len(widths))))
    gone = rng.random(positions.shape) < missing
    positions[gone], values[gone] = 0, 0
    return fastrelu.EncodedRows(widths, ramps, positions, values.astype(dtype))


def everything(module, X, y, sizes, optimizer, *, dtype, w=None, sampling="shuffle", seed=0,
               batch_size=16, shards=1, clip=None, bias=True, activation="relu",
               dropout=0.0):  # fmt: skip
    """All that X goes into: numbers to compare, under their names."""
    net = module.Network(sizes, dtype=dtype, seed=seed, bias=bias, activation=activation)
    trainer = module.Trainer(
        net, optimizer=optimizer_of(module, optimizer), batch_size=batch_size, seed=seed,
        n_shards=shards, clip_norm=clip, dropout=dropout,
    )  # fmt: skip
    result = {}
    result["value"], gradients = net.loss_and_gradient(X, y, sample_weight=w)
    result["gradient"] = gradients.flat
    history = trainer.fit(X, y, 2, sample_weight=w, sampling=sampling)
    result["epochs"] = history.loss if module is fastrelu else history
    result["step"] = trainer.step(X, y, w)
    result["parameters"] = net.parameters
    result["loss"] = net.loss(X, y, sample_weight=w)
    result["forward"] = net(X)
    result["probability"] = net.predict_proba(X, "binary_cross_entropy")
    return {key: np.asarray(value) for key, value in result.items()}


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    hidden=st.integers(1, 70),
    outputs=st.integers(1, 3),
    dtype=st.sampled_from(["float32", "float64"]),
    values=st.sampled_from(["float32", "float64"]),
    missing=st.sampled_from([0.0, 0.2, 1.0]),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    shards=st.integers(1, 3),
    clip=st.sampled_from([None, 0.1]),
    bias=st.booleans(),
    weighted=st.booleans(),
    activation=st.sampled_from(["relu", "tanh", "silu"]),
    dropout=st.sampled_from([0.0, 0.3]),
    sampling=st.sampled_from(["shuffle", "subset", "with_replacement"]),
    isa=st.sampled_from(_core.available_isas()),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_to_the_reference(
    n, widths, hidden, outputs, dtype, values, missing, optimizer, shards, clip, bias, weighted,
    activation, dropout, sampling, isa, seed,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n, widths, values, missing)
    y = rng.normal(size=(n, outputs))
    sizes = [sum(widths), hidden, outputs]
    arguments = {
        "dtype": dtype, "w": rng.random(n) + 0.1 if weighted else None, "sampling": sampling,
        "seed": seed, "batch_size": max(n // 2, shards), "shards": shards, "clip": clip,
        "bias": bias, "activation": activation, "dropout": dropout,
    }  # fmt: skip
    before = _core.active_isa()
    _core.set_isa(isa)
    try:
        core = everything(fastrelu, X, y, sizes, optimizer, **arguments)
    finally:
        _core.set_isa(before)
    expected = everything(reference, X, y, sizes, optimizer, **arguments)
    for key, value in core.items():
        assert same_bits(value, expected[key]), key


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    dtype=st.sampled_from(["float32", "float64"]),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_close_to_the_same_rows_as_an_array(n, widths, dtype, missing, seed):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, n, widths, dtype, missing)
    y = rng.normal(size=(n, 2))
    net = fastrelu.Network([sum(widths), 20, 2], dtype=dtype, seed=1)
    assert np.allclose(net(X), net(X.toarray()), atol=TOLERANCE[dtype])
    (loss, encoded), (same, dense) = (net.loss_and_gradient(x, y) for x in (X, X.toarray()))
    assert loss == pytest.approx(same, rel=1e-4)
    assert np.allclose(encoded.flat, dense.flat, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("widths", "sizes"),
    [([48] * 20 + [1] * 20, [128, 64, 1]), ([300, 1, 5], [300, 2]), ([20], [1, 1])],
)
def test_isas_and_threads_agree(widths, sizes, optimizer, dtype, rng):
    X = random_rows(rng, 300, widths, dtype)
    y = rng.normal(size=(300, sizes[-1]))
    before = _core.active_isa(), fastrelu.get_num_threads()
    results = []
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 3, 8) if isa == before[0] else (2,):
                fastrelu.set_num_threads(threads)
                results.append(
                    everything(
                        fastrelu, X, y, [sum(widths), *sizes], optimizer, dtype=dtype,
                        batch_size=140,
                    )
                )  # fmt: skip
    finally:
        _core.set_isa(before[0])
        fastrelu.set_num_threads(before[1])
    for result in results[1:]:
        for key, value in result.items():
            assert same_bits(value, results[0][key]), key


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("shards", [1, 2])
def test_one_trainer_for_large_and_small_minibatches_of_every_kind(optimizer, shards, rng):
    """More than 1024 rows run in blocks; what one step leaves behind must not reach the next."""
    sparse = pytest.importorskip("scipy.sparse")
    X = random_rows(rng, 2500, [5, 1, 12, 3])
    y = rng.normal(size=(2500, 2))
    forms = {"encoded": X, "dense": X.toarray(), "sparse": sparse.csr_matrix(X.toarray())}
    parameters = []
    for module in (fastrelu, reference):
        trainer = module.Trainer(
            module.Network([21, 4, 2]), optimizer=optimizer_of(module, optimizer), n_shards=shards
        )
        for rows, kind in [
            (2500, "encoded"), (7, "encoded"), (3, "dense"), (1100, "encoded"), (2500, "dense"),
            (30, "encoded"), (40, "sparse"), (2500, "encoded"), (2500, "sparse"), (1, "encoded"),
        ]:  # fmt: skip
            trainer.step(forms[kind][:rows], y[:rows])
        parameters.append(trainer.network.parameters)
    assert same_bits(*parameters)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_parameters_may_be_written_between_epochs(threads, rng):
    X, y = random_rows(rng, 90, [30, 1, 20]), rng.normal(size=90)
    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(threads)
    try:
        nets = []
        for module in (fastrelu, reference):
            net = module.Network([51, 40, 1], seed=3)
            trainer = module.Trainer(net, batch_size=30, optimizer=optimizer_of(module, "adam"))

            def write(*_, net=net):
                net.weights[0][...] *= np.float32(0.5)

            if module is fastrelu:
                trainer.fit(X, y, 3, callbacks=[write])
            else:
                for _ in range(3):
                    trainer.fit(X, y, 1)
                    write()
            nets.append(net.parameters)
    finally:
        fastrelu.set_num_threads(before)
    assert same_bits(*nets)


def test_a_population_ends_in_the_bits_of_each_member_alone(rng):
    X, y = random_rows(rng, 400, [24, 1, 6, 10]), rng.normal(size=400)
    fold = np.arange(400) % 3
    population = fastrelu.Population(
        [
            {
                "layer_sizes": [41, 16, 1], "seed": k, "optimizer": fastrelu.AdamW(1e-2),
                "rows": fold != k, "validation_rows": fold == k,
            }
            for k in range(3)
        ]
    )  # fmt: skip
    histories = population.fit(X, y, 4, sample_weight=np.ones(400))
    for k, history in enumerate(histories):
        net = fastrelu.Network([41, 16, 1], seed=k)
        trainer = fastrelu.Trainer(net, optimizer=fastrelu.AdamW(1e-2))
        rows, held = fold != k, fold == k
        alone = trainer.fit(X[rows], y[rows], 4, validation_data=(X[held], y[held]))
        assert same_bits(net.parameters, population.networks[k].parameters)
        assert history.val_loss == alone.val_loss
    assert same_bits(population.predict(X)[1], population.networks[1](X))


def test_a_data_set_and_its_evaluation(dtype, rng):
    X, y = random_rows(rng, 50, [4, 9]), rng.normal(size=50)
    trainer = fastrelu.Trainer(fastrelu.Network([13, 5, 1], dtype=dtype))
    data = trainer.prepare(X, y)
    trainer.fit(data, epochs=2)
    expected = reference.Network([13, 5, 1], dtype=dtype)
    reference.Trainer(expected).fit(X, y, 2)
    assert same_bits(trainer.evaluate(data).outputs, expected(X))
    assert trainer.evaluate(X, y).loss == trainer.evaluate(data).loss


def test_no_rows_and_rows_of_nothing_but_missing_numbers():
    net = fastrelu.Network([7, 4, 2])
    none = fastrelu.EncodedRows([3, 4], [1, 0], np.zeros((0, 2), int), np.zeros((0, 2)))
    assert net(none).shape == (0, 2) and len(none) == 0 and none.toarray().shape == (0, 7)
    with pytest.raises(ValueError, match="X: expected at least one row"):
        fastrelu.Trainer(net).step(none, np.zeros((0, 2)))
    missing = fastrelu.EncodedRows([3, 4], [1, 0], np.zeros((5, 2), int), np.zeros((5, 2)))
    assert np.array_equal(net(missing), net(np.zeros((5, 7))))


# The rows themselves


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-10, 10) | st.just(float("nan")), min_size=0, max_size=20),
    edges=st.lists(st.floats(-9, 9), min_size=2, max_size=9, unique=True),
)
def test_from_edges_is_the_encoding(values, edges):
    x, b = np.array(values), np.sort(np.array(edges))
    if (np.diff(b) < 1e-3).any():
        return
    X = fastrelu.EncodedRows.from_edges(x[:, np.newaxis], [b], dtype="float64")
    expected = ((x[:, np.newaxis] - b[:-1]) / (b[1:] - b[:-1])).clip(0, 1)
    expected[np.isnan(x)] = 0
    assert np.array_equal(X.toarray(), expected)


def test_rows_chosen_copied_and_kept(rng):
    X = random_rows(rng, 30, [5, 1, 3])
    dense = X.toarray()
    mask = rng.random(30) < 0.5
    for rows in (slice(3, 20, 2), mask, np.array([4, 4, 0, -1]), [1, 2], slice(0, 0)):
        assert same_bits(X[rows].toarray(), dense[rows])
    assert same_bits(pickle.loads(pickle.dumps(X)).toarray(), dense)
    assert X.shape == dense.shape == (len(X), X.shape[1]) and X.ndim == 2
    assert X.nbytes == 30 * 3 * (2 + 4)
    for array in (X.positions, X.values):
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
    with pytest.raises(TypeError, match=r"rows: expected a slice.*X\[i : i \+ 1\]"):
        X[3]


RUNS = ([3, 1], [True, False], [[2, 0]], [[0.5, 2.0]])


@pytest.mark.parametrize(
    ("place", "value", "error", "text"),
    [
        (0, [3, 0], ValueError, r"widths: expected 1 \.\. 65536 inputs, got 0 of run 1"),
        (0, [3, 65537], ValueError, "got 65537 of run 1"),
        (0, [], ValueError, "ramps: expected one for each of the 0 widths"),
        (0, [3.0, 1.0], TypeError, "widths: expected whole numbers, got dtype float64"),
        (0, [[3, 1]], ValueError, r"widths: expected 1 axis, got shape \(1, 2\)"),
        (1, [True], ValueError, "ramps: expected one for each of the 2 widths, got 1"),
        (1, [2, 0], ValueError, "ramps: expected True or False, got 2 of run 0"),
        (2, [[3, 0]], ValueError, r"positions: expected 0 \.\. 2 in run 0, got 3 in row 0"),
        (2, [[0, -1]], ValueError, r"positions: expected 0 \.\. 0 in run 1, got -1 in row 0"),
        (2, [[2**40, 0]], ValueError, "got 1099511627776 in row 0"),
        (2, [[0.0, 0.0]], TypeError, "positions: expected whole numbers"),
        (2, [0, 0], ValueError, r"positions: expected 2 axes, got shape \(2,\)"),
        (2, [[0]], ValueError, r"positions: expected shape \(n, 2\), got \(1, 1\)"),
        (3, [[0.5]], ValueError, r"values: expected shape \(1, 2\), got \(1, 1\)"),
        (3, [[0.5, np.nan]], ValueError, "values: expected finite values, got nan at element 1"),
        (3, [["a", "b"]], TypeError, "values: expected real numbers"),
    ],
)
def test_rows_that_cannot_be(place, value, error, text):
    arguments = list(RUNS)
    arguments[place] = value
    with pytest.raises(error, match=text):
        fastrelu.EncodedRows(*arguments)


@pytest.mark.parametrize(
    ("X", "edges", "text"),
    [
        ([1.0], [[0, 1]], r"X: expected shape \(n, k\), got \(1,\)"),
        ([[1.0]], [], "edges: expected those of 1 columns, got 0"),
        ([[1.0]], [[0]], r"edges\[0\]: expected at least 2 edges"),
        ([[1.0]], [[0, 0]], r"edges\[0\]: expected finite, ascending edges"),
        ([[1.0]], [[0, np.inf]], r"edges\[0\]: expected finite, ascending edges"),
        ([[1.0]], [[-1.7e308, 1.7e308]], r"edges\[0\]: expected finite, ascending edges"),
    ],
)
def test_edges_that_cannot_be(X, edges, text):
    with pytest.raises(ValueError, match=text):
        fastrelu.EncodedRows.from_edges(X, edges)
    with pytest.raises(ValueError, match="dtype: expected float32 or float64"):
        fastrelu.EncodedRows.from_edges([[1.0]], [[0, 1]], dtype="float16")


def test_where_encoded_rows_are_not_taken():
    X = fastrelu.EncodedRows(*RUNS)
    net = fastrelu.Network([4, 3, 1])
    y = np.zeros(1)
    for refuse in (
        lambda: net.jacobian(X),
        lambda: net.forward_cached(X),
        lambda: net.per_sample_gradients(X, y),
        lambda: net.local_affine(X),
        lambda: fastrelu.linear_relu(X, net.weights[0]),
        lambda: np.asarray(X),
    ):
        with pytest.raises(TypeError, match="toarray"):
            refuse()
    with pytest.raises(ValueError, match=r"X: expected shape \(n, 5\), got \(1, 4\) \(encoded\)"):
        fastrelu.Network([5, 1])(X)
    scaled = fastrelu.Network([4, 1], scale=0.5)
    for refuse in (lambda: scaled(X), lambda: fastrelu.Trainer(scaled).step(X, y)):
        with pytest.raises(ValueError, match="scale=1 for encoded rows"):
            refuse()
    large = fastrelu.EncodedRows([4], [True], [[1]], [[1e300]])
    with pytest.raises(ValueError, match="X: expected finite values"):
        net(large)
    assert fastrelu.Network([4, 1], dtype="float64")(large).shape == (1, 1)
    assert fastrelu.EncodedRows.__new__(fastrelu.EncodedRows) is not None
    with pytest.raises(RuntimeError, match="__init__ has not been called"):
        net(fastrelu.EncodedRows.__new__(fastrelu.EncodedRows))

# SPDX-License-Identifier: BSD-3-Clause
"""Sparse X: the same bits as the reference, equal to dense X but for the sign of zeros."""

from types import SimpleNamespace

import numpy as np
import pytest
from catalogue_tools import OPTIMIZERS, optimizer_of
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core, reference

sparse = pytest.importorskip("scipy.sparse")


def random_csr(rng, n, d, density, dtype="float32", indices="int32"):
    """Some rows and columns without entries, some entries that are stored zeros."""
    stored = rng.random((n, d)) < density
    stored[rng.random(n) < 0.1] = False
    rows, columns = np.nonzero(stored)
    values = rng.normal(size=len(rows)).astype(dtype)
    values[rng.random(len(rows)) < 0.05] = 0
    pointers = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
    X = sparse.csr_matrix((n, d), dtype=dtype)
    X.data, X.indices, X.indptr = values, columns.astype(indices), pointers.astype(indices)
    return X


def parts(X):
    return X.data.copy(), X.indices.copy(), X.indptr.copy()


def everything(module, X, y, sizes, optimizer, *, dtype, w=None, sampling="shuffle", seed=0,
               batch_size=16, shards=1, clip=None, bias=True, scale=1.0):  # fmt: skip
    """All that X goes into: numbers to compare, under their names."""
    net = module.Network(sizes, dtype=dtype, seed=seed, bias=bias, scale=scale)
    trainer = module.Trainer(
        net, optimizer=optimizer_of(module, optimizer), batch_size=batch_size, seed=seed,
        n_shards=shards, clip_norm=clip,
    )  # fmt: skip
    result = {}
    result["value"], gradients = net.loss_and_gradient(X, y, sample_weight=w)
    result["gradient"] = gradients.flat
    history = trainer.fit(X, y, 2, sample_weight=w, sampling=sampling)
    result["epochs"] = history.loss if module is fastrelu else history
    result["step"] = trainer.step(X, y, w)
    result["parameters"] = net.parameters
    result["loss"] = net.loss(X, y, sample_weight=w)
    out, cache = net.forward_cached(X)
    result["out"], result["forward"] = out, net(X)
    result["probability"] = net.predict_proba(X, "binary_cross_entropy")
    back = net.backward(cache, out, inputs=True)
    result["backward"], result["inputs"] = back.flat, back.inputs
    return {key: np.asarray(value) for key, value in result.items()}


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40),
    sizes=st.tuples(st.integers(1, 50), st.integers(1, 40), st.integers(1, 3)),
    density=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
    dtype=st.sampled_from(["float32", "float64"]),
    indices=st.sampled_from(["int32", "int64"]),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    shards=st.integers(1, 3),
    clip=st.sampled_from([None, 0.1]),
    bias=st.booleans(),
    weighted=st.booleans(),
    scale=st.sampled_from([1.0, 0.3]),
    sampling=st.sampled_from(["shuffle", "subset", "with_replacement"]),
    isa=st.sampled_from(_core.available_isas()),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_to_the_reference_and_to_dense(
    n, sizes, density, dtype, indices, optimizer, shards, clip, bias, weighted, scale, sampling,
    isa, seed,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    X = random_csr(rng, n, sizes[0], density, dtype, indices)
    y = rng.normal(size=(n, sizes[-1]))
    arguments = {
        "dtype": dtype, "w": rng.random(n) + 0.1 if weighted else None, "sampling": sampling,
        "seed": seed, "batch_size": max(n // 2, shards), "shards": shards, "clip": clip,
        "bias": bias, "scale": scale,
    }  # fmt: skip
    before = _core.active_isa(), parts(X)
    _core.set_isa(isa)
    try:
        core = everything(fastrelu, X, y, sizes, optimizer, **arguments)
        dense = everything(fastrelu, X.toarray(), y, sizes, optimizer, **arguments)
    finally:
        _core.set_isa(before[0])
    expected = everything(reference, X, y, sizes, optimizer, **arguments)
    for key, value in core.items():
        assert same_bits(value, expected[key]), key
        assert np.array_equal(value, dense[key]), key
    for a, b in zip(parts(X), before[1], strict=True):
        assert same_bits(a, b)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    "sizes", [(3000, 64, 2), (300, 300, 2), (500, 50, 2), (6, 5000, 1), (20, 1, 1)]
)
def test_isas_and_threads_agree(sizes, optimizer, dtype, rng):
    X = random_csr(rng, 150, sizes[0], 0.05, dtype)
    y = rng.normal(size=(150, sizes[-1]))
    before = _core.active_isa(), fastrelu.get_num_threads()
    results = []
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in (1, 2, 3, 8) if isa == before[0] else (2,):
                fastrelu.set_num_threads(threads)
                results.append(
                    everything(fastrelu, X, y, sizes, optimizer, dtype=dtype, batch_size=70)
                )
    finally:
        _core.set_isa(before[0])
        fastrelu.set_num_threads(before[1])
    for result in results[1:]:
        for key, value in result.items():
            assert same_bits(value, results[0][key]), key


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("width", [50, 2100])
def test_strips_of_rows_are_updated_as_dense_ones(optimizer, width, dtype, rng):
    """Some strips of the gradient end within the matrix, and rows may be wider than a strip."""
    columns = 5 if width > 2000 else 400
    X = random_csr(rng, 60, columns, 0.02, dtype)
    y = rng.normal(size=(60, 1))
    nets = []
    for rows in (X, X.toarray()):
        net = fastrelu.Network([columns, width, 1], dtype=dtype)
        trainer = fastrelu.Trainer(net, optimizer=optimizer_of(fastrelu, optimizer), batch_size=20)
        trainer.fit(rows, y, 2)
        nets.append(net.parameters)
    assert np.array_equal(*nets)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("shards", [1, 2])
def test_one_trainer_for_large_and_small_dense_and_sparse_minibatches(optimizer, shards, rng):
    """More than 1024 rows run in blocks; what one step leaves behind must not reach the next."""
    X = random_csr(rng, 2500, 40, 0.02)
    y = rng.normal(size=(2500, 2))
    nets = []
    for module in (fastrelu, reference, None):
        trainer = (module or fastrelu).Trainer(
            (module or fastrelu).Network([40, 4, 2]),
            optimizer=optimizer_of(module or fastrelu, optimizer),
            n_shards=shards,
        )
        for rows, dense in [(2500, 0), (7, 0), (3, 1), (1100, 0), (2500, 1), (30, 0), (2500, 0)]:
            some = X[:rows] if module and not dense else X[:rows].toarray()
            trainer.step(some, y[:rows])
        nets.append(trainer.network.parameters)
    assert same_bits(nets[0], nets[1])
    assert np.array_equal(nets[0], nets[2])


def test_untouched_columns_keep_their_weights(rng):
    net = fastrelu.Network([50, 8, 1])
    before = net.weights[0].copy()
    X = sparse.csr_matrix((np.ones(3, "float32"), ([0, 1, 1], [4, 9, 30])), shape=(2, 50))
    fastrelu.Trainer(net, optimizer=fastrelu.SGD(0.5)).step(X, np.ones(2))
    changed = np.flatnonzero((net.weights[0] != before).any(axis=1))
    assert set(changed) <= {4, 9, 30} and len(changed) > 0


@pytest.mark.parametrize("dtype_of_values", ["float32", "float64", "int8", "uint8", "bool"])
def test_unsorted_and_repeated_entries(dtype_of_values, dtype, rng):
    values = (rng.normal(size=60) * 100).astype(dtype_of_values)
    columns = rng.integers(0, 9, 60).astype("int32")
    X = sparse.csr_matrix((values, columns, [0, 25, 25, 60]), shape=(3, 9))
    assert not X.has_sorted_indices
    before = parts(X)
    net = fastrelu.Network([9, 5, 2], dtype=dtype)
    out, expected = net(X), reference.Network([9, 5, 2], dtype=dtype)(X)
    assert same_bits(out, expected)
    assert all(same_bits(a, b) for a, b in zip(parts(X), before, strict=True))
    if dtype_of_values != "float32":  # rounded sums may differ by the order
        assert np.array_equal(out, net(X.toarray()))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_every_form_of_sparse_matrix(form, kind, rng):
    dense = random_csr(rng, 12, 20, 0.2).toarray()
    X = getattr(sparse, f"{form}_{kind}")(dense)
    net = fastrelu.Network([20, 6, 3])
    assert np.array_equal(net(X), net(dense))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", ">i4", "int64", "uint64"])
@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_places_of_every_dtype(part, dtype, rng):
    X = random_csr(rng, 12, 20, 0.2)
    net = fastrelu.Network([20, 6, 3])
    expected = net(X)
    places = getattr(X, part).astype(dtype)
    for held in (places, np.repeat(places, 2)[::2]):
        setattr(X, part, held)
        assert same_bits(net(X), expected)
    if dtype == "uint64":
        held[1] = 2**63 + 5
        with pytest.raises(ValueError, match=part if part == "indptr" else "column indices"):
            net(X)


def test_no_rows_no_entries_one_row(rng):
    net = fastrelu.Network([6, 4, 2])
    for X in (sparse.csr_matrix((0, 6)), sparse.csc_matrix((3, 6), dtype="float32")):
        out, cache = net.forward_cached(X)
        assert same_bits(out, net(X)) and out.shape == (X.shape[0], 2)
        assert np.array_equal(out, net(X.toarray()))
        assert not net.backward(cache, out).weights[0].any()
    trainer = fastrelu.Trainer(net)
    with pytest.raises(ValueError, match="X: expected at least one row"):
        trainer.step(sparse.csr_matrix((0, 6)), np.zeros((0, 2)))
    trainer.fit(sparse.csr_matrix((3, 6)), np.zeros((3, 2)))
    row = sparse.csr_array(np.array([[0, 2.5, 0, 0, -1, 0]], "float32"))
    one = SimpleNamespace(
        tocsr=lambda: SimpleNamespace(
            shape=(6,), data=row.data, indices=row.indices, indptr=row.indptr
        )
    )
    assert same_bits(net(one), net(row)[0])
    assert same_bits(net.jacobian(one), net.jacobian(row)[0])


def test_jacobian_and_dense_gradient_to_the_inputs(dtype, rng):
    X = random_csr(rng, 9, 15, 0.2, dtype)
    a = fastrelu.Network([15, 8, 3], dtype=dtype, scale=0.5)
    b = reference.Network([15, 8, 3], dtype=dtype, scale=0.5)
    assert same_bits(a.jacobian(X), b.jacobian(X))
    assert np.array_equal(a.jacobian(X), a.jacobian(X.toarray()))


def test_the_cache_does_not_look_at_its_rows_again(rng):
    X = random_csr(rng, 9, 15, 0.4)
    net = fastrelu.Network([15, 8, 3])
    out, cache = net.forward_cached(X)
    expected = net.backward(cache, out).flat
    X.data[:], X.indices[:] = 7, 2**30
    assert same_bits(net.backward(cache, out).flat, expected)


def test_fit_with_validation_data(rng):
    X = random_csr(rng, 120, 30, 0.2)
    y = (X @ rng.normal(size=(30, 1)) > 0).astype(int).ravel()
    histories = []
    for form in (X, sparse.csc_matrix(X), X.toarray()):
        trainer = fastrelu.Trainer(fastrelu.Network([30, 8, 2]), loss="cross_entropy")
        parts_of = slice(0, 80), slice(80, 120)
        histories.append(
            trainer.fit(form[parts_of[0]], y[:80], 5,
                        validation_data=(form[parts_of[1]], y[80:])).val_loss
        )  # fmt: skip
    assert histories[0] == histories[1] == histories[2]


def broken(**changes):
    made = {
        "shape": (2, 4), "data": np.ones(3, "float32"), "indices": np.array([0, 3, 1], "int32"),
        "indptr": np.array([0, 2, 3], "int32"),
    }  # fmt: skip
    csr = SimpleNamespace(**{**made, **changes})
    csr.tocsr = lambda: csr
    return csr


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"shape": (2, 5)}, ValueError, r"expected shape \(n, 4\).*got \(2, 5\)"),
        ({"shape": (2, 4, 1)}, ValueError, "expected shape"),
        ({"indices": np.array([0, -1, 1], "int32")}, ValueError, r"0\.\.3, got -1 in row 0"),
        ({"indices": np.array([0, 3, 4], "int32")}, ValueError, r"0\.\.3, got 4 in row 1"),
        ({"indices": np.array([0, 3, 2**32], "int64")}, ValueError, "got 4294967296"),
        ({"indices": np.array([0.0, 3, 1])}, ValueError, "indices of whole numbers"),
        ({"indices": np.array([[0, 3, 1]])}, ValueError, "in one dimension"),
        ({"indptr": np.array([0, 3, 2], "int32")}, ValueError, "got 2 at element 2"),
        ({"indptr": np.array([1, 2, 3], "int32")}, ValueError, "got 1 at element 0"),
        ({"indptr": np.array([0, 2, 4], "int32")}, ValueError, "the 3 stored entries, got 4"),
        ({"indptr": np.array([0, 2, -1], "int64")}, ValueError, "got -1"),
        ({"indptr": np.array([0, 3], "int64")}, ValueError, "indptr of 3 elements"),
        ({"data": np.ones(2, "float32")}, ValueError, "the 2 stored entries"),
        ({"data": np.ones((3, 1))}, ValueError, "data in one dimension"),
        ({"data": np.ones(3, complex)}, TypeError, "real numbers, got dtype complex128"),
        ({"data": np.array([1, np.nan, 1])}, ValueError, "finite values, got nan at element 1"),
        ({"data": np.array([1, 1e300, 1])}, ValueError, "finite values, got inf"),
    ],
)
def test_what_is_refused(changes, error, text):
    net = fastrelu.Network([4, 3, 2])
    trainer = fastrelu.Trainer(net)
    before, X, y = net.parameters.copy(), broken(**changes), np.zeros((2, 2))
    assert np.isfinite(net(broken())).all()
    for call in (net, net.forward_cached, lambda X: trainer.step(X, y), lambda X: net.loss(X, y)):
        with pytest.raises(error, match=f"X: .*{text}"):
            call(X)
    with pytest.raises(error, match=f"X: .*{text}"):
        trainer.fit(X, y)
    assert same_bits(net.parameters, before)


def test_infinite_entries_where_they_are_allowed():
    X = broken(data=np.array([1, np.inf, 1], "float32"))
    assert not np.isfinite(fastrelu.Network([4, 3, 2])(X, check_finite=False)).all()


def test_wrong_dtype_of_out_and_overlap(rng):
    X = random_csr(rng, 5, 4, 0.5)
    net = fastrelu.Network([4, 2])
    out = np.empty((5, 2), "float32")
    assert net(X, out=out) is out and same_bits(out, net(X))
    X = sparse.csr_matrix(np.ones((5, 2), "float32"))
    with pytest.raises(ValueError, match="out: expected no overlap"):
        fastrelu.Network([2, 2])(X, out=X.data.reshape(5, 2))

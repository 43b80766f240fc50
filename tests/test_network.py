# SPDX-License-Identifier: BSD-3-Clause
import copy
import gc
import pickle
import threading

import numpy as np
import pytest
from conftest import same_bits

import fastrelu
from fastrelu import model_file


def test_parameters_are_live_views(dtype):
    net = fastrelu.Network([3, 4, 2], dtype=dtype)
    assert net.parameters.size == net.n_parameters == 3 * 4 + 4 + 4 * 2 + 2
    assert net.parameters.ctypes.data % 64 == 0
    net.weights[0][...] = 1
    net.biases[1][:] = [5, 6]
    assert (net.parameters[:12] == 1).all() and list(net.parameters[-2:]) == [5, 6]
    before = net(np.zeros(3))
    net.biases[1][0] += 1
    assert net(np.zeros(3))[0] == before[0] + 1
    view = net.weights[1]
    expected = view.copy()
    del net
    gc.collect()
    junk = [np.ones(1000) for _ in range(100)]
    assert same_bits(view, expected) and junk
    view[...] = 2


def test_no_hidden_layer_is_linear_regression(rng):
    net = fastrelu.Network([3, 2], dtype="float64")
    X = rng.normal(size=(5, 3))
    assert np.allclose(net(X), X @ net.weights[0] + net.biases[0])


@pytest.mark.parametrize("bias", [True, False])
def test_save_load_pickle_copy(tmp_path, dtype, bias, rng):
    net = fastrelu.Network([3, 4, 5, 2], dtype=dtype, bias=bias, scale=1 / 255,
                           activation=["identity", "relu"], seed=7)  # fmt: skip
    net.parameters[:] = rng.normal(size=net.n_parameters)
    net.save(tmp_path / "net.safetensors")
    X = rng.normal(size=(4, 3))
    for other in (
        fastrelu.load(tmp_path / "net.safetensors"),
        pickle.loads(pickle.dumps(net)),
        net.copy(),
        copy.deepcopy(net),
    ):
        assert same_bits(other.parameters, net.parameters)
        assert other.activations == ["identity", "relu"] and other.scale == net.scale
        assert other.bias == bias and other.dtype == net.dtype
        assert same_bits(other(X), net(X))
        assert not np.shares_memory(other.parameters, net.parameters)


def test_cloudpickle_and_joblib_keep_it_whole(dtype, tmp_path):
    joblib = pytest.importorskip("joblib")
    cloudpickle = pytest.importorskip("cloudpickle")  # what MLflow and Dask send objects with
    net = fastrelu.Network([3, 4, 2], dtype=dtype, seed=7)
    joblib.dump(net, tmp_path / "net.joblib")
    for other in (
        pickle.loads(cloudpickle.dumps(net)),
        joblib.load(tmp_path / "net.joblib"),
    ):
        assert same_bits(other.parameters, net.parameters)
        other.parameters[:] = 1
        assert (other.weights[1] == 1).all() and (other.biases[0] == 1).all()


def test_arrays_of_any_strides_are_written_in_their_order(tmp_path):
    square = np.arange(12.0).reshape(3, 4)
    arrays = {
        "columns first": np.asfortranarray(square),
        "turned": square.T,
        "every other": square[:, ::2],
        "backwards": square[::-1],
        "repeated": np.broadcast_to(square[0], (3, 4)),
        "empty": square[:0],
        "one number": np.array(2.0),
    }
    model_file.write(tmp_path / "a", arrays, {"format": "table", "format_version": "1"})
    found, _ = model_file.read(tmp_path / "a", "table")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].shape == array.shape


def test_bad_model_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        fastrelu.load(tmp_path / "none")
    (tmp_path / "text").write_text("not a model")
    with pytest.raises(ValueError, match="not a safetensors file"):
        fastrelu.load(tmp_path / "text")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "other")
    with pytest.raises(ValueError, match=r"expected a fastrelu\.network file"):
        fastrelu.load(tmp_path / "other")
    metadata = {"format": "fastrelu.network", "format_version": "99"}
    save_file({"a": np.zeros(2)}, tmp_path / "later", metadata)
    with pytest.raises(ValueError, match="later"):
        fastrelu.load(tmp_path / "later")


def test_paths_that_are_none_are_named(tmp_path):
    net, trainer = fastrelu.Network([2, 1]), fastrelu.Trainer(fastrelu.Network([2, 1]))
    writers = (net.save, net.to_c, net.to_cpp, trainer.save_checkpoint)
    for call in (*writers, fastrelu.load, fastrelu.Trainer.from_checkpoint):
        with pytest.raises(TypeError, match="path: expected a path, got int"):
            call(3)
    gone = tmp_path / "no" / "net"
    for call in writers:
        with pytest.raises(FileNotFoundError) as caught:
            call(gone)
        assert str(caught.value) == f"[Errno 2] No such file or directory: {str(gone)!r}"
    net.save(str(tmp_path / "net").encode())
    assert (fastrelu.load(str(tmp_path / "net").encode()).parameters == net.parameters).all()


def test_a_type_that_numpy_has_not_is_said(tmp_path):
    path = tmp_path / "net"
    fastrelu.Network([2, 1]).save(path)
    path.write_bytes(path.read_bytes().replace(b'"F32","shape":[2,1]', b'"BF16","shape":[4] '))
    # NumPy has the type once ml_dtypes is imported, as jax does.
    with pytest.raises(ValueError, match=r"path: .*(of a type that NumPy has not|got bfloat16)"):
        fastrelu.load(path)


def test_uint8_and_scale(rng):
    net = fastrelu.Network([50, 8, 3], scale=1 / 255)
    X = rng.integers(0, 256, (20, 50)).astype(np.uint8)
    assert same_bits(net(X), net(X.astype("float32")))
    plain = fastrelu.Network([50, 8, 3])
    scaled = X.astype("float32") * np.float32(1 / 255)
    assert same_bits(net(X), plain(scaled))


def test_layouts_of_x(dtype, rng):
    net = fastrelu.Network([5, 9, 3], dtype=dtype)
    X = rng.normal(size=(12, 5)).astype(dtype)
    expected = net(X)
    wide = np.zeros((12, 11), dtype)
    wide[:, 3:8] = X
    raw = np.zeros(X.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(dtype).reshape(X.shape)
    misaligned[...] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for same in (
        np.asfortranarray(X),
        X.astype(X.dtype.newbyteorder()),
        wide[:, 3:8],
        np.repeat(X, 2, axis=1)[:, ::2],
        X[::-1].copy()[::-1],
        misaligned,
        read_only,
        X.tolist(),
        memoryview(X),
    ):
        assert same_bits(net(same), expected)
    ints = np.arange(10).reshape(2, 5)
    assert same_bits(net(ints), net(ints.astype(dtype)))
    assert same_bits(net(ints > 4), net((ints > 4).astype(dtype)))


def test_out(dtype, rng):
    net = fastrelu.Network([5, 9, 3], dtype=dtype)
    X = rng.normal(size=(12, 5)).astype(dtype)
    out = np.empty((12, 3), dtype)
    assert net.forward(X, out=out) is out and same_bits(out, net(X))
    wide = np.zeros((12, 7), dtype)
    net.forward(X, out=wide[:, 2:5])
    assert same_bits(wide[:, 2:5].copy(), out) and (wide[:, 5:] == 0).all()
    row = np.empty(3, dtype)
    assert same_bits(net.forward(X[0], out=row), out[0])


def test_zero_rows(dtype):
    net = fastrelu.Network([5, 9, 3], dtype=dtype)
    empty = np.empty((0, 5), dtype)
    assert net(empty).shape == (0, 3)
    out, cache = net.forward_cached(empty)
    assert out.shape == (0, 3)
    assert (net.backward(cache, out).flat == 0).all()


@pytest.mark.parametrize("place", [(0, 0), (6_999, 9), (19_999, 4)])
@pytest.mark.parametrize("layout", ["rows", "every other row", "columns", "other dtype"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_value_that_is_not_finite_among_many_is_found(place, layout, threads, dtype, rng):
    """Each thread checks the rows that it is about to read; the error is the same."""
    net = fastrelu.Network([10, 9, 3], dtype=dtype)
    X = rng.normal(size=(20_000, 10)).astype(dtype)
    other = "float32" if dtype == "float64" else "float64"
    make = {
        "rows": np.copy, "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
        "columns": np.asfortranarray, "other dtype": lambda X: X.astype(other),
    }[layout]  # fmt: skip
    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(threads)
    try:
        good, X = net(make(X)), make(X)
        assert same_bits(good, net.forward(X, out=np.empty_like(good)))
        for value in (np.nan, np.inf, -np.inf):
            X[place] = value
            says = rf"X: expected finite values, got .* at element \d+ \(as {dtype}\)"
            for call in (net, lambda X: net.predict_proba(X, "cross_entropy")):
                with pytest.raises(ValueError, match=says):
                    call(X)
    finally:
        fastrelu.set_num_threads(before)


@pytest.mark.parametrize(
    ("X", "error", "says"),
    [
        (np.zeros((4, 6)), ValueError, r"X: expected shape \(n, 5\) or \(5,\), got \(4, 6\)"),
        (np.zeros(4), ValueError, r"X: .* got \(4,\)"),
        (np.zeros((2, 4, 5)), ValueError, r"X: .* got \(2, 4, 5\)"),
        (np.float64(3), ValueError, r"X: .* got \(\)"),
        (np.full((2, 5), np.nan), ValueError, "X: expected finite values, got"),
        (np.full((2, 5), 1e300), ValueError, "X: expected finite values, got inf"),
        (np.zeros((2, 5), complex), TypeError, "X: expected real numbers, got dtype complex128"),
        (np.zeros((2, 5), object), TypeError, "X: expected real numbers, got dtype object"),
        (np.full((2, 5), "a"), TypeError, "X: expected real numbers"),
        (None, TypeError, "X: expected an array of numbers, got None"),
        ([[1, 2, 3, 4, 5], [1]], TypeError, "X: expected an array of numbers"),
    ],
)
def test_bad_x(X, error, says):
    net = fastrelu.Network([5, 9, 3])
    trainer = fastrelu.Trainer(net)
    before = net.parameters.tobytes()
    rows = 2
    for call in (
        lambda: net(X),
        lambda: net.forward_cached(X),
        lambda: net.predict_proba(X, "cross_entropy"),
        lambda: net.jacobian(X),
    ):
        with pytest.raises(error, match=says):
            call()
    for call in (
        lambda: net.loss_and_gradient(X, np.zeros((rows, 3))),
        lambda: net.loss(X, np.zeros((rows, 3))),
        lambda: trainer.step(X, np.zeros((rows, 3))),
        lambda: trainer.fit(X, np.zeros((rows, 3))),
    ):
        with pytest.raises(error, match="X: "):
            call()
    assert net.parameters.tobytes() == before and trainer.n_steps == 0


@pytest.mark.parametrize(
    ("loss", "y", "w", "error", "says"),
    [
        ("squared_error", np.zeros((3, 2)), None, ValueError, r"y: expected shape \(4, 2\)"),
        ("squared_error", np.zeros(4), None, ValueError, r"y: expected shape \(4, 2\)"),
        ("squared_error", np.full((4, 2), np.inf), None, ValueError, "y: expected finite"),
        ("squared_error", np.full((4, 2), "a"), None, TypeError, "y: expected real numbers"),
        ("cross_entropy", [0, 1, 2, 0], None, ValueError, r"y: expected labels 0\.\.1, got 2"),
        ("cross_entropy", [0, 1, -1, 0], None, ValueError, "y: expected labels"),
        ("cross_entropy", [0.0, 1, 1, 0], None, TypeError, "y: .*integer labels"),
        ("cross_entropy", [0, 1, 1], None, ValueError, r"y: expected labels of shape \(4,\)"),
        ("binary_cross_entropy", np.full((4, 2), 1.5), None, ValueError, r"y: .*\[0, 1\]"),
        ("poisson", np.full((4, 2), -1.0), None, ValueError, "y: .*>= 0"),
        (
            "squared_error",
            np.zeros((4, 2)),
            np.ones(3),
            ValueError,
            "sample_weight: expected shape",
        ),
        ("squared_error", np.zeros((4, 2)), np.zeros(4), ValueError, "sample_weight: .*positive"),
        (
            "squared_error",
            np.zeros((4, 2)),
            [1, 1, 1, np.nan],
            ValueError,
            "sample_weight: .*finite",
        ),
    ],
)
def test_bad_targets_and_weights(loss, y, w, error, says):
    net = fastrelu.Network([3, 2])
    trainer = fastrelu.Trainer(net, loss=loss)
    before = net.parameters.tobytes()
    X = np.zeros((4, 3))
    for call in (
        lambda: net.loss_and_gradient(X, y, loss, w),
        lambda: net.loss(X, y, loss, w),
        lambda: trainer.step(X, y, w),
        lambda: trainer.fit(X, y, sample_weight=w),
        lambda: trainer.fit(X, np.zeros((4, 2), int)[:, 0] if loss == "cross_entropy"
                            else np.zeros((4, 2)), validation_data=(X, y, w)),
    ):  # fmt: skip
        with pytest.raises(error, match=says):
            call()
    assert net.parameters.tobytes() == before and trainer.n_steps == 0


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"layer_sizes": [3]}, ValueError, "layer_sizes"),
        ({"layer_sizes": [3, 0, 1]}, ValueError, r"layer_sizes\[1\]: .* got 0"),
        ({"layer_sizes": [3, 2.5]}, TypeError, r"layer_sizes\[1\]"),
        ({"layer_sizes": 5}, TypeError, "layer_sizes"),
        ({"layer_sizes": [2**31 - 1, 2**31 - 1]}, ValueError, "layer_sizes"),
        ({"dtype": "int32"}, ValueError, "dtype"),
        ({"activation": "gelu"}, ValueError, "activation"),
        ({"activation": ["relu", "relu"]}, ValueError, "activation"),
        ({"init": "zeros"}, ValueError, "init"),
        ({"scale": np.inf}, ValueError, "scale"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"),
    ],
)
def test_bad_network_arguments(arguments, error, says):
    with pytest.raises(error, match=says):
        fastrelu.Network(**{"layer_sizes": [3, 4, 2], **arguments})


def test_bad_out(dtype):
    net = fastrelu.Network([3, 3], dtype=dtype)
    X = np.zeros((4, 3), dtype)
    other = "float64" if dtype == "float32" else "float32"
    frozen = np.zeros((4, 3), dtype)
    frozen.flags.writeable = False
    for out, error in (
        (np.zeros((4, 2), dtype), ValueError),
        (np.zeros((4, 3), other), TypeError),
        (np.zeros((3, 4), dtype).T, ValueError),
        (frozen, ValueError),
        (X, ValueError),
        ([1], TypeError),
    ):
        with pytest.raises(error, match="out: "):
            net.forward(X, out=out)


def test_out_is_never_the_parameters(dtype):
    net = fastrelu.Network([3, 4, 2], dtype=dtype, seed=0)
    before, X = net.parameters.copy(), np.ones((5, 3), dtype)
    for out in (net.parameters[:10].reshape(5, 2), net.weights[1].reshape(4, 2)):
        with pytest.raises(ValueError, match="out: expected memory of its own"):
            net.forward(X[: len(out)], out=out)
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        net(X[0], out=net.biases[1])
    assert (net.parameters == before).all()


def test_backward_refuses_a_stale_or_foreign_cache():
    net, X = fastrelu.Network([3, 4, 2]), np.ones((5, 3))
    out, cache = net.forward_cached(X)
    for none in (None, out, "cache"):
        with pytest.raises(TypeError, match="cache: expected what forward_cached returned"):
            net.backward(none, out)
    with pytest.raises(ValueError, match="d_out: expected shape"):
        net.backward(cache, np.ones((4, 2)))
    with pytest.raises(ValueError, match="cache: "):
        fastrelu.Network([3, 4, 2]).backward(cache, out)
    fastrelu.Trainer(net).step(X, out)
    with pytest.raises(ValueError, match=r"cache: .*changed"):
        net.backward(cache, out)


def test_many_readers_at_once(rng):
    net = fastrelu.Network([64, 128, 10])
    X = rng.normal(size=(3000, 64)).astype("float32")
    expected = net(X)
    wrong = []

    def read():
        for _ in range(20):
            if not same_bits(net(X), expected):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("what", ["X", "y", "sample_weight"])
def test_masked_values_are_refused(what: str) -> None:
    X, y, weight = np.ones((4, 2)), np.ones((4, 1)), np.ones(4)
    given = {"X": X, "y": y, "sample_weight": weight}
    hidden = np.ma.masked_array(given[what], mask=np.zeros_like(given[what]))
    trainer = fastrelu.Trainer(fastrelu.Network([2, 1]))
    trainer.fit(**(given | {what: hidden}))  # nothing is masked
    hidden[1] = np.ma.masked
    for call in (trainer.fit, trainer.step, trainer.evaluate, trainer.prepare):
        with pytest.raises(TypeError, match=f"{what}: expected an array .* masked array"):
            call(**(given | {what: hidden}))
    if what == "X":
        with pytest.raises(TypeError, match="masked array"):
            trainer.network(hidden)

# SPDX-License-Identifier: BSD-3-Clause
"""What happens when things go wrong: docs/reliability.md names each of these tests."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import fastrelu
from fastrelu import _core, model_file


def in_new_process(code: str, seconds: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds, check=False
    )


# Objects that are not there yet


COMPILED = [
    name
    for name, kind in vars(_core).items()
    if isinstance(kind, type) and not issubclass(kind, Exception)
]


@pytest.mark.parametrize("name", COMPILED)
def test_an_object_without_its_construction_raises(name):
    """In a process of its own, since it was a crash."""
    done = in_new_process(f"""
import fastrelu
from fastrelu import _core
made = _core.{name}.__new__(_core.{name})
for attribute in dir(_core.{name}):
    if attribute.startswith("__") and attribute not in ("__enter__", "__exit__"):
        continue
    try:
        value = getattr(made, attribute)
        if callable(value):
            value()
            raise SystemExit(attribute + " did not raise")
    except (TypeError, RuntimeError) as error:
        pass
print("done")
""")
    assert done.stdout.strip() == "done", done.stderr


def test_a_subclass_that_looks_at_itself_too_early_gets_an_error():
    done = in_new_process("""
import fastrelu
class Mine(fastrelu.Network):
    def __init__(self):
        for look in (lambda: self.layer_sizes, lambda: repr(self), lambda: self([1.0, 2.0]),
                     lambda: self.copy(), lambda: self.parameters):
            try:
                look()
            except RuntimeError as error:
                assert "__init__ has not been called" in str(error), error
            else:
                raise SystemExit("no error")
        super().__init__([2, 2])
Mine()([1.0, 2.0])
print("done")
""")
    assert done.stdout.strip() == "done", done.stderr


# Other threads


@pytest.fixture
def busy_network():
    """A network on which another thread fits."""
    net = fastrelu.Network([1, 20000], bias=False)
    trainer = fastrelu.Trainer(net, batch_size=1)
    begun, stop = threading.Event(), threading.Event()
    X, y = np.ones((64, 1), "f4"), np.ones((64, 20000), "f4")

    def seen(*_):
        begun.set()
        return stop.is_set()

    thread = threading.Thread(target=lambda: trainer.fit(X, y, 10**6, callbacks=[seen]))
    thread.start()
    begun.wait()
    yield net, trainer
    stop.set()
    thread.join()


def test_no_copy_is_made_while_another_thread_fits(busy_network, tmp_path):
    net, trainer = busy_network
    for take in (
        lambda: net.save(tmp_path / "net.safetensors"),
        net.copy,
        lambda: pickle.dumps(net),
        trainer.checkpoint_content,
        lambda: trainer.save_checkpoint(tmp_path / "checkpoint.safetensors"),
    ):
        with pytest.raises(RuntimeError, match="another thread"):
            take()
    assert list(tmp_path.iterdir()) == []


def test_a_callback_may_save_and_copy(tmp_path):
    net = fastrelu.Network([1, 1])
    trainer = fastrelu.Trainer(net)

    def keep(trainer, record):
        trainer.save_checkpoint(tmp_path / "checkpoint.safetensors")
        assert (net.copy().parameters == pickle.loads(pickle.dumps(net)).parameters).all()

    trainer.fit([[1.0], [2.0]], [1.0, 2.0], 2, callbacks=[keep])


@pytest.mark.parametrize(
    "work",
    [
        "trainer.fit(X, y, 10**6)",
        "[net(X) for _ in range(10**6)]",
        "[trainer.step(X, y) for _ in range(10**6)]",
        "trainer.run_epoch(trainer.prepare(X, y), stop=lambda: False)",
    ],
)
def test_the_interpreter_may_end_while_a_daemon_thread_computes(work):
    code = f"""
import threading, time, numpy as np, fastrelu
X, y = np.ones((20000, 64), "f4"), np.ones((20000, 4), "f4")
net = fastrelu.Network([64, 256, 256, 4])
trainer = fastrelu.Trainer(net, batch_size=128)
threading.Thread(target=lambda: {work}, daemon=True).start()
time.sleep(0.3)
"""
    for _ in range(3):
        done = in_new_process(code)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, limits address space")
def test_fewer_threads_where_the_system_refuses_one():
    done = in_new_process("""
import os, resource, numpy as np
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import fastrelu
X = np.ones((4000, 64), "f4")
net = fastrelu.Network([64, 256, 256, 4])
fastrelu.set_num_threads(1)
expected = net(X)
fastrelu.set_num_threads(4)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 6 * 2**20,) * 2)  # a thread's stack is 8 MB
print("same" if (net(X) == expected).all() else "other")
""")
    assert done.stdout.strip() == "same", done.stderr


# Ctrl-C


class InterruptError(Exception):
    pass


LARGE = np.ones((120000, 64), "f4"), np.ones((120000, 1), "f4")


def large():
    net = fastrelu.Network([64, 1024, 1024, 1])
    return net, fastrelu.Trainer(net, batch_size=120000)


def forward_and_backward(net, X, times):
    out, cache = net.forward_cached(X)
    for _ in range(times):
        net.backward(cache, out, inputs=True)


@pytest.mark.parametrize(
    "work",
    [
        lambda net, trainer, X, y: net(X),
        lambda net, trainer, X, y: net.predict_proba(X, "binary_cross_entropy"),
        lambda net, trainer, X, y: net.forward_cached(X[:30000]),
        lambda net, trainer, X, y: forward_and_backward(net, X[:5000], 100),
        lambda net, trainer, X, y: net.loss(X, y),
        lambda net, trainer, X, y: net.loss_and_gradient(X, y),
        lambda net, trainer, X, y: trainer.evaluate(X, y),
        lambda net, trainer, X, y: trainer.fit(X[:32], y[:32], validation_data=(X, y)),
        lambda net, trainer, X, y: fastrelu.Network([64, 2000, 2000, 9]).output_bounds(
            -np.ones(64), np.ones(64)
        ),
    ],
    ids=[
        "forward",
        "predict_proba",
        "cached",
        "backward",
        "loss",
        "gradient",
        "evaluate",
        "validation",
        "bounds",
    ],
)
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_signal_stops_native_work(work):
    """The handler raises in the middle; the work would go on for a second or more."""
    net, trainer = large()

    def handle(*_):
        raise InterruptError

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(InterruptError):
            work(net, trainer, *LARGE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(net(LARGE[0][:9])).all()  # usable as ever


@pytest.mark.parametrize(
    "work",
    [
        lambda net, X, y: net(X),
        lambda net, X, y: net.forward_cached(X[:60000]),
        lambda net, X, y: net.loss(X, y),
        lambda net, X, y: fastrelu.Trainer(net).evaluate(X, y),
    ],
    ids=["forward", "cached", "loss", "evaluate"],
)
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_signals_are_handled_while_native_work_goes_on(work):
    """A handler that does not raise is called again and again, not once when the work is done."""
    calls = []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        work(large()[0], *LARGE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(calls) > 2


def test_watched_passes_have_the_same_bits(dtype, rng):
    """In pieces, where a poll looks on: forward_cached and backward beside small calls."""
    net = fastrelu.Network([5, 70, 33, 3], dtype=dtype, seed=1)
    X, d = rng.normal(size=(3000, 5)), rng.normal(size=(3000, 3))
    out, cache = net.forward_cached(X)
    assert (out == net(X)).all()
    whole = net.backward(cache, d, inputs=True)
    for at in (0, 1499, 2999):
        small, kept = net.forward_cached(X[at : at + 1])
        assert (small == out[at]).all()
        assert (net.backward(kept, d[at : at + 1], inputs=True).inputs == whole.inputs[at]).all()


# What a callback may do


@pytest.mark.parametrize("what", ["indices", "indptr", "validation", "labels"])
def test_a_fit_holds_its_own_places(what):
    """In a process of its own, since it was a crash."""
    pytest.importorskip("scipy.sparse")
    done = in_new_process(f"""
import numpy as np, scipy.sparse as sp, fastrelu
def parameters(change):
    X = sp.random(900, 50, 0.2, format="csr", dtype="f4", random_state=0)
    V, y = X.copy(), np.arange(900) % 3
    net = fastrelu.Network([50, 8, 3], seed=0)
    trainer = fastrelu.Trainer(net, loss="cross_entropy", seed=0)
    places = dict(indices=X.indices, indptr=X.indptr, validation=V.indices, labels=y)
    def callback(*_):
        if change:
            places[{what!r}][:] = 2**30
    trainer.fit(X, y, 3, callbacks=[callback], validation_data=(V, np.arange(900) % 3))
    return net.parameters.copy()
print((parameters(True) == parameters(False)).all())
""")
    assert done.stdout.strip() == "True", done.stderr


# Divergence


@pytest.mark.parametrize("optimizer", [fastrelu.SGD(1e6), fastrelu.SGD(1e6, momentum=0.9)])
@pytest.mark.parametrize("batch", [4, 64])
def test_a_diverging_fit_stops_and_keeps_finite_parameters(optimizer, batch, rng):
    X = rng.normal(size=(64, 4)).astype("f4")
    net = fastrelu.Network([4, 8, 1])
    trainer = fastrelu.Trainer(net, optimizer=optimizer, batch_size=batch)
    with pytest.raises(fastrelu.DivergenceError, match=r"step \d+") as caught:
        trainer.fit(X, X[:, :1], 500)
    assert caught.value.step >= 1
    assert not np.isfinite(caught.value.loss) or "parameters are not finite" in str(caught.value)
    assert np.isfinite(net.parameters).all()
    assert np.isfinite(np.concatenate([[0.0], *trainer._core.optimizer_arrays])).all()
    assert trainer.n_steps < caught.value.step
    again = fastrelu.Trainer(net, optimizer=fastrelu.SGD(1e-3), batch_size=batch)
    assert np.isfinite(again.fit(X, X[:, :1], 2).loss).all()


def test_the_last_finite_parameters_are_those_of_the_last_epochs_begin(rng):
    X = rng.normal(size=(2000, 4)).astype("f4")
    y = X[:, :1].copy()
    net = fastrelu.Network([4, 8, 1])
    trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(lambda k: 0.01 if k <= 130 else 1e9))
    kept = []
    with pytest.raises(fastrelu.DivergenceError):
        trainer.fit(X, y, 5, callbacks=[lambda *_: kept.append(net.parameters.copy())])
    assert len(kept) == 2
    assert (net.parameters == kept[-1]).all()
    assert (trainer.n_epochs, trainer.epoch_open) == (2, False)


def test_the_error_of_a_divergence_can_be_pickled():
    error = pickle.loads(pickle.dumps(fastrelu.DivergenceError(7, float("nan"))))
    assert (error.step, str(error)) == (7, str(fastrelu.DivergenceError(7, float("nan"))))


# Files


def changed(path, **metadata):
    """Write other metadata into a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"].update(metadata)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space")
@pytest.mark.parametrize(
    "sizes", ["[6000, 6000]", "[60000, 60000]", "[16000, 16000, 16000]", f"[8{', 1' * 60000}]"]
)
def test_no_memory_is_taken_for_what_a_file_only_claims(sizes, tmp_path):
    path = tmp_path / "net.safetensors"
    fastrelu.Network([8, 16, 3]).save(path)
    changed(path, layer_sizes=sizes, activations=json.dumps(["relu"] * (sizes.count(",") - 1)))
    done = in_new_process(f"""
import resource, fastrelu, fastrelu.model_file, safetensors.numpy
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
before = peak()
try:
    fastrelu.load({str(path)!r})
except ValueError as error:
    print((peak() - before) // 1024 < 20)
""")
    assert done.stdout.strip() == "True", done.stderr


DAMAGE = ("[" * 5000, "1e999", "null", "[]", "{}", '"x"', "true", "-1", "[1e400]", "", "[[2, 1]]",
          "[2.0, 1]", '["2", 1]', "99999999999999999999999")  # fmt: skip


# What is right all the same; a scale is in hexadecimal.
SOUND = {"bias": ("true",), "scale": ("1e999", "-1", "99999999999999999999999")}


@pytest.mark.parametrize("value", DAMAGE, ids=lambda v: v[:12])
def test_damaged_metadata_is_a_value_error(value, tmp_path):
    path = tmp_path / "file.safetensors"
    for key in ("layer_sizes", "activations", "dtype", "bias", "scale", "format_version"):
        fastrelu.Network([2, 3, 1]).save(path)
        changed(path, **{key: value})
        if value not in SOUND.get(key, ()):
            with pytest.raises(ValueError):
                fastrelu.load(path)


@pytest.mark.parametrize("value", DAMAGE, ids=lambda v: v[:12])
def test_a_damaged_checkpoint_is_a_value_error(value, tmp_path):
    trainer = fastrelu.Trainer(fastrelu.Network([2, 3, 1]), optimizer=fastrelu.Adam())
    arrays, metadata = trainer.checkpoint_content()
    for part in ("trainer", "state"):
        with pytest.raises(ValueError):
            fastrelu.Trainer.from_checkpoint_content(arrays, {**metadata, part: value})
        plain = json.loads(metadata[part])
        for key in plain:
            if value in ("", "[" * 5000):
                continue
            broken = {**metadata, part: json.dumps({**plain, key: json.loads(value)})}
            try:
                fastrelu.Trainer.from_checkpoint_content(arrays, broken)
            except ValueError:
                pass  # and nothing else


def test_a_checkpoint_with_other_arrays_is_a_value_error():
    trainer = fastrelu.Trainer(fastrelu.Network([2, 3, 1]), optimizer=fastrelu.Adam())
    arrays, metadata = trainer.checkpoint_content()
    for name in arrays:
        for other in (np.zeros(2, "f4"), np.zeros((), "f8"), None):
            broken = {k: v for k, v in arrays.items() if k != name}
            if other is not None:
                broken[name] = other
            with pytest.raises(model_file.FileError):
                fastrelu.Trainer.from_checkpoint_content(broken, metadata)


def test_a_save_through_a_link_writes_what_it_names(tmp_path):
    (tmp_path / "there").mkdir()
    link, file = tmp_path / "net.st", tmp_path / "there" / "real.st"
    file.write_bytes(b"old")
    link.symlink_to(file)
    net = fastrelu.Network([2, 1], seed=3)
    net.save(link)
    assert link.is_symlink()
    assert (fastrelu.load(file).parameters == net.parameters).all()
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["real.st"]


def test_a_save_removes_what_killed_saves_of_the_file_have_left(tmp_path):
    left = tmp_path / ".net.st.abcdefgh.part"
    others = [".net.st.abc.part", ".other.st.abcdefgh.part", ".net.st.abcdefgi.part"]
    for path in (left, *(tmp_path / name for name in others)):
        path.write_bytes(b"part")
        if path.name != others[-1]:  # which is a moment old: perhaps somebody writes it
            os.utime(path, (1e9, 1e9))
    fastrelu.Network([2, 1]).save(tmp_path / "net.st")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*others, "net.st"])


def test_force_removes_no_hidden_files_of_others(tmp_path):
    pytest.importorskip("click")
    from fastrelu.app.run_folder import RunFolder

    mine, own = tmp_path / ".notes.part", tmp_path / ".metrics.json.abcdefgh.part"
    for path in (mine, own):
        path.write_bytes(b"part")
    folder = RunFolder(tmp_path)
    folder.take(force=True)
    folder.clear()
    folder.close()
    assert (mine.exists(), own.exists()) == (True, False)


class NoMemory(np.ndarray):
    """Values that cannot be converted, as if memory had run out."""

    def astype(self, *arguments, **options):
        raise MemoryError

    def __array_ufunc__(self, *arguments, **options):
        raise MemoryError


def test_the_error_state_of_numpy_survives_a_conversion_without_memory():
    before = np.geterr()
    with pytest.raises(MemoryError):
        fastrelu.Network([2, 1])(np.ones((2, 2), "i8").view(NoMemory))
    assert np.geterr() == before


def test_the_error_state_of_numpy_survives_a_sparse_sum_without_memory():
    sp = pytest.importorskip("scipy.sparse")
    before = np.geterr()
    X = sp.csr_matrix(([1.0, 1.0], [1, 1], [0, 2]), shape=(1, 2), dtype="f4")
    X.data = X.data.view(NoMemory)
    with pytest.raises(MemoryError):
        fastrelu.Network([2, 1])(X)
    assert np.geterr() == before


def test_estimators_that_stop_early_end_a_diverging_fit_in_the_best_weights():
    """As scikit-learn's do; without early stopping it is an error."""
    from fastrelu import MLPRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 4)) + 4, rng.integers(0, 3, 150).astype(float)
    more = {"activation": "identity", "solver": "sgd", "learning_rate_init": 1.0, "max_iter": 20}
    estimator = MLPRegressor(**more, early_stopping=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    assert np.isnan(estimator.validation_scores_[-1])
    assert np.isfinite(estimator.predict(X)).all()
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(**more, random_state=0).fit(X, y)

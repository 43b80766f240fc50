# SPDX-License-Identifier: BSD-3-Clause
"""The quick ways through forward, step and the kernels: same results, same errors, no leaks."""

import copy
import gc
import inspect
import pickle
import pydoc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from catalogue_tools import LOSS_NAMES, targets
from conftest import same_bits

import fastrelu
from fastrelu import _core


class Rows(np.ndarray):
    pass


def layouts(X):
    """The same values in every way that an array can hold them."""
    wide = np.zeros((len(X), 2 * X.shape[1]), X.dtype)
    wide[:, : X.shape[1]] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    raw = np.zeros(X.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(X.dtype).reshape(X.shape)
    misaligned[...] = X
    return {
        "plain": X,
        "rows apart": wide[:, : X.shape[1]],
        "columns apart": np.repeat(X, 2, axis=1)[:, ::2],
        "columns first": np.asfortranarray(X),
        "rows backwards": X[::-1].copy()[::-1],
        "other byte order": X.astype(X.dtype.newbyteorder()),
        "read-only": frozen,
        "subclass": X.view(Rows),
        "misaligned": misaligned,
        "a list": X.tolist(),
        "repeated row": np.broadcast_to(X[0], X.shape) if (X == X[0]).all() else X,
    }


@pytest.mark.parametrize("values", [np.arange(20) % 7, np.tile(np.arange(5), 4)])
def test_forward_and_step_take_every_layout(dtype, values):
    X = values.reshape(4, 5).astype(dtype)
    y, w = X[:, :3].copy(), np.arange(1.0, 5.0)
    net = fastrelu.Network([5, 6, 3], dtype=dtype)
    expected = net._forward(X.tolist(), None, True)
    trainers = {}
    for name, same in layouts(X).items():
        assert same_bits(net(same), expected), name
        assert same_bits(net.forward(same), expected), name
        assert same_bits(net(same[1]), expected[1]), name
        for same_y in (y, np.asfortranarray(y), y.tolist()):
            trainer = fastrelu.Trainer(net.copy())
            loss = trainer.step(same, same_y, w)
            trainers[name] = loss, trainer.network.parameters.tobytes()
            assert trainers[name] == trainers["plain"], name
    bytes_ = X.astype(np.uint8)
    assert same_bits(net(bytes_), expected) and same_bits(net(bytes_[2]), expected[2])


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_quick_and_general_steps_agree(loss, dtype, rng):
    X = rng.normal(size=(7, 5)).astype(dtype)
    y = targets(rng, loss, 7, 3, dtype)
    for weight in (None, np.ones(7), [2] * 7):
        quick = fastrelu.Trainer(fastrelu.Network([5, 6, 3], dtype=dtype), loss=loss)
        slow = fastrelu.Trainer(fastrelu.Network([5, 6, 3], dtype=dtype), loss=loss,
                                optimizer=fastrelu.SGD(lambda k: 0.1))  # fmt: skip
        for _ in range(3):
            assert quick.step(X, y, weight) == slow.step(X.tolist(), y.tolist(), weight)
        assert same_bits(quick.network.parameters, slow.network.parameters)
    one = fastrelu.Trainer(fastrelu.Network([5, 1], dtype=dtype))
    other = fastrelu.Trainer(fastrelu.Network([5, 1], dtype=dtype))
    assert one.step(X, X[:, 0].copy()) == other.step(X, X[:, :1].tolist())


def test_every_way_to_pass_arguments(dtype):
    net = fastrelu.Network([2, 3], dtype=dtype)
    X, out = np.ones((4, 2), dtype), np.empty((4, 3), dtype)
    expected = net._forward(X, None, True)
    for call in (
        net,
        net.forward,
        net.__call__,
        lambda *a, **k: fastrelu.Network.forward(net, *a, **k),
    ):
        for result in (
            call(X),
            call(X=X),
            call(X, None),
            call(X, out=None, check_finite=None),
            call(check_finite=False, X=X),
            call(**{"".join(["X"]): X}),
        ):
            assert same_bits(result, expected)
        for given in (call(X, out), call(X, out=out), call(out=out, X=X, check_finite=True)):
            assert given is out and same_bits(out, expected)
    y = np.zeros((4, 3), dtype)
    trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(0.0))
    losses = {
        trainer.step(X, y),
        trainer.step(X, y=y),
        trainer.step(y=y, X=X, sample_weight=None),
        trainer.step(X, y, np.ones(4)),
        fastrelu.Trainer.step(trainer, X, y),
    }
    assert len(losses) == 1 and trainer.n_steps == 5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda net, X: net(), "forward() missing 1 required positional argument: 'X'"),
        (lambda net, X: net.forward(), "forward() missing 1 required positional argument: 'X'"),
        (lambda net, X: net(X, None, True), "forward() takes from 2 to 3 positional arguments"),
        (lambda net, X: net(X, X=X), "forward() got multiple values for argument 'X'"),
        (lambda net, X: net(X, outt=X), "forward() got an unexpected keyword argument 'outt'"),
        (lambda net, X: fastrelu.Trainer(net).step(X), "step() missing 1 required positional"),
        (lambda net, X: fastrelu.Trainer(net).step(X, X, z=1), "step() got an unexpected keyword"),
        (lambda net, X: fastrelu.relu(), "relu() missing 1 required positional argument: 'z'"),
        (lambda net, X: fastrelu.relu(X, inplace=True), "relu() got an unexpected keyword"),
        (lambda net, X: fastrelu.linear_relu(X), "linear_relu() missing 1 required positional"),
    ],
)
def test_wrong_calls(call, says):
    with pytest.raises(TypeError) as error:
        call(fastrelu.Network([2, 2]), np.ones((1, 2)))
    assert says in str(error.value)


def test_signatures_and_docs():
    signature = inspect.signature(fastrelu.Network.forward)
    assert list(signature.parameters) == ["self", "X", "out", "check_finite"]
    net = fastrelu.Network([2, 2])
    assert list(inspect.signature(net).parameters) == ["X", "out", "check_finite"]
    assert list(inspect.signature(net.forward).parameters) == ["X", "out", "check_finite"]
    assert list(inspect.signature(fastrelu.Trainer.step).parameters)[1:] == [
        "X", "y", "sample_weight",
    ]  # fmt: skip
    assert list(inspect.signature(fastrelu.relu).parameters) == ["z", "out"]
    for thing in (fastrelu.Network, fastrelu.Network.forward, fastrelu.relu, fastrelu.Trainer.step):
        assert "Parameters" in pydoc.render_doc(thing)
    text = pydoc.plain(pydoc.render_doc(fastrelu.Network))
    text = "".join(text.replace("|", " ").split())  # however the lines are wrapped
    assert "forward(self,X:" in text
    assert fastrelu.relu.__name__ == "relu" and fastrelu.relu.__module__ == "fastrelu.functional"
    assert fastrelu.Network.forward.__qualname__ == "Network.forward"
    assert pickle.loads(pickle.dumps(fastrelu.relu)) is fastrelu.relu
    assert copy.deepcopy(fastrelu.relu) is fastrelu.relu and "function relu" in repr(fastrelu.relu)
    assert pickle.loads(pickle.dumps(net.forward))(np.ones(2)).shape == (2,)


def test_subclasses_may_override():
    X = np.ones((2, 3), "float32")

    class Plain(fastrelu.Network):
        pass

    class Scaled(fastrelu.Network):
        def forward(self, X, out=None, *, check_finite=None):
            return 2 * super().forward(X, out, check_finite=check_finite)

    class Called(fastrelu.Network):
        def __call__(self, X):
            return "mine", super().__call__(X)

    class Counting(fastrelu.Trainer):
        steps = 0

        def step(self, X, y, sample_weight=None):
            self.steps += 1
            return super().step(X, y, sample_weight)

    expected = fastrelu.Network([3, 2])(X)
    assert same_bits(Plain([3, 2])(X), expected)
    assert same_bits(Plain([3, 2]).forward(X=X), expected)
    assert same_bits(Scaled([3, 2]).forward(X), 2 * expected)
    assert same_bits(Scaled([3, 2])(X), expected)
    name, out = Called([3, 2])(X)
    assert name == "mine" and same_bits(out, expected)
    trainer = Counting(Plain([3, 2]))
    trainer.step(X, X[:, :2])
    assert trainer.steps == trainer.n_steps == 1


def test_call_may_be_replaced(monkeypatch):
    net = fastrelu.Network([3, 2])
    with monkeypatch.context() as patch:
        patch.setattr(fastrelu.Network, "__call__", lambda self, X: "replaced")
        assert net(np.ones(3)) == "replaced"
    assert net(np.ones(3)).shape == (2,)


def test_settings_changed_later_count():
    X = np.full((1, 2), np.nan, "float32")
    net = fastrelu.Network([2, 2], check_finite=False)
    assert np.isnan(net(X)).all() and np.isnan(net.forward(X)).all()
    with pytest.raises(ValueError, match="X: expected finite"):
        net(X, check_finite=True)
    net.check_finite = True
    with pytest.raises(ValueError, match="X: expected finite"):
        net(X)
    trainer = fastrelu.Trainer(net)
    with pytest.raises(ValueError, match="X: expected finite"):
        trainer.step(X, X)
    trainer.check_finite = False
    trainer.step(X, X)
    assert trainer.n_steps == 1


def test_a_network_without_init_is_an_error():
    empty = _core.Network()
    with pytest.raises(RuntimeError, match="__init__ has not been called"):
        empty.layer_sizes  # noqa: B018
    with pytest.raises(AttributeError, match="'str' object"):
        fastrelu.Network.forward("not a network", np.ones(2))
    with pytest.raises(TypeError):
        fastrelu.Network.forward()


def test_out_that_meets_the_input(dtype):
    net = fastrelu.Network([3, 3], dtype=dtype)
    memory = np.ones(40, dtype)
    X, apart = memory[:12].reshape(4, 3), memory[12:24].reshape(4, 3)
    assert net.forward(X, out=apart) is apart
    for out in (X, memory[3:15].reshape(4, 3), memory[11:23].reshape(4, 3)):
        with pytest.raises(ValueError, match="out: expected no overlap"):
            net.forward(X, out=out)
    backwards = np.ones((4, 3), dtype)[::-1]
    assert same_bits(net.forward(X, out=backwards), net(X))


def test_kernels_take_the_quick_way_with_the_same_result(dtype, rng):
    a, h = rng.normal(size=(2, 3, 4)).astype(dtype)
    W, b = rng.normal(size=(4, 5)).astype(dtype), rng.normal(size=5).astype(dtype)
    wide = np.repeat(a, 2, axis=1)[:, ::2]
    assert same_bits(fastrelu.relu(a), fastrelu.relu(wide))
    assert fastrelu.relu(a[0, 0, ...]).shape == () and fastrelu.relu(a[:0]).shape == (0, 4)
    assert same_bits(fastrelu.relu_backward(a, h), fastrelu.relu_backward(wide, h))
    for bias in (None, b):
        expected = fastrelu.linear_relu(wide, W, bias)
        assert same_bits(fastrelu.linear_relu(a, W, bias), expected)
        assert same_bits(fastrelu.linear_relu(a[1], W, b=bias), expected[1])
    out = np.empty_like(a)
    assert fastrelu.relu(a, out=out) is out and same_bits(out, fastrelu.relu(a))
    other = "float64" if dtype == "float32" else "float32"
    assert fastrelu.relu_backward(a, h.astype(other)).dtype == np.float64
    assert fastrelu.linear_relu(a, W.astype(other)).dtype == dtype


def calls_that_fail_or_not():
    net = fastrelu.Network([3, 4, 2])
    trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(0.0))
    X, y, out = np.ones((2, 3), "float32"), np.ones((2, 2), "float32"), np.ones((2, 2), "float32")
    bad, W = np.full((2, 3), np.nan, "float32"), np.ones((3, 2), "float32")

    def failing(call, *arguments, **keywords):
        try:
            call(*arguments, **keywords)
        except (TypeError, ValueError):
            return
        raise AssertionError("expected an error")

    def every_call():
        net(X)
        net(X[0])
        net(X, out=out)
        net.forward(X, check_finite=False)
        trainer.step(X, y)
        trainer.step(X, y, sample_weight=None)
        fastrelu.relu(X)
        fastrelu.relu(X, out=X)
        fastrelu.relu_backward(X, X)
        fastrelu.linear_relu(X, W)
        failing(net, bad)
        failing(net, X, outt=out)
        failing(net, X, out=bad)
        failing(trainer.step, X, bad)
        failing(trainer.step, X)

    return every_call, [net, trainer, trainer._core, X, y, out, bad, W, net.dtype]


def test_nothing_leaks():
    every_call, objects = calls_that_fail_or_not()
    every_call()
    gc.collect()
    counts = [sys.getrefcount(x) for x in objects]
    none = sys.getrefcount(None)
    for _ in range(10_000):
        every_call()
    gc.collect()
    assert [sys.getrefcount(x) for x in objects] == counts
    assert abs(sys.getrefcount(None) - none) < 1000
    tracemalloc.start()
    try:
        for _ in range(10):
            every_call()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            every_call()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def test_a_fast_function_in_a_cycle_is_collected():
    def general(z, out=None):
        return z

    alive = weakref.ref(general)
    fast = _core.fast_relu(general)
    fast.myself = fast
    assert fast("text") == "text" and fast.__wrapped__ is general
    del fast, general
    gc.collect()
    assert alive() is None


def in_another_thread(call):
    """What it raised there, or None."""
    seen = []

    def run():
        try:
            seen.append(call() and None)
        except RuntimeError as error:
            seen.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return seen[0]


def test_one_thread_changes_the_network_at_a_time():
    X, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    net = fastrelu.Network([3, 2])
    trainer, second = fastrelu.Trainer(net), fastrelu.Trainer(net)
    seen = []

    def callback(*_):
        net(X)  # the fitting thread itself may read, and step
        trainer.step(X, y)
        second.step(X, y)
        for call in (
            lambda: net(X[0]),
            lambda: net.forward(X),
            lambda: second.step(X, y),
            lambda: net.loss(X, y),
            lambda: second.fit(X, y),
        ):
            seen.append(in_another_thread(call))

    trainer.fit(X, y, epochs=2, callbacks=[callback])
    assert len(seen) == 10
    assert all("is running on it in another thread" in str(text) for text in seen)
    assert in_another_thread(lambda: net(X).shape) is None
    assert in_another_thread(lambda: second.step(X, y)) is None


def test_arguments_that_call_back():
    """Reading while reading is fine; a change while reading is an error and does nothing."""
    X, y = np.ones((1, 2), "float32"), np.ones((1, 2), "float32")
    net = fastrelu.Network([2, 2])
    trainer = fastrelu.Trainer(net)

    class Reader:
        def __array__(self, dtype=None, copy=None):
            return net(X) * 0 + 1

    class Stepper:
        def __array__(self, dtype=None, copy=None):
            trainer.step(X, y)
            return X

    assert same_bits(net(Reader()), net(X))
    before = net.parameters.tobytes()
    with pytest.raises(RuntimeError, match="another thread is reading it"):
        net(Stepper())
    assert net.parameters.tobytes() == before and trainer.n_steps == 0
    trainer.step(X, y)  # no use is left open
    assert trainer.n_steps == 1


def test_validation_in_one_pass_gives_the_bits_of_two(dtype, rng):
    X = rng.normal(size=(50, 3)).astype(dtype)
    w = rng.uniform(0.5, 1, 30)
    for loss in LOSS_NAMES:
        y = targets(rng, loss, 50, 2)
        trainer = fastrelu.Trainer(fastrelu.Network([3, 8, 2], dtype=dtype), loss=loss)
        held_out = (X[20:], y[20:], w)
        history = trainer.fit(X, y, validation_data=held_out)
        net = trainer.network
        assert history.val_loss == [net.loss(X[20:], y[20:], loss, w)]
        value, out = trainer._core.evaluate(trainer._core.data(*held_out, True))
        assert value == history.val_loss[0] and same_bits(out, net(X[20:]))
        assert trainer.fit(X, y, epochs=0).val_metric == []

# SPDX-License-Identifier: BSD-3-Clause
import ctypes
import ctypes.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastrelu
from fastrelu import schedules


def make(n=200, optimizer=None, **arguments):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 6)).astype("float32")
    y = (X[:, :2] ** 2).astype("float32")
    net = fastrelu.Network([6, 16, 2])
    optimizer = optimizer or fastrelu.Adam(1e-2)
    return fastrelu.Trainer(net, optimizer=optimizer, batch_size=16, **arguments), X, y


def test_fit_learns_and_keeps_history():
    trainer, X, y = make()
    history = trainer.fit(X[:150], y[:150], epochs=30, validation_data=(X[150:], y[150:]))
    assert len(history) == trainer.n_epochs == 30 and trainer.n_steps == 30 * 10
    assert history.loss[-1] < 0.2 * history.loss[0]
    assert history.metric == "r2" and history.val_metric[-1] > 0.5
    assert history.val_loss[-1] == trainer.network.loss(X[150:], y[150:])
    assert len(history.seconds) == len(history.rows_per_second) == 30


@pytest.mark.parametrize("sampling", ["shuffle", "subset", "with_replacement"])
@pytest.mark.parametrize(
    "optimizer",
    [
        fastrelu.SGD(0.05),
        fastrelu.SGD(schedules.inverse_time(5.0), momentum=0.9),
        fastrelu.Adam(schedules.cosine(1e-2, 100)),
        fastrelu.AdamW(schedules.step_decay(1e-2, 0.5, 10)),
    ],
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpoint_resumes_with_the_same_bits(tmp_path, optimizer, sampling, dropout):
    more = {"optimizer": optimizer, "n_shards": 2, "clip_norm": 1.0, "dropout": dropout}
    straight, X, y = make(**more)
    straight.fit(X, y, epochs=4, sampling=sampling)
    first, _, _ = make(**more)
    first.fit(X, y, epochs=2, sampling=sampling)
    first.save_checkpoint(tmp_path / "c")
    second = fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    second.fit(X, y, epochs=2, sampling=sampling)
    assert second.network.parameters.tobytes() == straight.network.parameters.tobytes()
    assert second.n_steps == straight.n_steps


def test_dropout_is_of_training_alone():
    plain, X, y = make()
    dropping, _, _ = make(dropout=0.5)
    assert dropping.dropout == (0.5,) and plain.dropout == (0.0,)
    gradients = [t.network.loss_and_gradient(X, y)[1].flat for t in (plain, dropping)]
    assert gradients[0].tobytes() == gradients[1].tobytes()
    assert plain.step(X, y) != dropping.step(X, y)
    assert dropping.network(X).tobytes() == dropping.network(X).tobytes()


def test_a_callable_is_given_again(tmp_path):
    trainer, X, y = make(optimizer=fastrelu.SGD(lambda k: 0.1 / k))
    trainer.fit(X, y)
    trainer.save_checkpoint(tmp_path / "c")
    with pytest.raises(ValueError, match="learning_rate: "):
        fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    again = fastrelu.Trainer.from_checkpoint(tmp_path / "c", learning_rate=lambda k: 0.1 / k)
    trainer.fit(X, y)
    again.fit(X, y)
    assert again.network.parameters.tobytes() == trainer.network.parameters.tobytes()


def test_schedules():
    assert [schedules.inverse_time(0.5)(k) for k in (1, 2, 4)] == [1.0, 0.5, 0.25]
    assert [schedules.step_decay(1.0, 0.5, 2)(k) for k in (1, 2, 3, 5)] == [1.0, 1.0, 0.5, 0.25]
    cosine = schedules.cosine(1.0, 11)
    assert cosine(1) == 1.0 and abs(cosine(6) - 0.5) < 1e-15 and cosine(11) == cosine(99) == 0.0
    seen = []
    trainer, X, y = make(optimizer=fastrelu.SGD(lambda k: seen.append(k) or 0.01))
    trainer.fit(X, y)
    trainer.step(X, y)
    assert seen == list(range(1, 15))


def test_interrupt_leaves_all_usable_and_resumes(tmp_path):
    """Ctrl-C within an epoch: the epoch is finished by the next fit, with the same bits."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 64)).astype("float32")
    y = rng.normal(size=(200_000, 8)).astype("float32")

    def trainer():
        return fastrelu.Trainer(fastrelu.Network([64, 256, 256, 8]), batch_size=32)

    straight, stopped = trainer(), trainer()
    history = straight.fit(X, y, epochs=1)
    inside = True

    def interrupt(*_):
        if inside and stopped.n_steps == 0:  # not at work yet
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        elif inside:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(X, y, epochs=1)
        inside = False
        assert time.monotonic() - began < 2.0
    finally:
        inside = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < stopped.n_steps < straight.n_steps and stopped.n_epochs == 0
    assert np.isfinite(stopped.network(X[0])).all()
    with pytest.raises(ValueError, match="interrupted epoch"):
        stopped.fit(X[:100], y[:100])
    stopped.save_checkpoint(tmp_path / "c")
    resumed = fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    rest = resumed.fit(X, y, epochs=0)
    assert rest.loss == history.loss
    assert resumed.network.parameters.tobytes() == straight.network.parameters.tobytes()


def test_a_signal_handler_may_read_but_not_train():
    """The trainer at work refuses another step; what a handler sees is between two steps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150_000, 64)).astype("float32")
    y = rng.normal(size=(150_000, 8)).astype("float32")
    nets = [fastrelu.Network([64, 256, 256, 8]) for _ in range(2)]
    straight, disturbed = (fastrelu.Trainer(net, batch_size=32) for net in nets)
    straight.fit(X, y)
    seen = []

    def handler(*_):
        if disturbed.n_steps == 0:  # not at work yet
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return
        for forbidden in (lambda: disturbed.step(X[:4], y[:4]), disturbed.discard_epoch):
            with pytest.raises(RuntimeError, match="running"):
                forbidden()
        seen.append((disturbed.n_steps, nets[1].parameters.copy()))

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        disturbed.fit(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert nets[1].parameters.tobytes() == nets[0].parameters.tobytes()
    steps, parameters = seen[0]
    net = fastrelu.Network([64, 256, 256, 8])
    again = fastrelu.Trainer(net, batch_size=32, optimizer=fastrelu.SGD(Until(steps)))
    again.fit(X, y)
    assert net.parameters.tobytes() == parameters.tobytes()


class Until:
    """The default rate for so many steps, then 0: w = fma(-0, g, w) leaves w as it is."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, k):
        return 0.1 if k <= self.steps else 0.0


def test_callbacks_and_progress(capsys):
    trainer, X, y = make()
    seen = []

    def callback(trainer, record):
        seen.append((record["epoch"], trainer.network.loss(X, y)))
        return record["epoch"] == 3

    history = trainer.fit(X, y, epochs=10, callbacks=[callback], progress=True)
    assert [epoch for epoch, _ in seen] == [1, 2, 3] and len(history) == 3
    assert capsys.readouterr().err.count("loss") == 3

    def broken(trainer, record):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trainer.fit(X, y, callbacks=[broken])
    trainer.fit(X, y)  # still usable


def test_another_thread_gets_a_clear_error_during_fit():
    trainer, X, y = make()
    errors = []

    def other():
        try:
            trainer.network(X)
        except RuntimeError as error:
            errors.append(str(error))

    def callback(_, record):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    trainer.fit(X, y, callbacks=[callback])
    assert len(errors) == 1 and "in another thread" in errors[0]
    other()
    assert len(errors) == 1


def test_weights_scale_like_repeated_rows():
    """Integer weights give, to rounding, what repeating the rows does."""
    trainer, X, y = make(n=20)
    w = np.arange(20) % 3 + 1.0
    loss, grads = trainer.network.loss_and_gradient(X, y, sample_weight=w)
    repeated = np.repeat(np.arange(20), w.astype(int))
    loss_2, grads_2 = trainer.network.loss_and_gradient(X[repeated], y[repeated])
    assert np.isclose(loss, loss_2) and np.allclose(grads.flat, grads_2.flat, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"loss": "hinge"}, ValueError, "loss"),
        ({"loss": 3}, TypeError, "loss"),
        ({"optimizer": 3}, TypeError, "optimizer: expected one of sgd, adam"),
        ({"optimizer": "adm"}, ValueError, "optimizer: expected one of sgd, .*, got 'adm'"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2, "n_shards": 3}, ValueError, "batch_size"),
        ({"clip_norm": 0}, ValueError, "clip_norm"),
        ({"seed": "x"}, TypeError, "seed"),
        ({"comm": object()}, TypeError, "comm"),
        ({"dropout": 1.0}, ValueError, "dropout: expected a rate from 0 and below 1"),
        ({"dropout": -0.1}, ValueError, "dropout"),
        ({"dropout": float("nan")}, ValueError, "dropout"),
        ({"dropout": "0.1"}, TypeError, "dropout"),
        ({"dropout": [0.1]}, ValueError, r"dropout: .*0 of them.*got \[0.1\]"),
    ],
)
def test_bad_trainer_arguments(arguments, error, says):
    with pytest.raises(error, match=says):
        fastrelu.Trainer(fastrelu.Network([2, 2]), **arguments)


def test_bad_optimizers_and_schedules():
    for make_bad in (
        lambda: fastrelu.SGD(-1),
        lambda: fastrelu.SGD(0.1, momentum=1.5),
        lambda: fastrelu.Adam(beta_1=1.0),
        lambda: fastrelu.Adam(epsilon=0),
        lambda: fastrelu.AdamW(weight_decay=np.nan),
        lambda: schedules.inverse_time(0),
    ):
        with pytest.raises(ValueError, match="expected"):
            make_bad()
    trainer, X, y = make(optimizer=fastrelu.SGD(lambda k: float("nan")))
    with pytest.raises(ValueError, match="learning_rate"):
        trainer.fit(X, y)
    assert trainer.n_steps == 0


def test_zero_rows_to_train_on():
    trainer, X, y = make()
    for call in (trainer.step, trainer.fit, trainer.network.loss_and_gradient):
        with pytest.raises(ValueError, match="X: expected at least one row"):
            call(X[:0], y[:0])


def child(queue):
    trainer, X, y = make(n=2000)
    fastrelu.set_num_threads(2)
    trainer.fit(X, y)
    queue.put(trainer.network.parameters.tobytes())


def test_fork_after_threads_were_used():
    fastrelu.Network([256, 256])(np.ones((2000, 256), "float32"))  # starts the pool
    trainer, X, y = make(n=2000)
    trainer.fit(X, y)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == trainer.network.parameters.tobytes()
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads the C library's rounding modes")
def test_a_callers_floating_point_modes_change_nothing():
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    upward = {"x86_64": 0x800, "aarch64": 0x400000}[os.uname().machine]

    _, X, y = make()

    def everything():
        trainer = fastrelu.Trainer(
            fastrelu.Network([6, 16, 2]), optimizer=fastrelu.Adam(schedules.inverse_time(30.0))
        )
        trainer.fit(X, y, epochs=2)
        trainer.step(X, y)
        return trainer.network.parameters.tobytes() + trainer.network(X).tobytes()

    expected = everything()
    mode = libm.fegetround()
    assert libm.fesetround(upward) == 0
    try:
        got = everything()
        still = libm.fegetround()
    finally:
        libm.fesetround(mode)
    assert got == expected and still == upward


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_settings_from_the_environment():
    good = run_python(
        "import fastrelu; c = fastrelu.show_config(); assert c['isa'] == 'baseline';"
        "assert fastrelu.get_num_threads() == 3",
        FASTRELU_ISA=" baseline", FASTRELU_NUM_THREADS="3\n", FASTRELU_TUNE="chain=128 ",
    )  # fmt: skip
    assert good.returncode == 0, good.stderr
    assert "chain=128," in good.stdout
    assert "baseline" in good.stdout
    bad = run_python("import fastrelu", FASTRELU_ISA="sse9")
    assert bad.returncode != 0 and "unknown instruction set 'sse9'" in bad.stderr
    bad = run_python("import fastrelu", FASTRELU_TUNE="chain=1")
    assert bad.returncode != 0 and "FASTRELU_TUNE: expected" in bad.stderr
    bad = run_python("import fastrelu; fastrelu.get_num_threads()", FASTRELU_NUM_THREADS="many")
    assert bad.returncode != 0 and "FASTRELU_NUM_THREADS" in bad.stderr
    with pytest.raises(ValueError, match="n: "):
        fastrelu.set_num_threads(0)


def test_a_diverging_fit_stops_and_keeps_finite_parameters(rng):
    X = rng.normal(size=(200, 4)).astype("float32")
    trainer = fastrelu.Trainer(fastrelu.Network([4, 8, 1]), optimizer=fastrelu.SGD(1e6))
    with pytest.raises(fastrelu.DivergenceError, match=r"diverged: the loss of step \d+ is"):
        trainer.fit(X, X[:, 0], epochs=3)
    assert np.isfinite(trainer.network.parameters).all()

# SPDX-License-Identifier: BSD-3-Clause
"""Processes, threads and interpreters beside each other: docs/reliability.md names these tests."""

import importlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastrelu
from fastrelu.sklearn import threads as fits

ROWS = (np.arange(700 * 64).reshape(700, 64) % 97 / 64 - 0.75).astype("f4")


def trained(seed=0):
    """The bits of a small training and of its predictions."""
    net = fastrelu.Network([64, 256, 256, 4], seed=seed)
    fastrelu.Trainer(net, batch_size=128, seed=seed).fit(ROWS, ROWS[:, :4], 1)
    return net(ROWS).tobytes() + net.parameters.tobytes()


def all_at_once(n, work):
    """The results of n threads that do the same."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == n
    return results


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children_train_and_predict(method):
    expected = trained()  # this process's threads are there before the fork
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(trained, [0, 0]) == [expected] * 2


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_trains():
    expected, begun, stop = trained(), threading.Event(), threading.Event()
    net = fastrelu.Network([64, 256, 256, 4])

    def seen(*_):
        begun.set()
        return stop.is_set()

    trainer = fastrelu.Trainer(net, batch_size=128)
    fit = threading.Thread(target=lambda: trainer.fit(ROWS, ROWS[:, :4], 10**6, callbacks=[seen]))
    fit.start()
    begun.wait()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                try:
                    net(ROWS)  # the parent's fit does not go on here, but its state is torn
                except RuntimeError:
                    os._exit(0 if trained() == expected else 1)
                os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        fit.join()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_beside_a_fit_shares_its_threads_with_nobody():
    begun, stop = threading.Event(), threading.Event()

    def seen(*_):
        begun.set()
        return stop.is_set()

    settings = {"hidden_layer_sizes": (4,), "n_iter_no_change": 10**6, "random_state": 0}
    estimator = fastrelu.MLPRegressor(max_iter=10**6, callbacks=[seen], **settings)
    fit = threading.Thread(target=lambda: estimator.fit(ROWS, ROWS[:, 0]))
    fit.start()
    begun.wait()
    try:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            counts = []
            own = fastrelu.MLPRegressor(
                max_iter=2, callbacks=[lambda *_: counts.append(len(fits._running))], **settings
            )
            own.fit(ROWS, ROWS[:, 0])
            os._exit(0 if counts == [1, 1] else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        fit.join()


def test_many_threads_read_one_network():
    net = fastrelu.Network([64, 256, 256, 4])
    expected = net(ROWS).tobytes()
    assert all(all_at_once(32, lambda: net(ROWS).tobytes() == expected))


def test_several_trainings_at_once():
    expected = trained()
    assert all(all_at_once(8, lambda: trained() == expected))


def test_two_trainers_of_one_network_at_once_raise():
    net = fastrelu.Network([64, 256, 256, 4])
    errors = []

    def other(*_):
        with pytest.raises(RuntimeError, match="another thread") as caught:
            fastrelu.Trainer(net).fit(ROWS, ROWS[:, :4], 1)
        errors.append(caught)

    thread = None

    def seen(*_):
        nonlocal thread
        if thread is None:
            thread = threading.Thread(target=other)
            thread.start()
        return bool(errors) or not thread.is_alive()

    fastrelu.Trainer(net).fit(ROWS, ROWS[:, :4], 10**6, callbacks=[seen])
    thread.join()
    assert len(errors) == 1


def test_a_sub_interpreter_is_refused():
    """It was waited for without an end, in a process of its own therefore."""
    name = next(
        (n for n in ("_interpreters", "_xxsubinterpreters") if importlib.util.find_spec(n)), None
    )
    if name is None:
        pytest.skip("needs a module that makes sub-interpreters")
    code = f"""
import {name} as interpreters, sys
made = interpreters.create()
try:
    found = interpreters.run_string(made, "import sys; sys.path[:] = " + repr(sys.path) + '''
import warnings
warnings.simplefilter("ignore")  # NumPy's own
import fastrelu
''')
    print(found)
except Exception as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "ImportError" in done.stdout and "subinterpreters" in done.stdout.replace("-", "")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_memory_is_lost():
    """10,000 rounds of create, fit, predict, delete."""
    code = """
import gc, numpy as np, fastrelu
X, y = np.ones((32, 8), "f4"), np.ones((32, 1), "f4")
def used():
    gc.collect()
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss"))
def rounds(n):
    for k in range(n):
        net = fastrelu.Network([8, 16, 1], seed=k)
        fastrelu.Trainer(net, batch_size=8).fit(X, y, 1)
        net(X)
        net.forward_cached(X)
rounds(1000)
before = used()
rounds(10000)
print(used() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000  # kB


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_cannot_be_pickled_says_so(protocol):
    """In a process of its own, since the old protocols ended it."""
    code = f"""
import pickle, fastrelu
from fastrelu import _core
net = fastrelu.Network([2, 3, 1])
trainer = fastrelu.Trainer(net)
data = trainer.prepare([[1.0, 2.0]], [[3.0]])
cache = net.forward_cached([[1.0, 2.0]])[1]
for made in (trainer, data, cache, _core.DefaultFloatingPoint()):
    try:
        pickle.dumps(made, {protocol})
    except TypeError as error:
        assert "pickle" in str(error), error
    else:
        raise AssertionError(made)
again = pickle.loads(pickle.dumps(net, {protocol}))
assert again.parameters.tobytes() == net.parameters.tobytes()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

# SPDX-License-Identifier: BSD-3-Clause
"""Python's threads: the bits of one thread, or an error that says what runs; with or without a GIL.

On a free-threaded interpreter nothing but the bindings' own guards stands between two threads.
"""

import copy
import importlib.util
import pickle
import subprocess
import sys
import sysconfig
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import fastrelu
from fastrelu import _core, quantiles

ROWS = np.random.default_rng(3).normal(size=(300, 16)).astype("float32")
TARGETS = np.maximum(ROWS[:, :2], ROWS[:, 2:4])


def at_once(calls):
    """Return what calls return, or the RuntimeError they raise; one thread each, begun together."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        try:
            return call()
        except RuntimeError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def without_errors(results):
    for result in results:
        if isinstance(result, RuntimeError):
            raise result
    return results


def network(width=32):
    return fastrelu.Network([16, width, 2], seed=1)


def trained(net, epochs=4, optimizer="adam"):
    history = fastrelu.Trainer(net, optimizer=optimizer, seed=5).fit(ROWS, TARGETS, epochs)
    return net.parameters.tobytes(), tuple(history.loss)


# Reading


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_32_threads_predict_on_one_network(rows):
    net, X = network(), ROWS[:rows]
    expected = net(X).tobytes()
    out, cache = net.forward_cached(X)
    flat = net.backward(cache, out).flat.tobytes()
    jacobian = net.jacobian(X).tobytes()

    def read():
        for _ in range(20):
            assert net(X).tobytes() == expected
            assert net.forward(X, out=np.empty((rows, 2), "float32")).tobytes() == expected
            assert net.backward(cache, out).flat.tobytes() == flat  # one cache for all of them
            assert net.jacobian(X).tobytes() == jacobian
            assert net.copy()(X).tobytes() == expected
            assert pickle.loads(pickle.dumps(net))(X).tobytes() == expected
        return True

    assert all(without_errors(at_once([read] * 32)))
    net.parameters[:] = 0
    fastrelu.Trainer(net).step(X, TARGETS[:rows])  # no reading is left open


def test_the_first_calls_of_a_process_come_from_many_threads():
    code = """
import threading, sys
barrier = threading.Barrier(16)
results = []
def work():
    barrier.wait()
    import fastrelu, numpy as np
    net = fastrelu.Network([4, 8, 1], seed=1)
    X = np.arange(64.0).reshape(16, 4)
    fastrelu.Trainer(net, optimizer="adam").fit(X, X[:, 0], 2)
    results.append((net(X).tobytes(), net.output_bounds([0] * 4, [1] * 4)[0].tobytes(),
                    fastrelu.relu(X - 30).tobytes(), fastrelu.get_num_threads()))
threads = [threading.Thread(target=work) for _ in range(16)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(results), len(set(results)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.split() == ["16", "1"], done.stderr


# Training


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_8_copies_train_at_once(optimizer):
    net = network()
    expected = trained(net.copy(), optimizer=optimizer)
    calls = [partial(trained, net.copy(), optimizer=optimizer) for _ in range(8)]
    assert set(without_errors(at_once(calls))) == {expected}


@pytest.mark.parametrize("width", [8, 400])  # steps that keep the GIL, and steps that release it
@pytest.mark.parametrize("trainers", [1, 8])
def test_steps_on_one_network_are_taken_whole_or_refused(trainers, width):
    """As many steps as were not refused, to the bit."""
    net = network(width)
    own = [fastrelu.Trainer(net) for _ in range(trainers)]
    refused = []

    def steps(trainer):
        taken = 0
        for _ in range(60):
            try:
                trainer.step(ROWS, TARGETS)
                taken += 1
            except RuntimeError as error:
                refused.append(str(error))
        return taken

    calls = [lambda k=k: steps(own[k % trainers]) for k in range(8)]
    taken = sum(without_errors(at_once(calls)))
    assert all("a step is running on it" in text for text in refused)
    assert taken + len(refused) == 8 * 60
    assert sum(trainer.n_steps for trainer in own) == taken
    alone = network(width)
    trainer = fastrelu.Trainer(alone)
    for _ in range(taken):
        trainer.step(ROWS, TARGETS)
    assert alone.parameters.tobytes() == net.parameters.tobytes()


def test_while_a_fit_runs_other_threads_are_told_so(tmp_path):
    """In its epochs and between them."""
    net = network()
    trainer, second = fastrelu.Trainer(net), fastrelu.Trainer(net)
    box = [[0, 1]] * 16
    uses = {
        "forward": lambda: net(ROWS),
        "step": lambda: second.step(ROWS, TARGETS),
        "fit": lambda: second.fit(ROWS, TARGETS),
        "fit of the same": lambda: trainer.fit(ROWS, TARGETS),
        "evaluate": lambda: second.evaluate(ROWS, TARGETS),
        "gradient": lambda: net.loss_and_gradient(ROWS, TARGETS),
        "bounds": lambda: net.output_bounds([0] * 16, [1] * 16),
        "along": lambda: net.along(ROWS[0], ROWS[1]),
        "local_affine": lambda: net.local_affine(ROWS),
        "lipschitz": net.lipschitz,
        "linear_regions": lambda: net.linear_regions((0, 1, 0, 1)),
        "regions": lambda: net.regions(box),
        "pieces": net.to_piecewise_linear,
        "maximize": lambda: net.maximize(box),
        "verify": lambda: net.verify(box, 0),
        "verify_shape": lambda: net.verify_shape(box, "convex"),
        "derivatives": lambda: net.derivative_bounds(box),
        "quantiles": lambda: quantiles.as_network(net),
        "milp": lambda: net.to_milp(tmp_path / "net.lp", box),
        "save": lambda: net.save(tmp_path / "net.safetensors"),
        "checkpoint": lambda: trainer.save_checkpoint(tmp_path / "trainer.safetensors"),
        "copy": lambda: copy.deepcopy(net),
        "pickle": lambda: pickle.dumps(net),
        "discard_epoch": trainer.discard_epoch,
    }
    seen = []

    def callback(*_):
        net(ROWS)  # the thread that trains may
        found = at_once(list(uses.values()))
        seen.append({name: str(error) for name, error in zip(uses, found, strict=True)})

    trainer.fit(ROWS, TARGETS, epochs=2, callbacks=[callback])
    expected = "network: a fit is running on it in another thread"
    assert seen == [dict.fromkeys(uses, expected)] * 2
    assert list(tmp_path.iterdir()) == []


def test_who_reads_beside_fits_sees_a_state_between_two(tmp_path):
    """Copies, pickles and files hold the parameters of before a fit or of after it, or are not."""
    net = network()
    alone = network()
    states = {alone.parameters.tobytes()}
    twin = fastrelu.Trainer(alone, seed=5)
    for _ in range(12):
        twin.fit(ROWS, TARGETS)
        states.add(alone.parameters.tobytes())
    trainer = fastrelu.Trainer(net, seed=5)
    ended = threading.Event()

    def saved(k):
        path = tmp_path / f"{k}.safetensors"
        net.save(path)
        return fastrelu.load(path)

    kinds = [lambda k: net.copy(), lambda k: pickle.loads(pickle.dumps(net)), saved]

    def fits():
        made = 0
        while made < 12:
            try:
                trainer.fit(ROWS, TARGETS)
                made += 1
            except RuntimeError as error:  # one reads just now, and nothing has changed
                assert "another thread is reading it" in str(error)
        ended.set()
        return made

    def reads(k):
        whole, refused = 0, 0
        while not ended.is_set():
            try:
                got = kinds[k % 3](k)
            except RuntimeError as error:
                assert "is running on it in another thread" in str(error)
                refused += 1
            else:
                assert got.parameters.tobytes() in states
                whole += 1
        return whole + refused

    found = without_errors(at_once([fits, *(lambda k=k: reads(k) for k in range(3))]))
    assert found[0] == 12 and net.parameters.tobytes() == alone.parameters.tobytes()


def test_where_a_training_stands_is_whole_or_refused():
    net = network(8)
    trainer = fastrelu.Trainer(net, batch_size=10, seed=5)
    data = trainer.prepare(ROWS, TARGETS)
    twin = fastrelu.Trainer(network(8), batch_size=10, seed=5)
    losses = {0: twin.epoch_loss}
    for epoch in range(1, 41):
        twin.fit(ROWS, TARGETS)
        losses[epoch] = twin.epoch_loss
    ended = threading.Event()
    refused = []

    def trains():
        inside = []

        def stop():  # what the thread that trains asks itself
            inside.append(trainer.n_steps)
            return False

        for _ in range(40):
            trainer.run_epoch(data, stop=stop)
        ended.set()
        return all(0 < steps <= 40 * 30 for steps in inside)

    def looks():
        looked = 0
        while not ended.is_set():
            looked += 1
            try:
                assert trainer.n_steps % 30 == 0
                assert trainer.n_epochs in losses
                assert not trainer.epoch_open and trainer.epoch_steps == 0
                assert repr(trainer.epoch_loss) in {repr(loss) for loss in losses.values()}
            except RuntimeError as error:
                refused.append(str(error))
        return looked

    found = without_errors(at_once([trains, looks, looks]))
    assert found[0] is True
    assert all("trainer: " in text and "is running on it in another" in text for text in refused)
    assert (trainer.n_steps, trainer.n_epochs) == (40 * 30, 40)
    assert net.parameters.tobytes() == twin.network.parameters.tobytes()


def test_a_scope_of_floating_point_is_one_threads():
    scope = _core.DefaultFloatingPoint()
    with scope:
        (error,) = at_once([scope.__enter__])
        assert "is running on it in another thread" in str(error)
        (error,) = at_once([lambda: scope.__exit__(None, None, None)])
        assert "not entered here" in str(error)
    with scope:
        pass


# Populations and searches


def population(seed=0):
    configs = [
        {"layer_sizes": [16, width, 2], "seed": seed + k} for k in range(3) for width in (4, 9)
    ]
    return fastrelu.Population([*configs, {"layer_sizes": [16, 64, 2], "dropout": 0.2}])


def test_populations_of_several_threads():
    def fitted(seed):
        made = population(seed)
        histories = made.fit(ROWS, TARGETS, epochs=3, validation_data=(ROWS[:50], TARGETS[:50]))
        parameters = b"".join(net.parameters.tobytes() for net in made.networks)
        return parameters, repr([(h.loss, h.val_loss) for h in histories])

    expected = [fitted(seed) for seed in range(4)]
    assert without_errors(at_once([lambda s=s: fitted(s) for s in range(4)])) == expected


def test_a_second_fit_of_a_population_is_refused():
    made, alone = population(), population()
    alone.fit(ROWS, TARGETS, epochs=3)
    seen = []

    def callback(*_):
        if not seen:
            seen.extend(
                at_once([lambda: made.fit(ROWS, TARGETS, 99), made.members[0].network.copy])
            )
            with pytest.raises(RuntimeError, match="population: a fit is running on it"):
                made.fit(ROWS, TARGETS)  # the same thread

    histories = made.fit(ROWS, TARGETS, epochs=3, callbacks=[callback])
    assert [str(error) for error in seen] == [
        "population: a fit is running on it",
        "network: a fit is running on it in another thread",
    ]
    assert {len(history) for history in histories} == {3}
    for net, other in zip(made.networks, alone.networks, strict=True):
        assert net.parameters.tobytes() == other.parameters.tobytes()


def test_callbacks_of_a_population_come_one_at_a_time():
    """They may read and change their member, which is theirs meanwhile."""
    inside, most = 0, 0

    def callback(member, record):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(1e-3)  # another thread may have the GIL meanwhile
        member.network(ROWS[:4])
        assert member.trainer.n_epochs == record.epoch
        member.trainer.step(ROWS[:4], TARGETS[:4])
        member.trainer.evaluate(ROWS, TARGETS)
        inside -= 1

    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(4)
    try:
        made = population()
        made.fit(ROWS, TARGETS, epochs=6, callbacks=[callback])
    finally:
        fastrelu.set_num_threads(before)
    assert (inside, most) == (0, 1)
    assert [member.trainer.n_steps for member in made.members] == [6 * 10 + 6] * len(made)


def test_an_error_in_a_callback_ends_a_population_once():
    def callback(member, record):
        raise KeyError(record.epoch)

    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(4)
    try:
        made = population()
        with pytest.raises(KeyError):
            made.fit(ROWS, TARGETS, epochs=6, callbacks=[callback])
        made.networks[0](ROWS)  # nobody holds it any more
        made.fit(ROWS, TARGETS, epochs=6)
    finally:
        fastrelu.set_num_threads(before)
    assert {member.trainer.n_epochs for member in made.members} == {6}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches_of_several_threads():
    pytest.importorskip("sklearn")

    def found(seed):
        search = fastrelu.PopulationSearchCV(
            fastrelu.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=seed),
            {"alpha": [0.001, 0.1], "learning_rate_init": [0.001, 0.01]},
            cv=3,
        )
        search.fit(ROWS, TARGETS[:, 0])
        return search.cv_results_["mean_test_score"].tobytes(), search.predict(ROWS).tobytes()

    expected = [found(seed) for seed in range(3)]
    with warnings.catch_warnings():  # the filters are the process's, and fits change them
        warnings.simplefilter("ignore")
        assert without_errors(at_once([lambda s=s: found(s) for s in range(3)])) == expected


def test_estimators_of_several_threads():
    pytest.importorskip("sklearn")

    def fitted(seed):
        made = fastrelu.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return made.fit(ROWS, TARGETS[:, 0]).predict(ROWS).tobytes()

    expected = [fitted(seed) for seed in range(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert without_errors(at_once([lambda s=s: fitted(s) for s in range(6)])) == expected


# The process


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="an interpreter with a GIL"
)
def test_no_gil_comes_with_the_module():
    code = "import sys, fastrelu; fastrelu.Network([1, 1]); print(sys._is_gil_enabled())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr


def test_threads_that_look_for_threadpoolctl_leave_it_registered():
    """`find_spec` alone had taken away what registers the core."""
    if importlib.util.find_spec("threadpoolctl") is None:
        pytest.skip("threadpoolctl is not installed")
    code = """
import importlib.util, threading
import fastrelu
barrier = threading.Barrier(8)
def work(k):
    barrier.wait()
    importlib.util.find_spec("threadpoolctl")
    if k % 2:
        import threadpoolctl
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
import sys, threadpoolctl
own = [info for info in threadpoolctl.threadpool_info() if info["internal_api"] == "fastrelu"]
print(len(own), sum(type(f).__name__ == "_Watch" for f in sys.meta_path))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["1", "0"], done.stderr

# SPDX-License-Identifier: BSD-3-Clause
"""Copies of what trains, beside another thread's fit and without one."""

import copy
import pickle
import threading

import numpy as np
import pytest

import fastrelu

ROWS = np.random.default_rng(3).normal(size=(200, 6))
TARGETS = np.maximum(ROWS[:, :2], ROWS[:, 2:4])


def in_another_thread(call):
    """What a call returns or raises in a thread of its own."""
    found = []

    def run():
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def estimator(solver, dtype, **more):
    pytest.importorskip("sklearn")
    return fastrelu.MLPRegressor(
        hidden_layer_sizes=(12,), solver=solver, dtype=dtype, random_state=0, max_iter=12, **more
    )


def seen_by_another_thread(made):
    """What another thread gets of an estimator in each of its fit's epochs, and what it was."""
    refused, inside = [], []

    def callback(made, record):
        for take in (copy.deepcopy, copy.copy, pickle.dumps, lambda e: e.network_.copy(),
                     lambda e: e.predict(ROWS)):  # fmt: skip
            refused.append(in_another_thread(lambda take=take: take(made)))
        kept = copy.deepcopy(made)  # the thread that fits may
        inside.append((kept.n_iter_, kept.predict(ROWS) == made.predict(ROWS)))

    made.set_params(callbacks=[callback])
    made.fit(ROWS, TARGETS)
    return refused, inside


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["lbfgs", "adam", "sgd"])
def test_no_copy_of_an_estimator_is_made_while_another_thread_fits(solver, dtype):
    """A copy of between two iterations would have the weights of one and the counts of another."""
    made = estimator(solver, dtype)
    refused, inside = seen_by_another_thread(made)
    assert len(refused) == 5 * made.n_iter_
    expected = "network: a fit is running on it in another thread"
    assert {f"{type(e).__name__}: {e}" for e in refused} == {f"RuntimeError: {expected}"}
    assert [n for n, _ in inside] == list(range(1, made.n_iter_ + 1))
    assert all(same.all() for _, same in inside)
    again = in_another_thread(lambda: copy.deepcopy(made))
    assert (again.predict(ROWS) == made.predict(ROWS)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_copies_beside_an_estimators_fits_are_of_before_or_after(solver):
    """Without callbacks, which leave time between two iterations."""
    made = estimator(solver, None, warm_start=True).fit(ROWS, TARGETS)
    twin = pickle.loads(pickle.dumps(made))
    states = {(twin.n_iter_, twin.network_.parameters.tobytes())}
    for _ in range(8):
        twin.fit(ROWS, TARGETS)
        states.add((twin.n_iter_, twin.network_.parameters.tobytes()))
    ended, wrong, seen = threading.Event(), [], [0]

    def reads():
        while not ended.is_set():
            try:
                got = pickle.loads(pickle.dumps(made))
            except RuntimeError as error:
                assert "a fit is running on it in another thread" in str(error)
            else:
                if (got.n_iter_, got.network_.parameters.tobytes()) not in states:
                    wrong.append(got)
            seen[0] += 1

    thread = threading.Thread(target=reads)
    thread.start()
    fits = 0
    while fits < 8:
        try:
            made.fit(ROWS, TARGETS)
            fits += 1
        except RuntimeError as error:  # one copies it just now
            assert "another thread is reading it" in str(error)
    ended.set()
    thread.join()
    assert seen[0] and not wrong
    assert made.network_.parameters.tobytes() == twin.network_.parameters.tobytes()


@pytest.mark.parametrize(
    "take", [copy.copy, copy.deepcopy, *(lambda o, p=p: pickle.dumps(o, p) for p in range(6))]
)
def test_what_has_a_checkpoint_says_so_instead_of_a_copy(take):
    """A shallow copy of a trainer trained the same network; the others named a hidden class."""
    trainer = fastrelu.Trainer(fastrelu.Network([1, 1]))
    population = fastrelu.Population([{"layer_sizes": [1, 1]}])
    for made in (trainer, population):
        name = type(made).__name__
        with pytest.raises(TypeError, match=rf"copy or pickle a {name}: .*{name}.from_checkpoint"):
            take(made)
    data = trainer.prepare([[1.0]], [1.0])
    if take is copy.copy:
        assert copy.copy(data) is data
    else:
        with pytest.raises(TypeError, match=r"DataSet.*Trainer\.prepare"):
            take(data)

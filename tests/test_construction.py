# SPDX-License-Identifier: BSD-3-Clause
"""An object of a compiled class is made once, whoever calls its `__init__` and how often."""

import threading

import numpy as np
import pytest
from test_python_threads import ROWS, TARGETS, at_once, network

import fastrelu
from fastrelu import _core

OPTIONS = {
    "loss": "squared_error", "pos_weight": [], "optimizer": "sgd", "batch_size": 1, "n_shards": 1,
    "seed": 0, "clip_norm": 0.0,
}  # fmt: skip
ROWS_ENCODED = ([3, 1], [True, False], [[1, 0], [2, 0]], [[0.5, 7.0], [0.25, 8.0]])
# Of each compiled class with an __init__ of its own: arguments, and others of another object.
ARGUMENTS = {
    "DefaultFloatingPoint": ((), ()),
    "EncodedRows": (ROWS_ENCODED, ([2], [False], [[1]], [[3.0]])),
    "GivenEpochs": ((np.arange(4), None, 2, 0.0, 1.0), (np.arange(9), None, 3, 0.0, 1.0)),
    "Trainer": ((network(), OPTIONS), (network(8), OPTIONS)),
}

MADE_BY_THE_CORE = {
    "Cache": lambda: network().forward_cached(ROWS)[1],
    "DataSet": lambda: fastrelu.Trainer(network()).prepare(ROWS, TARGETS).core,
}


def described(made):
    """Return what tells one object of a class from another."""
    if isinstance(made, _core.EncodedRows):
        return made.shape, made.positions.tolist(), made.values.tolist()
    if isinstance(made, _core.GivenEpochs):
        return sorted(made.shuffled())
    if isinstance(made, _core.Trainer):
        return [scales.shape for scales in made.optimizer_arrays], made.state["step"]
    return None


def test_every_class_with_an_init_of_its_own_is_here():
    found = {
        name
        for name, value in vars(_core).items()
        if isinstance(value, type) and "__init__" in vars(value)
    }
    assert found == {*ARGUMENTS, *MADE_BY_THE_CORE, "Network"}


@pytest.mark.parametrize("name", MADE_BY_THE_CORE)
def test_what_the_core_alone_makes_has_no_init(name):
    made = MADE_BY_THE_CORE[name]()
    assert type(made) is getattr(_core, name)
    for arguments in ((), (1,)):
        with pytest.raises(TypeError, match="constructor"):
            made.__init__(*arguments)
        with pytest.raises(TypeError, match="constructor"):
            type(made)(*arguments)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_object_is_made_once(name):
    first, second = ARGUMENTS[name]
    cls = getattr(_core, name)
    made = cls(*first)
    before = described(made)
    for arguments in (second, first):
        with pytest.raises(RuntimeError, match=f"_core.{name}: __init__ has been called already"):
            made.__init__(*arguments)
        assert described(made) == before
    assert described(cls(*second)) != before or name in ("DefaultFloatingPoint", "Trainer")


@pytest.mark.parametrize("name", ["EncodedRows", "GivenEpochs", "Trainer"])
def test_what_could_not_be_made_may_be_made_again(name):
    first = ARGUMENTS[name][0]
    cls = getattr(_core, name)
    made = cls.__new__(cls)
    for wrong in ((), (*first[:-1], "other")):
        with pytest.raises((TypeError, ValueError)):
            made.__init__(*wrong)
        with pytest.raises(RuntimeError, match="__init__ has not been called"):
            described(made)
    made.__init__(*first)
    assert described(made) == described(cls(*first))


def test_an_init_of_another_object_is_a_type_error():
    for name, (first, _) in ARGUMENTS.items():
        with pytest.raises(TypeError, match="__init__"):
            getattr(_core, name).__init__(object(), *first)


class Slow:
    """An argument whose conversion lets another thread in."""

    def __init__(self, value, inside, go_on):
        self.value, self.inside, self.go_on = value, inside, go_on

    def __array__(self, dtype=None, copy=None):
        self.inside.set()
        assert self.go_on.wait(60)
        return np.asarray(self.value, dtype)


@pytest.mark.parametrize("place", range(4))
def test_rows_are_made_once_while_another_thread_makes_them(place):
    """In each conversion of an argument; the second thread would have made them first."""
    inside, go_on = threading.Event(), threading.Event()
    rows = fastrelu.EncodedRows.__new__(fastrelu.EncodedRows)
    slow = list(ROWS_ENCODED)
    slow[place] = Slow(slow[place], inside, go_on)
    other = ARGUMENTS["EncodedRows"][1]

    def second():
        assert inside.wait(60)
        try:
            rows.__init__(*other)
        finally:
            go_on.set()

    made, refused = at_once([lambda: rows.__init__(*slow), second])
    assert made is None
    assert "EncodedRows: __init__ has been called already" in str(refused)
    assert described(rows) == described(fastrelu.EncodedRows(*ROWS_ENCODED))


def test_one_of_many_threads_makes_rows():
    for _ in range(50):
        rows = fastrelu.EncodedRows.__new__(fastrelu.EncodedRows)
        calls = [
            lambda rows=rows, n=n: rows.__init__([n], [False], [[n - 1]], [[float(n)]])
            for n in range(2, 8)
        ]
        calls += [lambda rows=rows: rows.shape] * 2
        found = at_once(calls)
        (made,) = [k for k, result in enumerate(found[:6]) if result is None]
        assert rows.shape == (1, made + 2) and rows.values.tolist() == [[made + 2.0]]
        assert set(found[6:]) - {rows.shape} <= {e for e in found if isinstance(e, RuntimeError)}
        texts = {str(result) for result in found if isinstance(result, RuntimeError)}
        assert texts <= {
            "fastrelu._core.EncodedRows: __init__ has been called already",
            "fastrelu._core.EncodedRows: __init__ has not been called",
        }


def test_a_network_is_made_once():
    net = network()
    trainer = fastrelu.Trainer(net)
    before = net.parameters.tobytes()
    with pytest.raises(RuntimeError, match="__init__ has been called already"):
        net.__init__([3, 3])
    assert net.layer_sizes == [16, 32, 2] and net.parameters.tobytes() == before
    trainer.fit(ROWS, TARGETS)
    assert net.parameters.tobytes() != before  # it is the trainer's still


def test_one_of_many_threads_makes_a_network():
    for _ in range(50):
        net = fastrelu.Network.__new__(fastrelu.Network)
        calls = [lambda net=net, n=n: net.__init__([n, 4, 1]) for n in range(2, 8)]
        calls += [lambda net=net: (net.n_parameters, net.layer_sizes)] * 2
        found = at_once(calls)
        made = [k for k, result in enumerate(found[:6]) if result is None]
        assert len(made) == 1
        assert net.layer_sizes == [made[0] + 2, 4, 1]
        assert net(np.ones(made[0] + 2)).shape == (1,)
        texts = {str(result) for result in found if isinstance(result, RuntimeError)}
        assert texts <= {
            "network: __init__ has been called already",
            "network: __init__ has not been called",
            "fastrelu._core.Network: __init__ has not been called",
        }

# SPDX-License-Identifier: BSD-3-Clause
"""The conformance kit: its hashes, and its vectors as another implementation would use them."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

import fastrelu
from fastrelu import _core, losses, optimizers, selftest
from fastrelu.selftest.runs import RUNS

CASES = selftest.vectors()["cases"]
SCRIPT = Path(__file__).parent.parent / "scripts" / "selftest_files.py"


def numbers(texts, dtype="float64"):
    """Hexadecimal texts as an array."""
    if isinstance(texts, list):
        return np.array([numbers(text, dtype) for text in texts], dtype)
    return np.dtype(dtype).type(float.fromhex(texts))


def test_the_bits_are_those_of_the_package(isa):
    assert selftest.parts() == selftest.expected()
    cut = selftest.parts(3)
    assert cut and all(selftest.expected()[name] == value for name, value in cut.items())
    assert set(selftest.expected()) == set(RUNS)


def test_every_entry_of_the_catalogue_has_a_part():
    catalogue = _core.catalogue()
    for kind, part in (("losses", "loss"), ("optimizers", "optimizer"), ("activations", "forward")):
        for row in catalogue[kind]:
            assert f"{part}.{row['name']}.float32" in RUNS, row["name"]


def test_a_changed_bit_is_seen(monkeypatch):
    name, run = next((n, r) for n, r in RUNS.items() if n.startswith("forward."))

    def changed(cut):
        array = run(cut)[0].copy()
        array.flat[-1] = np.nextafter(array.flat[-1], np.inf)
        return [array]

    monkeypatch.setitem(RUNS, name, changed)
    assert {k for k, v in selftest.parts().items() if v != selftest.expected()[k]} == {name}


def test_any_nan_is_the_same():
    nan = np.array([0x7FC00000, 0xFFC00001, 0x7F800001], np.uint32).view(np.float32)
    assert len({selftest._hash([nan[i : i + 1]]) for i in range(3)}) == 1
    assert selftest._hash([np.zeros(1)]) != selftest._hash([-np.zeros(1)])


def network(case):
    net = fastrelu.Network(
        case["layer_sizes"], dtype=case["dtype"], activation=case.get("activation", "relu")
    )
    net.parameters[:] = numbers(case["parameters"], case["dtype"])
    return net


def of_kind(*kinds):
    found = [case for case in CASES if case["kind"] in kinds]
    return pytest.mark.parametrize("case", found, ids=lambda c: "-".join(
        str(c.get(k)) for k in ("function", "init", "loss", "optimizer", "activation", "dtype")
        if k in c
    ))  # fmt: skip


@of_kind("elementary")
def test_vectors_of_elementary_functions(case, isa):
    x, y = (numbers(case[key], case["dtype"]) for key in "xy")
    assert same_bits(_core.elementary(case["function"], x), y)


@of_kind("words", "initial_parameters")
def test_vectors_of_random_numbers(case):
    if case["kind"] == "words":
        key = (int(case["seed"]), case["purpose"])
        counters = [(i, int(case["index"]), int(case["time"]), 0) for i in range(3)]
        words = [word for counter in counters for word in _core.philox_block(counter, key)]
        assert [str(word) for word in words[:9]] == case["words"]
    else:
        net = fastrelu.Network(
            case["layer_sizes"], dtype=case["dtype"], init=case["init"], seed=int(case["seed"])
        )
        assert same_bits(net.parameters, numbers(case["parameters"], case["dtype"]))


@of_kind("passes")
def test_vectors_of_passes(case, isa):
    net, dtype = network(case), case["dtype"]
    out, cache = net.forward_cached(numbers(case["x"]))
    found = net.backward(cache, numbers(case["d_out"]), inputs=True)
    assert same_bits(out, numbers(case["outputs"], dtype))
    assert same_bits(found.flat, numbers(case["gradient"], dtype))
    assert same_bits(found.inputs, numbers(case["gradient_to_x"], dtype))


@of_kind("loss")
def test_vectors_of_losses(case, isa):
    net, loss = network(case), losses.as_loss(case["loss"])
    if loss.info.parameter is not None:
        name = loss.info.parameter.name
        loss = losses.with_parameter(case["loss"], float.fromhex(case[name]))
    if "pos_weight" in case:
        loss = losses.BinaryCrossEntropy(float.fromhex(case["pos_weight"]))
    y = np.array(case["y"]) if loss.info.domain.labels else numbers(case["y"])
    weights = numbers(case["row_weights"])
    value, gradients = net.loss_and_gradient(numbers(case["x"]), y, loss, weights)
    assert value == float.fromhex(case["value"])
    assert same_bits(gradients.flat, numbers(case["gradient"], case["dtype"]))
    predictions = net.predict_proba(numbers(case["x"]), loss)
    assert same_bits(predictions, numbers(case["predictions"], case["dtype"]))


@of_kind("steps")
def test_vectors_of_steps(case, isa):
    kind = type(optimizers.as_optimizer(case["optimizer"]))
    known = {"learning_rate", "momentum", "nesterov", "weight_decay", "beta_1", "beta_2", "epsilon"}
    given = {
        k: float.fromhex(v) if isinstance(v, str) else v for k, v in case.items() if k in known
    }
    trainer = fastrelu.Trainer(network(case), optimizer=kind(**given), batch_size=4)
    X, y = numbers(case["x"]), numbers(case["y"])
    assert [trainer.step(X, y) for _ in range(3)] == numbers(case["losses"]).tolist()
    after = numbers(case["parameters_after"], case["dtype"])
    assert same_bits(trainer.network.parameters, after)


def test_the_vectors_are_those_of_the_reference():
    spec = importlib.util.spec_from_file_location("selftest_files", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with np.errstate(all="ignore"):
        assert script.vectors() == selftest.vectors()


def test_the_command(monkeypatch):
    pytest.importorskip("click")
    from command_tools import run

    monkeypatch.setattr(selftest, "THREADS", (2,))
    monkeypatch.setattr(selftest, "CUTS", (None,))
    done = run("selftest", "--bits")
    assert done.exit_code == 0 and f"{len(RUNS)} parts on" in done.output
    assert f"{selftest.expected()['schedules'][:16]}  schedules\n" in done.output
    plain = json.loads(run("selftest", "--bits", "--json").stdout)
    assert plain["parts"] == selftest.expected()
    assert plain["hash"] == selftest.combined(selftest.expected())
    assert json.loads(run("selftest", "--vectors").stdout) == selftest.vectors()
    monkeypatch.setattr(selftest, "expected", lambda: {**plain["parts"], "schedules": "0"})
    done = run("selftest")
    assert done.exit_code == 1 and "1 of" in done.stderr and "schedules: " in done.stderr

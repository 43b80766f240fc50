# SPDX-License-Identifier: BSD-3-Clause
"""A walk through the catalogue's optimizers: a half-added one fails somewhere here."""

import functools
import inspect
from dataclasses import fields

import numpy as np
import pytest
from catalogue_tools import OPTIMIZER_NAMES, OPTIMIZERS, optimizer_of
from command_tools import run
from conftest import same_bits

import fastrelu
from fastrelu import optimizers, reference
from fastrelu._catalogue import OPTIMIZERS as ROWS
from fastrelu.app.settings import options
from fastrelu.app.usual import usual_number

EACH = pytest.mark.parametrize("name", OPTIMIZER_NAMES)


def test_python_core_and_reference_have_the_same_optimizers():
    assert optimizers.names() == OPTIMIZER_NAMES == list(ROWS)
    assert set(reference.optimizers._BY_NAME) == set(OPTIMIZER_NAMES)
    names = ", ".join(OPTIMIZER_NAMES)
    with pytest.raises(ValueError, match=f"optimizer: expected one of {names}, got x"):
        fastrelu._core.Trainer(
            fastrelu.Network([2, 1]),
            {"optimizer": "x", "loss": "squared_error", "pos_weight": []},
        )
    with pytest.raises(ValueError, match=f"optimizer: expected one of {names}, or .*, got 'x'"):
        fastrelu.Trainer(fastrelu.Network([2, 1]), optimizer="x")
    with pytest.raises(TypeError, match=f"optimizer: expected one of {names}, got their base"):
        optimizers.Optimizer(0.1)


@EACH
def test_numbers_are_those_of_the_catalogue(name):
    own, twin, row = (
        optimizers.as_optimizer(name),
        reference.optimizers.as_optimizer(name),
        ROWS[name],
    )
    assert type(own).__name__ == type(twin).__name__ and type(own).__doc__
    assert getattr(optimizers, type(own).__name__) is type(own)
    assert getattr(reference, type(own).__name__) is type(twin)
    taken = {field.name for field in fields(own)}
    assert taken - {"learning_rate", "nesterov"} == set(row.numbers)
    assert own.learning_rate == twin.learning_rate == row.learning_rate
    described = inspect.getdoc(type(own))
    for number in row.numbers.values():
        assert getattr(own, number.name) == getattr(twin, number.name) == number.initial
        assert number.name in described
        for bad in (number.low - 1, number.high + 1, np.nan, "a", True):
            with pytest.raises((TypeError, ValueError), match=f"{number.name}: expected"):
                type(own)(**{number.name: bad})
        for end, possible in ((number.low, number.with_low), (number.high, number.with_high)):
            if possible:
                type(own)(**{number.name: end})
            else:
                with pytest.raises(ValueError, match=f"{number.name}: expected"):
                    type(own)(**{number.name: end})
    with pytest.raises(ValueError, match="learning_rate: expected"):
        type(own)(-1.0)


@EACH
def test_the_core_takes_the_usual_numbers_where_none_are_given(name, rng):
    X, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 1))
    found = []
    for more in ({}, optimizers.core_options(optimizers.as_optimizer(name))):
        net = fastrelu.Network([3, 4, 1], dtype="float64")
        options = {
            "loss": "squared_error", "pos_weight": [], "batch_size": 9, "n_shards": 1, "seed": 0,
            "clip_norm": 0.0, "optimizer": name,
        }  # fmt: skip
        core = fastrelu._core.Trainer(net, options | more)
        for _ in range(5):
            core.step(X, y, None, 0.01, True)
        found.append(net.parameters.copy())
    assert same_bits(*found)


def trained(module, label, dtype):
    """The parameters after fits with minibatches of three sizes."""
    rng = np.random.default_rng(20260101)
    X, y = rng.normal(size=(40, 5)).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)
    X[:, 4] = 0  # no gradient there
    found = []
    for batch in (1, 7, 40):
        net = module.Network([5, 18, 2], dtype=dtype, seed=1)
        trainer = module.Trainer(
            net, optimizer=optimizer_of(module, label), batch_size=batch, n_shards=1,
            clip_norm=0.3 if batch == 7 else None,
        )  # fmt: skip
        trainer.fit(X, y, 2 if batch == 1 else 6)
        found.append(net.parameters)
    return found


# Slow, and the same beside every instruction set.
trained_by_reference = functools.cache(functools.partial(trained, reference))


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_core_equals_reference_with_every_instruction_set(label, dtype, isa):
    expected = trained_by_reference(label, dtype)
    for found, wanted in zip(trained(fastrelu, label, dtype), expected, strict=True):
        assert same_bits(found, wanted)


@pytest.mark.parametrize("label", OPTIMIZERS)
def test_it_finds_the_least_squares(label, rng):
    X = rng.normal(size=(64, 3))
    y = X @ [[1.0], [-2.0], [0.5]] + 0.25
    net = fastrelu.Network([3, 1], dtype="float64")
    name, numbers = OPTIMIZERS[label]
    numbers = {key: value for key, value in numbers.items() if key != "weight_decay"}
    made = getattr(optimizers, name)(
        **numbers | {"learning_rate": lambda k: 0.05 / (1 + k / 200)}, weight_decay=0.0
    )
    trainer = fastrelu.Trainer(net, optimizer=made, batch_size=64)
    history = trainer.fit(X, y, 4000)
    assert history.loss[-1] < 1e-3 < history.loss[0]


@EACH
def test_files_the_name_and_the_command(name, tmp_path, rng):
    X, y = rng.normal(size=(30, 4)).astype("f"), rng.normal(size=(30, 1)).astype("f")
    trainer = fastrelu.Trainer(fastrelu.Network([4, 6, 1]), optimizer=name, batch_size=8)
    assert trainer.optimizer == optimizers.as_optimizer(name)
    trainer.fit(X, y, 2)
    trainer.save_checkpoint(tmp_path / "c")
    again = fastrelu.Trainer.from_checkpoint(tmp_path / "c")
    assert again.optimizer == trainer.optimizer
    for each in (again, trainer):
        each.fit(X, y, 2)
    assert same_bits(again.network.parameters, trainer.network.parameters)
    assert f'"{name}"' in fastrelu.Trainer.__doc__
    assert name in {each.name: option for each, option in options()}["optimizer"].kind.names
    np.savetxt(tmp_path / "t.csv", np.c_[X, y], delimiter=",", header="a,b,c,d,y", comments="")
    flags = ["--optimizer", name, "--epochs", 1, "--hidden", "4", "--target", "y"]
    result = run("train", tmp_path / "t.csv", *flags, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    rate = usual_number(name, "learning_rate")
    assert rate == (0.01 if name == "sgd" else ROWS[name].learning_rate)

# SPDX-License-Identifier: BSD-3-Clause
"""Populations: every member ends in the bits of the same network trained alone."""

import os
import signal
import threading
import time
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from catalogue_tools import LOSS_NAMES, targets
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu

ISAS = fastrelu._core.available_isas()
ACTIVATIONS = ["relu", "leaky_relu", "tanh", "logistic", "elu", "silu", "identity"]


def alone(config: dict[str, Any], X: Any, y: Any, epochs: int, sample_weight: Any = None) -> Any:
    """Train the network of a configuration by `Trainer.fit`: -> trainer, history or error."""
    net = fastrelu.Network(
        **{
            key: config[key]
            for key in ("layer_sizes", "bias", "dtype", "activation", "init", "scale", "seed")
            if key in config
        }
    )
    trainer = fastrelu.Trainer(
        net,
        seed=config.get("shuffle_seed", 0),
        **{
            key: config[key]
            for key in ("loss", "optimizer", "batch_size", "clip_norm", "dropout", "n_shards")
            if key in config
        },
    )
    rows = config.get("rows")
    weight = config.get("sample_weight", sample_weight)
    if rows is not None:
        X, y = X[rows], y[rows]
        weight = None if weight is None else weight[rows]
    epochs, sampling = config.get("epochs", epochs), config.get("sampling", "shuffle")
    try:
        return trainer, trainer.fit(X, y, epochs, sample_weight=weight, sampling=sampling)
    except fastrelu.DivergenceError as error:
        return trainer, error


def assert_same(member: Any, trainer: Any, history: Any) -> None:
    assert member.network.parameters.tobytes() == trainer.network.parameters.tobytes()
    ours, theirs = member.trainer._core, trainer._core
    assert ours.state == theirs.state
    for a, b in zip(ours.optimizer_arrays, theirs.optimizer_arrays, strict=True):
        assert a.tobytes() == b.tobytes()
    if isinstance(history, fastrelu.DivergenceError):
        assert member.diverged is not None
        assert repr(member.diverged) == repr(history)
        return
    assert member.diverged is None
    assert member.course.history.loss == history.loss
    assert member.course.history.learning_rate == history.learning_rate


@st.composite
def mixtures(draw: st.DrawFn) -> Any:
    """Configurations that are alike in part, and data for them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d_in = draw(st.integers(1, 60)), draw(st.integers(1, 20))
    loss = draw(st.sampled_from(LOSS_NAMES))
    d_out = draw(st.integers(2 if loss == "cross_entropy" else 1, 4))
    kinds = []
    for _ in range(draw(st.integers(1, 2))):
        optimizer = draw(st.sampled_from(["sgd", "momentum", "decay", "adam", "adamw", "lion"]))
        depth = draw(st.integers(0, 2))
        kinds.append(
            {
                "activation": draw(st.sampled_from(ACTIVATIONS)),
                "dtype": draw(st.sampled_from(["float32", "float64"])),
                "bias": draw(st.booleans()),
                "batch_size": draw(st.sampled_from([1, 2, 5, 16, 70])),
                "optimizer": optimizer,
                "loss": loss,
                "depth": depth,
            }
        )
    configs = []
    for _ in range(draw(st.integers(1, 24))):
        config = dict(kinds[rng.integers(len(kinds))])
        hidden = rng.integers(1, 30, config.pop("depth")).tolist()
        rate = float(rng.choice([1e-3, 1e-2]))
        config["optimizer"] = {
            "sgd": fastrelu.SGD(fastrelu.schedules.step_decay(rate, 0.5, 3)),
            "momentum": fastrelu.SGD(rate, momentum=0.9, nesterov=bool(rng.integers(2))),
            "decay": fastrelu.SGD(rate, weight_decay=float(rng.choice([0.0, 0.1]))),
            "adam": fastrelu.Adam(rate, beta_1=float(rng.choice([0.9, 0.8]))),
            "adamw": fastrelu.AdamW(rate),
            "lion": fastrelu.optimizers.Lion(rate / 10, weight_decay=0.1),
        }[config["optimizer"]]
        config |= {
            "layer_sizes": [d_in, *hidden, d_out],
            "seed": int(rng.integers(9)),
            "shuffle_seed": int(rng.integers(2)),
            "epochs": int(rng.integers(0, 4)),
        }
        if rng.random() < 0.5:
            config["rows"] = rng.integers(0, n, rng.integers(1, n + 1))
        if rng.random() < 0.2:
            config["sample_weight"] = rng.random(n) + 0.1
        if rng.random() < 0.1:
            config["dropout"] = 0.2
        if rng.random() < 0.1:
            config["clip_norm"] = 0.5
        if rng.random() < 0.1:
            config["sampling"] = str(rng.choice(["subset", "with_replacement"]))
        configs.append(config)
    X = rng.normal(size=(n, d_in)).astype("float32")
    return configs, X, targets(rng, loss, n, d_out)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=25, deadline=None)
@given(mixture=mixtures(), threads=st.integers(1, 3))
def test_members_end_as_networks_trained_alone(isa: str, mixture: Any, threads: int) -> None:
    configs, X, y = mixture
    before, used = fastrelu.get_isa(), fastrelu.get_num_threads()
    fastrelu._core.set_isa(isa)
    fastrelu.set_num_threads(threads)
    try:
        population = fastrelu.Population(configs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some diverge
            population.fit(X, y, epochs=2)
        for member, config in zip(population.members, configs, strict=True):
            assert_same(member, *alone(config, X, y, 2))
    finally:
        fastrelu._core.set_isa(before)
        fastrelu.set_num_threads(used)


def problem(n: int = 200, d_in: int = 4) -> Any:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, d_in)).astype("float32")
    return X, np.abs(X[:, :1]) - X[:, 1:2]


def small(seed: int = 0, width: int = 8, **more: Any) -> dict[str, Any]:
    return {"layer_sizes": [4, width, 1], "seed": seed, **more}


@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, lambda X: X[:, ::-1]])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_rows_of_any_layout(convert: Any, dtype: str) -> None:
    X, y = problem()
    X = convert((10 * X + 50).astype(dtype))
    configs = [small(s, scale=0.1) for s in range(7)]
    population = fastrelu.Population(configs)
    population.fit(X, y, epochs=2)
    for member, config in zip(population.members, configs, strict=True):
        assert_same(member, *alone(config, X, y, 2))


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    X, y = problem()
    X = sparse.csr_matrix(np.where(X > 0, X, 0))
    configs = [small(s, rows=np.arange(s, 150)) for s in range(3)]
    population = fastrelu.Population(configs)
    population.fit(X, y, epochs=2)
    for member, config in zip(population.members, configs, strict=True):
        assert_same(member, *alone(config, X, y, 2))


def test_early_stopping_keeps_the_best_weights() -> None:
    X, y = problem()
    y = y + np.random.default_rng(0).normal(size=y.shape)
    fold = np.arange(len(X)) % 4
    configs = [
        small(s, 16, rows=fold != s % 4, validation_rows=fold == s % 4, batch_size=4)
        for s in range(12)
    ]
    population = fastrelu.Population(configs)
    histories = population.fit(X, y, epochs=300, patience=4)
    lengths = set()
    for member, config, history in zip(population.members, configs, histories, strict=True):
        best = int(np.argmin(history.val_loss))
        assert len(history) == best + 5
        trainer, expected = alone(config, X, y, best + 1)
        assert member.network.parameters.tobytes() == trainer.network.parameters.tobytes()
        assert history.loss[: best + 1] == expected.loss
        held = config["validation_rows"]
        assert history.val_loss[best] == trainer.evaluate(X[held], y[held]).loss
        lengths.add(len(history))
    assert len(lengths) > 3


def test_callbacks_see_each_member_and_may_end_it() -> None:
    X, y = problem()
    seen: dict[int, list[int]] = {}

    def callback(member: Any, record: Any) -> bool:
        seen.setdefault(member.index, []).append(record.epoch)
        assert member.trainer.n_epochs == record.epoch
        member.trainer.evaluate(X, y)
        return record.epoch == 1 + member.index % 3

    population = fastrelu.Population([small(s, 8 + s % 2) for s in range(20)])
    histories = population.fit(X, y, epochs=3, callbacks=[callback])
    for i, history in enumerate(histories):
        assert seen[i] == list(range(1, 2 + i % 3))
        assert len(history) == 1 + i % 3
        assert_same(population.members[i], *alone(small(i, 8 + i % 2), X, y, 1 + i % 3))


def test_a_callback_that_fails_ends_the_fit_and_nothing_is_lost() -> None:
    X, y = problem()
    configs = [small(s) for s in range(20)]
    population = fastrelu.Population(configs)

    def callback(member: Any, record: Any) -> None:
        if member.index == 3 and record.epoch == 2:
            raise LookupError("not today")

    with pytest.raises(LookupError, match="not today"):
        population.fit(X, y, epochs=5, callbacks=[callback])
    population.fit(X, y, epochs=5)
    for member, config in zip(population.members, configs, strict=True):
        trainer, _ = alone(config, X, y, 5)
        assert member.network.parameters.tobytes() == trainer.network.parameters.tobytes()


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


@pytest.mark.parametrize("save", [False, True])
def test_ctrl_c_and_going_on(save: bool, tmp_path: Any) -> None:
    X, y = problem(2000)
    configs = [small(s, 8 + 30 * (s % 2), dropout=0.1 * (s % 5 == 0)) for s in range(24)]
    population = fastrelu.Population(configs)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    epochs = 100
    try:
        timer = interrupt_after(0.2)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            population.fit(X, y, epochs=100_000)
        assert time.monotonic() - began < 2.0
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    epochs = max(m.trainer.n_epochs for m in population.members) + 2
    if save:
        population.save_checkpoint(tmp_path / "population")
        population = fastrelu.Population.from_checkpoint(tmp_path / "population")
    histories = population.fit(X, y, epochs=epochs)
    for member, config, history in zip(population.members, configs, histories, strict=True):
        trainer, expected = alone(config, X, y, epochs)
        assert member.network.parameters.tobytes() == trainer.network.parameters.tobytes()
        assert history.loss == expected.loss


@pytest.mark.parametrize("at", [1, 7, 30])
def test_ctrl_c_between_an_epoch_and_its_record(at: int, monkeypatch: Any) -> None:
    """The signal may be raised while a member is evaluated: the epoch is not lost."""
    X, y = problem()
    configs = [small(s, rows=np.arange(150), validation_rows=np.arange(150, 200)) for s in range(4)]
    straight, cut = fastrelu.Population(configs), fastrelu.Population(configs)
    expected = straight.fit(X, y, epochs=25, patience=6)
    evaluated, calls = fastrelu.Trainer._evaluated, []

    def interrupted(trainer: Any, data: Any) -> Any:
        calls.append(trainer)
        if len(calls) == at:
            raise KeyboardInterrupt
        return evaluated(trainer, data)

    monkeypatch.setattr(fastrelu.Trainer, "_evaluated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(X, y, epochs=25, patience=6)
    histories = cut.fit(X, y, epochs=25, patience=6)
    assert [h.val_loss for h in histories] == [h.val_loss for h in expected]
    for one, other in zip(cut.networks, straight.networks, strict=True):
        assert one.parameters.tobytes() == other.parameters.tobytes()


def test_checkpoints_during_a_fit(tmp_path: Any) -> None:
    X, y = problem()
    path = tmp_path / "population"
    configs = [small(s, rows=np.arange(150), validation_rows=np.arange(150, 200)) for s in range(9)]
    population = fastrelu.Population(configs)
    population.fit(X, y, epochs=40, patience=30, checkpoint=path, checkpoint_seconds=0.0)
    straight = fastrelu.Population(configs)
    histories = straight.fit(X, y, epochs=40, patience=30)
    again = fastrelu.Population.from_checkpoint(path)
    for a, b, c, history in zip(
        population.members, straight.members, again.members, histories, strict=True
    ):
        assert a.network.parameters.tobytes() == b.network.parameters.tobytes()
        assert c.network.parameters.tobytes() == b.network.parameters.tobytes()
        assert a.course.history.val_loss == history.val_loss == c.course.history.val_loss


def test_members_that_diverge_end_alone() -> None:
    X, y = problem()
    configs = [
        small(s, optimizer=fastrelu.SGD(1e6 if s in (2, 11) else 0.01), name=f"m{s}")
        for s in range(20)
    ]
    population = fastrelu.Population(configs)
    with pytest.warns(RuntimeWarning, match=r"2 of 20 members .*configs\[2\] \('m2'\)"):
        population.fit(X, y, epochs=5)
    for i, member in enumerate(population.members):
        assert (member.diverged is not None) == (i in (2, 11))
        assert np.isfinite(member.network.parameters).all()
        if member.diverged is None:
            assert_same(member, *alone(configs[i], X, y, 5))
            continue
        net = fastrelu.Network([4, 8, 1], seed=i)
        trainer = fastrelu.Trainer(net, optimizer=fastrelu.SGD(1e6))
        with pytest.raises(fastrelu.DivergenceError) as error:
            trainer.fit(X, y, 5)
        assert member.diverged.args == error.value.args
        assert member.network.parameters.tobytes() == net.parameters.tobytes()


def test_the_data_are_not_copied() -> None:
    X, y = problem(50_000)
    population = fastrelu.Population(
        [small(s, rows=np.arange(0, 50_000, 2), loss="huber" if s % 2 else "absolute_error")
         for s in range(6)]
    )  # fmt: skip
    from fastrelu._members.rows import MemberRows

    rows = MemberRows(X, y, None, None)
    sets = [rows.training(member) for member in population.members]
    assert len({id(order) for _, order in sets}) == 1
    import tracemalloc

    tracemalloc.start()
    population.fit(X, y, epochs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes


def test_predictions_are_those_of_the_members() -> None:
    X, _ = problem()
    population = fastrelu.Population(
        [small(1, loss="squared_error"), small(2, 5, loss="poisson"), small(3, dtype="float64")]
    )
    outputs = population.predict(X)
    assert outputs.shape == (3, 200, 1)
    assert (outputs[0] == population.networks[0](X)).all()
    assert (outputs[1] == population.networks[1].predict_proba(X, "poisson")).all()


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], "configs: expected at least one"),
        ({"layer_sizes": [1, 1]}, "configs: expected a list of dicts, got dict"),
        ([{"layer_sizes": [1, 1]}, 3], r"configs\[1\]: expected a dict, got int"),
        ([{}], r"configs\[0\]: layer_sizes: expected the widths"),
        ([{"layer_sizes": [1, 0]}], r"configs\[0\]: layer_sizes\[1\]: expected a whole number"),
        ([{"layer_sizes": [1, 1], "name": "a", "batch": 3}], r"configs\[0\] \('a'\): 'batch': exp"),
        ([{"layer_sizes": [1, 1], "batch_size": 0}], r"configs\[0\]: batch_size: expected"),
        ([{"layer_sizes": [1, 1], "shuffle_seed": -1}], r"configs\[0\]: shuffle_seed: expected"),
        ([{"layer_sizes": [1, 1], "rows": []}], r"configs\[0\]: rows: expected"),
        ([{"layer_sizes": [1, 1], "rows": [-1]}], r"configs\[0\]: rows: expected row numbers from"),
        ([{"layer_sizes": [1, 1], "rows": [False]}], r"configs\[0\]: rows: expected at least one"),
        ([{"layer_sizes": [1, 1], "patience": 0}], r"configs\[0\]: patience: expected"),
        ([{"layer_sizes": [1, 1], "name": "a"}] * 2, r"configs\[1\] \('a'\): name: expected one"),
        ([{"layer_sizes": [2**20, 2**20]}], r"configs\[0\]: layer_sizes: no memory"),
    ],
)
def test_bad_configurations_are_named(configs: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError, MemoryError), match=message):
        fastrelu.Population(configs)


def test_data_that_do_not_fit_are_named_before_anything_starts() -> None:
    X, y = problem()
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (
            small(rows=np.arange(9)),
            {"sample_weight": np.arange(200) > 50},
            r"\('last'\): rows: expected a row with a weight > 0",
        ),
        (small(), {"X": np.ma.masked_greater(X, 1)}, "masked"),
        (small(), {"X": np.where(X > 1, np.nan, X)}, r"configs\[0\]: X: "),
        (small(), {"X": X[:, :3]}, r"configs\[1\] \('last'\): X: expected"),
        (small(rows=[200]), {}, r"configs\[1\] \('last'\): rows: expected rows 0..199"),
        (small(validation_rows=[200]), {}, r"configs\[1\] \('last'\): validation_rows: expected"),
        (
            small(sample_weight=np.ones(3)),
            {},
            r"last'\): sample_weight: expected shape \(200,\)",
        ),
        (small(patience=3), {}, r"\('last'\): patience: expected validation_rows"),
        (small(loss="poisson"), {"y": -np.ones((200, 1))}, r"\('last'\): y: expected"),
        (small(), {"y": y[:3]}, r": y: expected"),
        (small(), {"y": None}, "y: expected targets"),
        (small(), {"epochs": -1}, "epochs: expected"),
        (small(), {"validation_data": X}, "validation_data: expected"),
        (small(), {"validation_data": (X[:, :2], y)}, r"validation_data: X: expected"),
        (small(), {"callbacks": [3]}, r"callbacks\[0\]: expected a callable"),
    ]
    for config, more, message in cases:
        fewer = "X" in more and more["X"].shape[1] == 3
        first = {**small(7), "layer_sizes": [3, 2, 1]} if fewer else small(7)
        population = fastrelu.Population([first, config | {"name": "last"}])
        before = [net.parameters.tobytes() for net in population.networks]
        with pytest.raises((TypeError, ValueError), match=message):
            population.fit(**({"X": X, "y": y, "epochs": 2} | more))
        assert [net.parameters.tobytes() for net in population.networks] == before
        assert all(member.trainer.n_steps == 0 for member in population.members)


def test_networks_in_use_are_refused() -> None:
    X, y = problem()
    population = fastrelu.Population([small(s) for s in range(3)])
    errors = []

    def callback(member: Any, record: Any) -> None:
        try:
            population.fit(X, y, epochs=1)
        except RuntimeError as error:
            errors.append(str(error))

    population.fit(X, y, epochs=1, callbacks=[callback])
    assert errors and all("running" in error for error in errors)


@pytest.mark.parametrize("live", [False, True])
def test_progress(live: bool, capsys: Any, monkeypatch: Any) -> None:
    X, y = problem()
    if live:
        pytest.importorskip("rich")
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    population = fastrelu.Population([small(s, name=f"net {s}") for s in range(3)])
    population.fit(X, y, epochs=3, validation_data=(X, y), progress=True)
    text = capsys.readouterr().err
    assert "3/3 members ended  9/9 epochs" in text
    assert ("net 1" in text) == live


def test_no_epochs_change_nothing() -> None:
    X, y = problem()
    population = fastrelu.Population([small(s) for s in range(20)])
    before = [net.parameters.tobytes() for net in population.networks]
    assert [len(history) for history in population.fit(X, y, epochs=0)] == [0] * 20
    assert [net.parameters.tobytes() for net in population.networks] == before


@pytest.mark.parametrize("kind", ["frame", "list"])
def test_rows_of_other_kinds(kind: str) -> None:
    X, y = problem()
    if kind == "frame":
        pandas = pytest.importorskip("pandas")
        data = pandas.DataFrame(X), pandas.Series(y[:, 0])
    else:
        data = X.tolist(), y.tolist()
    rows = np.arange(3, 190)
    config = small(2, rows=rows, validation_rows=[0, 1, 2])
    population = fastrelu.Population([config])
    population.fit(*data, epochs=3)
    trainer, _ = alone(config, X, y, 3)
    assert population.networks[0].parameters.tobytes() == trainer.network.parameters.tobytes()
    val_loss = population.members[0].course.history.val_loss[-1]
    assert val_loss == trainer.evaluate(X[:3], y[:3]).loss


def test_the_usual_configuration_is_that_of_trainer_and_network() -> None:
    X, y = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        population = fastrelu.Population([{"layer_sizes": [4, 3, 1]}])
        (history,) = population.fit(X, y)
    assert_same(population.members[0], *alone({"layer_sizes": [4, 3, 1]}, X, y, 10))
    assert len(history) == 10
    assert repr(population) == "<fastrelu.Population of 1 networks of 1 shapes>"
    assert all(a > b for a, b in pairwise(history.loss[:4]))

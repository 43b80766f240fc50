# SPDX-License-Identifier: BSD-3-Clause
"""What a loop of one's own is made of: prepared rows, epochs that stop and go on, records."""

import csv
import io
import itertools
import json
import pickle

import numpy as np
import pytest
from command_tools import run, write_table
from conftest import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu import EpochRecord, reference
from fastrelu.random import Purpose, permutation, words

KEYS = ["epoch", "loss", "val_loss", "val_metric", "learning_rate", "seconds", "rows_per_second"]


def make(sizes=(6, 16, 2), n=200, **more):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, sizes[0])).astype("float32")
    y = (X[:, : sizes[-1]] ** 2).astype("float32")
    settings = {"optimizer": fastrelu.Adam(1e-2), "batch_size": 16} | more
    return fastrelu.Trainer(fastrelu.Network(sizes), **settings), X, y


class Blocks:
    """Rows in memory as blocks."""

    def __init__(self, X, y, w, orders, block_rows):
        self.arrays, self.orders, self.block_rows = (X, y, w), orders, block_rows
        self.n_rows = sum(map(len, orders(1)))

    def block(self, epoch, number):
        return fastrelu.Block(*self.arrays, self.orders(epoch)[number])


def blocks_of(X, y, w=None, block_rows=64, batch=16, seed=0):
    chunks = np.array_split(np.arange(len(X)), 5)
    return Blocks(
        X, y, w, lambda e: list(reference.blocks.epoch_blocks(seed, e, chunks, block_rows)),
        block_rows,
    )  # fmt: skip


# Epochs


@pytest.mark.parametrize("sampling", ["shuffle", "subset", "with_replacement"])
def test_epochs_are_those_of_a_fit(sampling):
    fitted, X, y = make(dropout=0.2, n_shards=3)
    history = fitted.fit(X, y, 4, sampling=sampling, validation_data=(X[:50], y[:50]))
    own, _, _ = make(dropout=0.2, n_shards=3)
    data, held = own.prepare(X, y), own.prepare(X[:50], y[:50])
    assert len(data) == data.n_rows == 200
    records = [own.run_epoch(data, sampling=sampling, validation=held) for _ in range(4)]
    assert [r.epoch for r in records] == [1, 2, 3, 4]
    for name in ("loss", "val_loss", "val_metric", "learning_rate"):
        assert [r[name] for r in records] == getattr(history, name)
    assert own.network.parameters.tobytes() == fitted.network.parameters.tobytes()
    again, _, _ = make(dropout=0.2, n_shards=3)
    again.fit(data, epochs=4, sampling=sampling, validation_data=held)
    assert again.network.parameters.tobytes() == fitted.network.parameters.tobytes()


@pytest.mark.parametrize("yes", [True, np.bool_(True), 1, "yes"])
def test_an_epoch_stops_and_goes_on_also_from_its_content(yes):
    """Long steps, since the core looks up only now and then."""
    more = {"sizes": (6, 1500, 1500, 2), "n": 1000, "batch_size": 50}
    straight, X, y = make(**more)
    first = straight.run_epoch(straight.prepare(X, y))
    trainer, _, _ = make(**more)
    data, stops = trainer.prepare(X, y), 0
    while True:
        record = trainer.run_epoch(data, stop=lambda: yes)
        if record is not None:
            break
        stops += 1
        assert trainer.epoch_open and trainer.n_epochs == 0
        assert 0 < trainer.epoch_steps < 20 and np.isfinite(trainer.epoch_loss)
        spent = trainer._seconds
        assert spent > 0
        with pytest.raises(ValueError, match=r"X: expected the 1000 rows .* interrupted epoch"):
            trainer.run_epoch(trainer.prepare(X[:9], y[:9]))
        trainer = fastrelu.Trainer.from_checkpoint_content(*trainer.checkpoint_content())
        assert trainer._seconds == spent
    assert stops and not trainer.epoch_open and trainer.epoch_steps == 0
    assert record.loss == first.loss == trainer.epoch_loss and record.seconds > spent
    assert trainer.network.parameters.tobytes() == straight.network.parameters.tobytes()
    assert trainer.run_epoch(data, stop=lambda: False).epoch == 2


def test_an_error_in_stop_reaches_the_caller_and_the_epoch_goes_on():
    more = {"sizes": (6, 1500, 1500, 2), "n": 1000, "batch_size": 50}
    straight, X, y = make(**more)
    straight.fit(X, y)
    trainer, _, _ = make(**more)
    data = trainer.prepare(X, y)
    with pytest.raises(ZeroDivisionError):
        trainer.run_epoch(data, stop=lambda: 1 / 0)
    trainer.run_epoch(data)
    assert trainer.network.parameters.tobytes() == straight.network.parameters.tobytes()


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_are_the_references(weighted, dtype):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(203, 4)).astype(dtype), rng.normal(size=(203, 1)).astype(dtype)
    w = rng.random(203) if weighted else None
    nets = [m.Network([4, 7, 1], dtype=dtype, seed=3) for m in (fastrelu, reference)]
    trainer = fastrelu.Trainer(nets[0], optimizer=fastrelu.Adam(0.01), batch_size=16, dropout=0.3)
    twin = reference.Trainer(nets[1], optimizer=reference.Adam(0.01), batch_size=16, dropout=0.3)
    source = blocks_of(X, y, w)
    history = trainer.fit(source, epochs=2)
    chunks = np.array_split(np.arange(203), 5)
    assert history.loss == twin.fit_blocks(X, y, chunks, 64, 2, w)
    assert same_bits(nets[0].parameters, nets[1].parameters)
    calls = []
    stopped = fastrelu.Trainer(
        fastrelu.Network([4, 7, 1], dtype=dtype, seed=3), optimizer=fastrelu.Adam(0.01),
        batch_size=16, dropout=0.3,
    )  # fmt: skip
    while stopped.n_epochs < 2:  # asked between blocks too
        calls.append(stopped.run_epoch(source, stop=lambda: True))
    assert [r.loss for r in calls if r is not None] == history.loss and None in calls
    assert same_bits(stopped.network.parameters, nets[0].parameters)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 60), max_size=4),
    loss=st.sampled_from(["squared_error", "cross_entropy", "poisson", "huber"]),
    weighted=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_losses_in_parts_are_those_of_all_rows(cuts, loss, weighted, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 3))
    y = rng.integers(0, 2, 60) if loss == "cross_entropy" else rng.random((60, 2))
    w = rng.random(60) + 0.1 if weighted else None
    trainer = fastrelu.Trainer(fastrelu.Network([3, 5, 2], seed=seed), loss=loss, dropout=0.5)
    whole, metric, outputs = trainer.evaluate(X, y, w)
    assert whole == trainer.network.loss(X, y, loss, w) and np.isfinite(metric)
    assert same_bits(outputs, trainer.network(X))
    sums, parts = fastrelu.LossSums(), []
    ends = [0, *sorted(cuts), 60]
    for low, high in itertools.pairwise(ends):
        if low < high:
            part = trainer.prepare(X[low:high], y[low:high], None if w is None else w[low:high])
            parts.append(trainer.add_losses(part, sums))
    assert sums.loss == whole
    assert same_bits(np.concatenate(parts), outputs)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
def test_bad_numbers_in_a_block_are_bad_data(name, bad):
    """They are refused by block and argument before a step on them, not taken for a divergence."""
    trainer, X, y = make()
    arrays = {"X": X, "y": y, "sample_weight": np.ones(len(X))}
    arrays[name] = arrays[name].copy()
    source = blocks_of(*arrays.values())
    where = source.orders(1)[1][0]  # of the second block's rows alone

    class Spoiled(Blocks):
        def block(self, epoch, number):
            arrays[name][where] = bad if number else 1
            return super().block(epoch, number)

    spoiled = Spoiled(*arrays.values(), source.orders, source.block_rows)
    for train in (trainer.run_epoch, lambda data: trainer.fit(data, epochs=2)):
        with pytest.raises(ValueError, match=f"block 1 of epoch 1: {name}: expected finite"):
            train(spoiled)
        assert trainer.n_steps == 64 // 16 and np.isfinite(trainer.network.parameters).all()
        assert trainer.epoch_open
    good = blocks_of(X, y, np.ones(len(X)))
    assert np.isfinite(trainer.run_epoch(good).loss) and not trainer.epoch_open
    if name == "X":
        with pytest.raises(fastrelu.DivergenceError):
            trainer.fit(spoiled, epochs=1, check_finite=False)


def test_what_does_not_fit_is_named():
    trainer, X, y = make()
    data = trainer.prepare(X, y)
    before = trainer.network.parameters.copy()
    others = [
        fastrelu.Trainer(fastrelu.Network([6, 4, 2], dtype="float64")),
        fastrelu.Trainer(fastrelu.Network([6, 4, 2]), loss="huber"),
        fastrelu.Trainer(fastrelu.Network([6, 4, 2]), loss="cross_entropy"),
        fastrelu.Trainer(fastrelu.Network([5, 4, 2])),
        fastrelu.Trainer(fastrelu.Network([6, 4, 1])),
    ]
    for other in others:
        for call in (other.run_epoch, other.evaluate, other.fit):
            with pytest.raises(ValueError, match=r"(data|X): expected rows prepared for"):
                call(data)
        with pytest.raises(ValueError, match="validation_data: expected rows prepared for"):
            other.fit(X[:, : other.network.layer_sizes[0]], np.zeros(200, int) if other.loss.name
                      == "cross_entropy" else y[:, : other.network.layer_sizes[-1]],
                      validation_data=data)  # fmt: skip
    fastrelu.Trainer(fastrelu.Network([6, 9, 9, 2])).run_epoch(data)  # of the same kind
    with pytest.raises(ValueError, match="y: expected None"):
        trainer.fit(data, y)
    with pytest.raises(ValueError, match="sample_weight: expected None"):
        trainer.evaluate(data, sample_weight=np.ones(200))
    with pytest.raises(TypeError, match="y: expected targets"):
        trainer.fit(X)
    with pytest.raises(TypeError, match="data: expected a DataSet from prepare, got ndarray"):
        trainer.run_epoch(X)
    with pytest.raises(ValueError, match="sampling: expected"):
        trainer.run_epoch(data, sampling="random")
    with pytest.raises(ValueError, match="X: expected at least one row"):
        trainer.prepare(X[:0], y[:0])
    source = blocks_of(X, y)
    with pytest.raises(ValueError, match=r"data: expected blocks of a multiple of batch_size=16"):
        trainer.run_epoch(Blocks(X, y, None, source.orders, 60))
    with pytest.raises(TypeError, match="blocks, which are for training"):
        trainer.evaluate(source)
    sharded, _, _ = make(n_shards=2)
    with pytest.raises(ValueError, match="n_shards=1 for blocks, got 2"):
        sharded.run_epoch(source)
    with pytest.raises(ValueError, match="n_shards: expected 1"):
        sharded.add_losses(data, fastrelu.LossSums())
    assert same_bits(trainer.network.parameters, before) and trainer.n_steps == 0


# Records


def test_a_record_is_a_mapping_and_has_attributes():
    record = EpochRecord(3, 0.5, seconds=2.0)
    assert list(record) == KEYS and record["loss"] == record.loss == 0.5
    assert record.val_loss is None and dict(**record) == record
    assert json.loads(json.dumps(record)) == record
    assert pickle.loads(pickle.dumps(record)) == record
    record["val_loss"], record["val_metric"] = 0.25, 0.75
    assert record["validation_loss"] == record.get("validation_loss") == 0.25
    assert record["validation_score"] == 0.75 and record.get("what", 7) == 7
    with pytest.raises(KeyError, match="what"):
        record["what"]
    with pytest.raises(AttributeError, match="what"):
        _ = record.what


def test_every_fit_tells_the_same(tmp_path, rng):
    seen = {}
    trainer, X, y = make(optimizer=fastrelu.SGD(fastrelu.schedules.inverse_time(5.0)))

    def keep(name):
        return lambda _, record: seen.setdefault(name, []).append(record)

    trainer.fit(X, y, 3, callbacks=[keep("trainer")], validation_data=(X, y))
    estimators = pytest.importorskip("sklearn.neural_network")
    del estimators
    for solver in ("sgd", "adam", "lbfgs"):
        held = {} if solver == "lbfgs" else {"validation_data": (X, y)}
        estimator = fastrelu.MLPRegressor(
            solver=solver, max_iter=3, callbacks=[keep(solver)], learning_rate_init=0.01, tol=0
        )
        with pytest.warns(UserWarning, match="converge"):
            estimator.fit(X, y, **held)
    table = write_table(tmp_path / "t.csv", rng)
    flags = ("--epochs", 3, "--log-json", tmp_path / "log", "--out", tmp_path / "out")
    assert run("train", table, *flags).exit_code == 0
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [e.pop("event") for e in events] == ["epoch"] * 3 + ["result"]
    assert len({e.pop("run") for e in events}) == 1
    seen["command"] = [EpochRecord(**e) for e in events[:3]]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "history.csv").read_text())))
    assert [list(row) for row in rows] == [KEYS] * 3
    for name, records in seen.items():
        assert [r.epoch for r in records] == [1, 2, 3], name
        for record in records:
            assert type(record) is EpochRecord and list(record) == KEYS
            assert np.isfinite(record.loss) and record.rows_per_second > 0
            assert (record.val_loss is None) == (record.val_metric is None) == (name == "lbfgs")
            assert 0 < record.seconds < 60  # of this epoch, not since the beginning
    assert [r.learning_rate for r in seen["trainer"]] == [0.1 / k for k in (13, 26, 39)]
    assert [r.learning_rate for r in seen["adam"]] == [0.01] * 3
    assert [r.learning_rate for r in seen["lbfgs"]] == [None] * 3
    assert seen["trainer"][0].seconds > seen["trainer"][0].rows_per_second ** -1


@pytest.mark.parametrize("answer", [True, np.bool_(True), 1, "stop"])
def test_a_true_answer_stops_every_fit(answer):
    trainer, X, y = make()
    assert len(trainer.fit(X, y, 9, callbacks=[lambda t, r: answer, lambda t, r: None])) == 1
    assert len(trainer.fit(X, y, 2, callbacks=[lambda t, r: np.bool_(False)])) == 2
    pytest.importorskip("sklearn")
    for solver in ("sgd", "adam", "lbfgs"):
        own = fastrelu.MLPRegressor(solver=solver, callbacks=[lambda e, r: r.epoch == 2 and answer])
        assert own.fit(X, y).n_iter_ == 2, solver


@pytest.mark.parametrize("bad", [3, [print, "print"], print])
def test_callbacks_that_are_none_are_refused_before_anything_happens(bad):
    trainer, X, y = make()
    before = trainer.network.parameters.copy()
    with pytest.raises(TypeError, match="callbacks"):
        trainer.fit(X, y, callbacks=bad)
    assert same_bits(trainer.network.parameters, before) and trainer.n_steps == 0
    pytest.importorskip("sklearn")
    with pytest.raises((TypeError, ValueError), match="callbacks"):
        fastrelu.MLPRegressor(callbacks=bad).fit(X, y)


# What else the command takes from here


def test_random_numbers_are_the_references():
    stream = reference.random.Stream(9, Purpose.MEMBERSHIP)
    assert words(9, Purpose.MEMBERSHIP, 0, 11).tolist() == [stream.next() for _ in range(11)]
    assert same_bits(words(9, 8, 5, 6), words(9, 8, 0, 11)[5:])
    order = reference.random.order(9, Purpose.BLOCK_ORDER, 2, 3, 20)
    assert permutation(9, Purpose.BLOCK_ORDER, 2, 3, 20).tolist() == order.tolist()
    for purpose in Purpose:
        assert getattr(reference.random, purpose.name, purpose) == purpose
    for bad in ((-1, 1, 0, 1), (0, 1, 0, -1), (0, "1", 0, 1)):
        with pytest.raises((TypeError, ValueError), match="expected a whole number"):
            words(*bad)


def test_a_limit_of_threads_is_given_back():
    before = fastrelu.set_thread_limit(1)
    try:
        assert fastrelu.get_num_threads() == 1
    finally:
        assert fastrelu.set_thread_limit(before) == 1
    with pytest.raises(ValueError, match="n: expected"):
        fastrelu.set_thread_limit(-1)
    assert fastrelu.get_isa() in fastrelu._core.available_isas()

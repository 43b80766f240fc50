# SPDX-License-Identifier: BSD-3-Clause
"""Ranks that share the shards end in the bits of one process; threads here, MPI in test_mpi."""

import re
import threading

import numpy as np
import pytest
from distributed_cases import CASES, SHARDS, outcome, raised, trainer_and_rows
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu.distributed import RankError, as_communicator, rows_of_rank, run_threads


@pytest.mark.parametrize("label", CASES)
def test_ranks_give_the_bits_of_one_process(label):
    one = outcome(label, None)
    for size in (2, 3, 4):
        assert run_threads(size, lambda comm: outcome(label, comm)) == [one] * size


def test_one_rank_is_one_process():
    assert run_threads(1, lambda comm: as_communicator(comm) is None) == [True]


@given(st.integers(0, 40), st.integers(1, 12), st.data())
def test_every_row_has_one_rank_and_no_shard_is_cut(n, shards, data):
    size = data.draw(st.integers(1, shards))
    own = [rows_of_rank(n, shards, size, rank) for rank in range(size)]
    assert [row for rows in own for row in rows] == list(range(n))
    ends = {0, *np.cumsum([len(part) for part in np.array_split(range(n), shards)]).tolist()}
    assert {rows.start for rows in own} <= ends


@settings(max_examples=10, deadline=None)
@given(st.integers(5, 40), st.integers(2, 5), st.integers(1, 9), st.booleans(), st.data())
def test_any_shape(n, shards, more, weighted, data):
    size = data.draw(st.integers(2, shards))
    X = np.random.default_rng(n).normal(size=(n, 3))

    def train(comm):
        net = fastrelu.Network([3, 4, 1], seed=1)
        trainer = fastrelu.Trainer(net, n_shards=shards, batch_size=shards + more, comm=comm)
        own = trainer.own_rows(n)
        mine = X[own.start : own.stop]
        trainer.fit(mine, mine[:, 0], 2, sample_weight=np.abs(mine[:, 1]) if weighted else None)
        return net.parameters.tobytes()

    assert run_threads(size, train) == [train(None)] * size


@pytest.mark.parametrize("kind", ["dense", "sparse", "uint8"])
def test_rows_of_other_ranks_move_to_them(kind):
    case = {"kind": kind, "weighted": True}
    one = trainer_and_rows(case, None)[1]
    cuts = [0, 3, 43, 43, 59]  # a rank has none

    def train(comm):
        trainer, rows = trainer_and_rows(case, comm)
        if comm is not None:
            rows = tuple(part[cuts[comm.rank] : cuts[comm.rank + 1]] for part in one)
        trainer.fit(*rows[:2], epochs=2, sample_weight=rows[2])
        return trainer.network.parameters.tobytes()

    assert run_threads(4, train) == [train(None)] * 4


def test_an_epoch_is_stopped_on_all_ranks_and_finished_by_other_ones():
    label = "weights"
    one = outcome(label, None)

    def begin(comm):
        trainer, rows = trainer_and_rows(CASES[label], comm)
        data = trainer.prepare(*rows)
        stopped = trainer.run_epoch(data, stop=lambda: False)
        assert stopped is not None
        # A rank asks to stop, and all do so after the same step.
        asked = trainer.run_epoch(data, stop=lambda: comm.rank == 1)
        return asked is None, trainer.n_steps, trainer.checkpoint_content()

    begun = run_threads(2, begin)
    assert len({steps for _, steps, _ in begun}) == 1
    content = begun[0][2]

    def finish(comm):
        _, (X, y, weight) = trainer_and_rows(CASES[label], comm)
        trainer = fastrelu.Trainer.from_checkpoint_content(*content, comm=comm)
        data = trainer.prepare(X, y, weight)
        if trainer.n_epochs < 2:
            assert trainer.run_epoch(data) is not None
        trainer.step(X, y, weight)
        return trainer.network.parameters.tobytes()

    assert run_threads(4, finish) == [one[0]] * 4
    assert run_threads(3, finish) == [one[0]] * 3


def test_a_rank_that_fails_leaves_the_others_where_the_epoch_began():
    label = "optimizer adam"
    before = {}

    class Fails:
        """A communicator whose exchanges fail from the third step on."""

        def __init__(self, comm):
            self.comm, self.left, self.rank, self.size = comm, 2, comm.rank, comm.size

        def __getattr__(self, name):
            return getattr(self.comm, name)

        def sum_in_order(self, *arguments):
            if self.left == 0 and self.rank == 1:
                raise OSError("the network is gone")
            self.left -= 1
            self.comm.sum_in_order(*arguments)

    def train(comm):
        trainer, rows = trainer_and_rows(CASES[label], Fails(comm))
        before[comm.rank] = trainer.network.parameters.copy()
        try:
            trainer.fit(*rows[:2], epochs=1)
        finally:
            assert (trainer.network.parameters == before[comm.rank]).all()
            assert (trainer.n_steps, trainer.n_epochs, trainer.epoch_open) == (0, 0, False)

    with pytest.raises(OSError, match="the network is gone"):
        run_threads(3, train)


def test_a_diverging_run_ends_alike_on_all_ranks():
    def train(comm):
        trainer, (X, y, _) = trainer_and_rows({"optimizer": "sgd"}, comm)
        trainer.optimizer = fastrelu.SGD(1e30)
        with pytest.raises(fastrelu.DivergenceError) as found:
            trainer.fit(X, y, epochs=3)
        return str(found.value), trainer.network.parameters.tobytes()

    assert len(set(run_threads(2, train))) == 1


def test_a_callback_of_one_rank_stops_all():
    def train(comm):
        trainer, (X, y, _) = trainer_and_rows({}, comm)
        return len(trainer.fit(X, y, 9, callbacks=[lambda _, r: comm.rank == 1 and r.epoch == 2]))

    assert run_threads(3, train) == [2, 2, 2]


def test_a_callback_that_raises_on_one_rank_ends_the_fit_on_all():
    """They went on, and waited for ever for a rank that had caught its error."""
    told = threading.Barrier(3)

    def train(comm):
        def fail(trainer, record):
            if record.epoch == 2 and comm.rank == 1:
                raise OSError("no room for what is noted")

        trainer, (X, y, _) = trainer_and_rows({}, comm)
        with pytest.raises((OSError, RankError)) as caught:
            trainer.fit(X, y, 4, callbacks=[fail])
        told.wait(60)
        return f"{type(caught.value).__name__}: {caught.value}", trainer.n_epochs

    error = "OSError: no room for what is noted"
    other = (f"RankError: rank 1: {error}", 2)
    assert run_threads(3, train) == [other, (error, 2), other]


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"epochs": 5}, r"epochs is 4 on rank 0 and 5 on rank 1"),
        ({"sampling": "subset"}, r"sampling is 'shuffle' on rank 0 and 'subset' on rank 1"),
        ({"validation_data": (np.ones((3, 1)), np.ones(3))}, r"validation_data"),
    ],
)
def test_a_fit_of_which_the_ranks_ask_for_different_things(own, text):
    """They waited for ever for the one with fewer epochs, or drew other rows each."""
    told = threading.Barrier(2)

    def train(comm):
        trainer, (X, y, _) = trainer_and_rows({}, comm)
        with pytest.raises((ValueError, RankError), match=text):
            trainer.fit(X, y, **{"epochs": 4, "sampling": "shuffle"} | (own if comm.rank else {}))
        told.wait(60)
        return trainer.n_steps

    assert run_threads(2, train) == [0, 0]


def test_validation_rows_are_the_same_on_all_ranks():
    X, y = np.random.default_rng(0).normal(size=(9, 6)), np.ones((9, 2))

    def train(comm):
        trainer, rows = trainer_and_rows({}, comm)
        return trainer.fit(*rows[:2], validation_data=(X, y)).val_loss

    assert run_threads(2, train) == [train(None)] * 2


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (
            lambda comm: fastrelu.Trainer(fastrelu.Network([1, 1]), comm=comm),
            "n_shards: expected at least 2, one for each rank of comm, got 1",
        ),
        (
            lambda comm: fastrelu.Trainer(
                fastrelu.Network([1, 1]), n_shards=2, batch_size=2 + comm.rank, comm=comm
            ),
            "comm: expected the same on every rank, but batch_size is 2 on rank 0 and 3 on rank 1",
        ),
        (
            lambda comm: fastrelu.Trainer(
                fastrelu.Network([1, 2 + comm.rank, 1]), n_shards=2, comm=comm
            ),
            "comm: .*layer_sizes",
        ),
        (
            lambda comm: trainer_and_rows({"kind": "encoded"}, comm)[0].prepare(
                *[p[2 * comm.rank :] for p in trainer_and_rows({"kind": "encoded"}, None)[1][:2]]
            ),
            "X: expected encoded rows to be those of the rank's own shards",
        ),
        (
            lambda comm: trainer_and_rows({}, comm)[0].prepare(
                *[part[: 1 - comm.rank] for part in trainer_and_rows({}, None)[1][:2]]
            ),
            "got 1 rows in 4 shards, of which rank 1 of 2 has none",
        ),
        (
            lambda comm: trainer_and_rows({"n": SHARDS - 1}, comm)[0].prepare(
                *[part[:1] for part in trainer_and_rows({"n": 3}, None)[1][:2]]
            ),
            "X: expected a row or more in the shards of each rank, got 2 rows in 4 shards, of "
            "which rank 1 of 2 has none",
        ),
        (
            lambda comm: trainer_and_rows({}, comm)[0].evaluate(
                (lambda trainer, rows: trainer.prepare(*rows[:2]))(*trainer_and_rows({}, comm))
            ),
            "X: expected all rows prepared without comm",
        ),
    ],
)
def test_bad_input_is_told_on_every_rank(work, text):
    found = raised(work)
    assert all(error is not None for error in found), found
    assert any(re.search(text, str(error)) for error in found), found
    assert all(isinstance(error, (ValueError, RankError)) for error in found), found


def test_weights_on_one_rank_alone_are_refused():
    def work(comm):
        trainer, (X, y, _) = trainer_and_rows({}, comm)
        trainer.prepare(X, y, np.ones(len(X)) if comm.rank else None)

    for error in raised(work):
        assert "sample_weight: expected weights on every rank or on none" in str(error)


def test_what_is_no_communicator_is_refused():
    with pytest.raises(TypeError, match=r"comm: expected None, a communicator of mpi4py"):
        as_communicator("MPI")

# SPDX-License-Identifier: BSD-3-Clause
"""Exchanges behind the backward pass change no bit, and a rank that fails in one ends all.

FASTRELU_DISTRIBUTED=all runs MPI with 4 processes; the usual run has up to 3.
"""

import ctypes
import functools
import itertools
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from distributed_cases import CASES, hashed, outcome, raised, trainer_and_rows

import fastrelu
from fastrelu.distributed import RankError, run_threads

HERE = Path(__file__).parent
LARGER = {"n": 250, "batch_size": 60}  # 15 rows in a shard: more than in one kernel call
SECONDS = 30  # in which all ranks have ended when one has failed


@pytest.mark.parametrize("label", CASES)
def test_every_case_gives_the_bits_of_one_process(label):
    """With segments of a few rows of a weight gradient and of about a layer; few rows, and many."""
    for more in ({},) if "n" in CASES[label] else ({}, LARGER):
        work = functools.partial(outcome, label, **more)
        one = work(None)
        for size, least in ((1, 100), (2, 100), (3, 1), (4, 300)):
            assert run_threads(size, work, least) == [one] * size, (more, size)


WIDE = [17, 200, 3, 130, 2]  # layers of several pieces, and narrow ones


def trained(comm, widths=WIDE, bias=True, rows=2500, batch_size=1800, n_shards=4, **options):
    """What a training of a wide net ends in; its shards have more rows than a block."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, widths[0])).astype(np.float32)
    y = rng.normal(size=(rows, widths[-1])).astype(np.float32)
    net = fastrelu.Network(widths, seed=2, bias=bias)
    trainer = fastrelu.Trainer(
        net, optimizer=fastrelu.Adam(1e-3), batch_size=batch_size, n_shards=n_shards, comm=comm,
        **options,
    )  # fmt: skip
    own = trainer.own_rows(rows)
    mine = slice(own.start, own.stop)
    history = trainer.fit(X[mine], y[mine], epochs=2)
    return net.parameters.tobytes(), history.loss


@pytest.fixture(params=[1, 3])
def threads(request):
    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(request.param)
    yield request.param
    fastrelu.set_num_threads(before)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"dropout": [0.3, 0.0, 0.5], "clip_norm": 0.1},
        {"rows": 9000, "batch_size": 9000},  # 2250 rows in a shard: three blocks
        {"n_shards": 9, "batch_size": 400},
        {"widths": [1, 1]},
        {"widths": [300, 4]},
        {"widths": [20, 64, 64, 64, 5], "batch_size": 200},
    ],
)
def test_wide_and_narrow_layers_have_the_same_bits(options, threads):
    one = trained(None, **options)
    for size, least in ((2, 4096), (3, 48 * 4), (4, 1 << 15)):
        assert run_threads(size, lambda comm: trained(comm, **options), least) == [one] * size


class Recording:
    """A communicator that notes what it is given."""

    def __init__(self, comm, seen):
        self.comm, self.seen, self.rank, self.size = comm, seen, comm.rank, comm.size

    def __getattr__(self, name):
        return getattr(self.comm, name)

    def begin_sum(self, parts, counts, total):
        self.seen.append(("begin", parts.shape[1], self.before(parts)))
        self.comm.begin_sum(parts, counts, total)

    def sum_in_order(self, parts, counts, total, notes):
        self.seen.append(("sum", parts.shape[1], None))
        self.comm.sum_in_order(parts, counts, total, notes)

    def before(self, parts):
        """Whether the numbers before a segment are there: how many of them are not +0."""
        left = self.left if self.seen[-1:] and self.seen[-1][0] == "begin" else self.length
        self.left = left - parts.shape[1]
        if len(parts) == 0:
            return None
        first = parts.__array_interface__["data"][0] - 4 * self.left
        return int(np.count_nonzero((ctypes.c_float * self.left).from_address(first)))


def segments_seen(size, least, widths, **options):
    seen = [[] for _ in range(size)]

    def work(comm):
        recording = Recording(comm, seen[comm.rank])
        recording.length = sum((a + 1) * b for a, b in itertools.pairwise(widths))
        trained(recording, widths, **options)

    run_threads(size, work, least)
    return seen


def test_a_layer_leaves_before_those_before_it_are_computed():
    widths = [50, 100, 100, 10]
    shape = {"rows": 600, "batch_size": 600, "n_shards": 2}
    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(1)  # others would go on while the first one hands over
    try:
        every = segments_seen(2, 48 * 100 * 4, widths, **shape)
    finally:
        fastrelu.set_num_threads(before)
    for seen in every:
        assert [(kind, n) for kind, n, _ in seen[:4]] == [
            ("begin", 1010 + 5300), ("begin", 4800), ("sum", 5100), ("begin", 1010 + 5300),
        ]  # fmt: skip
        # At first a part is +0. Of the middle layer the first rows are computed after the others.
        assert [left for _, _, left in seen[:2]] == [0, 0]


def test_ranks_without_rows_give_the_same_segments():
    """Each rank gives all of them, in one order; one has no shard with rows in the last step."""
    widths = [6, 60, 60, 3]
    seen = segments_seen(3, 1000, widths, rows=94, batch_size=93, n_shards=3)
    kinds = [[(kind, n) for kind, n, _ in each] for each in seen]
    assert kinds[0] == kinds[1] == kinds[2]
    assert None in [left for each in seen for kind, _, left in each if kind == "begin"]


@pytest.mark.skipif(not (HERE.parent / "benchmarks").exists(), reason="needs the sources")
@pytest.mark.parametrize("widths", [[6, 60, 60, 3], [50, 100, 100, 10], [1, 300, 2]])
def test_the_model_of_the_benchmarks_cuts_as_the_core_does(widths):
    from benchmarks.overlap_model import segments

    shape = {"rows": 60, "batch_size": 60, "n_shards": 2}
    for least in (400, 4000, 40000):
        (seen, _) = segments_seen(2, least, widths, **shape)
        begins, left = [], sum((a + 1) * b for a, b in itertools.pairwise(widths))
        for kind, n, _ in seen:
            left -= n
            begins.append(left)
            if kind == "sum":
                break
        assert begins == segments(tuple(widths), least // 4)


def ended(work, size=3):
    """What each rank has raised, in time; `work` is of one with overlapping exchanges."""
    began = time.monotonic()
    found = raised(work, size, segment_bytes=128)
    assert time.monotonic() - began < SECONDS
    assert not [t for t in threading.enumerate() if t.name == "fastrelu-exchange"]
    return found


def begin_training(comm):
    trainer, (X, y, _) = trainer_and_rows({**CASES["optimizer adam"], **LARGER}, comm)
    before = trainer.network.parameters.copy()
    try:
        trainer.fit(X, y, epochs=3)
    finally:
        assert (trainer.network.parameters == before).all()
        assert (trainer.n_steps, trainer.n_epochs, trainer.epoch_open) == (0, 0, False)


def test_an_exchange_that_fails_behind_the_computation_ends_all_ranks():
    def work(comm):
        left, sum_now = iter(range(20)), comm._behind._sum

        def fails(*arguments):
            if next(left) == 2 and comm.rank == 1:
                raise OSError("the network is gone")
            sum_now(*arguments)

        comm._behind._sum = fails
        begin_training(comm)

    found = ended(work)
    assert [type(error) for error in found] == [RankError, OSError, RankError]


@pytest.mark.parametrize("at", ["begin_sum", "sum_in_order"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_a_rank_that_raises_while_it_computes_ends_all_ranks(at, kind):
    """Ctrl-C comes where Python is asked: what has begun is given up before the step ends."""

    class Stops(Recording):
        left = 3

        def given(self, name, arguments):
            if name == at and self.rank == 1:
                self.left -= 1
                if self.left == 0:
                    raise kind
            getattr(self.comm, name)(*arguments)

        def begin_sum(self, *arguments):
            self.given("begin_sum", arguments)

        def sum_in_order(self, *arguments):
            self.given("sum_in_order", arguments)

    def work(comm):
        try:
            begin_training(Stops(comm, []))
        except KeyboardInterrupt as error:
            raise RuntimeError("stopped") from error

    found = ended(work)
    assert isinstance(found[1], (RuntimeError, kind)) and not isinstance(found[1], RankError)
    assert [type(found[k]) for k in (0, 2)] == [RankError] * 2


def test_ctrl_c_while_the_last_segments_are_summed(monkeypatch):
    """The signal comes while a rank waits for its own thread, and then while it gives up."""
    from fastrelu.distributed.behind import Behind

    join, interrupts = threading.Thread.join, {"left": 2}

    def interrupted(thread, *arguments):
        if thread.name == "fastrelu-exchange" and interrupts["left"] > 0:
            interrupts["left"] -= 1
            raise KeyboardInterrupt
        join(thread, *arguments)

    began, go_on = threading.Event(), threading.Event()

    def slow(parts, counts, total, notes):
        began.set()
        while not go_on.wait(0.01):
            behind.look()
        total[...] = 1

    behind, total = Behind(slow, 0, 2), np.zeros(3)
    behind.begin(np.ones((1, 3)), (1, 1), total)
    behind.begin(np.ones((1, 3)), (1, 1), total)
    assert began.wait(SECONDS)
    thread = behind._thread
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        behind.finish()
    behind.abandon()
    assert interrupts["left"] == 0 and not thread.is_alive() and (total == 0).all()
    # It can be used again.
    go_on.set()
    behind.begin(np.ones((1, 3)), (1, 1), total)
    behind.finish()
    assert (total == 1).all()


@pytest.mark.parametrize("least", [0, -1, 2.5, True])
def test_a_bad_size_of_segments_is_refused(least):
    with pytest.raises((TypeError, ValueError), match="segment_bytes: expected a whole number"):
        run_threads(2, lambda comm: None, least)


def test_ranks_with_other_segments_are_told():
    def work(comm):
        comm.segment_bytes = 100 + comm.rank
        trainer_and_rows({}, comm)

    for error in raised(work, 2):
        assert "segment_bytes is 100 on rank 0 and 101 on rank 1" in str(error)


@pytest.fixture(scope="module")
def mpi():
    """The functions of test_mpi; skips where processes of MPI cannot be started."""
    import test_mpi

    try:
        done = test_mpi.finished(test_mpi.ranks(2, "-c", "from mpi4py import MPI"))
    except subprocess.TimeoutExpired:
        pytest.skip("mpiexec has not started two processes within two minutes")
    if done.returncode != 0:
        pytest.skip(f"mpiexec cannot start two processes here: {done.stderr.strip()[-300:]}")
    return test_mpi


def test_processes_give_the_bits_of_one(mpi, tmp_path):
    from overlapping_ranks import cases

    done = mpi.finished(mpi.ranks(mpi.RANKS, HERE / "overlapping_ranks.py", "bits", tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    one = {label: hashed(outcome(label, None, **more)) for label, more in cases().items()}
    assert len(found) == 2 * len(one) * sum(range(2, mpi.RANKS + 1))
    assert not [key for key, each in found.items() if each != one[key.partition("/")[0]]]


@pytest.mark.parametrize(
    ("level", "overlap", "text"),
    [
        (
            "single",
            "True",
            "ValueError: overlap: expected an MPI that other threads than the first",
        ),
        ("multiple", "1", "TypeError: overlap: expected True or False, got 1"),
    ],
)
def test_what_cannot_overlap_is_refused(mpi, level, overlap, text):
    script = (
        f"import mpi4py; mpi4py.rc.thread_level = '{level}'; from mpi4py import MPI; "
        "from fastrelu.distributed.mpi import MpiCommunicator as M; "
        f"M(MPI.COMM_WORLD); M(MPI.COMM_WORLD, overlap={overlap})"
    )
    done = mpi.finished(mpi.ranks(1, "-c", script))
    assert done.returncode != 0 and text in done.stderr, done.stderr


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("what", ["raises", "dies", "tells", "stops"])
def test_a_process_that_fails_in_an_exchange_ends_all(mpi, tmp_path, what):
    size = mpi.RANKS
    began = time.monotonic()
    done = mpi.finished(mpi.ranks(size, HERE / "overlapping_ranks.py", what, tmp_path))
    assert (done.returncode == 0) == (what == "tells"), done.stderr
    pids = [int((tmp_path / f"pid {rank}").read_text()) for rank in range(size)]
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() - began < SECONDS
        time.sleep(0.05)
    assert time.monotonic() - began < SECONDS
    saw = {rank: tmp_path / f"saw {rank}" for rank in range(size)}
    if what in ("raises", "stops"):
        assert saw[size - 1].read_text() == "OSError: the network is gone"
        assert "the network is gone" in done.stderr
    if what == "tells":
        told = f"RankError: rank {size - 1}: the network is gone"
        assert [saw[rank].read_text() for rank in range(size - 1)] == [told] * (size - 1)

# SPDX-License-Identifier: BSD-3-Clause
"""Local steps: what the algorithm says, the same on every rank, each time."""

import numpy as np
import pytest
from distributed_cases import raised
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrelu
from fastrelu.distributed import fit_local_steps, run_threads
from fastrelu.random import Purpose, permutation

X = np.random.default_rng(0).normal(size=(101, 3)).astype(np.float32)
Y = X[:, 0] * X[:, 1]


def trainer_of(optimizer="adam", seed=0, **more):
    net = fastrelu.Network([3, 5, 1], seed=seed)
    return fastrelu.Trainer(net, optimizer=optimizer, batch_size=4, seed=7, **more)


def ended(trainer, history):
    return (
        trainer.network.parameters.tobytes(),
        [array.tobytes() for array in trainer._core.optimizer_arrays],
        trainer.n_steps, history.loss,
    )  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 9), st.lists(st.integers(1, 25), min_size=4, max_size=4),
    st.booleans(), st.sampled_from(["sgd", "momentum", "adam"]),
)  # fmt: skip
def test_it_is_what_it_says(size, every, counts, weighted, optimizer):
    """Beside the same by hand: rounds of each rank alone, then a mean in the order of ranks."""
    given_optimizer = {"momentum": fastrelu.SGD(0.01, momentum=0.9)}.get(optimizer, optimizer)
    ends = np.cumsum(counts)
    rows = [slice(end - n, end) for end, n in zip(ends, counts, strict=True)][:size]

    def train(comm):
        trainer = trainer_of(given_optimizer, seed=comm.rank)
        own = rows[comm.rank]
        weight = np.arange(1.0, 1 + counts[comm.rank]) if weighted else None
        history = fit_local_steps(
            trainer, X[own], Y[own], 2, comm=comm, sync_every=every, sample_weight=weight
        )
        return ended(trainer, history)

    found = run_threads(size, train)
    assert found == [found[0]] * size == run_threads(size, train)
    trainers = [trainer_of(given_optimizer) for _ in range(size)]
    each = every * 4
    for epoch in (1, 2):
        orders = [permutation(7, Purpose.ROW_ORDER, r, epoch, counts[r]) for r in range(size)]
        for first in range(0, max(counts[:size]), each):
            some = [order[first : first + each] for order in orders]
            for r, trainer in enumerate(trainers):
                if len(some[r]):
                    weight = np.arange(1.0, 1 + counts[r])[some[r]] if weighted else None
                    trainer.fit(X[rows[r]][some[r]], Y[rows[r]][some[r]], 1, sample_weight=weight)
            if size == 1:
                continue
            n = sum(map(len, some))
            mean = [None] * 3
            for r, trainer in enumerate(trainers):
                if not len(some[r]):
                    continue
                parts = [trainer.network.parameters, *trainer._core.optimizer_arrays]
                for k, part in enumerate(parts):
                    term = part * np.float32(len(some[r]) / n)
                    mean[k] = term if mean[k] is None else mean[k] + term
            state = max((t._core.state for t in trainers), key=lambda each: each["step"])
            for trainer in trainers:
                trainer.network.parameters[...] = mean[0]
                kept = len(trainer._core.optimizer_arrays)
                trainer._core.optimizer_arrays = mean[1 : 1 + kept]
                trainer._core.state = state
    assert found[0][0] == trainers[0].network.parameters.tobytes()
    assert found[0][2] == trainers[0].n_steps


def test_it_learns():
    def train(comm):
        own = slice(comm.rank * 50, comm.rank * 50 + 50)
        trainer = trainer_of(fastrelu.Adam(1e-2), input_scale_rate=1.0)
        losses = fit_local_steps(trainer, X[own], Y[own], 30, comm=comm, sync_every=5).loss
        return losses[0], losses[-1], trainer._core.input_scales.tolist()

    one, other = run_threads(2, train)
    assert one == other and one[1] < one[0] / 4


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (
            lambda comm: fit_local_steps(
                trainer_of(), X, Y, comm=comm, sync_every=1 + comm.rank
            ),
            "comm: expected the same on every rank, but sync_every is 1 on rank 0 and 2 on rank 1",
        ),
        (
            lambda comm: fit_local_steps(
                trainer_of(clip_norm=1.0 + comm.rank), X, Y, comm=comm, sync_every=1
            ),
            "clip_norm",
        ),
        (lambda comm: fit_local_steps(trainer_of(), X, Y, comm=comm, sync_every=0), "sync_every"),
        (
            lambda comm: fit_local_steps(
                trainer_of(n_shards=2, comm=comm), X, Y, comm=comm, sync_every=1
            ),
            "trainer: expected one without comm",
        ),
        (
            lambda comm: fit_local_steps(
                trainer_of(), X, Y if comm.rank else Y * np.nan, comm=comm, sync_every=1
            ),
            "y: ",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_ends_all(work, text):
    found = raised(work)
    assert all(error is not None for error in found)
    assert all(text in str(error) for error in found), found

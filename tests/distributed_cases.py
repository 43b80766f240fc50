# SPDX-License-Identifier: BSD-3-Clause
"""Trainings that ranks share: every loss, optimizer and activation, every kind of rows."""

import hashlib
import threading

import numpy as np
from catalogue_tools import (
    ACTIVATION_NAMES,
    OPTIMIZERS,
    VARIANTS,
    optimizer_of,
    outputs_for,
    targets,
)
from scipy import sparse

import fastrelu
from fastrelu.distributed import run_threads

N, D, SHARDS = 59, 6, 4


def rows_of_kind(kind, rng, n=N):
    X = rng.normal(size=(n, D))
    if kind == "sparse":
        return sparse.csr_array(X * (rng.random(X.shape) < 0.3))
    if kind == "encoded":
        return fastrelu.EncodedRows.from_edges(X, [[-1.0, 0.0, 1.0]] * 3 + [[-1.0, 1.0]] * 3)
    if kind == "uint8":
        return rng.integers(0, 256, (n, D)).astype(np.uint8)
    return X


CASES = (
    {f"loss {name}": {"loss": loss} for name, loss in VARIANTS.items()}
    | {f"optimizer {label}": {"optimizer": label} for label in OPTIMIZERS}
    | {f"activation {name}": {"activation": name} for name in ACTIVATION_NAMES}
    | {
        "weights": {"weighted": True, "dropout": 0.3},
        "clipped": {"clip_norm": 0.01},
        "input scales": {"input_scale_rate": 5.0, "optimizer": "adam"},
        "float64": {"dtype": "float64", "weighted": True},
        "subset": {"sampling": "subset", "weighted": True},
        "with replacement": {"sampling": "with_replacement", "dropout": 0.5},
        "sparse": {"kind": "sparse", "optimizer": "momentum"},
        "sparse, sgd": {"kind": "sparse", "optimizer": "sgd", "weighted": True},
        "sparse, adam": {"kind": "sparse", "optimizer": "adam", "sampling": "with_replacement"},
        "encoded": {"kind": "encoded", "optimizer": "adam"},
        "bytes": {"kind": "uint8"},
        "small batches": {"batch_size": SHARDS, "weighted": True},
        "few rows": {"n": SHARDS + 1},
    }
)


def trainer_and_rows(case, comm):
    """A trainer and this rank's rows: X, y, sample_weight; the network of rank 0 counts."""
    n, kind = case.get("n", N), case.get("kind", "dense")
    rng = np.random.default_rng(7)
    loss = case.get("loss", "squared_error")
    K = outputs_for(loss, 2)
    X, y, w = rows_of_kind(kind, rng, n), targets(rng, loss, n, K), rng.random(n) + 0.1
    net = fastrelu.Network(
        [X.shape[1], 9, 7, K],
        seed=5 if comm is None else 5 + comm.rank,
        dtype=case.get("dtype", "float32"),
        activation=case.get("activation", "relu"),
        **({"scale": 1 / 255} if kind == "uint8" else {}),
    )
    trainer = fastrelu.Trainer(
        net,
        loss=loss,
        optimizer=optimizer_of(fastrelu, case.get("optimizer", "nesterov")),
        batch_size=case.get("batch_size", 13),
        n_shards=SHARDS,
        dropout=case.get("dropout", 0.0),
        clip_norm=case.get("clip_norm"),
        input_scale_rate=case.get("input_scale_rate", 0.0),
        comm=comm,
    )
    own = trainer.own_rows(n)
    mine = slice(own.start, own.stop)
    return trainer, (X[mine], y[mine], w[mine] if case.get("weighted") else None)


def outcome(label, comm, **more):
    """What a training ends in: the parameters, the optimizer's state, the losses.

    `more` is what the case has otherwise.
    """
    case = {**CASES[label], **more}
    trainer, (X, y, weight) = trainer_and_rows(case, comm)
    sampling = case.get("sampling", "shuffle")
    history = trainer.fit(X, y, epochs=2, sample_weight=weight, sampling=sampling)
    step = trainer.step(X, y, weight)
    state = b"".join(array.tobytes() for array in trainer._core.optimizer_arrays)
    return trainer.network.parameters.tobytes(), state, history.loss, step, trainer.n_steps


def hashed(ended):
    return hashlib.sha256(repr(ended).encode()).hexdigest()


def raised(work, size=2, segment_bytes=None):
    """The errors that the ranks see, each its own; none may wait for another."""
    found = [None] * size

    def caught(comm):
        try:
            work(comm)
        except Exception as error:
            found[comm.rank] = error

    thread = threading.Thread(target=lambda: run_threads(size, caught, segment_bytes), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return found


def digests(world, labels, digest):
    """What each rank ends with where the first P of an MPI's share a case, P from 2 up."""
    from mpi4py import MPI

    found = {}
    for size in range(2, world.size + 1):
        comm = world.Split(0 if world.rank < size else MPI.UNDEFINED, world.rank)
        if comm != MPI.COMM_NULL:
            for label in labels:
                for rank, each in enumerate(comm.allgather(digest(label, comm))):
                    found[f"{label}/{size}/{rank}"] = each
    return found

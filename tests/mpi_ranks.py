# SPDX-License-Identifier: BSD-3-Clause
"""Run by mpiexec: the cases named with the first P ranks, P from 2 up; prints what each ended in.

Named "given up": what gives up the contract, of each rank.
"""

import json
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("FASTRELU_NUM_THREADS", "1")
sys.path.insert(0, os.path.dirname(__file__))

import numpy as np
from distributed_cases import CASES, digests, hashed, outcome, trainer_and_rows

import fastrelu
from fastrelu.distributed import as_communicator

#: Cases of the usual run: each kind of exchange.
SOME = ["loss cross_entropy", "optimizer adam", "weights", "clipped", "float64", "sparse",
        "encoded", "small batches"]  # fmt: skip


def digest(label, comm):
    return hashed(outcome(label, comm))


def loosely_summed(comm):
    """The parameters after two epochs, by MPI's own sum."""
    if comm is not None:
        from fastrelu.distributed.mpi import MpiCommunicator

        comm = MpiCommunicator(comm, reduction="mpi_sum")
    trainer, (X, y, _) = trainer_and_rows(CASES["optimizer adam"], comm)
    trainer.fit(X, y, epochs=2)
    return trainer.network.parameters.tolist()


def local_steps(comm):
    X = np.random.default_rng(comm.rank).normal(size=(30 + comm.rank, 3))
    trainer = fastrelu.Trainer(fastrelu.Network([3, 4, 1], seed=1), batch_size=4)
    fastrelu.distributed.fit_local_steps(trainer, X, X[:, 0], 2, comm=comm, sync_every=3)
    return trainer.network.parameters.tolist()


def main(labels):
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if labels == ["given up"]:
        found = world.gather((loosely_summed(world), local_steps(world)))
        if world.rank == 0:
            print(json.dumps(found))
        return
    found = digests(world, labels, digest)
    # Once more by messages, as between machines, and not in memory that the ranks share.
    as_communicator(world)._sums = None
    for rank, each in enumerate(world.allgather(digest(labels[0], world))):
        found[f"{labels[0]}/messages/{rank}"] = each
    if world.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

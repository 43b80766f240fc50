# SPDX-License-Identifier: BSD-3-Clause
"""Run by mpiexec, with what to do and a folder: trainings whose exchanges overlap, and faults.

"bits": the cases of test_overlapping with the first P ranks, P from 2 up, by shared memory and by
messages; rank 0 prints what each ended in. Others are faults of the last rank in an exchange that
runs behind the computation; each rank leaves a file with its process's number, and what it saw.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("FASTRELU_NUM_THREADS", "1")
sys.path.insert(0, os.path.dirname(__file__))

from distributed_cases import CASES, hashed, outcome, trainer_and_rows

from fastrelu.distributed.mpi import MpiCommunicator

#: A case with each kind of optimizer, loss, rows and dropout; more rows than in one kernel call.
SOME = ["loss cross_entropy", "optimizer adam", "weights", "clipped", "float64", "sparse",
        "encoded", "small batches", "with replacement"]  # fmt: skip
LARGER = {"n": 250, "batch_size": 60}
LEAST = 128  # bytes of a segment


def cases():
    return {label: ({} if "small" in label else LARGER) for label in SOME}


def overlapping(comm, messages=False):
    found = MpiCommunicator(comm, overlap=True)
    found.segment_bytes = LEAST
    if messages:
        found._sums = None
    elif found.rank == found.size - 1:
        read_late(found._sums)
    return found


def read_late(sums):
    """Be slow to read a sum in shared memory, where the other ranks then write the next parts."""
    meet = sums._meet

    def late():
        meet()
        time.sleep(0.0005)

    sums._meet = late


def bits(world):
    from mpi4py import MPI

    found = {}
    for size in range(2, world.size + 1):
        comm = world.Split(0 if world.rank < size else MPI.UNDEFINED, world.rank)
        if comm == MPI.COMM_NULL:
            continue
        for messages in (False, True):
            ranks = overlapping(comm, messages)
            for label, more in cases().items():
                own = hashed(outcome(label, ranks, **more))
                for rank, each in enumerate(comm.allgather(own)):
                    found[f"{label}/{size}/{rank}/{messages}"] = each
    if world.rank == 0:
        print(json.dumps(found))


class Faulty(MpiCommunicator):
    """The last rank fails in the third segment that it exchanges behind its computation."""

    def __init__(self, comm, fault):
        super().__init__(comm, overlap=True)
        self.segment_bytes, self.left, self.fault = LEAST, 3, fault
        self._behind._sum = self.counted

    def counted(self, parts, counts, total, notes):
        self.left -= 1
        if self.left == 0 and self.rank == self.size - 1:
            self.fault()
        self._sum_now(parts, counts, total, notes)


class Stopping(MpiCommunicator):
    """The last rank fails while its own thread waits for others, which do not come."""

    def __init__(self, comm):
        super().__init__(comm, overlap=True)
        self.segment_bytes, self.left = LEAST, 3

    def begin_sum(self, *arguments):
        self.left -= 1
        if self.left == 0 and self.rank < self.size - 1:
            time.sleep(100)
        super().begin_sum(*arguments)
        if self.left == 0:
            raise OSError("the network is gone")


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def raises():
    raise OSError("the network is gone")


def train(comm, folder):
    trainer, (X, y, _) = trainer_and_rows({**CASES["optimizer adam"], **LARGER}, comm)
    before = trainer.network.parameters.copy()
    try:
        trainer.fit(X, y, epochs=100)
    except Exception as error:
        assert (trainer.network.parameters == before).all()
        assert (trainer.n_steps, trainer.n_epochs, trainer.epoch_open) == (0, 0, False)
        Path(folder, f"saw {comm.rank}").write_text(f"{type(error).__name__}: {error}")
        raise


def main(what, folder):
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if what == "bits":
        bits(world)
        return
    Path(folder, f"pid {world.rank}").write_text(str(os.getpid()))
    faulty = Faulty(world, dies if what == "dies" else raises)
    comm = Stopping(world) if what == "stops" else faulty
    if what != "tells":
        train(comm, folder)
        return
    # A program that tells the others of its error, as the command does, instead of ending them.
    try:
        train(comm, folder)
    except OSError as error:
        assert comm.fail(str(error), 3)
    except Exception as error:
        comm.answer(error)


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: BSD-3-Clause
"""Run by mpiexec: models of tables whose rows the first P ranks share, P from 2 up; prints digests.

Named "raises" or "signal": one rank ends in the middle of a fit, for itself.
"""

import json
import os
import signal
import sys
from unittest import mock

if __name__ == "__main__":
    os.environ.setdefault("FASTRELU_NUM_THREADS", "1")
sys.path.insert(0, os.path.dirname(__file__))

import numpy as np
from distributed_cases import digests, hashed
from table_cases import N, content, few_epochs, frame, own, targets

import fastrelu
from fastrelu.app.tabular import fit, recipe
from fastrelu.distributed import rank_members


def classifier(comm):
    """All that a classifier holds, of columns of all kinds, some rows of weight 0."""
    X, weight = frame(), np.random.default_rng(1).random(N)
    weight[::7] = 0.0
    y = np.digitize(targets(X), [-1, 1])
    model = fastrelu.TabularClassifier("fast", random_state=0, comm=comm)
    return content(model.fit(own(comm, X), own(comm, y), own(comm, weight)), X)


def regressor(comm):
    """All that a monotone regressor holds, of an array."""
    X, y = frame()[["a", "whole"]].to_numpy(), targets(frame())
    model = fastrelu.TabularRegressor("fast", random_state=0, monotone={"x1": 1}, comm=comm)
    return content(model.fit(own(comm, X), own(comm, y)), X)


WORK = {"classifier": classifier, "regressor": regressor}


def digest(label, comm):
    """The digest of what a rank ends with; rows travel in several blocks."""
    rows = mock.patch.multiple(rank_members, FEWEST_ROWS=128, MOST_ROWS=128)
    with rows, mock.patch.object(fit, "candidates", lambda *of: few_epochs(recipe.candidates(*of))):
        return hashed([repr(WORK[label](comm)).encode()])


def end(how):
    """Have the rank that trains the second member end in its first epoch."""
    after_epoch = rank_members.FetchedRun.after_epoch

    def ending(run, *numbers):
        if run.member.index == 1:
            if how == "raises":
                raise MemoryError("no memory for it")
            os.kill(os.getpid(), getattr(signal, how))
        return after_epoch(run, *numbers)

    rank_members.FetchedRun.after_epoch = ending


def main(labels):
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if labels[0] == "end":
        end(labels[1])
        classifier(world)
        return
    found = digests(world, labels, digest)
    if world.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

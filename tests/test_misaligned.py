# SPDX-License-Identifier: BSD-3-Clause
"""Arrays that lie at odd addresses, as those of a message that was unpickled do."""

import numpy as np
import pytest
import scipy.sparse
from conftest import same_bits

import fastrelu


def moved(array):
    """Return the same numbers at an odd address."""
    array = np.ascontiguousarray(array)
    away = np.ndarray(array.shape, array.dtype, buffer=bytearray(array.nbytes + 1), offset=1)
    away[...] = array
    assert array.itemsize == 1 or not away.flags.aligned
    return away


def same(array):
    return array


def encoded(place):
    widths, ramps = np.array([3, 1, 4]), np.array([1, 0, 1])
    positions = np.array([[0, 0, 1], [2, 0, 3], [1, 0, 0], [2, 0, 2]], np.uint16)
    values = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
    return fastrelu.EncodedRows(
        positions=place(positions), values=place(values), widths=place(widths), ramps=place(ramps)
    )


def sparse(place):
    rows = dense(same)
    made = scipy.sparse.csr_array(np.where(rows > 0, rows, 0))
    made.data, made.indices, made.indptr = map(place, (made.data, made.indices, made.indptr))
    return made


def dense(place):
    return place(np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32))


@pytest.mark.parametrize("rows", [dense, sparse, encoded])
def test_rows_targets_and_weights_may_lie_anywhere(rows):
    found = []
    for place in (same, moved):
        y = place(np.arange(8, dtype=np.float32).reshape(4, 2))
        weights = place(np.array([1.0, 2.0, 0.5, 1.0]))
        net = fastrelu.Network([8, 5, 2], seed=1)
        trainer = fastrelu.Trainer(net, batch_size=3, seed=2)
        history = trainer.fit(rows(place), y, 2, sample_weight=weights)
        found.append((np.asarray(history.loss), net.parameters.copy(), net.forward(rows(place))))
    for aligned, away in zip(*found, strict=True):
        assert same_bits(aligned, away)

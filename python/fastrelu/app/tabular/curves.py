# SPDX-License-Identifier: BSD-3-Clause
"""A model along one column: the piecewise linear functions that its members are there, exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu.app.preprocess.piece_inputs import PieceNumber
from fastrelu.network import Network

Array = NDArray[Any]
Floats = NDArray[np.float64]


def mean_curve(
    networks: list[Network], X: Array, place: Array, number: PieceNumber
) -> tuple[Floats, Floats]:
    """Return the mean output as a function of one number.

    Between neighbouring bends of the encoding all inputs of the column are affine in the number, so
    that each member, for each row, is a piecewise linear function of it: that of a network whose
    first layer is the encoding, whose pieces `Network.along` finds all.

    Parameters
    ----------
    networks : list of Network
        The members.
    X : ndarray, (n, d_in)
        Encoded rows.
    place : ndarray of int
        The column's inputs.
    number : PieceNumber
        What they are made by.

    Returns
    -------
    knots : ndarray of float64, (g,)
        Numbers, ascending; the first and last are the ends of the training range. There is the
        mean of the outputs linear between neighbours.
    values : ndarray of float64, (g, K)
        The mean output at each.
    """
    bends = number.bends
    n_steps = len(bends) - 1
    steps = np.zeros((len(bends), len(place)))
    number.write(bends, steps)
    curves = []
    for network in networks:
        composed = _composed(network, steps, place)
        W, b = network.weights[0].astype(np.float64), network.biases[0].astype(np.float64)
        others = X.astype(np.float64)
        others[:, place] = steps[0]
        for base in others @ W + b:
            composed.biases[1][...] = base
            curves.append(composed.along([0.0], [float(n_steps)]))
    # `along` goes from 0 to 1; a step of 1 in u is the way from one bend to the next.
    places = np.unique(
        np.concatenate([np.arange(len(bends)) / n_steps, *(c.knots for c in curves)])
    )
    places = places[(places >= 0) & (places <= 1)]
    total = np.zeros((len(places), networks[0].layer_sizes[-1]))
    for curve in curves:
        values = np.asarray(curve.values).reshape(len(curve.knots), -1)
        for k, column in enumerate(values.T):
            total[:, k] += np.interp(places, curve.knots, column)
    numbers = np.interp(places * n_steps, np.arange(len(bends)), bends)
    keep = np.r_[True, np.diff(numbers) > 0]
    return numbers[keep], total[keep] / len(curves)


def _composed(network: Network, steps: Floats, place: Array) -> Network:
    """Return a network of u: its first layer the encoding's steps, then the given one.

    Its second layer's bias is that of the row, which the caller writes.
    """
    n_steps = len(steps) - 1
    composed = Network([1, n_steps, *network.layer_sizes[1:]], dtype="float64", seed=0)
    # Inputs at u: steps[0] + sum over t of (turn of the slope at t) * max(0, u - t).
    slopes = np.diff(steps, axis=0)
    turns = np.diff(slopes, axis=0, prepend=np.zeros((1, len(place))))
    composed.weights[0][...] = 1.0
    composed.biases[0][...] = -np.arange(n_steps, dtype=np.float64)
    composed.weights[1][...] = turns @ network.weights[0].astype(np.float64)[place]
    for k in range(1, len(network.weights)):
        composed.weights[k + 1][...] = network.weights[k]
        composed.biases[k + 1][...] = network.biases[k]
    return composed

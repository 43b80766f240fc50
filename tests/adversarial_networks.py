# SPDX-License-Identifier: BSD-3-Clause
"""Small networks of the kinds on which certificates about linear pieces have failed or may fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastrelu

Rng = np.random.Generator


def normal(net: Any, rng: Rng) -> None:
    """Leave the parameters as they are."""


def whole_numbers(net: Any, rng: Rng) -> None:
    """Make lines coincide and meet in points."""
    net.parameters[:] = rng.integers(-2, 3, size=net.n_parameters)
    net.parameters[:] *= rng.choice([1, 1 / 3])


def decayed(net: Any, rng: Rng) -> None:
    """Let unused units have weights near 1e-25 and biases as before, as weight decay does."""
    for W in net.weights[:-1]:
        W[:, rng.random(W.shape[1]) < 0.5] *= 10.0 ** -rng.integers(15, 30)


def unit_scales(net: Any, rng: Rng) -> None:
    """Give each unit a size of its own, made up for behind it, and kinks at all distances."""
    for k, W in enumerate(net.weights[:-1]):
        factor = 10.0 ** rng.integers(-9, 10, size=W.shape[1])
        W *= factor
        net.weights[k + 1][:] /= factor[:, None]
        if net.bias:
            net.biases[k][:] *= 10.0 ** rng.integers(-9, 10, size=W.shape[1])


def far_hinges(net: Any, rng: Rng) -> None:
    """Put kinks at 1e-12, 1 and 1e14 side by side."""
    places = [1, 1.5, 1e14, 1.1e14, -2, -3e10, 1e-12, 2e-12, 1e5, 1.0000001]
    n = net.layer_sizes[1]
    factor = 10.0 ** rng.integers(-14, 3, size=n)
    net.weights[0][0] = factor
    if net.layer_sizes[0] == 2:
        net.weights[0][1] *= factor
    if net.bias:
        net.biases[0][:] = -factor * rng.choice(places, size=n)
    net.weights[1][:] *= rng.choice([100, 1], size=n)[:, None]


def duplicates(net: Any, rng: Rng) -> None:
    """Repeat units, also the other way round."""
    for k, W in enumerate(net.weights[:-1]):
        for j in np.flatnonzero(rng.random(W.shape[1]) < 0.5):
            factor = rng.choice([1, 2, -1, 0.5, 3, -4])
            W[:, j] = W[:, 0] * factor
            if net.bias:
                net.biases[k][j] = net.biases[k][0] * factor


def cancelling(net: Any, rng: Rng) -> None:
    """Let equal units cancel behind, exactly."""
    for k, W in enumerate(net.weights[:-1]):
        equal = np.flatnonzero(rng.random(W.shape[1]) < 0.6)
        if len(equal) < 2:
            continue
        W[:, equal] = W[:, equal[:1]]
        if net.bias:
            net.biases[k][equal] = net.biases[k][equal[0]]
        behind = net.weights[k + 1]
        for o in np.flatnonzero(rng.random(behind.shape[1]) < 0.7):
            if rng.random() < 0.5:
                behind[:, o] = 0
            behind[equal[1:], o] = rng.integers(-7, 8, size=len(equal) - 1)
            behind[equal[0], o] = -behind[equal[1:], o].sum()


def nearly_parallel(net: Any, rng: Rng) -> None:
    """Make lines parallel, or all but, or all but equal."""
    W = net.weights[0]
    for j in range(1, W.shape[1]):
        W[:, j] = W[:, 0] * rng.choice([1, -1, 2, 3])
        if rng.random() < 0.4:
            W[:, j] *= 1 + 1e-15 * rng.normal(size=len(W))
        if net.bias and rng.random() < 0.5:
            net.biases[0][j] = net.biases[0][0] * (1 + 1e-15 * rng.integers(-3, 4))


def no_biases(net: Any, rng: Rng) -> None:
    """Let all first kinks meet in 0, with units that are 0 on whole sides."""
    for b in net.biases:
        b[:] = 0


KINDS: list[Callable[[Any, Rng], None]] = [
    normal, whole_numbers, decayed, unit_scales, far_hinges, duplicates, cancelling,
    nearly_parallel, no_biases,
]  # fmt: skip


def network(kind: Callable[[Any, Rng], None], rng: Rng, sizes: list[int] | None = None) -> Any:
    """Return a random network of a kind, with one or two inputs unless `sizes` are given."""
    depth = int(rng.integers(1, 4))
    inner = rng.integers(1, 8, size=depth).tolist()
    sizes = sizes or [int(rng.integers(1, 3)), *inner, int(rng.integers(1, 3))]
    net = fastrelu.Network(
        sizes,
        dtype=rng.choice(["float32", "float64"]).item(),
        activation=rng.choice(["relu", "leaky_relu"], p=[0.8, 0.2], size=len(sizes) - 2).tolist(),
        bias=bool(rng.random() < 0.85),
        scale=float(10.0 ** rng.integers(-12, 13)) if rng.random() < 0.2 else 1.0,
    )
    net.parameters[:] = rng.normal(size=net.n_parameters)
    kind(net, rng)
    return net


def box(net: Any, rng: Rng) -> list[tuple[float, float]]:
    """Return a box of any size, around 0 or not."""
    power = rng.integers(-2, 3) if rng.random() < 0.6 else rng.integers(-12, 16)
    size = 10.0**power / net.scale
    middle = rng.normal(size=net.layer_sizes[0]) * size
    return [(float(m - size * (1 + rng.random())), float(m + size)) for m in middle]

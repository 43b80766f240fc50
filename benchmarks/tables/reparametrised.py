# SPDX-License-Identifier: BSD-3-Clause
"""Ingredients that the core does not have, tried as other parameters of the networks it has.

A learned leak of each unit, embedded categories and members that share their weights are all ways
to write a network's weights in terms of fewer or other numbers. Here those numbers are what AdamW
changes: the core gives the gradient with respect to the weights, and a chain rule of a line or two
leads from there to the numbers. That is slow, and enough to see what an ingredient would be worth
in the recipe before it is built.

What is shown is the error (1 - R2, log loss) as a ratio to that of the same slow training without
the ingredient.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.report_tables import table as markdown
from benchmarks.tables.data import Table, tables
from benchmarks.tables.worker import measure
from fastrelu import Network
from fastrelu.app.tabular import fit, recipe, train
from fastrelu.encoded import EncodedRows

Array = NDArray[Any]
TABLES = ("concrete", "car_prices", "Auto", "Hitters", "cells", "hpc_data", "attrition",
          "credit_data", "mlc_churn", "OJ")  # fmt: skip


class Plain:
    """The network's own weights and biases, which every other map begins from.

    Attributes
    ----------
    numbers : list of ndarray
        What is trained.
    decays : list of float
        The factor on the decay of each.
    """

    members = 1

    def __init__(self, net: Network, X: Any, random: Any) -> None:
        self.net = net
        self.numbers = [w.copy() for w in net.weights] + [b.copy() for b in net.biases]
        self.n_layers = len(net.weights)
        self.decays = [1.0] * self.n_layers + [0.0] * self.n_layers

    def add(self, value: Array) -> None:
        self.numbers.append(value.astype(np.float32))
        self.decays.append(0.0)

    def network(self, member: int = 0) -> Network:
        """Return the network that the numbers stand for; it is the same object each time."""
        for to, value in zip((*self.net.weights, *self.net.biases), self.numbers, strict=True):
            to[...] = value
        return self.net

    def pulled(self, gradients: Any, member: int = 0) -> list[Array]:
        """Return the gradient with respect to the numbers."""
        return [*gradients.weights, *gradients.biases]

    def whole(self) -> Network:
        """Return one network with the mean output of the members."""
        return self.network().copy()


class LearnedLeak(Plain):
    """A slope below zero for each unit, 0 at first.

    relu(z) - leak relu(-z) is a pair of units: the network has twice the units, their weights tied.
    """

    def __init__(self, net: Network, X: Any, random: Any) -> None:
        super().__init__(net, X, random)
        sizes = net.layer_sizes
        doubled = [sizes[0], *(2 * n for n in sizes[1:-1]), sizes[-1]]
        self.net = Network(doubled, seed=0)
        for units in sizes[1:-1]:
            self.add(np.zeros(units))

    def _parts(self) -> tuple[list[Array], list[Array], list[Array]]:
        n = self.n_layers
        return self.numbers[:n], self.numbers[n : 2 * n], self.numbers[2 * n :]

    def network(self, member: int = 0) -> Network:
        weights, biases, leaks = self._parts()
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            u = w if k == 0 else np.vstack([w, -leaks[k - 1][:, None] * w])
            last = k == self.n_layers - 1
            self.net.weights[k][...] = u if last else np.hstack([u, -u])
            self.net.biases[k][...] = b if last else np.concatenate([b, -b])
        return self.net

    def pulled(self, gradients: Any, member: int = 0) -> list[Array]:
        weights, _, leaks = self._parts()
        of_weights, of_biases, of_leaks = [], [], []
        for k, (g, gb) in enumerate(zip(gradients.weights, gradients.biases, strict=True)):
            if k < self.n_layers - 1:
                half = g.shape[1] // 2
                g, gb = g[:, :half] - g[:, half:], gb[:half] - gb[half:]
            if k:
                units = len(leaks[k - 1])
                of_leaks.append(-(g[units:] * weights[k]).sum(axis=1))
                g = g[:units] - leaks[k - 1][:, None] * g[units:]
            of_weights.append(g)
            of_biases.append(gb)
        return [*of_weights, *of_biases, *of_leaks]


class Embedded(Plain):
    """The weights of a column's categories as a product: a vector of `rank` for each category."""

    rank = 4

    def __init__(self, net: Network, X: Any, random: Any) -> None:
        super().__init__(net, X, random)
        self.blocks: list[tuple[int, int]] = []
        at = 0
        for width, ramp in zip(X.widths, X.ramps, strict=True):
            if not ramp and width > 2 * self.rank:
                self.blocks.append((at, at + int(width)))
            at += int(width)
        for low, high in self.blocks:
            units = net.layer_sizes[1]
            self.add(random.normal(size=(high - low, self.rank)) / math.sqrt(self.rank))
            own = self.numbers[0][low:high].std() * random.normal(size=(self.rank, units))
            self.add(own)

    def network(self, member: int = 0) -> Network:
        numbers, pairs = self.numbers[: 2 * self.n_layers], self.numbers[2 * self.n_layers :]
        for to, value in zip((*self.net.weights, *self.net.biases), numbers, strict=True):
            to[...] = value
        for k, (low, high) in enumerate(self.blocks):
            self.net.weights[0][low:high] = pairs[2 * k] @ pairs[2 * k + 1]
        return self.net

    def pulled(self, gradients: Any, member: int = 0) -> list[Array]:
        found = super().pulled(gradients)
        pairs = self.numbers[2 * self.n_layers :]
        for k, (low, high) in enumerate(self.blocks):
            g = found[0][low:high]
            found += [g @ pairs[2 * k + 1].T, pairs[2 * k].T @ g]
        if self.blocks:
            found[0] = found[0].copy()
            for low, high in self.blocks:
                found[0][low:high] = 0
        return found


class SharedWeights(Plain):
    """Members of one set of weights: each has a factor for every input and unit, biases, outputs.

    The factors of the first layer's inputs are 1 or -1 at random, all others 1 (Gorishniy and
    others, TabM, 2024).
    """

    members = 8

    def __init__(self, net: Network, X: Any, random: Any) -> None:
        self.net, self.n_layers = net, len(net.weights)
        shared = [w.copy() for w in net.weights[:-1]]
        self.numbers = list(shared)
        self.decays = [1.0] * len(shared)
        for _ in range(self.members):
            for k, w in enumerate(shared):
                signs = random.choice([-1.0, 1.0], len(w)) if k == 0 else np.ones(len(w))
                self.add(signs)
                self.add(np.ones(w.shape[1]))
                self.add(net.biases[k].copy())
            self.add(net.weights[-1].copy())
            self.decays[-1] = 1.0
            self.add(net.biases[-1].copy())
        self.own = 3 * len(shared) + 2

    def _of(self, member: int) -> list[Array]:
        at = self.n_layers - 1 + member * self.own
        return self.numbers[at : at + self.own]

    def network(self, member: int = 0) -> Network:
        own = self._of(member)
        for k, w in enumerate(self.numbers[: self.n_layers - 1]):
            self.net.weights[k][...] = own[3 * k][:, None] * w * own[3 * k + 1]
            self.net.biases[k][...] = own[3 * k + 2]
        self.net.weights[-1][...], self.net.biases[-1][...] = own[-2], own[-1]
        return self.net

    def pulled(self, gradients: Any, member: int = 0) -> list[Array]:
        own, found = self._of(member), [np.zeros_like(value) for value in self.numbers]
        at = self.n_layers - 1 + member * self.own
        for k, w in enumerate(self.numbers[: self.n_layers - 1]):
            g, rows, units = gradients.weights[k], own[3 * k][:, None], own[3 * k + 1]
            found[k] = rows * g * units
            found[at + 3 * k] = (g * w * units).sum(axis=1)
            found[at + 3 * k + 1] = (rows * g * w).sum(axis=0)
            found[at + 3 * k + 2] = gradients.biases[k].copy()
        found[at + self.own - 2] = gradients.weights[-1].copy()
        found[at + self.own - 1] = gradients.biases[-1].copy()
        return found

    def whole(self) -> Network:
        nets = [self.network(k).copy() for k in range(self.members)]
        sizes, k = self.net.layer_sizes, self.members
        whole = Network([sizes[0], *(k * n for n in sizes[1:-1]), sizes[-1]], seed=0)
        whole.parameters[:] = 0
        for m, net in enumerate(nets):
            for layer, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
                rows = slice(None) if layer == 0 else slice(m * len(w), (m + 1) * len(w))
                if layer == self.n_layers - 1:
                    whole.weights[layer][rows] = w / k
                    whole.biases[layer][...] += b / k
                else:
                    units = slice(m * w.shape[1], (m + 1) * w.shape[1])
                    whole.weights[layer][rows, units] = w
                    whole.biases[layer][units] = b
        return whole


def smoothed(X: Array, y: Array, weight: Array | None, share: float, n: int) -> tuple[Any, ...]:
    """Return rows, labels and weights in which each row has a share of every class."""
    shares = np.full((len(y), n), share / n)
    shares[np.arange(len(y)), y] += 1 - share
    if weight is not None:
        shares *= weight[:, None]
    return np.repeat(X, n, axis=0), np.tile(np.arange(n), len(y)), shares.ravel()


class Slow:
    """The members' training in NumPy, in place of a population's."""

    def __init__(self, kind: type[Plain], smoothing: float = 0.0) -> None:
        self.kind, self.smoothing = kind, smoothing

    def __call__(
        self, training: Any, population: Any, X: Any, candidate: Any, calls: Any, checkpoint: Any
    ) -> list[int]:
        dense = X.toarray() if isinstance(X, EncodedRows) else np.asarray(X)
        epochs = []
        for network, held, seed in zip(
            population.networks, training.left_out, training.seeds, strict=True
        ):
            random = np.random.default_rng(seed)
            made = self.kind(network.copy(), X, random) if isinstance(X, EncodedRows) else Plain(
                network.copy(), X, random
            )  # fmt: skip
            rows = np.setdiff1d(np.arange(len(dense)), held)
            best, epoch = self._member(made, training.problem, dense, rows, held, candidate, random)
            made.numbers = best
            epochs.append(epoch)
            self.put(made.whole(), network, population)
        return epochs

    @staticmethod
    def put(found: Network, network: Network, population: Any) -> None:
        if found.layer_sizes == network.layer_sizes:
            network.parameters[:] = found.parameters
            return
        place = next(k for k, n in enumerate(population.networks) if n is network)
        population.members[place].network = found

    def _member(
        self, made: Plain, problem: Any, X: Array, rows: Array, held: Array, candidate: Any,
        random: Any,
    ) -> tuple[list[Array], int]:  # fmt: skip
        first = [np.zeros_like(v) for v in made.numbers]
        second = [np.zeros_like(v) for v in made.numbers]
        best, lowest, at, step = [v.copy() for v in made.numbers], math.inf, 0, 0
        for epoch in range(1, candidate.epochs + 1):
            order = random.permutation(rows)
            for low in range(0, len(order), candidate.batch_size):
                some = order[low : low + candidate.batch_size]
                step += 1
                total = self._gradient(made, problem, X, some)
                _adamw(made, total, first, second, step, candidate)
            outputs = np.mean([made.network(k)(X[held]) for k in range(made.members)], axis=0)
            loss = problem.mean(problem.losses(outputs.astype(np.float64), held), held)
            if loss < lowest:
                best, lowest, at = [v.copy() for v in made.numbers], loss, epoch
            elif epoch - at >= candidate.patience:
                break
        return best, at

    def _gradient(self, made: Plain, problem: Any, X: Array, some: Array) -> list[Array]:
        weight = None if problem.weight is None else problem.weight[some]
        rows, y = X[some], problem.y[some]
        if self.smoothing and problem.loss.name == "cross_entropy":
            n = len(problem.start)
            rows, y, weight = smoothed(rows, y, weight, self.smoothing, n)
        total: list[Array] | None = None
        for k in range(made.members):
            _, gradients = made.network(k).loss_and_gradient(rows, y, problem.loss, weight)
            found = made.pulled(gradients, k)
            total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
        assert total is not None
        return total


def _adamw(
    made: Plain, gradient: list[Array], first: list[Array], second: list[Array], step: int,
    candidate: Any,
) -> None:  # fmt: skip
    rate, decay = candidate.learning_rate, candidate.weight_decay
    scale = math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    for k, (w, g) in enumerate(zip(made.numbers, gradient, strict=True)):
        first[k] += 0.1 * (g - first[k])
        second[k] += 0.001 * (g * g - second[k])
        w *= np.float32(1 - rate * decay * made.decays[k])
        w -= np.float32(rate * scale) * first[k] / (np.sqrt(second[k]) + 1e-8)


WHAT: dict[str, Callable[[], Slow]] = {
    "nothing": lambda: Slow(Plain),
    "learned leak": lambda: Slow(LearnedLeak),
    "embedded categories": lambda: Slow(Embedded),
    "label smoothing 0.1": lambda: Slow(Plain, 0.1),
    "8 members of shared weights": lambda: Slow(SharedWeights),
}


def error(table: Table, name: str, split: int, n_candidates: int) -> tuple[float, float]:
    """Return the error with an ingredient, and the CPU seconds of a fit."""
    slow = WHAT[name]()
    few = mock.patch.object(fit, "candidates", lambda *a: recipe.candidates(*a)[:n_candidates])
    own = mock.patch.object(train.Training, "_fit", lambda self, *a: slow(self, *a))
    with few, own, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = measure(table, "tabular", split)
    value = 1 - found["R2"] if table.task == "regression" else found["log loss"]
    return value, found["fit"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(TABLES), help="names of tables")
    parser.add_argument("--what", nargs="*", default=list(WHAT)[1:], choices=list(WHAT)[1:])
    parser.add_argument("--candidates", type=int, default=2, help="how many of the recipe's")
    arguments = parser.parse_args()
    chosen = [t for t in tables([]) if t.name in arguments.only]
    logs: dict[str, list[float]] = {}
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for name in ["nothing", *arguments.what]:
        found[name] = [
            [error(t, name, split, arguments.candidates) for split in range(arguments.splits)]
            for t in chosen
        ]
        pairs = zip(found[name], found["nothing"], strict=True)
        logs[name] = [
            float(np.mean([math.log(a[0] / b[0]) for a, b in zip(own, plain, strict=True)]))
            for own, plain in pairs
        ]
        print(name, [f"{math.exp(v):.3f}" for v in logs[name]], flush=True)
    rows = [
        [name, *(f"{math.exp(v):.3f}" for v in logs[name]), f"{math.exp(np.mean(logs[name])):.3f}"]
        for name in arguments.what
    ]
    print(markdown(["what", *(t.name for t in chosen), "geometric mean"], rows))


if __name__ == "__main__":
    main()

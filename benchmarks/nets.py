# SPDX-License-Identifier: BSD-3-Clause
"""The ten nets of the grid, and what a step on them costs in multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

LEARNING_RATE = 1e-3
FIT_ROWS = 50_000


@dataclass(frozen=True)
class Net:
    """Layer widths and the rows of a minibatch."""

    widths: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self.widths)) + f" b{self.batch}"

    @property
    def n_parameters(self) -> int:
        return sum((a + 1) * b for a, b in pairwise(self.widths))

    @property
    def n_weights(self) -> int:
        return sum(a * b for a, b in pairwise(self.widths))

    @property
    def step_flops(self) -> int:
        """Forward, dW, and dx of all layers but the first; two for a multiply-add."""
        first = self.widths[0] * self.widths[1]
        return 2 * self.batch * (3 * self.n_weights - first)

    def step_bytes(self, itemsize: int = 4) -> int:
        """Bytes that a step on cold memory must move at least.

        Parameters are read and written, the minibatch and its targets read, activations and
        gradients with respect to them assumed to stay in a cache.
        """
        rows = self.batch * (self.widths[0] + self.widths[-1])
        return itemsize * (2 * self.n_parameters + rows)


GRID = {
    "seed": Net((3, 1, 1, 2), 1),
    "policy": Net((8, 64, 64, 4), 1),
    "tiny": Net((4, 32, 32, 1), 32),
    "sciml": Net((24, 8, 2), 200),
    "digits": Net((64, 64, 10), 64),
    "tabular": Net((30, 128, 64, 1), 128),
    "mnist": Net((784, 256, 128, 10), 128),
    "mid": Net((256, 512, 512, 256), 256),
    "wide": Net((1024, 2048, 2048, 1024), 512),
    "deep": Net((128,) * 9 + (10,), 128),
}


def net_of(spec: dict) -> Net:
    """Return the net that a task's specification names or spells out."""
    if "widths" in spec:
        return Net(tuple(spec["widths"]), spec["batch"])
    return GRID[spec["net"]]

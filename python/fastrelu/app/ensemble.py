# SPDX-License-Identifier: BSD-3-Clause
"""Several networks that predict together: the mean of their probabilities or predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import Network, elementary, model_file
from fastrelu.app import metrics
from fastrelu.app.metrics import Scores
from fastrelu.app.preprocess import Examples, Target
from fastrelu.ensemble import FORMAT, LINKS, networks_content, networks_from
from fastrelu.losses import Loss


class Ensemble:
    """Networks of one shape that stand where one network stands in a `Model`.

    Parameters
    ----------
    networks : sequence of Network
        The members, one at least.
    link : {"softmax", "identity", "exp"}
        What makes a member's outputs the numbers that are averaged.
    """

    def __init__(self, networks: Sequence[Network], link: str) -> None:
        self.networks, self.link = list(networks), link
        first = self.networks[0]
        self.layer_sizes, self.dtype, self.activations = (
            first.layer_sizes, first.dtype, first.activations,
        )  # fmt: skip
        self.weights, self.biases = first.weights, first.biases  # of the first, for their shapes
        self.n_parameters = sum(net.n_parameters for net in self.networks)

    def forward(self, X: Any) -> NDArray[np.float64]:
        """Return outputs whose link is the mean of the members' links, (n, n_outputs)."""
        return self.combine([net.forward(X) for net in self.networks])

    def combine(self, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the members' outputs as one network's would have the same mean prediction."""
        each = np.stack([np.asarray(out, np.float64) for out in outputs])
        if self.link == "identity":
            mean: NDArray[np.float64] = each.mean(axis=0)
            return mean
        if self.link == "softmax":
            each = each - _log_sum_exp(each, axis=2)[:, :, None]
        combined: NDArray[np.float64] = _log_sum_exp(each, axis=0) - elementary.log(len(each))
        return combined


def _log_sum_exp(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    top = values.max(axis=axis, keepdims=True)
    total: NDArray[np.float64] = elementary.log(elementary.exp(values - top).sum(axis=axis))
    total += top.squeeze(axis)
    return total


def link_of(loss: Loss) -> str:
    """Return what a network's outputs go through to be predictions."""
    return LINKS[loss.info.link]


def evaluate(ensemble: Ensemble, batches: Iterable[Examples], target: Target, loss: Loss) -> Scores:
    """Return an ensemble's scores on rows that come in batches.

    The loss is that of the combined outputs, found by a network that hands its inputs through.
    """
    n = target.n_outputs
    through = Network([n, n], dtype="float64", seed=0)
    through.weights[0][...] = np.eye(n)
    through.biases[0][...] = 0
    combined = (replace(batch, X=ensemble.forward(batch.X)) for batch in batches)
    return metrics.evaluate(through, combined, target, loss)


def content(network: Network | Ensemble) -> tuple[model_file.Arrays, dict[str, str]]:
    """Return a network's or an ensemble's arrays and metadata, with the format's name."""
    if isinstance(network, Network):
        arrays, metadata = model_file.network_content(network)
        return arrays, {"format": "fastrelu.network", **metadata}
    return networks_content(network.networks, network.link)


def from_content(arrays: model_file.Arrays, metadata: dict[str, str]) -> Network | Ensemble:
    """Return what `content` described; ValueError if it is damaged."""
    if metadata["format"] != FORMAT:
        return model_file.network_from(arrays, metadata)
    return Ensemble(*networks_from(arrays, metadata))

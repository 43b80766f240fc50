# SPDX-License-Identifier: BSD-3-Clause
"""Predictions of plain rows in a few microseconds: what could be unusual is looked at once."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastrelu.sklearn import losses
from fastrelu.sklearn.outputs import CHUNK_BYTES, link_outputs, read_in_place
from fastrelu.sklearn.plain import is_plain, is_plain_csr

if TYPE_CHECKING:
    from fastrelu.network import Network

#: More values than this, as float64, are converted or returned in chunks.
MOST_VALUES = CHUNK_BYTES // 8


def quick_outputs(estimator: Any, X: Any, whole: bool) -> NDArray[Any] | None:
    """Return the outputs of plain rows, (n, n_outputs).

    None where anything is unusual about them or the estimator, or unless `whole` where the outputs
    are many: the usual way then converts the rows, warns or raises, in chunks.
    """
    own = estimator.__dict__
    net: Network | None = own.get("_net")
    if net is None or own["n_threads"] is not None or "feature_names_in_" in own:
        return None
    if not (is_plain(X) or is_plain_csr(X)) or own["activation"] != own["_net_activation"]:
        return None
    if X.size > MOST_VALUES and not read_in_place(net, X):
        return None
    if not whole and X.shape[0] * net.layer_sizes[-1] > MOST_VALUES:
        return None
    (weights, biases), coefs, intercepts = own["_views"], own["coefs_"], own["intercepts_"]
    if len(coefs) != len(weights) or len(intercepts) != len(biases):
        return None
    if not (all(map(is_, coefs, weights)) and all(map(is_, intercepts, biases))):
        return None
    try:
        return link_outputs(net, X, losses.link_of(estimator), check_finite=True)
    except ValueError:  # the number of columns, a value that is not finite, or damaged sparse rows
        return None

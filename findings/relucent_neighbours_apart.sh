#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# relucent's graph of neighbouring regions has edges between regions that do not touch.
#
# Expected: an edge of Complex.dual_graph() connects two regions of the network that share a facet, as its
#   documentation says ("edges connect adjacent polyhedra").
# Seen (relucent 1.0.0): in three inputs and two hidden layers some edges connect regions whose patterns differ in
#   one unit but whose polytopes are apart: the unit's plane does not even touch one of them.
# Why: with max_dim >= 2 the edges are all pairs of known patterns that are one flip apart. In deeper networks such
#   a pair need not have a facet in common; and the facets of each region are then overwritten by these edges.
# What it means: counts of regions can be compared, counts of neighbours and facets not (docs/piecewise.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q relucent==1.0.0 "scipy>=1.13"
cat > "$folder/look.py" <<'PYTHON'
import numpy as np
import relucent
from scipy.optimize import linprog


def sides(layers, pattern):
    """Rows (a, c) with a @ x + c <= 0 in the region where these hidden units are active."""
    (V, b), (W, d) = layers[:2]
    first = pattern[: len(V)]
    rows = np.vstack([np.c_[V, b.ravel()], np.c_[W @ (V * first[:, None]), W @ (b.ravel() * first) + d.ravel()]])
    return rows * np.where(pattern, -1, 1)[:, None]


def apart(layers, p, q):
    unit = int(np.flatnonzero(p != q)[0])
    h = sides(layers, p)
    others = np.delete(h, unit, axis=0)
    # How far the region without that side gets towards it: below 0 it never meets the unit's plane.
    best = linprog(-h[unit, :3], others[:, :3], -others[:, 3], bounds=[(None, None)] * 3)
    return best.status == 0 and -best.fun + h[unit, 3] < -1e-6


if __name__ == "__main__":
    counts = []
    for seed in range(3):
        np.random.seed(seed)
        relucent.set_seeds(seed)
        net = relucent.mlp(widths=[3, 6, 4, 1])
        layers = [(layer.weight, layer.bias) for layer in net.layers.values() if hasattr(layer, "weight")]
        found = relucent.Complex(net)
        found.bfs()
        pairs = [[np.asarray(cell.ss_np).ravel() > 0 for cell in edge] for edge in found.dual_graph().edges()]
        counts.append(sum(apart(layers, p, q) or apart(layers, q, p) for p, q in pairs))
        print(f"seed {seed}: {len(found)} regions, {len(pairs)} edges, {counts[-1]} of regions that do not touch")
    assert sum(counts) > 0, "changed: all neighbours touch now"
PYTHON
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null
echo "as described"

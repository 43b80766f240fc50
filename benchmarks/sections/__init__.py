# SPDX-License-Identifier: BSD-3-Clause
"""What `python -m benchmarks` measures, section by section."""

from __future__ import annotations

from benchmarks.sections import dropout, prediction, shapes, sparse, training, updates

SECTIONS = {
    "fit": training.fit,
    "core": training.one_core,
    "float64": training.float64,
    "isa": training.isa,
    "neighbour": training.neighbour,
    "row": prediction.one_row,
    "rows": prediction.many_rows,
    "update": updates.update,
    "dropout": dropout.dropout,
    "odd": shapes.odd,
    "width": shapes.width,
    "batch": shapes.batch,
    "sparse": sparse.sparse,
}

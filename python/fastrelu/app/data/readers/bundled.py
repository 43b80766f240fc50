# SPDX-License-Identifier: BSD-3-Clause
"""The data sets that come with scikit-learn, by name."""

from __future__ import annotations

import numpy as np

from fastrelu.app.data.readers.values import as_target, row_number
from fastrelu.app.data.table import Table
from fastrelu.app.errors import DataError, needed


def bundled(name: str) -> Table:
    """Return the data set digits, iris, wine or diabetes."""
    missing = f"{name}: the bundled data sets need scikit-learn: pip install scikit-learn"
    with needed("scikit-learn", DataError(missing)):
        from sklearn import datasets
    if name == "diabetes":
        bunch = datasets.load_diabetes(scaled=False)
    else:
        bunch = getattr(datasets, f"load_{name}")()
    y = np.asarray(bunch.target)
    if name in ("iris", "wine"):
        y = np.asarray(bunch.target_names)[y]
    X = np.asarray(bunch.data, np.float64)
    return Table(
        name,
        len(X),
        matrix=X,
        matrix_names=[str(n) for n in bunch.feature_names],
        target=as_target(name, "target", y, row_number()),
        target_name="target",
    )

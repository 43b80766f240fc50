# SPDX-License-Identifier: BSD-3-Clause
"""CSR rows, 200 entries in 20,000 columns: fit, step and forward."""

import pytest


@pytest.mark.parametrize("task", ["fit", "step", "forward"])
def test_sparse(measure, implementation, task):
    if implementation not in ("core", "sklearn_peer"):
        pytest.skip("the other implementations take dense rows only")
    pytest.importorskip("scipy")
    measure(task, f"sparse {task}", widths=(20_000, 64, 1), batch=128, sparse=200, rows=1280)

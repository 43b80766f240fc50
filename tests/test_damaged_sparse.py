# SPDX-License-Identifier: BSD-3-Clause
"""Sparse rows whose places point nowhere: an error, where SciPy's conversions would follow them."""

import subprocess
import sys

import pytest

pytest.importorskip("scipy.sparse")
pytest.importorskip("sklearn")

# In a process of its own, which memory beyond an array's may end.
TRIES = """
import sys, warnings
import numpy as np, scipy.sparse as sp
import fastrelu
warnings.simplefilter("ignore")
form, part = sys.argv[1:]
net, y = fastrelu.Network([3, 4, 1]), np.ones(50)
trainer = fastrelu.Trainer(net)
fitted = fastrelu.MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(np.ones((50, 3)), y)
population = fastrelu.Population([{"layer_sizes": [3, 2, 1]}])
uses = {
    "forward": net,
    "fit": lambda X: trainer.fit(X, y, 1),
    "prepare": lambda X: trainer.prepare(X, y),
    "validation": lambda X: trainer.fit(np.ones((50, 3)), y, 1, validation_data=(X, y)),
    "population": lambda X: population.fit(X, y, 1),
    "estimator": lambda X: fastrelu.MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(X, y),
    "predict": fitted.predict,
    "targets": lambda Y: fitted.fit(np.ones((50, 3)), Y),
}
for dtype in ("f4", "i4"):
    whole = sp.random(50, 3, 0.5, "csr", dtype="f4", random_state=0)
    whole = (whole * 9).astype(dtype).asformat(form)
    # One place behind the last: wrong all the same, and harmless where nothing is checked.
    ends = {"csr": whole.shape[1], "csc": whole.shape[0], "bsr": whole.shape[1]}
    value = ends[form] if part == "indices" else len(whole.indices) + 1
    for name, use in uses.items():
        X = whole.copy()
        places = getattr(X, part)
        places[len(places) // 2] = value
        before = X.data, X.indices, X.indptr
        try:
            use(X)
        except ValueError:
            pass
        else:
            raise SystemExit(f"{name} raised nothing")
        assert all(a is b for a, b in zip(before, (X.data, X.indices, X.indptr)))
    for name, use in uses.items():
        if name != "targets":
            use(whole)
print("done")
"""


@pytest.mark.parametrize("part", ["indices", "indptr"])
@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
def test_damaged_sparse_rows_are_a_value_error(form, part):
    done = subprocess.run(
        [sys.executable, "-c", TRIES, form, part], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "done", (done.returncode, done.stderr[-2000:])


@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
def test_damaged_sparse_rows_for_a_model_are_a_data_error(form):
    pytest.importorskip("pyarrow")
    import numpy as np
    import scipy.sparse as sp

    from fastrelu import training

    rows = sp.random(20, 3, 0.5, "csr", random_state=0).asformat(form)
    rows.indices[1] = rows.shape[0 if form == "csc" else 1]  # one behind the last
    with pytest.raises(training.DataError, match="damaged sparse rows"):
        training.read(rows, need_target=False)
    whole = sp.csr_matrix(np.eye(3)).asformat(form)
    assert training.read(whole, need_target=False).n_rows == 3


# SciPy's own check passes over these: here they are looked at, and nothing else is done to them.
def test_pointers_that_descend_where_nothing_is_stored_are_a_value_error():
    import numpy as np
    import scipy.sparse as sp

    from fastrelu._arguments import check_places

    rows = sp.csr_matrix((5, 5))
    check_places(rows)
    rows.indptr[1] = 1
    assert np.diff(rows.indptr).min() < 0 and rows.check_format(full_check=True) is None
    with pytest.raises(ValueError, match="indptr descends"):
        check_places(rows)

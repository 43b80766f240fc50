# SPDX-License-Identifier: BSD-3-Clause
"""Bits do not depend on the instruction sets that NumPy's own loops are chosen by.

NumPy's exp, log and powers differ in the last bit between processors with AVX-512, with AVX2 and
without. A process in which NumPy is told to do without all that it can do without stands for
another machine.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pyarrow")

PROGRAM = """
import numpy as np
import fastrelu
from fastrelu import links, losses
from fastrelu.app.ensemble import Ensemble

rng = np.random.default_rng(3)
X = rng.integers(-40, 40, (300, 4)) / 16  # numbers that no function of NumPy has made
counts = rng.integers(0, 6, 300).astype(float)
labels = (X[:, 0] * 3 + X[:, 1] > rng.integers(-4, 4, 300)).astype(int) + (X[:, 2] > 1)
exposure = rng.integers(1, 9, 300) / 4
found = {}
for loss in ("poisson", losses.Tweedie(1.3), "squared_error"):
    model = fastrelu.TabularRegressor("fast", loss=loss, random_state=0)
    given = {} if loss == "squared_error" else {"exposure": exposure}
    model.fit(X, counts, **given)
    found[str(loss)] = model.predict(X, **given)
    found[f"{loss} interval"] = model.predict_interval(X, **given)
model = fastrelu.TabularClassifier("fast", random_state=0).fit(X, labels)
found["classes"], found["logs"] = model.predict_proba(X), model.predict_log_proba(X)
plain = fastrelu.MLPClassifier((8,), max_iter=3, random_state=0, early_stopping=True)
found["plain logs"] = plain.fit(X, labels).predict_log_proba(X)
nets = [fastrelu.Network([4, 6, 3], seed=seed) for seed in range(3)]
found["ensemble"] = Ensemble(nets, "softmax").forward(X)
for link in ("softmax", "logistic", "log"):
    for dtype in ("float32", "float64"):
        found[link + dtype] = links.inverse(link, (X * 3).astype(dtype))
for name, each in found.items():
    print(name.replace(" ", "_"), np.ascontiguousarray(each).tobytes().hex())
"""


def answers(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True,
        check=True, timeout=300, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_fits_and_predictions_are_those_of_a_plain_numpy() -> None:
    core = np._core if hasattr(np, "_core") else np.core
    features = core._multiarray_umath.__cpu_features__
    chosen = [f for f in core._multiarray_umath.__cpu_dispatch__ if features.get(f)]
    if not chosen:
        pytest.skip("this NumPy chooses nothing by the processor")
    here, plain = answers(), answers(NPY_DISABLE_CPU_FEATURES=" ".join(chosen))
    assert [line.split(" ")[0] for line in here] == [line.split(" ")[0] for line in plain]
    for one, other in zip(here, plain, strict=True):
        assert one == other, one.rsplit(" ", 1)[0]

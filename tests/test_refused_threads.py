# SPDX-License-Identifier: BSD-3-Clause
"""The system refuses Python's threads, all or all but some: the same results, and no hang."""

import threading

import numpy as np
import pytest

import fastrelu
from fastrelu.threads import Threads

ROWS = np.random.default_rng(5).normal(size=(120, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)


@pytest.fixture(params=[0, 1, 2], ids="{} allowed".format)
def few_threads(request, monkeypatch):
    """The system allows so many threads more; it counts those that it has refused."""
    real, counts = threading.Thread.start, {"allowed": request.param, "refused": 0}

    def start(thread):
        if counts["allowed"] == 0:
            counts["refused"] += 1
            raise RuntimeError("can't start new thread")
        counts["allowed"] -= 1
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    before = fastrelu.get_num_threads()
    fastrelu.set_num_threads(4)
    yield counts
    fastrelu.set_num_threads(before)


def test_calls_are_made_by_those_that_there_are(few_threads):
    begun = []
    with Threads(4, lambda: begun.append(threading.get_ident())) as pool:
        futures = [pool.submit(lambda k: 10 // k, k) for k in (1, 2, 0, 5)]
        assert list(pool.map(lambda k: k * k, range(50))) == [k * k for k in range(50)]
    assert [f.exception() is None for f in futures] == [True, True, False, True]
    assert [futures[k].result() for k in (0, 1, 3)] == [10, 5, 2]
    assert few_threads["refused"] == 1 and threading.get_ident() not in begun


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches_end_alike(few_threads):
    """Fits that are trained side by side wait for each other, but not for any that cannot begin."""
    pytest.importorskip("sklearn")
    grid = {"alpha": [1e-4, 1e-2], "learning_rate_init": [0.01, 0.1]}

    def scores(**more):
        estimator = fastrelu.MLPClassifier((4,), max_iter=4, tol=0, random_state=0)
        search = fastrelu.PopulationSearchCV(estimator, grid, cv=3, **more)
        return search.fit(ROWS, LABELS).cv_results_["mean_test_score"]

    few = scores(n_threads=4), scores(n_threads=4, halving=True)
    assert few_threads["refused"] > 0
    few_threads["allowed"] = 10**6
    assert (few[0] == scores(n_threads=4)).all()
    assert (few[1] == scores(n_threads=4, halving=True)).all()


@pytest.mark.parametrize("kind", ["seeds", "streamed"])
def test_runs_end_alike(few_threads, kind, tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("click")
    import pyarrow as pa
    from command_tools import result_of, run
    from pyarrow import parquet

    X = np.random.default_rng(0).normal(size=(30_000 if kind == "streamed" else 200, 4))
    columns = {f"x{j}": X[:, j] for j in range(4)} | {"y": (X[:, 0] > 0).astype(int)}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=3000)
    flags = {"seeds": ["--seeds", 3], "streamed": ["--memory", "2MB"]}[kind]
    given = ["train", tmp_path / "t.parquet", "--target", "y", "--epochs", 2, "--hidden", 4, *flags]
    few = run(*given, "--out", tmp_path / "few")
    assert few.exit_code == 0, few.output
    refused, few_threads["allowed"] = few_threads["refused"], 10**6
    assert refused > 0 or kind == "streamed"  # which may need no more than it has
    assert run(*given, "--out", tmp_path / "all").exit_code == 0
    assert result_of(tmp_path / "few") == result_of(tmp_path / "all")

# SPDX-License-Identifier: BSD-3-Clause
"""Many models on a Dask cluster, one of whose workers is killed: the bits of this process.

FASTRELU_DISTRIBUTED=all runs all of it; the usual run leaves out what takes longest.
"""

import os
import signal
import threading
import warnings

import numpy as np
import pytest

import fastrelu

distributed = pytest.importorskip("distributed")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore")  # what a cluster says of its own end

ROWS = 600
needs_all = pytest.mark.skipif(
    os.environ.get("FASTRELU_DISTRIBUTED") != "all",
    reason="a longer one: FASTRELU_DISTRIBUTED=all runs it",
)


@pytest.fixture(scope="module")
def client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cluster = distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
            )
        except (OSError, RuntimeError) as error:
            pytest.skip(f"a Dask cluster cannot be started here: {error}")
        with cluster, distributed.Client(cluster) as client:
            yield client


@pytest.fixture(scope="module")
def rows():
    X = np.random.default_rng(0).normal(size=(ROWS, 6)).astype(np.float32)
    return X, X[:, 0] * X[:, 1]


def configs():
    fold = np.arange(ROWS) % 5
    return [
        {
            "layer_sizes": [6, width, 1], "seed": seed, "optimizer": optimizer,
            "rows": fold != seed, "validation_rows": fold == seed,
        }
        for width in (4, 8) for seed in range(5) for optimizer in ("sgd", "adam")
    ]  # fmt: skip


def same(one, other):
    assert [n.parameters.tobytes() for n in one.networks] == [
        n.parameters.tobytes() for n in other.networks
    ]
    for a, b in zip(one.members, other.members, strict=True):
        assert a.course.history.loss == b.course.history.loss
        assert a.course.history.val_loss == b.course.history.val_loss


def test_a_population_is_trained_by_workers_one_of_which_dies(client, rows):
    here, there = fastrelu.Population(configs()), fastrelu.Population(configs())
    here.fit(*rows, epochs=60, patience=20)
    first = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    there.fit(*rows, epochs=60, patience=20, client=client)
    killer.join()
    same(here, there)
    here.fit(*rows, epochs=2)  # and both go on alike
    there.fit(*rows, epochs=2, client=client)
    same(here, there)


def test_members_are_cut_by_what_they_cost():
    from fastrelu._members.workers import cut, kind_of, measured

    optimizers = [fastrelu.SGD(0.1), fastrelu.SGD(1e30)]  # the second diverges when it is tried
    members = fastrelu.Population(
        [{"layer_sizes": [6, w, 1], "optimizer": o, "batch_size": 8 * (1 + k)}
         for w in (2, 4) for k, o in enumerate(optimizers)]
    ).members  # fmt: skip
    X = np.random.default_rng(0).normal(size=(300, 6))
    seconds = measured(members, X, X[:, 0])
    assert seconds and all(0 < each < 1 for each in seconds.values())
    # The last takes as long as the others together, whatever its parameters.
    told = {kind_of(m): s for m, s in zip(members, (1e-3, 1e-3, 1e-3, 3e-3), strict=True)}
    assert [[m.index for m in part] for part in cut(members, 2, 300, 1, told)] == [[3], [0, 1, 2]]
    assert sum(map(len, cut(members, 3, 300, 1, {}))) == 4
    many = fastrelu.Population([{"layer_sizes": [6, 2, 1]} for _ in range(100)]).members
    # As many as lie side by side in the lanes of a vector, or twice as many.
    assert [len(part) for part in cut(many, 3, 300, 1)] == [32, 32, 36]


def test_members_with_rates_of_ones_own_and_members_that_diverge(client, rows):
    def made():
        optimizers = [fastrelu.SGD(lambda k: 0.1 / k), fastrelu.SGD(1e30)]
        return fastrelu.Population([{"layer_sizes": [6, 3, 1], "optimizer": o} for o in optimizers])

    here, there = made(), made()
    for population, more in ((here, {}), (there, {"client": client})):
        with pytest.warns(RuntimeWarning, match="1 of 2 members have diverged"):
            population.fit(*rows, epochs=3, **more)
    same(here, there)
    assert str(here.members[1].diverged) == str(there.members[1].diverged)


def test_callbacks_are_refused(client, rows):
    population = fastrelu.Population([{"layer_sizes": [6, 3, 1]}])
    with pytest.raises(ValueError, match="callbacks: expected none with a client"):
        population.fit(*rows, callbacks=[lambda member, record: None], client=client)


def test_a_search_has_the_same_scores(client, rows):
    mlp = fastrelu.MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
    grid = {"alpha": [1e-4, 1e-1]}
    here = fastrelu.PopulationSearchCV(mlp, grid, cv=2).fit(*rows)
    there = fastrelu.PopulationSearchCV(mlp, grid, cv=2, client=client).fit(*rows)
    assert (here.cv_results_["mean_test_score"] == there.cv_results_["mean_test_score"]).all()
    assert (here.predict(rows[0]) == there.predict(rows[0])).all()


@needs_all
@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_scikit_learns_own_search_by_joblib(client, rows, backend):
    import joblib
    from sklearn.model_selection import GridSearchCV

    if backend == "ray":
        ray = pytest.importorskip("ray")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        pytest.importorskip("ray.util.joblib").register_ray()
    mlp = fastrelu.MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
    search = GridSearchCV(mlp, {"alpha": [1e-4, 1e-1]}, cv=2)
    alone = search.fit(*rows).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend, n_jobs=2):
        assert (search.fit(*rows).cv_results_["mean_test_score"] == alone).all()


def test_a_tables_model_has_the_same_bits(client, rows):
    pd = pytest.importorskip("pandas")
    import pickle

    table = pd.DataFrame(rows[0][:300], columns=list("abcdef"))
    table["f"] = np.where(table["f"] > 0, "red", "blue")
    options = {"preset": "fast", "random_state": 0}
    here = fastrelu.TabularRegressor(**options).fit(table, rows[1][:300])
    there = fastrelu.TabularRegressor(**options, client=client).fit(table, rows[1][:300])
    assert (here.predict(table) == there.predict(table)).all()
    assert pickle.loads(pickle.dumps(there)).client is None
    with pytest.raises(ValueError, match="client: expected None with monotone or time_limit"):
        fastrelu.TabularRegressor(time_limit=5, client=client).fit(table, rows[1][:300])


@needs_all
def test_the_commands_search_saves_the_same_model(client, tmp_path):
    pytest.importorskip("click")
    from command_tools import run

    flags = ("--search", "--candidates", "3", "--epochs", "3", "--quiet", "--search-space",
             "hidden=8|4; lr=0.001..0.01; class_weight=none|balanced")  # fmt: skip
    address = client.scheduler.address
    for name, more in (("here", ()), ("there", ("--dask", address))):
        done = run("train", "iris", *flags, *more, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
    models = [tmp_path / name / "model.safetensors" for name in ("here", "there")]
    assert models[0].read_bytes() == models[1].read_bytes()
    done = run("train", "iris", "--epochs", "1", "--dask", address)
    assert done.exit_code == 2 and "--dask goes with --search" in done.output

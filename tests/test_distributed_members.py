# SPDX-License-Identifier: BSD-3-Clause
"""Ranks that share the members of a population, or of a table's model: the bits of one process."""

import pickle
from functools import partial

import numpy as np
import pytest
from distributed_cases import raised

import fastrelu
from fastrelu.distributed import RankError, RankRows, fit_rank_rows, rank_members, run_threads

pd = pytest.importorskip("pandas")
clone = pytest.importorskip("sklearn.base").clone

N = 120
CUTS = {2: [0, 50, N], 3: [0, 7, 7, N]}  # rows of each rank: [begin, end); one has none


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=["a", "b", "c"])
    frame["colour"] = np.where(frame["a"] > 0, "red", "blue")
    frame.loc[3, "b"] = np.nan
    return frame, np.where(frame["a"] * frame["c"] > 0, "x", "y"), rng.random(N) + 0.5


def own_rows(comm, *parts):
    """This rank's rows of each part; None where it has none."""
    if comm is None:
        return parts
    begin, end = CUTS[comm.size][comm.rank : comm.rank + 2]
    return tuple(part[begin:end] if begin < end else None for part in parts)


def test_a_tables_model_is_that_of_one_process():
    frame, y, weight = table()

    def fit(comm):
        # random_state is rank 0's.
        random = np.random.RandomState(0 if comm is None else comm.rank)
        model = fastrelu.TabularClassifier("fast", random_state=random, comm=comm)
        model = clone(model)
        X, labels, weights = own_rows(comm, frame, y, weight)
        model.fit(X, labels, weights)
        again = pickle.loads(pickle.dumps(model))
        assert again.comm is None
        return again.predict_proba(frame).tobytes(), again.predict_set(frame).tobytes()

    one = fit(None)
    assert run_threads(2, fit) == [one] * 2
    assert run_threads(3, fit) == [one] * 3


def test_a_monotone_model_of_arrays_with_exposures():
    X = np.random.default_rng(1).random((60, 2))
    y, times = np.round(4 * X[:, 0]), 1 + X[:, 1]

    def fit(comm):
        model = fastrelu.TabularRegressor(
            "fast", n_members=2, random_state=3, loss="poisson", monotone={"x0": 1}, comm=comm
        )
        cut = slice(None) if comm is None else slice(30 * comm.rank, 30 * comm.rank + 30)
        return model.fit(X[cut], y[cut], exposure=times[cut]).predict(X, exposure=times).tobytes()

    assert run_threads(2, fit) == [fit(None)] * 2


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries_are_joined(library):
    pytest.importorskip(library)
    from fastrelu.app.tabular.rank_reading import training_table_of_ranks
    from fastrelu.app.tabular.ranks import parts_of_all
    from fastrelu.app.tabular.rows import training_table

    frame, y, _ = table()

    def converted(some):
        if library == "polars":
            import polars

            return polars.from_pandas(some)
        import pyarrow

        return pyarrow.Table.from_pandas(some, preserve_index=False)

    whole, _ = training_table(fastrelu.TabularClassifier(), converted(frame))

    def join(comm):
        X, labels = own_rows(comm, frame, y)
        X = None if X is None else converted(X)
        parts = parts_of_all(comm, X, {"y": labels, "sample_weight": None})
        assert parts["sample_weight"] is None and (parts["y"] == y).all()
        table, _ = training_table_of_ranks(comm, fastrelu.TabularClassifier(), X)
        rows = np.random.default_rng(0).permutation(N)
        columns = table.collect(rows).columns
        for name, column in whole.columns.items():
            np.testing.assert_array_equal(columns[name], column[rows])
        return len(table) == N and len(table.table) == (0 if X is None else len(X))

    assert run_threads(3, join) == [True] * 3


@pytest.mark.filterwarnings("ignore:.*diverged:RuntimeWarning")
def test_a_population_is_trained_by_ranks_to_the_same_bits():
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = X[:, 0] * X[:, 1]
    fold = np.arange(200) % 5

    def fit(comm):
        # Seeds that are not given are those of the rank that trains the member; these are.
        rates = [fastrelu.SGD(lambda k: 0.1 / k), fastrelu.Adam(1e-2), fastrelu.SGD(1e30)]
        population = fastrelu.Population(
            [
                {"layer_sizes": [3, 4 + k, 1], "seed": k, "shuffle_seed": k, "optimizer": rate,
                 "rows": fold != k, "validation_rows": fold == k}
                for k, rate in enumerate(rates)
            ]
        )  # fmt: skip
        population.fit(X, y, epochs=4, patience=2, comm=comm)
        histories = population.fit(X, y, epochs=2, comm=comm)
        return [
            (str(member.diverged), member.network.parameters.tobytes(), history.loss,
             history.val_loss)
            for member, history in zip(population.members, histories, strict=True)
        ]  # fmt: skip

    one = fit(None)
    assert one[2][0] != "None"
    for size in (2, 4):
        assert run_threads(size, fit) == [one] * size


def classifier(**options):
    return lambda comm, X, y, w=None: fastrelu.TabularClassifier(
        "fast", random_state=0, comm=comm, **options
    ).fit(X, y, w)


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (
            lambda comm, X, y: fastrelu.TabularClassifier(
                "fast", n_members=2 + comm.rank, comm=comm
            ).fit(X, y),
            "comm: expected the same on every rank, but n_members is 2 on rank 0 and 3 on rank 1",
        ),
        (
            lambda comm, X, y: classifier()(comm, X if comm.rank else X.drop(columns="a"), y),
            "X, y: expected the same columns on every rank",
        ),
        (
            lambda comm, X, y: classifier()(comm, X if comm.rank else X.to_numpy(), y),
            "X, y: expected the same type on every rank, got ndarray on rank 0 and DataFrame",
        ),
        (
            lambda comm, X, y: classifier()(comm, X, y, np.ones(len(y)) if comm.rank else None),
            "sample_weight: expected it on every rank with rows, or on none, got [1]",
        ),
        (
            lambda comm, X, y: classifier()(comm, X[comm.rank :], y[1 - comm.rank :]),
            "Found input variables with inconsistent numbers of samples: [1",
        ),
        (
            lambda comm, X, y: classifier()(comm, None, None),
            "X: expected the rows of this rank, or None if others have some, got None",
        ),
        (
            lambda comm, X, y: classifier(time_limit=5)(comm, X, y),
            "comm: expected None with a client, or with time_limit",
        ),
        (
            lambda comm, X, y: fastrelu.Population([{"layer_sizes": [1, 1]}]).fit(
                [[1.0]], [1.0], callbacks=[lambda member, record: None], comm=comm
            ),
            "callbacks: expected none with comm",
        ),
        (
            lambda comm, X, y: fastrelu.Population([{"layer_sizes": [1, 1 + comm.rank]}]).fit(
                [[1.0]], np.ones((1, 1 + comm.rank)), comm=comm
            ),
            "comm: expected the same on every rank, but members is",
        ),
    ],
)
def test_what_does_not_fit_is_told_on_every_rank(work, text):
    frame, y, _ = table()
    for error in raised(lambda comm: work(comm, frame, y)):
        assert isinstance(error, (ValueError, RankError)) and text in str(error), error


def test_a_member_that_cannot_be_trained_ends_all_ranks(monkeypatch):
    population = [{"layer_sizes": [1, 1], "seed": k, "epochs": 3 - k} for k in range(2)]

    def fit(comm):
        members = fastrelu.Population(population)
        if comm.rank == 1:
            monkeypatch.setattr(members, "_run", fail, raising=False)
        members.fit([[1.0], [2.0]], [1.0, 2.0], comm=comm)

    def fail(*_):
        raise MemoryError("no memory")

    found = raised(fit)
    assert isinstance(found[1], MemoryError)
    assert isinstance(found[0], RankError) and "rank 1: MemoryError" in str(found[0])


@pytest.mark.filterwarnings("ignore:.*diverged:RuntimeWarning")
@pytest.mark.parametrize("block", [1024, 4096])
@pytest.mark.parametrize("encoded", [True, False])
def test_rows_of_ranks_train_a_population_to_the_same_bits(encoded, block, monkeypatch):
    monkeypatch.setattr(rank_members, "FEWEST_ROWS", block)
    monkeypatch.setattr(rank_members, "MOST_ROWS", block)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3)).astype("float32")
    y, weight, fold = X[:, 0] * X[:, 1], rng.random(1500), np.arange(1500) % 5
    if encoded:
        edges = [np.quantile(column, np.linspace(0, 1, 9)) for column in X.T]
        X = fastrelu.EncodedRows.from_edges(X, edges)
    rates = [
        fastrelu.SGD(lambda k: 0.1 / k),
        fastrelu.AdamW(1e-2),
        fastrelu.SGD(1e30),
        fastrelu.SGD(lambda k: 0.01 if k < 110 else 1e30),  # in the middle of an epoch
    ]
    configs = [
        {"layer_sizes": [X.shape[1], 4 + k, 1], "seed": k, "shuffle_seed": k, "optimizer": rate,
         "rows": fold != k, "validation_rows": fold == k, "epochs": 6 - k % 3,
         "input_scale_rate": 6.0 * (k == 1)}
        for k, rate in enumerate(rates)
    ]  # fmt: skip

    def course(population):
        return [
            (str(member.diverged), member.network.parameters.tobytes(), member.epochs_left,
             {key: list(values) for key, values in vars(member.course.history).items()
              if "second" not in key and key != "metric"})
            for member in population.members
        ]  # fmt: skip

    def fit(comm):
        population = fastrelu.Population(configs)
        if comm is None:
            train = partial(population.fit, X)
        else:
            ends = [0, 700, 700, 730, 1500]
            own = X[ends[comm.rank] : 1500 if comm.rank == comm.size - 1 else ends[comm.rank + 1]]
            train = partial(fit_rank_rows, population, RankRows(comm, own))
        train(y, patience=2, sample_weight=weight)
        first = course(population)
        train(y, epochs=2)
        return first, course(population)

    one = fit(None)
    assert "step 2 " in one[0][2][0] and "step 111 " in one[0][3][0]
    assert len(one[0][1][3]["val_loss"]) > 1
    for size in (1, 2, 4):
        assert run_threads(size, fit) == [one] * size


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"layer_sizes": [2, 1]}, "configs[0]: expected a network of 1 inputs, as the rows have"),
        ({"n_shards": 2, "batch_size": 2}, "configs[0]: expected n_shards=1, sampling='shuffle'"),
        ({"sampling": "subset"}, "configs[0]: expected n_shards=1, sampling='shuffle'"),
        ({"sample_weight": [1.0] * 4}, "configs[0]: sample_weight: expected none"),
        ({"rows": [4]}, "configs[0]: rows: expected rows 0..3 of X, got 4"),
        ({"patience": 1}, "configs[0]: patience: expected validation_rows"),
        ({"y": [1.0, 2.0]}, "configs[0]: y: expected"),
        (
            {"y": [1.0, 2.0, 1e39, 0.0]},
            "configs[0]: y: expected finite values, got inf at element 2",
        ),
        ({"X": [[np.inf], [0.0]]}, "X: row 1 of this rank: expected finite numbers"),
        ({"X": [1.0, 2.0]}, "X: expected encoded rows, or an array of numbers of shape"),
        ({"wide": True}, "comm: expected the same on every rank, but X is"),
    ],
)
def test_rows_of_ranks_that_do_not_fit(options, text):
    options = dict(options)
    X, wide = options.pop("X", [[1.0], [2.0]]), options.pop("wide", False)
    y = options.pop("y", [1.0, 2.0, 3.0, 4.0])

    def fit(comm):
        rows = RankRows(comm, np.ones((2, 1 + comm.rank)) if wide else X)
        fit_rank_rows(fastrelu.Population([{"layer_sizes": [1, 1], **options}]), rows, y, 1)

    for error in raised(fit):
        assert type(error) is ValueError and text in str(error), error

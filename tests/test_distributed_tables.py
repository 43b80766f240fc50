# SPDX-License-Identifier: BSD-3-Clause
"""Models of tables whose rows ranks have a part of each: the bits of one process, and who has what.

Every attribute of a fitted model is compared, the rows that it keeps too.
"""

import pickle

import numpy as np
import pytest
from distributed_cases import raised

import fastrelu
from fastrelu.distributed import run_threads

pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")
from table_cases import N, content, few_epochs, frame, own, targets, told  # noqa: E402

from fastrelu.app.tabular import by_column, fit, rank_table, recipe, sample  # noqa: E402
from fastrelu.distributed import rank_members, rank_rows, threads  # noqa: E402
from fastrelu.distributed.threads import ThreadCommunicator  # noqa: E402


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Have rows and columns travel in many parts, and candidates be few and short."""
    monkeypatch.setattr(rank_members, "FEWEST_ROWS", 64)
    monkeypatch.setattr(rank_members, "MOST_ROWS", 64)
    monkeypatch.setattr(by_column, "CELLS", 2 * N)
    monkeypatch.setattr(fit, "candidates", lambda *of: few_epochs(recipe.candidates(*of)))


def require_same(work, sizes=(2, 3, 4)):
    """Compare what ranks end with and what one process does."""
    one = work(None)
    for size in sizes:
        for rank, found in enumerate(run_threads(size, work)):
            assert found == one, (size, rank)


@pytest.mark.parametrize("preset", ["fast", "default"])
def test_a_classifier_of_columns_of_all_kinds(preset):
    X = frame()
    y = np.digitize(targets(X), [-1, 1])
    weight = np.random.default_rng(1).random(N)
    weight[::7] = 0.0

    def work(comm):
        model = fastrelu.TabularClassifier(preset, random_state=0, comm=comm)
        return content(model.fit(own(comm, X), own(comm, y), own(comm, weight)), X)

    require_same(work)


def test_rows_that_fit_in_one_block_come_once(monkeypatch):
    X = np.random.default_rng(0).normal(size=(N, 3))
    y = X[:, 0] * X[:, 1]
    monkeypatch.setattr(rank_members, "MOST_ROWS", 256)
    monkeypatch.setattr(rank_members, "FEWEST_ROWS", 256)
    given, taken = [], rank_rows.RankRows._taken

    def noting(rows, asked):
        given.append(rows.comm.rank)
        return taken(rows, asked)

    monkeypatch.setattr(rank_rows.RankRows, "_taken", noting)

    def work(comm):
        model = fastrelu.TabularRegressor("fast", random_state=0, comm=comm)
        return content(model.fit(own(comm, X), own(comm, y)), X)

    require_same(work, sizes=(2,))
    assert sorted(given) == [0, 0, 1, 1]  # rows to train on, and to be judged by


def test_a_classifier_with_class_weights_and_a_threshold():
    X = frame()[["a", "colour"]]
    y = np.where(targets(frame()) > 1, "yes", "no")

    def work(comm):
        model = fastrelu.TabularClassifier(
            "fast", random_state=0, comm=comm, class_weight="balanced", threshold="f1"
        )
        return content(model.fit(own(comm, X), own(comm, y)), X)

    require_same(work)


def test_a_regressor_that_explains_itself_alike():
    X, y = frame(), targets(frame())

    def work(comm):
        model = fastrelu.TabularRegressor("fast", n_members=7, random_state=0, comm=comm)
        found = content(model.fit(own(comm, X), own(comm, y)), X)
        return found, told(model.feature_importances_)

    require_same(work)


def test_a_monotone_model_with_exposures():
    X = frame()[["a", " b ", "whole"]]
    times = np.random.default_rng(1).random(N) + 0.5
    y = np.round(np.exp(targets(frame()) / 8) * times)

    def work(comm):
        model = fastrelu.TabularRegressor(
            "fast", random_state=0, loss="poisson", monotone={"whole": 1}, comm=comm
        )
        model.fit(own(comm, X), own(comm, y), exposure=own(comm, times))
        return content(model, X, exposure=times)

    require_same(work)


@pytest.mark.parametrize("kind", ["numbers", "text", "constant", "objects"])
def test_arrays(kind):
    numbers = np.random.default_rng(0).normal(size=(N, 3))
    text = np.array([["x", 1.5, None], ["y", 2, True]], object)[np.arange(N) % 2]
    X = {"numbers": numbers, "text": text, "constant": np.ones((N, 2))}.get(kind)
    X = numbers.astype(object) if X is None else X
    y = numbers[:, 0] + (np.arange(N) % 2)

    def work(comm):
        model = fastrelu.TabularRegressor("fast", n_members=2, random_state=0, comm=comm)
        return content(model.fit(own(comm, X), own(comm, y)), X)

    require_same(work, sizes=(2, 3))


def dated(rows):
    return [f"2024-{1 + k % 12:02d}-{1 + k % 28:02d}" for k in range(rows)]


#: What a column is on the first rank, of 90 rows, and on the second, of 150.
DIFFERENT = {
    "whole and real": (np.arange(90), np.arange(150) / 7),
    "small and large": (np.arange(90, dtype="int8"), np.arange(150) + 2**54),
    "other categories": (
        pd.Categorical(["a", "b", "c"] * 30, ["c", "b", "a"]),
        pd.Categorical(["d", None, "a"] * 50),
    ),
    "categories and text": (pd.Categorical(["a", "b", "c"] * 30), ["d", None, "a"] * 50),
    "nothing and whole": ([np.nan] * 90, np.arange(150)),
    "None and text": ([None] * 90, ["a", "b", "c"] * 50),
    "truths with gaps": ([True, False, None] * 30, [True, False, False] * 50),
    "numbers in text": (["1,5", "2,5", "NA"] * 30, ["3,25"] * 150),
    "numbers, then words": (["1.5", "2.5", "3"] * 30, ["1.5", "many", ""] * 50),
    "whole numbers in text": (["1", "2"] * 45, np.arange(150)),
    "dates in text": (dated(90), dated(150)),
    "dates and gaps": (pd.to_datetime(dated(90)), [pd.NaT] * 150),
    "days of either order": (["03/04/2024"] * 90, ["13/04/2024", "02/03/2024"] * 75),
    "nothing known": ([1j] * 90, np.arange(150)),
}


def two_frames(first, second):
    random = np.random.default_rng(0)
    return [
        pd.DataFrame({"c": first, "z": random.normal(size=90)}),
        pd.DataFrame({"c": second, "z": random.normal(size=150)}),
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DIFFERENT)
def test_a_column_is_what_all_its_values_say(kind):
    frames = two_frames(*DIFFERENT[kind])
    whole = pd.concat(frames, ignore_index=True)
    y = whole["z"].to_numpy() * (np.arange(N) % 3)

    def work(comm):
        model = fastrelu.TabularRegressor("fast", n_members=2, random_state=0, comm=comm)
        X = whole if comm is None else frames[comm.rank]
        rows = whole.assign(c=np.nan) if kind == "nothing known" else whole
        return content(model.fit(X, own(comm, y)), rows)

    require_same(work, sizes=(2,))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@pytest.mark.parametrize("kind", ["whole and real", "None and text", "dates in text", "blank name"])
def test_frames_of_other_libraries(library, kind):
    pytest.importorskip("pyarrow")
    other = pytest.importorskip(library)
    frames = two_frames(*DIFFERENT.get(kind, DIFFERENT["truths with gaps"]))
    if kind == "blank name":
        frames = [each.rename(columns={"c": " "}) for each in frames]
    made = other.from_pandas if library == "polars" else other.Table.from_pandas
    parts = [made(each) for each in frames]
    whole = (
        other.concat(parts, how="vertical_relaxed")
        if library == "polars"
        else other.concat_tables(parts, promote_options="permissive")
    )
    y = np.concatenate([each["z"] for each in frames]) * (np.arange(N) % 3)

    def work(comm):
        model = fastrelu.TabularRegressor("fast", n_members=2, random_state=0, comm=comm)
        X = whole if comm is None else parts[comm.rank]
        return content(model.fit(X, own(comm, y)), whole)

    require_same(work, sizes=(2,))


@pytest.mark.parametrize("kind", ["no names", "a named index", "arrays of other types"])
def test_other_forms(kind):
    X = np.random.default_rng(0).integers(0, 9, (N, 2))
    parts = [X[:90], X[90:]]
    if kind == "arrays of other types":
        parts = [X[:90].astype("float32"), X[90:].astype(object)]
        whole = np.concatenate(parts)
    else:
        frames = [pd.DataFrame(each) for each in parts]
        if kind == "a named index":
            frames = [each.rename(columns=str).rename_axis("row") for each in frames]
        parts, whole = frames, pd.concat(frames, ignore_index=True)
    y = X[:, 0] * (X[:, 1] - 4.0)

    def work(comm):
        model = fastrelu.TabularRegressor("fast", n_members=2, random_state=0, comm=comm)
        rows = whole if comm is None else parts[comm.rank]
        return content(model.fit(rows, own(comm, y)), whole)

    require_same(work, sizes=(2,))


class Weighed(ThreadCommunicator):
    """Notes how many bytes of rows a rank gets from others at once, and in all."""

    most, total = 0, 0

    def gather(self, value):
        found = super().gather(value)
        self.note([each for rank, each in enumerate(found) if rank != self.rank])
        return found

    def trade(self, values):
        found = [each[self.rank] for each in super().gather(list(values))]
        self.note([each for rank, each in enumerate(found) if rank != self.rank])
        return found

    def note(self, values):
        size = len(pickle.dumps(values))
        self.most, self.total = max(self.most, size), self.total + size


def test_no_rank_gets_the_rows_of_all(monkeypatch):
    """At once a rank gets some columns of all rows, a block of rows, or one number of each."""
    X = np.random.default_rng(0).normal(size=(N, 60))
    y = X[:, 0] * X[:, 1]
    monkeypatch.setattr(threads, "ThreadCommunicator", Weighed)
    monkeypatch.setattr(rank_members, "FEWEST_ROWS", 16)
    monkeypatch.setattr(rank_members, "MOST_ROWS", 16)
    monkeypatch.setattr(sample, "MOST_ROWS", 20)
    small = recipe.Candidate(1, (), 0.03, 0.002, 16, 4, 3)
    monkeypatch.setattr(fit, "candidates", lambda *_: [small])

    def work(comm):
        model = fastrelu.TabularRegressor("fast", random_state=0, comm=comm)
        model.fit(own(comm, X), own(comm, y))
        return comm.most, comm.total

    for most, total in run_threads(4, work):
        assert most < X.nbytes / 4, (most, X.nbytes)
        assert total > X.nbytes / 2  # so that what travels is seen here


def test_an_infinite_value_is_told_on_every_rank():
    X, y = frame(), targets(frame())

    def work(comm):
        rows = own(comm, X)
        rows = rows.assign(whole=np.inf, same=np.inf) if comm.rank == 1 else rows
        fastrelu.TabularRegressor("fast", random_state=0, comm=comm).fit(rows, own(comm, y))

    text = "X: row 91: column 'whole': expected a finite number, or a missing one, got inf"
    assert [(type(each), str(each)) for each in raised(work)] == [(ValueError, text)] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.rename(columns={"a": "same"}),
        lambda X: X.rename(columns={"a": 1}),
        lambda X: X.iloc[:, :0],
        lambda X: X.to_numpy()[:, 0],
        lambda X: X[["a"]].to_numpy() * np.inf,
        lambda X: X.iloc[:0],
    ],
)
def test_rows_that_are_no_table_are_told_on_every_rank_as_by_one_process(change):
    X, y = frame(), targets(frame())

    def work(comm):
        rows = change(own(comm, X))
        model = fastrelu.TabularRegressor("fast", random_state=0, comm=comm)
        model.fit(rows, own(comm, y)[: len(rows)])

    with pytest.raises(Exception) as one:
        work(None)
    said = str(one.value).partition(" array=")[0].partition("\narray=")[0]
    for error in raised(work):
        assert type(error) is one.type and str(error).startswith(said), (error, said)


#: What fails on one of two ranks, and when.
FAULTS = {
    "encoding": (rank_table, "encoded_table", lambda inputs, table: len(table) == 150),
    "training": (rank_members.FetchedRun, "_targets", lambda run, *_: run.member.index == 2),
    "judging": (rank_members.FetchedRun, "after_epoch", lambda run, *_: run.member.index == 2),
    "giving": (rank_rows.RankRows, "_taken", lambda rows, *_: rows.comm.rank == 1),
    "getting": (rank_rows.RankRows, "_joined", lambda rows, *_: rows.comm.rank == 1),
}


@pytest.mark.parametrize(
    ("where", "error"),
    [
        *((where, MemoryError) for where in FAULTS),
        *((where, KeyboardInterrupt) for where in FAULTS if where != "encoding"),
    ],
)
def test_a_rank_that_fails_ends_all(where, error, monkeypatch):
    X, y = frame()[["a", "colour"]], targets(frame())
    owner, name, when = FAULTS[where]
    function = getattr(owner, name)

    def failing(*arguments):
        if when(*arguments):
            raise error("it ends")
        return function(*arguments)

    monkeypatch.setattr(owner, name, failing)

    def work(comm):
        try:
            model = fastrelu.TabularRegressor("fast", random_state=0, comm=comm)
            model.fit(own(comm, X), own(comm, y))
        except KeyboardInterrupt as signal:
            raise InterruptedError(str(signal)) from signal

    found = raised(work)
    kind = MemoryError if error is MemoryError else InterruptedError
    assert sorted(type(each).__name__ for each in found) == [kind.__name__, "RankError"], found
    assert any(f"{error.__name__}: it ends" in str(each) for each in found), found

# SPDX-License-Identifier: BSD-3-Clause
"""Streams: the order of rows and every bit as written down, whatever reads, wherever it stops."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_tools import metrics_in, result_of, run
from conftest import same_bits

import fastrelu
from fastrelu import _core, reference
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.split import NONE, PARTS, ThresholdSplit
from fastrelu.app.data.stream import budget, open_stream
from fastrelu.app.data.stream.npy import NpyStream, npy_file
from fastrelu.app.data.stream.parquet import ParquetStream
from fastrelu.app.data.stream.source import every_target
from fastrelu.app.data.stream.text import TextStream
from fastrelu.app.errors import CheckpointError, ConfigError, DataError
from fastrelu.app.run.build import build
from fastrelu.app.run.prepare import column_choice, prepare
from fastrelu.app.run.stream_feeder import StreamFeeder
from fastrelu.app.settings_file import merge
from fastrelu.reference.split import split

MEMORY = 50_000_000


def table(rng, n, **more):
    X = rng.normal(size=(3, n)) * [[1.0], [5.0], [0.1]] + 2
    y = X[0] - 0.3 * X[1] + rng.normal(size=n) * 0.1
    return {"a": X[0], "b": X[1].astype("float32"), "c": X[2], "y": y, **more}


def write(path, columns, group=70):
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return str(path)


def prepared(stream, **settings):
    given = {"hidden": (5,), "batch_size": 16, "epochs": 2, "lr": 0.01, "schedule": "constant"}
    return prepare(stream, merge(given | settings))


def drawn(classes, seed=0, validation=0.1, test=0.2):
    """The parts of rows by the rule, as numbers; `classes`, or how many rows of a regression."""
    classes = [0] * classes if isinstance(classes, int) else list(classes)
    parts = split(seed, classes, validation, test)
    return np.array([NONE if part is None else PARTS.index(part) for part in parts])


def feeder_of(data, blocks=4, readers=2):
    share = budget.Share(blocks * data.settings.batch_size, readers)
    return StreamFeeder(data.split_rows, share, data.settings.batch_size, data.settings.seed)


def trained(data, feeder, epochs=2):
    """Losses and parameters after some epochs."""
    steps = feeder.steps_in_epoch()
    trainer = build(data.settings, data.inputs, data.target, data.loss, steps)
    losses = []
    for _ in range(epochs):
        losses.append(feeder.run_epoch(trainer, lambda: False).loss)
    return losses, trainer.network.parameters.copy()


@pytest.fixture
def small(tmp_path, rng):
    path = write(tmp_path / "small.parquet", table(rng, 500))
    return ParquetStream([path], ColumnChoice(target="y"), MEMORY)


# The semantics, against the reference


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_the_former_rule_is_the_references(seed):
    names = reference.blocks.membership(seed, 403, 0.13, 0.29)
    whole = ThresholdSplit(seed, 0.13, 0.29).drawn(0, 403)
    assert [PARTS[number] for number in whole] == names
    for first in (1, 2, 3, 100, 402):  # wherever a chunk begins
        assert (ThresholdSplit(seed, 0.13, 0.29).drawn(first, 403 - first) == whole[first:]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_epoch_is_the_references(small, dtype):
    data = prepared(small, dtype=dtype, seed=5, validation=0.1, test=0.2)
    losses, parameters = trained(data, feeder_of(data))

    whole = read([small.source], ColumnChoice(target="y"))
    X = data.inputs.transform(whole, None, dtype)
    y = data.target.encode(whole.target, dtype)[:, None]
    parts = drawn(500, seed=5)
    chunks = [np.flatnonzero(parts[first : first + 70] == 0) + first for first in range(0, 500, 70)]
    net = reference.Network([3, 5, 1], dtype=dtype, init="glorot_uniform", seed=5)
    twin = reference.Trainer(net, optimizer=reference.Adam(0.01), batch_size=16, seed=5)
    assert losses == twin.fit_blocks(X, y, chunks, 64, 2)
    assert same_bits(parameters, np.concatenate([a.ravel() for a in flat(net)]))
    assert data.counts() == {"train": 350, "validation": 50, "test": 100, "dropped": 0}


def flat(net):
    for W, b in zip(net.weights, net.biases, strict=True):
        yield W
        yield b


def test_statistics_are_those_of_the_training_rows_in_memory(small):
    data = prepared(small)
    whole = read([small.source], ColumnChoice(target="y"))
    train = np.flatnonzero(drawn(500) == 0)
    from fastrelu.app.preprocess import fit_inputs, fit_target

    assert data.inputs.describe() == fit_inputs(whole, train).describe()
    assert data.target.describe() == fit_target(whole, train, "regression").describe()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_become_rows_by_the_formula(rng, dtype):
    kinds = ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]
    columns = [rng.integers(0, 2 if k == "?" else 100, 3000).astype(k) for k in kinds]
    columns[1][rng.random(3000) < 0.1] = np.nan
    columns += [rng.normal(size=(3000, 3))[:, 1], None]  # a column of a matrix, one not there
    p = len(columns)
    fill, mean, divisor = rng.normal(size=(3, p)) + np.array([[5], [50], [2]])
    divisor[3] = np.inf  # a constant
    indicators = np.full(p, -1)
    indicators[[1, p - 1]] = [p, p + 1]
    rows = np.sort(rng.choice(3000, 2000, replace=False))
    for which in (None, rows):
        n = 3000 if which is None else 2000
        out = np.full((n, p + 2), 7, dtype)
        missing, finite = _core.standardize(columns, which, fill, mean, divisor, indicators, out)
        for j, column in enumerate(columns):
            x = np.full(3000, np.nan) if column is None else column.astype(np.float64)
            x = x if which is None else x[which]
            gaps = np.isnan(x)
            x = (np.where(gaps, fill[j], x) - mean[j]) / divisor[j]
            assert same_bits(out[:, j], x.astype(dtype)) and missing[j] == gaps.sum()
            if indicators[j] >= 0:
                assert (out[:, indicators[j]] == gaps).all()
        assert finite
    columns[0][rows[5]] = np.inf
    assert not _core.standardize(columns, rows, fill, mean, divisor, indicators, out)[1]
    with pytest.raises(ValueError, match="columns: expected 3001 rows, got 3000"):
        _core.standardize(columns, np.full(2000, 3000), fill, mean, divisor, indicators, out)


# The same bits, whatever reads


@pytest.mark.parametrize("readers, threads, part", [(1, 1, 7), (3, 2, 1000), (2, 2, 33), (4, 1, 1)])
def test_readers_threads_and_parts_do_not_matter(small, readers, threads, part):
    before = fastrelu.get_num_threads()
    data = prepared(small)
    expected = trained(data, feeder_of(data, readers=1))
    small.part_rows = part
    try:
        fastrelu.set_num_threads(threads)
        data = prepared(small)
        feeder = feeder_of(data, readers=readers)
        losses, parameters = trained(data, feeder)
        feeder.close()
    finally:
        fastrelu.set_num_threads(before)
    assert losses == expected[0] and same_bits(parameters, expected[1])


def test_every_isa_gives_the_same_bits(small):
    before = _core.active_isa()
    results = []
    for isa in _core.available_isas():
        try:
            _core.set_isa(isa)
            data = prepared(small)
            results.append((data.inputs.describe(), *trained(data, feeder_of(data))))
        finally:
            _core.set_isa(before)
    for description, losses, parameters in results[1:]:
        assert (description, losses) == results[0][:2]
        assert same_bits(parameters, results[0][2])


def test_blocks_are_an_option_that_enters_the_bits(small):
    data = prepared(small)
    few, many = feeder_of(data, blocks=2), feeder_of(data, blocks=100)
    assert not same_bits(trained(data, few)[1], trained(data, many)[1])
    with pytest.raises(CheckpointError, match="block_rows of the stream is 1600, and was 32"):
        many.restore(few.state())
    many.restore(json.loads(json.dumps(many.state())))
    # A version that counts otherwise what is read beside a block has others, by a little.
    for saved in (1600 + many.batch_size, 1600 - many.batch_size):
        again = feeder_of(data, blocks=100)
        again.restore({**many.state(), "block_rows": saved})
        assert again.block(1, 0).X.shape[0] <= saved and again.state()["block_rows"] == saved
        again.close()
    for saved in (1601, 2000, 0, True, "1600", None):
        with pytest.raises(CheckpointError, match="block_rows of the stream"):
            feeder_of(data, blocks=100).restore({**many.state(), "block_rows": saved})


# Stopping and going on


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 5, 17, 21])
def test_a_run_goes_on_from_any_step(small, steps):
    data = prepared(small)
    feeder = feeder_of(data)
    in_epoch = feeder.steps_in_epoch()
    assert in_epoch > 21 and feeder.n_train % 64 != 0
    losses, parameters = trained(data, feeder)

    first = feeder_of(data)
    trainer = build(data.settings, data.inputs, data.target, data.loss, in_epoch)

    class Cut:  # its last block has not all its rows
        n_rows, block_rows = first.n_rows, first.block_rows

        def block(self, epoch, number):
            block = first.block(epoch, number)
            return block._replace(order=block.order[: (steps - 4 * number) * 16])

    while trainer.n_steps < steps:
        assert trainer.run_epoch(Cut(), stop=lambda: True) is None
    assert trainer.n_steps == trainer.epoch_steps == steps
    saved = trainer.checkpoint_content()

    again = fastrelu.Trainer.from_checkpoint_content(*saved)
    second = feeder_of(data)
    second.restore(json.loads(json.dumps(first.state())))
    assert [second.run_epoch(again, lambda: False).loss for _ in range(2)] == losses
    assert same_bits(again.network.parameters, parameters)


def test_stop_is_heard_and_the_next_call_goes_on(small):
    # Long steps, since the core looks up only now and then.
    data = prepared(small, hidden=(3000, 3000))
    losses, parameters = trained(data, feeder_of(data, blocks=12), epochs=1)
    feeder = feeder_of(data, blocks=12)
    trainer = build(data.settings, data.inputs, data.target, data.loss, feeder.steps_in_epoch())
    places, calls = [], 0

    def stop():
        nonlocal calls
        calls += 1
        return calls % 2 == 1

    while (record := feeder.run_epoch(trainer, stop)) is None:
        places.append(trainer.epoch_steps)
        assert trainer.epoch_open
    assert places and places == sorted(set(places))
    assert record.loss == losses[0]
    assert same_bits(trainer.network.parameters, parameters)


def test_an_error_while_reading_reaches_the_caller_and_nothing_hangs(small, tmp_path):
    data = prepared(small)
    feeder = feeder_of(data)
    content = (tmp_path / "small.parquet").read_bytes()
    (tmp_path / "small.parquet").write_bytes(content[:3000] + b"\0" * 800 + content[3800:])
    trainer = build(data.settings, data.inputs, data.target, data.loss, feeder.steps_in_epoch())
    with pytest.raises(DataError, match=r"small\.parquet: .*damaged"):
        feeder.run_epoch(trainer, lambda: False)
    feeder.close()


# Judging


@pytest.mark.parametrize("target", ["number", "class"])
def test_scores_are_those_of_the_rows_in_memory(tmp_path, rng, target):
    columns = table(rng, 900)
    if target == "class":
        columns["y"] = np.where(columns["y"] > 1, "high", np.where(columns["y"] > 0, "mid", "low"))
    columns["w"] = rng.integers(0, 4, 900).astype(float)
    path = write(tmp_path / "t.parquet", columns)
    stream = ParquetStream([path], ColumnChoice(target="y", weights="w"), MEMORY)
    balanced = {"class_weight": "balanced"} if target == "class" else {}
    data = prepared(stream, **balanced)
    feeder = feeder_of(data)
    trainer = build(data.settings, data.inputs, data.target, data.loss, feeder.steps_in_epoch())
    feeder.run_epoch(trainer, lambda: False)
    whole = read([path], ColumnChoice(target="y", weights="w"))
    classes = data.target.encode(whole.target) if target == "class" else np.zeros(900, int)
    parts = drawn(c if w else None for c, w in zip(classes.tolist(), whole.weights, strict=True))
    for number, part in enumerate(PARTS):
        rows = np.flatnonzero((parts == number) & (whole.weights > 0))
        scores = feeder.evaluate(trainer.network, part)
        assert scores.rows == len(rows) == data.counts()[part]
        X, y = data.inputs.transform(whole, rows), data.target.encode(whole.target[rows])
        w = whole.weights[rows]
        if target == "class":
            hits = trainer.network(X).argmax(axis=1) == y
            assert scores.result()["accuracy"] == pytest.approx((w * hits).sum() / w.sum())
            train = parts == 0  # each class weighs as its training rows do
            n = np.bincount(classes[train], whole.weights[train])
            w = w * (n.sum() / (len(n) * n))[y]
        else:
            error = trainer.network(X)[:, 0].astype(float) - y
            rmse = np.sqrt((w * error**2).sum() / w.sum()) * data.target.std
            assert scores.result()["rmse"] == pytest.approx(rmse)
        loss = trainer.evaluate(X, y, w).loss
        assert scores.loss == loss  # the same chain, to the last bit
    assert data.counts()["dropped"] == int((whole.weights == 0).sum())


def test_a_column_can_say_the_part(tmp_path, rng):
    said = np.array(["train", "Valid", "test", "train", "TRAIN"] * 100)
    path = write(tmp_path / "t.parquet", table(rng, 500, part=said))
    choice = ColumnChoice(target="y", extra=("part",))
    data = prepared(ParquetStream([path], choice, MEMORY), split="column:part")
    assert data.counts() == {"train": 300, "validation": 100, "test": 100, "dropped": 0}
    assert data.inputs.n_inputs == 3
    bad = write(
        tmp_path / "bad.parquet", table(rng, 500, part=np.where(said == "test", "what", said))
    )
    with pytest.raises(DataError, match=r"bad\.parquet: row 3: --split column:part: .*got 'what'"):
        prepared(ParquetStream([bad], choice, MEMORY), split="column:part")
    with pytest.raises(ConfigError, match="--sampling subset draws from all rows"):
        prepared(ParquetStream([path], choice, MEMORY), sampling="subset")


def test_gaps_text_dates_and_missing_targets(tmp_path, rng):
    columns = table(rng, 600)
    columns["a"] = [None if i % 9 == 0 else v for i, v in enumerate(columns["a"])]
    columns["y"] = [None if i % 50 == 1 else v for i, v in enumerate(columns["y"])]
    columns["t"] = [None if i % 7 == 0 else "rgb"[i % 3] for i in range(600)]
    columns["d"] = np.arange(600).astype("datetime64[D]")
    path = write(tmp_path / "t.parquet", columns)
    data = prepared(ParquetStream([path], ColumnChoice(target="y"), MEMORY))
    assert data.counts()["dropped"] == 12
    losses, parameters = trained(data, feeder_of(data))
    assert np.isfinite(parameters).all() and losses[1] < losses[0]
    whole = read([path], ColumnChoice(target="y"))
    block = next(feeder_of(data).batches("test"))
    rows = np.flatnonzero(drawn(None if v else 0 for v in np.isnan(whole.target)) == 2)
    assert same_bits(block.X, data.inputs.transform(whole, rows))


def test_a_file_that_outgrows_the_memory_keeps_its_test_rows(tmp_path, rng):
    """The sets, what is learned and what is scored: of one file, streamed or in memory."""
    columns = table(rng, 1200, day=rng.integers(0, 40, 1200))
    columns["w"] = rng.integers(0, 3, 1200).astype(float)
    columns["kind"] = np.where(columns["y"] > 1, "high", np.where(columns["y"] > 0, "mid", "low"))
    columns["y"] = [None if i % 40 == 7 else v for i, v in enumerate(columns["y"])]
    path = write(tmp_path / "t.parquet", columns, group=170)
    for more in (
        {"target": "y", "ignore": ("kind",)},
        {"target": "kind", "ignore": ("y",), "class_weight": "balanced"},
        {"target": "y", "ignore": ("kind",), "split": "time:day"},
    ):
        given = merge({"weights": "w", "seed": 3, "hidden": (4,), "batch_size": 16} | more)
        choice = column_choice(given)
        held = prepare(read([path], choice), given)
        stream = ParquetStream([path], choice, MEMORY)
        streamed = prepare(stream, given)
        assert streamed.counts() == held.counts() and min(held.counts().values()) > 0
        assert streamed.inputs.describe() == held.inputs.describe()
        assert streamed.target.describe() == held.target.describe()
        assert streamed.settings == held.settings
        numbers = np.concatenate([streamed.split_rows.split.numbers(t, first) for first, t in
                                  every_target(stream)])  # fmt: skip
        for number, part in enumerate(PARTS):
            assert (np.flatnonzero(numbers == number) == held.rows[part]).all()
        feeders = [data.feeder() for data in (held, streamed)]
        net = build(held.settings, held.inputs, held.target, held.loss, 9).network
        for part in PARTS:
            scores = [feeder.evaluate(net, part).result() for feeder in feeders]
            assert scores[0]["loss"] == scores[1]["loss"]
            assert scores[0] == pytest.approx(scores[1], rel=1e-9)


# Files


def test_several_files_are_one_stream(tmp_path, rng):
    columns = table(rng, 500)
    one = write(tmp_path / "one.parquet", columns, group=100)
    for k in range(2):
        part = {name: values[250 * k : 250 * k + 250] for name, values in columns.items()}
        names = list(part) if k == 0 else list(part)[::-1]  # columns in any order
        write(tmp_path / f"part-{k}.parquet", {name: part[name] for name in names}, group=100)
    choice = ColumnChoice(target="y")
    whole = prepared(ParquetStream([one], choice, MEMORY))
    stream = ParquetStream([str(tmp_path / f"part-{k}.parquet") for k in range(2)], choice, MEMORY)
    several = prepared(stream)
    assert [c.first_row for c in stream.chunks] == [0, 100, 200, 250, 350, 450]
    assert several.counts() == whole.counts()
    assert several.inputs.describe() == whole.inputs.describe()
    other = write(tmp_path / "other.parquet", {"a": [1.0], "y": [2.0]})
    with pytest.raises(DataError, match=r"other\.parquet: expected the columns of .*one\.parquet"):
        ParquetStream([one, other], choice, MEMORY)


def test_npy_matrices_stream_and_bytes_stay_bytes(tmp_path, rng, monkeypatch):
    images = rng.integers(0, 256, (400, 4, 5), dtype=np.uint8)
    labels = (images[:, 0, 0] > 127).astype(np.int64)
    for k in range(2):
        np.save(tmp_path / f"X{k}.npy", images[200 * k : 200 * k + 200])
    np.save(tmp_path / "y.npy", labels)
    monkeypatch.setattr("fastrelu.app.data.stream.npy.CHUNK_BYTES", 1000)
    files = [npy_file(str(tmp_path / name)) for name in ("X0.npy", "X1.npy", "y.npy")]
    stream = NpyStream(files, ColumnChoice(), MEMORY)
    assert [c.n_rows for c in stream.chunks] == [50] * 8
    data = prepared(stream)
    feeder = feeder_of(data)
    trained(data, feeder)
    assert feeder._block.X.dtype == np.uint8 and data.inputs.scale == 1 / 255
    seen = np.sort(feeder._block.X[: feeder._block.n_rows].view("V20").ravel())
    assert np.isin(seen, images.reshape(400, 20).view("V20").ravel()).all()
    rows = np.flatnonzero(drawn(labels) == 1)
    block = next(feeder.batches("validation"))
    assert (block.X == images.reshape(400, 20)[rows]).all() and (block.truth == labels[rows]).all()


def test_a_matrix_has_its_target_in_a_column(tmp_path, rng):
    X = rng.normal(size=(300, 4))
    np.save(tmp_path / "m.npy", X)
    data = prepared(
        NpyStream([npy_file(str(tmp_path / "m.npy"))], ColumnChoice(target="1"), MEMORY)
    )
    assert data.inputs.n_inputs == 3 and data.target_name == "1"
    block = next(feeder_of(data).batches("train"))
    rows = np.flatnonzero(drawn(300) == 0)
    assert same_bits(block.truth, X[rows, 1])
    content = (tmp_path / "m.npy").read_bytes()
    (tmp_path / "m.npy").write_bytes(content[:-900])
    with pytest.raises(DataError, match=r"m\.npy: cut short: 300 rows are announced"):
        list(feeder_of(data).batches("train"))
    np.save(tmp_path / "f.npy", np.asfortranarray(X))
    assert npy_file(str(tmp_path / "f.npy")) is None


# Memory


def test_what_does_not_fit_is_told_with_the_remedy(tmp_path, rng):
    path = write(tmp_path / "wide.parquet", table(rng, 40_000), group=40_000)
    with pytest.raises(DataError) as error:
        ParquetStream([path], ColumnChoice(target="y"), 1 << 20)
    text = str(error.value)
    assert "wide.parquet: row group 0 of 40,000 rows takes about 4 MB to read" in text
    assert "row_group_size=5000" in text and "--memory" in text
    stream = ParquetStream([path], ColumnChoice(target="y"), MEMORY)
    with pytest.raises(DataError, match=r"a minibatch of .* rows .* need --memory"):
        prepared(stream, batch_size=30_000, memory="6MB")
    share = budget.share(stream, 100, 50, MEMORY)
    assert share.block_rows == 40_000  # no more than there are
    tight = budget.share(stream, 100, 50, 9_000_000)
    assert 50 <= tight.block_rows < 40_000 and tight.block_rows % 50 == 0


def test_only_what_is_too_large_is_streamed(tmp_path, rng):
    path = write(tmp_path / "t.parquet", table(rng, 20_000), group=2000)
    choice = ColumnChoice(target="y")
    assert open_stream([path], choice, 256_000_000) is None
    assert isinstance(open_stream([path], choice, 1_200_000), ParquetStream)
    np.save(tmp_path / "m.npy", rng.normal(size=(1000, 9)))
    matrix = [str(tmp_path / "m.npy")]
    assert open_stream(matrix, ColumnChoice(), 256_000_000) is None
    assert isinstance(open_stream(matrix, ColumnChoice(), 70_000), NpyStream)
    (tmp_path / "t.csv").write_text("a,y\n" + "1,2\n" * 50_000)
    assert open_stream([str(tmp_path / "t.csv")], choice, 256_000_000) is None
    assert isinstance(open_stream([str(tmp_path / "t.csv")], choice, 1000), TextStream)
    assert open_stream(["iris"], ColumnChoice(), 10) is None


def test_a_table_larger_than_the_machine_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,y\n" + b"1,2\n" * 1000))
    monkeypatch.setattr("os.sysconf", lambda name: 5)
    with pytest.raises(DataError, match=r"t\.csv\.gz: packed text is read into memory.*Parquet"):
        open_stream([str(tmp_path / "t.csv.gz")], ColumnChoice(), 10)


# The command


def test_the_command_streams_and_repeats_itself(tmp_path, rng):
    write(tmp_path / "big.parquet", table(rng, 30_000), group=3000)
    outcomes = []
    for name in ("one", "two"):
        result = run(
            "train", tmp_path / "big.parquet", "--target", "y", "--memory", "2MB", "--epochs", 2,
            "--hidden", "16", "--lr", 0.01, "--out", tmp_path / name,
            "--threads", len(outcomes) + 1,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert "read in blocks of" in result.output
        outcomes.append(result_of(tmp_path / name))
    metrics = metrics_in(tmp_path / "one")
    assert metrics["test"]["r2"] > 0.9 and metrics["rows"]["dropped"] == 0
    assert outcomes[0][0] == outcomes[1][0] and outcomes[0][2] == outcomes[1][2]
    longer = run("train", "--resume", tmp_path / "one", "--epochs", 3)
    assert longer.exit_code == 0 and metrics_in(tmp_path / "one")["epochs"] == 3
    write(tmp_path / "big.parquet", table(rng, 30_000), group=3000)
    assert run("train", "--resume", tmp_path / "two", "--epochs", 3).exit_code == 6

# SPDX-License-Identifier: BSD-3-Clause
"""What is fuzzed: good files of each kind, and what is done with those that were changed.

tests/test_fuzz.py takes some thousands of mutants, scripts/fuzz.py as many as time allows.
"""

import gzip
import io
import json
import tempfile
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import workbook_files
from data_files import TEXT, arrow_table, idx
from pyarrow import feather, parquet

import fastrelu
from fastrelu import training
from fastrelu.app.data.readers import ColumnChoice, excel_parts, read
from fastrelu.app.data.stream import read_tables
from fastrelu.app.preprocess import InputOptions
from fastrelu.training import DataError


@dataclass(frozen=True)
class Target:
    """A kind of file.

    `seeds` writes good ones into a folder and returns them; `use` loads the file at a path and
    works with what came; `errors` is what it may raise, and nothing else.
    """

    seeds: Callable[[Path], list[bytes]]
    use: Callable[[Path], None]
    errors: tuple[type[Exception], ...]


# Models


def _saved(save: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder, "file"))
        return Path(folder, "file").read_bytes()


def _rows(net: fastrelu.Network, n: int = 2) -> np.ndarray:
    return np.zeros((n, net.layer_sizes[0]))


def networks(folder: Path) -> list[bytes]:
    nets = [
        fastrelu.Network([3, 5, 2], seed=1),
        fastrelu.Network([1, 2, 2, 1], dtype="float64", activation=["tanh", "relu"]),
        fastrelu.Network([4, 2], bias=False, scale=1 / 255),
    ]
    return [_saved(net.save) for net in nets]


def use_network(path: Path) -> None:
    net = fastrelu.load(path)
    assert net(_rows(net)).shape == (2, net.layer_sizes[-1])
    net.copy()
    repr(net)


def checkpoints(folder: Path) -> list[bytes]:
    made = []
    for optimizer in (fastrelu.Adam(), fastrelu.SGD(0.1, momentum=0.9), "lion"):
        net = fastrelu.Network([3, 4, 2])
        trainer = fastrelu.Trainer(net, optimizer=optimizer, batch_size=2, dropout=0.1)
        trainer.fit(np.ones((5, 3)), np.ones((5, 2)), 2)
        made.append(_saved(trainer.save_checkpoint))
    return made


def use_checkpoint(path: Path) -> None:
    trainer = fastrelu.Trainer.from_checkpoint(path)
    if max(trainer.network.layer_sizes) > 10**4:
        return
    X, y = _rows(trainer.network), np.zeros((2, trainer.network.layer_sizes[-1]))
    y = np.array([0, 0]) if trainer.loss.name == "cross_entropy" else y + 0.5
    try:
        trainer.fit(X, y, 1)
    except fastrelu.DivergenceError:
        pass


def populations(folder: Path) -> list[bytes]:
    configs = [{"layer_sizes": [2, n, 1], "seed": n} for n in (2, 3)]
    configs[1] |= {"optimizer": fastrelu.Adam(0.01), "activation": "tanh"}
    population = fastrelu.Population(configs)
    population.fit(np.ones((6, 2)), np.ones(6), 1)
    return [_saved(population.save_checkpoint)]


def use_population(path: Path) -> None:
    population = fastrelu.Population.from_checkpoint(path)
    population.predict(_rows(population.networks[0]))
    repr(population)


def ensembles(folder: Path) -> list[bytes]:
    ensemble = fastrelu.Ensemble([fastrelu.Network([2, n, 1], seed=n) for n in (2, 3)])
    first = _saved(ensemble.save)
    ensemble.calibrate(np.eye(2).repeat(10, 0), np.arange(20.0))
    return [first, _saved(ensemble.save)]


def use_ensemble(path: Path) -> None:
    ensemble = fastrelu.Ensemble.load(path)
    assert len(ensemble.predict(np.zeros((2, 2)))) == 2


MODEL_ROWS = "size,gap,when,flag,word,kind\n" + "".join(
    f"{i / 7:.3f},{'' if i % 9 == 0 else i % 17},2024-0{i % 9 + 1}-1{i % 8},"
    f"{['true', 'false'][i % 2]},{['red', 'blue', 'green'][i % 3]},{['low', 'mid'][i % 2]}\n"
    for i in range(60)
)


def models(folder: Path) -> list[bytes]:
    (folder / "rows.csv").write_text(MODEL_ROWS)
    table, made = read([str(folder / "rows.csv")], ColumnChoice(target="kind")), []
    for options in (("auto", "one-hot"), ("quantile", "hash")):
        inputs = training.fit_inputs(table, None, InputOptions(*options))
        target = training.fit_target(table)
        net = fastrelu.Network([inputs.n_inputs, 3, 2], seed=1)
        model = training.Model(net, inputs, target, "kind", "cross_entropy")
        made.append(_saved(model.save))
    return made


def use_model(path: Path) -> None:
    from fastrelu.app.cli.info import describe

    model = training.load_model(path)
    json.dumps(describe(model, "model"), allow_nan=False)
    rows = path.parent / "rows.csv"
    table = training.read([str(rows)], model.choice(need_target=False))
    assert np.isfinite(np.asarray(model.outputs(table), float)).all()


def onnx_files(folder: Path) -> list[bytes]:
    nets = [
        fastrelu.Network([3, 5, 2], seed=1),
        fastrelu.Network([2, 2, 2, 1], dtype="float64", activation=["elu", "leaky_relu"]),
        fastrelu.Network([2, 2, 1], activation="silu", bias=False, scale=0.5),
    ]
    return [_saved(net.to_onnx) for net in nets]


def use_onnx(path: Path) -> None:
    net = fastrelu.from_onnx(path)
    assert net(_rows(net)).shape == (2, net.layer_sizes[-1])


# Data


def use_data(path: Path) -> None:
    """Read a file whole, or by parts, with a target or without; what came is a table to learn."""
    size = path.stat().st_size
    need_target, target = bool(size % 2), [None, "y", "a"][size % 3]
    choice = ColumnChoice(target=target if need_target else None)
    if size % 5 == 0:
        for table in read_tables([str(path)], choice, need_target=need_target, memory=100_000):
            assert table.n_rows >= 0
        return
    table = read([str(path)], choice, need_target=need_target)
    if need_target:
        rows = np.flatnonzero(~table.missing_target())
        training.fit_target(table, rows)
        X = training.fit_inputs(table, rows).transform(table, rows)
        assert np.isfinite(X.toarray() if hasattr(X, "toarray") else np.asarray(X)).all()


def texts(folder: Path) -> list[bytes]:
    return [TEXT.encode() * 1, (TEXT + TEXT.split("\n", 1)[1] * 9).replace(",", ";").encode()]


def libsvm_files(folder: Path) -> list[bytes]:
    plain = b"".join(b"%d 1:%d 3:%f # row\n" % (i % 2, i, i * i) for i in range(9))
    return [plain, plain.replace(b" 1:", b" qid:3 2:"), gzip.compress(plain, mtime=0)]


def npy_files(folder: Path) -> list[bytes]:
    made = []
    records = np.array([(1, 2.5, "a")] * 4, dtype=[("a", "i4"), ("b", "f8"), ("y", "U3")])
    for array in (np.ones((9, 3)), np.asfortranarray(np.ones((4, 3), ">f4")), records):
        file = io.BytesIO()
        np.save(file, array)
        made += [file.getvalue()]
    return [*made, gzip.compress(made[0], mtime=0)]


def npz_files(folder: Path) -> list[bytes]:
    made = []
    for save, arrays in (
        (np.savez, {"X": np.ones((9, 3)), "y": np.arange(9)}),
        (np.savez_compressed, {"x_train": np.ones((4, 2, 2), "u1"), "y_train": np.arange(4)}),
    ):
        file = io.BytesIO()
        save(file, **arrays)
        made.append(file.getvalue())
    return made


def idx_files(folder: Path) -> list[bytes]:
    whole = idx(np.ones((4, 3, 2), np.uint8))
    return [whole, gzip.compress(whole, mtime=0), idx(np.ones(4, np.uint8))]


def parquet_files(folder: Path) -> list[bytes]:
    made, nested = [], {"y": [1, 2, 3], "s": [{"a": 1}] * 3, "l": [[1.0], [2.0], [3.0]]}
    for table, options in (
        (arrow_table(), {}),
        (arrow_table(), {"compression": "none", "row_group_size": 2, "use_dictionary": False}),
        (pa.table(nested), {"compression": "zstd", "data_page_version": "2.0"}),
    ):
        file = io.BytesIO()
        parquet.write_table(table, file, **options)
        made.append(file.getvalue())
    return made


def arrow_files(folder: Path) -> list[bytes]:
    made = []
    for compression in ("uncompressed", "lz4"):
        file = io.BytesIO()
        feather.write_feather(arrow_table(), file, compression=compression)
        made.append(file.getvalue())
    file = io.BytesIO()
    with pa.ipc.new_stream(file, arrow_table().schema) as stream:
        stream.write_table(arrow_table())
    return [*made, file.getvalue()]


def databases(folder: Path) -> list[bytes]:
    import sqlite3

    path = folder / "seed.sqlite"
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("create table t (a real, b text, y integer)")
        base.executemany(
            "insert into t values (?, ?, ?)", [(i / 3, "xy"[i % 2], i % 2) for i in range(9)]
        )
    return [path.read_bytes()]


def workbooks(folder: Path) -> list[bytes]:
    import openpyxl

    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in (("a", "b", "y"), (1.5, "x", 1), (None, "z", 0), (2, True, 1)):
        book.active.append(row)
    book.save(file)
    old = workbook_files.old_workbook(*workbook_files.XLS_CELLS)
    rows = workbook_files.NAMES, *workbook_files.ROWS
    other = workbook_files.open_document(*rows), workbook_files.binary_workbook()
    return [file.getvalue(), file.getvalue(), old, *other]


# Empty cells up to the last one take room, more than the rule for all files allows.
excel_parts.MOST_CELLS = 1 << 17

MODELS = (ValueError,)
DATA = (DataError,)
TARGETS = {
    "network": Target(networks, use_network, MODELS),
    "checkpoint": Target(checkpoints, use_checkpoint, MODELS),
    "population": Target(populations, use_population, MODELS),
    "ensemble": Target(ensembles, use_ensemble, MODELS),
    "model": Target(models, use_model, DATA),
    "onnx": Target(onnx_files, use_onnx, MODELS),
    "text": Target(texts, use_data, DATA),
    "libsvm": Target(libsvm_files, use_data, DATA),
    "npy": Target(npy_files, use_data, DATA),
    "npz": Target(npz_files, use_data, DATA),
    "idx": Target(idx_files, use_data, DATA),
    "parquet": Target(parquet_files, use_data, DATA),
    "arrow": Target(arrow_files, use_data, DATA),
    "sqlite": Target(databases, use_data, DATA),
    "excel": Target(workbooks, use_data, DATA),
}


def tried(target: Target, path: Path, data: bytes) -> bool:
    """Whether these bytes were loaded; what may not be raised is let out."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.use(path)
        except target.errors as error:
            assert not isinstance(error, DataError) or str(error).isprintable(), repr(str(error))
            return False
    return True

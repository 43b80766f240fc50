# SPDX-License-Identifier: BSD-3-Clause
"""Files of every format become the same table; what cannot be read says where and what to do."""

import datetime
import decimal
import gzip
import io
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")  # and scipy
import pyarrow as pa
from data_files import TEXT, arrow_table, idx, write, zstd
from pyarrow import feather, ipc, parquet
from scipy import sparse

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.objects import table_from
from fastrelu.app.data.table import NumberedNames, kind_of
from fastrelu.training import DataError


def written(tmp_path, form):
    path = tmp_path / "data"
    if form == "csv":
        write(path, TEXT)
    elif form == "csv with a byte order mark and CRLF":
        write(path, ("\ufeff" + TEXT).replace("\n", "\r\n"))
    elif form == "tsv":
        write(path, TEXT.replace(",", "\t"))
    elif form == "semicolons":
        write(path, TEXT.replace(",", ";").replace("1.5", "1,5"))
    elif form == "bars":
        write(path, TEXT.replace(",", "|"))
    elif form == "csv.gz":
        write(path, gzip.compress(TEXT.encode()))
    elif form == "csv.zst":
        write(path, zstd(TEXT.encode()))
    elif form == "parquet":
        parquet.write_table(arrow_table(), path)
    elif form == "parquet.gz":
        sink = io.BytesIO()
        parquet.write_table(arrow_table(), sink)
        write(path, gzip.compress(sink.getvalue()))
    elif form == "feather":
        feather.write_feather(arrow_table(), str(path))
    elif form == "arrow stream":
        with ipc.new_stream(str(path), arrow_table().schema) as out:
            out.write_table(arrow_table())
    return str(path)


@pytest.mark.parametrize(
    "form",
    [
        "csv",
        "csv with a byte order mark and CRLF",
        "tsv",
        "semicolons",
        "bars",
        "csv.gz",
        "csv.zst",
        "parquet",
        "parquet.gz",
        "feather",
        "arrow stream",
    ],
)
def test_one_table_in_many_formats(tmp_path, form):
    table = read([written(tmp_path, form)])
    assert table.n_rows == 3 and list(table.columns) == ["a", "when", "colour"]
    np.testing.assert_array_equal(table.columns["a"], [1.5, np.nan, -2000])
    dates = np.array(["2024-01-31", "2024-02-01T06", "NaT"], "datetime64[us]")
    np.testing.assert_array_equal(table.columns["when"], dates)
    assert table.columns["colour"].tolist() == ["red", "", "blue"]
    assert table.target.tolist() == [1, 0, 1] and table.target_name == "y"
    assert "target: the last column, 'y'" in table.notes[0]


def test_standard_input(monkeypatch):
    class Input:
        buffer = io.BytesIO(gzip.compress(TEXT.encode()))

    monkeypatch.setattr(sys, "stdin", Input)
    assert read(["-"]).columns["colour"].tolist() == ["red", "", "blue"]


def test_a_pipe_is_read_once():
    ours, theirs = os.pipe()
    os.write(theirs, TEXT.encode())
    os.close(theirs)
    try:
        assert read([f"/dev/fd/{ours}"]).n_rows == 3
    finally:
        os.close(ours)


def test_row_counter_without_a_name(tmp_path):
    path = write(tmp_path / "t.csv", ",a,y\n0,5,1\n1,7,2\n")
    table = read([path])
    assert list(table.columns) == ["a"] and "counts the rows" in table.notes[-1]
    assert list(read([path], ColumnChoice(features=("column 1",))).columns) == ["column 1"]
    path = write(tmp_path / "t.csv", ",a,y\n0,5,1\n2,7,2\n")
    assert list(read([path]).columns) == ["column 1", "a"]


def test_columns_by_role(tmp_path):
    path = write(tmp_path / "t.csv", "id,w,a,b,part,y\n7,1,2,3,x,4\n8,0,5,6,y,7\n")
    choice = ColumnChoice("y", ignore=("id",), weights="w", extra=("part",), categorical=("b",))
    table = read([path], choice)
    assert list(table.columns) == ["a", "b"] and table.columns["b"].tolist() == ["3", "6"]
    assert table.weights.tolist() == [1, 0] and table.extra["part"].tolist() == ["x", "y"]
    assert list(read([path], ColumnChoice("y", features=("b", "a"))).columns) == ["a", "b"]
    for choice, says in (
        (ColumnChoice("Yy"), "did you mean 'y'"),
        (ColumnChoice("y", features=("aa",)), "--features: no column 'aa'"),
        (ColumnChoice("y", features=("y", "a")), "which is the target"),
        (ColumnChoice("y", ignore=("zebra",)), "--ignore: no column 'zebra'; the columns are id"),
        (ColumnChoice("y", weights="part"), "line 2: weights 'part': expected a number, got 'x'"),
        (ColumnChoice("y", features=("a",), ignore=("a",)), "which is left out"),
        (ColumnChoice("y", ignore=("id", "w", "a", "b", "part")), "no input columns"),
    ):
        with pytest.raises(DataError, match=says):
            read([path], choice)


@pytest.mark.parametrize("bad", ["-1", "inf", "", "NaN"])
def test_bad_weights(tmp_path, bad):
    path = write(tmp_path / "t.csv", f"a,w,y\n1,1,0\n2,{bad},1\n3,1,1\n")
    with pytest.raises(DataError, match=r"(line 3|row 2): weights 'w'"):
        read([path], ColumnChoice("y", weights="w"))


def test_for_a_model_columns_are_read_as_in_training(tmp_path):
    path = write(tmp_path / "t.csv", "zip,b,flag,other\n02139,1,TRUE,x\n10001,2,false,inf\n")
    kinds = {"zip": "text", "b": "numeric", "flag": "numeric", "gone": "text"}
    table = read([path], ColumnChoice("y", kinds=kinds), need_target=False)
    assert table.columns["zip"].tolist() == ["02139", "10001"] and table.target is None
    assert table.columns["flag"].tolist() == [1, 0] and list(table.columns) == ["zip", "b", "flag"]
    with pytest.raises(DataError, match="line 2: column 'other': expected a number, as in train"):
        read([path], ColumnChoice(kinds={"other": "numeric"}), need_target=False)
    with pytest.raises(DataError, match="line 2: column 'b': expected a date"):
        read([path], ColumnChoice(kinds={"b": "date"}), need_target=False)
    alone = write(tmp_path / "one.csv", "b\n1\n")
    table = read([alone], ColumnChoice(kinds={"b": "numeric"}), need_target=False)
    assert table.n_rows == 1


def test_several_files(tmp_path):
    write(tmp_path / "a1.csv", "x,k,y\n1,u,1\n,v,2\n")
    write(tmp_path / "a2.csv", "k,y,x\n,3,5\n,4,6\n")
    table = read([str(tmp_path / "a*.csv")])
    np.testing.assert_array_equal(table.columns["x"], [1, np.nan, 5, 6])
    assert table.columns["k"].tolist() == ["u", "v", "", ""] and table.target.tolist() == [
        1,
        2,
        3,
        4,
    ]
    assert table.source.endswith("a1.csv and 1 more")
    write(tmp_path / "b.csv", "k,y,x\n1,3,5\n2,4,6\n")
    with pytest.raises(DataError, match=r"b.csv: column 'k' is numeric, but text in .*a1.csv"):
        read([str(tmp_path / "a1.csv"), str(tmp_path / "b.csv")])
    write(tmp_path / "c.csv", "k,y\nu,3\n")
    with pytest.raises(DataError, match=r"c.csv: no column 'x', which .*a1.csv has"):
        read([str(tmp_path / "a1.csv"), str(tmp_path / "c.csv")])
    with pytest.raises(DataError, match="no file matches"):
        read([str(tmp_path / "z*.csv")])
    parquet.write_table(arrow_table(), tmp_path / "d.parquet")
    with pytest.raises(DataError, match="another format"):
        read([str(tmp_path / "a1.csv"), str(tmp_path / "d.parquet")])


def test_arrow_types(tmp_path):
    columns = {
        "i64": pa.array([1, 2**40], pa.int64()),
        "u8": pa.array([0, 255], pa.uint8()),
        "half": pa.array(np.array([0.5, 1], np.float16)),
        "gap": pa.array([None, 3], pa.int32()),
        "flag": pa.array([True, None]),
        "price": pa.array([decimal.Decimal("1.25"), None], pa.decimal128(9, 2)),
        "day": pa.array([datetime.date(2024, 2, 29), None]),
        "zone": pa.array([datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), None]),
        "nano": pa.array([1, 2], pa.timestamp("ns")),
        "time": pa.array([datetime.time(1, 0, 1), None]),
        "took": pa.array([datetime.timedelta(seconds=90), None]),
        "word": pa.array([" x ", None], pa.large_string()),
        "codes": pa.array([5, 6]).dictionary_encode(),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([7.0])),
        "y": pa.array([False, True]),
    }
    sink = tmp_path / "t.arrow"
    with ipc.new_file(str(sink), pa.table(columns).schema) as out:
        out.write_table(pa.table(columns))
    table = read([str(sink)])
    got = {n: c.tolist() for n, c in table.columns.items() if kind_of(c) != "date"}
    assert got["i64"] == [1, 2**40] and table.columns["u8"].dtype == np.uint8
    assert got["codes"] == ["5", "6"] and got["runs"] == [7, 7] and got["word"] == ["x", ""]
    assert "'codes' is a dictionary of whole numbers: read as categories" in table.notes[-1]
    assert got["half"] == [0.5, 1] and got["took"][0] == 90 and got["time"][0] == 3601
    for name, first in (("gap", None), ("flag", 1), ("price", 1.25)):
        values = table.columns[name]
        assert np.isnan(values).sum() == 1 and (first is None or values[0] == first)
    assert str(table.columns["day"][0]) == "2024-02-29T00:00:00.000000"
    assert str(table.columns["zone"][0])[:10] == "2024-01-01"
    assert table.target.tolist() == ["False", "True"]
    kinds = {"i64": "text", "flag": "text", "day": "text", "codes": "text"}
    texts = read([str(sink)], ColumnChoice(kinds=kinds), need_target=False)
    assert texts.columns["i64"].tolist() == ["1", str(2**40)]
    assert texts.columns["flag"].tolist() == ["True", ""]
    assert texts.columns["day"][0] == "2024-02-29" and texts.columns["codes"][1] == "6"


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array([[1.0], [2.0]]), "has the type list<.*> which is no number.*--ignore 'x'"),
        (
            pa.array([b"1", b"\xff2"]),
            "row 2: column 'x': expected text, got the bytes .*--ignore 'x'",
        ),
        (pa.array([1.0, np.inf]), "row 2: column 'x': expected finite numbers, got inf"),
    ],
)
def test_arrow_columns_of_no_use(tmp_path, column, says):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"x": column, "z": [1, 2], "y": [1, 2]}), path)
    with pytest.raises(DataError, match=says.replace("list<.*>", "list<.*>,")):
        read([str(path)])
    assert read([str(path)], ColumnChoice(ignore=("x",))).n_rows == 2


def test_arrow_targets(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"x": [1, 2, 3], "y": pa.array([1.0, None, 2.0])}), path)
    np.testing.assert_array_equal(read([str(path)]).target, [1, np.nan, 2])
    for bad, says in ((np.nan, "row 2: target 'y'.*NaN"), (np.inf, "row 2.*'y'.*inf")):
        parquet.write_table(pa.table({"x": [1, 2, 3], "y": [1.0, bad, 2.0]}), path)
        with pytest.raises(DataError, match=says):
            read([str(path)])


def test_numpy_files(tmp_path, rng):
    X, y = rng.normal(size=(6, 3)), np.arange(6) % 2
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    table = read([str(tmp_path / "X.npy"), str(tmp_path / "y.npy")])
    assert isinstance(table.matrix, np.memmap) and table.target.tolist() == y.tolist()
    assert table.names == ["X[0]", "X[1]", "X[2]"] and table.target_name == "labels"
    last = read([str(tmp_path / "X.npy")])
    assert isinstance(last.matrix, np.memmap) and last.target_name == "2"
    np.testing.assert_array_equal(last.target, X[:, 2])
    for number in ("0", "1", "-2"):
        some = read([str(tmp_path / "X.npy")], ColumnChoice(number))
        np.testing.assert_array_equal(some.target, X[:, int(number)])
        np.testing.assert_array_equal(some.matrix, np.delete(X, int(number), axis=1))
        assert some.names == [f"X[{j}]" for j in range(3) if j != int(number) % 3]
    rest = read([str(tmp_path / "X.npy")], ColumnChoice("0", width=3), need_target=False)
    assert rest.target is None and rest.matrix.shape == (6, 3)
    rest = read([str(tmp_path / "X.npy")], ColumnChoice("0", width=2), need_target=False)
    assert rest.target is not None and rest.matrix.shape == (6, 2)
    with pytest.raises(DataError, match="--target 3: expected the number of one of 3 columns"):
        read([str(tmp_path / "X.npy")], ColumnChoice("3"))
    write(tmp_path / "X.npy.gz", gzip.compress((tmp_path / "X.npy").read_bytes()))
    np.testing.assert_array_equal(read([str(tmp_path / "X.npy.gz")]).matrix, X[:, :2])
    np.savez(tmp_path / "all.npz", X=X, y=y, w=np.ones(6), fold=np.arange(6))
    both = read([str(tmp_path / "all.npz")], ColumnChoice(weights="w", extra=("fold",)))
    assert both.weights.tolist() == [1] * 6 and both.extra["fold"].tolist() == list(range(6))
    half = read([str(tmp_path / "all.npz")], ColumnChoice(ignore=("X[1]",)))
    assert half.names == ["X[0]", "X[2]"] and half.matrix.shape == (6, 2)
    twice = read([str(tmp_path / "all.npz")] * 2)
    assert twice.matrix.shape == (12, 3) and len(twice.target) == 12


def test_array_types(tmp_path):
    y = np.arange(4) % 2
    for X in (np.eye(4, dtype=">f8"), np.eye(4, dtype=bool), np.eye(4, dtype=np.float16)):
        np.savez(tmp_path / "t.npz", X=X, y=y)
        matrix = read([str(tmp_path / "t.npz")]).matrix
        assert matrix.dtype.isnative and matrix.dtype.kind == "f" and (matrix == X).all()
    np.savez(tmp_path / "t.npz", X=np.eye(4), y=np.array([1, np.nan, 1, 0]))
    with pytest.raises(DataError, match="row 2: target 'y': expected a number, got NaN"):
        read([str(tmp_path / "t.npz")])


def test_idx(tmp_path):
    X = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    images = write(tmp_path / "images.gz", gzip.compress(idx(X)))
    labels = write(tmp_path / "labels", idx(np.array([1, 2, 1, 2], np.uint8)))
    table = read([images, labels])
    assert table.matrix.dtype == np.uint8 and table.matrix.shape == (4, 6)
    assert table.target.tolist() == [1, 2, 1, 2]
    assert read([images], need_target=False).target is None
    with pytest.raises(DataError, match="expected the file of its labels"):
        read([images])
    with pytest.raises(DataError, match="another format"):
        read([images, write(tmp_path / "t.csv", TEXT)])


def npy(shape, dtype):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": dtype}
    )
    return file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy((0, 2**32, 2**32), "<f8"), "a shape that an array can have"),
        (npy((2**32, 2**32, 0), "<f8"), "a shape that an array can have"),
        (npy((-1, 5), "<f8"), "a shape that an array can have"),
        (npy((1,) * 70, "<f8") + bytes(8), "a shape that an array can have"),
        (npy((2**40,), "<U0"), "numbers or text, got values of no bytes"),
        (npy((2**40, 2), "|S0"), "numbers or text, got values of no bytes"),
        (npy((2**40, 2), "|V0"), "numbers or text, got values of no bytes"),
        (bytes((0, 0, 8, 3)) + b"\0" * 4 + b"\xff" * 8, "a shape that an array can have"),
    ],
)
def test_shapes_that_no_array_can_have(content, says, packed, tmp_path):
    file = write(tmp_path / "X", gzip.compress(content) if packed else content)
    for files in ([file], [file, write(tmp_path / "y", idx(np.zeros(0, np.uint8)))]):
        with pytest.raises(DataError, match=says):
            read(files)


def test_choices_that_array_files_lack():
    for choice, says in (
        (ColumnChoice(weights="w"), "no column 'w'"),
        (ColumnChoice(extra=("fold",)), "no column 'fold'"),
        (ColumnChoice(categorical=("x",)), "no categorical"),
        (ColumnChoice("kind"), "--target goes with files"),
        (ColumnChoice(ignore=("petal",)), "--ignore: no column 'petal'"),
    ):
        with pytest.raises(DataError, match=says):
            read(["iris"], choice)
    narrow = read(["iris"], ColumnChoice(ignore=("petal width (cm)",)))
    assert narrow.matrix.shape == (150, 3) and narrow.target[0] == "setosa"


def test_libsvm(tmp_path):
    content = "# made\n1 1:0.5 4:2 # row\n-1 qid:3 2:1e-3\n0\n"
    table = read([write(tmp_path / "t.svm.gz", gzip.compress(content.encode()))])
    assert sparse.issparse(table.matrix) and table.matrix.shape == (3, 4)
    assert table.names == ["1", "2", "3", "4"] and table.target.tolist() == [1, -1, 0]
    assert table.matrix.toarray()[0].tolist() == [0.5, 0, 0, 2]
    zero = read([write(tmp_path / "z.svm", "1 0:1 2:3\n2 1:1\n")])
    assert zero.names == ["0", "1", "2"] and zero.matrix.shape == (2, 3)
    wide = read([write(tmp_path / "a.svm", "1 1:1\n"), write(tmp_path / "b.svm", "2 7:1\n")])
    assert wide.matrix.shape == (2, 7) and wide.matrix.toarray()[1, 6] == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1 1:0.5\n1 2:x\n", "line 2: expected a label, then index:value"),
        ("1 1:0.5\n1 3:1 2:1\n", "line 2: .*ascend"),
        ("1 1:0.5\n1,2 2:1\n", "line 2"),
        ("1 1:0.5\n1 2:inf\n", "row 2: column 2: expected finite"),
        ("1 1:0.5\n1 99999999:1\n", "line 2: index 99999999"),
    ],
)
def test_libsvm_errors(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        read([write(tmp_path / "t.svm", content)])


def test_objects_in_memory():
    frame = {"a": [1, None, 2.5], "b": ["x", None, " y"], "c": [True, False, True]}
    frame["d"] = [datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 2)]
    table = table_from(frame)
    assert [kind_of(c) for c in table.columns.values()] == ["numeric", "text", "numeric", "date"]
    assert table.columns["b"].tolist() == ["x", "", "y"] and table.columns["c"].tolist() == [
        1,
        0,
        1,
    ]
    assert table_from(np.eye(2)).matrix.shape == (2, 2)
    assert sparse.issparse(table_from(sparse.eye(2)).matrix)
    assert table_from(table) is table
    for bad, says in (
        ({"a": [1, 2], "b": [1]}, "one length"),
        ({"a": np.array([1, [2]], object)}, "row 2: column 'a': .* got int, list"),
        ({"a": np.zeros(2, complex)}, "complex"),
        (np.array([["x", 1]], object), "columns with names"),
    ):
        with pytest.raises(DataError, match=says):
            table_from(bad)


def test_numbered_names():
    names = NumberedNames("X[", "]", 3, 1)
    assert list(names) == ["X[1]", "X[2]", "X[3]"] == [names[0], names[1], names[-1]]
    assert names == ["X[1]", "X[2]", "X[3]"] and names[1:] == ["X[2]", "X[3]"]
    assert names != NumberedNames("X[", "]", 3) and "X[3]" in names and "X[0]" not in names
    with pytest.raises(IndexError):
        names[3]


def test_nothing_is_imported_before_it_is_needed(tmp_path):
    path = write(tmp_path / "t.csv", TEXT)
    code = (
        "import sys; from fastrelu.app.data.readers import read; from fastrelu.app import "
        f"preprocess; preprocess.fit_inputs(read([{path!r}])); "
        "print({'scipy', 'sklearn', 'pandas'} & {m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_categories_decided_late(tmp_path):
    """Numbers up to the third chunk, then text: read again, all of it as text."""
    rows = [f"{i},{i % 7}" for i in range(20_000)] + [f"x{i},1" for i in range(30_000)]
    table = read([write(tmp_path / "t.csv", "code,y\n" + "\n".join(rows))])
    assert table.columns["code"][[0, 19_999, 20_000]].tolist() == ["0", "19999", "x0"]
    assert table.n_rows == 50_000 and table.target[19_999] == 19_999 % 7


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["2024-01-31", "2024/02/01"], "date"),
        (["2024-01-31T23:59:59.123456789Z", ""], "date"),
        (["2024-01-31 10:00+0200", "2024-01-31 10:00:00 -05:30"], "date"),
        (["2024-13-31", "2024-02-01"], "text"),
        (["31.01.2024", "01.02.2024"], "date"),
        (["true", "FALSE"], "numeric"),
        (["1,234", "5"], "numeric"),
        (["1e3", " .5 "], "numeric"),
        (["?", "n/a"], "numeric"),
    ],
)
def test_what_a_column_is_taken_for(tmp_path, cells, kind):
    lines = "".join(f'"{cell}",{i}\n' for i, cell in enumerate(cells))
    column = read([write(tmp_path / "t.csv", "a,y\n" + lines)]).columns["a"]
    assert kind_of(column) == kind
    if "+0200" in cells[0]:
        assert str(column[0]) == "2024-01-31T08:00:00.000000"
        assert str(column[1]) == "2024-01-31T15:30:00.000000"

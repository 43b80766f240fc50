# SPDX-License-Identifier: BSD-3-Clause
"""Files of arrays: targets of several columns, other names, claims, flags among bytes, labels."""

import bz2
import gzip
import io
import lzma
import struct
import zipfile

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")
from command_tools import metrics_in, run
from data_files import idx, write, zstd

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.preprocess import fit_inputs
from fastrelu.app.preprocess.inputs import Inputs
from fastrelu.training import DataError, load_model


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_a_second_array_is_the_users_choice(tmp_path, rng):
    X, Y = rng.normal(size=(2, 30, 3))
    paths = [write(tmp_path / f"{name}.npy", npy(a)) for name, a in (("X", X), ("Y", Y))]
    with pytest.raises(DataError, match=r"both have shape \(30, 3\): --y Y.npy makes"):
        read(paths)
    rows = read(paths, ColumnChoice("-1"))
    assert rows.matrix.shape == (60, 2) and rows.target[30] == Y[0, 2]
    one = read(paths, ColumnChoice("1", y="Y.npy"))
    assert one.matrix.shape == (30, 3) and one.target.tolist() == Y[:, 1].tolist()
    first = read(paths[::-1], ColumnChoice("0", y=paths[1]))
    np.testing.assert_array_equal(first.matrix, X)
    with pytest.raises(DataError, match=r"got 3 targets, .*--target 0 to 2 says which"):
        read(paths, ColumnChoice(y="Y.npy"))
    with pytest.raises(DataError, match="--target 3: expected the number of one of 3 columns"):
        read(paths, ColumnChoice("3", y="Y.npy"))
    with pytest.raises(DataError, match=r"--y Z.npy: expected one of several files of DATA"):
        read(paths, ColumnChoice(y="Z.npy"))
    three = [*paths, write(tmp_path / "Z.npy", npy(X))]
    assert read(three).matrix.shape == (90, 2)  # parts of one table
    longer = [paths[0], write(tmp_path / "W.npy", npy(np.ones((4, 3))))]
    assert read(longer).matrix.shape == (34, 2)


def test_targets_of_several_columns(tmp_path, rng):
    X = write(tmp_path / "X.npy", npy(rng.normal(size=(20, 5))))
    classes = rng.integers(0, 3, 20)
    for kind in (float, bool, np.uint8):
        y = write(tmp_path / "y.npy", npy(np.eye(3, dtype=kind)[classes]))
        table = read([X, y])
        assert table.target.tolist() == [str(c) for c in classes]
        assert "3 columns with one 1 in each row: read as classes 0 to 2" in table.notes[0]
    many = write(tmp_path / "y.npy", npy(rng.integers(0, 2, (20, 3))))
    with pytest.raises(DataError, match=r"got 3 labels, shape \(20, 3\)"):
        read([X, many])
    with pytest.raises(DataError, match="expected one target for each of 20 rows"):
        read([X, write(tmp_path / "y.npy", npy(np.ones(19)))])


def test_npz_of_other_names(tmp_path, rng):
    path = str(tmp_path / "t.npz")
    X, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    np.savez(path, x_train=X, y_train=y, who=np.arange(20))
    with pytest.raises(DataError, match=r"no array 'X'; .*x_train \(20, 3\).*--x and --y name"):
        read([path])
    table = read([path], ColumnChoice("1", x="x_train", y="y_train"))
    np.testing.assert_array_equal(table.target, y[:, 1])
    old = read([path], ColumnChoice("who", x="x_train"))
    assert old.target.tolist() == list(range(20))
    new = read([path], ColumnChoice(x="x_train", keep=("who",)), need_target=False)
    assert new.target is None and new.kept["who"].tolist() == list(range(20))
    np.savez(path, anything=X)
    assert read([path], need_target=False).matrix.shape == (20, 3)


def test_structured_arrays_have_names(tmp_path):
    records = np.array([(1, "x", 0.5), (2, "y", 1.5)], [("a", "i4"), ("b", "U3"), ("y", "f8")])
    table = read([write(tmp_path / "t.npy", npy(records))])
    assert list(table.columns) == ["a", "b"] and table.target.tolist() == [0.5, 1.5]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", ["npy", "idx", "npz"])
def test_claims_are_not_believed(tmp_path, pack, form):
    """A header that announces more than there is, or less: refused, and no memory is taken."""
    huge = (2**31, 2**10)
    if form == "idx":
        header = bytes((0, 0, 8, 2)) + struct.pack(">II", *huge)
        longer = idx(np.ones((4, 3), np.uint8)) + b"\1"
    else:
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": huge}
        )
        header, longer = stream.getvalue(), npy(np.ones((4, 3))) + b"\1"
    contents = [header + bytes(100), longer]
    if form == "npz":
        packed = []
        for content in contents:
            with zipfile.ZipFile(archive := io.BytesIO(), "w") as file:
                file.writestr("X.npy", content)
                file.writestr("y.npy", npy(np.ones(4)))
            packed.append(archive.getvalue())
        contents = packed
    for content in contents:
        with pytest.raises(DataError, match=r"expected \d+ bytes for .*; the file is"):
            read([write(tmp_path / "t", pack(content))], need_target=False)


def test_arrays_of_objects_are_not_loaded(tmp_path):
    array = np.array([[1, "x"]], object)
    with pytest.raises(DataError, match="an array of Python's objects"):
        read([write(tmp_path / "t.npy", npy(array))])
    np.savez(tmp_path / "t.npz", X=array, y=[1])
    with pytest.raises(DataError, match=r"array 'X': an array of Python's objects"):
        read([str(tmp_path / "t.npz")])
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file:
        file.writestr("X", "no array")
        file.writestr("y.npy", npy(np.ones(3)))
    with pytest.raises(DataError, match=r"array 'X': cannot be read as NPY"):
        read([str(tmp_path / "t.npz")])


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", ">i4", ">f4", ">f8"])
def test_idx_of_other_elements(tmp_path, dtype):
    codes = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}
    X = np.arange(12).reshape(4, 3).astype(dtype)
    header = bytes((0, 0, codes[dtype], 2)) + struct.pack(">II", 4, 3)
    labels = write(tmp_path / "y", idx(np.array([1, 0, 1, 0], np.uint8)))
    for pack in (bytes, gzip.compress):
        table = read([write(tmp_path / "X", pack(header + X.tobytes())), labels])
        np.testing.assert_array_equal(table.matrix, X)
        assert table.matrix.dtype.isnative


@pytest.mark.parametrize(("most", "scale"), [(1, 1.0), (5, 1 / 255), (200, 1 / 255)])
def test_bytes_that_are_flags(tmp_path, rng, most, scale):
    X = rng.integers(0, most + 1, (60, 8)).astype(np.uint8)
    X[0] = most
    np.savez(tmp_path / "t.npz", X=X, y=np.arange(60.0))
    inputs = fit_inputs(read([str(tmp_path / "t.npz")]))
    again = Inputs.from_description(inputs.describe())
    assert inputs.scale == again.scale == scale and inputs.are_bytes
    assert bool(inputs.notes) == (most < 128)


def test_flags_as_bytes_learn(tmp_path, rng):
    X = rng.integers(0, 2, (400, 6)).astype(np.uint8)
    np.savez(tmp_path / "t.npz", X=X, y=3.0 * (X[:, 0] ^ X[:, 1]) + X[:, 2])
    out = tmp_path / "run"
    flags = ["--task", "regression", "--epochs", 40, "--out", out]
    assert run("train", tmp_path / "t.npz", *flags).exit_code == 0
    assert metrics_in(out)["test"]["r2"] > 0.9
    assert abs(load_model(out).predict(X)[:5] - 3.0 * (X[:5, 0] ^ X[:5, 1]) - X[:5, 2]).max() < 0.6


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1,3 2:0.5\n2 1:1\n", "line 1: several labels, '1,3'; each line needs one label"),
        ("# c\n1 2:0.5\n2,4 1:1\n", "line 3: several labels, '2,4'"),
        (" 1:0.5 2:1\n2 1:1\n", "line 1: no labels before the first pair"),
        ("1 1:2\n1 " + "9" * 5000 + ":1\n", "line 2: index 99999999999999999999; expected"),
        ("1 1:2\n1 4294967297:1\n", "line 2: index 4294967297; expected"),
        ("1 1:2\n1 2:1e999\n", "row 2: column 2: expected finite numbers, got inf"),
        ("1 1:2\n1e999 2:1\n", "row 2: column 'label': expected finite"),
    ],
)
def test_libsvm_that_cannot_be_learned(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        read([write(tmp_path / "t.svm", content)])


def test_libsvm_without_labels_can_be_predicted(tmp_path):
    for content in ("1,3 2:0.5 7:1 # a: b\n\n# 1:2\n2 1:1\n", " 2:0.5 7:1\n1:1 \n"):
        table = read([write(tmp_path / "t.svm", content)], need_target=False)
        assert table.target is None and table.n_rows == 2
        assert table.matrix.toarray()[:, [0, 1, 6]].tolist() == [[0, 0.5, 1], [1, 0, 0]]
    ranked = read([write(tmp_path / "t.svm", "1 qid:3 1:2\n2 qid:3 1:1\n")])
    assert ranked.n_rows == 2 and "qid" in ranked.notes[0]


def test_two_arrays_of_one_name_are_refused(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.ones((4, 2)), y=np.arange(4.0))
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as file:
        assert read([str(tmp_path / "t.npz")]).n_rows == 4
        file.writestr("X", file.read("X.npy"))
    with pytest.raises(DataError, match="two arrays 'X'"):
        read([str(tmp_path / "t.npz")])


@pytest.mark.parametrize("form", ["npz", "npy", "kept"])
def test_texts_that_are_no_characters_are_refused_everywhere(form, tmp_path):
    words = np.array([1, 2, 0x3FF00000, 4], np.uint32).view("<U1")
    y, keep = (np.arange(4), ("words",)) if form == "kept" else (words, ())
    np.savez(tmp_path / "t.npz", X=np.ones((4, 2)), y=y, words=words)
    np.save(tmp_path / "X.npy", np.ones((4, 2)))
    np.save(tmp_path / "y.npy", words)
    paths = ["X.npy", "y.npy"] if form == "npy" else ["t.npz"]
    with pytest.raises(DataError, match="expected text, got numbers that are no characters"):
        read([str(tmp_path / path) for path in paths], ColumnChoice(keep=keep))

# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be read says which file, which line and what to do, in one line."""

import gzip
import io
import random
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")
import pyarrow as pa
from data_files import arrow_table, idx, write, zstd
from pyarrow import feather, parquet

from fastrelu import training
from fastrelu.app.data.readers import read
from fastrelu.training import DataError

MOSTLY = "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,y\n", "expected rows of data after the header line"),
        ("a,y\n1,2\n1\n", "line 3: expected 2 fields, as in the header, got 1"),
        ('a,y\n"1\n\n2",2\n1,2,3\n', "line 5: expected 2 fields"),
        ("a,y\n\n1,2\n\n3\n", "line 5: expected 2 fields"),
        ("a,b,a,y\n1,2,3,4\n", r"'a' twice \(columns 1 and 3\)"),
        ("a\n1\n", "two columns or more"),
        (
            MOSTLY + "oops,1\n",
            "line 22: column 'a': expected a number, .*20 other rows, got 'oops'",
        ),
        (MOSTLY + "1_000,1\n", "line 22: .*--categorical 'a'"),
        (MOSTLY + "inf,1\n", "line 22: column 'a': expected finite numbers, got 'inf'"),
        (MOSTLY + "1e999,1\n", "line 22: column 'a': expected finite numbers"),
        (MOSTLY + "1,nan\n", "line 22: target 'y': expected a number, got 'nan'"),
        (MOSTLY + "1,-inf\n", "line 22: target 'y': expected finite numbers"),
        (MOSTLY + "1,what\n", "line 22: target 'y': expected a number"),
        (MOSTLY.encode() + b"\xe9,1\n", "line 22: not UTF-8 text .byte 0xe9.*iconv"),
        (b"\xe9" + MOSTLY.encode(), "line 1: not UTF-8 text .byte 0xe9"),
        (b"h\xe9\n" + MOSTLY.encode() + b"x,1\n", "line 23: column 'a': expected a number"),
        (b"\xe9" * 300_000 + MOSTLY.encode(), "line 1: not UTF-8 text .byte 0xe9"),
        (MOSTLY.encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        (MOSTLY.encode("utf-32"), "UTF-16|NUL"),
        (MOSTLY.encode() + b"\0,1\n", "NUL"),
        (bytes(range(256)) * 20, "NUL|UTF-8|CSV"),
        ('a,y\n1,"2\n3,4\n', "not CSV"),
        ('a,y\n1,"2"3\n', "line 2: not CSV"),
        ('a,y\n1,2\n3,"' + "x" * 200_000 + "\n", "line 3: not CSV"),
        (",".join(f"c{i}" for i in range(100_001)) + "\n", "100001 columns; CSV is read up to"),
        (gzip.compress(MOSTLY.encode(), mtime=0)[:-9], "gzip data are damaged or cut short"),
        (zstd(MOSTLY.encode() * 2000)[:-9], "zstandard data are damaged or cut short"),
        (b"PK\x03\x04broken", "cannot be read as NPZ"),
        (b"PAR1" + bytes(30), "cannot be read as Parquet"),
        (b"ARROW1\0\0" + bytes(30), "cannot be read as Parquet or Arrow"),
        (b"\x93NUMPY\1\0broken", "cannot be read as NPY"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path, content, says):
    path = write(tmp_path / "t.dat", content)
    with pytest.raises(DataError, match=says) as caught:
        read([path])
    assert str(caught.value).startswith(path) and "\n" not in str(caught.value)


def test_cut_files(tmp_path):
    whole = tmp_path / "whole"
    parquet.write_table(arrow_table(), whole)
    contents = [whole.read_bytes()]
    feather.write_feather(arrow_table(), str(whole))
    contents.append(whole.read_bytes())
    np.savez(str(whole) + ".npz", X=np.ones((50, 3)), y=np.arange(50))
    contents.append((tmp_path / "whole.npz").read_bytes())
    np.save(str(whole) + ".npy", np.ones((50, 3)))
    contents.append((tmp_path / "whole.npy").read_bytes())
    contents.append(idx(np.ones((4, 3), np.uint8)))
    for content in contents:
        for part in (0.3, 0.6, 0.9):
            path = write(tmp_path / "cut", content[: int(part * len(content))])
            with pytest.raises(DataError, match="cut"):
                read([path])


def test_damaged_files(tmp_path):
    """Bytes changed anywhere: a DataError or a table."""
    save = {}
    packed, single = io.BytesIO(), io.BytesIO()
    np.savez(packed, X=np.ones((9, 3)), y=np.arange(9))
    np.save(single, np.ones((9, 3)))
    save["npz"], save["npy"] = packed.getvalue(), single.getvalue()
    save["libsvm"] = b"".join(b"%d 1:%d 3:%f\n" % (i % 2, i, i * i) for i in range(9))
    save["idx"] = idx(np.ones((4, 3), np.uint8)) + idx(np.ones(4, np.uint8))
    for form, content in save.items():
        for number in range(200):
            choose = random.Random(f"{form} {number}")
            changed = bytearray(content)
            for _ in range(choose.choice([1, 1, 3])):
                changed[choose.randrange(min(len(changed), 300))] = choose.randrange(256)
            path = write(tmp_path / "t", bytes(changed))
            try:
                read([path], need_target=choose.random() < 0.5)
            except DataError as error:
                assert str(error).isprintable()


def test_office_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
    with pytest.raises(DataError, match="save the sheet as CSV"):
        read([str(tmp_path / "t.xlsx")])


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(DataError, match="no such file, and not one of the bundled"):
        read([str(tmp_path / "none.csv")])
    with pytest.raises(DataError, match=r"a folder without files of data; .* as in '.*/\*.csv'"):
        read([str(tmp_path)])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "part.parquet").touch()
    with pytest.raises(DataError, match=r"part.parquet: the file is empty"):
        read([str(tmp_path)])
    with pytest.raises(DataError, match="no NUL"):
        read(["a\0b"])
    with pytest.raises(DataError, match="no data"):
        read([])
    with pytest.raises(DataError, match="data set by itself"):
        read(["iris", "x.csv"])


def test_a_header_of_npy_is_read_no_further_than_numpy_takes_it(tmp_path):
    """It was unpacked whole before its length was looked at: 800 MB of a file of 400 kB."""
    header = b"\x93NUMPY\x02\x00" + (50 << 20).to_bytes(4, "little") + b" " * (50 << 20)
    (tmp_path / "rows.npy.gz").write_bytes(gzip.compress(header))
    with zipfile.ZipFile(tmp_path / "rows.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", header)
        archive.writestr("y.npy", header)
    for name in ("rows.npy.gz", "rows.npz"):
        tracemalloc.start()
        with pytest.raises(DataError, match="a header of 52428800 bytes"):
            read([str(tmp_path / name)])
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
        tracemalloc.stop()


def test_columns_that_a_short_file_only_names_take_no_memory(tmp_path):
    """A column of its largest index took 8 bytes for each column before it, then was refused."""
    table = read([write(tmp_path / "t.svm", "1 1:0.5 9999999:1\n0 2:1\n")])
    tracemalloc.start()
    with pytest.raises(DataError, match="9999999 inputs, more than 1000000"):
        training.fit_inputs(table)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20  # it was 80 MB
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "call"),
    [("t.csv", "pyarrow.csv.read_csv"), ("t.csv.zst", "pyarrow.CompressedInputStream")],
)
def test_a_lack_of_memory_is_no_fault_of_the_file(name, call, tmp_path, monkeypatch):
    """pyarrow's MemoryError is one of its own errors as well: the text was "not CSV" by it."""
    pytest.importorskip("click")
    from command_tools import run

    def no_memory(*arguments, **options):
        raise pa.ArrowMemoryError("malloc of size 3952960 failed")

    content = MOSTLY.encode()
    path = write(tmp_path / name, zstd(content) if name.endswith("zst") else content)
    monkeypatch.setattr(call, no_memory)
    with pytest.raises(MemoryError, match="malloc"):
        read([path])
    done = run("train", path, "--epochs", 1)
    assert done.exit_code == 1 and "not enough memory (malloc of size" in done.stderr


class NoMemory:
    """A column, and a writer, of pyarrow's for which there is no memory."""

    type = pa.string()

    def refuse(self, *arguments):
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    cast = write_table = refuse


def test_a_lack_of_memory_is_no_fault_of_what_is_kept():
    pytest.importorskip("click")
    from fastrelu.app.cli import predictions

    writer = predictions.ArrowWriter(io.BytesIO(), "arrow")
    writer._writer, writer._writer_schema = NoMemory(), pa.schema([("id", pa.int64())])
    with pytest.raises(MemoryError, match="malloc"):
        writer.write({"id": np.arange(3)})
    with pytest.raises(MemoryError, match="malloc"):
        predictions._arrow_texts("id", NoMemory())


@pytest.mark.parametrize(
    ("package", "content", "name"),
    [("pyarrow", MOSTLY, "t.csv"), ("duckdb", b"\0" * 8 + b"DUCK" + bytes(90), "t.duckdb")],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_package_that_cannot_be_loaded(package, content, name, there, tmp_path, monkeypatch):
    """It was said to install what is installed, where memory did not suffice to load it."""
    pytest.importorskip(package)

    class Finder:
        def find_spec(self, wanted, path=None, target=None):
            if wanted == package:
                kind = ImportError if there else ModuleNotFoundError
                raise kind("lib.so: failed to map segment from shared object")

    monkeypatch.delitem(sys.modules, package)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    says = r"installed, but cannot be loaded \(lib.so: failed to map" if there else "pip install"
    with pytest.raises(DataError, match=says):
        read([write(tmp_path / name, content)])


def test_encrypted_columns_are_named_so(tmp_path):
    """They were said to be damaged; a file whose footer is encrypted is none of Parquet's."""
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Keys(encryption.KmsClient):
        def wrap_key(self, key, name):
            return key.hex()

        def unwrap_key(self, wrapped, name):
            return bytes.fromhex(wrapped)

    factory = encryption.CryptoFactory(lambda _: Keys())
    table, path = arrow_table(), str(tmp_path / "t.parquet")
    column = table.column_names[0]
    for plain, says in ((True, "are encrypted.*--ignore"), (False, "an encrypted Parquet file")):
        properties = factory.file_encryption_properties(
            encryption.KmsConnectionConfig(),
            encryption.EncryptionConfiguration(
                footer_key="f", column_keys={"k": [column]}, plaintext_footer=plain
            ),
        )
        parquet.write_table(table, path, encryption_properties=properties)
        with pytest.raises(DataError, match=says):
            read([path])


def npy(text):
    """An NPY file of three numbers of 8 bytes with this header."""
    header = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(range(24))


@pytest.mark.parametrize("text", ["-" * 9000 + "1", "~" * 9000 + "1", "not " * 2400 + "1"])
def test_a_header_of_npy_that_python_cannot_parse_is_a_data_error(tmp_path, text):
    """Python's parser raises MemoryError for it."""
    (tmp_path / "rows.npy").write_bytes(npy(text))
    with pytest.raises(DataError, match=r"rows.npy: cannot be read as NPY"):
        read([str(tmp_path / "rows.npy")])


@pytest.mark.parametrize("kind", ["M", "m"])
def test_dates_of_no_unit_are_a_data_error(tmp_path, kind):
    """NumPy lets them be in a file, as 'M8'; they were a KeyError."""
    rows = np.zeros(3, [("a", f"{kind}8"), ("y", "f8")])
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(DataError, match=r"column 'a': expected .*, got .*generic"):
        read([str(tmp_path / "rows.npy")])
    texts = [[*rows["a"][:2], "text"]] if kind == "M" else []
    for mixed in ([*rows["a"][:2], None], *texts):
        with pytest.raises(DataError, match=r"column 'a': expected .*, got .*generic"):
            read({"a": mixed, "y": [1, 2, 3]})

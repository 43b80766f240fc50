# SPDX-License-Identifier: BSD-3-Clause
"""Text files as people's tools leave them are read as they mean, or refused with the line."""

import bz2
import csv
import gzip
import io
import lzma
import random
import re
import zipfile

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from data_files import write, zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv

from fastrelu.app.data.meaning import Reading, ReadOptions
from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.text.dialect import sniff
from fastrelu.app.data.readers.text.records import MalformedError, records, without_padding
from fastrelu.training import DataError

ROWS = [(i / 7, ["red", "blue"][i % 2], i * 3) for i in range(30)]
BODY = "".join(f"{x:.3f},{c},{y}\n" for x, c, y in ROWS)
PLAIN = "x,c,y\n" + BODY
EUROPE = BODY.replace(",", ";").replace(".", ",")
BAR = PLAIN.replace(",", "|").replace(".", ",")
PACKED = {
    "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstandard": zstd,
}  # fmt: skip


def zipped(**files):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def table_of(tmp_path, content, **options):
    path = write(tmp_path / "t.csv", content)
    return read([path], ColumnChoice(options=ReadOptions(**options)))


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (PLAIN, "x c y"),
        ("x;c;y\n" + EUROPE, "x c y"),
        ("Zeit, s;c;Kraft, N\n" + EUROPE, "Zeit, s|c|Kraft, N"),
        ("x\tc\ty\n" + EUROPE.replace(";", "\t"), "x c y"),
        (BAR, "x c y"),
        ("x c y\n" + BODY.replace(",", "   "), "x c y"),
        (BODY, "column 1|column 2|column 3"),
        ("Report of 2024\n\n" + PLAIN, "x c y"),
        ("Report, 2024\nof somebody\n" + PLAIN, "x c y"),
        ("# made by a tool, today\n#\n" + PLAIN, "x c y"),
        ("# x,c,y\n" + BODY, "x c y"),
        (PLAIN + "# the end, really, of it\n", "x c y"),
        (PLAIN + "## the end\n", "x c y"),
        ("sep=;\nx;c;y\n" + EUROPE, "x c y"),
        ("x,c,y,\n" + BODY.replace("\n", ",\n"), "x c y"),
        ("x,c,y\n" + BODY.replace("\n", ",\n"), "x c y"),
        ("x,c,y,\n" + BODY, "x c y"),
        ("# x c y\n" + BODY.replace(",", " "), "x c y"),
        ("# made by a tool\n# x c y\n" + BODY.replace(",", "   "), "x c y"),
        ('"x", "c", "y"\n' + BODY.replace(",", ", "), "x c y"),
        ("x, c, y\n" + BODY.replace("red", ' "red"').replace("blue", '"blue" '), "x c y"),
        ("x, c, y\n" + re.sub("([^,\n]+)", r' "\1" ', BODY), "x c y"),
        ("x; c, d; y\n" + re.sub("([^;\n]+)", r' "\1" ', EUROPE), "x|c, d|y"),
        (PLAIN.replace("red", '"red"').replace("blue", '"blue"'), "x c y"),
        (PLAIN.replace("red", "'red'").replace("blue", "'blue'"), "x c y"),
        (" x , c,y\n" + BODY.replace(",", " , "), "x c y"),
        (PLAIN.replace("\n", "\r\n"), "x c y"),
        (PLAIN.replace("\n", "\r"), "x c y"),
        (PLAIN.replace("\n", "\n\n"), "x c y"),
        ("\ufeff" + PLAIN, "x c y"),
        ("400,401,402\n" + BODY.replace("red", "7.5").replace("blue", "2.5"), "400 401 402"),
        ("c,2019,2020\n" + "".join(f"{c},{x:.3f},{y}\n" for x, c, y in ROWS), "c 2019 2020"),
    ],
)
def test_a_layout_is_told_from_the_rows(tmp_path, content, names):
    table = table_of(tmp_path, content)
    names = names.split("|" if "|" in names else None)
    assert [*table.names, table.target_name] == names and table.n_rows == 30
    number = next(v for v in table.columns.values() if v.dtype.kind == "f")
    np.testing.assert_allclose(number, [x for x, _, _ in ROWS], atol=5e-4)
    assert table.target.tolist() == [y for _, _, y in ROWS]
    texts = [v.tolist() for v in table.columns.values() if v.dtype == object]
    assert not texts or texts == [[c for _, c, _ in ROWS]]


def test_quotes_of_all_sorts(tmp_path):
    lines = '1,"a ""b"", c",2\n3,"two\nlines",4\n5,6" pipe,6\n'
    cells = ['a "b", c', "two\nlines", '6" pipe']
    assert table_of(tmp_path, "x,c,y\n" + lines).columns["c"].tolist() == cells
    escaped = "x,c,y\n" + "".join(f'{i},"a \\"b\\", c",{i}\n' for i in range(5))
    assert table_of(tmp_path, escaped).columns["c"].tolist() == ['a "b", c'] * 5
    single = "x,c,y\n" + "".join(f"{i},'a, b',{i}\n" for i in range(5))
    assert table_of(tmp_path, single).columns["c"].tolist() == ["a, b"] * 5
    labels = '"x","y"\n' + "".join(f'"{i + 1}",{i},{2 * i}\n' for i in range(5))
    table = table_of(tmp_path, labels)
    assert table.columns["x"].tolist() == [0, 1, 2, 3, 4] and "a label" in table.notes[1]


@pytest.mark.parametrize(
    "cells", [['say "hi"', "'single'", "plain"], ["'single'", "'single'", 'say "hi"', "'s'", "a,b"]]
)
@pytest.mark.parametrize("columns", [["c"], ["x", "c"]])
def test_apostrophes_around_a_text_are_its_own_where_others_are_in_quotes(cells, columns, tmp_path):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, "y"])
    writer.writerows([*[i] * (len(columns) - 1), cell, i] for i, cell in enumerate(cells * 5))
    found = table_of(tmp_path, text.getvalue()).columns["c"].tolist()
    assert found == cells * 5
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[cell] for cell in ["c", *cells * 5]])
    dialect = sniff("t.csv", text.getvalue(), True, ReadOptions())
    assert (dialect.separator, dialect.quote) == (",", '"')


def test_what_was_decided_is_said_and_kept(tmp_path):
    table = table_of(tmp_path, "Report of 2024\nx;c;y\n" + EUROPE)
    assert (
        table.reading.line() == 'read as text: semicolon, quote ", decimal comma, names in line 2'
    )
    assert any("the names stand in line 2" in note for note in table.notes)
    back = Reading.from_description(table.reading.describe())
    assert back.columns == table.reading.columns and back.missing == table.reading.missing
    noted = table_of(tmp_path, BODY).notes
    assert any("is data, not names" in note and "--header-line 1" in note for note in noted)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x,c,y\n1,a,2\n1,a\n", "line 3: expected 3 fields, as in the header, got 2"),
        ("x,c,y\n1,a,2\n1,a,2,3\n", "line 3: expected 3 fields, as in the header, got 4"),
        ("x,y\nBob,Ulm,1\nJim,Bonn,2\n", "line 2: expected 2 fields, as in line 1, got 3"),
        ("a,b,c\n1,2,3,4,5\n6,7,8,9,1\n", "line 2: expected 3 fields, as in line 1, got 5"),
        ("x;y\n1,5;2\n2.5;3\n", "line 3: column 'x': got '2.5', and '1,5' in line 2"),
        ("t,y\n01/02/2024,1\n13/02/2024,2\n02/13/2024,3\n", "line 4.*no order of day"),
        (PLAIN + "oops,red,4\n", "line 32: column 'x': expected a number.*--categorical 'x'"),
    ],
)
def test_a_refusal_names_the_line(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        table_of(tmp_path, content)


def test_a_refusal_of_one_column_names_the_line(tmp_path):
    path = write(tmp_path / "t.csv", "x\n1\n2\n3,4\n5\n")
    with pytest.raises(DataError, match="line 4: expected 1 field, as in the header, got 2"):
        read([path], ColumnChoice(options=ReadOptions(separator=",")), need_target=False)


def test_flags_decide_otherwise(tmp_path):
    assert table_of(tmp_path, PLAIN, no_header=False, separator="comma").n_rows == 30
    assert table_of(tmp_path, "1,2\n3,4\n", header_line=1).names == ["1"]
    assert table_of(tmp_path, "x,y\n1,2\n", no_header=True).n_rows == 2
    strange = PLAIN.replace(",", "~")
    assert table_of(tmp_path, strange, separator="~").names == ["x", "c"]
    wide = table_of(tmp_path, "x;y\n1.250;1\n2.500;2\n", decimal=",")
    assert wide.columns["x"].tolist() == [1250, 2500]
    dates = "t,y\n05/03/2024,1\n06/04/2024,2\n"
    for form in ("dmy", "t=dmy", "%d/%m/%Y", "t=%d/%m/%Y"):
        day = table_of(tmp_path, dates, date_format=(form,)).columns["t"]
        assert day[0] == np.datetime64("2024-03-05", "us")
    gone = table_of(tmp_path, "x,y\n1,-999\n2,5\n", na=("-999",))
    assert np.isnan(gone.target[0])
    codes = "z,y\n02139,1\n10001,2\n"
    assert table_of(tmp_path, codes).columns["z"].tolist() == ["02139", "10001"]
    assert table_of(tmp_path, codes, numeric=("z",)).columns["z"].tolist() == [2139, 10001]
    for options in ({"separator": "ab"}, {"quote": "ab"}, {"header_line": 99}):
        with pytest.raises(DataError, match="--"):
            table_of(tmp_path, PLAIN, **options)
    for word, text in (("none", '1,"a,2\n'), ("'", "1,'a',2\n")):
        assert table_of(tmp_path, "x,c,y\n" + text * 3, quote=word).n_rows == 3


@pytest.mark.parametrize("packing", [*PACKED, "zip"])
def test_packed_files(tmp_path, packing):
    if packing == "zip":
        content = zipped(**{"d/t.csv": PLAIN, "__MACOSX/._t.csv": "x"})
    else:
        content = PACKED[packing](PLAIN.encode())
        with pytest.raises(DataError, match=f"{packing} data are damaged or cut short"):
            table_of(tmp_path, content[:-9])
    assert table_of(tmp_path, content).n_rows == 30
    with pytest.raises(DataError, match=r"zip archive of 2 files \(a.csv, b.csv\)"):
        table_of(tmp_path, zipped(**{"a.csv": PLAIN, "b.csv": PLAIN}))


def test_folders_as_tools_leave_them(tmp_path):
    folder = tmp_path / "spark"
    folder.mkdir()
    for name, content in (
        ("part-0.csv", PLAIN), ("part-1.csv", ""), ("part-2.csv", "x,c,y\n"), ("part-3.csv", PLAIN),
        ("_SUCCESS", ""), (".part-0.csv.crc", "crc"), ("part-0.csv.crc", "crc"),
    ):  # fmt: skip
        write(folder / name, content)
    table = read([str(folder)])
    assert table.n_rows == 60 and any("1 empty files" in note for note in table.notes)
    assert read([str(folder / "*")]).n_rows == 60
    with pytest.raises(DataError, match="the file is empty"):
        read([str(folder / "part-1.csv")])


def test_several_files_are_decided_together(tmp_path):
    write(tmp_path / "a.csv", "zip,ok,y\n10001,True,1\n94103,False,2\n")
    write(tmp_path / "b.csv", "ok;y;zip\nTRUE;3;02139\nFALSE;4;10001\n")
    table = read([str(tmp_path / "[ab].csv")], ColumnChoice("ok"))
    assert table.columns["zip"].tolist() == ["10001", "94103", "02139", "10001"]
    assert table.target.tolist() == ["True", "False", "True", "False"]
    write(tmp_path / "c.csv", "zip,ok,y\n10001,True,1\n5,False,x\n7,True,9\n8,True,9\n")
    with pytest.raises(DataError, match=r"c\.csv: line 3: target 'y': expected a number"):
        read([str(tmp_path / "[abc].csv")], ColumnChoice("y"))


def test_a_file_without_rows_is_one_to_predict(tmp_path):
    path = write(tmp_path / "t.csv", "x,c\n")
    choice = ColumnChoice(kinds={"x": "numeric", "c": "text"})
    table = read([path], choice, need_target=False)
    assert table.n_rows == 0 and table.columns["c"].dtype == object
    lone = write(tmp_path / "one.csv", "x\n1\n\n3\n\n\n")
    table = read([lone], ColumnChoice(kinds={"x": "numeric"}), need_target=False)
    np.testing.assert_array_equal(table.columns["x"], [1, np.nan, 3])


def test_as_in_training(tmp_path):
    learned = table_of(tmp_path, "x;when;y\n1,5;05/03/2024;1\n2,5;25/04/2024;2\n").reading
    kinds = {"x": "numeric", "when": "date"}
    path = write(tmp_path / "new.csv", 'when,x\n05/03/2024,"1,250"\n')
    table = read([path], ColumnChoice(kinds=kinds, reading=learned), need_target=False)
    assert table.columns["x"][0] == 1.25
    assert table.columns["when"][0] == np.datetime64("2024-03-05", "us")
    write(tmp_path / "new.csv", 'when,x\n04/25/2024,"1,250"\n')
    with pytest.raises(DataError, match=r"line 2.*day-month-year, as in training, got '04/25"):
        read([path], ColumnChoice(kinds=kinds, reading=learned), need_target=False)


def test_a_column_that_turns_out_to_be_text_is_read_again(tmp_path, monkeypatch):
    from fastrelu.app.data.readers.text.files import TextFiles

    monkeypatch.setattr(TextFiles.gather, "__defaults__", (64, 64))
    content = "z,y\n" + "".join(f"{i + 10},{i}\n" for i in range(50)) + "01,7\n"
    column = table_of(tmp_path, content).columns["z"]
    assert column[0] == "10" and column[-1] == "01" and len(column) == 51


FIELDS = st.text("ab1.,;\"\n\r #'", max_size=6)


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=3), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_records_are_pyarrows(rows):
    """What is quoted as RFC 4180 says has the same fields by records() and by pyarrow."""
    rows = [(row * 2)[:3] for row in rows]
    text = "".join(",".join('"' + f.replace('"', '""') + '"' for f in row) + "\n" for row in rows)
    assert [r.fields for r in records(text, ",")] == rows
    options = {
        "read_options": arrow_csv.ReadOptions(column_names=list("abc")),
        "parse_options": arrow_csv.ParseOptions(newlines_in_values=True),
        "convert_options": arrow_csv.ConvertOptions(
            column_types=dict.fromkeys("abc", pa.string()), strings_can_be_null=False
        ),
    }
    got = arrow_csv.read_csv(io.BytesIO(text.encode()), **options)
    assert [list(row.values()) for row in got.to_pylist()] == rows


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=3), min_size=1, max_size=6), st.randoms())
@settings(max_examples=200, deadline=None)
def test_spaces_around_quotes_are_no_part_of_a_field(rows, choose):
    """Padded records are the same ones without their spaces, to the last byte."""
    rows = [(row * 2)[:3] for row in rows]

    def text(spaces):
        pad = lambda f: spaces() + '"' + f.replace('"', '""') + '"' + spaces()  # noqa: E731
        return "".join(",".join(map(pad, row)) + "\n" for row in rows)

    padded, plain = text(lambda: choose.choice(["", " ", "\t  "])), text(lambda: "")
    assert [r.fields for r in records(padded, ",", padded=True)] == rows
    assert without_padding(padded.encode(), ",", '"', False) == plain.encode()
    bare = '1.5, x ,5" pipe,"a, b"\n'  # spaces of fields without quotes, and quotes inside
    assert without_padding(bare.encode(), ",", '"', False) == bare.encode()


@pytest.mark.parametrize("size", [64, 1 << 20])
def test_padded_rows_in_blocks(tmp_path, monkeypatch, size):
    """Separators, quotes and line ends in padded fields, however the file is cut."""
    monkeypatch.setattr("fastrelu.app.data.readers.text.files.FIRST", size)
    cells = [["a, b", 'say "no"', "two\nlines", "plain"][i % 4] for i in range(400)]
    quoted = [cell.replace('"', '""') for cell in cells]
    lines = "".join(f'{i / 8}, "{cell}" , {i}\n' for i, cell in enumerate(quoted))
    table = table_of(tmp_path, '"x", "c", "y"\n' + lines)
    assert table.columns["c"].tolist() == cells
    assert table.columns["x"].tolist() == [i / 8 for i in range(400)]
    with pytest.raises(DataError, match="line 502: expected 3 fields, as in the header, got 4"):
        table_of(tmp_path, '"x", "c", "y"\n' + lines + '1, "a", 2, 3\n')


def test_records_are_pythons():
    import csv

    choose = random.Random(0)
    for _ in range(3000):
        text = "".join(choose.choice('ab,"\n\r x') for _ in range(choose.randrange(1, 25)))
        try:
            ours = [r.fields for r in records(text, ",")]
        except MalformedError:
            ours = None
        try:
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            theirs = [row or [""] for row in reader]
        except csv.Error:
            theirs = None
        assert ours == theirs, text


@pytest.mark.parametrize("size", [40, 64, 100, 1000])
def test_blocks_of_any_size_give_the_same_rows(tmp_path, monkeypatch, size):
    from fastrelu.app.data.readers.text.files import TextFiles

    content = 'x,c,y\n1,"a\nb",2\n\n3,"c ""d""",4\n5,"",6\r\n7,"e,f",8\n9,g,10'
    whole = table_of(tmp_path, content)
    monkeypatch.setattr(TextFiles.gather, "__defaults__", (size // 8, size // 8))
    parts = table_of(tmp_path, content)
    assert parts.columns["c"].tolist() == whole.columns["c"].tolist()
    assert whole.columns["c"].tolist() == ["a\nb", 'c "d"', "", "e,f", "g"]
    assert parts.target.tolist() == [2, 4, 6, 8, 10]
    for bad, line in ((content + "\n11,h\n", 9), (content + '\n11,"h,12\n', 9)):
        with pytest.raises(DataError, match=f"line {line}"):
            table_of(tmp_path, bad)


@pytest.mark.parametrize("late", ["true", "12,5", "1 250.5", "nan", "oops", "-", "1e400"])
@pytest.mark.parametrize("at", [5, 300, 900])
def test_decimals_parsed_at_once_are_what_their_texts_are(tmp_path, monkeypatch, late, at):
    from fastrelu.app.data.readers.text.files import TextFiles
    from fastrelu.app.data.readers.text.gather import Gathered

    cells = [f"{i / 8}" for i in range(1000)]
    cells[at] = late
    content = "a;b;y\n" + "".join(f"{c};{i / 4};{i}\n" for i, c in enumerate(cells))

    def outcome():
        try:
            table = table_of(tmp_path, content)
        except DataError as error:
            return str(error)
        return {n: v.tolist() for n, v in table.columns.items()}, table.notes

    at_once = outcome()
    monkeypatch.setattr(TextFiles.gather, "__defaults__", (200, 200))
    by_blocks = outcome()
    monkeypatch.setattr(Gathered, "decimals", False)
    assert repr(by_blocks) == repr(at_once) == repr(outcome())

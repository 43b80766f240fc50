# SPDX-License-Identifier: BSD-3-Clause
"""Workbooks of OpenDocument, .xls and .xlsb: what they hold, and what they only claim."""

import gzip
import struct
import zipfile

import pytest
from data_files import write
from workbook_files import (
    NAMES,
    ROWS,
    XLS_CELLS,
    binary_workbook,
    brt_cell,
    brt_row,
    cell,
    number,
    old_workbook,
    open_document,
    record,
    row,
    shared_cell,
    text,
)

from fastrelu.training import DataError

pytest.importorskip("pyarrow")
pytest.importorskip("python_calamine")
from fastrelu import machine
from fastrelu.app.data.readers import excel_parts, read


@pytest.fixture
def ods(tmp_path):
    """A function that writes such a workbook."""
    return lambda *parts, **more: [write(tmp_path / "t.ods", open_document(*parts, **more))]


def test_an_open_document_is_read(ods, tmp_path):
    empty = row("<table:table-cell/>", more=' table:number-rows-repeated="1048555"')
    twice = row(number(7), number(1), more=' table:number-rows-repeated="2"')
    paths = ods(NAMES, *ROWS[:-2], twice, empty)
    assert read(paths).n_rows == 20
    packed = tmp_path / "t.ods.gz"
    packed.write_bytes(gzip.compress((tmp_path / "t.ods").read_bytes()))
    assert read([str(packed)]).n_rows == 20


def test_merged_cells_of_an_open_document_are_told(ods):
    spans = ' table:number-rows-spanned="{}" table:number-columns-spanned="{}"'
    title = row(text("title").replace("cell ", f"cell{spans.format(1, 2)} ", 1))
    one = row(number(7, spans.format(1, 1)), number(0))
    assert not any("merged" in note for note in read(ods(title, NAMES, *ROWS, one)).notes)
    covered = row("<table:covered-table-cell/>", number(1))
    merged = row(number(7, spans.format(3, 1)), number(0))
    table = read(ods(title, NAMES, *ROWS, merged, covered, covered))
    assert any(note.startswith("merged cells: 1, such as A23:A25; only") for note in table.notes)
    assert table.n_rows == 23 and int((table.columns["a"] == table.columns["a"]).sum()) == 21
    with pytest.raises(DataError, match="rows-spanned is '0'; expected a number from 1 on"):
        read(ods(NAMES, *ROWS, row(number(7, spans.format(0, 1)), number(0))))


def test_formulas_of_an_open_document_that_were_never_calculated_are_told(ods):
    formula = '<table:table-cell table:formula="of:={}"{}/>'
    empty = ' office:value-type="string" office:string-value=""'
    done = [
        row(number(1), number(1, ' table:formula="of:=1"')),
        row(formula.format("T()", empty), number(1)),
    ]
    assert not any("formulas" in note for note in read(ods(NAMES, *ROWS, *done)).notes)
    blank = row(number(1), formula.format("1+1", ' table:number-columns-repeated="2"'))
    names = row(text("a"), text("b"), text("y"))
    table = read(ods(names, row(number(1), number(2), number(0)), blank, blank))
    assert any(
        note.startswith("formulas without a value, which count as missing: 4, the first at B3")
        for note in table.notes
    )
    assert table.n_rows == 3


@pytest.mark.parametrize(
    "last, said",
    [
        (row(number(1), number(2), more=' table:number-rows-repeated="9000000000"'), "no sheet"),
        (row(number(1, ' table:number-columns-repeated="9000000000"')), "which no sheet has"),
        (row('<table:table-cell table:number-columns-repeated="99999"/>', number(1)), "no sheet"),
        (row(number(1, ' table:number-columns-repeated="-1"')), "expected a number from 1 on"),
        (row(number(1), number(2), more=' table:number-rows-repeated="0"'), "from 1 on"),
        (row(number(1), number(2), more=' table:number-rows-repeated="1&#xB2;"'), "from 1 on"),
        (row(text('<text:s text:c="9000000000"/>')), "a text of 9000000000 blanks"),
        (row(text("<![CDATA[red]]>"), number(1)), "row 22 is in CDATA, which is left out"),
        ("<table:table-row>", "the XML is damaged"),
    ],
)
def test_what_an_open_document_repeats_is_refused_before_it_is_written_out(ods, last, said):
    with pytest.raises(DataError, match=said):
        read(ods(NAMES, *ROWS, last))


def test_cells_far_away_in_an_open_document(ods, monkeypatch):
    monkeypatch.setattr(excel_parts, "MOST_CELLS", 42)
    assert read(ods(NAMES, *ROWS)).n_rows == 20
    empty = row("<table:table-cell/>", more=' table:number-rows-repeated="5000"')
    with pytest.raises(DataError, match="44 cells are filled, of 5,022 rows and 2 columns"):
        read(ods(NAMES, *ROWS, empty, ROWS[0]))
    wide = row('<table:table-cell table:number-columns-repeated="200"/>', number(1))
    with pytest.raises(DataError, match="43 cells are filled, of 22 rows and 201 columns"):
        read(ods(NAMES, *ROWS, wide))


def test_texts_of_an_open_document_count_as_often_as_they_are_repeated(ods, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 1.5e7)
    long = row(number(1), text("red" * 100_000))
    rows = [row(number(k), text("blue")) for k in range(20)]
    assert read(ods(NAMES, *rows, long)).n_rows == 21
    with pytest.raises(DataError, match="a workbook is read into memory"):
        read(ods(NAMES, *rows, long.replace("row>", 'row table:number-rows-repeated="50">', 1)))


@pytest.fixture
def xls(tmp_path):
    """A function that writes such a workbook."""
    return lambda *parts, **more: [write(tmp_path / "t.xls", old_workbook(*parts, **more))]


def test_an_xls_whose_cells_or_dimensions_are_far_away_is_refused(xls, monkeypatch):
    assert read(xls(*XLS_CELLS)).n_rows == 20
    monkeypatch.setattr(excel_parts, "MOST_CELLS", 42)
    assert read(xls(*XLS_CELLS)).n_rows == 20
    with pytest.raises(DataError, match="43 cells are filled, of 9,001 rows and 2 columns"):
        read(xls(*XLS_CELLS, cell(9000, 1, 5)))
    with pytest.raises(DataError, match="43 cells are filled, of 21 rows and 256 columns"):
        read(xls(*XLS_CELLS, cell(3, 255, 5)))
    many = record(0x00BD, struct.pack("<HHHIH", 3, 999, 0, 0, 999))
    with pytest.raises(DataError, match="43 cells are filled, of 21 rows and 1,000 columns"):
        read(xls(*XLS_CELLS, many))
    with pytest.raises(DataError, match="42 cells are filled, of 9,000 rows and 200 columns"):
        read(xls(*XLS_CELLS, claimed=(9000, 200)))


def test_an_xls_whose_sectors_or_records_are_damaged_is_refused(xls):
    with pytest.raises(DataError, match="its sectors go in a circle"):
        read(xls(*XLS_CELLS, circle=True))
    with pytest.raises(DataError, match="its sectors go in a circle"):
        read(xls(*XLS_CELLS, last=0))
    with pytest.raises(DataError, match="more sectors are claimed than it has"):
        read(xls(*XLS_CELLS, n_fat=1 << 30))
    with pytest.raises(DataError, match="a record is longer than what is there"):
        read(xls(*XLS_CELLS, struct.pack("<HH", 1, 60000)))


def test_shared_texts_of_an_xls_count_as_often_as_cells_have_them(xls, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 1e6)
    # The second text has marks of its format, and a part of two bytes a character in a record of
    # its own; so have the marks.
    texts = record(0x00FC, struct.pack("<II", 9, 2) + struct.pack("<HB", 3, 0) + b"red"
                   + struct.pack("<HBH", 6000, 8, 2) + b"r" * 2000)  # fmt: skip
    texts += record(0x003C, b"\1" + "é".encode("utf-16-le") * 4000 + b"mark")
    texts += record(0x003C, b"mark" + struct.pack("<HB", 4, 0) + b"blue")
    head = [cell(0, 0, "colour"), cell(0, 1, "y")]
    rows = [cell(i, 1, i % 2) + shared_cell(i, 0, 2 * (i % 2)) for i in range(1, 90)]
    table = read(xls(*head, *rows, more=texts))
    assert set(table.columns["colour"]) == {"red", "blue"}
    rows += [shared_cell(i, 0, 1) + cell(i, 1, 1) for i in range(90, 150)]
    with pytest.raises(DataError, match="a workbook is read into memory"):
        read(xls(*head, *rows, more=texts))
    with pytest.raises(DataError, match="a text is longer than what is there"):
        read(xls(*head, more=record(0x00FC, bytes(8) + struct.pack("<HB", 3, 0) + b"re")))


def test_an_xls_with_a_password_says_so(xls):
    with pytest.raises(DataError, match=r"(?i)password"):
        read(xls(*XLS_CELLS, record(0x00BD, bytes(6)), more=record(0x002F, b"\1\0" + bytes(52))))


@pytest.fixture
def xlsb(tmp_path):
    """A function that writes such a workbook."""
    return lambda *parts, **more: [write(tmp_path / "t.xlsb", binary_workbook(*parts, **more))]


@pytest.mark.parametrize("piece", [1 << 20, 30])
def test_an_xlsb_whose_cells_are_far_away_is_refused(xlsb, monkeypatch, piece):
    monkeypatch.setattr(excel_parts, "PIECE", piece)
    assert read(xlsb()).n_rows == 20
    monkeypatch.setattr(excel_parts, "MOST_CELLS", 42)
    assert read(xlsb()).n_rows == 20
    with pytest.raises(DataError, match="43 cells are filled, of 9,001 rows and 2 columns"):
        read(xlsb(brt_row(9000), brt_cell(0, 5)))
    with pytest.raises(DataError, match="43 cells are filled, of 22 rows and 1,000 columns"):
        read(xlsb(brt_row(21), brt_cell(999, 5)))


@pytest.mark.parametrize(
    "records, said",
    [
        ([brt_row(1 << 21), brt_cell(0, 5)], "2,097,153 is no row of a sheet"),
        ([brt_row(20), brt_cell(0, 5)], "row 21 stands behind row 21"),
        ([brt_row(21), brt_cell(1 << 20, 5)], "a cell of row 22 stands where no cell can stand"),
        ([brt_row(21), brt_cell(0, 5), brt_cell(0, 6)], "a cell of row 22 stands where no cell"),
        ([b"\x25\xff\xff\xff\x7f"], "a record is longer than what is there"),
    ],
)
def test_an_xlsb_that_says_what_no_sheet_has_is_refused(xlsb, records, said):
    with pytest.raises(DataError, match=said):
        read(xlsb(*records))


def test_a_record_of_an_xlsb_that_claims_a_length_is_refused(xlsb):
    with pytest.raises(DataError, match=r"workbook\.bin: a record is longer"):
        read(xlsb(about=b"\x25\xff\xff\xff\x7f"))


def test_shared_texts_of_an_xlsb_count_as_often_as_cells_have_them(xlsb, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 1e6)
    long = "red" * 2000
    assert read(xlsb(first=long)).n_rows == 20
    cells = [brt_row(i) + brt_cell(0, "a") + brt_cell(1, 1.0) for i in range(21, 90)]
    with pytest.raises(DataError, match="a workbook is read into memory"):
        read(xlsb(*cells, first=long))


def test_an_xls_of_dimensions_that_end_before_they_begin(xls):
    for first, last in ((1 << 24, 21), (5, 4)):
        size = struct.pack("<IIHHH", first, last, 0, 2, 0)
        with pytest.raises(DataError, match=r"cells are filled, of 4,\d+,\d+,\d+ rows"):
            read(xls(record(0x0200, size), *XLS_CELLS))


def test_an_xls_that_ends_as_an_archive_is_looked_at_as_both(tmp_path):
    path = tmp_path / "t.xls"
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
    path.write_bytes(old_workbook(*XLS_CELLS, last=0) + (tmp_path / "t.zip").read_bytes())
    with pytest.raises(DataError):
        read([str(path)])

# SPDX-License-Identifier: BSD-3-Clause
"""Workbooks of OpenDocument, .xls and .xlsb: what they hold, and what they only claim."""

import gzip
import struct
import zipfile

import pytest

from fastrelu.training import DataError

pytest.importorskip("pyarrow")
pytest.importorskip("python_calamine")
from fastrelu import machine
from fastrelu.app.data.readers import excel_parts, read

SPREADSHEET = "application/vnd.oasis.opendocument.spreadsheet"
URN = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = " ".join(f'xmlns:{k}="{URN}:{k}:1.0"' for k in ("office", "table", "text"))


def text(value):
    """A cell of OpenDocument with a text."""
    return (
        f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
    )


def number(value, more=""):
    """A cell of OpenDocument with a number."""
    return f'<table:table-cell office:value-type="float" office:value="{value}"{more}/>'


def row(*cells, more=""):
    """A row of OpenDocument."""
    return f"<table:table-row{more}>{''.join(cells)}</table:table-row>"


NAMES = row(text("a"), text("y"))
ROWS = [row(number(k), number(k % 2)) for k in range(20)]


@pytest.fixture
def ods(tmp_path):
    """A function that writes an .ods with such rows."""

    def write(*rows):
        content = (
            f'<?xml version="1.0"?><office:document-content {SPACES}><office:body>'
            f'<office:spreadsheet><table:table table:name="S">{"".join(rows)}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>"
        )
        manifest = f'<m:manifest xmlns:m="{URN}:manifest:1.0"/>'
        with zipfile.ZipFile(tmp_path / "t.ods", "w") as file:
            file.writestr("mimetype", SPREADSHEET)
            file.writestr("content.xml", content)
            file.writestr("styles.xml", f"<office:document-styles {SPACES}/>")
            file.writestr("META-INF/manifest.xml", manifest)
        return [str(tmp_path / "t.ods")]

    return write


def test_an_open_document_is_read(ods, tmp_path):
    empty = row("<table:table-cell/>", more=' table:number-rows-repeated="1048555"')
    twice = row(number(7), number(1), more=' table:number-rows-repeated="2"')
    paths = ods(NAMES, *ROWS[:-2], twice, empty)
    assert read(paths).n_rows == 20
    packed = tmp_path / "t.ods.gz"
    packed.write_bytes(gzip.compress((tmp_path / "t.ods").read_bytes()))
    assert read([str(packed)]).n_rows == 20


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


# .xls: sectors of 512 bytes; the last two are the directory and the table of sectors


def record(kind, data=b""):
    """A record of an .xls."""
    return struct.pack("<HH", kind, len(data)) + data


def cell(i, j, value):
    """A number in a cell, or a short text."""
    if isinstance(value, str):
        data = struct.pack("<HHHHB", i, j, 0, len(value), 0) + value.encode()
        return record(0x0204, data)
    return record(0x0203, struct.pack("<HHHd", i, j, 0, value))


@pytest.fixture
def xls(tmp_path):
    """A function that writes an .xls with such records in its sheet, and other sectors."""

    def write(*cells, claimed=(21, 2), circle=False, n_fat=1):
        begin = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0))
        size = struct.pack("<IIHHH", 0, claimed[0], 0, claimed[1], 0)
        sheet = begin + record(0x0200, size) + b"".join(cells) + record(0x000A)
        name = struct.pack("<BB", 1, 0) + b"S"
        length = len(begin) + len(record(0x0085, bytes(6) + name)) + 4
        bound = record(0x0085, struct.pack("<IBB", length, 0, 0) + name)
        stream = (begin + bound + record(0x000A) + sheet).ljust(4096, b"\0")
        n = -(-len(stream) // 512)
        stream = stream.ljust(512 * n, b"\0")

        def entry(name, kind, start, length):
            named = (name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0")
            head = named + struct.pack("<HBB", 2 * len(name) + 2, kind, 1)
            return head.ljust(116, b"\xff") + struct.pack("<III", start, length, 0)

        end = 0xFFFFFFFE
        directory = entry("Root Entry", 5, end, 0) + entry("Workbook", 2, 0, len(stream))
        table = [*range(1, n), end, n if circle else end, 0xFFFFFFFD]
        table += [0xFFFFFFFF] * (128 - len(table))
        head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
        head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
        head += struct.pack("<IIIIIIIIII", 0, n_fat, n, 0, 4096, end, 0, end, 0, n + 1)
        content = head.ljust(512, b"\xff") + stream + directory.ljust(512, b"\0")
        (tmp_path / "t.xls").write_bytes(content + struct.pack("<128I", *table))
        return [str(tmp_path / "t.xls")]

    return write


GRID = [("a", "y"), *((k, k % 2) for k in range(20))]
XLS_CELLS = [cell(i, j, value) for i, pair in enumerate(GRID) for j, value in enumerate(pair)]


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
    with pytest.raises(DataError, match="its sectors go in a circle or outside of the file"):
        read(xls(*XLS_CELLS, circle=True))
    with pytest.raises(DataError, match="more sectors are claimed than it has"):
        read(xls(*XLS_CELLS, n_fat=1 << 30))
    with pytest.raises(DataError, match="a record is longer than what is there"):
        read(xls(*XLS_CELLS, struct.pack("<HH", 1, 60000)))


# .xlsb: an archive of records


def brt(kind, data=b""):
    """A record of an .xlsb."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
    return head + bytes([len(data) & 127 | 128, len(data) >> 7]) + data


def wide(value):
    """A text of an .xlsb."""
    return struct.pack("<I", len(value)) + value.encode("utf-16-le")


def brt_cell(j, value):
    """A cell of an .xlsb: a number, or the place of a shared text."""
    if isinstance(value, str):
        return brt(7, struct.pack("<III", j, 0, "ay".index(value)))
    return brt(5, struct.pack("<IId", j, 0, value))


def brt_row(i):
    """The begin of a row of an .xlsb."""
    return brt(0, struct.pack("<I", i) + bytes(13))


@pytest.fixture
def xlsb(tmp_path):
    """A function that writes an .xlsb with such records among its cells."""

    def write(*records, first="a"):
        namespace = "http://schemas.openxmlformats.org/package/2006/relationships"
        relations = (
            f'<Relationships xmlns="{namespace}"><Relationship Id="s" '
            'Target="worksheets/sheet1.bin"/></Relationships>'
        )
        bundle = struct.pack("<II", 0, 1) + wide("s") + wide("S")
        book = brt(0x0099, bytes(12)) + brt(0x009C, bundle) + brt(0x0090) + brt(0x009D, bytes(4))
        texts = brt(0x009F, struct.pack("<II", 2, 2))
        texts += brt(0x13, b"\0" + wide(first)) + brt(0x13, b"\0" + wide("y"))
        rows = [brt_row(i) + b"".join(map(brt_cell, (0, 1), pair)) for i, pair in enumerate(GRID)]
        sheet = brt(0x81) + brt(0x94, struct.pack("<IIII", 0, 20, 0, 1)) + brt(0x91)
        sheet += b"".join(rows) + b"".join(records) + brt(0x92)
        with zipfile.ZipFile(tmp_path / "t.xlsb", "w") as file:
            file.writestr("[Content_Types].xml", "<Types/>")
            file.writestr("xl/_rels/workbook.bin.rels", relations)
            file.writestr("xl/workbook.bin", book)
            file.writestr("xl/sharedStrings.bin", texts)
            file.writestr("xl/worksheets/sheet1.bin", sheet)
        return [str(tmp_path / "t.xlsb")]

    return write


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


def test_shared_texts_of_an_xlsb_count_as_often_as_cells_have_them(xlsb, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 1e6)
    long = "red" * 2000
    assert read(xlsb(first=long)).n_rows == 20
    cells = [brt_row(i) + brt_cell(0, "a") + brt_cell(1, 1.0) for i in range(21, 90)]
    with pytest.raises(DataError, match="a workbook is read into memory"):
        read(xlsb(*cells, first=long))

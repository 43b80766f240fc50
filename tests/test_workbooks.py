# SPDX-License-Identifier: BSD-3-Clause
"""Workbooks that would take much more memory than what stands in them."""

import gzip
import zipfile

import pytest

from fastrelu.training import DataError

pytest.importorskip("pyarrow")
from fastrelu import machine
from fastrelu.app.data.readers import read


def test_a_sheet_with_a_cell_far_away_is_refused_before_there_is_room_for_all(
    tmp_path, monkeypatch
):
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    from fastrelu.app.data.readers import excel_parts

    def saved(name, far):
        book = openpyxl.Workbook()
        sheet = book.active
        for row in (["a", "b"], *([k, k * k] for k in range(20))):
            sheet.append(row)
        if far:
            sheet["AZ90"] = far
        sheet["ZZ900"].number_format = "0.00"  # nothing stands there
        book.save(tmp_path / name)
        return str(tmp_path / name)

    near, far = saved("near.xlsx", None), saved("far.xlsx", 1)
    monkeypatch.setattr(excel_parts, "PIECE", 100)
    monkeypatch.setattr(excel_parts, "MOST_CELLS", 42)
    assert read([near]).n_rows == 20
    with pytest.raises(DataError, match="43 cells are filled, of 90 rows and 52 columns"):
        read([far])
    packed = tmp_path / "far.xlsx.gz"
    packed.write_bytes(gzip.compress((tmp_path / "far.xlsx").read_bytes()))
    with pytest.raises(DataError, match="43 cells are filled"):
        read([str(packed)])


def test_a_cell_that_no_sheet_has_is_refused(tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    from fastrelu.app.data.readers import excel_parts

    book = openpyxl.Workbook()
    for row in (["a", "b", "c"], [1, 2, 3], [4, 5, 6]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert read([str(tmp_path / "t.xlsx")]).n_rows == 2
    monkeypatch.setattr(excel_parts, "MOST_COLUMNS", 2)
    with pytest.raises(DataError, match="'C1' is no cell or row of a sheet"):
        read([str(tmp_path / "t.xlsx")])
    monkeypatch.setattr(excel_parts, "MOST_COLUMNS", 3)
    monkeypatch.setattr(excel_parts, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="'3' is no cell or row of a sheet"):
        read([str(tmp_path / "t.xlsx")])


SHEET = "worksheets/sheet1.xml"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{OFFICE}"'
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="w" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook {MAIN}><sheets><sheet name="S" sheetId="1" r:id="s"/></sheets>'
    "</workbook>",
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="s" Type="{OFFICE}/worksheet" Target="{SHEET}"/>'
    f'<Relationship Id="t" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    "</Relationships>",
    "xl/sharedStrings.xml": f'<sst {MAIN} uniqueCount="3"><si><t>a</t></si><si><t>y</t></si>'
    "<si><t>red</t></si></sst>",
    f"xl/{SHEET}": f"<worksheet {MAIN}><sheetData>"
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    '<row r="2"><c r="A2"><v>7</v></c><c r="B2"><v>1</v></c></row>'
    '<row r="3"><c r="A3"><v>8</v></c><c r="B3"><v>0</v></c></row>'
    '<row r="4"><c r="A4"><v>9</v></c><c r="B4"><v>1</v></c></row>'
    "</sheetData></worksheet>",
}


@pytest.fixture
def changed(tmp_path):
    """A function that writes a workbook with some of its parts' text replaced."""
    pytest.importorskip("python_calamine")

    def write(*changes):
        with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as file:
            for old, _ in changes:
                assert any(old in name + text for name, text in PARTS.items()), old
            for name, text in PARTS.items():
                for old, new in changes:
                    name, text = name.replace(old, new), text.replace(old, new)
                file.writestr(name, text)
        return [str(tmp_path / "t.xlsx")]

    return write


@pytest.mark.parametrize(
    "changes",
    [
        ((SHEET, "other/part"), (' r="B4"', ' r="XFD4"')),
        ((' r="B4"', ' r = "XFD4"'),),
        ((' r="B4"', " r='XFD4'"),),
        ((' r="A4"', ' r="XFC4"'), (' r="B4"', "")),
        (("<c r", "<x-y:c r"), ("</c>", "</x-y:c>"), (' r="B4"', ' r="XFD4"')),
    ],
)
def test_cells_far_away_are_found_however_they_are_written(changes, changed, monkeypatch):
    from fastrelu.app.data.readers import excel_parts

    paths = changed(*changes)
    monkeypatch.setattr(excel_parts, "MOST_CELLS", 7)
    with pytest.raises(DataError, match="cells are filled, of"):
        read(paths)


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('<row r="3"', '<row r="2"', "row 2 stands behind row 2"),
        ('r="B3"', 'r="A3"', "cell A3 stands twice"),
        ('r="B3"', 'r="B2"', "cell B2 stands in row 3"),
        ("<v>7</v>", "<v>7</v><v>8</v>", "cell A2 has two values"),
        ("<v>7</v>", "<v>7</v><f>3+4</f>", "cell A2 has its formula behind its value"),
        ("<v>7</v>", "<v><![CDATA[7]]></v>", "cell A2 is broken by a comment or CDATA"),
        ("<v>7</v>", "<v>7<!-- -->1</v>", "cell A2 is broken by a comment or CDATA"),
        ("<v>7</v>", "<v>&#55;</v>", "references to its characters"),
        ("<v>7</v>", "<v>1.&#x35;e1</v>", "references to its characters"),
        ("</sheetData>", "</sheetData><sheetData></sheetData>", "two tables of cells"),
        ("</sheetData>", "", "the XML is damaged"),
        (
            'uniqueCount="3"',
            'uniqueCount="1100000"',
            "1,100,000 texts are claimed, and 3 are there",
        ),
    ],
)
def test_a_sheet_that_says_two_things_is_refused(old, new, said, changed):
    assert read(changed()).n_rows == 3
    with pytest.raises(DataError, match=said):
        read(changed((old, new)))


def test_formulas_that_were_never_calculated_are_told(changed):
    table = read(changed(("<v>7</v>", "<f>3+4</f><v></v>")))
    assert not any("formulas" in note for note in table.notes)
    table = read(changed(("<v>7</v>", "<f>3+4</f>")))
    assert any(
        note.startswith("formulas without a value, which count as missing: 1, the first at A2")
        for note in table.notes
    )


def test_merged_cells_are_told(changed):
    def notes(*places):
        merged = "".join(f'<mergeCell ref="{place}"/>' for place in places)
        more = f"</sheetData><mergeCells>{merged}</mergeCells>"
        return [note for note in read(changed(("</sheetData>", more))).notes if "merged" in note]

    assert notes("K1:L9") == []  # beside the table
    (note,) = notes("K1:L9", "A3:A4", "A1:B1")
    assert note.startswith("merged cells: 2, such as A3:A4; only the first of each has a value")


def test_shared_texts_count_as_often_as_cells_have_them(changed, monkeypatch):
    long = ("<t>red</t>", f"<t>{'red' * 700_000}</t>")
    monkeypatch.setattr(machine, "memory", lambda: 1.5e7)
    assert read(changed(long)).n_rows == 3
    texts = [(f"<c r={p}><v>{k}</v>", f'<c r={p} t="s"><v>2</v>')
             for p, k in (('"A2"', 7), ('"A3"', 8), ('"A4"', 9))]  # fmt: skip
    assert read(changed(*texts)).n_rows == 3
    with pytest.raises(DataError, match="a workbook is read into memory"):
        read(changed(long, *texts))

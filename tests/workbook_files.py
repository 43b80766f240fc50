# SPDX-License-Identifier: BSD-3-Clause
"""Small workbooks of OpenDocument, .xls and .xlsb, byte by byte: also those that claim too much."""

import io
import struct
import zipfile

SPREADSHEET = "application/vnd.oasis.opendocument.spreadsheet"
URN = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = " ".join(f'xmlns:{k}="{URN}:{k}:1.0"' for k in ("office", "table", "text"))
GRID = [("a", "y"), *((k, k % 2) for k in range(20))]


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


def open_document(*rows):
    """Return an .ods with such rows."""
    made = io.BytesIO()
    content = (
        f'<?xml version="1.0"?><office:document-content {SPACES}><office:body>'
        f'<office:spreadsheet><table:table table:name="S">{"".join(rows)}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    manifest = f'<m:manifest xmlns:m="{URN}:manifest:1.0"/>'
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("mimetype", SPREADSHEET)
        file.writestr("content.xml", content)
        file.writestr("styles.xml", f"<office:document-styles {SPACES}/>")
        file.writestr("META-INF/manifest.xml", manifest)
    return made.getvalue()


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


XLS_CELLS = [cell(i, j, value) for i, pair in enumerate(GRID) for j, value in enumerate(pair)]


def shared_cell(i, j, number):
    """A cell of an .xls that refers to a shared text."""
    return record(0x00FD, struct.pack("<HHHI", i, j, 0, number))


def old_workbook(*cells, claimed=(21, 2), circle=False, last=0xFFFFFFFE, n_fat=1, more=b""):
    """Return an .xls with such records in its sheet, and `more` before it.

    `last`: what follows its last sector.
    """
    begin = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0))
    size = struct.pack("<IIHHH", 0, claimed[0], 0, claimed[1], 0)
    sheet = begin + record(0x0200, size) + b"".join(cells) + record(0x000A)
    name = struct.pack("<BB", 1, 0) + b"S"
    length = len(begin) + len(record(0x0085, bytes(6) + name)) + len(more) + 4
    bound = record(0x0085, struct.pack("<IBB", length, 0, 0) + name)
    stream = (begin + bound + more + record(0x000A) + sheet).ljust(4096, b"\0")
    n = -(-len(stream) // 512)
    stream = stream.ljust(512 * n, b"\0")

    def entry(name, kind, start, length):
        named = (name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0")
        head = named + struct.pack("<HBB", 2 * len(name) + 2, kind, 1)
        return head.ljust(116, b"\xff") + struct.pack("<III", start, length, 0)

    end = 0xFFFFFFFE
    directory = entry("Root Entry", 5, end, 0) + entry("Workbook", 2, 0, len(stream))
    table = [*range(1, n), last, n if circle else end, 0xFFFFFFFD]
    table += [0xFFFFFFFF] * (128 - len(table))
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIIII", 0, n_fat, n, 0, 4096, end, 0, end, 0, n + 1)
    content = head.ljust(512, b"\xff") + stream + directory.ljust(512, b"\0")
    return content + struct.pack("<128I", *table)


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


def binary_workbook(*records, first="a", about=b""):
    """Return an .xlsb with such records among its cells; `about`: more of the workbook's own."""
    made = io.BytesIO()
    namespace = "http://schemas.openxmlformats.org/package/2006/relationships"
    relations = (
        f'<Relationships xmlns="{namespace}"><Relationship Id="s" '
        'Target="worksheets/sheet1.bin"/></Relationships>'
    )
    bundle = struct.pack("<II", 0, 1) + wide("s") + wide("S")
    book = brt(0x0099, bytes(12)) + brt(0x009C, bundle) + brt(0x0090) + brt(0x009D, bytes(4))
    book += about
    texts = brt(0x009F, struct.pack("<II", 2, 2))
    texts += brt(0x13, b"\0" + wide(first)) + brt(0x13, b"\0" + wide("y"))
    rows = [brt_row(i) + b"".join(map(brt_cell, (0, 1), pair)) for i, pair in enumerate(GRID)]
    sheet = brt(0x81) + brt(0x94, struct.pack("<IIII", 0, 20, 0, 1)) + brt(0x91)
    sheet += b"".join(rows) + b"".join(records) + brt(0x92)
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("xl/_rels/workbook.bin.rels", relations)
        file.writestr("xl/workbook.bin", book)
        file.writestr("xl/sharedStrings.bin", texts)
        file.writestr("xl/worksheets/sheet1.bin", sheet)
    return made.getvalue()

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# python-calamine reads the numbers of a workbook's cells otherwise than XML says them.
#
# Expected: XML gives one text to <v>12</v>, <v>1<!-- c -->2</v>, <v><![CDATA[12]]></v> and <v>&#49;2</v>, so a
#   reader of .xlsx sees the number 12 in each; openpyxl does.
# Seen (python-calamine 0.9.1): 12, 1.0, an empty cell and an empty cell, without an error.
# Why: it takes the first piece of text that its XML parser hands over; CDATA and references are other pieces.
# What it means: no common writer makes such cells, but tools that change XML may, and a number that is cut off
#   looks as good as any. fastrelu looks at the parts of a workbook itself and refuses such cells
#   (docs/training-sources.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q python-calamine==0.9.1 openpyxl==3.1.5
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import zipfile

import openpyxl
import python_calamine

book, plain = openpyxl.Workbook(), io.BytesIO()
book.active.append([12])
book.save(plain)


def changed(written):
    made = io.BytesIO()
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<v>12</v>", written))
    return made.getvalue()


seen = {}
for written in (b"<v>12</v>", b"<v>1<!-- c -->2</v>", b"<v><![CDATA[12]]></v>", b"<v>&#49;2</v>"):
    data = changed(written)
    sheet = python_calamine.CalamineWorkbook.from_object(io.BytesIO(data)).get_sheet_by_index(0)
    (seen[written],) = [row[0] for row in sheet.to_python()] or [""]
    other = openpyxl.load_workbook(io.BytesIO(data)).active["A1"].value
    print(written.decode(), "- expected 12, openpyxl", other, "- seen:", repr(seen[written]))
    assert other == 12
assert list(seen.values()) == [12.0, 1.0, "", ""], "changed"
PYTHON
echo "as described"

# SPDX-License-Identifier: BSD-3-Clause
"""Workbooks that would take much more memory than what stands in them."""

import gzip

import pytest

from fastrelu.training import DataError

pytest.importorskip("pyarrow")
from fastrelu.app.data.readers import read


def test_a_sheet_with_a_cell_far_away_is_refused_before_there_is_room_for_all(
    tmp_path, monkeypatch
):
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    from fastrelu.app.data.readers import excel

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
    monkeypatch.setattr(excel, "PIECE", 100)
    monkeypatch.setattr(excel, "MOST_CELLS", 42)
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
    from fastrelu.app.data.readers import excel

    book = openpyxl.Workbook()
    for row in (["a", "b", "c"], [1, 2, 3], [4, 5, 6]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert read([str(tmp_path / "t.xlsx")]).n_rows == 2
    monkeypatch.setattr(excel, "MOST_COLUMNS", 2)
    with pytest.raises(DataError, match="'C1' is no cell or row of a sheet"):
        read([str(tmp_path / "t.xlsx")])
    monkeypatch.setattr(excel, "MOST_COLUMNS", 3)
    monkeypatch.setattr(excel, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="'3' is no cell or row of a sheet"):
        read([str(tmp_path / "t.xlsx")])

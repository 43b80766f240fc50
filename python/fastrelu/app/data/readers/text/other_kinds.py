# SPDX-License-Identifier: BSD-3-Clause
"""Files that are no table of fields, though they might pass for one; and what reads them."""

from __future__ import annotations

import re

from fastrelu.app.errors import DataError

AS_PARQUET = "save the table as CSV or Parquet"
# How a file begins, and what it is.
KINDS = [
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), what)
    for pattern, what in (
        (
            rb"\s*(?:\{\s*\"|\[\s*[\[{])",
            "JSON; DuckDB reads it: --sql \"SELECT * FROM read_json('{path}')\" (extra sql)",
        ),
        (
            rb"\s*<(?:!doctype|html|\?xml|table|[a-z]+ xmlns)",
            "a page of HTML or XML, not a table of fields; save the table as CSV",
        ),
        (
            rb"\s*(?:%[^\n]*\n\s*)*@relation\s",
            "an ARFF file; scipy.io.arff.loadarff reads it: save the records as CSV or Parquet",
        ),
        (rb"%PDF-", "a PDF document, not a table of fields"),
        (
            rb"version https://git-lfs\.github\.com/",
            "a pointer of Git LFS, not the data: git lfs pull fetches them",
        ),
        (rb"\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "packed twice; unpack it once"),
        (rb".{257}ustar", "a tar archive; unpack it, and name its files"),
        (
            rb"\x04\"M\x18|\]\0\0[\x80\0]|7z\xbc\xaf|Rar!\x1a|\x1f\x9d|\xff\x06\0\0sNaPpY",
            "packed in a way that is not read; unpack it, or pack it by gzip, zstandard, bzip2, xz "
            "or zip",
        ),
        (rb"\x89HDF\r\n", f"an HDF5 file; pandas.read_hdf or h5py reads it: {AS_PARQUET}"),
        (
            rb"MATLAB [57]",
            "a file of MATLAB; scipy.io.loadmat reads it: save its arrays by numpy.savez",
        ),
        (rb"<stata_dta>", f"a file of Stata; pandas.read_stata reads it: {AS_PARQUET}"),
        (rb"\$FL[23]@\(#\)", f"a file of SPSS; pandas.read_spss reads it: {AS_PARQUET}"),
        (rb"\0{12}\xc2\xea\x81\x60", f"a file of SAS; pandas.read_sas reads it: {AS_PARQUET}"),
        (
            rb"PARE.{3}\0",  # the size of what comes first; a column of a text may be called so
            "an encrypted Parquet file, which is not read; pyarrow.parquet.read_table with its "
            f"keys reads it: {AS_PARQUET}",
        ),
        (rb"ORC[^ -~\s]", f"an ORC file; pyarrow.orc.read_table reads it: {AS_PARQUET}"),
        (rb"Obj\x01", f"an Avro file, which is not read; {AS_PARQUET}"),
        (rb"\x80[\x02-\x05]", f"a pickle, which need not be safe to load; {AS_PARQUET}"),
    )
]


def refuse_other_kinds(path: str, head: bytes) -> None:
    """Raise DataError, which says what reads it, for a file that is no table of fields."""
    for pattern, what in KINDS:
        if pattern.match(head):
            raise DataError(f"{path}: {what.format(path=path)}")

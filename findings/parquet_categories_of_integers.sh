#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A pandas column of categories that are integers comes back from Parquet as plain integers.
#
# Expected: a frame that is written by to_parquet and read by read_parquet, both by pandas with pyarrow, has the
#   columns that it had; categories of text do, and the Arrow schema that is stored in the file says
#   dictionary<int64> for those of integers.
# Seen (pandas 3.1.1, pyarrow 26.0.1): the column is int64, in pandas and in pyarrow.parquet.read_table alike,
#   without a warning. Postal codes or classes become amounts that a model adds and multiplies.
# Why: pyarrow restores a dictionary type from the stored schema for byte strings and texts alone.
# What it means: fastrelu reads the stored schema too, and takes such a column for categories
#   (docs/training-sources.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pandas==3.1.1 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import base64

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

frame = pd.DataFrame({"code": pd.Categorical([10, 20, 10]), "text": pd.Categorical(["a", "b", "a"])})
frame.to_parquet("frame.parquet")
stored = pq.ParquetFile("frame.parquet").metadata.metadata[b"ARROW:schema"]
schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
back = pd.read_parquet("frame.parquet")
print("pandas", pd.__version__, "pyarrow", pa.__version__)
print("written:", dict(frame.dtypes.astype(str)), "- expected back: the same")
print("stored in the file:", schema.field("code").type)
print("seen:", dict(back.dtypes.astype(str)), pq.read_table("frame.parquet").schema.field("code").type)
assert pa.types.is_dictionary(schema.field("code").type), "changed: the file no longer says it"
assert str(back["text"].dtype) == "category"
assert str(back["code"].dtype) == "int64", "changed: categories of integers come back"
PYTHON
echo "as described"

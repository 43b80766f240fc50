#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# DuckDB hands times with a zone and infinite timestamps to Arrow as other values.
#
# Expected: a value that Arrow has no type for raises an error on its way, or comes as text; the same relation's
#   fetchall() gives times with their zones and says that a timestamp is infinite.
# Seen (duckdb 2.0.1, pyarrow 26.0.1): TIME WITH TIME ZONE comes as time64 without a zone, so that 10:00+01 and
#   10:00+05 are equal; 'infinity'::TIMESTAMP comes as the greatest int64, a date in the year 294247.
# Why: Arrow's time64 has no zone, and its timestamps no infinity; the export passes the numbers inside on.
# What it means: fastrelu asks DuckDB for such times in UTC, and refuses infinity (docs/training-sources.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q duckdb==2.0.1 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import pyarrow as pa

print("duckdb", duckdb.__version__, "pyarrow", pa.__version__)
query = "SELECT * FROM (VALUES (1, TIMETZ '10:00:00+01'), (2, TIMETZ '10:00:00+05')) t(id, time) ORDER BY id"
rows = [str(time) for _, time in duckdb.sql(query).fetchall()]
times = duckdb.sql(query).to_arrow_table().column("time")
print("times by fetchall:", rows, "- by Arrow:", times.type, times.to_pylist())
assert rows[0] != rows[1]
assert pa.types.is_time64(times.type) and times[0] == times[1], "changed: the zone is there"

endless = duckdb.sql("SELECT 'infinity'::TIMESTAMP AS moment").to_arrow_table().column("moment")
number = endless.cast(pa.int64())[0].as_py()
print("infinity by Arrow:", endless.type, number)
assert number == 2**63 - 1, "changed: infinity is told apart"
PYTHON
echo "as described"

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# NumPy converts the earliest dates in nanoseconds to the latest ones in coarser units, as arrays alone.
#
# Expected: 1677-09-21T00:12:43.145224193, the earliest date that 64 bits of nanoseconds hold (pandas'
#   Timestamp.min), stays in 1677 in microseconds and in days: both have room for it. A scalar, an element's text
#   and an array's astype agree.
# Seen (numpy 2.4.6): the array's astype gives 2262, in microseconds for the first 998 counts that are no NaT, in
#   days for those of the first day; datetime64(scalar, "us"), datetime_as_string and astype to years give 1677. Durations wrap alike.
#   (2.5.5, for CPython from 3.12 on, raises OverflowError for the array.)
# What it means: a table's earliest dates became its latest without a word, or ended a read; fastrelu divides the
#   counts itself (readers/moments.py, tests/test_moments.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np

print("numpy", np.__version__, "- expected: 1677 everywhere")
first = 1 - 2**63
for past, wrapped in ((0, True), (997, True), (998, False), (10**9, False)):
    dates = np.array([first + past]).view("datetime64[ns]")
    one = str(np.datetime64(dates[0], "us"))[:4], str(dates.astype("datetime64[Y]")[0])
    whole = str(dates.astype("datetime64[us]")[0])[:4], str(dates.astype("datetime64[D]")[0])[:4]
    print(f"count {past}: by scalar and in years {one}, the array in microseconds and days {whole}")
    assert one == ("1677", "1677"), f"changed: {one}"
    assert (whole[0] == "2262") == wrapped, f"changed: {whole}"
length = np.array([first]).view("timedelta64[ns]").astype("timedelta64[s]")[0]
print("the longest negative duration in seconds:", length)
assert length > np.timedelta64(0, "s"), "changed: it stays negative"
PYTHON
echo "as described"

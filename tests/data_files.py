# SPDX-License-Identifier: BSD-3-Clause
"""Small files of data for the tests of the command's readers."""

import datetime
import struct

import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa

TEXT = "a,when,colour,y\n1.5,2024-01-31,red,1\n,2024-02-01 06:00,,0\n-2e3,,blue,1\n"


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def zstd(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def arrow_table():
    return pa.table(
        {
            "a": pa.array([1.5, None, -2e3]),
            "when": pa.array(
                [datetime.datetime(2024, 1, 31), datetime.datetime(2024, 2, 1, 6), None]
            ),
            "colour": pa.array(["red", None, "blue"]).dictionary_encode(),
            "y": pa.array([1, 0, 1]),
        }
    )

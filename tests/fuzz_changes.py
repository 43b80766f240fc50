# SPDX-License-Identifier: BSD-3-Clause
"""How good files are changed for fuzzing."""

import bz2
import gzip
import io
import json
import random
import re
import struct
import zipfile

TOKENS = [
    b"", b"\0", b"\xff" * 8, b"nan", b"-inf", b"1e999", b"-1", b"0", b"1e308", b"true", b"null",
    b"[]", b"{}", b"[[", b'"', b'":', b"9" * 25, b"[" * 2000, b"\xed\xa0\x80", b"\n", b",",
    b"\x1b[31m", b"-0.0", b"5e-324", b"2024-01-31", b"0x1p-1074", b"%s", b"../..", b"F64", b"relu",
    struct.pack("<q", 2**62), struct.pack("<i", 2**31 - 1), struct.pack("<q", -1), b"<f8", b"|O",
]  # fmt: skip
_DIGIT = re.compile(rb"[0-9]")


def mutated(choose: random.Random, seeds: list[bytes]) -> bytes:
    """A good file with changes: to its bytes, its header of JSON, or a member of its archive."""
    data = choose.choice(seeds)
    if choose.random() < 0.7:
        if data.startswith(b"PK\x03\x04"):
            return _in_archive(choose, data, seeds)
        if data[8:9] == b"{":
            return _in_header(choose, data, seeds)
    changed = _changed(choose, data, seeds)
    if choose.random() < 0.05:
        pack = choose.choice([gzip.compress, bz2.compress])
        changed = pack(changed)
        if choose.random() < 0.5:
            changed = _changed(choose, changed, seeds)
    return changed


def _changed(choose: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 1, 2, 4, 16))):
        if not changed:
            break
        at, length = choose.randrange(len(changed)), choose.choice((1, 2, 4, 8, 64, 1000))
        match choose.randrange(9):
            case 0:
                changed[at] ^= 1 << choose.randrange(8)
            case 1:
                changed[at] = choose.choice((0, 1, 255, 127, 128, 34, choose.randrange(256)))
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length]
            case 4:
                other = choose.choice(seeds)
                start = choose.randrange(len(other))
                changed[at : at + length] = other[start : start + length]
            case 5:
                token = choose.choice(TOKENS)
                changed[at : at + choose.choice((0, len(token)))] = token
            case 6:  # a number of the text
                digits = [found.start() for found in _DIGIT.finditer(changed[:4000])]
                if digits:
                    k = choose.choice(digits)
                    changed[k : k + 1] = choose.choice(
                        (b"-1", b"1e9", b"99999999999", b"0", b"1.5")
                    )
            case 7:
                size = choose.choice((1, 2, 4, 8))
                value = choose.choice((0, 1, -1, 2**31, 2**63 - 1, choose.randrange(2**16)))
                order = choose.choice(("little", "big"))
                changed[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, order)
            case 8:
                del changed[at:]
    return bytes(changed)


def _in_archive(choose: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """An archive of ZIP with a member changed, whose checksums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = choose.choice(sorted(members))
    others = [content for content in members.values() if content]
    if choose.random() < 0.05:
        members[choose.choice(["other.npy", *members])] = members.pop(name)
    else:
        members[name] = _changed(choose, members[name], others)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for member, content in members.items():
            file.writestr(member, content)
    return made.getvalue()


def _in_header(choose: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """A file of safetensors with its header changed, whose length is right."""
    size = int.from_bytes(data[:8], "little")
    header, arrays = data[8 : 8 + size], data[8 + size :]
    others = [seed[8:1000] for seed in seeds]
    if choose.random() < 0.5:  # what the metadata say, as JSON again
        plain = json.loads(header)
        metadata = plain["__metadata__"]
        key = choose.choice(sorted(metadata))
        text = _changed(choose, metadata[key].encode() or b" ", others).decode("latin-1")
        metadata[key] = text
        header = json.dumps(plain).encode()
    else:
        header = _changed(choose, header, others)
    return len(header).to_bytes(8, "little") + header + arrays

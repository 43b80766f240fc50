# SPDX-License-Identifier: BSD-3-Clause
"""Broken CSV files end in a DataError of one line, or in a table that can be learned from."""

import gzip
import os
import random
import warnings

import numpy as np
import pytest

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.preprocess import InputOptions, Inputs, fit_inputs, fit_target
from fastrelu.training import DataError

MUTATIONS = int(os.environ.get("FASTRELU_MUTATIONS", "10000"))  # more, for a longer look
CELLS = (
    b"",
    b"NA",
    b"nan",
    b"-inf",
    b"1e999",
    b"1e308",
    b"-1.8e308",
    b"5e-324",
    b"0x10",
    b"1_0",
    b"1,5",
    b'"',
    b'""',
    b'"a,b"',
    b'"a\nb"',
    b'"\r\n"',
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    "\uff11\uff12".encode(),
    "\u2028".encode(),
    b"\xed\xa0\x80",
    b"2024-01-31",
    b"9999-12-31T23:59:59Z",
    b"0001-01-01 00:00+23:59",
    b"0000-00-00",
    b"true",
    b"yes",
    b"None",
    b"$1,250.00",
    b"1.234,5",
    b"12 kg",
    b"(5)",
    "\u22125".encode(),
    b"05/03/24",
    b"31.12.2024 23:59",
    b"02139",
    b"12:30",
    b"# a comment",
    b'\\"',
    b"'",
    b"9" * 400,
    b"-" * 50,
    b"x" * 5000,
    b" ",
    b"\t",
    b";",
    b"1 1:2",
    b"PAR1",
)


def original(choose: random.Random) -> bytes:
    """A good file: numbers, gaps, a category, a date, a target."""
    lines = ["size,colour,when,flag,price"]
    for i in range(choose.choice([3, 12, 40])):
        size = "" if i % 5 == 4 else f"{choose.gauss(0, 1):.4g}"
        colour = choose.choice(["red", "blue", "", '"a, b"'])
        when = f"2024-0{1 + i % 9}-1{i % 10}"
        lines.append(f"{size},{colour},{when},{choose.choice(['true', 'false'])},{i % 3}")
    return "\n".join(lines).encode() + b"\n"


def decorated(choose: random.Random) -> bytes:
    """A good file as tools in Europe leave it: a title, units, marks, times, what numbers wear."""
    lines = ["report;;;;", "Zeit, s;colour;when;dauer;price"]
    for i in range(choose.choice([5, 12, 40])):
        time, cost = f"{i},{i % 7}5", f"{1 + i % 3}.{100 + 7 * i},50 €"
        clock = choose.choice([f"{i % 3} days 0{i % 9}:30:00", f"{i % 24}:05:00", "-0:30:00"])
        lines.append(f"{time};#{i % 3};{i % 28 + 1}.03.2024 24:00;{clock};{cost}")
    return "\n".join(lines).encode() + b"\n"


def mutated(choose: random.Random) -> bytes:
    content = bytearray(choose.choice([original, original, decorated])(choose))
    for _ in range(choose.choice([1, 1, 1, 2, 3, 8])):
        if not content:
            break
        at = choose.randrange(len(content))
        match choose.randrange(11):
            case 0:
                content[at] = choose.randrange(256)
            case 1:
                del content[at : at + choose.choice([1, 2, 20, 10**6])]
            case 2:
                del content[:at]
            case 3:
                content[at:at] = choose.choice(CELLS)
            case 4:  # one cell
                start = max(content.rfind(b",", 0, at), content.rfind(b"\n", 0, at)) + 1
                ends = [e for e in (content.find(b",", at), content.find(b"\n", at)) if e >= 0]
                content[start : min(ends, default=len(content))] = choose.choice(CELLS)
            case 5:  # one column
                lines = bytes(content).split(b"\n")
                j, cell = choose.randrange(5), choose.choice(CELLS)
                for i, line in enumerate(lines[1:], 1):
                    cells = line.split(b",")
                    if j < len(cells) and len(line):
                        cells[j] = cell
                    lines[i] = b",".join(cells)
                content = bytearray(b"\n".join(lines))
            case 6:
                old = choose.choice([b",", b"\n", b'"', b".", b"e", b"2024"])
                new = choose.choice([b";", b"\t", b"|", b"\r\n", b"\r", b",", b"", b"\n\n", b'"'])
                content = bytearray(bytes(content).replace(old, new))
            case 7:
                other = choose.randrange(len(content))
                content[at:at] = content[min(at, other) : max(at, other)]
            case 8:
                name = choose.choice([b"size", b"colour", b"when", b"price"])
                new = choose.choice([b"size", b"", b"1", b"\xff", b'"', b"a" * 1000])
                content = bytearray(bytes(content).replace(name, new, 1))
            case 9:
                encoding = choose.choice(["utf-16", "utf-8-sig", "utf-16-le", "utf-32", "latin-1"])
                text = bytes(content).decode("latin-1")
                content = bytearray(text.encode(encoding, "replace"))
            case 10:
                packed = bytearray(gzip.compress(bytes(content), 1))
                if choose.random() < 0.7:
                    packed[choose.randrange(len(packed))] ^= 1 << choose.randrange(8)
                if choose.random() < 0.3:
                    del packed[choose.randrange(len(packed)) :]
                content = packed
    return bytes(content)


def learn(path: str, options: InputOptions, target: str | None) -> str:
    """Go the whole way from the file to inputs; return how it ended."""
    try:
        table = read([path], ColumnChoice(target=target))
        rows = np.flatnonzero(~table.missing_target())
        goal = fit_target(table, rows)
        inputs = fit_inputs(table, rows, options)
        X = inputs.transform(table, rows)
        y = goal.encode(table.target[rows], "float64")
    except DataError as error:
        message = str(error)
        assert message.isprintable() and len(message) <= 1000, message
        return "refused"
    assert np.isfinite(X).all() and np.isfinite(y).all() and len(X) == len(y)
    assert X.shape == (len(rows), inputs.n_inputs) == (len(rows), len(inputs.input_names))
    if table.matrix is None:  # as the model would read it
        choice = ColumnChoice(target=table.target_name, kinds=inputs.kinds, reading=table.reading)
        raw = read([path], choice, need_target=False)
        back = Inputs.from_description(inputs.describe())
        assert back.transform(raw, rows).tobytes() == X.tobytes()
    return "learned"


@pytest.mark.parametrize("block", range(4))
def test_mutations_are_learned_or_refused_in_one_line(tmp_path, block):
    path = tmp_path / "fuzz.csv"
    ends = {"learned": 0, "refused": 0}
    for number in range(MUTATIONS // 4):
        choose = random.Random(f"{block} {number}")
        path.write_bytes(mutated(choose))
        options = InputOptions(
            choose.choice(["auto", "quantile", "none"]), choose.choice(["one-hot", "hash"])
        )
        target = choose.choice([None, "price", "colour"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                ends[learn(str(path), options, target)] += 1
            except Exception as error:
                pytest.fail(f"mutation {number}: {error!r} for {path.read_bytes()[:300]!r}")
    assert min(ends.values()) > MUTATIONS // 40, ends

# SPDX-License-Identifier: BSD-3-Clause
"""The twelve odd files of docs/reading.md: what stands there is what `fastrelu inspect` prints."""

import gzip
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
from command_tools import run

DOCS = Path(__file__).parents[1] / "docs" / "reading.md"
N = 24
TOWNS = ("Ulm", "Bonn", "Jena")


def lines(head, row):
    return head + "".join(row(i) + "\n" for i in range(N))


FILES = {
    "units.csv": lines("Zeit, s;Kraft, N;Weg, mm\n", lambda i: f"{i},5;{1000 + i},2;{2 * i},7"),
    "iris.data": lines(
        "", lambda i: f"5.{i % 5},3.{i % 4},{'setosa' if i % 2 == 0 else 'virginica'}"
    ),
    "report.csv": lines(
        "Sales of 2024,,\n,,\nshop,sold,price\n",
        lambda i: f"{TOWNS[i % 2]},{3 * i % 11},{9 + i % 7 / 4:.2f}",
    ),
    "trailing.csv": lines("a;b;\n", lambda i: f"{i};{i * i};"),
    "prices.csv": lines(
        "rooms,area,price\n", lambda i: f'{i % 5},{40 + i} m\u00b2,"${900 + 37 * i:,.2f}"'
    ),
    "dates.csv": lines(
        "bought,sold,n\n",
        lambda i: f"{i % 12 + 1:02d}/{i % 9 + 1:02d}/24,{i + 1}.3.2024 12:30,{i % 3}",
    ),
    "zip.csv": lines(
        "zip,town,visits\n", lambda i: f"{2139 + 731 * i:05d},{TOWNS[i % 3]},{7 * i % 10}"
    ),
    "sleep.csv": lines(
        "hours,disorder\n", lambda i: f"{6 + i % 5 / 2},{('None', 'Apnea', 'Insomnia')[i % 3]}"
    ),
    "total.csv": lines("month,sold\n", lambda i: f"{i % 12 + 1},{31 * i % 50}") + "Total,588\n",
    "spaces.txt": lines(
        "# measured by hand\n time   volts state\n",
        lambda i: f"{i:5d} {i / 8:7.3f} {'on' if i % 2 == 0 else 'off':>4}",
    ),
    "answers.csv": lines(
        "id,said,when\n",
        lambda i: f"A{i:03d},{('yes', 'No', 'TRUE', '0')[i % 4]},2024-01-{i + 1:02d}T12:00+02:00",
    ),
    "logs.csv.gz": lines(
        "level|text|ms\n", lambda i: f'{("info", "warn")[i % 2]}|"two\nlines"|{i * 1.5}'
    ),
}  # fmt: skip


def printed(folder, monkeypatch):
    """Return the command and its output for each file, as a terminal shows them."""
    monkeypatch.chdir(folder)
    shown = []
    for name, content in FILES.items():
        data = content.encode()
        Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        result = run("inspect", name)
        assert result.exit_code == 0, result.output
        shown.append(f"$ fastrelu inspect {name}\n{result.stdout}")
    return "\n".join(shown)


def test_the_docs_show_what_inspect_prints(tmp_path, monkeypatch):
    part = DOCS.read_text(encoding="utf-8").partition("## Twelve odd files\n")[2]
    block = part.partition("```console\n")[2].partition("```")[0]
    assert len(FILES) == 12 and block == printed(tmp_path, monkeypatch)

# SPDX-License-Identifier: BSD-3-Clause
"""fastrelu inspect, and what train says, keeps and takes back about the reading of text."""

import json

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import pyarrow as pa
from command_tools import run
from data_files import write
from pyarrow import parquet

from fastrelu.training import load_model

COLUMNS = {
    "id": [f"{i:03d}" for i in range(40)],
    "price": [f"${900 + 7 * i:,.2f}" for i in range(40)],
    "kind": ["red", "blue"] * 20,
    "ok": ["True", "False"] * 20,
    "yes": ["yes", "no"] * 20,
    "one": ["same"] * 40,
    "gap": ["", "1.5", "", "2.5"] * 10,
    "when": [f"{i % 28 + 1:02d}.03.2024" for i in range(40)],
    "mostly": [str(i * 3 % 7) for i in range(39)] + ["oops"],
    "days": [f"2024-01-{i % 28 + 1:02d}" for i in range(39)] + ["0000-00-00"],
    "mixed": ["1,5", "2.5"] * 20,
    "said": ["yes", "No", "TRUE", "0"] * 10,
}


def text(columns, separator=";"):
    rows = zip(*columns.values(), strict=True)
    return "\n".join(separator.join(row) for row in [tuple(columns), *rows]) + "\n"


def inspected(*arguments):
    result = run("inspect", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    return found, {column["name"]: column for column in found["columns"]}


def test_every_kind_and_oddity_is_told(tmp_path):
    found, columns = inspected(write(tmp_path / "t.csv", text(COLUMNS)))
    assert found["rows"] == 40 and set(found) == {"rows", "columns", "read", "warnings"}
    assert found["read"]["separator"] == ";" and found["read"]["header"] is True
    kinds = {name: column["kind"] for name, column in columns.items()}
    assert kinds == {
        "id": "identifier", "price": "number", "kind": "category", "ok": "flag", "yes": "flag",
        "one": "constant", "gap": "number", "when": "date", "mostly": "category",
        "days": "category", "mixed": "category", "said": "flag",
    }  # fmt: skip
    assert columns["gap"]["missing"] == 0.5
    assert columns["gap"]["first"] == [None, 1.5, None, 2.5, None]
    assert columns["kind"]["distinct"] == 2 and columns["price"]["first"][0] == 900
    assert columns["when"]["first"][0] == "2024-03-01" and not columns["kind"]["warnings"]
    for name, words in {
        "id": "looks like an identifier", "one": "one value only", "mostly": "mostly numbers",
        "days": "mostly dates", "mixed": "mixed decimal marks", "price": "the unit '$'",
        "said": "true and false are spelled",
    }.items():  # fmt: skip
        assert any(words in said for said in columns[name]["warnings"]), columns[name]


def test_flags_and_other_formats(tmp_path):
    path = write(tmp_path / "t.csv", text({"x": ["1,5", "2,5"], "y": ["1", "2"]}))
    _, columns = inspected(path, "--decimal", ",")
    assert columns["x"]["kind"] == "number" and columns["x"]["first"] == [1.5, 2.5]
    _, columns = inspected(path, "--categorical", "y")
    assert columns["y"]["kind"] == "category"
    found, columns = inspected("iris")
    assert found["rows"] == 150 and columns["target"]["kind"] == "category"
    table = pa.table({"a": [1.0, None], "b": ["x", "y"], "c": [True, False]})
    parquet.write_table(table, tmp_path / "t.parquet")
    found, columns = inspected(tmp_path / "t.parquet")
    assert found["read"]["format"] == "Parquet" and columns["a"]["missing"] == 0.5
    assert columns["c"]["kind"] == "flag"
    np.save(tmp_path / "m.npy", np.arange(12.0).reshape(4, 3))
    found, _ = inspected(tmp_path / "m.npy")
    assert found["rows"] == 4


def test_for_a_terminal(tmp_path):
    result = run("inspect", write(tmp_path / "t.csv", text(COLUMNS)))
    assert result.exit_code == 0 and "40 rows, 12 columns" in result.output
    assert "read as text: semicolon, quote" in result.output
    assert "warning: column 'mostly': mostly numbers: line 41" in result.output
    result = run("inspect", write(tmp_path / "bad.csv", "x,y\n1,2\n3\n"))
    assert result.exit_code == 3 and "line 3: expected 2 fields" in result.output
    assert run("inspect", tmp_path / "t.csv", "--decimal", "x").exit_code == 2
    assert run("train", "x.csv", "--no-header", "--header-line", 2).exit_code == 2


def test_a_model_reads_as_its_training_did(tmp_path):
    rows = [(f"{i / 4:.2f}".replace(".", ","), f"{i % 28 + 1:02d}/03/2024", i) for i in range(60)]
    content = "x;when;y\n" + "".join(f"{x};{when};{y}\n" for x, when, y in rows)
    path = write(tmp_path / "t.csv", content)
    result = run("train", path, "--epochs", 1, "--hidden", 4, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "read as text: semicolon" in result.output and "decimal comma" in result.output
    report = (tmp_path / "run" / "report.html").read_text()
    assert "read as text: semicolon" in report
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())["reading"]
    assert kept["file"]["separator"] == ";" and kept["columns"]["x"]["decimal"] == ","
    reading = load_model(tmp_path / "run").reading
    assert reading.columns["x"].decimal == "," and reading.columns["when"].order == "dmy"
    first = run("predict", tmp_path / "run", path).output
    same = content.replace(";", "\t")
    assert run("predict", tmp_path / "run", write(tmp_path / "s.csv", same)).output == first
    short = write(tmp_path / "short.csv", 'when,x\n05/04/2024,"1,250"\n')
    assert run("predict", tmp_path / "run", short).exit_code == 0
    wrong = write(tmp_path / "wrong.csv", "when,x\n04/25/2024,1\n")
    result = run("predict", tmp_path / "run", wrong)
    assert result.exit_code == 3 and "line 2" in result.output and "day-month-year" in result.output
    assert run("predict", tmp_path / "run", wrong, "--date-format", "mdy").exit_code == 0
    nothing = write(tmp_path / "nothing.csv", "x;when\n")
    result = run("predict", tmp_path / "run", nothing)
    assert result.exit_code == 0 and result.output == "prediction\n"


def test_settings_of_reading_in_toml(tmp_path):
    path = write(tmp_path / "t.csv", "".join(f"{i}~{i % 7}~n/k\n" for i in range(40)))
    config = tmp_path / "c.toml"
    config.write_text(
        'separator = "~"\nno_header = true\nna = ["n/k"]\nignore = ["column 3"]\n'
        'target = "column 2"\ndate_format = ["dmy"]\nepochs = 1\nhidden = [4]\n'
    )
    result = run("train", path, "--config", config, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert 'na = ["n/k"]' in (tmp_path / "run" / "config.toml").read_text()
    assert run("predict", tmp_path / "run", path, "--separator", "~").exit_code == 0
    config.write_text('date_format = ["x"]\n')
    assert run("train", path, "--config", config).exit_code == 2


def test_spellings_of_truth_are_one_thing(tmp_path):
    x = np.random.default_rng(0).normal(size=120).round(3)
    for name, words in {"py": ("False", "True"), "r": ("FALSE", "TRUE"), "n": ("0", "1"),
                        "w": ("no", "Yes")}.items():  # fmt: skip
        rows = "".join(f"{v},{words[int(v > 0)]}\n" for v in x)
        write(tmp_path / f"{name}.csv", "x,ok\n" + rows)
    run("train", tmp_path / "py.csv", "--epochs", 20, "--out", tmp_path / "run")
    said = [run("evaluate", tmp_path / "run", tmp_path / f"{n}.csv") for n in ("py", "r", "n", "w")]
    assert all(result.exit_code == 0 for result in said), [result.output for result in said]
    assert len({result.output for result in said}) == 1

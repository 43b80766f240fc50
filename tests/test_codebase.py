# SPDX-License-Identifier: BSD-3-Clause
"""The house's own rules: which way things point, how long a file may be, what the stubs say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastrelu import _core

ROOT = Path(__file__).parent.parent
if not (ROOT / "cpp").is_dir():
    pytest.skip("needs the sources", allow_module_level=True)
CPP = sorted((ROOT / "cpp").rglob("*.[ch]*"))
BINDINGS = sorted((ROOT / "src").glob("*.[ch]*"))
PYTHON = sorted((ROOT / "python").rglob("*.py"))
ALL = [
    *CPP,
    *BINDINGS,
    *PYTHON,
    *sorted((ROOT / "tests").glob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "examples").glob("*.py")),
]


# Kernels whose one function is a little longer; a split has to be seen in the instruction counts.
LONGEST = {"dense-inl.h": 65, "few_rows-inl.h": 64}

# Comments, texts and characters of C++, where a brace is no brace.
NO_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'", re.DOTALL)
RAW_TEXT = re.compile(r'R"\((.*?)\)"', re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
NO_FUNCTION = re.compile(r"\b(?:namespace|class|struct|enum|union)\b[^()]*$")


def cpp_functions(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first line and the number of lines of each function that is defined."""
    for pattern in (RAW_TEXT, DIRECTIVE, NO_CODE):
        text = pattern.sub(lambda found: "\n" * found[0].count("\n") or " ", text)
    scopes: list[int | None] = []  # open braces: the line where a function begins, or None
    begin = 0
    for mark in re.finditer(r"[{};]", text):
        head = text[begin : mark.start()]
        if mark[0] == "{":
            inside = any(scope is not None for scope in scopes)
            if inside or "(" not in head or NO_FUNCTION.search(head) or head.rstrip()[-1:] == "=":
                scopes.append(None)
            else:
                first = begin + len(head) - len(head.lstrip())
                scopes.append(text.count("\n", 0, first) + 1)
        elif mark[0] == "}" and scopes and (scope := scopes.pop()) is not None:
            yield scope, text.count("\n", 0, mark.start()) + 2 - scope
        begin = mark.end()


def python_functions(text: str) -> Iterator[tuple[int, int]]:
    """Yield the line of each function and the lines of its body, without the docstring."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[1 if ast.get_docstring(node) is not None else 0 :]
            if first:
                yield node.lineno, (node.end_lineno or 0) - first[0].lineno + 1


def includes(path: Path) -> list[str]:
    return re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_is_short_and_licensed(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 500
    assert not lines or any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2])


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_function_fits_a_screen_and_every_line_its_width(path: Path) -> None:
    text = path.read_text()
    lines = (re.sub(r"  # (type: ignore|noqa).*", "", line) for line in text.splitlines())
    wide = [number for number, line in enumerate(lines, 1) if len(line) > 100]
    assert not wide, f"more than 100 columns: lines {wide}"
    functions = python_functions(text) if path.suffix == ".py" else cpp_functions(text)
    long = [(line, count) for line, count in functions if count > LONGEST.get(path.name, 60)]
    assert not long, f"more than 60 lines: {long}"


def test_functions_are_found_and_measured() -> None:
    code = """
namespace a {
struct B {  // not {this}
  int value() const { return 1; }
};
template <class T>
int f(T x) {
  if (x) {
    return '{';
  }
  const auto g = [&](int y) { return y; };
  return g(R"({)");
}
const int kTable[] = {1, 2};
}
"""
    assert list(cpp_functions(code)) == [(4, 1), (6, 8)]
    assert list(python_functions('def f(\n    x,\n):\n    """Say."""\n    x\n    return x\n')) == [
        (1, 2)
    ]


@pytest.mark.parametrize("path", CPP, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_knows_nothing_of_python(path: Path) -> None:
    for name in includes(path):
        assert not re.search(r"Python\.h|pybind11|numpy|^\.\./src", name)
        assert name not in {p.name for p in BINDINGS} - {p.name for p in CPP}


# The floors of a training step in cpp/, lowest first. A file may include its own header and those
# of lower floors, nothing beside or above it. Files that are on none of them (hinge fits, regions,
# bounds, ...) may include any floor, and no floor includes them.
FLOORS = (
    {"array", "catalogue", "control_groups", "environment", "fp_environment", "poll", "range"},
    {"communicator", "cores", "update"},
    {"layer", "loss", "optimizer", "panels", "thread_pool"},
    {"independent_runs", "kernels", "minibatch", "panel_stack", "thread_choice"},
    {"dispatch", "tuning"},
    {"random"},
    {"dropout", "network"},
    {"pass_cuts"},
    {"passes"},
    {"backward", "encoded", "sparse"},
    {"input_scales", "predict", "reducer", "shared_shards"},
    {"sampler", "step"},
    {"given_epochs", "loop", "row_derivatives"},
    {"trainer"},
    {"population_member", "study"},
    {"member_lanes"},
    {"population"},
)
FLOOR = {stem: number for number, stems in enumerate(FLOORS) for stem in stems}


@pytest.mark.parametrize(
    "path", [p for p in CPP if p.parent.name == "kernels"], ids=lambda p: p.name
)
def test_kernels_know_nothing_of_the_core_above_them(path: Path) -> None:
    for name in includes(path):
        if name.startswith(".."):
            assert FLOOR[Path(name).stem] < FLOOR["kernels"], name


@pytest.mark.parametrize(
    "path", [p for p in CPP if p.parent.name == "cpp" and p.stem in FLOOR], ids=lambda p: p.name
)
def test_the_arrows_between_the_floors_of_a_step_run_down(path: Path) -> None:
    for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
        if Path(name).stem != path.stem:
            assert FLOOR.get(Path(name).stem, len(FLOORS)) < FLOOR[path.stem], name


def test_every_floor_of_a_step_is_there() -> None:
    assert set(FLOOR) <= {p.stem for p in CPP}


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if "reference" in p.parts],
    ids=lambda p: p.name,
)
def test_the_reference_stands_alone(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith("fastrelu.") or name.startswith(
            ("fastrelu.reference", "fastrelu._arguments", "fastrelu.schedules")
        ), name


# The command, and the public modules that only hand on what is in it.
FACES = {"app", "training", "tabular.py"}


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if not FACES & set(p.parts) and p.stem != "__main__"],
    ids=lambda p: str(p.relative_to(ROOT / "python")),
)
def test_the_library_does_not_import_the_command(path: Path) -> None:
    assert not any(name.startswith(("fastrelu.app", "fastrelu.training")) for name in imports(path))


@pytest.mark.parametrize(
    "path",
    [p for p in PYTHON if "app" in p.parts],
    ids=lambda p: str(p.relative_to(ROOT / "python")),
)
def test_the_command_uses_public_names_alone(path: Path) -> None:
    for name in imports(path):
        private = [part for part in name.split(".")[1:] if re.match(r"_(?!_)", part)]
        assert not private or not name.startswith("fastrelu"), name
    tree = ast.parse(path.read_text())
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    nodes = [n for n in nodes if re.match(r"_(?!_)", n.attr)]
    own = {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id in ("self", "cls")}
    own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for node in nodes:  # another object's, unless of a class in the same file
        inherited = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
        assert inherited or node.attr in own, f"{ast.unparse(node)}, line {node.lineno}"


@pytest.mark.parametrize("path", [p for p in ALL if p.suffix == ".py"], ids=lambda p: p.name)
def test_dates_and_durations_have_a_unit(path: Path) -> None:
    """NumPy 2.5 warns where the unit is left to it, and a later one will raise."""
    made = re.findall(r"(?:datetime|timedelta)64\((?:[\"']NaT[\"']|-?\d+)\)", path.read_text())
    assert not made


def test_the_stubs_name_what_the_compiled_module_has() -> None:
    stub = ast.parse((ROOT / "python/fastrelu/_core.pyi").read_text())
    for node in stub.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if not hasattr(_core, node.name):
                bases = [ast.unparse(b) for b in getattr(node, "bases", [])]
                assert "TypedDict" in bases or "Protocol" in bases, node.name
                continue
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, ast.FunctionDef):
                        assert hasattr(getattr(_core, node.name), item.name), item.name
    stubbed = {n.name for n in stub.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    stubbed |= {
        t.id
        for n in stub.body
        if isinstance(n, ast.AnnAssign) and isinstance(t := n.target, ast.Name)
    }
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert public <= stubbed


def test_every_gate_is_in_a_row_of_the_integration() -> None:
    """The quick ones by their names, the others by one tag each."""
    tree, script = ast.parse((ROOT / "noxfile.py").read_text()), (ROOT / ".ci/run").read_text()
    rows = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for made in node.decorator_list:
                rows[node.name] = re.findall(r"tags=\['(\w+)'\]", ast.unparse(made))
    (gates,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GATES"
    ]
    (quick,) = re.findall(r'"quick gates" nox -s ([\w ]+)', script)
    tags = re.findall(r"nox -t (\w+)", script)
    found = [*quick.split(), *[name for tag in tags for name in rows if rows[name] == [tag]]]
    assert sorted(found) == sorted(gates) and len(tags) == 2
